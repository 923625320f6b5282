"""What travels to executors and back: pieces of work, a target, an outcome; and the executor's interface."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from nnqft.integrals.estimate import Estimate
from nnqft.integrals.integral import TimeIntegral
from nnqft.interfaces.integrator import AbstractIntegrator
from nnqft.show.numbers import clipped

Item = TypeVar("Item")
Value = TypeVar("Value")


@dataclass(frozen=True, repr=False)
class Work:
    """One integral to compute and what it is worth.

    Attributes
    ----------
    label
        How an error message names it.
    integral, integrator
        What is to be computed, and by what.
    weight
        What multiplies the integral in the sum.
    seed_words
        Words of entropy that, with the request's seed and the chunk number, seed its samples.
    state_words
        The same for `prepare`; equal for integrals that are equal, so that these share one state.

    Examples
    --------
    >>> import numpy as np
    >>> import nnqft
    >>> theory = nnqft.theory("linear", N=100, sigma_w=0.5)
    >>> from nnqft.stages.jobs import make_job
    >>> job = make_job(nnqft.diagrams(theory, "two_point", order=0), np.zeros((1, 2)), "exact")
    >>> job.work[0].label, job.work[0].weight
    ('diagram 0 (order 0, width order 0)', 1.0)
    """

    label: str
    integral: TimeIntegral
    integrator: AbstractIntegrator
    weight: float
    seed_words: tuple[int, ...]
    state_words: tuple[int, ...]

    def __repr__(self) -> str:
        return clipped(f"Work({self.label} by {self.integrator.name}, weight {self.weight:g}") + ")"


@dataclass(frozen=True, repr=False)
class Keep:
    """Where finished work is kept.

    Attributes
    ----------
    path : str
        Of a ledger.
    request : str
        The request that the work is written down for, as JSON.

    Examples
    --------
    >>> from nnqft import Keep, Target
    >>> Target(rtol=1e-3, keep=Keep("run.ledger", request="{}")).keep.path
    'run.ledger'
    """

    path: str
    request: str

    def __repr__(self) -> str:
        return clipped(f"Keep({self.path!r}") + ")"


@dataclass(frozen=True)
class Target:
    """When to stop: |error| ≤ max(rtol·|sum|, atol) at every time, `neval` samples spent, or `time_limit` seconds over.

    `keep` says where finished chunks are kept, if anywhere; `partial`, that there was no time to plan all the work that
    was asked for, so that a ledger must not call it done.

    Examples
    --------
    >>> import numpy as np
    >>> from nnqft import Target
    >>> Target(rtol=0.01, atol=0.002).tolerance(np.array([1.0, 0.0])).tolist()
    [0.01, 0.002]
    >>> Target(neval=10_000).only_budget
    True
    """

    rtol: float | None = None
    atol: float | None = None
    neval: int | None = None
    seed: int = 0
    time_limit: float | None = None
    keep: Keep | None = None
    partial: bool = False

    @property
    def only_budget(self) -> bool:
        """No error is asked for: a budget that is spent is all that was wanted."""
        return self.rtol is None and self.atol is None

    def tolerance(self, total: np.ndarray) -> np.ndarray:
        """(M,) largest error allowed; −1 where only the budget decides."""
        bound = np.full(len(total), -1.0)
        if self.rtol is not None:
            bound = np.maximum(bound, self.rtol * np.abs(total))
        if self.atol is not None:
            bound = np.maximum(bound, self.atol)
        return bound


@dataclass(repr=False)
class Outcome:
    """What an executor hands back.

    Attributes
    ----------
    estimates
        One for each piece of work, in order; None where nothing was finished.
    converged
        The target was met (or only a budget was set, and it was spent).
    reason
        Why it stopped, in a few words.
    failure
        The exception that ended the computation early, if one did.
    failed
        For pieces of work that failed while others went on, by number, why, and at which point of their integrals. What
        was estimated of them before is no number of theirs, and is not used.
    notes
        What a reader should know of how it ran: work that was lost and done again, GPUs that took part.

    Examples
    --------
    >>> from nnqft import Outcome
    >>> Outcome([], converged=False, reason="interrupted").failure is None
    True
    """

    estimates: list[Estimate | None]
    converged: bool
    reason: str
    failure: Exception | None = None
    notes: tuple[str, ...] = ()
    failed: Mapping[int, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        done = sum(estimate is not None for estimate in self.estimates)
        state = "converged" if self.converged else "not converged"
        return clipped(f"Outcome({done} of {len(self.estimates)} estimates, {state}: {self.reason}") + ")"


class AbstractExecutor(ABC):
    """A place where work runs.

    Attributes
    ----------
    name, summary : str
    durable : bool
        `evaluate` keeps finished work in the ledger that the target names, and uses what is there.

    Examples
    --------
    >>> import nnqft
    >>> theory = nnqft.theory("linear", N=100, sigma_w=0.5)
    >>> from nnqft import AbstractExecutor, Outcome
    >>> class Settler(AbstractExecutor):  # exact integrals one after the other, and nothing else
    ...     name = "settler"
    ...     def evaluate(self, work, target, progress):
    ...         estimates = [w.integrator.sample(w.integral, None, 1, None) for w in work]
    ...         return Outcome(estimates, True, "all integrals are exact")
    >>> nnqft.compute(theory, "two_point", order=1, executor=Settler()).mean.round(6).tolist()
    [0.563125]
    """

    name: str
    summary: str = ""
    durable: bool = False

    @abstractmethod
    def evaluate(self, work: Sequence[Work], target: Target, progress: Callable[[Mapping[str, Any]], None]) -> Outcome:
        """Sample all work until the weighted sum meets the target.

        `progress` is called now and then with ``samples`` (spent), ``expected`` (as far as can be told now) and
        ``error`` (largest error over what the target allows, inf while unknown). Where something else than samples is
        counted, ``stage`` says what is being done and ``things`` what is counted.
        """

    def map(self, function: Callable[[Item], Value], items: Sequence[Item]) -> Iterator[Value]:
        """Results of a pure function, in the order of the items, as they are asked for; by default in this process.

        For work that is not an integral, such as simulations. Function and items must survive pickling.
        """
        return map(function, items)

    @property
    def parallel(self) -> int:
        """How many pieces of work it does at a time, as far as is known; only predictions depend on it."""
        return 1

    def close(self) -> None:
        """Give back what the executor holds; called once, also after a failure."""
