"""Results and derived numbers as charts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nnqft.integrals.estimate import Estimate
from nnqft.results.series import Series
from nnqft.results.tables import is_lag
from nnqft.show.chart import Chart, Curve
from nnqft.show.numbers import parameter_title
from nnqft.stages.request import Request


def result_chart(request: Request, series: Series, total: Estimate, truncation: np.ndarray) -> Chart:
    """The sum over the first time column with bars of its error, a band of what it leaves out, and order 0."""
    t = np.array([row[0] for row in request.times])
    curves = []
    lines = "mean field" if dict(request.parameters).get("expansion") == "saddle" else "free theory"
    free, label = series.get((0, 0)), f"{lines} (order 0)"
    if request.resummed:
        free, label = series[request.order, 0], "N → ∞"
    if free is not None and len(series) > 1:
        curves.append(Curve(t, free.mean, label=label, style="--", colour="0.6"))
    if truncation.any():
        curves.append(Curve(t, total.mean, truncation, "left out", style="", errors="band", colour="C0"))
    width = "" if request.width_order is None else f", width order ≤ {request.width_order}"
    sums = "all orders" if request.resummed else f"order ≤ {request.order}"
    curves.append(Curve(t, total.mean, total.sdev, label=sums + width, style=".-", colour="C0"))
    return Chart(curves, _title(request), "τ" if is_lag(request) else "first time", request.observable)


def derived_chart(
    observable: str,
    request: Request,
    times: np.ndarray | None,
    numbers: tuple[Sequence[str], np.ndarray, np.ndarray],
    by_order: np.ndarray,
) -> Chart:
    """A curve over the first time column if there is one number (name, mean, deviation) a time, else a point each."""
    names, mean, sdev = numbers
    curve = times is not None and len(times) == len(names)
    x = times[:, 0] if curve and times is not None else np.arange(len(names), dtype=float)
    curves = []
    for n, lower in enumerate(by_order[:-1]):
        shade = str(0.85 - 0.45 * (n + 1) / len(by_order))
        curves.append(Curve(x, lower, label=f"order ≤ {n}", style="-" if curve else "_", colour=shade))
    label = "all orders" if request.resummed else f"order ≤ {request.order}"
    curves.append(Curve(x, mean, sdev, label=label, style=".-" if curve else "o"))
    axis = "first time" if curve else ""
    return Chart(curves, _title(request), axis, observable, ticks=() if curve else names)


def _title(request: Request) -> str:
    return f"{request.model}, {request.start}: {parameter_title(dict(request.parameters))}"
