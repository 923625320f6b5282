"""Strata of the unit cube, two samples in each: their differences give the error."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

_ROUNDING = 1e-12
"""Relative error of the map's own grid, which vegas renormalises to about 1e-13."""
_DOUBT = 2.0
"""Parts of 1/(strata that bring the variance) by which it is taken larger."""


def strata_of(neval: int, dim: int) -> list[int]:
    """Strata along each axis, as equal as can be, with no more than neval/2 in all."""
    cubes = max(1, neval // 2)
    strata = [max(1, int(cubes ** (1.0 / dim) + 1e-9))] * dim
    for axis in range(dim):
        grown = [*strata[:axis], strata[axis] + 1, *strata[axis + 1 :]]
        if math.prod(grown) <= cubes:
            strata = grown
    return strata


def with_fourth_powers(fourth: Any, largest: Any, gaps: Any, xp: Any = np) -> tuple[Any, Any]:
    """Add the fourth powers of (n, M) numbers to sums over those before, in units of the largest, both (M,).

    In units of their own, as the fourth power of a number that is small is 0.
    """
    most = xp.maximum(largest, xp.abs(gaps).max(axis=0))
    unit = xp.where(most > 0, most, 1.0)
    squares = (gaps / unit) ** 2
    return fourth * (largest / unit) ** 4 + (squares * squares).sum(axis=0), most


def covariance(
    mean: np.ndarray, products: np.ndarray, fourth: np.ndarray, largest: np.ndarray, pairs: int
) -> np.ndarray:
    """(M, M) covariance of the mean over so many strata, from sums over half the differences d of the two samples.

    Σ d dᵀ alone has no bias, and yet is too small to be an error where few strata bring most of it: samples without
    the large values come out too low together with their errors. So variances grow by a part 2 Σd⁴ / (Σd²)², two over
    the number of strata that bring them, as that of Student's distribution does.

    Parameters
    ----------
    mean : (M,) array
    products : (M, M) array
        Σ d dᵀ.
    fourth, largest : (M,) arrays
        Σ d⁴, in units of the largest |d|, and that: see `with_fourth_powers`.
    pairs
        The number of strata.
    """
    unit = np.where(largest > 0, largest, 1.0)
    squares = (products.diagonal() / unit / unit) ** 2
    growth = np.sqrt(1 + _DOUBT * np.divide(fourth, squares, out=np.zeros_like(fourth), where=squares > 0))
    cov = products / pairs**2 * np.multiply.outer(growth, growth)
    # Where the forest removes all variance, rounding is what is left.
    cov[np.diag_indices_from(cov)] += (_ROUNDING * mean) ** 2
    return cov
