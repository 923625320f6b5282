"""Rounds of chunks: which come next, from the estimates so far, counted costs, and nothing else.

A sample may not decide its own weight: where a large variance brings more samples, values that happened to come out
large, with their large variances, are averaged away and small ones are not. So samples come in stages. A stage shares
them by the variances that the stages before it found, and no other way, and its estimate is made of its own samples
alone. The stages before the last one are looks; like the adaptation of a map they are counted in no budget.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from nnqft import Estimate, Target, Work
from nnqft_workers.allocation import chunk_size, ideal_shares, samples_to_reach, sum_of
from nnqft_workers.devices import Devices

LEAST = 512
"""Fewest samples an integral may get: fewer may miss a peak between far times, and the error misses it, too."""
PILOT = 1024
"""Samples of each integral in a first look."""
CHUNK_COST = 5e8
"""Operations in one chunk at most, some 0.3 s."""
BUDGET = 10**8
"""Samples after which a target counts as missed, unless `neval` says otherwise."""
_GROWTH = 8
"""A round may multiply all samples by this at most: a wrong variance is seen before it costs much."""
_AGAIN = 8
_AGAIN_FROM_EQUAL = 4
"""Where so many times the samples of all stages are needed, these were a look; equal shares are sooner not worth it."""
_WASTE = 2.0
"""A stage is given up, too, where its shares need so many times the samples of better ones, what it has included."""
_MARGIN = 1.05
_DOUBT = 2.0
"""What the ratio of error and tolerance is taken for, at least, where the error is not to be trusted."""


class ChunkId(NamedTuple):
    """A chunk: which integral, which of its chunks, how many samples."""

    integral: int
    number: int
    samples: int


class Stage(NamedTuple):
    """What a stage goes by.

    Attributes
    ----------
    shares : (S,) array
        Of the sampled integrals.
    samples : (S,) array
        Of each before this stage.
    squares : (S, M) array
        Variance of one sample at each time as these samples found it, times their number.
    """

    shares: np.ndarray
    samples: np.ndarray
    squares: np.ndarray


class Plan(NamedTuple):
    """What comes next.

    Attributes
    ----------
    excess : float
        Largest error over tolerance.
    chunks : list of ChunkId
        None if the target is met or the budget spent.
    stage : Stage or None
        The stage that begins with these chunks; None if the one before goes on.
    """

    excess: float
    chunks: list[ChunkId]
    stage: Stage | None = None


class Rounds:
    """Plans of chunks for a sum of integrals with one target.

    Attributes
    ----------
    sampled : list
        Numbers of the integrals that have samples to take.
    budget, pilot : int
        Samples of a stage at most; samples of each integral in the first.
    planned, chunks : dict
        Samples and chunks of each integral that plans have asked for.
    stage : Stage
        What this one goes by.
    dropped : set
        Numbers of the integrals that failed, for which no plan asks any more.
    """

    def __init__(self, work: Sequence[Work], target: Target, devices: Devices) -> None:
        self.work, self.target, self.devices = work, target, devices
        self.sampled = [n for n, w in enumerate(work) if not w.integrator.exact and w.integral.dim > 0]
        count = max(1, len(self.sampled))
        self.budget = _budget(target)
        self.pilot = max(LEAST, min(PILOT, self.budget // (2 * _AGAIN_FROM_EQUAL * count)))
        self.planned = dict.fromkeys(range(len(work)), 0)
        self.chunks = dict.fromkeys(range(len(work)), 0)
        self.stage = Stage(np.full(len(self.sampled), 1 / count), np.zeros(len(self.sampled)), np.zeros(1))
        self.dropped: set[int] = set()
        self._before = dict.fromkeys(range(len(work)), 0)
        self._first = self._looks()

    def _looks(self) -> dict[int, int]:
        """Samples of each integral in the first plan: a look, or its part of a budget too small for looks."""
        if self.budget >= _AGAIN_FROM_EQUAL * self.pilot * len(self.sampled):
            return dict.fromkeys(self.sampled, self.pilot)
        each, more = divmod(self.budget, len(self.sampled))
        return {n: each + (place < more) for place, n in enumerate(self.sampled)}

    def first(self, numbers: Iterable[int]) -> list[ChunkId]:
        """The first plan of some integrals: one chunk of each."""
        alive = [n for n in numbers if n not in self.dropped]
        constants = [ChunkId(n, 0, 1) for n in alive if n not in self._first]
        return constants + [ChunkId(n, 0, self._first[n]) for n in alive if n in self._first]

    def drop(self, n: int) -> None:
        """Ask no more for an integral that failed."""
        self.dropped.add(n)
        if n in self.sampled:
            place = self.sampled.index(n)
            self.sampled.pop(place)
            kept = [part if part.shape == (1,) else np.delete(part, place, axis=0) for part in self.stage]
            self.stage = Stage(*kept)

    def take(self, plan: Plan) -> None:
        """Count the chunks of a plan as asked for: it becomes a round, perhaps of a new stage."""
        if plan.stage is not None:
            self.stage, self._before = plan.stage, dict(self.planned)
        for key in plan.chunks:
            self.planned[key.integral] += key.samples
            self.chunks[key.integral] += 1

    @property
    def asked(self) -> int:
        """Samples that the plans of this stage have asked for."""
        return sum(self.planned.values()) - sum(self._before.values())

    def next(self, estimates: Sequence[Estimate | None], spent: int) -> Plan:
        """The next round of chunks, from the estimates of this stage and its samples; `take` makes it count."""
        missing = {n for n, estimate in enumerate(estimates) if estimate is None}
        if missing - self.dropped or len(missing) == len(self.work):
            return Plan(math.inf, [])
        # What failed at once counts as nothing; the sum is said to lack it.
        none = Estimate.exact(np.zeros(len(self.work[0].integral.times)))
        known = [none if e is None else e for e in estimates]
        variances = np.array([w.weight for w in self.work])[:, None] ** 2 * np.array([e.cov.diagonal() for e in known])
        whole = sum_of(self.work, variances, known)
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
        if excess <= 1.0 or self.budget - spent < LEAST or not self.sampled or not variance.any():
            return Plan(excess, [])
        # An error that is not to be trusted counts as this much too large, so that more samples are taken.
        short = doubt & (variance > 0) & (variance < _DOUBT**2 * scale)
        enlarged = np.where(short, _DOUBT**2 * scale / np.where(short, variance, 1.0), 1.0)
        samples = np.array([known[n].samples for n in self.sampled], float)
        found = np.array([known[n].variance_per_sample for n in self.sampled])
        # With all that earlier stages saw.
        stage = Stage(self.stage.shares, self.stage.samples + samples, self.stage.squares + samples[:, None] * found)
        weights = np.array([self.work[n].weight for n in self.sampled])[:, None]
        spread = weights**2 * stage.squares / stage.samples[:, None] / scale * enlarged
        return self._round(stage, spread, spent, excess)

    def largest(self, n: int) -> int:
        """Samples in one chunk of an integral on a processor core."""
        return max(LEAST, int(CHUNK_COST / self.work[n].integral.cost))

    def device(self, key: ChunkId) -> str:
        """The kind of worker that a chunk is for."""
        return self.devices.device_for(self.work[key.integral], key.samples, self.largest(key.integral))

    def _round(self, stage: Stage, spread: np.ndarray, spent: int, excess: float) -> Plan:
        """Chunks that bring the samples to those of least cost, within the budget: of this stage, or of a new one."""
        # A variance of inf stands for "as much as the budget allows". The margin makes up for variances that were
        # estimated a little too small, each of which would cost a round more.
        allowed = _MARGIN * spread if math.isfinite(excess) else np.full_like(spread, np.inf)
        everything = sum(self.planned[n] for n in self.sampled)
        most = _GROWTH * everything
        here = np.array([self.planned[n] - self._before[n] for n in self.sampled], float)
        wanted = samples_to_reach(allowed, self.stage.shares, here, here.sum() + self.budget - spent)
        shares = ideal_shares(spread, np.array([self.work[n].integral.cost for n in self.sampled]))
        waste = float(_price(spread, self.stage.shares) / _price(spread, shares))
        if self._worth_a_stage(float(wanted.sum()), everything, float(here.sum()), waste):
            counts = samples_to_reach(allowed, shares, 0 * here, min(most, self.budget))
            chunks = _within(self._chunks(counts, 0 * here, each=True), self.budget)
            return Plan(excess, chunks, stage._replace(shares=shares))
        counts = samples_to_reach(allowed, self.stage.shares, here, min(most, here.sum() + self.budget - spent))
        while True:
            if chunks := list(self._chunks(counts, here)):
                return Plan(excess, _within(chunks, self.budget - spent))
            # All are within half a chunk of what they should have.
            counts = here + 2 * np.maximum(counts - here, 1.0)

    def _worth_a_stage(self, wanted: float, everything: int, here: float, waste: float) -> bool:
        """Is so much more wanted that shares by all that is known are worth leaving it out of the estimate?

        `waste` is how many times the samples the shares of this stage need.
        """
        equal = not self.stage.samples.any()
        if len(self.sampled) < 2 or (self.target.only_budget and self.target.neval is None and not equal):
            return False  # one integral has no shares; and a clock may end the new stage before it is worth the old one
        many = wanted >= (_AGAIN_FROM_EQUAL if equal else _AGAIN) * everything
        # Seldom: a look that missed what an integral varies by has starved it.
        return many or (not equal and (wanted - here) * waste > _WASTE * wanted)

    def _chunks(self, wanted: np.ndarray, here: np.ndarray, each: bool = False) -> Iterator[ChunkId]:
        """Chunks that bring integrals from so many samples of this stage to about so many, the largest demands first.

        `each`: before that one for each, so that a stage that is cut short has an estimate of everything.
        """
        number = dict(self.chunks)
        had, have = dict(self.planned), dict(zip(self.sampled, here.tolist(), strict=True))
        goal = dict(zip(self.sampled, wanted.tolist(), strict=True))

        def next_chunk(n: int) -> ChunkId:
            size = max(LEAST, chunk_size(had[n], self.pilot, self.devices.largest(self.work[n], self.largest(n))))
            return ChunkId(n, number[n], size)

        def count(key: ChunkId) -> ChunkId:
            number[key.integral] += 1
            had[key.integral] += key.samples
            have[key.integral] += key.samples
            return key

        if each:
            yield from [count(next_chunk(n)) for n in self.sampled]
        for n in sorted(self.sampled, key=lambda n: have[n] - goal[n]):
            # Chunks are whole, as the ledger knows them: the last is taken if at least half of it is wanted.
            while have[n] + (key := next_chunk(n)).samples / 2 <= goal[n]:
                yield count(key)


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


def _price(spread: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Largest variance of the sum that one sample, shared so, would leave; it needs not be positive."""
    return (spread / shares[:, None]).sum(axis=0).max()


def _excess(variance: np.ndarray, bound: np.ndarray) -> float:
    """Largest error over the error allowed; inf where none is allowed, as for a sum of zero under rtol alone."""
    ratios = np.divide(np.sqrt(variance), bound, out=np.full(len(bound), math.inf), where=bound > 0)
    return float(np.where(variance > 0, ratios, 0.0).max(initial=0.0))
