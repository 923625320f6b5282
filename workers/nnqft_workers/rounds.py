"""Rounds of chunks: which come next, from the estimates so far, counted costs, and nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from nnqft import Estimate, Target, Work
from nnqft_workers.allocation import chunk_size, ideal_shares, samples_to_reach
from nnqft_workers.devices import Devices

LEAST = 64
"""Fewest samples an integral may get: with fewer, its error bar is itself too uncertain to quote."""
PILOT = 1024
"""Samples of a first look, of which every integral gets two."""
CHUNK_COST = 5e8
"""Operations in one chunk at most, some 0.3 s."""
BUDGET = 10**8
"""Samples after which a target counts as missed, unless `neval` says otherwise."""
_GROWTH = 8
"""A round may multiply an integral's samples by this at most: a wrong variance is seen before it costs much."""
_MARGIN = 1.05


_SETTLED = 2048
_SETTLED_COST = 1e7
"""Exact integrals that travel together, and their operations: for each product of the exponentials on their lines, and
for each state, whose number each dimension doubles up to some.
"""
_DOUBLINGS = 8
_FIRST = 8
"""Integrals in the first block."""


class ChunkId(NamedTuple):
    """A chunk: which integral, which of its chunks, how many samples."""

    integral: int
    number: int
    samples: int


