"""What a series' coefficients, as plain arrays, say: its singularity, Padé values, and what errors make of them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np


def singularity_of(n: np.ndarray, known: np.ndarray, cut: int) -> tuple[float, float]:
    """g_c and the exponent from coefficients whose ratios are those of orders n, without the last `cut` of them."""
    with np.errstate(all="ignore"):
        ratios = (known[1:] / known[:-1])[: len(n) - cut]
        inverse = _limit(n[: len(ratios)], ratios)
        slopes = n[: len(ratios)] * (ratios / inverse - 1)
        if not np.isfinite(slopes).all():
            return math.inf, math.nan
        return 1 / inverse, 1 + _limit(n[: len(ratios)], slopes, terms=2)


def pade_of(known: np.ndarray, bottom: int, g: float) -> tuple[float, float]:
    """The approximant's value at g, nan if there is none, and its pole between 0 and g, 0 if there is none."""
    from scipy.interpolate import pade  # slow to import

    try:
        above, below = pade(known, bottom)
    except np.linalg.LinAlgError:
        return math.nan, 0.0
    roots = below.roots
    real = roots.real[(np.abs(roots.imag) < 1e-9 * np.abs(roots)) & (roots.real * g > 0) & (np.abs(roots) <= abs(g))]
    # A pole on a zero of the numerator is none: spare degrees make such pairs.
    size = [np.polyval(np.abs(above.coefficients), abs(r)) for r in real]
    poles = [float(r) for r, most in zip(real, size, strict=True) if abs(above(r)) > 1e-6 * most]
    with np.errstate(all="ignore"):
        return float(above(g) / below(g)), min(poles, key=abs, default=0.0)


def noise_of(function: Callable[[np.ndarray], float], known: np.ndarray, errors: np.ndarray) -> float:
    """What independent errors of the coefficients make of a function of them: the larger change of either sign each."""
    value, squares = function(known), 0.0
    for n in np.flatnonzero(errors):
        step = np.where(np.arange(len(known)) == n, errors, 0.0)
        squares += max(abs(function(known + step) - value), abs(function(known - step) - value)) ** 2
    return math.sqrt(squares) if math.isfinite(squares) else math.inf


def _limit(n: np.ndarray, values: np.ndarray, terms: int = 3) -> float:
    """Value at n → ∞ of a polynomial in 1/n through the last points."""
    last = min(terms + 1, len(n))
    return float(np.polyfit(1 / n[-last:], values[-last:], last - 1)[-1])
