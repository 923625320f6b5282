"""How an answer is computed and how well: where, by which integrator, to what error, and what is kept."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TypedDict

from nnqft.checks import positive_number, true_or_false, whole_number
from nnqft.errors import InputError, short
from nnqft.graphs.generate import MAX_DIAGRAMS
from nnqft.host import default_host, running
from nnqft.interfaces.executor import AbstractExecutor, Keep, Target

DEFAULT_RTOL = 1e-3
"""The target when none is given; where nothing is sampled it costs nothing."""


@dataclass(frozen=True)
class Effort:
    """The arguments of a computation that do not say what is asked for; checked when it is made.

    Attributes
    ----------
    integrator : str
        A plugin's name, or ``"auto"``.
    rtol, atol : float or None
        Errors to reach, relative and absolute; rtol is 1e-3 where no target, budget or limit is given.
    neval : int or None
        Samples to spend.
    seed : int
    executor, workers, address
        Where the work runs.
    ledger : path or None
        File that keeps every finished chunk.
    time_limit : float or None
        In seconds.
    progress : bool
        Show a bar on stderr.
    max_diagrams : int
        Refuse to generate more.

    Raises
    ------
    InputError
        If one of them makes no sense; names are looked up when they are needed.
    """

    integrator: str = "auto"
    rtol: float | None = None
    atol: float | None = None
    neval: int | None = None
    seed: int = 0
    executor: str | AbstractExecutor = "local"
    workers: int | None = None
    address: str | None = None
    ledger: str | os.PathLike[str] | None = None
    time_limit: float | None = None
    progress: bool = False
    max_diagrams: int = MAX_DIAGRAMS

    def __post_init__(self) -> None:
        if not isinstance(self.integrator, str) or self.integrator != "auto":
            default_host().integrator(self.integrator)
        for name in ("rtol", "atol", "time_limit"):
            if getattr(self, name) is not None:
                self._set(name, positive_number(name, getattr(self, name), "60" if name == "time_limit" else "1e-3"))
        if self.neval is not None:
            self._set("neval", whole_number("neval", self.neval, 1, "100000"))
        self._set("progress", true_or_false("progress", self.progress))
        self._set("seed", whole_number("seed", self.seed, 0))
        self._set("max_diagrams", whole_number("max_diagrams", self.max_diagrams, 1, f"{MAX_DIAGRAMS}"))
        if self.rtol is self.atol is self.neval is self.time_limit is None:
            self._set("rtol", DEFAULT_RTOL)
        if self.ledger is not None and (not isinstance(self.ledger, str | os.PathLike) or not os.fspath(self.ledger)):
            raise InputError(f"ledger={short(self.ledger)}: wanted the path of a file, such as ledger='run.ledger'")

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)  # the one place where a frozen Effort is still being made

    def target(self, request: str = "") -> Target:
        """When to stop, and where to keep what is done; `request` is what a ledger writes beside it, as JSON."""
        keep = None if self.ledger is None else Keep(os.fspath(self.ledger), request)
        return Target(self.rtol, self.atol, self.neval, self.seed, self.time_limit, keep)

    def to_error(self, atol: float) -> Effort:
        """The same with an absolute error as its only target."""
        return replace(self, rtol=None, atol=atol)

    def running(self) -> AbstractContextManager[AbstractExecutor]:
        """Give the executor, which is closed at the end unless the caller brought it.

        Raises
        ------
        InputError
            If it does not exist, or cannot keep a ledger that was asked for.
        """
        return running(self.executor, self.workers, self.address)


class Options(TypedDict, total=False):
    """The arguments of `Effort` as keywords."""

    integrator: str
    rtol: float | None
    atol: float | None
    neval: int | None
    seed: int
    executor: str | AbstractExecutor
    workers: int | None
    address: str | None
    ledger: str | os.PathLike[str] | None
    time_limit: float | None
    progress: bool
    max_diagrams: int
