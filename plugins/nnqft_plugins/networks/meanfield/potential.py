"""The potential in which C(τ) moves at infinite width, V'(C) = σ_w² ⟨φφ⟩_C + S − γ² C at one C(0) (see `stationary`).

As a polynomial in ρ = C/C(0) where the Hermite series of φ converges, else by the table of ⟨φφ⟩.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq

from nnqft_plugins.networks.meanfield.kernel import kernel, rough_series
from nnqft_plugins.networks.meanfield.kinds import wave
from nnqft_plugins.networks.meanfield.pairs import Kernel, Series
from nnqft_plugins.networks.meanfield.panels import NODES, WEIGHTS, resolve
from nnqft_plugins.networks.meanfield.table import Branch
from nnqft_plugins.networks.network import Network

_TABLE = 3e-11
"""Last coefficients of a table of V, over its largest value."""


_AT_ONCE = 10_000
"""Panels."""
_APART = 3e-8
"""Angle below which the cosine is 1 and slopes may be infinite; what lies there adds nothing."""
_SEEN = 1e-11
"""Error of a series that is more than its rounding."""
_ROUGH = 256
"""Orders of a series that only shows where to look."""


class Potential(ABC):
    """V at one C(0).

    Attributes
    ----------
    variance : float
        C(0).
    finite : bool
        False where φ grows too fast for an average.
    accuracy : float
        How smooth it is: steps of a path cannot be told better.
    error : float
        Of V' from the averages, over its largest part.
    """

    variance: float
    finite: bool
    accuracy: float = 0.0
    error: float = 0.0

    @abstractmethod
    def __call__(self, rho: float) -> float:
        """V'(C) at C = ρ C(0)."""

    @abstractmethod
    def derivative(self, rho: float) -> float:
        """dV'/dρ."""

    @abstractmethod
    def height(self, rho: float) -> float:
        """V at ρ minus V at 1, that is at C(0)."""

    @abstractmethod
    def over_square(self, rho_end: float) -> Callable[[float], float]:
        """[V(C_∞) − V(C)]/(ρ − ρ_∞)² as a function of ρ − ρ_∞, without its cancellation."""

    def top(self) -> float:
        """First zero ρ of V' in [0, 1]; where there is none, the place of its smallest value."""
        rho = 0.0
        for _ in range(100):
            value, slope = self(rho), self.derivative(rho)
            if value <= 0.0:
                return rho
            # V' is convex: its first zero cannot lie before the place that Newton's step leads to.
            step = -value / slope if slope < 0.0 else math.inf
            if rho + step >= 1.0:
                break
            rho += step
            if step <= 1e-15 * rho or (step < 1e-15 and rho > 1e-3):
                return rho
        if self.derivative(1.0) <= 0.0:
            return 1.0
        return brentq(self.derivative, rho, 1.0 - 1e-15) if self.derivative(rho) < 0.0 else rho


class PolynomialPotential(Potential):
    """`slope` are the coefficients of V' in powers of ρ."""

    def __init__(self, network: Network, series: Series) -> None:
        self.variance = series.variance
        self.finite = bool(np.isfinite(series.coefficients).all())
        self.error = series.error if series.error > _SEEN else 0.0
        slope = np.zeros(max(2, len(series.coefficients)))
        slope[: len(series.coefficients)] = network.sigma_w**2 * series.coefficients
        slope[0] += network.static
        slope[1] -= network.gamma**2 * self.variance
        self.slope = slope

    def __call__(self, rho: float) -> float:
        """V'(C) at C = ρ C(0)."""
        return float(self.slope @ rho ** np.arange(len(self.slope)))

    def derivative(self, rho: float) -> float:
        """dV'/dρ."""
        powers = np.arange(1, len(self.slope))
        return float((self.slope[1:] * powers) @ rho ** (powers - 1))

    def height(self, rho: float) -> float:
        """V at ρ minus V at 1."""
        powers = np.arange(1, len(self.slope) + 1)
        return float(self.variance * ((self.slope / powers) @ (rho**powers - 1.0)))

    def over_square(self, rho_end: float) -> Callable[[float], float]:
        """By dividing the polynomial twice (Horner, stable for ρ ≤ 1)."""
        powers = np.arange(1, len(self.slope) + 1)
        quotient = np.concatenate([[0.0], -self.variance * self.slope / powers])
        for _ in range(2):
            divided = np.empty(len(quotient) - 1)
            carry = 0.0
            for r in range(len(quotient) - 1, 0, -1):
                carry = quotient[r] + rho_end * carry
                divided[r - 1] = carry
            quotient = divided
        powers = np.arange(len(quotient))
        return lambda beyond: float(quotient @ (rho_end + beyond) ** powers)


