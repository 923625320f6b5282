"""The front door: what is asked for, checked, sorted into base and derived observables, and done."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, Unpack, overload

from numpy.typing import ArrayLike

from nnqft import interrupts
from nnqft.checks import one_line_keywords
from nnqft.errors import InputError, IntegrationError, WorkError, short
from nnqft.graphs.generate import MAX_DIAGRAMS
from nnqft.host import default_host
from nnqft.interfaces.executor import AbstractExecutor
from nnqft.interfaces.observable import AbstractDerivedObservable
from nnqft.pipeline.derived import compute_derived
from nnqft.pipeline.run import run
from nnqft.results.derived import Derived
from nnqft.results.result import Result
from nnqft.rules.theory import Theory
from nnqft.stages.effort import Effort, Options
from nnqft.stages.request import make_request
from nnqft.stages.theories import as_theory

DerivedName = Literal["correlation_length", "dimension", "effective_bias", "kernel_variance", "response_poles"]
"""The derived observables that come with nnqft, for type checkers: `compute` gives a `Derived` for these."""


@overload
def compute(  # type: ignore[overload-overlap]
    theory: Theory,
    observable: DerivedName,
    *,
    order: int | str,
    width_order: int | None = ...,
    times: ArrayLike | None = ...,
    tau: ArrayLike | None = ...,
    indices: str | None = ...,
    replicas: str | None = ...,
    **effort: Unpack[Options],
) -> Derived: ...
@overload
def compute(  # type: ignore[overload-overlap]
    theory: Theory,
    observable: str,
    *,
    order: int | str,
    width_order: int | None = ...,
    times: ArrayLike | None = ...,
    tau: ArrayLike | None = ...,
    indices: str | None = ...,
    replicas: str | None = ...,
    **effort: Unpack[Options],
) -> Result: ...
@overload
def compute(
    theory: Theory,
    observable: Sequence[str],
    *,
    order: int | str,
    width_order: int | None = ...,
    times: ArrayLike | None = ...,
    tau: ArrayLike | None = ...,
    indices: str | None = ...,
    replicas: str | None = ...,
    **effort: Unpack[Options],
) -> dict[str, Result | Derived]: ...
@one_line_keywords
def compute(
    theory: Theory,
    observable: str | Sequence[str],
    *,
    order: int | str,
    width_order: int | None = None,
    times: ArrayLike | None = None,
    tau: ArrayLike | None = None,
    indices: str | None = None,
    replicas: str | None = None,
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
) -> Result | Derived | dict[str, Result | Derived]:
    """Compute an observable as the sum of its diagrams, or a derived one from such sums.

    Parameters
    ----------
    theory, order, width_order, indices, replicas, max_diagrams
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
        Stop when the error of the sum is at most max(rtol·|sum|, atol) at every time; without any target, budget or
        limit rtol = 1e-3. For a derived observable rtol is that of its base observables, relative to their largest
        free value.
    neval
        Stop when this many samples are spent over all diagrams, adaptation and looks that only share them out not
        counted; for each base observable.
    seed
        All randomness follows from it.
    ledger
        Path of a file that keeps every finished chunk: the same request, or a more precise one, goes on from what is
        there, also after a crash. Made if it is not there; any number of requests may share one.
    time_limit
        Stop after this many seconds with the estimate so far, the lowest orders first; `Result.incomplete` has the
        orders that there was no time for.
    progress
        Show a progress bar on stderr.

    Returns
    -------
    Result
        With `converged` False if the target was not met; its errors are honest all the same. A `Derived` for a derived
        observable (`DerivedName` lists those that come with nnqft); for several names a dict of them.

    Raises
    ------
    InputError
        On anything that makes no sense; nothing has been computed then.
    ExecutorError
        If the executor cannot be reached.
    LedgerError
        If the ledger cannot be opened; it stays as it was.
    IntegrationError
        If an integral failed, or Ctrl-C came before the last of several names; its `result` holds what was finished.
        An integral that failed, at a point that the message names, lets all others and other observables go on.

    Examples
    --------
    >>> import nnqft
    >>> theory = nnqft.theory("linear", N=100, sigma_w=0.5)
    >>> result = nnqft.compute(theory, "two_point", order=3, width_order=1)
    >>> round(float(result.mean[0]), 6)
    0.577778
    """
    interrupts.forget()
    theory, names = as_theory(theory), names_of(observable)
    effort = Effort(
        integrator=integrator,
        rtol=rtol,
        atol=atol,
        neval=neval,
        seed=seed,
        executor=executor,
        workers=workers,
        address=address,
        ledger=ledger,
        time_limit=time_limit,
        progress=progress,
        max_diagrams=max_diagrams,
    )
    legs = {"times": times, "tau": tau, "indices": indices, "replicas": replicas}
    question = {"order": order, "width_order": width_order, **legs}
    derived = [name for name in names if isinstance(default_host().observable(name), AbstractDerivedObservable)]
    made: dict[str, Result | Derived] = {}
    if derived:
        made.update(compute_derived(theory, derived, effort, **question))
    failure = _compute_rest(theory, names, made, effort, question)
    if failure is not None:
        raise failure if isinstance(observable, str) else IntegrationError(str(failure), made) from failure.__cause__
    return made[names[0]] if isinstance(observable, str) else {name: made[name] for name in names}


def _compute_rest(
    theory: Theory, names: Sequence[str], made: dict[str, Result | Derived], effort: Effort, question: Mapping[str, Any]
) -> IntegrationError | None:
    """Compute those of the observables that are not made yet; what failed first in diagrams of one is returned.

    It says nothing of the others, which are computed all the same.
    """
    failure: IntegrationError | None = None
    for name in names:
        if name not in made:
            with _keeping(made, names):
                try:
                    made[name] = run(theory, make_request(theory, name, effort, **question), effort)
                except IntegrationError as error:
                    if not isinstance(error.__cause__, WorkError):
                        raise
                    made[name], failure = error.result, failure or error
    return failure


@contextmanager
def _keeping(made: Mapping[str, object], names: Sequence[str]) -> Iterator[None]:
    """Turn Ctrl-C into an IntegrationError with what was made before, if anything was."""
    try:
        yield
    except KeyboardInterrupt:
        if not made:
            raise
        missing = ", ".join(name for name in names if name not in made)
        raise IntegrationError(f"interrupted before {missing} was computed", made) from None


def names_of(observable: object) -> list[str]:
    """The names of one or several observables as a list; InputError if they are none, or one comes twice."""
    if isinstance(observable, str):
        return [observable]
    names = list(observable) if isinstance(observable, Sequence) else []
    if not names or len(set(map(str, names))) < len(names):
        raise InputError(f"observable={short(observable)}: wanted a name or several different ones")
    return names
