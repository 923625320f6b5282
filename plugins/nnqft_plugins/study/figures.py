"""The study's pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nnqft_plugins.published import published
from nnqft_plugins.study.cells import Cell
from nnqft_plugins.study.plan import CURVE, Kind, Settings, kinds, series_cells, shown, simulation_cell
from nnqft_plugins.study.rows import Row, width_parts
from nnqft_plugins.study.sums import combine, evaluate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Data = Mapping[Cell, Mapping[str, Any]]


def draw_all(settings: Settings, data: Data, rows: Sequence[Row], folder: Path) -> list[str]:
    """Write the pictures, and return their names."""
    pictures = {"xi.png": draw_lengths(settings, rows), "correlators.png": draw_correlators(settings, data)}
    for name, figure in pictures.items():
        figure.savefig(folder / name, dpi=110)
    return list(pictures)


def draw_lengths(settings: Settings, rows: Sequence[Row]) -> Figure:
    """ξ over 1/N, one panel for each kind of network."""
    from matplotlib.figure import Figure

    panels = list(dict.fromkeys(row.kind for row in rows))
    figure = Figure(figsize=(4.2 * len(panels), 4.6), layout="constrained")
    for axes, kind in zip(np.atleast_1d(figure.subplots(1, len(panels))), panels, strict=True):
        for n, coupling in enumerate(kind.couplings):
            group = [row for row in rows if row.kind == kind and row.coupling == coupling]
            if group:
                _lengths(axes, group, f"C{n}", coupling)
        axes.set_title(kind.title, fontsize="medium")
        axes.set_xlabel("1/N")
        axes.set_ylabel("ξ = 2 C/κ")
        top = max(max(row.resummed, row.sum.value, row.published) for row in rows if row.kind == kind)
        bottom = min(min(row.infinite, row.simulated) for row in rows if row.kind == kind)
        # Averages that single networks dominate may lie anywhere.
        axes.set_ylim(bottom - 0.06 * (top - bottom), top + 0.35 * (top - bottom))
        axes.legend(frameon=False, fontsize="x-small", ncols=2, loc="upper left")
    return figure


def _lengths(axes: Axes, group: Sequence[Row], colour: str, coupling: float) -> None:
    x = np.array([1 / row.N for row in group])
    order = np.argsort(x)
    grid = np.array([0.0, x.max()])
    one = group[0]
    slope = (one.resummed - one.infinite) * one.N
    depth = (one.published - one.published_flat) * one.N
    good = [not (row.heavy or row.discarded) for row in group]
    for marker, chosen, label in (("o", good, f"simulated, σ_w²={coupling:g}"), ("x", [not g for g in good], None)):
        kept = [row for row, wanted in zip(group, chosen, strict=True) if wanted]
        axes.errorbar(
            [1 / row.N for row in kept], [row.simulated for row in kept], yerr=[row.simulation_error for row in kept],
            fmt=marker, color=colour, capsize=2.5, markersize=5, label=label if kept else None,
        )  # fmt: skip
    axes.plot(grid, one.infinite + slope * grid, "-", color=colour, label="resummed to 1/N")
    total = np.array([row.sum.value for row in group])
    left_open = np.array([row.sum.error for row in group])
    axes.fill_between(x[order], (total - left_open)[order], (total + left_open)[order], color=colour, alpha=0.2, lw=0)
    axes.plot(x[order], total[order], "--", color=colour, lw=1, label="sum of diagrams")
    axes.plot(grid, one.published_flat + depth * grid, ":", color=colour, label="published")


def draw_correlators(settings: Settings, data: Data) -> Figure:
    """C(τ) of one network of each stationary kind, and its distance from N → ∞."""
    from matplotlib.figure import Figure

    chosen = [kind for kind in kinds(settings) if simulation_cell(settings, kind, *shown(kind), curve=True) in data]
    chosen = [kind for kind in chosen if all(cell in data for cell in series_cells(settings, kind))]
    figure = Figure(figsize=(5.2 * max(1, len(chosen)), 6.0), layout="constrained")
    if chosen:
        panels = figure.subplots(2, len(chosen), squeeze=False, sharex=True, height_ratios=(3, 2))
        for column, kind in enumerate(chosen):
            _correlator(panels[0, column], panels[1, column], settings, kind, data)
    return figure


def _correlator(above: Axes, below: Axes, settings: Settings, kind: Kind, data: Data) -> None:
    coupling, N = shown(kind)
    found = data[simulation_cell(settings, kind, coupling, N, curve=True)]
    lags, cells = np.array(CURVE), [data[cell] for cell in series_cells(settings, kind)]
    tables = [combine(cells, at) for at in range(len(CURVE))]
    sums = [evaluate(table, coupling, N) for table in tables]
    parts = [width_parts(kind, table, coupling, lag=lag) for table, lag in zip(tables, CURVE, strict=True)]
    infinite, mushrooms = (kind.kappa / 2 * np.array([part[n] for part in parts]) for n in (0, 1))
    mean, error = np.array(found["mean"]), np.sqrt(np.diagonal(found["cov"]))
    total = np.array([each.value for each in sums])
    above.errorbar(lags, mean, yerr=error, fmt="o", color="black", capsize=2.5, markersize=5, label="simulated")
    above.plot(lags, infinite, "-", color="0.6", label="N → ∞")
    above.plot(lags, infinite + mushrooms / N, "-", color="C0", label="resummed to 1/N")
    above.plot(lags, total, "--", color="C1", label="sum of diagrams")
    fine = np.linspace(0, lags.max(), 100)
    talk = published(kind.theory(coupling, N), settings.horizon)
    above.plot(fine, talk.correlator(fine), ":", color="C3", label="published")
    below.errorbar(lags, N * (mean - infinite), yerr=N * error, fmt="o", color="black", capsize=2.5, markersize=5)
    below.plot(lags, mushrooms, "-", color="C0")
    below.plot(lags, N * (total - infinite), "--", color="C1")
    below.axhline(0, color="0.6", lw=1)
    above.set_title(f"{kind.title}, σ_w²={coupling:g}, N={N}", fontsize="medium")
    above.set_ylabel("C(τ)")
    below.set_ylabel("N (C − C at N → ∞)")
    below.set_xlabel("τ")
    above.legend(frameon=False, fontsize="small")
