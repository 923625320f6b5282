"""The study's figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nnqft.writing import write_figure
from nnqft_plugins.networks.published.forms import published
from nnqft_plugins.networks.study.cells import Cell
from nnqft_plugins.networks.study.edges import Edge
from nnqft_plugins.networks.study.plan import (
    CURVE,
    Kind,
    Settings,
    kinds,
    resummed_cell,
    series_cells,
    shown,
    simulation_cell,
)
from nnqft_plugins.networks.study.rows import Parts, Row
from nnqft_plugins.networks.study.sums import combine, evaluate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Data = Mapping[Cell, Mapping[str, Any]]


def draw_all(settings: Settings, data: Data, rows: Sequence[Row], edges: Sequence[Edge], folder: Path) -> list[str]:
    """Write the pictures, and return their names."""
    pictures = {"xi.png": draw_lengths(settings, rows), "correlators.png": draw_correlators(settings, data)}
    if edges:
        pictures["edges.png"] = draw_edges(edges)
    for name, figure in pictures.items():
        write_figure(folder / name, figure, dpi=90)
    return list(pictures)


def draw_lengths(settings: Settings, rows: Sequence[Row]) -> Figure:
    """ξ over 1/N beside the published formula, and below its distance from N → ∞; a column for each kind of network."""
    from matplotlib.figure import Figure

    columns = list(dict.fromkeys(row.kind for row in rows))
    figure = Figure(figsize=(4.2 * max(1, len(columns)), 7.2), layout="constrained")
    if not columns:
        return figure
    panels = figure.subplots(2, len(columns), squeeze=False, sharex="col", height_ratios=(2, 3))
    for n, kind in enumerate(columns):
        for m, coupling in enumerate(kind.couplings):
            group = sorted((r for r in rows if (r.kind, r.coupling) == (kind, coupling)), key=lambda row: -row.N)
            if group:
                _against_published(panels[0, n], group, f"C{m}", coupling)
                _against_infinity(panels[1, n], group, f"C{m}")
        panels[0, n].set_title(kind.title, fontsize="medium")
        panels[0, n].set_ylabel("ξ = 2 C/κ")
        panels[0, n].legend(frameon=False, fontsize="small")
        panels[1, n].set_xlabel("1/N")
        panels[1, n].set_ylabel("ξ/ξ_∞ − 1")
        low, high = _extent([row for row in rows if row.kind == kind])
        panels[1, n].set_ylim(low - 0.3 * (high - low), high + 0.3 * (high - low))
    _style_legend(panels[1, 0])
    return figure


def _extent(rows: Sequence[Row]) -> tuple[float, float]:
    """Of ξ/ξ_∞ − 1; averages that single networks dominate may lie anywhere, and do not count."""
    seen = [0.0]
    for row in rows:
        seen += [x / row.infinite - 1 for x in (row.resummed, row.sum.value, row.best) if not np.isnan(x)]
        if not (row.heavy or row.discarded):
            seen.append(row.simulated / row.infinite - 1)
    return min(seen), max(seen)


def _against_published(axes: Axes, group: Sequence[Row], colour: str, coupling: float) -> None:
    one, x = group[0], [0.0, *(1 / row.N for row in group)]
    depth = (one.published - one.published_flat) * one.N
    axes.plot(x, [one.published_flat + depth * each for each in x], ":", color=colour)
    known = [row.best if row.summed else row.resummed for row in group]
    axes.plot(x, [one.infinite, *known], "-", color=colour, label=f"σ_w² = {coupling:g}")
    _points(axes, group, colour, lambda row, value: value)


def _against_infinity(axes: Axes, group: Sequence[Row], colour: str) -> None:
    x = np.array([1 / row.N for row in group])
    infinite, total = group[0].infinite, np.array([row.sum.value for row in group])
    left_open = np.array([row.sum.error for row in group])
    low, high = ((total + sign * left_open) / infinite - 1 for sign in (-1, 1))
    axes.fill_between(x, low, high, color=colour, alpha=0.15, lw=0)
    axes.plot(x, total / infinite - 1, "--", color=colour, lw=1)
    axes.plot([0, *x], [0, *(row.resummed / infinite - 1 for row in group)], "-", color=colour)
    axes.plot([0, *x], [0, *(row.best / infinite - 1 for row in group)], "-.", color=colour, lw=1)
    _points(axes, group, colour, lambda row, value: value / row.infinite, shift=1.0)


def _points(
    axes: Axes, group: Sequence[Row], colour: str, scale: Callable[[Row, float], float], shift: float = 0.0
) -> None:
    """Simulations; crosses where single networks dominate the average."""
    for marker, wanted in (("o", False), ("x", True)):
        kept = [row for row in group if (row.heavy or row.discarded > 0) is wanted]
        axes.errorbar(
            [1 / row.N for row in kept], [scale(row, row.simulated) - shift for row in kept],
            yerr=[scale(row, row.simulation_error) for row in kept],
            fmt=marker, color=colour, capsize=2.5, markersize=5,
        )  # fmt: skip


def _style_legend(axes: Axes) -> None:
    from matplotlib.lines import Line2D

    styles: dict[str, Any] = {
        "resummed to 1/N": "-",
        "and wider diagrams": "-.",
        "sum of diagrams": "--",
        "published (above)": ":",
    }
    handles = [Line2D([], [], color="0.3", linestyle=style, label=name) for name, style in styles.items()]
    marks = {"simulated": "o", "dominated by few networks": "x"}
    handles += [Line2D([], [], color="0.3", linestyle="", marker=mark, label=name) for name, mark in marks.items()]
    axes.legend(handles=handles, frameon=False, fontsize="small", loc="upper left")


def draw_correlators(settings: Settings, data: Data) -> Figure:
    """C(τ) of one network of each stationary kind, and its distance from N → ∞."""
    from matplotlib.figure import Figure

    chosen = [kind for kind in kinds(settings) if simulation_cell(settings, kind, *shown(kind), curve=True) in data]
    chosen = [
        kind for kind in chosen
        if all(cell in data for cell in [*series_cells(settings, kind), resummed_cell(kind, shown(kind)[0])])
    ]  # fmt: skip
    figure = Figure(figsize=(5.2 * max(1, len(chosen)), 6.0), layout="constrained")
    if chosen:
        panels = figure.subplots(2, len(chosen), squeeze=False, sharex=True, height_ratios=(3, 2))
        for column, kind in enumerate(chosen):
            _correlator(panels[0, column], panels[1, column], settings, kind, data)
    return figure


def _correlator(above: Axes, below: Axes, settings: Settings, kind: Kind, data: Data) -> None:
    coupling, N = shown(kind)
    simulated = data[simulation_cell(settings, kind, coupling, N, curve=True)]
    lags, cells = np.array(CURVE), [data[cell] for cell in series_cells(settings, kind)]
    tables = [combine(cells, at) for at in range(len(CURVE))]
    sums = [evaluate(table, coupling, N) for table in tables]
    parts = [Parts.of(kind, data[resummed_cell(kind, coupling)], at) for at in range(len(CURVE))]
    infinite, mushrooms = (
        kind.kappa / 2 * np.array([getattr(part, name) for part in parts]) for name in ("infinite", "mushrooms")
    )
    wider = N * np.array([evaluate(table, coupling, N, range(2, 100)).by_pade for table in tables])
    mean, error = np.array(simulated["mean"]), np.sqrt(np.diagonal(simulated["cov"]))
    total = np.array([each.value for each in sums])
    above.errorbar(lags, mean, yerr=error, fmt="o", color="black", capsize=2.5, markersize=5, label="simulated")
    above.plot(lags, infinite, "-", color="0.6", label="N → ∞")
    above.plot(lags, infinite + mushrooms / N, "-", color="C0", label="resummed to 1/N")
    above.plot(lags, total, "--", color="C1", label="sum of diagrams")
    if coupling < 1:
        fine = np.linspace(0, lags.max(), 100)
        talk = published(kind.theory(coupling, N), settings.horizon)
        above.plot(fine, talk.correlator(fine), ":", color="C3", label="published")
    below.errorbar(lags, N * (mean - infinite), yerr=N * error, fmt="o", color="black", capsize=2.5, markersize=5)
    below.plot(lags, mushrooms, "-", color="C0", label="resummed to 1/N")
    below.plot(lags, mushrooms + wider, "-.", color="C0", label="and wider diagrams")
    below.plot(lags, N * (total - infinite), "--", color="C1")
    below.axhline(0, color="0.6", lw=1)
    above.set_title(f"{kind.title}, σ_w²={coupling:g}, N={N}", fontsize="medium")
    above.set_ylabel("C(τ)")
    below.set_ylabel("N (C − C at N → ∞)")
    below.set_xlabel("τ")
    below.legend(frameon=False, fontsize="small")
    above.legend(frameon=False, fontsize="small")


def draw_edges(edges: Sequence[Edge]) -> Figure:
    """Mean, median and standard deviation of σ_c over N."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 3.6), layout="constrained")
    axes = figure.subplots()
    N = np.array([edge.N for edge in edges])
    mean, median, spread = (np.array([getattr(edge, name) for edge in edges]) for name in ("mean", "median", "spread"))
    axes.fill_between(
        N, mean[:, 0] - spread[:, 0], mean[:, 0] + spread[:, 0], color="C0", alpha=0.15, lw=0,
        label="± standard deviation over networks",
    )  # fmt: skip
    axes.errorbar(N, mean[:, 0], yerr=mean[:, 1], fmt="o-", color="C0", capsize=2.5, markersize=4, label="mean")
    axes.errorbar(N, median[:, 0], yerr=median[:, 1], fmt="s--", color="C1", capsize=2.5, markersize=4, label="median")
    axes.axhline(1, color="0.6", lw=1)
    axes.set_xscale("log")
    axes.set_xticks(N, [str(each) for each in N])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("N")
    axes.set_ylabel("σ_c/γ")
    axes.legend(frameon=False, fontsize="small")
    return figure
