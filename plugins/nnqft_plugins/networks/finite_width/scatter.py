"""Covariances ⟨⟨g ; g'⟩⟩ of functions of two pairs of times, and how they answer a change of the correlations between.

With X the correlations between (u, w) of the one pair and (u', w') of the other (module `pairs`),

    ⟨⟨g ; g'⟩⟩ = Σ_{a+b+c+e ≥ 1} M_{ab,ce} (uu^a uw^b) (wu^c ww^e) ,
    M_{ab,ce} = g_{a+b,c+e} g'_{a+c,b+e} √[(a+b)! (c+e)! (a+c)! (b+e)!] / (a! b! c! e!) ,

a bilinear form between powers: a product of matrices for each two pairs, over all distances between them at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from nnqft_plugins.networks.finite_width.pairs import Crossing, power_table


@dataclass(frozen=True)
class _Powers:
    """(a, b) of the first variable, (c, e) of the second, and the factors of M; b and e of one parity."""

    first: np.ndarray
    second: np.ndarray
    factors: np.ndarray


@cache
def _powers(degree: int, parity: int) -> _Powers:
    first = [(a, b) for b in range(parity, degree + 1, 2) for a in range(degree + 1 - b)]
    second = [(c, e) for e in range(parity, degree + 1, 2) for c in range(degree + 1 - e)]
    factors = np.zeros((len(first), len(second)))
    fact = [math.factorial(n) for n in range(degree + 1)]
    for i, (a, b) in enumerate(first):
        for j, (c, e) in enumerate(second):
            if 1 <= a + b + c + e <= degree:
                root = math.sqrt(fact[a + b] * fact[c + e] * fact[a + c] * fact[b + e])
                factors[i, j] = root / (fact[a] * fact[b] * fact[c] * fact[e])
    return _Powers(np.array(first), np.array(second), factors)


def _matrix(g: np.ndarray, other: np.ndarray, powers: _Powers) -> np.ndarray:
    """(P', first, second) M of one function with P' others, symmetric under exchange of their variables."""
    a, b = powers.first.T[:, :, None]
    c, e = powers.second.T[:, None, :]
    top = g.shape[0] - 1
    inside = powers.factors != 0.0
    left = np.where(inside, g[np.minimum(a + b, top), np.minimum(c + e, top)], 0.0)
    right = other[:, np.minimum(a + c, top), np.minimum(b + e, top)]
    return powers.factors * left * right


class Scatter:
    """⟨⟨g ; g'⟩⟩ of one g with P' functions g' at R distances each; g' symmetric under exchange of its two times.

    Parameters
    ----------
    others
        (P', degree + 1, degree + 1) coefficients g'.
    crossing
        Of entries (P', R).
    degree
        The highest that is summed.
    """

    def __init__(self, others: np.ndarray, crossing: Crossing, degree: int) -> None:
        self.others, self.degree = others, degree
        entries = (crossing.uu, crossing.uw, crossing.wu, crossing.ww)
        self._powers = [power_table(x, degree) for x in entries]

    def covariance(self, *functions: np.ndarray) -> list[np.ndarray]:
        """(P', R) ⟨⟨g ; g'⟩⟩ of each g, (degree + 1, degree + 1) coefficients."""
        found = [np.zeros(self._powers[0].shape[1:]) for _ in functions]
        for parity in (0, 1):
            powers = _powers(self.degree, parity)
            for total, g in zip(found, functions, strict=True):
                M, rows, columns = _kept(_matrix(g, self.others, powers))
                if M.size:
                    inner = M @ self._product(2, 3, powers.second[columns])
                    total += (self._product(0, 1, powers.first[rows]) * inner).sum(axis=1)
        return found

    def slopes(self, g: np.ndarray) -> list[np.ndarray]:
        """(P', R) derivatives of ⟨⟨g ; g'⟩⟩ by uu, uw, wu and ww."""
        found = [np.zeros(self._powers[0].shape[1:]) for _ in range(4)]
        for parity in (0, 1):
            powers = _powers(self.degree, parity)
            M, rows, columns = _kept(_matrix(g, self.others, powers))
            if not M.size:
                continue
            first, second = powers.first[rows], powers.second[columns]
            inner = M @ self._product(2, 3, second)
            outer = np.swapaxes(M, 1, 2) @ self._product(0, 1, first)
            for n, (which, factor) in enumerate((((0, 1), inner), ((0, 1), inner), ((2, 3), outer), ((2, 3), outer))):
                exponents = first if n < 2 else second
                found[n] += (self._derived(*which, exponents, n % 2) * factor).sum(axis=1)
        return found

    def _product(self, one: int, two: int, exponents: np.ndarray) -> np.ndarray:
        """(P', exponents, R) x^a y^b."""
        x, y = self._powers[one][exponents[:, 0]], self._powers[two][exponents[:, 1]]
        return np.ascontiguousarray(np.moveaxis(x * y, 0, 1))

    def _derived(self, one: int, two: int, exponents: np.ndarray, by: int) -> np.ndarray:
        lower = exponents.copy()
        lower[:, by] = np.maximum(lower[:, by] - 1, 0)
        return exponents[:, by, None] * self._product(one, two, lower)


def _kept(M: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """M without rows and columns that vanish for all, and which are left."""
    there = (M != 0.0).any(axis=0)
    rows, columns = np.flatnonzero(there.any(axis=1)), np.flatnonzero(there.any(axis=0))
    return M[:, rows[:, None], columns], rows, columns
