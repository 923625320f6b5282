"""Order and chaos at infinite width: the edge between them, and the plane around it."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from nnqft import AbstractExecutor, Activation, InputError, IntegrationError, Theory
from nnqft.checks import one_line_keywords, positive_number, true_or_false
from nnqft.files import to_plain, write_json
from nnqft.host import running
from nnqft.show.chart import axes_or_new
from nnqft.show.page import Page, Table
from nnqft.show.progress import progress_bar
from nnqft.show.watch import OutOfTime, limit_line, tick
from nnqft.show.watch import time_limit as limited
from nnqft.threads import one_thread
from nnqft_plugins.networks.meanfield.edge import Edge, axis, edge_at, exponent, layer_depth, none_found
from nnqft_plugins.networks.network import Network, network_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, repr=False)
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
        λ, C(0) and C(∞); nan where there is no stationary state, λ also where rounding of C(0) decides.
    edge : (B,) array
        σ_w at which λ = 0; nan where that does not happen.
    no_edge : tuple of str
        Where there is none, and why.
    converged : bool
        Were all rows solved? What has no stationary state is a cell of the diagram, too.
    reason : str
        Why not.
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
    no_edge: tuple[str, ...] = ()
    converged: bool = True
    reason: str = ""

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
        rows = []
        for bias, weight in zip(self.sigma_b, self.edge, strict=True):
            found = ("none", "") if math.isnan(weight) else (f"{weight:.8g}", f"{weight**2:.8g}")
            rows.append((f"{bias:.5g}", found[0], f"{bias**2:.5g}", found[1]))
        table = Table(("σ_b", "σ_w", "σ_b²", "σ_w²"), rows)
        unstable, unknown = (int(np.isnan(x).sum()) for x in (self.variance, self.lyapunov))
        notes = [f"{unstable} of {self.lyapunov.size} cells have no stationary state"] if unstable else []
        if unknown > unstable:
            notes.append(f"λ of {unknown - unstable} cells is lost in rounding, C(0) being too large")
        notes += [*self.no_edge, *([self.reason] if self.reason else [])]
        return Page((f"edge of chaos of {self.title}",), (table,), notes).text()

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        return f"PhaseDiagram({self.title}: {len(self.sigma_w)} × {len(self.sigma_b)} cells)"

    def plot(self, ax: Axes | None = None) -> Axes:
        """Colour the plane by λ and draw the edge; returns the axes."""
        from matplotlib.colors import TwoSlopeNorm

        ax = axes_or_new(ax, height=4.8)
        known = self.lyapunov[np.isfinite(self.lyapunov)]
        # Each side has its own scale: order reaches far below zero where chaos stays close to it.
        low, high = float(known.min(initial=0.0)), float(known.max(initial=0.0))
        least = 1e-3 * max(-low, high, 1e-9)
        ax.set_facecolor("0.85")
        colours = ax.pcolormesh(
            self.sigma_w, self.sigma_b, np.ma.masked_invalid(self.lyapunov), shading="nearest", cmap="RdBu_r",
            norm=TwoSlopeNorm(0.0, min(low, -least), max(high, least)), rasterized=True,
        )  # fmt: skip
        unit = "unit of depth" if self.layer is not None or self.model == "feedforward" else "unit of time"
        assert ax.figure is not None
        bar = ax.figure.colorbar(colours, ax=ax, label=f"largest Lyapunov exponent per {unit}", format="%.2g")
        bar.set_ticks([low, low / 2, 0.0, high / 2, high] if low < 0.0 < high else [low, 0.0, high])
        if np.isfinite(self.edge).any():
            ax.plot(self.edge, self.sigma_b, color="black", label="edge of chaos")
        if np.isnan(self.lyapunov).any():
            why = "no stationary state" if np.isnan(self.variance).any() else "not known"
            ax.plot([], [], "s", color="0.85", markeredgecolor="0.6", label=why)
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
        write_json(path, self.to_data())

    def to_data(self) -> dict[str, Any]:
        """Everything as JSON values."""
        return {"kind": "phase diagram", **to_plain(vars(self))}


@dataclass(frozen=True)
class Row:
    """One σ_b of a phase diagram: an item of work."""

    network: Network
    sigma_w: tuple[float, ...]
    thickness: float


def solve_row(row: Row) -> tuple[np.ndarray, Edge]:
    """(3, A) of λ, C(0) and C(∞), and the edge."""
    found = np.full((3, len(row.sigma_w)), math.nan)
    with one_thread():
        for n, sigma_w in enumerate(row.sigma_w):
            try:
                found[:, n] = exponent(replace(row.network, sigma_w=sigma_w), row.thickness, 1e-6)
            except InputError:
                continue
        return found, edge_at(row.network, row.thickness)


@one_line_keywords
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
    progress: bool = False,
    time_limit: float | None = None,
) -> PhaseDiagram:
    """λ, C(0) and C(∞) over a grid of σ_w and σ_b, and the edge of chaos.

    Parameters
    ----------
    theory
        Everything but σ_w, σ_b and N.
    sigma_w, sigma_b : (A,) and (B,) arrays
    layer, activation
        As for `edge_of_chaos`.
    executor, workers, address, progress
        As for `nnqft.compute`; a row of the grid is an item of work.
    time_limit
        Stop after so many seconds with the rows that were solved, as Ctrl-C does; ``converged`` is then False, and the
        grid ends with the last of them.

    Raises
    ------
    InputError
        If the model has no activation or the grid makes no sense.
    IntegrationError
        If the time limit leaves no row.
    """
    network = network_of(theory, activation, adapting="a phase diagram")
    thickness = layer_depth(network, layer)
    weights, biases = axis("sigma_w", sigma_w), axis("sigma_b", sigma_b)
    rows = [Row(replace(network, sigma_b=bias), tuple(weights), thickness) for bias in biases]
    seconds = None if time_limit is None else positive_number("time_limit", time_limit)
    shown = true_or_false("progress", progress)
    found, ended = _solved_in_time(rows, partial(running, executor, workers, address), shown, seconds)
    if len(found) < len(biases):
        ended = f"{ended}: {len(found)} of {len(biases)} rows, up to σ_b = {biases[len(found) - 1]:g}"
        biases = biases[: len(found)]
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
        edge=np.array([edge.sigma_w for _, edge in found]),
        no_edge=tuple(none_found(biases, [edge for _, edge in found])),
        converged=not ended,
        reason=ended,
    )


def _solved_in_time(
    rows: list[Row], place: Callable[[], AbstractContextManager[AbstractExecutor]], progress: bool, limit: float | None
) -> tuple[list[tuple[np.ndarray, Edge]], str]:
    """The rows that were solved, one at least, and why not all of them, if so."""
    found: list[tuple[np.ndarray, Edge]] = []
    try:
        with place() as opened, progress_bar(progress, "solving", "rows") as report, limited(limit):
            for row in opened.map(solve_row, rows):
                found.append(row)
                report({"samples": len(found), "expected": len(rows), "error": math.inf})
                if len(found) < len(rows):
                    tick()
    except KeyboardInterrupt:
        if not found:
            raise
        return found, "interrupted"
    except OutOfTime:
        if not found:
            raise IntegrationError(f"{limit_line(limit)} before a row was solved") from None
        return found, limit_line(limit)
    return found, ""