class Rounds:
    """Plans of chunks for a sum of integrals with one target.

    Attributes
    ----------
    sampled : list
        Numbers of the integrals that have samples to take.
    budget, pilot : int
        Samples in all at most; samples of a first look.
    planned, chunks : dict
        Samples and chunks of each integral that plans have asked for.
    dropped : set
        Numbers of the integrals that failed, for which no plan asks any more.
    """

    def __init__(self, work: Sequence[Work], target: Target, devices: Devices) -> None:
        self.work, self.target, self.devices = work, target, devices
        self.sampled = [n for n, w in enumerate(work) if not w.integrator.exact and w.integral.dim > 0]
        self.budget = _budget(target)
        self.pilot = max(LEAST, min(PILOT, self.budget // (8 * max(1, len(self.sampled)))))
        self.planned = dict.fromkeys(range(len(work)), 0)
        self.chunks = dict.fromkeys(range(len(work)), 0)
        self.dropped: set[int] = set()
        self._looks = 2 if self.budget >= 2 * self.pilot * len(self.sampled) else 1

    def first(self, numbers: Iterable[int]) -> list[ChunkId]:
        """The first plan of some integrals: one chunk of what has no samples to take, else as many looks as fit."""
        alive = [n for n in numbers if n not in self.dropped]
        constants = [ChunkId(n, 0, 1) for n in alive if not self.work[n].integral.dim]
        looks = {n: self._looks * self.pilot for n in alive if self.work[n].integral.dim}
        return constants + list(self._chunks(looks))

    def drop(self, n: int) -> None:
        """Ask no more for an integral that failed."""
        self.dropped.add(n)
        self.sampled = [m for m in self.sampled if m != n]

    def take(self, plan: Iterable[ChunkId]) -> None:
        """Count the chunks of a plan as asked for: it becomes a round."""
        for key in plan:
            self.planned[key.integral] += key.samples
            self.chunks[key.integral] += 1

    def next(self, estimates: Sequence[Estimate | None], spent: int) -> tuple[float, list[ChunkId]]:
        """Largest error over tolerance, and the next round of chunks: none if the target is met or the budget spent."""
        missing = {n for n, estimate in enumerate(estimates) if estimate is None}
        if missing - self.dropped or len(missing) == len(self.work):
            return math.inf, []
        # What failed at once counts as nothing; the sum is said to lack it.
        none = Estimate.exact(np.zeros(len(self.work[0].integral.times)))
        known = [none if e is None else e for e in estimates]
        weights = np.array([w.weight for w in self.work])[:, None]
        # Sums along an axis, not matrix products: the bits of those depend on how many threads share them.
        total = (weights * np.array([e.mean for e in known])).sum(axis=0)
        variances = weights**2 * np.array([e.cov.diagonal() for e in known])
        variance = variances.sum(axis=0)
        bound = self.target.tolerance(total)
        # Without a target the shares are those of the best relative error, and the budget alone ends it.
        excess = math.inf if self.target.only_budget else _excess(variance, bound)
        if self.target.only_budget:
            bound = np.abs(total)
        # Where no error is allowed (a sum of zero under rtol alone) the error itself is the unit, so that all times
        # count alike; where there is no error either, any unit does.
        scale = np.where(bound > 0, bound, np.sqrt(variance)) ** 2
        scale[scale == 0.0] = 1.0
        spread = (variances * np.array([e.samples for e in known], float)[:, None] / scale)[self.sampled]
        if excess <= 1.0 or self.budget - spent < LEAST or not spread.any():
            return excess, []
        return excess, self._round(spread, self.budget - spent, math.isfinite(excess))

    def largest(self, n: int) -> int:
        """Samples in one chunk of an integral on a processor core."""
        return max(LEAST, int(CHUNK_COST / self.work[n].integral.cost))

    def device(self, key: ChunkId) -> str:
        """The kind of worker that a chunk is for."""
        return self.devices.device_for(self.work[key.integral], key.samples, self.largest(key.integral))

    def _round(self, spread: np.ndarray, left: int, finite: bool) -> list[ChunkId]:
        """Chunks that bring the samples to those of least cost, within the budget."""
        have = np.array([self.planned[n] for n in self.sampled], float)
        shares = ideal_shares(spread, np.array([self.work[n].integral.cost for n in self.sampled]))
        # A variance of inf stands for "as much as the budget allows". The margin makes up for variances that were
        # estimated a little too small, each of which would cost a round more.
        allowed = _MARGIN * spread if finite else np.full_like(spread, np.inf)
        counts = np.minimum(samples_to_reach(allowed, shares, have, have.sum() + left), _GROWTH * have)
        while True:
            if plan := list(self._chunks(dict(zip(self.sampled, counts.tolist(), strict=True)))):
                return _within(plan, left)
            # All are within half a chunk of what they should have.
            counts = have + 2 * np.maximum(counts - have, 1.0)

    def _chunks(self, wanted: Mapping[int, float]) -> Iterator[ChunkId]:
        """Chunks that bring each integral to about so many samples, the largest demands first."""
        for n in sorted(wanted, key=lambda n: self.planned[n] - wanted[n]):
            have, number = self.planned[n], self.chunks[n]
            largest = self.devices.largest(self.work[n], self.largest(n))
            while True:
                size = chunk_size(have, self.pilot, largest)
                # Chunks are whole, as the ledger knows them: the last is taken if at least half of it is wanted.
                if have + size / 2 > wanted[n]:
                    break
                yield ChunkId(n, number, size)
                have, number = have + size, number + 1


def exact_batches(work: Sequence[Work], numbers: Sequence[int]) -> Iterator[list[int]]:
    """Numbers of exact integrals that travel together: few where each takes long, so that a time limit costs little."""
    batch: list[int] = []
    held, most = 0.0, _FIRST
    for n in numbers:
        integral = work[n].integral
        names = [line.propagator for line in integral.lines] + [branch.propagator for branch in integral.branches]
        products = math.prod(max(1, len(integral.propagators[name].terms)) for name in names)
        cost = integral.cost * products * 2.0 ** min(integral.dim, _DOUBLINGS)
        if batch and (held + cost > _SETTLED_COST or len(batch) >= most):
            yield batch
            batch, held, most = [], 0.0, _SETTLED
        batch.append(n)
        held += cost
    if batch:
        yield batch


def growing_blocks(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    """Blocks of numbers in a row, each twice as long as the one before."""
    start, size = 0, _FIRST
    while start < len(numbers):
        yield numbers[start : start + size]
        start, size = start + size, 2 * size


def _budget(target: Target) -> int:
    if target.neval is not None:
        return target.neval
    # A time limit alone shall end a computation that has nothing else to end it.
    return 1 << 60 if target.only_budget else BUDGET


def _within(plan: Iterable[ChunkId], left: int) -> list[ChunkId]:
    """The first chunks of a plan that the budget has room for, the last one cut to what is left."""
    kept: list[ChunkId] = []
    for key in plan:
        if key.samples > left:
            if left >= LEAST:
                kept.append(key._replace(samples=left))
            break
        kept.append(key)
        left -= key.samples
    return kept


def _excess(variance: np.ndarray, bound: np.ndarray) -> float:
    """Largest error over the error allowed; inf where none is allowed, as for a sum of zero under rtol alone."""
    ratios = np.divide(np.sqrt(variance), bound, out=np.full(len(bound), math.inf), where=bound > 0)
    return float(np.where(variance > 0, ratios, 0.0).max(initial=0.0))
