"""Dry runs of Dyson's equation: what `nnqft.dyson` would integrate, and about how long it would take."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from typing import Any, Unpack

from nnqft.rules.theory import Theory
from nnqft.self_energies.equation import check, grids_of, irreducible_of
from nnqft.self_energies.self_energy import SelfEnergy, effort_of_size, kernels_of, pieces_of
from nnqft.self_energies.volterra import solve
from nnqft.show.numbers import parameter_line
from nnqft.stages.effort import Effort, Options
from nnqft.stages.forecast import Forecast, Share, predict, reasons_of
from nnqft.stages.jobs import make_job


def forecast_dyson(
    theory: Theory,
    *,
    order: Any,
    width_order: Any = None,
    self_consistent: bool = False,
    reach: Any = None,
    intervals: Any = None,
    **options: Unpack[Options],
) -> Forecast:
    """What `nnqft.dyson` would do with these arguments: irreducible diagrams, who integrates them, samples and seconds.

    Of a self-consistent solution one step is predicted, with the bare lines.

    Raises
    ------
    InputError
        As `nnqft.dyson` would.
    """
    began, order, effort = time.monotonic(), check(theory, order), Effort(**options)
    found = irreducible_of(theory, order, width_order, self_consistent, effort.max_diagrams)
    grid = grids_of(theory, reach, intervals, effort.integrator)[0]
    solve(kernels_of(theory, SelfEnergy(grid, {}, {}, {}, {})))
    pieces = []
    for _, diagrams, times in pieces_of(found, grid):
        job = make_job(diagrams, times, effort.integrator)
        pieces.append((diagrams, job, effort_of_size(job, diagrams, times, effort)))
    prepared = time.monotonic() - began
    with effort.running() as place:
        name, workers = place.name, place.parallel
    counts: Counter[tuple[int, int]] = Counter()
    notes: list[str] = []
    shares: dict[tuple[str, int], Share] = {}
    probed = 0
    for diagrams, job, own in pieces:
        counts.update(diagrams.counts)
        notes += reasons_of(job)
        parts, looked = predict(job, own.target())
        probed += looked
        for part in parts:
            key = part.integrator, part.dim
            shares[key] = part if key not in shares else _together(shares[key], part)
    if self_consistent:
        notes.append("this is one step, with the bare lines; steps are repeated until the solution stays")
    width = "all width orders" if width_order is None else f"width order ≤ {width_order}"
    what = f"Dyson's equation of {theory.model}: self-energy of order ≤ {order}, {width}, on {len(grid)} times"
    heading = (what, parameter_line(theory.parameters))
    known = tuple(shares[key] for key in sorted(shares))
    return Forecast(heading, dict(sorted(counts.items())), known, tuple(notes), name, workers, prepared, probed)


def _together(one: Share, two: Share) -> Share:
    added = ("diagrams", "integrals", "samples", "seconds")
    return replace(one, **{name: getattr(one, name) + getattr(two, name) for name in added})
