"""What an executor brings to the scheduler: a way to run pure functions somewhere."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any


class AbstractPool(ABC):
    """Runs a function on every item, on however many workers."""

    workers: int

    @abstractmethod
    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        """Results in the order of the items, as they become ready. An exception of the function is raised here."""

    def close(self) -> None:
        """Stop the workers."""


def batches(items: int, workers: int) -> int:
    """How many items travel together: few enough to keep all workers busy to the end, at most 16."""
    return max(1, min(16, items // (8 * workers)))
