"""The closed forms of the talk "NN/QFT correspondence", under their own name: a reference to compare with.

R. Jefferson, NN/QFT correspondence, Perimeter Institute, 11 April 2025, pirsa.org/25040128, slides "Loop-corrected
propagator" and "Effective correlation length"; for a linear network, to first order in T/N at a horizon T.

What is known of them (docs/study.md): they follow from one spectrum, given by `Published.spectrum`. Its
N → ∞ part is the mean-field line dressed once more with all tadpoles, which a consistent expansion about the saddle
cancels; so ξ does not become ξ_0 as N → ∞. Its T/N part has the form of a mass that closed response loops with θ(0) ≠ 0
give; with θ(0) = 0 these loops vanish.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nnqft import InputError, Theory, finite_number, short
from nnqft.checks import finite_array, one_line_keywords
from nnqft.files import to_plain, write_json
from nnqft.show.chart import Chart, Curve
from nnqft.show.page import Page, Table
from nnqft_plugins.networks.weights import refuse_structure

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, repr=False)
class Published:
    """The talk's X(τ) and what it is made of.

    Attributes
    ----------
    gamma, kappa, sigma_w : float
        Leak rate, noise strength, weights; each in 1/time.
    bias : float
        σ_{b,eff}² = σ_b² + σ_u² q, in 1/time².
    N : int
        Width.
    horizon : float
        T, the depth of the network, in the unit of time.
    """

    gamma: float
    kappa: float
    sigma_w: float
    bias: float
    N: int
    horizon: float

    @property
    def xi_0(self) -> float:
        """Correlation length at infinite width, (γ² − σ_w²)^{−1/2}, in the unit of time. Exact."""
        return float((self.gamma**2 - self.sigma_w**2) ** -0.5)

    @property
    def xi(self) -> float:
        """ξ = (ξ_0/2) [1 + γ²ξ_0² + (γT/8N) (1 + 3γ²ξ_0²) ξ_0²σ_w²], the talk's loop-corrected correlation length.

        It is 2 (X(0) − plateau)/κ of `spectrum`, at every T/N. At T/N = 0 it is (ξ_0/2)(1 + γ²ξ_0²) ≥ ξ_0.
        """
        square, gamma = self.xi_0**2, self.gamma
        finite = gamma * self._depth / 8 * (1 + 3 * gamma**2 * square) * square * self.sigma_w**2
        return self.xi_0 / 2 * (1 + gamma**2 * square + finite)

    @property
    def plateau(self) -> float:
        """X(∞) = (γ²/2) ξ_0⁴ (2 + γ(T/N) ξ_0²σ_w²) σ_{b,eff}²; no unit. The exact N → ∞ value is ξ_0² σ_{b,eff}²."""
        finite = self.gamma * self._depth * self.xi_0**2 * self.sigma_w**2
        return self.gamma**2 / 2 * self.xi_0**4 * (2 + finite) * self.bias

    def correlator(self, tau: Any) -> np.ndarray:
        """X(τ) ≈ (κ/2) ξ e^{−|τ|/ξ} + plateau, the talk's form for small |τ|; `tau` of any shape.

        It has value and slope of the spectrum's transform at τ = 0+ and no more.
        """
        return self.kappa / 2 * self.xi * np.exp(-np.abs(finite_array("tau", tau)) / self.xi) + self.plateau

    def spectrum(self, omega: Any) -> np.ndarray:
        """X(ω) without the plateau's 2πδ(ω): κ (ω²+γ²)/(ω²+ξ_0^{−2})² [1 + (T/N)(γσ_w²/2)/(ω²+ξ_0^{−2})].

        Unit: time, as X(τ) has none. With B = κ + 2πδ(ω)σ_{b,eff}² for κ it is the whole, whose δ is the plateau.
        """
        square = finite_array("omega", omega) ** 2
        pole = square + self.xi_0**-2
        return self.kappa * (square + self.gamma**2) / pole**2 * (1 + self._mass / pole)

    def transform(self, tau: Any) -> np.ndarray:
        """X(τ) = ∫ X(ω) e^{−iωτ} dω/2π at any τ, plateau included: what the spectrum says beyond small |τ|."""
        lag, a = np.abs(finite_array("tau", tau)), 1 / self.xi_0
        one = 1 / (2 * a)
        two = (1 + a * lag) / (4 * a**3)
        three = (3 + 3 * a * lag + (a * lag) ** 2) / (16 * a**5)
        # ω² + γ² = (ω² + a²) + σ_w².
        weights = self.sigma_w**2
        total = one + weights * two + self._mass * (two + weights * three)
        return self.kappa * total * np.exp(-a * lag) + self.plateau

    def infinite_width(self, tau: Any) -> np.ndarray:
        """The exact N → ∞ line, (κ/2) ξ_0 e^{−|τ|/ξ_0} + ξ_0² σ_{b,eff}², beside which the others are to be read."""
        lag = np.abs(finite_array("tau", tau))
        return self.kappa / 2 * self.xi_0 * np.exp(-lag / self.xi_0) + self.xi_0**2 * self.bias

    @property
    def _depth(self) -> float:
        return self.horizon / self.N

    @property
    def _mass(self) -> float:
        return self._depth * self.gamma * self.sigma_w**2 / 2

    def table(self, tau: Any = (0.0,)) -> str:
        """ξ, ξ_0 and the plateau, then the three lines over τ, as plain text."""
        heading = (
            f"published forms, linear network: γ={self.gamma:g}, κ={self.kappa:g}, σ_w={self.sigma_w:g},"
            f" σ_b,eff²={self.bias:g}, N={self.N}, T={self.horizon:g}",
            f"ξ_0 = {self.xi_0:.10g}",
            f"ξ = {self.xi:.10g}",
            f"plateau = {self.plateau:.10g}",
        )
        rows = []
        for lag in np.atleast_1d(finite_array("tau", tau)).ravel():
            values = (self.correlator(lag), self.transform(lag), self.infinite_width(lag))
            rows.append((f"{lag:g}", *(f"{float(value):.10g}" for value in values)))
        return Page(heading, (Table(("τ", "X(τ), small τ", "of the spectrum", "exact at N → ∞"), rows),)).text()

    def __repr__(self) -> str:
        return f"Published(N={self.N}, T={self.horizon:g}: ξ = {self.xi:.6g}, plateau = {self.plateau:.6g})"

    def __str__(self) -> str:
        return self.table()

    def plot(self, ax: Axes | None = None, longest: float | None = None) -> Axes:
        """The three lines from τ = 0 to the longest lag, by default 5 ξ_0; returns the axes."""
        lag = np.linspace(0, longest or 5 * self.xi_0, 200)
        curves = [
            Curve(lag, self.correlator(lag), label="published X(τ), for small τ"),
            Curve(lag, self.transform(lag), label="its spectrum, transformed", style="--"),
            Curve(lag, self.infinite_width(lag), label="exact at N → ∞", colour="0.6"),
        ]
        title = f"linear: σ_w={self.sigma_w:g}, N={self.N}, T={self.horizon:g}"
        return Chart(curves, title, "τ", "X(τ)").draw(ax)

    def save(self, path: str | os.PathLike[str], tau: Any = (0.0,)) -> None:
        """Write the parameters, ξ_0, ξ, the plateau and the lines over τ to a JSON file."""
        write_json(path, self.to_data(tau))

    def to_data(self, tau: Any = (0.0,)) -> dict[str, Any]:
        """The parameters, ξ_0, ξ, the plateau and the lines over τ as JSON values."""
        lag = np.atleast_1d(finite_array("tau", tau))
        names = ("gamma", "kappa", "sigma_w", "bias", "N", "horizon", "xi_0", "xi", "plateau")
        lines = {"correlator": self.correlator, "transform": self.transform, "infinite_width": self.infinite_width}
        numbers = {name: getattr(self, name) for name in names}
        return to_plain(numbers | {"tau": lag} | {name: line(lag) for name, line in lines.items()})


@one_line_keywords
def published(theory: Theory, horizon: Any) -> Published:
    """The talk's closed forms at the parameters of a network.

    Parameters
    ----------
    theory
        A stationary network with static weights. The forms are those of φ(h) = h, whatever its φ is.
    horizon
        T ≥ 0, in the unit of time; only T/N enters.

    Raises
    ------
    InputError
        If the model is no such network, σ_w ≥ γ, or the input changes in time.
    """
    if not isinstance(theory, Theory):
        raise InputError(f"theory={short(theory)}: wanted a Theory, write nnqft.theory('linear', N=100, sigma_w=0.5)")
    p = theory.parameters
    wanted = {"gamma", "kappa", "sigma_w", "sigma_b", "N"}
    if not wanted <= set(p) or "beta" in p or all(vertex.points < 2 for vertex in theory.interactions):
        raise InputError(
            f"model {theory.model!r} is no network with static weights, the published forms are for one; write 'linear'"
        )
    refuse_structure(p, "a published form", "leave it out")
    if not p["sigma_w"] < p["gamma"]:
        raise InputError(f"sigma_w={p['sigma_w']:g}: the published forms need sigma_w < gamma={p['gamma']:g}")
    depth = finite_number("horizon", horizon)
    if depth < 0:
        raise InputError(f"horizon={depth:g}: wanted a time ≥ 0, write for example horizon=10")
    bias = p["sigma_b"] ** 2 + p.get("sigma_u", 0.0) ** 2 * _static(p.get("q", 0.0), p.get("sigma_u", 0.0))
    return Published(p["gamma"], p["kappa"], p["sigma_w"], bias, theory.N, depth)


def _static(q: Any, sigma_u: float) -> float:
    if not isinstance(q, tuple):
        return float(q)
    if sigma_u and any(rate for rate, _ in q):
        raise InputError(f"q={short(dict(q))}: the published forms need an input that does not change; write q=number")
    return math.fsum(weight for rate, weight in q if not rate)
