"""⟨φ(x) φ(y)⟩ of two Gaussians of one variance as a function of their correlation ρ: what it is asked, and formulas."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from functools import cached_property

import numpy as np
from numpy.polynomial.polynomial import polyval

_TILE = 64
"""Variances, of whose pairs are handled as many at once as fit into a cache."""
_LEAST_SHARE = 1e-17
"""Of a power of ρ."""


class Kernel(ABC):
    """⟨φ(x) φ(y)⟩ of two Gaussians of one variance, as a function of their correlation coefficient ρ.

    Attributes
    ----------
    variance, square, error : float
        v, ⟨φ²⟩, and a bound of the numerical error relative to it.
    """

    variance: float
    square: float
    error: float
    edges: np.ndarray
    """Of the panels in θ = arccos ρ between which it is smooth."""

    @abstractmethod
    def __call__(self, rho: np.ndarray) -> np.ndarray:
        """⟨φφ⟩ at each ρ."""

    @abstractmethod
    def slope(self, rho: np.ndarray) -> np.ndarray:
        """d⟨φφ⟩/dρ = v ⟨φ'φ'⟩ at each ρ."""

    @abstractmethod
    def above(self, rho: np.ndarray) -> np.ndarray:
        """∫_ρ^1 ⟨φφ⟩ dρ."""


def overlap(b: np.ndarray, rho: np.ndarray) -> np.ndarray:
    """⟨f(x_t) f(x_s)⟩ for all pairs from b of shape (T, orders) and the correlation coefficients ρ of shape (T, T).

    ρ is symmetric. Orders whose ρ^r is below rounding in a whole tile are left out there.
    """
    total = np.empty_like(rho)
    for low in range(0, len(rho), _TILE):
        for start in range(0, low + 1, _TILE):
            rows, columns = slice(low, low + _TILE), slice(start, start + _TILE)
            correlation, first, second = rho[rows, columns], b[rows], b[columns]
            part, largest = np.zeros_like(correlation), float(np.abs(correlation).max())
            orders = b.shape[1]
            if largest < 1.0:
                orders = min(orders, 2 + math.ceil(math.log(_LEAST_SHARE) / math.log(max(largest, 1e-8))))
            for r in range(orders - 1, -1, -1):
                part *= correlation
                part += first[:, r, None] * second[:, r]
            total[rows, columns], total[columns, rows] = part, part.T
    return total


class Series(Kernel):
    """By the coefficients of the Hermite series, in powers of ρ."""

    def __init__(self, variance: float, coefficients: np.ndarray, error: float) -> None:
        self.variance, self.coefficients, self.error = variance, coefficients, error
        self.square, self.edges = float(coefficients.sum()), np.array([0.0, math.pi / 2])

    @cached_property
    def _slope(self) -> np.ndarray:
        return (
            self.coefficients[1:] * np.arange(1, len(self.coefficients)) if len(self.coefficients) > 1 else np.zeros(1)
        )

    @cached_property
    def _integral(self) -> np.ndarray:
        return np.concatenate([[0.0], self.coefficients / np.arange(1, len(self.coefficients) + 1)])

    def __call__(self, rho: np.ndarray) -> np.ndarray:
        """⟨φφ⟩ at each ρ."""
        return polyval(rho, self.coefficients)

    def slope(self, rho: np.ndarray) -> np.ndarray:
        """d⟨φφ⟩/dρ at each ρ."""
        return polyval(rho, self._slope)

    def above(self, rho: np.ndarray) -> np.ndarray:
        """∫_ρ^1 ⟨φφ⟩ dρ."""
        return polyval(1.0, self._integral) - polyval(rho, self._integral)


class Waves(Kernel):
    """That of the sine and the cosine, ½[e^{−v(1−ρ)} ± e^{−v(1+ρ)}]."""

    def __init__(self, variance: float, sign: float) -> None:
        self.variance, self.sign = variance, sign
        self.square, self.error = float((1 + sign * math.exp(-2 * variance)) / 2), 1e-15
        octaves = [math.pi / 2 * 0.5**n for n in range(41) if not n or 0.5**n * math.sqrt(variance) > 1]
        self.edges = np.unique([0.0, *octaves])

    def _both(self, rho: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rho = np.asarray(rho, dtype=float)
        return np.exp(-self.variance * (1 - rho)), self.sign * np.exp(-self.variance * (1 + rho))

    def __call__(self, rho: np.ndarray) -> np.ndarray:
        """⟨φφ⟩ at each ρ."""
        near, far = self._both(rho)
        return (near + far) / 2

    def slope(self, rho: np.ndarray) -> np.ndarray:
        """d⟨φφ⟩/dρ at each ρ."""
        near, far = self._both(rho)
        return self.variance * (near - far) / 2

    def above(self, rho: np.ndarray) -> np.ndarray:
        """∫_ρ^1 ⟨φφ⟩ dρ."""
        near, far = self._both(rho)
        return (1 - near + far - self.sign * math.exp(-2 * self.variance)) / (2 * self.variance)


class Scaled(Kernel):
    """That of a homogeneous φ, φ(a h) = a^k φ(h) for a > 0, from the table at variance 1."""

    def __init__(self, table: Kernel, variance: float, degree: float) -> None:
        self.table, self.variance, self.factor = table, variance, variance**degree
        self.square, self.error, self.edges = self.factor * table.square, table.error, table.edges

    def __call__(self, rho: np.ndarray) -> np.ndarray:
        """⟨φφ⟩ at each ρ."""
        return self.factor * self.table(rho)

    def slope(self, rho: np.ndarray) -> np.ndarray:
        """d⟨φφ⟩/dρ at each ρ."""
        return self.factor * self.table.slope(rho)

    def above(self, rho: np.ndarray) -> np.ndarray:
        """∫_ρ^1 ⟨φφ⟩ dρ."""
        return self.factor * self.table.above(rho)
