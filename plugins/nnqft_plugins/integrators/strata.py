"""Strata of the unit cube, two samples in each: their differences give an error without bias."""

from __future__ import annotations

import math
from types import ModuleType

from nnqft.rules.parts import Array


def strata_of(neval: int, dim: int) -> list[int]:
    """Strata along each axis, as equal as can be, with no more than neval/2 in all."""
    cubes = max(1, neval // 2)
    strata = [max(1, int(cubes ** (1.0 / dim) + 1e-9))] * dim
    for axis in range(dim):
        grown = [*strata[:axis], strata[axis] + 1, *strata[axis + 1 :]]
        if math.prod(grown) <= cubes:
            strata = grown
    return strata


def peak_of(peak: Array, before: Array, gap: Array, xp: ModuleType) -> Array:
    """Σ d⁴ / Σ d² with one more block of differences d, (n, M), after blocks that had it at `peak` and Σ d² `before`.

    Fourth powers of small values would be 0 in floating point: squares are taken of ratios to the largest d².
    """
    squares = gap**2
    largest = squares.max(axis=0)
    ratios = squares / xp.where(largest > 0, largest, 1.0)
    whole = before + ratios.sum(axis=0) * largest
    scale = xp.where(whole > 0, whole, 1.0)
    return peak * (before / scale) + (ratios**2).sum(axis=0) * largest * (largest / scale)
