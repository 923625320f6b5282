"""Share samples among integrals so that their weighted sum meets one target.

Rounds of chunks are decided from estimates and counted costs, never from the clock or the number of workers: the
same request takes the same chunks, with the same seeds, wherever it runs. While the last chunks of a round are
computed, workers that would stand still take chunks that the next round will probably ask for; whether these are
used is decided when their turn comes, as if nothing had been computed ahead.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nnqft import InputError
from nnqft.estimate import Estimate, add_all
from nnqft.interfaces import Outcome, Target, Work
from nnqft_workers.allocation import chunk_size, extended, ideal_shares
from nnqft_workers.devices import Devices
from nnqft_workers.dispatcher import Dispatcher, Item
from nnqft_workers.ledger import Ledger, NoLedger, open_ledger
from nnqft_workers.pool import AbstractPool, Failed
from nnqft_workers.tasks import Chunk, Prepare, Settle, run_task

LEAST = 64
"""Fewest samples an integral may get: with fewer, its error bar is itself too uncertain to quote."""
PILOT = 1024
"""Samples of a first look, of which every integral gets two."""
CHUNK_COST = 5e8
"""Operations in one chunk at most, some 0.3 s."""
MEMORY = 1 << 32
"""Bytes that the covariances of all diagrams may take."""
BUDGET = 10**8
"""Samples after which a target counts as missed, unless `neval` says otherwise."""
_SETTLED = 2048
"""Integrals that travel together to an exact integrator."""
_GROWTH = 8
"""A round may multiply an integral's samples by this at most: a wrong variance is seen before it costs much."""
_MARGIN = 1.05

Progress = Callable[[Mapping[str, Any]], None]


class Key(NamedTuple):
    """A chunk: which integral, which of its chunks, how many samples."""

    integral: int
    number: int
    samples: int


class _OutOfTime(Exception):  # noqa: N818
    """The time limit has passed."""


def schedule(work: Sequence[Work], target: Target, pool: AbstractPool, progress: Progress) -> Outcome:
    """Sample all work on the pool until the target is met, a budget is spent, or the user interrupts.

    Raises
    ------
    InputError
        If the budget cannot give every integral the fewest samples that make an honest error bar.
    LedgerError
        If the ledger cannot be opened.
    """
    with open_ledger(target.keep) as ledger:
        run = _Run(work, target, pool, progress, ledger)
        failure: Exception | None = None
        try:
            converged, reason = run.until_done()
        except KeyboardInterrupt:
            converged, reason = False, "interrupted"
        except _OutOfTime:
            converged = target.only_budget and None not in run.estimates
            reason = f"time limit of {target.time_limit:g} s reached"
        except InputError:
            raise
        except Exception as error:
            converged, reason, failure = False, "failed", error
        finally:
            run.dispatcher.close()
        ledger.finish(converged, reason, run.spent)
    return Outcome(run.estimates, converged, reason, failure, run.notes())


