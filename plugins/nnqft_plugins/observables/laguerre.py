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
    the nodes are made for. A rule of n nodes misses those from 2n on: about the last one squared.
    """
    x, weights = laguerre(len(values))
    # Far nodes weigh so much that the rounding of their values would be all that is seen.
    values = np.where(np.abs(values) > 1e-11 * np.abs(values).max(), values, 0.0)
    coefficients = np.polynomial.laguerre.lagvander(x, len(values) - 1).T @ (weights * values)
    first, last = abs(coefficients[0]), float(np.abs(coefficients[-2:]).max())
    return last**2 / first if first else np.nan
