"""What an executor brings to the scheduler: a way to run pure functions somewhere."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

_IN_FLIGHT = 4
"""Batches handed out ahead for each worker: enough to hide latency, few enough not to pile up anywhere."""


class AbstractPool(ABC):
    """Runs a function on every item, on however many workers."""

    workers: int

    @abstractmethod
    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        """Results in the order of the items, as they become ready. An exception of the function is raised here."""

    def close(self) -> None:
        """Stop the workers."""


def run_batch(function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    """The function on several small items that travel together."""
    return [function(item) for item in items]


def in_order(
    items: Sequence[Any],
    workers: int,
    submit: Callable[[Sequence[Any]], Any],
    fetch: Callable[[Any], list[Any]],
    cancel: Callable[[Any], Any],
) -> Iterator[Any]:
    """Submit batches of items, a few ahead of each worker, and yield their results in order; cancel what is left over.

    A batch is small enough to keep all workers busy to the end, and holds at most 16 items.
    """
    size = max(1, min(16, len(items) // (8 * workers)))
    waiting = deque(items[n : n + size] for n in range(0, len(items), size))
    flying: deque[Any] = deque()
    try:
        while waiting or flying:
            while waiting and len(flying) < _IN_FLIGHT * workers:
                flying.append(submit(waiting.popleft()))
            yield from fetch(flying.popleft())
    finally:
        for each in flying:
            cancel(each)
