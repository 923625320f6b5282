"""⟨φ(x) φ(y)⟩ of two Gaussians of one variance by tables in θ = arccos ρ, for kinks, steps and steep places.

They make ⟨φφ⟩ singular in ρ at 1. In θ it is smooth there: with ⟨φφ⟩ = ⟨φ²⟩ − D, D/s² for a continuous φ and D/s for
one with jumps, s = sin(θ/2), are tabulated (Cho & Saul, arXiv:1112.3712, have closed forms for powers on one side).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.polynomial import legendre
from numpy.polynomial.polynomial import polyval

from nnqft import Activation, InputError
from nnqft_plugins.networks.meanfield.gaussian import low_orders, panels_of
from nnqft_plugins.networks.meanfield.kinds import has_slopes, jumps
from nnqft_plugins.networks.meanfield.pairs import Kernel
from nnqft_plugins.networks.meanfield.panels import NODES, TO_LEGENDRE, WEIGHTS
from nnqft_plugins.networks.meanfield.two_gaussians import MOST_PANELS, Differences

_TABLE = 3e-12
"""Last coefficients of D/s^p on a panel of θ, over its largest value there."""
_LEAST = 1e-6
"""Width of a panel of θ that is not halved any more; of a φ steeper than any line a thousandth of it."""
_FEW = 12
_SMALL_RHO = 0.03
"""ρ below which so many powers of it are all there is to ⟨φφ⟩."""
_SMALL = math.pi / 2 * np.array([2.0**-17, 2.0**-16])
"""θ at which the power of D is found."""


@dataclass(frozen=True)
class Branch:
    """D/s^p as polynomials on panels of θ ≤ π/2; and ∫ D sin θ dθ over the panels before each."""

    power: float
    edges: np.ndarray
    series: np.ndarray
    before: np.ndarray

    @classmethod
    def of(cls, function: Callable[[np.ndarray], np.ndarray], power: float, edges: np.ndarray) -> Branch:
        """Of D as a function of θ, on panels that are fine enough for it."""
        theta = edges[:-1, None] + np.diff(edges)[:, None] / 2 * (NODES + 1)
        values = function(theta)
        pieces = values * np.sin(theta) @ WEIGHTS * np.diff(edges) / 2
        series = values / np.sin(theta / 2) ** power @ TO_LEGENDRE
        return cls(power, edges, series, np.concatenate([[0.0], np.cumsum(pieces)]))

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
    """By D/s^p of the even and of the odd part of φ, on panels of θ."""

    def __init__(self, activation: Activation, variance: float) -> None:
        self.variance = variance
        panels = panels_of(activation.value, variance, activation.kinks)
        if len(panels.edges) > MOST_PANELS:
            raise InputError(
                f"φ = {activation.name} turns too often at variance {variance:.3g} for averages;"
                " write a smaller sigma_w"
            )
        self.square = float((panels.weight * panels.value**2).sum()) if panels.finite else math.inf
        self.error, self.edges = math.inf, np.array([0.0, math.pi / 2])
        if not math.isfinite(self.square):
            return
        differences = Differences(activation, variance, panels)
        power, least = self._power(activation, differences)
        first = [math.pi / 2 * 0.5**n for n in range(41) if not n or 0.5**n * math.sqrt(variance) > 1]
        edges, left = _resolved(differences, power, np.unique([0.0, *first]), least)
        even, odd = (Branch.of(partial(differences, part=n), power, edges) for n in (0, 1))
        self._parts = even, odd
        self._near = low_orders(panels, _FEW) ** 2
        mirrored = panels_of(lambda h: activation.value(h) * activation.value(-h), variance, _both(activation.kinks))
        self._opposite = float((mirrored.weight * mirrored.value).sum())
        self.edges = edges
        self.error = 1e-12 + 20 * panels.error + differences.error + left / (self.square or 1.0)

    @staticmethod
    def _power(activation: Activation, differences: Differences) -> tuple[float, float]:
        """p of D ~ s^p, and the least width of a panel: of kinks 2, of jumps 1, where |φ'| has no bound in between."""
        if jumps(activation):
            return 1.0, _LEAST
        if not has_slopes(activation):
            # Of unit size in h, where a φ that saturates is not yet flat.
            near = differences(_SMALL / max(1.0, math.sqrt(differences.variance)))
            power = math.log2(near[1] / near[0]) if near.all() else 2.0
            if power < 1.98:
                return power, 1e-3 * _LEAST
        return 2.0, _LEAST

    def _sum(self, rho: np.ndarray, evaluate: Callable[[Branch, np.ndarray], np.ndarray]) -> np.ndarray:
        """`evaluate` of the even and the odd part at the angle of |ρ|, the odd one with the sign of ρ."""
        rho = np.asarray(rho, dtype=float)
        angle = np.arccos(np.clip(np.abs(rho), 0.0, 1.0))
        even, odd = (evaluate(part, angle) for part in self._parts)
        return even + np.where(rho >= 0, odd, -odd)

    def __call__(self, rho: np.ndarray) -> np.ndarray:
        """⟨φφ⟩ at each ρ."""
        rho = np.asarray(rho, dtype=float)
        at_end = np.where(rho >= 0, self.square, self._opposite)
        found = at_end - self._sum(rho, lambda b, t: b.at(t) * np.sin(t / 2) ** b.power)
        # There differences would be all rounding, and a plateau far below C(0) with them.
        return np.where(np.abs(rho) < _SMALL_RHO, polyval(rho, self._near), found)

    def slope(self, rho: np.ndarray) -> np.ndarray:
        """d⟨φφ⟩/dρ at each ρ; inf at ρ = 1 for a φ that jumps or is steeper than any line."""
        rho = np.asarray(rho, dtype=float)
        sign = np.where(rho >= 0, 1.0, -1.0)

        def value(branch: Branch, theta: np.ndarray) -> np.ndarray:
            s, c = np.sin(theta / 2), np.cos(theta / 2)
            first = branch.at(theta) * (s ** (branch.power - 2) * branch.power / 4)
            return np.where(branch.series.any(), first + s ** (branch.power - 1) * branch.at(theta, 1) / (2 * c), 0.0)

        with np.errstate(divide="ignore", invalid="ignore"):
            return sign * self._sum(rho, value)

    def above(self, rho: np.ndarray) -> np.ndarray:
        """∫_ρ^1 ⟨φφ⟩ dρ."""
        rho = np.asarray(rho, dtype=float)
        even, odd = self._parts
        below = self.square * (1 - np.abs(rho)) - self._sum(np.abs(rho), lambda b, t: b.integral(t))
        if not (rho < 0).any():
            return below
        angle = np.arccos(np.clip(np.abs(rho), 0.0, 1.0))
        between = self._opposite * np.abs(rho)
        between -= even.before[-1] - even.integral(angle) - odd.before[-1] + odd.integral(angle)
        return np.where(rho < 0, self.square - even.before[-1] - odd.before[-1] + between, below)


def _resolved(differences: Differences, power: float, edges: np.ndarray, least: float) -> tuple[np.ndarray, float]:
    """Edges of panels of θ on which D/s^p of both parts is a polynomial, and the largest part of D that is not."""
    done, error = [], 0.0
    left, right = edges[:-1], edges[1:]
    while len(left):
        half = (right - left)[:, None] / 2
        theta = left[:, None] + half * (NODES + 1)
        parts = np.stack([differences(theta, part) for part in (0, 1)]) / np.sin(theta / 2) ** power
        rest = np.abs(parts @ TO_LEGENDRE[:, -2:]).max(axis=(0, 2))
        split = (rest > _TABLE * parts.sum(axis=0).max(axis=1)) & (half[:, 0] > least)
        error = max(error, float((rest * np.sin(right / 2) ** power)[~split].max(initial=0.0)))
        done.append(left[~split])
        middle = (left[split] + right[split]) / 2
        left, right = np.concatenate([left[split], middle]), np.concatenate([middle, right[split]])
    return np.append(np.sort(np.concatenate(done)), edges[-1]), 4 * error


def _both(kinks: tuple[float, ...]) -> tuple[float, ...]:
    return (*kinks, *(-k for k in kinks))
