"""Keep a pool's workers busy: parcels of the right size, few in flight, and what is lost is sent again."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing import parent_process
from typing import Any, NamedTuple

from nnqft import ExecutorError
from nnqft_workers.pool import AbstractPool, Failed, Lost, Parcel

PARCEL_COST = 5e7
"""Operations that travel together at most, about 0.03 s: small items would spend their time on the road."""
PARCEL_ITEMS = 64
MAX_LOSSES = 6
"""A parcel that is lost so often, with its items sent one by one, kills its workers itself."""
TICK = 0.25
"""Seconds after which a waiting caller hears that nothing has happened."""


class Item(NamedTuple):
    """One piece of work.

    `key` tells it from others, `cost` is counted in operations, `device` the kind of worker it is for.
    """

    key: Any
    content: Any
    cost: float = 1.0
    device: str = "cpu"


@dataclass
class _Queue:
    """Items that wait, and what they cost together."""

    items: deque[Item] = field(default_factory=deque)
    cost: float = 0.0

    def append(self, item: Item) -> None:
        self.items.append(item)
        self.cost += item.cost

    def take(self, most: float) -> tuple[Item, ...]:
        """The next items, as many as may travel together."""
        taken = [self.items.popleft()]
        cost = taken[0].cost
        while self.items and len(taken) < PARCEL_ITEMS and cost + self.items[0].cost <= most:
            taken.append(self.items.popleft())
            cost += taken[-1].cost
        self.cost -= cost
        return tuple(taken)


@dataclass(frozen=True)
class _Flight:
    parcel: Parcel
    items: tuple[Item, ...]
    losses: int = 0


class Dispatcher:
    """Runs one function on items, on a pool.

    What is lost with a worker, a node or its memory is sent again, first together, then item by item, so that an
    item that kills its workers is found out and named.
    """

    def __init__(self, pool: AbstractPool, function: Callable[[Any], Any]) -> None:
        self._pool, self._function = pool, function
        self._flying: dict[int, _Flight] = {}
        self._load: Counter[str] = Counter()
        self._number = 0
        self.lost: Counter[str] = Counter()

    def stream(self, items: Iterable[Item], spare: Iterable[Item] = ()) -> Iterator[list[tuple[Item, Any]]]:
        """Results as they come, a list at a time, empty when nothing has happened for a while.

        Items go out in their order. Those of `spare` are taken only where a worker would stand idle. It ends when
        all of `items` are done; what then is still in flight comes with the results of the next call.

        Raises
        ------
        ExecutorError
            If an item's workers die each time.
        """
        # An item may be in flight already, sent as a spare one of an earlier call.
        flying = {item.key for flight in self._flying.values() for item in flight.items}
        queues: dict[str, _Queue] = {}
        spare = iter(spare)
        wanted = set()
        for item in items:
            wanted.add(item.key)
            if item.key not in flying:
                queues.setdefault(item.device, _Queue()).append(item)
        while wanted:
            if _is_orphan():
                raise KeyboardInterrupt  # nobody hears of the result, and whoever wanted the end said so to the parent
            self._fill(queues, spare)
            results = [pair for parcel, results in self._pool.collect(TICK) for pair in self._received(parcel, results)]
            wanted.difference_update(item.key for item, _ in results)
            yield results

    def close(self) -> None:
        """Drop what is in flight; its results are never handed over."""
        self._flying.clear()
        self._load.clear()
        self._pool.forget()

    def _fill(self, queues: dict[str, _Queue], spare: Iterator[Item]) -> None:
        for wanted, queue in queues.items():
            device = self._place(wanted)
            # A cluster may have lost its last worker of a kind for a while: one parcel then waits for it.
            slots = max(1, self._pool.slots(device))
            while queue.items and self._load[device] < self._pool.ahead * slots:
                # Small enough to keep all workers busy to the end: what a stranger's kernel costs is not counted.
                self._send(queue.take(min(PARCEL_COST, queue.cost / (4 * slots))))
        if self._pool.idles and not any(queue.items for queue in queues.values()):
            while self._load["cpu"] < self._pool.slots("cpu") and (item := next(spare, None)) is not None:
                self._send((item,))

    def _place(self, device: str) -> str:
        """Where the last GPU has left, a core does its work, with the same integrator."""
        return device if self._pool.slots(device) else "cpu"

    def _send(self, items: tuple[Item, ...], losses: int = 0) -> None:
        self._number += 1
        device = self._place(items[0].device)
        label = getattr(items[0].content, "label", "work")
        contents = [item.content for item in items]
        parcel = Parcel(self._number, self._function, contents, device, label)
        self._flying[parcel.number] = _Flight(parcel, items, losses)
        self._load[parcel.device] += 1
        self._pool.submit(parcel)

    def _received(self, parcel: Parcel, results: list[Any] | Lost) -> Iterator[tuple[Item, Any]]:
        flight = self._flying.pop(parcel.number, None)
        if flight is None:
            return  # of a computation that has ended
        self._load[parcel.device] -= 1
        if not isinstance(results, Lost):
            yield from zip(flight.items, results, strict=True)
            return
        self.lost[results.reason] += 1
        losses = flight.losses + results.blame
        if losses >= MAX_LOSSES and len(flight.items) == 1:
            times = f"{losses} times" if losses > 1 else "once"
            raise ExecutorError(f"{parcel.label}: its worker died {times}: {results.reason}")
        together = losses < MAX_LOSSES // 2
        for items in [flight.items] if together else [(item,) for item in flight.items]:
            self._send(items, losses)


def _is_orphan() -> bool:
    """Whether this is a child of Python's multiprocessing, one of a pool, say, and its parent has died."""
    parent = parent_process()
    return parent is not None and not parent.is_alive()


def map_in_order(pool: AbstractPool, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
    """Results of the function in the order of the items, as they become ready; its exception is raised here."""
    dispatcher = Dispatcher(pool, function)
    ready: dict[int, Any] = {}
    following = 0
    try:
        for results in dispatcher.stream(Item(n, item, PARCEL_COST) for n, item in enumerate(items)):
            ready |= {item.key: result for item, result in results}
            while following in ready:
                result = ready.pop(following)
                if isinstance(result, Failed):
                    raise result.error
                yield result
                following += 1
    finally:
        dispatcher.close()
