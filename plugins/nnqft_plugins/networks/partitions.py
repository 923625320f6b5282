"""Set partitions: of legs into cumulants, of units into those that are equal."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache


@cache
def partitions(items: tuple[int, ...]) -> tuple[tuple[tuple[int, ...], ...], ...]:
    """All ways to put items into blocks."""
    return tuple(_partitions(items))


def _partitions(items: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], ...]]:
    if not items:
        yield ()
        return
    first, *rest = items
    for smaller in _partitions(tuple(rest)):
        yield ((first,), *smaller)
        for n, block in enumerate(smaller):
            yield (*smaller[:n], (first, *block), *smaller[n + 1 :])
