"""What the mean-field solver hands back."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from nnqft import InputError
from nnqft.checks import finite_array
from nnqft.files import to_plain, write_json
from nnqft.show import chart
from nnqft.show.numbers import parameter_line, parameter_title, spread
from nnqft.show.page import Page, Table
from nnqft.threads import one_thread
from nnqft_plugins.networks.meanfield.elliptic import margin
from nnqft_plugins.networks.meanfield.layers import Layers, fixed_layers, layered_exponent
from nnqft_plugins.networks.meanfield.lyapunov import largest_exponent
from nnqft_plugins.networks.meanfield.stationary import Curve
from nnqft_plugins.networks.meanfield.structured import normalised, outlying_exponent
from nnqft_plugins.networks.network import Network

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROWS = 11


@dataclass(frozen=True, eq=False, repr=False)
class MeanField:
    """The correlator at infinite width.

    Attributes
    ----------
    model : str
    parameters : mapping
    start : str
    network : Network
    tau : (T,) array
        Lags of a stationary C; from rest the times of the grid, from 0 on.
    C : array
        (T,) C(τ), or from rest (T, T) C(t,s).
    error : float
        Estimate of the largest numerical error of C on the grid.
    wanted : float
        The error that was asked for.
    curve : Curve or None
        The stationary solution; None from rest.
    notes : tuple of str
    populations : tuple of Curve
        The solution of each population, if there are several; `curve` is that of the one looked at.
    """

    model: str
    parameters: Mapping[str, Any]
    start: str
    network: Network
    tau: np.ndarray
    C: np.ndarray
    error: float
    wanted: float
    curve: Curve | None
    notes: tuple[str, ...] = ()
    populations: tuple[Curve, ...] = ()
    between: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = field(default=None, repr=False)

    def correlator(self, t: Any, s: Any = None) -> np.ndarray:
        """C at any lags, or at any pairs of times.

        Parameters
        ----------
        t, s : arrays that broadcast
            Stationary: lags τ of either sign, or the times of both points. From rest: both times, within the grid.

        Raises
        ------
        InputError
            From rest, without s or outside the grid.
        """
        t = finite_array("t", t)
        if s is not None and not (t - (s := finite_array("s", s))).size:
            return t - s  # no times, no values
        if self.curve is not None:
            return self.curve.C(np.abs(t if s is None else t - s)) if t.size else t
        if s is None:
            raise InputError("from rest C depends on both times: write correlator(t, s)")
        if min(t.min(), s.min()) < 0.0 or max(t.max(), s.max()) > self.tau[-1] * (1 + 1e-12):
            raise InputError(f"times outside [0, {self.tau[-1]:g}], where C was solved; write a larger horizon")
        assert self.between is not None
        return self.between(t, s)

    @property
    def converged(self) -> bool:
        """The error asked for was reached."""
        return self.error <= self.wanted

    @property
    def times(self) -> np.ndarray:
        """(T,) times of the grid, from rest; lags of a stationary C."""
        return self.tau

    @property
    def variance(self) -> float:
        """C(0), from rest C at the last time."""
        return self.curve.variance if self.curve is not None else float(self.C[-1, -1])

    @property
    def plateau(self) -> float:
        """C(∞) of a stationary process, nan from rest."""
        return self.curve.plateau if self.curve is not None else math.nan

    @property
    def decay_rate(self) -> float:
        """Rate at which C − C(∞) falls in the end, 1/time; 0 if C is constant, nan from rest."""
        return self.curve.rate if self.curve is not None else math.nan

    @property
    def correlation_length(self) -> float:
        """∫_0^∞ (C − C(∞)) dτ / (C(0) − C(∞)), in units of time; 0 if C is constant, nan from rest."""
        if self.curve is None:
            return math.nan
        span = self.variance - self.plateau
        if self.curve.end == 0.0 or span <= 0.0:
            return 0.0
        from scipy.integrate import simpson

        # Even spacing in log(1 + γτ) resolves both the beginning and a slow end.
        x = np.linspace(0.0, math.log1p(self.network.gamma * self.curve.end), 4001)
        tau = np.expm1(x) / self.network.gamma
        return float(simpson((self.curve.C(tau) - self.plateau) * np.exp(x) / self.network.gamma, x=x) / span)

    @cached_property
    def _exponent(self) -> tuple[float, float]:
        if self.curve is None or self.network.adaptation is not None or self.populations:
            return math.nan, math.nan
        if self.network.weights is not None and self.network.weights.eta:
            return -margin(normalised(self.network)), 0.0
        if self.network.layered:
            return layered_exponent(self.network, self.variance), 0.0
        with one_thread():
            exponent, error = largest_exponent(self.network, self.curve)
        if self.network.weights is not None and self.network.weights.low_rank:
            outlier = outlying_exponent(self.network, self.variance)
            # Where the components are active, what they bring is 0 to first order, and known no further.
            return (max(exponent, outlier), error) if abs(outlier) > 1e-9 * self.network.gamma else (math.nan, math.nan)
        return exponent, error

    @property
    def lyapunov(self) -> float:
        """Largest Lyapunov exponent, 1/time: two close copies part as e^{λt}; nan from rest and with adaptation."""
        return self._exponent[0]

    @property
    def lyapunov_error(self) -> float:
        """Estimate of its numerical error."""
        return self._exponent[1]

    @property
    def chaotic(self) -> bool:
        """Close copies part."""
        return self.lyapunov > 0.0

    def layers(self, thickness: float = 1.0) -> Layers:
        """Fixed point and depth scales of the stack with layers of that depth.

        Raises
        ------
        InputError
            For a network that is no stack of layers.
        """
        if not self.network.layered:
            raise InputError(f"model {self.model!r} has no layers; wanted a stack of them, model 'feedforward'")
        return fixed_layers(self.network, thickness)

    def table(self) -> str:
        """The solution as plain text."""
        activation = self.network.activation.name
        what = f"mean-field theory of {self.model} ({self.start}), φ = {activation}, N → ∞"
        shown = {name: value for name, value in self.parameters.items() if name not in ("N", "degree")}
        numbers = []
        if self.curve is not None:
            numbers += [
                ("C(0)", f"{self.variance:.10g}"),
                ("plateau C(∞)", f"{self.plateau:.10g}"),
                ("correlation length", f"{self.correlation_length:.8g}"),
                ("decay rate", f"{self.decay_rate:.8g}"),
            ]
            if not math.isnan(self.lyapunov):
                kind = "chaotic" if self.chaotic else "not chaotic"
                numbers.append(("Lyapunov exponent", f"{self.lyapunov:.8g}  ({kind})"))
        for number, curve in enumerate(self.populations, start=1):
            numbers.append((f"C(0) of population {number}", f"{curve.variance:.10g}"))
        numbers.append(("numerical error", f"{self.error:.1e}"))
        lines = "\n".join(f"  {name:<18}  {value}" for name, value in numbers)
        values = self.C if self.curve is not None else np.diagonal(self.C)
        rows = [(f"{self.tau[n]:.5g}", f"{values[n]:.8g}") for n in spread(len(self.tau), _ROWS)]
        columns = ("τ", "C(τ)") if self.curve is not None else ("t", "C(t,t)")
        return Page((what, parameter_line(shown)), (lines, Table(columns, rows)), self.notes).text()

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        when = "C(0)" if self.curve is not None else f"C(t,t) at t = {self.tau[-1]:g}"
        return f"MeanField({self.model}, φ = {self.network.activation.name}: {when} = {self.variance:.8g})"

    def plot(self, ax: Axes | None = None) -> Axes:
        """Plot C(τ), from rest C(t,t) and C(t,s) for a few s; returns the axes."""
        title = f"mean-field {self.model}, φ = {self.network.activation.name}: {parameter_title(self.parameters)}"
        if self.curve is not None:
            curves, levels = [chart.Curve(self.tau, self.C, label="C(τ)")], [(self.plateau, "plateau")]
            ax = chart.Chart(curves, title, "τ", "C", levels=levels).draw(ax)
            ax.set_ylim(bottom=min(0.0, float(self.C.min())))
            return ax
        curves = [chart.Curve(self.tau, np.diagonal(self.C), label="C(t,t)", colour="black")]
        for n in np.linspace(0, len(self.tau) - 1, 6).astype(int)[1:-1]:
            curves.append(chart.Curve(self.tau, self.C[n], label=f"s = {self.tau[n]:.3g}"))
        return chart.Chart(curves, title, "t", "C").draw(ax)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to a JSON file."""
        write_json(path, self.to_data())

    def to_data(self) -> dict[str, Any]:
        """Everything as JSON values."""
        numbers = (
            "C",
            "variance",
            "plateau",
            "decay_rate",
            "correlation_length",
            "lyapunov",
            "lyapunov_error",
            "error",
        )
        return {
            "kind": "mean field",
            "model": self.model,
            "start": self.start,
            "parameters": to_plain(dict(self.parameters)),
            "activation": self.network.activation.name,
            "tau" if self.curve is not None else "times": self.tau.tolist(),
            **{name: to_plain(getattr(self, name)) for name in numbers},
            **({"variances": [curve.variance for curve in self.populations]} if self.populations else {}),
            "notes": list(self.notes),
        }
