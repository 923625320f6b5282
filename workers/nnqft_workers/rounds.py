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
_DOUBT = 2.0
"""What the ratio of error and tolerance is taken for, at least, where the error is not to be trusted."""


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
    """

    def __init__(self, work: Sequence[Work], target: Target, devices: Devices) -> None:
        self.work, self.target, self.devices = work, target, devices
        self.sampled = [n for n, w in enumerate(work) if not w.integrator.exact and w.integral.dim > 0]
        self.budget = _budget(target)
        self.pilot = max(LEAST, min(PILOT, self.budget // (8 * max(1, len(self.sampled)))))
        self.planned = dict.fromkeys(range(len(work)), 0)
        self.chunks = dict.fromkeys(range(len(work)), 0)

    def first(self) -> list[ChunkId]:
        """What has no samples to take, then two looks at each integral, where the budget has room for them."""
        looks = 2 if self.budget >= 2 * self.pilot * len(self.sampled) else 1
        sampled = set(self.sampled)
        constants = [ChunkId(n, 0, 1) for n, w in enumerate(self.work) if not w.integrator.exact and n not in sampled]
        return constants + list(self._chunks(dict.fromkeys(self.sampled, looks * self.pilot)))

    def take(self, plan: Iterable[ChunkId]) -> None:
        """Count the chunks of a plan as asked for: it becomes a round."""
        for key in plan:
            self.planned[key.integral] += key.samples
            self.chunks[key.integral] += 1

    def next(self, estimates: Sequence[Estimate | None], spent: int) -> tuple[float, list[ChunkId]]:
        """Largest error over tolerance, and the next round of chunks: none if the target is met or the budget spent."""
        known = [e for e in estimates if e is not None]
        if len(known) < len(self.work):
            return math.inf, []
        variances = np.array([w.weight for w in self.work])[:, None] ** 2 * np.array([e.cov.diagonal() for e in known])
        whole = _sum_of(self.work, variances, known)
        total, variance = whole.mean, whole.cov.diagonal()
        bound = self.target.tolerance(total)
        # Without a target the shares are those of the best relative error, and the budget alone ends it.
        excess = math.inf if self.target.only_budget else _excess(variance, bound)
        doubt = ~whole.trusted
        if doubt.any() and excess <= 1.0:
            excess = _DOUBT
        if self.target.only_budget:
            bound = np.abs(total)
        # Where no error is allowed (a sum of zero under rtol alone) the error itself is the unit, so that all times
        # count alike; where there is no error either, any unit does.
        scale = np.where(bound > 0, bound, np.sqrt(variance)) ** 2
        scale[scale == 0.0] = 1.0
        # An error that is not to be trusted counts as this much too large, so that more samples are taken.
        short = doubt & (variance > 0) & (variance < _DOUBT**2 * scale)
        enlarged = np.where(short, _DOUBT**2 * scale / np.where(short, variance, 1.0), 1.0)
        samples = np.array([e.samples for e in known], float)[:, None]
        spread = (variances * samples / scale * enlarged)[self.sampled]
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


def _sum_of(work: Sequence[Work], variances: np.ndarray, estimates: Sequence[Estimate]) -> Estimate:
    """The sum of the estimates with their weights, (D, M) variances included, without covariances between times."""
    weights = np.array([w.weight for w in work])[:, None]
    # Sums along an axis, not matrix products: the bits of those depend on how many threads share them.
    variance = variances.sum(axis=0)
    # As in the sum of a result: parts count by the variance that they bring.
    samples = sum(e.samples for e in estimates)
    ratios = np.array([e.samples / e.effective for e in estimates])
    shares = np.divide(variances, variance, out=np.zeros_like(variances), where=variance > 0)
    size = (np.abs(weights) * np.array([np.broadcast_to(e.size, len(e.mean)) for e in estimates])).sum(axis=0)
    return Estimate(
        mean=(weights * np.array([e.mean for e in estimates])).sum(axis=0),
        cov=np.diag(variance),
        samples=samples,
        chunks=sum(e.chunks for e in estimates),
        chi2_sum=sum(e.chi2_sum for e in estimates),
        dof=sum(e.dof for e in estimates),
        size=size,
        square=(ratios * shares).sum(axis=0) * size**2 / max(1, samples),
    )


def _excess(variance: np.ndarray, bound: np.ndarray) -> float:
    """Largest error over the error allowed; inf where none is allowed, as for a sum of zero under rtol alone."""
    ratios = np.divide(np.sqrt(variance), bound, out=np.full(len(bound), math.inf), where=bound > 0)
    return float(np.where(variance > 0, ratios, 0.0).max(initial=0.0))