class _Run:
    """One computation: the estimates so far, and what to sample next."""

    def __init__(
        self, work: Sequence[Work], target: Target, pool: AbstractPool, progress: Progress, ledger: Ledger | NoLedger
    ) -> None:
        self.work, self.target, self.progress, self.ledger = work, target, progress, ledger
        self.open = [n for n, w in enumerate(work) if not w.integrator.exact]
        self.sampled = [n for n in self.open if work[n].integral.dim > 0]
        self.budget = _budget(target)
        self.devices = Devices(pool)
        self.dispatcher = Dispatcher(pool, run_task)
        self.estimates: list[Estimate | None] = [None] * len(work)
        self.states: dict[tuple[int, tuple[int, ...]], Any] = {}
        self.planned = dict.fromkeys(self.open, 0)
        self.chunks = dict.fromkeys(self.open, 0)
        self.arrived: dict[Key, Estimate | Failed] = {}
        self.spent = 0
        self.excess = math.inf
        count = max(1, len(self.sampled))
        self.pilot = max(LEAST, min(PILOT, self.budget // (8 * count)))
        self.deadline = time.monotonic() + (math.inf if target.time_limit is None else target.time_limit)

    def until_done(self) -> tuple[bool, str]:
        """Rounds of samples; whether the target was met, and why it stopped."""
        self._check_size(len(self.sampled))
        self._settle()
        self._prepare()
        if not self.open:
            return True, "all integrals are exact"
        # Two looks at each integral, where the budget has room for them.
        looks = 2 if self.budget >= 2 * self.pilot * len(self.sampled) else 1
        plan = list(self._plan(dict.fromkeys(self.sampled, looks * self.pilot), self.planned))
        constants = sorted(set(self.open) - set(self.sampled))
        plan = [Key(n, 0, 1) for n in constants] + plan
        while plan:
            self._sample(plan)
            self.excess, plan = self._next()
            if self.excess <= 1.0:
                return True, "target met"
        return self.target.only_budget, f"budget of {self.budget:,} samples spent"

    def notes(self) -> tuple[str, ...]:
        """What a reader should know of how it ran."""
        lost = [
            f"{count} parcel{'s' * (count > 1)} of work lost and done again: {reason}"
            for reason, count in self.dispatcher.lost.items()
        ]
        return (*self.devices.notes(), *lost)

    def _check_size(self, count: int) -> None:
        """Refuse what cannot be done well before anything is computed."""
        grid = max((len(w.integral.times) for w in self.work), default=1)
        if self.budget < LEAST * count:
            raise InputError(
                f"neval={self.budget} is too few for {count} diagrams, which need {LEAST} samples each;"
                f" write neval={LEAST * count} or more"
            )
        if 8 * count * grid**2 > MEMORY:
            raise InputError(
                f"{grid} times for {count} sampled diagrams: their covariances take"
                f" {8 * count * grid**2 / 2**30:.0f} GiB, more than {MEMORY >> 30}; split the times"
            )

    def _settle(self) -> None:
        """Everything that has an exact integrator."""
        groups: dict[int, list[int]] = {}
        for n, work in enumerate(self.work):
            if not work.integrator.exact:
                continue
            self.estimates[n] = self.ledger.settled(work)
            if self.estimates[n] is None:
                groups.setdefault(id(work.integrator), []).append(n)
        batches = [ns[i : i + _SETTLED] for ns in groups.values() for i in range(0, len(ns), _SETTLED)]
        items = [Item(b, self._settle_task(ns), 1e9) for b, ns in enumerate(batches)]
        for results in self._results(items):
            settled = [pair for batch, found in results for pair in zip(batches[batch], found, strict=True)]
            for n, estimate in settled:
                self.estimates[n] = estimate
            self.ledger.add_settled((self.work[n], estimate) for n, estimate in settled)

    def _settle_task(self, ns: Sequence[int]) -> Settle:
        work = [self.work[n] for n in ns]
        more = f" or one of the {len(work) - 1} after it" if len(work) > 1 else ""
        return Settle(work[0].integrator, [w.integral for w in work], work[0].label + more)

    def _prepare(self) -> None:
        """The map of each integral; equal integrals share one."""
        first: dict[tuple[int, tuple[int, ...]], Work] = {}
        for n in self.open:
            first.setdefault(self._map_of(self.work[n]), self.work[n])
        self.progress({"samples": 0, "expected": None, "error": math.inf})
        items = []
        for key, work in first.items():
            found, state = self.ledger.state(work, self.target.seed)
            if found:
                self.states[key] = state
            else:
                items.append(Item(key, Prepare(work, self.target.seed), 1e4 * work.integral.cost))
        for states in self._results(items):
            self.states.update(states)
            self.ledger.add_states((first[key], self.target.seed, state) for key, state in states)

    def _results(self, items: list[Item]) -> Iterator[list[tuple[Any, Any]]]:
        """Keys and results, as they come; an error that one raised is raised here."""
        for results in self.dispatcher.stream(items):
            for _, result in results:
                if isinstance(result, Failed):
                    raise result.error
            yield [(item.key, result) for item, result in results]
            self._look_at_the_clock()

    @staticmethod
    def _map_of(work: Work) -> tuple[int, tuple[int, ...]]:
        return id(work.integrator), work.map_key

    def _look_at_the_clock(self) -> None:
        if time.monotonic() > self.deadline:
            raise _OutOfTime

    def _sample(self, plan: list[Key]) -> None:
        """One round of chunks, each merged when all before it of its integral are there."""
        waiting: dict[int, deque[Key]] = {}
        for key in plan:
            waiting.setdefault(key.integral, deque()).append(key)
            self.planned[key.integral] += key.samples
            self.chunks[key.integral] += 1
        expected = self.spent + sum(key.samples for key in plan)
        missing = [key for key in plan if key not in self.arrived]
        known = self.ledger.recall(missing, self._chunk)
        self.arrived |= known
        for queue in waiting.values():
            self._merge(queue, expected)
        items = [self._item(key) for key in missing if key not in known]
        failed = False
        for results in self.dispatcher.stream(items, self._guess()):
            self.arrived |= {item.key: result for item, result in results}
            self.ledger.add((item.content, result) for item, result in results if not isinstance(result, Failed))
            for n in {item.key.integral for item, _ in results}:
                self._merge(waiting.get(n, deque()), expected)
            failed = failed or any(isinstance(result, Failed) for _, result in results)
            if failed:
                self._raise_first(plan, waiting)
            self._look_at_the_clock()
        self._raise_first(plan, waiting)

    def _merge(self, waiting: deque[Key], expected: int) -> None:
        """Results in the order of the chunks, so that the sums have the same bits wherever these ran."""
        while waiting and isinstance(result := self.arrived.get(waiting[0]), Estimate):
            key = waiting.popleft()
            del self.arrived[key]
            before = self.estimates[key.integral]
            self.estimates[key.integral] = result if before is None else before.merge(result)
            self.spent += result.samples
            self.progress({"samples": self.spent, "expected": expected, "error": self.excess})

    def _raise_first(self, plan: list[Key], waiting: Mapping[int, deque[Key]]) -> None:
        """Raise the first error of the plan when all before it is there: the same one wherever the chunks ran."""
        left = {key for queue in waiting.values() for key in queue}
        for key in (key for key in plan if key in left):
            result = self.arrived.get(key)
            if isinstance(result, Failed):
                raise result.error
            if result is None:
                return

    def _chunk(self, key: Key) -> Chunk:
        work = self.work[key.integral]
        integrator = self.devices.integrator(work, self.devices.of(work, key.samples, self._largest(key.integral)))
        return Chunk(work, integrator, self.states[self._map_of(work)], key.samples, key.number, self.target.seed)

    def _item(self, key: Key) -> Item:
        work = self.work[key.integral]
        device = self.devices.of(work, key.samples, self._largest(key.integral))
        return Item(key, self._chunk(key), key.samples * work.integral.cost, device)

    def _largest(self, n: int) -> int:
        """Samples in one chunk of an integral on a processor core."""
        return max(LEAST, int(CHUNK_COST / self.work[n].integral.cost))

    def _plan(self, wanted: Mapping[int, float], planned: Mapping[int, int]) -> Iterator[Key]:
        """Chunks that bring each integral to about so many samples, the largest demands first."""
        for n in sorted(wanted, key=lambda n: planned[n] - wanted[n]):
            have, number = planned[n], self.chunks[n]
            largest = self.devices.largest(self.work[n], self._largest(n))
            while True:
                size = chunk_size(have, self.pilot, largest)
                if have + size / 2 > wanted[n]:
                    break
                yield Key(n, number, size)
                have, number = have + size, number + 1

    def _guess(self) -> Iterator[Item]:
        """Chunks that the next round will ask for if this one ends as it looks now."""
        if any(self.estimates[n] is None for n in self.sampled):
            return
        _, plan = self._next(self.planned)
        for key in plan:
            if key not in self.arrived and self.devices.of(self.work[key.integral], key.samples, 1 << 62) == "cpu":
                yield self._item(key)

    def _next(self, have: Mapping[int, int] | None = None) -> tuple[float, list[Key]]:
        """Largest error over tolerance, and the next round's chunks; `have` counts samples still on their way."""
        now = [e.scaled(w.weight) for w, e in zip(self.work, self.estimates, strict=True) if e is not None]
        total = add_all(now)
        variance = np.diagonal(total.cov)
        bound = self.target.tolerance(total.mean)
        excess = math.inf if self.target.only_budget else _excess(variance, bound)
        if self.target.only_budget:
            bound = np.abs(total.mean)
        scale = np.where(bound > 0, bound, np.sqrt(variance)) ** 2
        scale[scale == 0.0] = 1.0
        left = self.budget - (self.spent if have is None else sum(have.values()))
        if excess <= 1.0 or left < LEAST or not self.sampled:
            return excess, []
        each = [now[n] if len(now) == len(self.work) else None for n in self.sampled]
        spread = np.array([e.variance_per_sample / scale for e in each if e is not None])
        counts = np.array([(self.planned if have is None else have)[n] for n in self.sampled], float)
        if not spread.size or not spread.any():
            return excess, []
        return excess, self._round(spread, counts, left, math.isfinite(excess))

    def _round(self, spread: np.ndarray, have: np.ndarray, left: int, finite: bool) -> list[Key]:
        """Chunks that bring the samples to those of least cost, within the budget."""
        shares = ideal_shares(spread, np.array([self.work[n].integral.cost for n in self.sampled]))
        wanted_variance = _MARGIN * spread if finite else np.full_like(spread, np.inf)
        counts = np.minimum(extended(wanted_variance, shares, have, have.sum() + left), _GROWTH * have)
        planned = dict(zip(self.sampled, have.astype(int).tolist(), strict=True))
        while True:
            wanted = dict(zip(self.sampled, counts.tolist(), strict=True))
            if plan := list(self._plan(wanted, planned)):
                return _within(plan, left)
            # All are within half a chunk of what they should have.
            counts = have + 2 * np.maximum(counts - have, 1.0)


def _budget(target: Target) -> int:
    if target.neval is not None:
        return target.neval
    # A time limit alone shall end a computation that has nothing else to end it.
    return 1 << 60 if target.only_budget else BUDGET


def _within(plan: Iterable[Key], left: int) -> list[Key]:
    """The first chunks of a plan that the budget has room for, the last one cut to what is left."""
    kept: list[Key] = []
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
