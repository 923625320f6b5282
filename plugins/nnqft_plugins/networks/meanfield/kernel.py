"""⟨φ(x) φ(y)⟩ of two Gaussians of one variance as a function of their correlation ρ: a Hermite series, or a table.

Kinks, steps and steep places make the series converge slowly near ρ = 1, where the average is singular in ρ. In
θ = arccos ρ it is smooth there: with ⟨φφ⟩ = ⟨φ²⟩ − D, D/s² for a continuous φ and D/s for one with jumps, s = sin(θ/2),
are tabulated (Cho & Saul, arXiv:1112.3712, have closed forms for powers on one side).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.polynomial import legendre
from numpy.polynomial.polynomial import polyval

from nnqft import Activation
from nnqft_plugins.networks.meanfield.gaussian import hermite, homogeneous, jumps, panels_of
from nnqft_plugins.networks.meanfield.panels import NODES, TO_LEGENDRE, WEIGHTS, resolve
from nnqft_plugins.networks.meanfield.remembering import remembered
from nnqft_plugins.networks.meanfield.two_gaussians import Plane

_TABLE = 3e-11
"""Last coefficients of D/s^p on a panel of θ, over its largest value: so far what tables leave out is below 1e-11."""
_SERIES = 1e-11
"""What a Hermite series may leave out, relative to ⟨f²⟩."""


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


@dataclass(frozen=True)
class Branch:
    """D/s^p as polynomials on panels of θ ≤ π/2; and ∫ D sin θ dθ over the panels before each."""

    power: int
    edges: np.ndarray
    series: np.ndarray
    before: np.ndarray
    left: float

    @classmethod
    def of(cls, function: Callable[[float], float], power: int, edges: np.ndarray) -> Branch:
        """Of a function of θ, on panels fine enough for it."""

        def over_power(theta: np.ndarray) -> np.ndarray:
            return np.array([function(t) / math.sin(t / 2) ** power for t in theta.ravel()]).reshape(theta.shape)

        memory: dict[float, np.ndarray] = {}

        def remembered(theta: np.ndarray) -> np.ndarray:
            rows = over_power(theta)
            memory.update(zip(theta[:, 0].tolist(), rows, strict=True))
            return rows

        edges, _, left = resolve(remembered, edges, tolerance=_TABLE, least=2e-4)
        firsts = edges[:-1] + np.diff(edges) / 2 * (NODES[0] + 1)
        keys = np.array(list(memory))
        values = np.array([memory[float(keys[np.argmin(np.abs(keys - first))])] for first in firsts])
        theta = edges[:-1, None] + np.diff(edges)[:, None] / 2 * (NODES + 1)
        pieces = values * np.sin(theta / 2) ** power * np.sin(theta) @ WEIGHTS * np.diff(edges) / 2
        return cls(power, edges, values @ TO_LEGENDRE, np.concatenate([[0.0], np.cumsum(pieces)]), left)

    def at(self, theta: np.ndarray, derivative: int = 0) -> np.ndarray:
        """D/s^p, or its derivative."""
        n, x, width = self._place(theta)
        series = legendre.legder(self.series, derivative, axis=1) if derivative else self.series
        return legendre.legval(x, np.moveaxis(series[n], -1, 0), tensor=False) * (2 / width) ** derivative

    def _place(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        n = np.clip(np.searchsorted(self.edges, theta, side="right") - 1, 0, len(self.edges) - 2)
        width = self.edges[n + 1] - self.edges[n]
        return n, 2 * (theta - self.edges[n]) / width - 1, width

    def integral(self, theta: np.ndarray) -> np.ndarray:
        """∫ D sin from the beginning of the branch to θ."""
        n, _, _ = self._place(theta)
        start = self.edges[n]
        half = (theta - start)[..., None] / 2
        inner = start[..., None] + half * (NODES + 1)
        values = self.at(inner) * np.sin(inner / 2) ** self.power * np.sin(inner)
        return self.before[n] + (half * values) @ WEIGHTS


class Table(Kernel):
    """By D/s^p on panels of θ, at v = `scale` of another variance for a homogeneous φ."""

    def __init__(self, activation: Activation, variance: float) -> None:
        self.variance = variance
        panels = panels_of(activation.value, variance, activation.kinks)
        self.square = float((panels.weight * panels.value**2).sum()) if panels.finite else math.inf
        self.power = 1 if jumps(activation) else 2
        self._plane = Plane(activation, (variance, variance), (panels, panels))
        self._steep = not activation.kinks
        finite = math.isfinite(self.square)
        self.error = 1e-12 + 20 * panels.error + (self._near.left if finite else math.inf)
        self.edges = self._near.edges if finite else np.array([0.0, math.pi / 2])

    def _difference(self, theta: float) -> float:
        return self._plane.average(theta, lambda f, g: (f - g) ** 2 / 2, half=True)[0]

    @cached_property
    def _near(self) -> Branch:
        """ρ ≥ 0."""
        edges = [0.0, math.pi / 2]
        if self._steep:
            edges = [0.0, *(math.pi / 2 * 0.5**n for n in range(40, -1, -1) if 0.5**n * math.sqrt(self.variance) > 1)]
        return Branch.of(self._difference, self.power, np.unique([*edges, math.pi / 2]))

    @cached_property
    def _far(self) -> Branch:
        """ρ < 0, as a function of π − θ."""
        return Branch.of(lambda angle: self._difference(math.pi - angle), 0, np.array([0.0, math.pi / 2]))

    def _on_branches(self, rho: np.ndarray, evaluate: Callable[[Branch, np.ndarray], np.ndarray]) -> np.ndarray:
        """`evaluate` of the branch that each ρ is on, and of its angle there."""
        rho = np.asarray(rho, dtype=float)
        angle = np.arccos(np.clip(np.abs(rho), 0.0, 1.0))
        near = evaluate(self._near, angle)
        return near if (rho >= 0).all() else np.where(rho >= 0, near, evaluate(self._far, angle))

    def __call__(self, rho: np.ndarray) -> np.ndarray:
        """⟨φφ⟩ at each ρ."""
        return self.square - self._on_branches(rho, lambda b, t: b.at(t) * np.sin(t / 2) ** b.power)

    def slope(self, rho: np.ndarray) -> np.ndarray:
        """d⟨φφ⟩/dρ at each ρ; inf at ρ = 1 for a φ that jumps."""

        def value(branch: Branch, theta: np.ndarray) -> np.ndarray:
            s, c = np.sin(theta / 2), np.cos(theta / 2)
            if not branch.power:
                return -branch.at(theta, 1) / np.maximum(2 * s * c, 1e-8)
            first = branch.at(theta) * (s ** (branch.power - 2) * branch.power / 4)
            return first + s ** (branch.power - 1) * branch.at(theta, 1) / (2 * c)

        with np.errstate(divide="ignore"):
            return self._on_branches(rho, value)

    def above(self, rho: np.ndarray) -> np.ndarray:
        """∫_ρ^1 ⟨φφ⟩ dρ."""
        rho = np.asarray(rho, dtype=float)
        part = self._on_branches(rho, lambda b, t: b.integral(t))
        if (rho < 0).any():
            part = np.where(rho < 0, self._near.before[-1] + self._far.before[-1] - part, part)
        return self.square * (1 - rho) - part


class Scaled(Kernel):
    """That of a homogeneous φ, φ(a h) = a^k φ(h) for a > 0, from the table at variance 1."""

    def __init__(self, table: Table, variance: float, degree: int) -> None:
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


def rough_series(activation: Activation, variance: float, accuracy: float = 1e-13) -> Series:
    """The Hermite series as far as it goes, what is left in its last term: quick, and for kinks good to about 1e-2."""
    b, left = hermite(activation.value, np.array([variance]), accuracy, activation.kinks)
    return Series(variance, b[0] ** 2, left)


def kernel(activation: Activation, variance: float, accuracy: float = 1e-13) -> Kernel:
    """⟨φφ⟩ at one variance, by the Hermite series where it converges, else by a table.

    What it leaves out is below the larger of `accuracy` and 1e-11 of ⟨φ²⟩; `Kernel.error` says how much.
    """
    return _kernel(activation, float(variance), accuracy)


@remembered(64)
def _kernel(activation: Activation, variance: float, accuracy: float) -> Kernel:
    degree = homogeneous(activation.value, activation.kinks)
    if degree is not None:
        return Scaled(_unit_table(activation), variance, degree)
    if not activation.kinks:
        series = rough_series(activation, variance, accuracy)
        if not np.isfinite(series.coefficients).all() or series.error <= max(accuracy, _SERIES):
            return series
    return Table(activation, variance)


@remembered(32)
def _unit_table(activation: Activation) -> Table:
    return Table(activation, 1.0)
