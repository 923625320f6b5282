"""One checked request, done: Diagrams → TimeIntegrals → Estimates → Series → Result."""

from __future__ import annotations

import time
from contextlib import ExitStack

import numpy as np

from nnqft import interrupts
from nnqft.errors import InputError, IntegrationError, short
from nnqft.host import plugin_errors
from nnqft.interfaces.executor import AbstractExecutor, Target
from nnqft.pipeline.degree import choose_degree
from nnqft.pipeline.resummed import resum
from nnqft.results.assemble import make_result
from nnqft.results.result import Result
from nnqft.rules.theory import Theory
from nnqft.show.progress import progress_bar
from nnqft.stages.effort import Effort
from nnqft.stages.generation import requested_diagrams
from nnqft.stages.jobs import make_job
from nnqft.stages.request import Request


def run(theory: Theory, request: Request, effort: Effort) -> Result:
    """The result of a request that is checked; `nnqft.compute` says what is raised.

    Ctrl-C ends it with the estimate so far, and is noted for what the caller wants to do next.
    """
    interrupts.raise_noted()
    if isinstance(request.order, str):
        return resum(request, theory)
    began = time.monotonic()
    notes: tuple[str, ...] = ()
    if theory.adaptive:
        theory, note = choose_degree(theory, request, effort)
        request, notes = request.of_theory(theory), (note,)
        effort = effort.without(time.monotonic() - began)
    target = effort.target(request.to_json())
    with ExitStack() as ending, progress_bar(effort.progress, "generating diagrams") as report:
        diagram_set = requested_diagrams(theory, request, effort.max_diagrams)
        job = make_job(diagram_set, np.array(request.times), request.integrator)
        with effort.running() as executor:
            _check_durable(executor, target)
            with plugin_errors(f"executor {executor.name!r}"):
                outcome = executor.evaluate(job.work, target, report)
            ending.enter_context(interrupts.kept_back())
        result = make_result(request, diagram_set, job, outcome, time.monotonic() - began, notes)
    if outcome.reason == "interrupted":
        interrupts.note()
    if outcome.failure is not None:
        raise IntegrationError(str(outcome.failure), result) from outcome.failure
    return result


def _check_durable(executor: AbstractExecutor, target: Target) -> None:
    if target.keep is not None and not executor.durable:
        raise InputError(f"ledger={short(target.keep.path)}: executor {executor.name!r} keeps none; leave it out")
