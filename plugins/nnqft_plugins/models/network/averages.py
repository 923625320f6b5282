"""Gaussian averages ⟨φ(x) φ(y)⟩, ⟨x²⟩ = v, ⟨y²⟩ = w, ⟨x y⟩ = c, of polynomial φ φ: closed polynomials in c, v, w."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

Array = Any


@dataclass(frozen=True)
class PolynomialAverage:
    """Σ coefficient · c^r v^a w^b, with `terms` mapping (r, a, b) to coefficients."""

    terms: tuple[tuple[tuple[int, int, int], float], ...]

    def __call__(self, c: Array, v: Array, w: Array) -> Array:
        """The average at covariance c and variances v, w (arrays that broadcast)."""
        return sum((x * c**r * v**a * w**b for (r, a, b), x in self.terms), 0.0 * c)

    def at_variance(self, v: float) -> dict[int, float]:
        """{r: factor of c^r} where both variances are v."""
        powers: dict[int, float] = {}
        for (r, a, b), x in self.terms:
            powers[r] = powers.get(r, 0.0) + x * v ** (a + b)
        return powers

    def slope(self, v: float) -> float:
        """The derivative by c at c = v = w: ⟨φ'(x)²⟩."""
        return sum(r * x * v ** (r - 1) for r, x in self.at_variance(v).items() if r)

    @property
    def affine(self) -> bool:
        """Is it constant + slope · c, at given variances?"""
        return all(r <= 1 for (r, _, _), _ in self.terms)


def polynomial_average(phi_phi: Mapping[tuple[int, int], Fraction | float]) -> PolynomialAverage:
    """The average of Σ phi_phi[p, q] (x^p y^q + x^q y^p for p < q, x^p y^p for p = q), by Wick's theorem:

    ⟨x^p y^q⟩ = Σ_r r! (p choose r) (q choose r) (p−r−1)!! (q−r−1)!! c^r v^{(p−r)/2} w^{(q−r)/2}.
    """
    total: dict[tuple[int, int, int], float] = {}
    for (low, high), coefficient in phi_phi.items():
        for p, q in {(low, high), (high, low)}:
            for r in range(min(p, q), -1, -1):
                if (p - r) % 2 == 0 and (q - r) % 2 == 0:
                    ways = math.factorial(r) * math.comb(p, r) * math.comb(q, r) * _pairings(p - r) * _pairings(q - r)
                    powers = r, (p - r) // 2, (q - r) // 2
                    total[powers] = total.get(powers, 0.0) + float(coefficient) * ways
    return PolynomialAverage(tuple(sorted(total.items())))


def _pairings(n: int) -> int:
    return math.prod(range(1, n, 2))
