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

    from nnqft.derived import Derived
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


def plain_table(*columns: str):  # type: ignore[no-untyped-def]
    """A rich table with a line below its heading and numbers to the right."""
    from rich import box
    from rich.table import Table

    table = Table(*columns, box=box.SIMPLE_HEAD)
    for column in table.columns:
        column.justify = "right"
    return table


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
    observable = request.observable + (f" ({request.indices})" if request.indices else "")
    order = "all orders" if request.resummed else f"order ≤ {request.order}"
    return f"{observable} of {request.model} ({request.start}), {order}, {width}\n{values}"


def _contributions(result: Result):  # type: ignore[no-untyped-def]
    at = _label(result, 0)
    table = plain_table("order", "width", "family", "diagrams", f"at {at}", "χ²/dof", "samples", "seconds")
    request = result.request
    indexed = any(name == "N" for name, _ in request.parameters)
    for (n, k), part in result.series.items():
        order, count = ("all", "∞") if request.resummed else (str(n), str(result.count(n, k)))
        table.add_row(order, str(k), family_name(k) if indexed else "", count, *_cells(part))
    table.add_section()
    count = "∞" if request.resummed else str(len(result.diagrams))
    value, chi2, samples, seconds = _cells(result.total)
    # The integrals may be exact, the sum of those that were computed is not.
    whole = samples if result.total.samples or not result.truncation.any() else ""
    table.add_row("sum", "", "", count, value, chi2, whole, seconds)
    return table


def _cells(part: Estimate) -> list[str]:
    chi2 = "" if math.isnan(part.chi2) else f"{part.chi2:.2f}"
    samples = f"{part.samples:,}" if part.samples else "exact"
    return [value_with_error(part.mean[0], part.sdev[0], part.rounding.flat[0]), chi2, samples, f"{part.seconds:.2f}"]


def _sums(result: Result):  # type: ignore[no-untyped-def]
    table = plain_table(_axis(result), result.request.observable, "error", "left out")
    count = len(result.mean)
    rounding = np.broadcast_to(result.total.rounding, count)
    shown = range(count) if count <= _ROWS else np.unique(np.linspace(0, count - 1, _ROWS).astype(int))
    for m in shown:
        table.add_row(
            _label(result, m).split(" = ")[-1],
            value_with_error(result.mean[m], result.sdev[m], rounding[m]),
            f"{result.sdev[m]:.1e}" if result.sdev[m] > 0 else "0",
            left_out(result.truncation[m]),
        )
    if count > _ROWS:
        table.add_row("", f"{_ROWS} of {count} times shown", "", "")
    return table


def left_out(size: float) -> str:
    """What a sum leaves out, as an order of magnitude; "nothing" if so, a question mark where it is not known."""
    return "?" if math.isnan(size) else f"~{size:.1g}" if size else "nothing"


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
    lines = "mean field" if dict(request.parameters).get("expansion") == "saddle" else "free theory"
    free, label = result.series.get((0, 0)), f"{lines} (order 0)"
    if request.resummed:
        free, label = result.series[request.order, 0], "N → ∞"
    if free is not None and len(result.series) > 1:
        ax.plot(t, free.mean[order], "--", color="0.6", label=label)
    width = "" if request.width_order is None else f", width ≤ {request.width_order}"
    sums = "all orders" if request.resummed else f"order ≤ {request.order}"
    ax.errorbar(t, result.mean[order], yerr=result.sdev[order], fmt=".-", capsize=2.5, label=sums + width)
    ax.set_xlabel("τ" if _is_lag(result) else "first time")
    ax.set_ylabel(request.observable)
    ax.set_title(_title(result), fontsize="medium")
    ax.legend(frameon=False)
    return ax


def _title(result: Result) -> str:
    request = result.request
    names = {"N": "N", "sigma_w": "σ_w", "sigma_b": "σ_b", "gamma": "γ", "kappa": "κ"}
    shown = [f"{names[name]}={value:g}" for name, value in request.parameters if name in names]
    return f"{request.model}, {request.start}: " + ", ".join(shown)


def derived_table(derived: Derived) -> str:
    """The numbers, how they grow order by order, and what they were made of."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(file=StringIO(), width=100, color_system=None, force_terminal=False)
    heading, parameters = _heading(derived.first).split("\n")
    console.print(f"{derived.observable}{heading[len(derived.first.request.observable) :]}\n{parameters}")
    last = len(derived.by_order) - 1
    orders = range(max(0, last - _SUMS), last)
    table = Table(
        *[derived.observable, "value", "error", "left out", *(f"order ≤ {n}" for n in orders)], box=box.SIMPLE_HEAD
    )
    for column in table.columns:
        column.no_wrap = True
        column.justify = "left" if column is table.columns[0] else "right"
    for n, name in enumerate(derived.names):
        cells = [value_with_error(derived.mean[n], derived.sdev[n]), _error(derived.mean[n], derived.sdev[n])]
        cells += ["" if math.isnan(derived.mean[n]) else left_out(derived.truncation[n])]
        table.add_row(name, *cells, *(f"{derived.by_order[m, n]:.6g}" for m in orders))
    console.print(table)
    made = ", ".join(f"{name} at {len(result.mean)} times" for name, result in derived.bases.items())
    console.print(f"made of {made}")
    for note in derived.notes:
        console.print(f"note: {note}")
    state = "" if derived.converged else "target NOT met: "
    reasons = dict.fromkeys(result.reason for result in derived.bases.values())
    console.print(f"{state}{', '.join(reasons)}; {derived.seconds:.1f} s, seed {derived.first.request.seed}")
    assert isinstance(console.file, StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


_SUMS = 3
"""Lower orders that are shown beside the whole sum."""


def _error(mean: float, sdev: float) -> str:
    if math.isnan(mean):
        return ""
    return f"{sdev:.1e}" if sdev > 0 else "0"


def plot_derived(derived: Derived, ax: Axes | None = None) -> Axes:
    """A curve over the first time column if there is one number a time, else a point for each name."""
    if ax is None:
        from matplotlib.figure import Figure

        ax = Figure(figsize=(6.4, 4.2), layout="constrained").subplots()
    curve = derived.times is not None and len(derived.times) == len(derived.names)
    x = derived.times[:, 0] if curve and derived.times is not None else np.arange(len(derived.names))
    rank = np.argsort(x, kind="stable")
    for n, lower in enumerate(derived.by_order[:-1]):
        shade = 0.85 - 0.45 * (n + 1) / len(derived.by_order)
        ax.plot(x[rank], lower[rank], "-" if curve else "_", color=str(shade), markersize=14, label=f"order ≤ {n}")
    ax.errorbar(
        x[rank], derived.mean[rank], yerr=derived.sdev[rank], fmt=".-" if curve else "o", capsize=2.5,
        label="all orders" if derived.first.request.resummed else f"order ≤ {derived.first.request.order}",
    )  # fmt: skip
    if not curve:
        ax.set_xticks(x, derived.names)
        ax.margins(x=0.15, y=0.2)
    ax.set_xlabel("first time" if curve else "")
    ax.set_ylabel(derived.observable)
    ax.set_title(_title(derived.first), fontsize="medium")
    ax.legend(frameon=False)
    return ax
