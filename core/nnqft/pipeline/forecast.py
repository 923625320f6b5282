"""Dry runs: what `nnqft.compute` would do with the same arguments, and about how long it would take."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Unpack

import numpy as np

from nnqft.errors import IntegrationError
from nnqft.host import default_host
from nnqft.interfaces.observable import AbstractDerivedObservable
from nnqft.pipeline.compute import names_of
from nnqft.pipeline.degree import choose_degree
from nnqft.pipeline.derived import base_requests
from nnqft.pipeline.resummed import resum
from nnqft.results.tables import heading
from nnqft.rules.theory import Theory
from nnqft.show.watch import limit_line, reporting, time_limit
from nnqft.stages.effort import Effort, Options
from nnqft.stages.forecast import PROBE_SECONDS, Forecast, predict, reasons_of
from nnqft.stages.generation import requested_diagrams
from nnqft.stages.jobs import make_job
from nnqft.stages.request import Request, make_request
from nnqft.stages.theories import as_theory

_UNTOLD = 0.2
"""The part of a sum that was done in the seconds of a probe, where it does not say."""


def forecast(theory: Theory, request: Request, effort: Effort) -> Forecast:
    """What would be done for one request: its diagrams and integrals, who takes them, samples and seconds.

    The diagrams are generated and a few of their integrals computed, for some seconds at most, to predict the rest;
    that is a prediction, right within a factor of about 3. What a ledger holds already is not taken off.

    Raises
    ------
    InputError
        As `nnqft.compute` would.
    """
    if isinstance(request.order, str):
        return _forecast_resummed(theory, request, effort)
    began = time.monotonic()
    chosen: tuple[str, ...] = ()
    if theory.adaptive:
        theory, note = choose_degree(theory, request, effort)
        request, chosen = request.of_theory(theory), (note,)
    diagram_set = requested_diagrams(theory, request, effort.max_diagrams)
    job = make_job(diagram_set, np.array(request.times), request.integrator)
    prepared = time.monotonic() - began
    with effort.running() as executor:
        name, workers = executor.name, executor.parallel
    shares, probed = predict(job, effort.target())
    notes = (*theory.remarks, *chosen, *reasons_of(job))
    if effort.ledger is not None:
        notes += ("what the ledger holds already is not taken off",)
    return Forecast(
        heading(request), diagram_set.counts, shares, notes, name, workers, prepared, probed, effort.time_limit
    )  # fmt: skip


def _forecast_resummed(theory: Theory, request: Request, effort: Effort) -> Forecast:
    """Sums that are quick are made, of others the part that was done in a few seconds tells the rest."""
    quiet = replace(effort, time_limit=None, progress=False)
    # The first run of all pays for what is made once.
    latest = max(request.times, key=max)
    seconds, whole = _timed(replace(request, times=(latest,)), theory, quiet)
    if whole:
        seconds, _ = _timed(request, theory, quiet)
    notes = ("all orders are summed here, whatever the executor; nothing is sampled",)
    return Forecast(heading(request), {}, (), notes, "local", 1, seconds, 0, effort.time_limit)


def _timed(request: Request, theory: Theory, effort: Effort) -> tuple[float, bool]:
    """Seconds that a sum takes, and whether it was made; else they follow from the part that was done in a few."""
    part = 0.0

    def heard(state: Mapping[str, Any]) -> None:
        nonlocal part
        if state["expected"]:
            part = max(part, state["samples"] / state["expected"])

    began = time.monotonic()
    try:
        with time_limit(PROBE_SECONDS), reporting(heard):
            result = resum(request, theory, effort)
        whole = not result.reason.startswith(limit_line(None))
    except IntegrationError:
        whole = False
    seconds = time.monotonic() - began
    return (seconds, True) if whole else (seconds / max(part or _UNTOLD, 0.01), False)


def forecasts(
    theory: Theory,
    observable: Any,
    *,
    order: Any,
    width_order: Any = None,
    times: Any = None,
    tau: Any = None,
    indices: Any = None,
    replicas: Any = None,
    **options: Unpack[Options],
) -> tuple[Forecast, ...]:
    """A forecast for each evaluation that `nnqft.compute` would make with these arguments.

    Of derived observables these are the base observables that they need, each once.

    Raises
    ------
    InputError
        As `nnqft.compute` would.
    """
    theory, effort, names = as_theory(theory), Effort(**options), names_of(observable)
    legs = {"times": times, "tau": tau, "indices": indices, "replicas": replicas}
    question = {"order": order, "width_order": width_order, **legs}
    derived = [name for name in names if isinstance(default_host().observable(name), AbstractDerivedObservable)]
    asked = list(base_requests(theory, derived, effort, **question)[1].values()) if derived else []
    asked += [(make_request(theory, name, effort, **question), effort) for name in names if name not in derived]
    return tuple(forecast(theory, *each) for each in asked)


def together(parts: Sequence[Forecast]) -> list[str]:
    """Each forecast as plain text and, where there are several, a line with the seconds of all."""
    pages = [part.table() for part in parts]
    if len(parts) > 1:
        pages.append(f"together: {len(parts)} evaluations, about {sum(part.seconds for part in parts):,.2g} s")
    return pages
