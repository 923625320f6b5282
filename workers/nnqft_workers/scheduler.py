"""Share samples among integrals so that their weighted sum meets one target.

Everything is decided from estimates and sample counts, never from the clock or the number of workers: the same
request takes the same chunks, with the same seeds, wherever it runs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnqft import AbstractIntegrator, InputError, NnqftError, PluginError, TimeIntegral, WorkError
from nnqft.errors import one_line, short
from nnqft.estimate import Estimate, add_all
from nnqft.interfaces import Outcome, Target, Work
from nnqft_workers.pool import AbstractPool

LEAST = 64
"""Fewest samples an integral may get: with fewer, its error bar is itself too uncertain to quote."""
PILOT = 2048
CHUNK = 1 << 15
"""Samples of a first look, and the most in one chunk (less for large grids of times)."""
MEMORY = 1 << 32
"""Bytes that the covariances of all diagrams may take."""
_GRID_VALUES = 1 << 20
"""Values of an integrand, samples × times, that a chunk may hold in memory at once."""
BUDGET = 10**8
"""Samples after which a target counts as missed, unless `neval` says otherwise."""
_SETTLED = 2048
"""Integrals that travel together to an exact integrator."""
_GROWTH = 4
"""A round may multiply the samples by this at most, so that an early wrong variance is seen before it costs much."""

Progress = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class Prepare:
    """Learn the state of one integral."""

    work: Work
    seed: int

    def run(self) -> Any:
        """The integrator's state."""
        entropy = (self.seed, *self.work.map_key)
        return self.work.integrator.prepare(self.work.integral, np.random.SeedSequence(entropy))

    @property
    def label(self) -> str:
        """What an error message calls it."""
        return self.work.label


@dataclass(frozen=True)
class Chunk:
    """Sample one integral once. Its seed is (request, diagram, chunk number), and nothing else."""

    work: Work
    state: Any
    samples: int
    number: int
    seed: int

    def run(self) -> Estimate:
        """An estimate independent of every other chunk."""
        entropy = (self.seed, *self.work.key, self.number)
        seed = np.random.SeedSequence(entropy)
        estimate = self.work.integrator.sample(self.work.integral, self.state, self.samples, seed)
        _check_estimate(self.work, estimate, self.samples)
        return estimate

    @property
    def label(self) -> str:
        """What an error message calls it."""
        return self.work.label


@dataclass(frozen=True)
class Settle:
    """Compute many integrals exactly."""

    integrator: AbstractIntegrator
    integrals: Sequence[TimeIntegral]
    label: str

    def run(self) -> tuple[np.ndarray, np.ndarray, float]:
        """Values and rounding bounds, (n, M) each, and the processor seconds of one integral."""
        began = time.process_time()
        values, bounds = self.integrator.settle(self.integrals)
        wanted = len(self.integrals), len(self.integrals[0].times)
        for name, table in (("values", values), ("bounds", bounds)):
            if np.shape(table) != wanted or not np.isfinite(table).all():
                who = f"integrator {self.integrator.name!r}"
                raise PluginError(f"{who} settled {name} of shape {np.shape(table)} or not finite; wanted {wanted}")
        return values, bounds, (time.process_time() - began) / len(self.integrals)


def _check_estimate(work: Work, estimate: Estimate, samples: int) -> None:
    """Refuse what a stranger's integrator must not hand back."""
    times = len(work.integral.times)
    who = f"integrator {work.integrator.name!r}"
    if not isinstance(estimate, Estimate):
        raise PluginError(f"{who} returned {short(estimate)}, wanted an Estimate")
    if estimate.mean.shape != (times,) or estimate.cov.shape != (times, times):
        raise PluginError(f"{who} returned shapes {estimate.mean.shape} and {estimate.cov.shape} for {times} times")
    if not (np.isfinite(estimate.mean).all() and np.isfinite(estimate.cov).all()):
        raise PluginError(f"{who} returned an estimate that is not finite")
    if (np.diagonal(estimate.cov) < 0).any() or not 0 <= estimate.samples <= max(samples, 1):
        raise PluginError(f"{who} returned a negative variance or {estimate.samples} samples, asked for {samples}")


