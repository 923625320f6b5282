"""One checked request, done: Diagrams → TimeIntegrals → Estimates → Series → Result."""

from __future__ import annotations

import time

import numpy as np

from nnqft.errors import InputError, IntegrationError, short
from nnqft.host import plugin_errors
from nnqft.interfaces.executor import AbstractExecutor, Target
from nnqft.pipeline.resummed import resum
from nnqft.results.assemble import make_result
from nnqft.results.result import Result
from nnqft.rules.theory import Theory
from nnqft.show.progress import progress_bar
from nnqft.stages.effort import Effort
from nnqft.stages.generation import diagrams
from nnqft.stages.jobs import make_job
from nnqft.stages.request import Request


def run(theory: Theory, request: Request, effort: Effort) -> Result:
    """The result of a request that is checked; `nnqft.compute` says what is raised."""
    if isinstance(request.order, str):
        return resum(request, theory)
    began = time.monotonic()
    target = effort.target(request.to_json())
    with progress_bar(effort.progress, "generating diagrams") as report:
        found = diagrams(
            theory,
            request.observable,
            order=request.order,
            width_order=request.width_order,
            arity=len(request.times[0]),
            indices=request.indices,
            max_diagrams=effort.max_diagrams,
        )
        job = make_job(found, np.array(request.times), request.integrator)
        with effort.running() as place:
            _check_durable(place, target)
            with plugin_errors(f"executor {place.name!r}"):
                outcome = place.evaluate(job.work, target, report)
    result = make_result(request, found, job, outcome, time.monotonic() - began)
    if outcome.failure is not None:
        raise IntegrationError(str(outcome.failure), result) from outcome.failure
    return result


def _check_durable(place: AbstractExecutor, target: Target) -> None:
    if target.keep is not None and not place.durable:
        raise InputError(f"ledger={short(target.keep.path)}: executor {place.name!r} keeps none; leave it out")
