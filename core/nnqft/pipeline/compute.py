"""The flow of a computation, top to bottom: Theory → Diagrams → TimeIntegrals → Estimates → Series → Result."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from nnqft.errors import InputError, IntegrationError, short
from nnqft.graphs.diagram_set import DiagramSet
from nnqft.graphs.generate import MAX_DIAGRAMS, generate
from nnqft.graphs.indices import check_indices, label_legs
from nnqft.graphs.irreducible import amputate
from nnqft.graphs.irreducible import irreducible as only_irreducible
from nnqft.host import default_host, open_executor, strangers
from nnqft.interfaces.executor import AbstractExecutor
from nnqft.interfaces.model import AbstractModel, AbstractObservable, whole_number
from nnqft.pipeline.resummed import resum
from nnqft.pipeline.several import compute_several
from nnqft.results.derived import is_derived
from nnqft.results.result import Result, make_result
from nnqft.rules.theory import Theory
from nnqft.show.progress import progress_bar
from nnqft.stages.jobs import make_job
from nnqft.stages.request import Request, check_theory, make_request, make_target, make_theory


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
    indices: str | None = None,
    irreducible: bool = False,
    max_diagrams: int = MAX_DIAGRAMS,
) -> DiagramSet:
    """All diagrams of an observable, of orders 0 to `order` and width orders 0 to `width_order` (None: all).

    Parameters
    ----------
    arity
        Number of times of an observable that takes any number, such as ``"cumulant"``; if not given, as many as there
        are letters in `indices`, or 2.
    indices
        Which legs belong to the same unit, a letter for each: ``"iijj"`` for ⟨h_i h_i h_j h_j⟩ with i ≠ j. All are of
        one unit if not given.
    irreducible
        Only connected diagrams in which no single line separates external legs from each other, amputated: a leg h
        of the observable ends on a z̃ of the diagram, a leg z̃ on an h. Of ``"two_point"`` these are the self-energy
        Σ(z̃,z̃), of ``"response"`` Σ(z̃,h), of ``"cumulant"`` the effective vertices with k legs z̃.

    Raises
    ------
    InputError
        On an unknown observable, a bad order, indices that do not fit, or more than `max_diagrams` diagrams
        (predicted beforehand).
    """
    check_theory(theory)
    plugin = default_host().get("observable", observable)
    if is_derived(observable):
        raise InputError(f"observable {observable!r} is derived and has no diagrams; ask for those it is made of")
    pattern = check_indices(indices)
    with strangers(f"observable {observable!r}"):
        legs = tuple(plugin.legs(theory, _arity(plugin, arity, pattern)))
    legs = label_legs(theory, observable, legs, pattern)
    if irreducible:
        theory, legs = amputate(theory, legs)
        observable = f"irreducible {observable}"
    found = generate(
        theory,
        observable,
        legs,
        order=whole_number("order", order, 0),
        width_order=None if width_order is None else whole_number("width_order", width_order, 0),
        connected=plugin.connected or irreducible,
        max_diagrams=whole_number("max_diagrams", max_diagrams, 1),
    )
    return only_irreducible(found) if irreducible else found


def _arity(plugin: AbstractObservable, arity: int | None, indices: str | None) -> int:
    if arity is None:
        return len(indices or "ii") if plugin.arity is None else plugin.arity
    if plugin.arity not in (None, arity):
        raise InputError(f"arity={short(arity)}: observable {plugin.name!r} has {plugin.arity} times; leave it out")
    return whole_number("arity", arity, 1)


def compute(
    theory: Theory,
    observable: str | Sequence[str],
    *,
    order: int | str,
    width_order: int | None = None,
    times: Any = None,
    tau: Any = None,
    indices: str | None = None,
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
) -> Result | Any:
    """Compute an observable as the sum of its diagrams, or a derived one from such sums.

    Parameters
    ----------
    theory, order, width_order, indices, max_diagrams
        As for `diagrams`. ``order="resummed"`` adds up all orders of the width orders 0 to `width_order` (which must
        be given), for models and observables whose sum is known; nothing is sampled then, and of the following
        arguments only the times and the tolerances matter.
    observable
        A name, or several: then what the derived ones need is evaluated once for all.
    times : (M, legs) array
        External times; from rest each ≥ 0.
    tau : (M,) array
        Short for the pairs (τ, 0), stationary start only. Default: τ = 0.
    integrator
        Name of an integrator plugin; ``"auto"`` takes the first that supports each integral.
    executor, workers, address
        ``"local"``, ``"processes"``, ``"ray"`` or an AbstractExecutor; how many workers; a Ray cluster's address.
    rtol, atol
        Stop when the error of the sum is at most max(rtol·|sum|, atol) at every time. For a derived observable
        rtol is that of its base observables, relative to their largest free value.
    neval
        Stop when this many samples are spent over all diagrams, adaptation not counted; for each base observable.
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
        With `converged` False if the target was not met; its errors are honest all the same. A `Derived` for a derived
        observable; for several names a dict of them.

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
    if not isinstance(observable, str) or is_derived(observable):
        return compute_several(
            compute, theory, observable, times, tau, indices, order=order, width_order=width_order,
            integrator=integrator, executor=executor, rtol=rtol, atol=atol, neval=neval, seed=seed, ledger=ledger,
            time_limit=time_limit, progress=progress, workers=workers, address=address, max_diagrams=max_diagrams,
        )  # fmt: skip
    request = make_request(
        theory, observable, order=order, width_order=width_order, times=times, tau=tau, indices=indices,
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
    if isinstance(request.order, str):
        return resum(request, theory)
    began = time.monotonic()
    target = make_target(request, ledger, time_limit)
    found = diagrams(
        theory,
        request.observable,
        order=request.order,
        width_order=request.width_order,
        arity=len(request.times[0]),
        indices=request.indices,
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
