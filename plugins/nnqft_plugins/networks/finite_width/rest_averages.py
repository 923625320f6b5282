"""Gaussian averages of φ and its derivatives for all pairs of times from rest."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
from scipy.special import gammaln

from nnqft_plugins.networks.finite_width.covariances import covariances
from nnqft_plugins.networks.finite_width.pairs import Crossing, Function, coefficients, lowered
from nnqft_plugins.networks.finite_width.rest_grid import PairGrid

_ORDERS = 300
"""Hermite coefficients of φ of one variable."""
_SPAN, _NODES = 26.0, 4001
_ALIKE = 1e-6
"""1 − ρ below which a pair is one variable as far as its curvature goes."""


class PairAverages:
    """Averages on one grid.

    Parameters
    ----------
    grid
    C : (n + 1, n + 1) array
        The correlator at N → ∞.
    degree
        Of the Hermite series of a pair.
    """

    def __init__(self, grid: PairGrid, C: np.ndarray, degree: int) -> None:
        self.grid, self.degree, self.C = grid, degree, C
        variance = np.diagonal(C).copy()
        # At the start h = 0: a function of it is a constant, whatever small variance it is given.
        variance = np.maximum(variance, 1e-6 * variance[1])
        self.size = np.sqrt(variance)
        self._rho = np.clip(C / np.outer(self.size, self.size), -1, 1)
        np.fill_diagonal(self._rho, 1.0)
        i, j = grid.i, grid.j
        self.sizes, self.rho = (self.size[i], self.size[j]), self._rho[i, j]
        powers = grid.network.activation.coefficients
        self._whole = powers is not None and 2 * (len(powers) - 1) <= degree
        self._alike = 1 - np.abs(self.rho) < _ALIKE

    # Averages over one pair

    @cached_property
    def _lines(self) -> np.ndarray:
        """(n + 1, orders) Hermite coefficients of φ at each time."""
        z = np.linspace(-_SPAN, _SPAN, _NODES)
        waves = np.zeros((_ORDERS + 1, len(z)))
        waves[0] = np.exp(-(z**2) / 4)
        waves[1] = z * waves[0]
        for r in range(1, _ORDERS):
            waves[r + 1] = (z * waves[r] - math.sqrt(r) * waves[r - 1]) / math.sqrt(r + 1)
        phi = self.grid.network.activation.value
        values = phi(self.size[:, None] * z) * (waves[0] * (z[1] - z[0]) / math.sqrt(2 * math.pi))
        found = values @ waves.T
        found[np.abs(found) < 1e-15 * np.abs(found).max()] = 0.0
        return found

    def two(self, p: int, q: int) -> np.ndarray:
        """(P,) ⟨φ^(p) φ^(q)⟩ of each pair, the first derivative at its later time."""
        first, second = self._lines[self.grid.i], self._lines[self.grid.j]
        r = np.arange(first.shape[1] - max(p, q))
        factors = np.exp(0.5 * (gammaln(p + r + 1) + gammaln(q + r + 1)) - gammaln(r + 1))
        total = np.zeros(self.grid.count)
        for n in range(len(r) - 1, -1, -1):
            total = total * self.rho + factors[n] * first[:, p + n] * second[:, q + n]
        return total / (self.sizes[0] ** p * self.sizes[1] ** q)

    @cached_property
    def squares(self) -> tuple[np.ndarray, np.ndarray]:
        """(n + 1, orders) Hermite coefficients of φ² and φ'² at each time."""
        phi = self.grid.network.activation
        assert phi.slope is not None  # the engine looks
        return tuple(self._single(lambda h, f=f: f(h) ** 2) for f in (phi.value, phi.slope))  # type: ignore[misc, return-value]

    def _single(self, function: Function) -> np.ndarray:
        both = self.size, self.size
        ones = np.ones(self.grid.n + 1)
        return coefficients(function, np.ones_like, both, ones, self.degree + 4)[:, :, 0]

    def differentiated(self, lines: np.ndarray) -> np.ndarray:
        """Coefficients of the derivative of a function of one variable."""
        return lines[:, 1:] * np.sqrt(np.arange(1, lines.shape[1])) / self.size[:, None]

    # Functions of a pair

    def _pair(self, first: Function, second: Function, degree: int) -> np.ndarray:
        return coefficients(first, second, self.sizes, self.rho, degree)

    def _at_once(self, table: np.ndarray, lines: np.ndarray) -> np.ndarray:
        """A table with what it is for pairs of equal times."""
        table = table[:, : self.degree + 1, : self.degree + 1].copy()
        table[self.grid.same] = 0.0
        table[self.grid.same, :, 0] = lines[:, : self.degree + 1]
        return table

    @cached_property
    def phi_phi(self) -> np.ndarray:
        """φφ"""
        phi = self.grid.network.activation.value
        return self._pair(phi, phi, self.degree)

    @cached_property
    def slope_slope(self) -> np.ndarray:
        """φ'φ'"""
        slope = self.grid.network.activation.slope
        assert slope is not None
        return self._at_once(self._pair(slope, slope, self.degree), self.squares[1])

    @cached_property
    def _raised(self) -> tuple[np.ndarray, np.ndarray]:
        phi = self.grid.network.activation
        assert phi.slope is not None
        return tuple(self._pair(f, g, self.degree + 1) for f, g in ((phi.slope, phi.value), (phi.value, phi.slope)))  # type: ignore[return-value]

    @cached_property
    def sloped(self) -> tuple[np.ndarray, np.ndarray]:
        """φ'φ and φφ'"""
        half = 0.5 * self.differentiated(self.squares[0])
        return tuple(self._at_once(table, half) for table in self._raised)  # type: ignore[return-value]

    @cached_property
    def curved(self) -> tuple[np.ndarray, np.ndarray]:
        """φ''φ and φφ''"""
        twice = 0.5 * self.differentiated(self.differentiated(self.squares[0]))[:, : self.degree + 1]
        lines = twice - self.squares[1][:, : self.degree + 1]
        found = []
        for which, table in enumerate(self._raised):
            bent = np.zeros((self.grid.count, self.degree + 1, self.degree + 1))
            own = ~self._alike
            bent[own] = lowered(table[own], self.sizes[which][own], self.rho[own], which)
            later = np.flatnonzero(self._alike)
            bent[later, :, 0] = lines[self.grid.i[later]]
            found.append(self._at_once(bent, lines))
        return found[0], found[1]

    # Covariances between functions of two pairs

    @cached_property
    def scatter(self) -> np.ndarray:
        """(P, P) ⟨⟨φφ ; φφ⟩⟩ of all pairs with all pairs."""
        return self._covariances({"": self.phi_phi}, {"": self.phi_phi}, [("", "")])["", ""]

    @cached_property
    def slopes(self) -> dict[tuple[str, str], np.ndarray]:
        """(P, P) covariances that a unit's own answer needs; functions by their derivatives, "20" for φ''φ."""
        left = {"11": self.slope_slope, "20": self.curved[0], "02": self.curved[1]}
        left |= {"10": self.sloped[0], "01": self.sloped[1]}
        right = {"00": self.phi_phi, "10": self.sloped[0], "01": self.sloped[1]}
        wanted = [("11", "00"), ("20", "00"), ("02", "00"), *((a, b) for a in ("10", "01") for b in ("10", "01"))]
        return self._covariances(left, right, wanted)

    def _covariances(
        self, left: dict[str, np.ndarray], right: dict[str, np.ndarray], wanted: list[tuple[str, str]]
    ) -> dict[tuple[str, str], np.ndarray]:
        """(P, P) ⟨⟨left ; right⟩⟩ of all pairs with all pairs."""
        found = {each: np.empty((self.grid.count, self.grid.count)) for each in wanted}
        for row in range(self.grid.count):
            own = {name: table[row] for name, table in left.items()}
            for each, values in covariances(own, right, wanted, self._crossing(row), self.degree, self._whole).items():
                found[each][row] = values
            self.grid.progress()
        return found

    def _crossing(self, row: int) -> Crossing:
        i, j, others = self.grid.i[row], self.grid.j[row], (self.grid.i, self.grid.j)
        r = self._rho
        between = tuple(r[own, other] for own in (i, j) for other in others)
        return Crossing.of(r[i, j], self.rho, between)
