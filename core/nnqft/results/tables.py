"""Results and derived numbers as pages of text."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from nnqft.checks import whole_number
from nnqft.errors import InputError, short
from nnqft.graphs.diagram import family_name
from nnqft.integrals.estimate import Estimate
from nnqft.results.rows import Counts
from nnqft.results.series import Series
from nnqft.show.numbers import parameter_line, spread, value_with_error
from nnqft.show.page import Page, Table
from nnqft.stages.request import RESUMMED, Request

_ROWS = 24
"""Times shown in the table; the JSON file holds all."""
_MISSING = "missing"
"""In place of a value of which nothing is known."""
_SUMS = 4
"""Lower orders that are shown beside the whole sum of a derived number."""


def result_page(
    request: Request,
    series: Series,
    counts: Counts,
    truncation: np.ndarray,
    notes: Sequence[str],
    last: str,
    incomplete: Sequence[int] = (),
    unknown: bool = False,
) -> Page:
    """Contributions at the first time by (order, width order), the sum over the times with all its errors, notes.

    Orders that are `incomplete` are marked so, and the sum with them; `unknown`: nothing at all was evaluated.
    """
    total = series.total
    if unknown:
        series, total = Series({}, series.coupling, series.N), Estimate.unknown(len(request.times))
    observable = request.observable + _mark(bool(incomplete))
    blocks = (
        _contributions(request, series, total, counts, incomplete),
        *_sums(request, observable, total, truncation),
    )
    return Page(heading(request), blocks, notes, last)


def heading(request: Request, name: str = "") -> tuple[str, str]:
    """What was asked for, `name` in place of the observable's own, and the parameters."""
    width = "all width orders" if request.width_order is None else f"width order ≤ {request.width_order}"
    observable = name or request.observable + patterns_of(request)
    order = "all orders" if request.resummed else f"order ≤ {request.order}"
    return f"{observable} of {request.model} ({request.start}), {order}, {width}", parameter_line(
        dict(request.parameters)
    )


def patterns_of(request: Request) -> str:
    """Behind the name of an observable, in parentheses: the indices and noise histories of its legs, if any differ."""
    patterns = [pattern for pattern in (request.indices, request.replicas) if pattern]
    return f" ({', '.join(patterns)})" if patterns else ""


def _mark(incomplete: bool) -> str:
    return " (incomplete)" if incomplete else ""


def _contributions(
    request: Request, series: Series, total: Estimate, counts: Counts, incomplete: Sequence[int]
) -> Table:
    columns = ("order", "width order", "family", "diagrams", f"at {time_label(request, 0)}", "χ²/dof", "samples")
    indexed = any(name == "N" for name, _ in request.parameters)
    rows = []
    # Of an order whose diagrams all failed the series holds nothing, but the table says so.
    lost = {key: Estimate.unknown(len(request.times)) for key, number in counts.items() if number and key not in series}
    parts = {**series, **lost}
    for n, k in sorted(parts, key=lambda key: (int(key[0]), key[1])) if lost else parts:
        part = parts[n, k]
        order, count = ("all", "∞") if request.resummed else (str(n), str(counts.get((n, k), 0)))
        order += _mark(n in incomplete)
        samples = f"{part.samples:,}" if part.samples else "none"
        rows.append((order, str(k), family_name(k) if indexed else "", count, *_cells(part), samples, _seconds(part)))
    count = "∞" if request.resummed else str(sum(counts.values()))
    samples = f"{total.samples:,}" if total.samples else ""
    name = "sum" + _mark(bool(incomplete))
    return Table((*columns, "seconds"), rows, (name, "", "", count, *_cells(total), samples, _seconds(total)))


def _cells(part: Estimate) -> tuple[str, str]:
    """Two cells of a row: the value at the first time with its error, and χ²."""
    chi2 = "" if math.isnan(part.chi2) else f"{part.chi2:.2f}"
    return _value_cell(part.mean[0], part.sdev[0], part.rounding.flat[0]), chi2


def _value_cell(mean: float, sdev: float, rounding: float) -> str:
    return _MISSING if math.isnan(mean) else value_with_error(mean, sdev, rounding)


def _seconds(part: Estimate) -> str:
    return f"{part.seconds:.2f}"


