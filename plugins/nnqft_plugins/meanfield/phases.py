"""Order and chaos at infinite width: the edge between them, and the plane around it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import brentq

from nnqft import AbstractExecutor, Activation, InputError, Theory, finite_number, short
from nnqft.host import open_executor
from nnqft_plugins.files import write_json
from nnqft_plugins.meanfield.driven import solve_driven
from nnqft_plugins.meanfield.gaussian import average_of_square
from nnqft_plugins.meanfield.layers import equivalent, fixed_layers
from nnqft_plugins.meanfield.lyapunov import largest_exponent
from nnqft_plugins.meanfield.stationary import fixed_point, solve_static
from nnqft_plugins.networks import Network, network_of
from nnqft_plugins.threads import one_thread

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LARGEST = 200.0
"""σ_w/γ beyond which no edge is looked for."""


def edge_of_chaos(
    theory: Theory, sigma_b: Any = None, *, layer: float | None = None, activation: Activation | None = None
) -> np.ndarray:
    """The σ_w at which the largest Lyapunov exponent becomes positive, for each σ_b.

    Parameters
    ----------
    theory
        σ_w and N play no part. A recurrent network with noise or a moving input: λ = 0. One without: the fixed point
        loses its stability, σ_w² ⟨φ'²⟩ = γ². Layers: χ_1 = 1.
    sigma_b : (M,) array
        The theory's own if not given.
    layer
        Depth of a layer of a stack: 1 is the perceptron h_{l+1} = W φ(h_l) + b, at γ = 1. Without it, thin ones.

    Returns
    -------
    (M,) array
        nan where there is no edge: C grows beyond all bounds before it, or chaos never sets in.

    Notes
    -----
    H. Sompolinsky, A. Crisanti, H. J. Sommers, Phys. Rev. Lett. 61, 259 (1988); B. Poole et al., arXiv:1606.05340;
    S. S. Schoenholz et al., arXiv:1611.01232.
    """
    network = network_of(theory, activation)
    thickness = _thickness(network, layer)
    values = [network.sigma_b] if sigma_b is None else axis("sigma_b", sigma_b)
    with one_thread():
        return np.array([_edge(replace(network, sigma_b=float(value)), thickness) for value in values])


def _edge(network: Network, thickness: float) -> float:
    if network.layered:
        twin = equivalent(replace(network, sigma_w=1.0), thickness)
        return _edge_at_rest(twin) / twin.sigma_w
    if network.kappa == 0.0 and not _moving(network):
        return _edge_at_rest(network)
    return _edge_of_motion(network)


def _edge_at_rest(network: Network) -> float:
    """Where a fixed point loses its stability: on the curve with the variance q as its parameter,

    σ_w² = γ²/⟨φ'²⟩_q ,     S = γ² q − σ_w² ⟨φ²⟩_q .
    """
    phi, gamma = network.activation, network.gamma

    def missing(q: float) -> float:
        at = np.array(q)
        with np.errstate(all="ignore"):
            ratio = average_of_square(phi.value, at) / average_of_square(phi.slope, at)
        return network.static / gamma**2 - q + float(ratio)

    low, high = 0.0, 1e-8
    if missing(0.0) > 0.0:
        while not missing(high) <= 0.0:
            low, high = high, 1.3 * high
            if high > _LARGEST**2:
                return math.nan
        low = brentq(missing, low, high, xtol=1e-16, rtol=1e-14)
    slope = float(average_of_square(phi.slope, np.array(low)))
    sigma_w = gamma / math.sqrt(slope) if slope > 0.0 else math.nan
    # The curve also has points that no network comes to from a small variance.
    if not math.isfinite(sigma_w):
        return math.nan
    attained = _fixed(replace(network, sigma_w=sigma_w * (1 - 1e-9)))
    return sigma_w if abs(attained - low) < 1e-3 * (1 + low) else math.nan


def _fixed(network: Network) -> float:
    try:
        return fixed_point(network)
    except InputError:
        return math.inf


def _edge_of_motion(network: Network) -> float:
    """Where λ of a moving network becomes positive."""

    def growth(sigma_w: float) -> float:
        try:
            return exponent(replace(network, sigma_w=sigma_w))[0]
        except InputError:
            return math.nan

    low, below = 0.1 * network.gamma, math.nan
    while low < _LARGEST * network.gamma:
        high = 1.3 * low
        above = growth(high)
        if math.isnan(above):
            return math.nan
        if below < 0.0 <= above:
            return float(brentq(growth, low, high, xtol=1e-10, rtol=1e-10))
        low, below = high, above
    return math.nan


def _moving(network: Network) -> bool:
    return any(rate > 0.0 for rate, _ in network.sources)


def exponent(network: Network, thickness: float = 0.0, accuracy: float = 1e-8) -> tuple[float, float, float]:
    """λ, C(0) and C(∞) of a stationary network; for layers those of one input, and λ per unit of depth.

    Raises
    ------
    InputError
        If there is no stationary state.
    """
    if network.layered:
        fixed = fixed_layers(network, thickness)
        log_chi = math.log(fixed.chi) if fixed.chi > 0.0 else -math.inf
        return log_chi / (2 * (thickness or 1.0)), fixed.variance, 0.0
    curve = (solve_driven if _moving(network) else solve_static)(network, accuracy)
    return largest_exponent(network, curve, accuracy)[0], curve.variance, curve.plateau


@dataclass(frozen=True, eq=False)
class PhaseDiagram:
    """The largest Lyapunov exponent over the plane of σ_w and σ_b.

    Attributes
    ----------
    model : str
    parameters : mapping
        The others; σ_w, σ_b and N play no part.
    activation : str
    layer : float or None
        Depth of a layer, of a stack.
    sigma_w, sigma_b : (A,) and (B,) arrays
    lyapunov, variance, plateau : (B, A) arrays
        λ, C(0) and C(∞); nan where there is no stationary state.
    edge : (B,) array
        σ_w at which λ = 0; nan where that does not happen.
    """

    model: str
    parameters: Mapping[str, Any]
    activation: str
    layer: float | None
    sigma_w: np.ndarray
    sigma_b: np.ndarray
    lyapunov: np.ndarray
    variance: np.ndarray
    plateau: np.ndarray
    edge: np.ndarray

    @property
    def title(self) -> str:
        """What it shows, in a line."""
        names = {"gamma": "γ", "kappa": "κ", "sigma_u": "σ_u"}
        shown = [f"{names[name]}={value:g}" for name, value in self.parameters.items() if name in names and value]
        if self.layer is not None:
            shown.append(f"η={self.layer:g}")
        return f"{self.model}, φ = {self.activation}, N → ∞: " + ", ".join(shown)

    def table(self) -> str:
        """The edge as plain text."""
        lines = [f"edge of chaos of {self.title}", "", f"{'σ_b':>10}  {'σ_w':>14}  {'σ_b²':>10}  {'σ_w²':>14}"]
        for bias, weight in zip(self.sigma_b, self.edge, strict=True):
            found = ("none", "") if math.isnan(weight) else (f"{weight:.8g}", f"{weight**2:.8g}")
            lines.append(f"{bias:>10.5g}  {found[0]:>14}  {bias**2:>10.5g}  {found[1]:>14}".rstrip())
        if unstable := int(np.isnan(self.lyapunov).sum()):
            lines.append(f"note: {unstable} of {self.lyapunov.size} cells have no stationary state")
        return "\n".join(lines)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Colour the plane by λ and draw the edge; returns the axes."""
        from matplotlib.colors import TwoSlopeNorm

        if ax is None:
            from matplotlib.figure import Figure

            ax = Figure(figsize=(6.4, 4.8), layout="constrained").subplots()
        known = self.lyapunov[np.isfinite(self.lyapunov)]
        span = max(float(np.abs(known).max(initial=0.0)), 1e-12)
        ax.set_facecolor("0.85")
        colours = ax.pcolormesh(
            self.sigma_w, self.sigma_b, np.ma.masked_invalid(self.lyapunov), shading="nearest", cmap="RdBu_r",
            norm=TwoSlopeNorm(0.0, -span, span), rasterized=True,
        )  # fmt: skip
        unit = "unit of depth" if self.layer is not None or self.model == "feedforward" else "unit of time"
        assert ax.figure is not None
        ax.figure.colorbar(colours, ax=ax, label=f"largest Lyapunov exponent per {unit}")
        if np.isfinite(self.edge).any():
            ax.plot(self.edge, self.sigma_b, color="black", label="edge of chaos")
        if np.isnan(self.lyapunov).any():
            ax.plot([], [], "s", color="0.85", markeredgecolor="0.6", label="no stationary state")
        ax.set_xlim(self.sigma_w.min(), self.sigma_w.max())
        ax.set_ylim(self.sigma_b.min(), self.sigma_b.max())
        ax.set_xlabel("σ_w")
        ax.set_ylabel("σ_b")
        ax.set_title(self.title, fontsize="medium")
        if ax.get_legend_handles_labels()[1]:
            ax.legend(loc="upper left", framealpha=0.8)
        return ax

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to a JSON file."""
        write_json(path, {"kind": "phase diagram", **vars(self)})


@dataclass(frozen=True)
class Row:
    """One σ_b of a phase diagram: an item of work."""

    network: Network
    sigma_w: tuple[float, ...]
    thickness: float


def solve_row(row: Row) -> tuple[np.ndarray, float]:
    """(3, A) of λ, C(0) and C(∞), and the edge."""
    found = np.full((3, len(row.sigma_w)), math.nan)
    with one_thread():
        for n, sigma_w in enumerate(row.sigma_w):
            try:
                found[:, n] = exponent(replace(row.network, sigma_w=sigma_w), row.thickness, 1e-6)
            except InputError:
                continue
        return found, _edge(row.network, row.thickness)


def phase_diagram(
    theory: Theory,
    *,
    sigma_w: Any,
    sigma_b: Any,
    layer: float | None = None,
    executor: str | AbstractExecutor = "local",
    workers: int | None = None,
    address: str | None = None,
    activation: Activation | None = None,
) -> PhaseDiagram:
    """λ, C(0) and C(∞) over a grid of σ_w and σ_b, and the edge of chaos.

    Parameters
    ----------
    theory
        Everything but σ_w, σ_b and N.
    sigma_w, sigma_b : (A,) and (B,) arrays
    layer, activation
        As for `edge_of_chaos`.
    executor, workers, address
        As for `nnqft.compute`; a row of the grid is an item of work.

    Raises
    ------
    InputError
        If the model has no activation or the grid makes no sense.
    """
    network = network_of(theory, activation)
    thickness = _thickness(network, layer)
    weights, biases = axis("sigma_w", sigma_w), axis("sigma_b", sigma_b)
    rows = [Row(replace(network, sigma_b=bias), tuple(weights), thickness) for bias in biases]
    place = open_executor(executor, workers, address)
    try:
        found = list(place.map(solve_row, rows))
    finally:
        if place is not executor:
            place.close()
    planes = np.array([cells for cells, _ in found]).swapaxes(0, 1)
    return PhaseDiagram(
        model=theory.model,
        parameters={k: v for k, v in theory.parameters.items() if k not in ("sigma_w", "sigma_b", "N")},
        activation=network.activation.name,
        layer=thickness or None,
        sigma_w=np.array(weights),
        sigma_b=np.array(biases),
        lyapunov=planes[0],
        variance=planes[1],
        plateau=planes[2],
        edge=np.array([edge for _, edge in found]),
    )


def axis(name: str, values: Any) -> list[float]:
    """Increasing numbers ≥ 0 of one side of the grid.

    Raises
    ------
    InputError
        If they are something else.
    """
    given: Sequence[Any] = [values] if isinstance(values, int | float) else list(_items(name, values))
    numbers = [finite_number(name, value) for value in given]
    if not numbers or min(numbers) < 0.0 or any(b <= a for a, b in pairwise(numbers)):
        raise InputError(f"{name}={short(values)}: wanted increasing numbers ≥ 0, write for example {name}=[0.5, 1.0]")
    return numbers


def _items(name: str, values: Any) -> Iterator[Any]:
    try:
        yield from np.asarray(values).tolist()
    except TypeError:
        raise InputError(f"{name}={short(values)}: wanted numbers, write for example {name}=[0.5, 1.0]") from None


def _thickness(network: Network, layer: Any) -> float:
    if layer is None:
        return 0.0
    if not network.layered:
        raise InputError("layer is for model 'feedforward'; leave it out")
    depth = finite_number("layer", layer)
    if not 0.0 < depth < 2 / network.gamma:
        raise InputError(f"layer={short(layer)}: wanted a depth between 0 and 2/γ={2 / network.gamma:g}")
    return depth