def run_task(task: Prepare | Chunk | Settle) -> Any:
    """What a pool runs.

    Raises
    ------
    WorkError
        Instead of whatever a stranger's code raised: that may not survive the way back from a worker.
    """
    try:
        return task.run()
    except Exception as error:
        cause = str(error) if isinstance(error, NnqftError) else f"{type(error).__name__}: {error}"
        raise WorkError(f"{task.label}: {one_line(cause)}") from None


def schedule(work: Sequence[Work], target: Target, pool: AbstractPool, progress: Progress) -> Outcome:
    """Sample all work on the pool until the target is met, the budget is spent, or the user interrupts.

    Raises
    ------
    InputError
        If the budget cannot give every integral the fewest samples that make an honest error bar.
    """
    run = _Run(work, target, pool, progress)
    try:
        converged, reason = run.until_done()
    except KeyboardInterrupt:
        return Outcome(run.estimates, False, "interrupted")
    except InputError:
        raise
    except Exception as error:
        return Outcome(run.estimates, False, "failed", failure=error)
    return Outcome(run.estimates, converged, reason)


def _excess(variance: np.ndarray, bound: np.ndarray) -> float:
    """Largest error over the error allowed; inf where none is allowed, as for a sum of zero under rtol alone."""
    ratios = np.divide(np.sqrt(variance), bound, out=np.full(len(bound), math.inf), where=bound > 0)
    return float(np.where(variance > 0, ratios, 0.0).max(initial=0.0))


