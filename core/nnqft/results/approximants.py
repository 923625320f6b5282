"""Padé approximants of a series, from its coefficients as plain arrays."""

from __future__ import annotations

import math

import numpy as np


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
