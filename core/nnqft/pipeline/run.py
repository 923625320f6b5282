"""One checked request, done: Diagrams → TimeIntegrals → Estimates → Series → Result."""

from __future__ import annotations

import contextlib
import time
from contextlib import ExitStack
from dataclasses import replace

import numpy as np

from nnqft import interrupts
from nnqft.errors import InputError, IntegrationError, short
from nnqft.graphs.diagram_set import DiagramSet
from nnqft.host import plugin_errors
from nnqft.interfaces.executor import AbstractExecutor, Target
from nnqft.pipeline.degree import choose_degree
from nnqft.pipeline.resummed import resum
from nnqft.results.assemble import make_result
from nnqft.results.result import Result
from nnqft.rules.theory import Theory
from nnqft.show.progress import progress_bar
from nnqft.show.watch import OutOfTime, no_time_limit, reporting, time_limit
from nnqft.stages.effort import Effort
from nnqft.stages.generation import requested_diagrams
from nnqft.stages.jobs import Job, make_job
from nnqft.stages.request import Request

_SHARE, _LOWER = 0.5, 0.2
"""Of a time limit, after which diagrams of lower orders are taken instead of those that were asked for, and what these
may take.
"""


def run(theory: Theory, request: Request, effort: Effort) -> Result:
    """The result of a request that is checked; `nnqft.compute` says what is raised.

    Ctrl-C ends it with the estimate so far, and is noted for what the caller wants to do next.
    """
    interrupts.raise_noted()
    if isinstance(request.order, str):
        return resum(request, theory, effort)
    began = time.monotonic()
    notes: tuple[str, ...] = ()
    # One limit holds for everything that is done here, the executor's own work included.
    with (
        ExitStack() as ending,
        progress_bar(effort.progress, "generating diagrams") as report,
        reporting(report),
        time_limit(effort.time_limit),
    ):
        if theory.adaptive:
            theory, note = choose_degree(theory, request, effort)
            request, notes = request.of_theory(theory), (note,)
        diagram_set, job, reached = _planned(theory, request, effort)
        target = replace(effort.target(request.to_json()), partial=reached < int(request.order))
        with effort.running() as executor:
            _check_durable(executor, target)
            with plugin_errors(f"executor {executor.name!r}"):
                outcome = executor.evaluate(job.work, target, report)
            ending.enter_context(interrupts.kept_back())
        asked = int(request.order)
        if reached < asked:
            outcome = replace(outcome, converged=False, reason=f"time limit of {effort.time_limit:g} s reached")
            missing = "order" if reached + 1 == asked else f"orders {reached + 1} to"
            notes += (f"{missing} {asked} missing from the sum: its diagrams take longer than the time limit",)
        with no_time_limit():
            result = make_result(request, diagram_set, job, outcome, time.monotonic() - began, notes, reached)
    if outcome.reason == "interrupted":
        interrupts.note()
    if outcome.failure is not None:
        raise IntegrationError(str(outcome.failure), result) from outcome.failure
    return result


def _planned(theory: Theory, request: Request, effort: Effort) -> tuple[DiagramSet, Job, int]:
    """The diagrams and their integrals, up to the order that is returned with them: as asked, if time permits."""
    assert isinstance(request.order, int)  # the others are summed by the model

    def plan(order: int) -> tuple[DiagramSet, Job, int]:
        found = requested_diagrams(theory, replace(request, order=order), effort.max_diagrams)
        return found, make_job(found, np.array(request.times), request.integrator), order

    if effort.time_limit is None:
        return plan(request.order)
    try:
        with time_limit(_SHARE * effort.time_limit):
            return plan(request.order)
    except OutOfTime:
        with no_time_limit():
            planned = plan(0)
    # The lower orders, each a small part of the next one.
    with contextlib.suppress(OutOfTime), time_limit(_LOWER * effort.time_limit):
        for order in range(1, request.order):
            planned = plan(order)
    return planned


def _check_durable(executor: AbstractExecutor, target: Target) -> None:
    if target.keep is not None and not executor.durable:
        raise InputError(f"ledger={short(target.keep.path)}: executor {executor.name!r} keeps none; leave it out")
