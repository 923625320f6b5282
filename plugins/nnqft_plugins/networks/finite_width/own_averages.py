"""Units by the averages over their own noise, which bias and input make different: what varies with these."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nnqft import Activation
from nnqft_plugins.networks.finite_width.spectra import Spectrum, spectrum_of
from nnqft_plugins.networks.meanfield.gaussian import moment
from nnqft_plugins.networks.meanfield.kernel import kernel
from nnqft_plugins.networks.meanfield.stationary import Curve
from nnqft_plugins.networks.network import Network

_FARTHEST = 7.0
"""Standard deviations of m."""
_MOST = 300


@dataclass(frozen=True, eq=False)
class Units:
    """Units by their averages m: the weight of each, the spectrum of φ(m + δh) beyond its average, and ⟨φ'⟩_m."""

    weights: np.ndarray
    each: list[Spectrum]
    slopes: np.ndarray

    @classmethod
    def of(cls, network: Network, curve: Curve, static: float, rate: float, fine: float) -> Units:
        """With so many averages to a scale, by the trapezoidal rule; with m = 0 alone where nothing static is heard.

        As a function of m everything is smooth on the scale of δh. `static` is the variance of m; spectra are by
        Laguerre functions that decay with `rate`.
        """
        variance = curve.variance - static
        most = _FARTHEST * math.sqrt(static)
        half = min(math.ceil(fine * most / math.sqrt(min(static, variance))), _MOST) if static else 0
        nodes = np.linspace(-most, most, 2 * half + 1)
        weights = np.exp(-(nodes**2) / (2 * static)) if static else np.ones(1)
        spectra, slopes = [], []
        for m in nodes.tolist():
            phi = _shifted(network.activation, m)
            series = kernel(phi, variance)
            level = float(series(np.array(0.0)))

            def beyond(lag: np.ndarray, series=series, level=level) -> np.ndarray:  # type: ignore[no-untyped-def]
                return np.asarray(series(np.clip((curve.C(lag) - static) / variance, -1.0, 1.0)) - level)

            spectra.append(spectrum_of(beyond, rate, max(curve.end, 40 / network.gamma)))
            slopes.append(moment(phi, variance, 1).value / math.sqrt(variance))
        return cls(weights / weights.sum(), spectra, np.array(slopes))

    @property
    def slope_square(self) -> float:
        """⟨φ'^a φ'^b⟩."""
        return float(self.weights @ self.slopes**2)

    @property
    def left(self) -> float:
        """What the spectra leave out, relative to all of them."""
        sizes = [float(np.abs(each.coefficients).max()) for each in self.each]
        left = sum(w * size * each.left for w, size, each in zip(self.weights, sizes, self.each, strict=True))
        return float(left / (self.weights @ sizes or 1.0))

    def spectra(self, frequency: np.ndarray) -> np.ndarray:
        """(m, frequencies) C_φ|m(ω)."""
        return np.stack([each(frequency) for each in self.each])

    def scatter(self, one: np.ndarray, two: np.ndarray) -> np.ndarray:
        """F at all pairs of frequencies."""
        return np.asarray((self.weights[:, None] * self.spectra(one)).T @ self.spectra(two))


def _shifted(activation: Activation, m: float) -> Activation:
    """φ(m + x) as a function of x."""
    if not m:
        return activation
    kinks = tuple(kink - m for kink in activation.kinks)
    return Activation(f"{activation.name} at {m:g}", lambda x: activation.value(m + x), kinks=kinks)
