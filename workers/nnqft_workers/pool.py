"""What an executor brings to the scheduler: a way to run parcels of pure functions somewhere."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Parcel:
    """A function and a few items that travel together.

    Attributes
    ----------
    number
        Its own among those of a computation.
    device
        ``"cpu"`` or ``"gpu"``: what kind of worker shall run it.
    label
        How a message names it.
    """

    number: int
    function: Callable[[Any], Any]
    items: Sequence[Any]
    device: str = "cpu"
    label: str = "work"


@dataclass(frozen=True)
class Failed:
    """What takes the place of a result if the function raised."""

    error: Exception


@dataclass(frozen=True)
class Lost:
    """What takes the place of a parcel's results if its worker died, its node vanished, or its memory ran out.

    `blame` is False where the parcel surely had no part in it, such as one that merely shared a broken pool.
    """

    reason: str
    blame: bool = True


class AbstractPool(ABC):
    """Workers that take parcels.

    Attributes
    ----------
    ahead : int
        Parcels worth having in flight for each worker: 2 hides the latency of the next one.
    idles : bool
        Workers stand still while the caller thinks, so that work done on a guess costs nothing.
    """

    ahead: int = 2
    idles: bool = True

    @abstractmethod
    def slots(self, device: str) -> int:
        """How many parcels of that kind can run at a time now; may grow and shrink."""

    @abstractmethod
    def submit(self, parcel: Parcel) -> None:
        """Hand over a parcel without waiting.

        Raises
        ------
        ExecutorError
            If it cannot be sent.
        """

    @abstractmethod
    def collect(self, timeout: float) -> list[tuple[Parcel, list[Any] | Lost]]:
        """The parcels that have finished with their results, after at most `timeout` seconds if none has."""

    @abstractmethod
    def forget(self) -> None:
        """Drop what is in flight: cancel what can be cancelled, and never hand over the rest."""

    def close(self) -> None:
        """Stop the workers; called once, after the last parcel."""


def run_parcel(function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    """The function on each item; an exception spoils only its own."""
    results: list[Any] = []
    for item in items:
        try:
            results.append(function(item))
        except Exception as error:
            results.append(Failed(error))
    return results
