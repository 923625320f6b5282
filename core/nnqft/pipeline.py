"""The flow of a computation, top to bottom: Theory → Diagrams → TimeIntegrals → Estimates → Series → Result."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np

from nnqft.diagram_set import DiagramSet
from nnqft.errors import InputError, IntegrationError, short
from nnqft.generate import MAX_DIAGRAMS, generate
from nnqft.host import default_host, open_executor, strangers
from nnqft.interfaces import AbstractExecutor, AbstractModel, AbstractObservable, whole_number
from nnqft.progress import progress_bar
from nnqft.request import Request, check_theory, make_request, make_target, make_theory
from nnqft.result import Result, make_result
from nnqft.theory import Theory
from nnqft.work import make_job


def theory(model: str | AbstractModel, *, start: str = "stationary", **parameters: Any) -> Theory:
    """The Feynman rules of a model.

    Parameters
    ----------
    model
        Name of a model plugin (``nnqft plugins`` lists them), or a model itself.
    start
        ``"stationary"`` (begins at −∞) or ``"rest"`` (h(0) = 0).
    **parameters
        By the names of the model, e.g. ``gamma, kappa, sigma_w, sigma_b, N``; the others keep their defaults.

    Raises
    ------
    InputError
        On an unknown name or a value that makes no sense.
    """
    return make_theory(model, start, parameters)


def diagrams(
    theory: Theory,
    observable: str,
    *,
    order: int,
    width_order: int | None = None,
    arity: int | None = None,
    max_diagrams: int = MAX_DIAGRAMS,
) -> DiagramSet:
    """All diagrams of an observable, of orders 0 to `order` and width orders 0 to `width_order` (None: all).

    Parameters
    ----------
    arity
        Number of times of an observable that takes any number, such as ``"cumulant"``; 2 if not given.

    Raises
    ------
    InputError
        On an unknown observable, a bad order, or more than `max_diagrams` diagrams (predicted beforehand).
    """
    check_theory(theory)
    plugin = default_host().get("observable", observable)
    with strangers(f"observable {observable!r}"):
        legs = tuple(plugin.legs(theory, _arity(plugin, arity)))
    return generate(
        theory,
        observable,
        legs,
        order=whole_number("order", order, 0),
        width_order=None if width_order is None else whole_number("width_order", width_order, 0),
        connected=plugin.connected,
        max_diagrams=whole_number("max_diagrams", max_diagrams, 1),
    )


def _arity(plugin: AbstractObservable, arity: int | None) -> int:
    if arity is None:
        return 2 if plugin.arity is None else plugin.arity
    if plugin.arity not in (None, arity):
        raise InputError(f"arity={short(arity)}: observable {plugin.name!r} has {plugin.arity} times; leave it out")
    return whole_number("arity", arity, 1)


def compute(
    theory: Theory,
    observable: str,
    *,
    order: int,
    width_order: int | None = None,
    times: Any = None,
    tau: Any = None,
    integrator: str = "auto",
    executor: str | AbstractExecutor = "local",
    rtol: float | None = None,
    atol: float | None = None,
    neval: int | None = None,
    seed: int = 0,
    ledger: str | os.PathLike[str] | None = None,
    time_limit: float | None = None,
    progress: bool = False,
    workers: int | None = None,
    address: str | None = None,
    max_diagrams: int = MAX_DIAGRAMS,
) -> Result:
    """Compute an observable as the sum of its diagrams.

    Parameters
    ----------
    theory, observable, order, width_order, max_diagrams
        As for `diagrams`.
    times : (M, legs) array
        External times; from rest each ≥ 0.
    tau : (M,) array
        Short for the pairs (τ, 0), stationary start only. Default: τ = 0.
    integrator
        Name of an integrator plugin; ``"auto"`` takes the first that supports each integral.
    executor, workers, address
        ``"local"``, ``"processes"``, ``"ray"`` or an AbstractExecutor; how many workers; a Ray cluster's address.
    rtol, atol
        Stop when the error of the sum is at most max(rtol·|sum|, atol) at every time.
    neval
        Stop when this many samples are spent over all diagrams, adaptation not counted.
    seed
        All randomness follows from it.
    ledger
        Path of a file that keeps every finished chunk: the same request, or a more precise one, goes on from what is
        there, also after a crash. Made if it is not there; any number of requests may share one.
    time_limit
        Stop after this many seconds of settling, adapting and sampling with the estimate so far.
    progress
        Show a progress bar on stderr.

    Returns
    -------
    Result
        With `converged` False if the target was not met; its errors are honest all the same.

    Raises
    ------
    InputError
        On anything that makes no sense; nothing has been computed then.
    ExecutorError
        If the executor cannot be reached.
    LedgerError
        If the ledger cannot be opened; it stays as it was.
    IntegrationError
        If an integral failed; its `result` holds what was finished.
    """
    request = make_request(
        theory, observable, order=order, width_order=width_order, times=times, tau=tau,
        integrator=integrator, rtol=rtol, atol=atol, neval=neval, seed=seed,
    )  # fmt: skip
    return run(
        theory, request, executor=executor, ledger=ledger, time_limit=time_limit, progress=progress, workers=workers,
        address=address, max_diagrams=max_diagrams,
    )  # fmt: skip


def run(
    theory: Theory,
    request: Request,
    *,
    executor: str | AbstractExecutor = "local",
    ledger: str | os.PathLike[str] | None = None,
    time_limit: float | None = None,
    progress: bool = False,
    workers: int | None = None,
    address: str | None = None,
    max_diagrams: int = MAX_DIAGRAMS,
) -> Result:
    """Compute a request that is checked; `compute` has the parameters and what is raised."""
    began = time.monotonic()
    target = make_target(request, ledger, time_limit)
    found = diagrams(
        theory,
        request.observable,
        order=request.order,
        width_order=request.width_order,
        arity=len(request.times[0]),
        max_diagrams=max_diagrams,
    )
    job = make_job(found, np.array(request.times), request.integrator)
    place = open_executor(executor, workers, address)
    try:
        if target.keep is not None and not place.durable:
            raise InputError(f"ledger={short(target.keep.path)}: executor {place.name!r} keeps none; leave it out")
        with progress_bar(progress) as report:
            outcome = place.evaluate(job.work, target, report)
    finally:
        if place is not executor:
            place.close()
    result = make_result(request, found, job, outcome, time.monotonic() - began)
    if outcome.failure is not None:
        raise IntegrationError(str(outcome.failure), result) from outcome.failure
    return result
