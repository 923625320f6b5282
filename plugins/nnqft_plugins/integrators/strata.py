"""Strata of the unit cube, two samples in each: their differences give an error without bias."""

from __future__ import annotations

import math


def strata_of(neval: int, dim: int) -> list[int]:
    """Strata along each axis, as equal as can be, with no more than neval/2 in all."""
    cubes = max(1, neval // 2)
    strata = [max(1, int(cubes ** (1.0 / dim) + 1e-9))] * dim
    for axis in range(dim):
        grown = [*strata[:axis], strata[axis] + 1, *strata[axis + 1 :]]
        if math.prod(grown) <= cubes:
            strata = grown
    return strata
