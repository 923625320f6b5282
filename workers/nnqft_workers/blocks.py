"""Work in blocks, small ones first, so that a time limit that passes leaves the lowest orders finished."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from nnqft import Work

_SETTLED = 2048
_SETTLED_COST = 1e7
"""Exact integrals that travel together, and their operations: for each product of the exponentials on their lines, and
for each state, whose number each dimension doubles up to some.
"""
_DOUBLINGS = 8
_FIRST = 8
"""Integrals in the first block."""


def exact_batches(work: Sequence[Work], numbers: Sequence[int]) -> Iterator[list[int]]:
    """Numbers of exact integrals that travel together: few where each takes long, so that a time limit costs little."""
    batch: list[int] = []
    held, most = 0.0, _FIRST
    for n in numbers:
        integral = work[n].integral
        names = [line.propagator for line in integral.lines] + [branch.propagator for branch in integral.branches]
        products = math.prod(max(1, len(integral.propagators[name].terms)) for name in names)
        # Not its cost as a sampled one, for which the placement of its points would have to be found.
        each = 10.0 * (1 + integral.dim) + 4.0 * len(integral.times) * (2 + len(integral.lines))
        cost = each * products * 2.0 ** min(integral.dim, _DOUBLINGS)
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
