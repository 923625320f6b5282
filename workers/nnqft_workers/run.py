"""One computation on a pool: the estimates so far, and what to sample next."""

from __future__ import annotations

import contextlib
import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from nnqft import Estimate, InputError, Target, Work, WorkError
from nnqft.errors import DiagramError, PointError
from nnqft.show.watch import no_time_limit, tick
from nnqft_workers.blocks import exact_batches, growing_blocks
from nnqft_workers.devices import Devices
from nnqft_workers.dispatcher import Dispatcher, Item
from nnqft_workers.ledger import AbstractLedger
from nnqft_workers.pool import AbstractPool, Failed
from nnqft_workers.rounds import LEAST, ChunkId, Plan, Rounds
from nnqft_workers.tasks import Chunk, Prepare, Settle, run_task

MEMORY = 1 << 33
"""Bytes that covariances over the times may take, all together."""
_HELD, _BESIDE = 2.5, 1 << 27
"""Matrices for each diagram, as those of a stage are kept until the next is whole; bytes for the samples of a chunk."""
Progress = Callable[[Mapping[str, Any]], None]


class Run:
    """One computation: the estimates so far, and what to sample next."""

    def __init__(
        self, work: Sequence[Work], target: Target, pool: AbstractPool, progress: Progress, ledger: AbstractLedger
    ) -> None:
        self.work, self.target, self.progress, self.ledger = work, target, progress, ledger
        self.devices = Devices(pool)
        self.rounds = Rounds(work, target, self.devices)
        self.dispatcher = Dispatcher(pool, run_task)
        self.estimates: list[Estimate | None] = [None] * len(work)
        self.last_stage: list[Estimate | None] = []
        self.states: dict[tuple[int, tuple[int, ...]], Any] = {}
        self.arrived: dict[ChunkId, Estimate | Failed] = {}
        self.spent = 0
        self.looked = 0
        self.excess = math.inf
        self.failed: dict[int, Exception] = {}

    def until_done(self) -> tuple[bool, str]:
        """Sample round after round; whether the target was met, and why it stopped, are returned."""
        self._check_size(len(self.rounds.sampled))
        self._settle()
        left = [n for n, work in enumerate(self.work) if not work.integrator.exact]
        if not left:
            return True, "all integrals are exact"
        # Block by block, the lowest orders first: where time runs out, these are there.
        for number, block in enumerate(growing_blocks(left)):
            with contextlib.nullcontext() if number else no_time_limit():
                self._prepare(block)
                self._sample(Plan(math.inf, self.rounds.first(block)))
            self._check_alive(block)
        while True:
            plan = self.rounds.next(self.estimates, self.spent - self.looked)
            self.excess = plan.excess
            if self.excess <= 1.0:
                return True, "target met"
            if not plan.chunks:
                break
            if plan.stage is not None:
                self._begin_stage()
            self._sample(plan)
        if not self.target.only_budget and self.rounds.budget - (self.spent - self.looked) >= LEAST:
            return False, "no more samples would help"
        return self.target.only_budget, f"budget of {self.rounds.budget:,} samples spent"

    def first_failure(self) -> WorkError:
        """What to raise for the integrals that failed while others went on."""
        more = len(self.failed) - 1
        others = f" (and {more} more diagram{'s' * (more > 1)} failed like this)" if more else ""
        return WorkError(f"{self.failed[min(self.failed)]}{others}")

    def _drop(self, n: int, error: Exception) -> None:
        """Go on without an integral that failed; what was sampled of it before is no number of it."""
        self.failed[n], self.estimates[n] = error, None
        self.rounds.drop(n)

    def _check_alive(self, block: Sequence[int]) -> None:
        """End where all of a block failed, and not for want of luck with its points: so will all that follow."""
        if all(n in self.failed and not isinstance(self.failed[n], PointError) for n in block):
            raise self.first_failure()

    def best(self) -> list[Estimate | None]:
        """Estimates from one stage: the last that has something of everything, unless there is more of the one before.

        Which it is goes by numbers of samples, never by the estimates, which would pick the small ones with them.
        """
        last = [None if n in self.failed else each for n, each in enumerate(self.last_stage)]
        complete = all(e is not None or n in self.failed for n, e in enumerate(self.estimates))
        return self.estimates if not last or (complete and _samples(self.estimates) >= _samples(last)) else last

    def _begin_stage(self) -> None:
        """What was sampled so far was a look; what has nothing to sample stays."""
        sampled = set(self.rounds.sampled)
        self.last_stage, self.looked = self.estimates, self.spent
        self.estimates = [None if n in sampled else each for n, each in enumerate(self.estimates)]

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
        if self.rounds.budget < LEAST * count:
            raise InputError(
                f"neval={self.rounds.budget} is too few for {count} diagrams, which need {LEAST} samples each;"
                f" write neval={LEAST * count} or more"
            )
        needed = _HELD * count * 8 * grid**2 + _BESIDE
        if needed > MEMORY:
            most = int(grid * max((MEMORY - _BESIDE) / (needed - _BESIDE), 0.0) ** 0.5)
            raise InputError(
                f"{grid} times for {count} sampled diagrams: their covariances take {needed / 2**30:.1f} GiB, more than"
                f" {MEMORY / 2**30:.1f}; split the times, {most} at once"
            )

    def _settle(self) -> None:
        """Compute every integral that has an exact integrator, or take it from the ledger."""
        groups: dict[int, list[int]] = {}
        for n, work in enumerate(self.work):
            if not work.integrator.exact:
                continue
            self.estimates[n] = self.ledger.settled(work)
            if self.estimates[n] is None:
                groups.setdefault(id(work.integrator), []).append(n)
        batches = [batch for ns in groups.values() for batch in exact_batches(self.work, ns)]
        items = [Item(b, self._settle_task(ns), 1e9) for b, ns in enumerate(batches)]
        self._report("settling exact integrals", "exact integrals", 0, sum(map(len, batches)))
        with no_time_limit():
            self._settle_batches(batches, items[:1])
        self._settle_batches(batches, items[1:])

    def _settle_batches(self, batches: Sequence[list[int]], items: list[Item]) -> None:
        expected = sum(map(len, batches))
        for results in self._results(items):
            for batch, estimates in results:
                if isinstance(estimates, Failed):
                    raise WorkError(str(estimates.error))
                settled = []
                for n, estimate in zip(batches[batch], estimates, strict=True):
                    if isinstance(estimate, Failed):
                        self._drop(n, estimate.error)
                    else:
                        self.estimates[n] = estimate
                        settled.append((self.work[n], estimate))
                self.ledger.add_settled(settled)
            done = sum(estimate is not None for estimate in self.estimates)
            self._report("settling exact integrals", "exact integrals", min(done, expected), expected)

    def _settle_task(self, ns: Sequence[int]) -> Settle:
        work = [self.work[n] for n in ns]
        return Settle(work[0].integrator, [w.integral for w in work], [w.label for w in work])

    def _prepare(self, block: Sequence[int]) -> None:
        """Learn the map of each integral, or take it from the ledger; equal integrals share one."""
        first: dict[tuple[int, tuple[int, ...]], Work] = {}
        for n in block:
            if (key := self._map_of(self.work[n])) not in self.states:
                first.setdefault(key, self.work[n])
        items = []
        for key, work in first.items():
            known, state = self.ledger.state(work, self.target.seed)
            if known:
                self.states[key] = state
            else:
                items.append(Item(key, Prepare(work, self.target.seed), 1e4 * work.integral.cost))
        done = 0
        self._report("adapting maps", "maps", done, len(items))
        for results in self._results(items):
            done += len(results)
            self._report("adapting maps", "maps", done, len(items))
            self.states.update(results)
            learnt = [(key, state) for key, state in results if not isinstance(state, Failed)]
            self.ledger.add_states((first[key], self.target.seed, state) for key, state in learnt)
        for n in block:
            state = self.states[self._map_of(self.work[n])]
            if isinstance(state, Failed):
                kind, words = type(state.error), str(state.error).partition(": ")[2]
                self._drop(n, kind(f"{self.work[n].label}: {words}"))

    def _report(self, stage: str, things: str, done: int, expected: int) -> None:
        """Progress before there are samples; nothing is said of a stage that has nothing to do."""
        if expected:
            state = {"samples": done, "expected": expected, "error": math.inf}
            self.progress({**state, "stage": stage, "things": things})

    def _results(self, items: list[Item]) -> Iterator[list[tuple[Any, Any]]]:
        """Pairs of key and result, a list at a time as they come; errors are raised here unless of single diagrams."""
        for results in self.dispatcher.stream(items):
            for _, result in results:
                if isinstance(result, Failed) and not isinstance(result.error, DiagramError):
                    raise result.error
            yield [(item.key, result) for item, result in results]
            tick()

    @staticmethod
    def _map_of(work: Work) -> tuple[int, tuple[int, ...]]:
        return id(work.integrator), work.state_words

    def _sample(self, round_: Plan) -> None:
        """One round of chunks, each merged when all before it of its integral are there."""
        plan = round_.chunks
        waiting: dict[int, deque[ChunkId]] = {}
        for key in plan:
            waiting.setdefault(key.integral, deque()).append(key)
        self.rounds.take(round_)
        expected = self.spent + sum(key.samples for key in plan)
        # Some have come in already, computed ahead on a guess; others a ledger holds from before.
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
            # An error is raised only when all chunks before it are there: which error it is does not depend on which
            # worker was faster.
            failed = failed or any(isinstance(result, Failed) for _, result in results)
            if failed:
                self._raise_first(plan, waiting)
            tick()
        self._raise_first(plan, waiting)

    def _merge(self, waiting: deque[ChunkId], expected: int) -> None:
        """Results in the order of the chunks, so that the sums have the same bits wherever these ran."""
        while waiting and isinstance(result := self.arrived.get(waiting[0]), Estimate):
            key = waiting.popleft()
            del self.arrived[key]
            before = self.estimates[key.integral]
            self.estimates[key.integral] = result if before is None else before.merge(result)
            self.spent += result.samples
            self.progress({"samples": self.spent, "expected": expected, "error": self.excess})
        result = self.arrived.get(waiting[0]) if waiting else None
        if isinstance(result, Failed) and isinstance(result.error, DiagramError):
            self._drop(waiting[0].integral, result.error)
            waiting.clear()  # what comes after it is not used, wherever it ran

    def _raise_first(self, plan: list[ChunkId], waiting: Mapping[int, deque[ChunkId]]) -> None:
        """Raise the first error of the plan when all before it is there: the same one wherever the chunks ran."""
        left = {key for queue in waiting.values() for key in queue}
        for key in (key for key in plan if key in left):
            result = self.arrived.get(key)
            if isinstance(result, Failed):
                raise result.error
            if result is None:
                return

    def _chunk(self, key: ChunkId) -> Chunk:
        work = self.work[key.integral]
        integrator = self.devices.integrator(work, self.rounds.device(key))
        return Chunk(work, integrator, self.states[self._map_of(work)], key.samples, key.number, self.target.seed)

    def _item(self, key: ChunkId) -> Item:
        return Item(key, self._chunk(key), key.samples * self.work[key.integral].integral.cost, self.rounds.device(key))

    def _guess(self) -> Iterator[Item]:
        """Chunks for cores that the next round will ask for if this one ends as it looks now, one by one."""
        # Asked once, when the first worker would stand still: the round's own samples count as spent, the estimates are
        # those so far. A wrong guess costs time in which workers would have done nothing.
        for key in self.rounds.next(self.estimates, self.rounds.asked).chunks:
            if key not in self.arrived and self.rounds.device(key) == "cpu":
                yield self._item(key)


def _samples(estimates: Sequence[Estimate | None]) -> int:
    return sum(each.samples for each in estimates if each is not None)
