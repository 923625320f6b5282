"""A result for people: a table and a plot."""

from __future__ import annotations

import math
from io import StringIO
from typing import TYPE_CHECKING

import numpy as np

from nnqft.diagram import family_name
from nnqft.estimate import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from nnqft.result import Result

_ROWS = 24
"""Times shown in the table; the JSON file holds all."""


def value_with_error(mean: float, sdev: float, rounding: float = 0.0) -> str:
    """``0.73205(12)``; the plain number if it has no error, 0 if it is below its rounding bound."""
    if not math.isfinite(sdev) or sdev <= 0.0:
        return "0" if abs(mean) <= rounding else f"{mean:.10g}"
    digits = max(0, 1 - math.floor(math.log10(sdev)))
    error = round(sdev * 10**digits)
    return f"{mean:.{digits}f}({error})" if digits < 14 else f"{mean:.12g} ± {sdev:.2g}"


def result_table(result: Result) -> str:
    """Contributions at the first time by (order, width), then the sum over the times, then notes."""
    from rich.console import Console

    console = Console(file=StringIO(), width=100, color_system=None, force_terminal=False)
    request = result.request
    console.print(_heading(result))
    console.print(_contributions(result))
    console.print(_sums(result))
    for note in result.notes:
        console.print(f"note: {note}")
    state = "" if result.converged else "target NOT met: "
    console.print(f"{state}{result.reason}; {result.seconds:.1f} s, seed {request.seed}")
    assert isinstance(console.file, StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


def _heading(result: Result) -> str:
    request = result.request
    values = ", ".join(
        f"{name}={value:g}" if isinstance(value, int | float) else f"{name}={value}"
        for name, value in request.parameters
    )
    width = "all widths" if request.width_order is None else f"width order ≤ {request.width_order}"
    return f"{request.observable} of {request.model} ({request.start}), order ≤ {request.order}, {width}\n{values}"


def _contributions(result: Result):  # type: ignore[no-untyped-def]
    from rich import box
    from rich.table import Table

    at = _label(result, 0)
    table = Table(
        "order", "width", "family", "diagrams", f"at {at}", "χ²/dof", "samples", "seconds", box=box.SIMPLE_HEAD
    )
    for column in table.columns:
        column.justify = "right"
    indexed = any(name == "N" for name, _ in result.request.parameters)
    for (n, k), part in result.series.items():
        table.add_row(str(n), str(k), family_name(k) if indexed else "", str(result.count(n, k)), *_cells(part))
    table.add_section()
    table.add_row("sum", "", "", str(len(result.diagrams)), *_cells(result.total))
    return table


def _cells(part: Estimate) -> list[str]:
    chi2 = "" if math.isnan(part.chi2) else f"{part.chi2:.2f}"
    samples = f"{part.samples:,}" if part.samples else "exact"
    return [value_with_error(part.mean[0], part.sdev[0], part.rounding.flat[0]), chi2, samples, f"{part.seconds:.2f}"]


def _sums(result: Result):  # type: ignore[no-untyped-def]
    from rich import box
    from rich.table import Table

    table = Table(_axis(result), result.request.observable, "error", box=box.SIMPLE_HEAD)
    for column in table.columns:
        column.justify = "right"
    count = len(result.mean)
    rounding = np.broadcast_to(result.total.rounding, count)
    shown = range(count) if count <= _ROWS else np.unique(np.linspace(0, count - 1, _ROWS).astype(int))
    for m in shown:
        table.add_row(
            _label(result, m).split(" = ")[-1],
            value_with_error(result.mean[m], result.sdev[m], rounding[m]),
            f"{result.sdev[m]:.1e}" if result.sdev[m] > 0 else "exact",
        )
    if count > _ROWS:
        table.add_row("", f"{_ROWS} of {count} times shown", "")
    return table


def _is_lag(result: Result) -> bool:
    times = result.times
    return bool(times.shape[1] == 2 and (times[:, 1] == 0).all() and result.request.start == "stationary")


def _axis(result: Result) -> str:
    return "τ" if _is_lag(result) else "times"


def _label(result: Result, m: int) -> str:
    times = result.times[m]
    if _is_lag(result):
        return f"τ = {times[0]:g}"
    return "(" + ", ".join(f"{t:g}" for t in times) + ")"


def plot_result(result: Result, ax: Axes | None = None) -> Axes:
    """The sum over the first time column, with error bars, and order 0 for comparison."""
    if ax is None:
        from matplotlib.figure import Figure

        ax = Figure(figsize=(6.4, 4.2), layout="constrained").subplots()
    times, request = result.times, result.request
    order = np.argsort(times[:, 0], kind="stable")
    t = times[order, 0]
    free = result.series.get((0, 0))
    lines = "mean field" if dict(request.parameters).get("expansion") == "saddle" else "free theory"
    if free is not None and request.order > 0:
        ax.plot(t, free.mean[order], "--", color="0.6", label=f"{lines} (order 0)")
    width = "" if request.width_order is None else f", width ≤ {request.width_order}"
    ax.errorbar(
        t, result.mean[order], yerr=result.sdev[order], fmt=".-", capsize=2.5, label=f"order ≤ {request.order}{width}"
    )
    ax.set_xlabel("τ" if _is_lag(result) else "first time")
    ax.set_ylabel(request.observable)
    names = {"N": "N", "sigma_w": "σ_w", "sigma_b": "σ_b", "gamma": "γ", "kappa": "κ"}
    shown = [f"{names[name]}={value:g}" for name, value in request.parameters if name in names]
    ax.set_title(f"{request.model}, {request.start}: " + ", ".join(shown), fontsize="medium")
    ax.legend(frameon=False)
    return ax
