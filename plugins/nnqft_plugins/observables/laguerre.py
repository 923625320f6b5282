"""Integrals over lags from 0 to ∞ of what decays, by a Gauss–Laguerre rule, and what the rule leaves out."""

from __future__ import annotations

import numpy as np


def laguerre(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes x and weights w with ∫_0^∞ f dx ≈ Σ w f(x)."""
    x, w = np.polynomial.laguerre.laggauss(count)
    return x, w * np.exp(x)


def quadrature_error(values: np.ndarray) -> float:
    """What the rule leaves out of the integral of f, from the last coefficients of f e^x in Laguerre polynomials.

    They fall geometrically where f is a sum of exponentials times polynomials, and vanish for one of the rate that
    the nodes are made for. A rule of n nodes misses those from 2n on: about the last one squared. What far nodes lack
    in digits is magnified by e^x: then a tail is better counted as an error as a whole, wherever that is less.
    """
    count = len(values)
    x, weights = laguerre(count)
    # Far nodes weigh so much that the rounding of their values would be all that is seen.
    values = np.where(np.abs(values) > 1e-11 * np.abs(values).max(), values, 0.0)
    parts = weights * values
    polynomials = np.polynomial.laguerre.lagvander(x, count - 1)
    errors = []
    for kept in range(count // 2, count + 1):
        coefficients = polynomials[:kept].T @ parts[:kept]
        first, last = abs(coefficients[0]), float(np.abs(coefficients[-2:]).max())
        errors.append(last**2 / first + abs(float(parts[kept:].sum())) if first else np.nan)
    return float(np.min(errors))