class TabulatedPotential(Potential):
    """By the table of ⟨φφ⟩."""

    def __init__(self, network: Network, average: Kernel) -> None:
        self.variance, self.average = average.variance, average
        self.coupling, self.static = network.sigma_w**2, network.static
        self.stiffness = network.gamma**2 * self.variance
        self.finite, self.accuracy = math.isfinite(average.square), max(1e-10, 1e-2 * average.error)
        self.error = max(1e-10, average.error)

    def __call__(self, rho: float) -> float:
        """V'(C) at C = ρ C(0)."""
        return self.coupling * float(self.average(np.array(rho))) + self.static - self.stiffness * rho

    def derivative(self, rho: float) -> float:
        """dV'/dρ."""
        return self.coupling * float(self.average.slope(np.array(rho))) - self.stiffness

    def height(self, rho: float) -> float:
        """V at ρ minus V at 1."""
        rest = self.static * (1 - rho) - self.stiffness * (1 - rho) * (1 + rho) / 2
        return -self.variance * (self.coupling * float(self.average.above(np.array(rho))) + rest)

    def over_square(self, rho_end: float) -> Callable[[float], float]:
        """−C(0) ∫_0^1 (1−x) V''(ρ_∞ + x(ρ−ρ_∞)) dx, because V'(ρ_∞) = 0; the integral in θ, where V'' is smooth.

        Tabulated in θ once, because a path asks for it at very many places.
        """
        far = math.acos(rho_end)

        def at_angles(near: np.ndarray) -> np.ndarray:
            # Panels that lie before an angle have no width there.
            edges = np.sort(np.clip(np.append(self.average.edges, far), near[:, None], far), axis=1)
            edges = np.concatenate([near[:, None], edges], axis=1)
            half = np.diff(edges)[..., None] / 2
            theta = edges[:, :-1, None] + half * (NODES + 1)
            # cos θ − cos ϑ, of angles that may be close
            begin = near[:, None, None]
            below = 2 * np.sin((theta + begin) / 2) * np.sin((theta - begin) / 2)
            slopes = self.coupling * self.average.slope(np.cos(np.maximum(theta, _APART))) - self.stiffness
            total = ((half * below * slopes * np.sin(theta)) @ WEIGHTS).sum(axis=1)
            beyond = 2 * np.sin((near + far) / 2) * np.sin((far - near) / 2)
            with np.errstate(divide="ignore", invalid="ignore"):
                return np.where(beyond > 0.0, -self.variance * total / beyond**2, at_end)

        def every(near: np.ndarray) -> np.ndarray:
            pieces = np.array_split(near.ravel(), max(1, near.size * len(self.average.edges) // _AT_ONCE))
            return np.concatenate([at_angles(piece) for piece in pieces]).reshape(near.shape)

        at_end = -self.variance * self.derivative(rho_end) / 2
        inside = [x for x in self.average.edges if 0 < x < far]
        edges, _, _ = resolve(every, np.array([0.0, *inside, far]), tolerance=_TABLE, least=2e-4)
        table = Branch.of(every, 0.0, edges)

        def at(beyond: float) -> float:
            rho = rho_end + beyond
            theta = 2 * math.asin(math.sqrt(max(1 - rho, 0.0) / 2))
            return float(table.at(np.array(min(theta, far))))

        return at


def potential_at(network: Network, variance: float, accuracy: float = 1e-13, rough: bool = False) -> Potential:
    """For a trial C(0); `rough` by the Hermite series whether it converges or not, where this is quicker."""
    phi = network.activation
    if rough and wave(phi.value) is None:
        return PolynomialPotential(network, rough_series(phi, variance, accuracy, _ROUGH))
    average = kernel(network.activation, variance, accuracy)
    return (
        PolynomialPotential(network, average) if isinstance(average, Series) else TabulatedPotential(network, average)
    )