def _sums(request: Request, observable: str, total: Estimate, truncation: np.ndarray) -> list[Table | str]:
    """The sum over the times with its three errors: statistical, rounding, and what the series leaves out."""
    count = len(total.mean)
    rounding = np.broadcast_to(total.rounding, count)
    rows = [
        (
            time_label(request, m).split(" = ")[-1],
            _value_cell(total.mean[m], total.sdev[m], rounding[m]),
            error_cell(total.sdev[m]),
            error_cell(rounding[m]),
            left_out_cell(truncation[m]),
        )
        for m in spread(count, _ROWS)
    ]
    axis = "τ" if is_lag(request) else "times"
    table = Table((axis, observable, "statistical error", "rounding", "left out"), rows)
    return [table, f"{_ROWS} of {count} times shown"] if count > _ROWS else [table]


def error_cell(size: float) -> str:
    """An error to two digits, a dash for one that is not there, a question mark for one that is unknown."""
    if math.isnan(size):
        return "?"
    return f"{size:.1e}" if size > 0 else "–"


def left_out_cell(size: float) -> str:
    """What a sum leaves out, as an order of magnitude; "nothing" if so, a question mark where it is not known."""
    return "?" if math.isnan(size) else f"~{size:.1g}" if size else "nothing"


def is_lag(request: Request) -> bool:
    """Are the times pairs (τ, 0) of a stationary process?"""
    return request.start == "stationary" and all(len(row) == 2 and row[1] == 0 for row in request.times)


def time_label(request: Request, m: int) -> str:
    """``τ = 0.5`` or ``(t, s)``, the times of number m."""
    times = request.times[m]
    if is_lag(request):
        return f"τ = {times[0]:g}"
    return "(" + ", ".join(f"{t:g}" for t in times) + ")"


def derived_page(
    name: str,
    request: Request,
    numbers: tuple[Sequence[str], np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    by_order: np.ndarray,
    made_of: str,
    notes: Sequence[str],
    last: str,
) -> Page:
    """Derived numbers (names, means, errors: statistical, of the method, left out), by order, what they are made of."""
    names, mean, sdev, method, truncation = numbers
    total, fitted = np.hypot(sdev, np.nan_to_num(method)), bool(method.any())
    shown = _SUMS - 2 * fitted  # a line has room for so many
    orders = range(max(0, len(by_order) - 1 - shown), len(by_order) - 1)
    kinds = ("statistical error", *["method error"] * fitted, "left out")
    columns = (name, "value", *kinds, *(f"order ≤ {n}" for n in orders))
    rows = []
    for n, each in enumerate(names):
        known = not math.isnan(mean[n])
        sizes = (sdev[n], *[method[n]] * fitted)
        errors = [error_cell(size) if known else "" for size in sizes] + [left_out_cell(truncation[n]) if known else ""]
        rows.append((each, value_with_error(mean[n], total[n]), *errors, *(f"{by_order[m, n]:.6g}" for m in orders)))
    return Page(heading(request, name), (Table(columns, rows, left=1), f"made of {made_of}"), notes, last)


def computed_part(request: Request, series: Series, order: object, width: object) -> tuple[int | str, int]:
    """The order and width of a part; InputError if it lies outside of what was computed."""
    limit, lowest = request.width_order, -(10**9)
    width = whole_number("width", width, lowest)
    if request.resummed and order == RESUMMED and (RESUMMED, width) in series:
        return RESUMMED, width
    if isinstance(request.order, str):
        raise InputError(_not_computed(request, order, width))
    order = whole_number("order", order, lowest)
    if not 0 <= order <= request.order or width < 0 or (limit is not None and width > limit):
        raise InputError(_not_computed(request, order, width))
    return order, width


def _not_computed(request: Request, order: object, width: object) -> str:
    """What to say of a part that lies outside of what was asked for."""
    limit = request.width_order
    asked = "all width orders" if limit is None else f"width order ≤ {limit}"
    known, remedy = f"≤ {request.order}", "a higher order or width_order"
    if request.resummed:
        known, remedy = repr(request.order), "a whole number for order"
    what = f"contribution({short(order)}, {short(width)})"
    return f"{what} was not computed, only order {known} and {asked}; compute again with {remedy}"
