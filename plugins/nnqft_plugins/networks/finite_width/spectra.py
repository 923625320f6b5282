"""Spectra of correlators that are known as functions of the lag, by Laguerre functions:

    f(τ) = Σ_n l_n e^{−aτ} L_n(2aτ) ,     ∫_0^∞ f(τ) e^{−iωτ} dτ = Σ_n l_n (iω − a)^n/(iω + a)^{n+1} .

Of a decay e^{−λτ} the l_n fall like |(λ − a)/(λ + a)|^n. With ω = a tan(θ/2) the spectrum is a Fourier series in θ, and
the midpoint rule over θ converges geometrically.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_PANELS = 160
_NODES = 16
_MOST = 400
_NEGLIGIBLE = 1e-13


@dataclass(frozen=True)
class Spectrum:
    """∫ f(|τ|) e^{iωτ} dτ of the f with these coefficients; `left` is what they leave out of f(0), relative."""

    rate: float
    coefficients: np.ndarray
    left: float

    def __call__(self, frequency: np.ndarray) -> np.ndarray:
        """The spectrum at an array of angular frequencies."""
        s = 1j * np.asarray(frequency, float)
        ratio = (s - self.rate) / (s + self.rate)
        return np.asarray(2 * (np.polynomial.polynomial.polyval(ratio, self.coefficients) / (s + self.rate)).real)


def spectrum_of(function: Callable[[np.ndarray], np.ndarray], rate: float, end: float) -> Spectrum:
    """Of a function of lags ≥ 0 that is negligible beyond `end`, by Laguerre functions that decay with `rate`."""
    x, w = np.polynomial.legendre.leggauss(_NODES)
    # Panels grow with the lag: what is fast is over early.
    edges = end * np.expm1(np.linspace(0.0, 6.0, _PANELS + 1)) / np.expm1(6.0)
    half = np.diff(edges) / 2
    lag = (edges[:-1, None] + half[:, None] * (1 + x)).ravel()
    values = 2 * rate * function(lag) * (half[:, None] * w).ravel()
    z = 2 * rate * lag
    before, now = np.zeros_like(z), np.exp(-z / 2)
    found: list[float] = []
    for n in range(_MOST):
        found.append(float(now @ values))
        if n > 8 and max(map(abs, found[-4:])) < _NEGLIGIBLE * max(map(abs, found)):
            break
        before, now = now, ((2 * n + 1 - z) * now - n * before) / (n + 1)
    coefficients = np.array(found)
    size = float(np.abs(coefficients).max()) or 1.0
    return Spectrum(rate, coefficients, float(np.abs(coefficients[-4:]).max()) / size)


def frequencies(rate: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes ω and weights of ∫ dω/2π over all frequencies, for what falls like 1/ω² and has poles around `rate`."""
    half = (np.arange(count) + 0.5) * np.pi / count - np.pi / 2
    return rate * np.tan(half), rate / (2 * count * np.cos(half) ** 2)
