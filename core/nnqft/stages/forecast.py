"""What a computation would do and about how long it would take, from its pieces of work and a short timed probe."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nnqft.host import plugin_errors
from nnqft.integrals.estimate import Estimate
from nnqft.interfaces.executor import Target, Work
from nnqft.show.page import Page, Table
from nnqft.stages.jobs import Job, number_ranges

PROBE_SECONDS = 2.0
"""So long is probed at most, beyond the one integral of each kind that is always looked at."""
_LOOK = 1024
"""Samples of a probed integral; executors take at least two such looks at each."""
_SETTLED = 256
"""Exact integrals that are probed together at most."""
_OVERSHOOT = 1.3
"""Chunks are half of what is there, so that the last ones bring more than was wanted."""


@dataclass(frozen=True)
class Share:
    """The integrals of one dimension that one integrator takes, and what they are expected to cost.

    Attributes
    ----------
    integrator : str
    exact : bool
    dim : int
        Number of internal times.
    diagrams, integrals : int
        How many diagrams, and how many integrals are computed for them: equal exact ones once.
    samples, seconds : float
        Predicted; seconds of one worker, adaptation included. Samples are inf where no tolerance can be met.
    """

    integrator: str
    exact: bool
    dim: int
    diagrams: int
    integrals: int
    samples: float = 0.0
    seconds: float = 0.0

    @property
    def row(self) -> tuple[str, ...]:
        """Its cells in the table."""
        samples = "exact" if self.exact or not self.samples else _about(self.samples)
        counts = (str(number) for number in (self.dim, self.diagrams, self.integrals))
        return (self.integrator, *counts, samples, _time(self.seconds))


@dataclass(frozen=True, repr=False)
class Forecast:
    """What would be computed, by whom, and predictions of samples and seconds.

    Attributes
    ----------
    heading : tuple of str
        What was asked for.
    counts : mapping
        (order, width order) → number of diagrams.
    shares : tuple of Share
    notes : tuple of str
        Why preferred integrators were passed over, and what the prediction leaves out.
    executor : str
    workers : int
        Pieces of work done at a time.
    prepared : float
        Seconds that generating diagrams and setting up integrals took now, and will take again.
    probed : int
        Integrals that were evaluated to predict the rest.
    limit : float or None
        The time limit that was asked for.
    """

    heading: tuple[str, ...]
    counts: Mapping[tuple[int, int], int]
    shares: tuple[Share, ...]
    notes: tuple[str, ...] = ()
    executor: str = "local"
    workers: int = 1
    prepared: float = 0.0
    probed: int = 0
    limit: float | None = None

    @property
    def samples(self) -> float:
        """Predicted, over all integrals; inf where the tolerance is zero."""
        return sum(share.samples for share in self.shares)

    @property
    def seconds(self) -> float:
        """Predicted, by the clock, from start to end; workers share the work evenly."""
        work = sum(share.seconds for share in self.shares) / self.workers
        return self.prepared + (work if self.limit is None else min(work, self.limit))

    def table(self) -> str:
        """The forecast as plain text."""
        counts = [(str(n), str(k), str(count)) for (n, k), count in self.counts.items()]
        total = ("sum", "", str(sum(self.counts.values())))
        rows = [each.row for each in self.shares]
        blocks = (
            []
            if not rows
            else [
                Table(("order", "width order", "diagrams"), counts, total),
                Table(("integrator", "dimension", "diagrams", "integrals", "samples", "seconds"), rows, left=1),
            ]
        )
        return Page(("dry run: nothing was computed", *self.heading), blocks, self.notes, self._last).text()

    @property
    def _last(self) -> str:
        if not self.shares:
            return f"about {_time(self.seconds)} s (predicted from short runs; right within a factor of about 3)"
        probe = f"predicted from a probe of {self.probed} integral{'s' * (self.probed != 1)}"
        workers = f"{self.workers} worker{'s' * (self.workers > 1)}"
        count = "exact" if not self.samples else f"about {_about(self.samples)} samples"
        where = f"on {self.executor} with {workers}"
        return f"{count}, about {_time(self.seconds)} s {where} ({probe}; right within a factor of about 3)"

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        return (
            f"Forecast({sum(self.counts.values())} diagrams: {_about(self.samples)} samples, {_time(self.seconds)} s)"
        )


def _about(number: float) -> str:
    return f"{number:.1e}" if math.isfinite(number) and number >= 1e5 else f"{number:,.0f}"


def _time(seconds: float) -> str:
    return f"{seconds:.2g}" if seconds < 100 else f"{seconds:,.0f}"


@dataclass
class _Kind:
    """Pieces of work of one integrator and dimension, and what a probe of some of them has shown.

    Attributes
    ----------
    mean, spread : (T,) arrays
        Of one piece on average: its part of the sum, and the deviation of one sample of that part.
    once, each : float
        Seconds that a piece takes to settle or adapt, and that a sample takes.
    """

    work: list[Work]
    diagrams: int
    mean: np.ndarray
    spread: np.ndarray
    probed: int = 0
    once: float = 0.0
    each: float = 0.0

    @property
    def maps(self) -> int:
        """Adaptations: equal integrals share one."""
        return len({work.state_words for work in self.work})

    def look(self, estimates: Sequence[tuple[Work, Estimate]], once: float, each: float) -> None:
        """Learn from estimates of further pieces."""
        have, more = self.probed, len(estimates)
        mean = np.mean([work.weight * estimate.mean for work, estimate in estimates], axis=0)
        spread = np.mean(
            [abs(work.weight) * np.sqrt(estimate.variance_per_sample) for work, estimate in estimates], axis=0
        )
        self.mean = (have * self.mean + more * mean) / (have + more)
        self.spread = (have * self.spread + more * spread) / (have + more)
        self.once, self.each = (
            (have * a + more * b) / (have + more) for a, b in ((self.once, once), (self.each, each))
        )
        self.probed += more


def predict(job: Job, target: Target) -> tuple[tuple[Share, ...], int]:
    """Who takes how many integrals of which dimension, samples and seconds that they will take, integrals probed."""
    kinds = _kinds_of(job)
    deadline = time.monotonic() + PROBE_SECONDS
    rounds = max((len(kind.work) for kind in kinds), default=0)
    for turn in range(rounds):
        for kind in kinds:
            if turn and time.monotonic() > deadline:
                return _shares(kinds, target), sum(kind.probed for kind in kinds)
            _probe(kind, target.seed)
    return _shares(kinds, target), sum(kind.probed for kind in kinds)


def _kinds_of(job: Job) -> list[_Kind]:
    groups: dict[tuple[str, int], list[int]] = {}
    for n, work in enumerate(job.work):
        groups.setdefault((work.integrator.name, work.integral.dim), []).append(n)
    count = np.bincount(job.which, minlength=len(job.work))
    # Neighbours are alike; a shuffled order makes every first few a fair sample.
    rng = np.random.default_rng(0)
    kinds = []
    for _, numbers in sorted(groups.items()):
        times = len(job.work[numbers[0]].integral.times)
        shuffled = [job.work[n] for n in rng.permutation(numbers)]
        kinds.append(_Kind(shuffled, int(count[numbers].sum()), np.zeros(times), np.zeros(times)))
    return kinds


def _probe(kind: _Kind, seed: int) -> None:
    """Compute the next few pieces: many at once if they are exact, else one with few samples."""
    integrator, first = kind.work[0].integrator, kind.probed
    chosen = kind.work[first : first + (_SETTLED if integrator.exact else 1)]
    if not chosen:
        return
    began = time.perf_counter()
    with plugin_errors(f"integrator {integrator.name!r}"):
        if integrator.exact:
            values, _ = integrator.settle([work.integral for work in chosen])
            pairs = list(zip(chosen, map(Estimate.exact, values), strict=True))
            kind.look(pairs, (time.perf_counter() - began) / len(chosen), 0.0)
            return
        (work,) = chosen
        state = integrator.prepare(work.integral, np.random.SeedSequence((seed, *work.state_words)))
        adapted = time.perf_counter()
        estimate = integrator.sample(work.integral, state, _LOOK, np.random.SeedSequence((seed, *work.seed_words)))
    each = (time.perf_counter() - adapted) / max(1, estimate.samples)
    kind.look([(work, estimate)], adapted - began, each)


def _shares(kinds: Sequence[_Kind], target: Target) -> tuple[Share, ...]:
    """Samples as executors share them: in proportion to the deviation of one over the root of its cost."""
    sampled = [kind for kind in kinds if kind.spread.any()]
    counts = dict.fromkeys(map(id, kinds), 0.0)
    for kind, wanted in zip(sampled, _wanted(kinds, sampled, target), strict=True):
        counts[id(kind)] = float(wanted)
    shares = []
    for kind in kinds:
        first, samples = kind.work[0], counts[id(kind)]
        name, exact = first.integrator.name, first.integrator.exact
        once = kind.once * (len(kind.work) if exact else kind.maps)
        seconds = once + (kind.each * samples if samples else 0.0)
        shares.append(Share(name, exact, first.integral.dim, kind.diagrams, len(kind.work), samples, seconds))
    return tuple(shares)


def _wanted(kinds: Sequence[_Kind], sampled: Sequence[_Kind], target: Target) -> np.ndarray:
    """Samples of each sampled kind until the target is met or the budget spent."""
    if not sampled:
        return np.zeros(0)
    pieces = np.array([len(kind.work) for kind in sampled])[:, None]
    spread = np.array([kind.spread for kind in sampled])
    root = np.sqrt([kind.each or 1e-9 for kind in sampled])[:, None]
    total = sum(len(kind.work) * kind.mean for kind in kinds)
    with np.errstate(divide="ignore", invalid="ignore"):
        # At each time: n_i ∝ σ_i/√c_i with Σ σ_i²/n_i equal to the square of the error allowed.
        needed = pieces * spread / root * (pieces * spread * root).sum(axis=0)
        if not target.only_budget:
            needed = np.nan_to_num(needed / target.tolerance(np.asarray(total)) ** 2, nan=0.0, posinf=math.inf)
    worst = needed[:, int(np.argmax(needed.sum(axis=0)))]
    least = 2.0 * _LOOK * pieces[:, 0]
    if target.only_budget:
        budget = float(target.neval or math.inf)
        return worst / worst.sum() * budget
    counts = np.maximum(least, _OVERSHOOT * worst)
    return counts if target.neval is None or counts.sum() <= target.neval else counts / counts.sum() * target.neval


def reasons_of(job: Job) -> tuple[str, ...]:
    """Why preferred integrators do not take some of the diagrams."""
    found = []
    for why, numbers in job.passed_over.items():
        count = f"{len(numbers)} diagram{'s' * (len(numbers) > 1)}"
        found.append(f"{count} ({number_ranges(numbers)}) left to another integrator; {why}")
    return tuple(found)