class _Run:
    """One computation: the estimates so far, and what to sample next."""

    def __init__(self, work: Sequence[Work], target: Target, pool: AbstractPool, progress: Progress) -> None:
        self.work, self.target, self.pool, self.progress = work, target, pool, progress
        self.open = [n for n, w in enumerate(work) if not w.integrator.exact]
        self.sampled = [n for n in self.open if work[n].integral.dim > 0]
        self.budget = BUDGET if target.neval is None else target.neval
        self.grid = max((len(w.integral.times) for w in work), default=1)
        self.largest = max(LEAST, min(CHUNK, _GRID_VALUES // self.grid))
        self.estimates: list[Estimate | None] = [None] * len(work)
        self.states: dict[tuple[int, tuple[int, ...]], Any] = {}
        self.spent = 0

    def until_done(self) -> tuple[bool, str]:
        """Rounds of samples; whether the target was met, and why it stopped."""
        count = len(self.sampled)
        self._check_size(count)
        self._settle()
        self._prepare()
        pilot = max(LEAST, min(PILOT, self.largest, self.budget // (4 * max(1, count))))
        if not self.open:
            return True, "all integrals are exact"
        shares = dict.fromkeys(self.open, 1) | dict.fromkeys(self.sampled, pilot)
        excess = math.inf
        while shares:
            self._sample(shares, excess)
            excess, shares = self._allocate()
            if excess <= 1.0:
                return True, "target met"
        only_budget = self.target.rtol is None and self.target.atol is None
        return only_budget, f"budget of {self.budget:,} samples spent"

    def _check_size(self, count: int) -> None:
        """Refuse what cannot be done well before anything is computed."""
        if self.budget < LEAST * count:
            raise InputError(
                f"neval={self.budget} is too few for {count} diagrams, which need {LEAST} samples each;"
                f" write neval={LEAST * count} or more"
            )
        if 8 * count * self.grid**2 > MEMORY:
            raise InputError(
                f"{self.grid} times for {count} sampled diagrams: their covariances take"
                f" {8 * count * self.grid**2 / 2**30:.0f} GiB, more than {MEMORY >> 30}; split the times"
            )

    def _settle(self) -> None:
        """Everything that has an exact integrator."""
        groups: dict[int, list[int]] = {}
        for n, work in enumerate(self.work):
            if work.integrator.exact:
                groups.setdefault(id(work.integrator), []).append(n)
        batches = [ns[i : i + _SETTLED] for ns in groups.values() for i in range(0, len(ns), _SETTLED)]
        tasks = [self._settle_task([self.work[n] for n in ns]) for ns in batches]
        for ns, (values, bounds, seconds) in zip(batches, self.pool.map(run_task, tasks), strict=True):
            for n, value, bound in zip(ns, values, bounds, strict=True):
                self.estimates[n] = Estimate.exact(value, seconds, bound)

    @staticmethod
    def _settle_task(work: Sequence[Work]) -> Settle:
        more = f" or one of the {len(work) - 1} after it" if len(work) > 1 else ""
        return Settle(work[0].integrator, [w.integral for w in work], work[0].label + more)

    def _prepare(self) -> None:
        tasks = {self._map_of(self.work[n]): Prepare(self.work[n], self.target.seed) for n in self.open}
        self.progress({"samples": 0, "expected": None, "error": math.inf})
        for key, state in zip(tasks, self.pool.map(run_task, list(tasks.values())), strict=True):
            self.states[key] = state

    @staticmethod
    def _map_of(work: Work) -> tuple[int, tuple[int, ...]]:
        return id(work.integrator), work.map_key

    def _sample(self, shares: Mapping[int, int], excess: float) -> None:
        """One round: `shares` samples of each integral, in chunks."""
        chunks = [chunk for n, samples in shares.items() for chunk in self._chunks(n, samples)]
        expected = self.spent + sum(chunk.samples for _, chunk in chunks)
        results = self.pool.map(run_task, [chunk for _, chunk in chunks])
        for (n, _), estimate in zip(chunks, results, strict=True):
            # Results come in chunk order, so the sums have the same bits wherever the chunks ran.
            before = self.estimates[n]
            self.estimates[n] = estimate if before is None else before.merge(estimate)
            self.spent += estimate.samples
            self.progress({"samples": self.spent, "expected": expected, "error": excess})

    def _chunks(self, n: int, samples: int) -> Iterator[tuple[int, Chunk]]:
        pieces = math.ceil(samples / self.largest)
        work, before = self.work[n], self.estimates[n]
        first = 0 if before is None else before.chunks
        for piece in range(pieces):
            share = samples * (piece + 1) // pieces - samples * piece // pieces
            yield n, Chunk(work, self.states[self._map_of(work)], share, first + piece, self.target.seed)

    def _allocate(self) -> tuple[float, dict[int, int]]:
        """Largest error over tolerance, and how many samples each integral gets next.

        For a sum of independent integrals the cheapest way to an error is to sample each in proportion to its
        weight times its standard deviation per sample (Neyman, J. R. Stat. Soc. 97, 558 (1934)).
        """
        now = [e.scaled(w.weight) for w, e in zip(self.work, self.estimates, strict=True) if e is not None]
        total = add_all(now)
        variance = np.diagonal(total.cov)
        bound = self.target.tolerance(total.mean)
        missed = variance > np.maximum(bound, 0.0) ** 2
        only_budget = self.target.rtol is None and self.target.atol is None
        if only_budget:
            bound = np.abs(total.mean)
        scale = np.where(bound > 0, bound, np.sqrt(variance)) ** 2
        scale[scale == 0.0] = 1.0
        excess = math.inf if only_budget else _excess(variance, bound)
        left = self.budget - self.spent
        if excess <= 1.0 or left < LEAST or not self.sampled:
            return excess, {}
        wanted = missed if missed.any() else np.ones_like(missed)
        need = np.array([(now[n].variance_per_sample / scale)[wanted].sum() for n in self.sampled])
        return excess, self._shares(np.sqrt(need), int(wanted.sum()), left, math.inf if only_budget else excess)

    def _shares(self, deviation: np.ndarray, times: int, left: int, excess: float) -> dict[int, int]:
        """Samples for the next round, so that the shares approach the ideal ones."""
        have = np.array([e.samples for n in self.sampled if (e := self.estimates[n]) is not None], dtype=float)
        if deviation.sum() == 0.0:
            return {}
        ideal = deviation / deviation.sum()
        # The variance of the sum over N samples, ideally shared, is (Σ deviation)²/N.
        needed = 1.1 * deviation.sum() ** 2 / times if math.isfinite(excess) else math.inf
        size = min(max(needed, have.sum() * 1.25), have.sum() * _GROWTH, have.sum() + left)
        extra = np.maximum(ideal * size - have, 0.0)
        extra *= min(1.0, left / extra.sum()) if extra.sum() > 0 else 0.0
        shares = {n: int(share) for n, share in zip(self.sampled, extra, strict=True) if share >= LEAST}
        if not shares and left >= LEAST:
            shares = {self.sampled[int(deviation.argmax())]: min(left, self.largest)}
        return shares
