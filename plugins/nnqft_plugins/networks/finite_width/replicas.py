"""Two noise histories on one network: how the covariances of its units scatter, at leading order in 1/N.

The covariance Σ_ij(τ) of one network is an average over its noise; its square over networks is one over two noises a, b
on one W, E Σ_ij(τ)² = ⟨δh_i^a(τ) δh_j^a(0) δh_i^b(τ) δh_j^b(0)⟩, δh what h has beyond its average over the noise. With
the kernel q^ab = (1/N) Σ_k δφ_k^a(t) δφ_k^b(s), whose average vanishes, everything goes as for one history: with
frequencies ω_1 of a and ω_2 of b,

    F = E_m[ C_φ|m(ω_1) C_φ|m(ω_2) ] ,     x = σ_w² ⟨φ'^a φ'^b⟩ G(ω_1) G(ω_2) ,
    N E Σ_φ,ij² = ∬ (|1 − x|^−2 − 1) F ,
    N E Σ_h,ij² = ψ = ∬ { σ_w⁴ F |G_1 G_2|²/|1 − x|² + 2 Re[x/(1 − x)] C_δ C_δ } ,     dω_1 dω_2/(2π)² .

m is the average of a unit over its noise, Gaussian with the variance C(∞) that bias and input leave both histories, C_δ
is C − C(∞), and C_φ|m the correlator of φ(m + δh) beyond its average; without bias and for odd φ m = 0. The dimension
of the activity, its participation ratio D = (tr Σ)²/tr Σ², is N/(1 + ψ/C_δ(0)²), and at one frequency the same with the
integrand at (ω, −ω) and the spectrum. Of layers, which are new at each depth t, there is the equal-time one alone:
with λ = 2γ − σ_w² ⟨φ'⟩²,

    ψ = 2σ_w² ⟨φ'⟩² v²/(λ + 2γ) + σ_w⁴ Σ_{n,m ≥ 1} a_n² a_m²/(λ (λ + (n+m)γ)) .
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nnqft import InputError
from nnqft_plugins.networks.finite_width.filters import modes_of
from nnqft_plugins.networks.finite_width.own_averages import Units
from nnqft_plugins.networks.finite_width.spectra import frequencies
from nnqft_plugins.networks.meanfield.adapting import solve_adapting
from nnqft_plugins.networks.meanfield.stationary import Curve, solve_static
from nnqft_plugins.networks.network import Network

_FIRST, _LAST = 64, 4096
"""Frequencies of the coarsest and of the finest grid."""
_SETTLED = 1e-11
_FINE, _FINE_FOR_KINKS = (2, 3), (1, 1.5)
"""Averages m of a unit, so many to the scale on which they matter: the second number is for the answer, the first tells
its error; with kinks each takes long.
"""
_ACCURACY = 1e-12
"""Of C(τ) relative to C(0), at best."""
FADED = 1e-12
"""Of C(0), what is left of C(∞) where there is none, and of C_δ where nothing fluctuates."""


@dataclass(frozen=True)
class Scatter:
    """A number of order one, and an estimate of its numerical error."""

    value: float
    error: float

    def dimension(self, size: float, size_error: float = 0.0) -> Scatter:
        """D/N = 1/(1 + ψ/C²), this being ψ, of a C that is known so well."""
        share = self.value / size**2
        wrong = abs(self.error) / size**2 + 2 * abs(share) * size_error / size
        return Scatter(1 / (1 + share), wrong / (1 + share) ** 2)


@dataclass(frozen=True, eq=False)
class TwoHistories:
    """Two noise histories on one recurrent network in its stationary state.

    Attributes
    ----------
    network : Network
    curve : Curve
        C at N → ∞.
    """

    network: Network
    curve: Curve

    @property
    def variance(self) -> float:
        """C_δ(0): the variance of a unit over its noise."""
        return self.curve.variance - self._static

    @property
    def _static(self) -> float:
        return 0.0 if abs(self.curve.plateau) < FADED * self.curve.variance else self.curve.plateau

    @cached_property
    def _rate(self) -> float:
        """Between the slowest and the fastest that matters."""
        return math.sqrt(self.curve.rate * self.network.gamma)

    def gain(self, frequency: np.ndarray) -> np.ndarray:
        """G(ω) of one unit."""
        s = 1j * np.asarray(frequency, float)
        return np.asarray(np.sum([residue / (rate + s) for residue, rate in modes_of(self.network)], axis=0))

    @cached_property
    def units(self) -> Units:
        """Averages over units, and those of the coarser rule."""
        return Units.of(self.network, self.curve, self._static, self._rate, self._fine[1])

    @cached_property
    def _coarser(self) -> Units:
        return (
            Units.of(self.network, self.curve, self._static, self._rate, self._fine[0]) if self._static else self.units
        )

    @property
    def _fine(self) -> tuple[float, float]:
        return _FINE_FOR_KINKS if self.network.activation.kinks else _FINE

    @property
    def _error(self) -> float:
        """Of spectra at the least frequency, relative: slow decays make more of what C(τ) leaves out."""
        known = max(self.curve.error, _ACCURACY) * (self.network.gamma / self.curve.rate) ** 2
        return self.units.left + known

    def spectrum(self, frequency: np.ndarray, units: Units | None = None) -> np.ndarray:
        """C_δ(ω)."""
        units = units or self.units
        inner = self.network.kappa + self.network.sigma_w**2 * units.weights @ units.spectra(frequency)
        return np.asarray(np.abs(self.gain(frequency)) ** 2 * inner)

    def scatter(self) -> Scatter:
        """ψ = N E Σ_h,ij(0)², i ≠ j.

        Raises
        ------
        InputError
            If it diverges, or no grid resolves it.
        """
        return self._integrated(self._of_h)

    def scatter_of_activity(self) -> Scatter:
        """N E Σ_φ,ij(0)², i ≠ j."""
        return self._integrated(self._of_phi)

    def dimension(self) -> Scatter:
        """D/N at equal times."""
        return self.scatter().dimension(self.variance, self._error * self.variance)

    def dimension_at(self, frequency: float) -> Scatter:
        """D/N of the cross-spectra at one angular frequency."""
        self._check()
        found = [self._at(frequency, units) for units in (self.units, self._coarser)]
        wrong = abs(found[0] - found[1]) + 4 * self._error * found[0]
        return Scatter(found[0], wrong)

    def _at(self, frequency: float, units: Units) -> float:
        both = np.array([frequency, -frequency])
        density = self._of_h(both[:1], both[1:], units)[0, 0]
        size = float(self.spectrum(both[:1], units)[0])
        return float(1 / (1 + density / size**2))

    def _check(self) -> None:
        network = self.network
        largest = 1 / network.gamma**2 if network.adaptation is None else network.adaptation.largest_gain(network.gamma)
        gain = network.sigma_w**2 * self.units.slope_square * largest
        if gain >= 1 - 1e-9:
            raise InputError(
                f"what noise makes of two histories does not fade: σ_w² ⟨φ'^a φ'^b⟩ max|G|² = {gain:.4g} ≥ 1 at"
                f" σ_w={network.sigma_w:g}, so that 1/|1 − x|² diverges; write a smaller sigma_w"
            )

    def _integrated(self, density: Callable[[np.ndarray, np.ndarray, Units], np.ndarray]) -> Scatter:
        self._check()
        before, count = math.nan, _FIRST
        while True:
            now = self._sum(density, count, self.units)
            if abs(now - before) <= _SETTLED * abs(now) or count >= _LAST:
                break
            before, count = now, 2 * count
        wrong = abs(now - before) + 4 * self._error * abs(now)
        if self._static:
            wrong += abs(now - self._sum(density, count, self._coarser))
        if not wrong < 0.1 * abs(now) + FADED:
            raise InputError(f"two histories: {count} frequencies do not resolve them, so close is the edge of chaos")
        return Scatter(now, wrong)

    def _sum(self, density: Callable[[np.ndarray, np.ndarray, Units], np.ndarray], count: int, units: Units) -> float:
        omega, weights = frequencies(self._rate, count)
        rows = max(1, (1 << 20) // count)
        return float(
            sum(
                weights[start : start + rows] @ density(omega[start : start + rows], omega, units) @ weights
                for start in range(0, count, rows)
            )
        )

    def _of_phi(self, one: np.ndarray, two: np.ndarray, units: Units) -> np.ndarray:
        return np.asarray((1 / np.abs(1 - self._x(one, two, units)) ** 2 - 1) * units.scatter(one, two))

    def _of_h(self, one: np.ndarray, two: np.ndarray, units: Units) -> np.ndarray:
        x, C = self._x(one, two, units), np.outer(self.spectrum(one, units), self.spectrum(two, units))
        gains = np.outer(np.abs(self.gain(one)) ** 2, np.abs(self.gain(two)) ** 2)
        heard = self.network.sigma_w**4 * units.scatter(one, two) * gains / np.abs(1 - x) ** 2
        return np.asarray(heard + 2 * (x / (1 - x)).real * C)

    def _x(self, one: np.ndarray, two: np.ndarray, units: Units) -> np.ndarray:
        return self.network.sigma_w**2 * units.slope_square * np.outer(self.gain(one), self.gain(two))


def two_histories(network: Network) -> TwoHistories:
    """Two noise histories on a stationary recurrent network, with its solution at N → ∞.

    Raises
    ------
    InputError
        If there is no stationary state, nothing in it fluctuates, or the input that both hear changes in time.
    """
    if not network.stationary:
        raise InputError("two histories are known in a stationary state; write start='stationary', or a whole order")
    if network.layered:
        raise InputError("layers are new at each depth and have no spectra; their dimension is that at equal times")
    if any(rate > 0.0 for rate, _ in network.sources):
        raise InputError(
            "an input that changes is heard by both histories, and what it leaves them in common is not known; write a"
            " number for q"
        )
    curve = solve_static(network) if network.adaptation is None else solve_adapting(network, 1e-10)
    if curve.end == 0.0 or curve.variance - curve.plateau <= FADED * curve.variance:
        raise InputError("nothing fluctuates in this network, so that its covariances are 0; write kappa > 0")
    return TwoHistories(network, curve)
