"""Sums of all orders in the coupling, width order by width order, as models or plugins know them.

They are computed here, not by an executor: a few dense matrices leave nothing to share out.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from nnqft import interrupts
from nnqft.errors import InputError, IntegrationError, PluginError, UnknownNameError, short
from nnqft.graphs.indices import label_legs
from nnqft.host import default_host, plugin_errors
from nnqft.integrals.estimate import Estimate
from nnqft.interfaces.executor import Target
from nnqft.interfaces.model import AbstractModel
from nnqft.interfaces.observable import AbstractObservable
from nnqft.results.assemble import versions
from nnqft.results.result import Result
from nnqft.results.series import Series
from nnqft.results.truncation import Beyond
from nnqft.rules.theory import Theory
from nnqft.show.progress import progress_bar
from nnqft.show.watch import OutOfTime, limit_line, reporting, time_limit
from nnqft.stages.effort import Effort
from nnqft.stages.request import RESUMMED, Request
from nnqft.stages.theories import is_of_its_model

Answer = Callable[[int, bool], tuple[np.ndarray, np.ndarray, tuple[str, ...]]]
"""From a width order, and whether its size is enough, to values, bounds of their errors, and notes."""


def resum(request: Request, theory: Theory, effort: Effort) -> Result:
    """The result of a request whose order is ``"resummed"``: one contribution for each width order.

    Raises
    ------
    InputError
        If no such sum is known, or it diverges.
    IntegrationError
        If the time limit leaves nothing at all.
    """
    with (
        progress_bar(effort.progress, "summing all orders") as report,
        reporting(report) if effort.progress else nullcontext(),
        time_limit(effort.time_limit),
    ):
        return _resum(request, theory, effort)


def _resum(request: Request, theory: Theory, effort: Effort) -> Result:
    began = time.monotonic()
    if request.replicas is not None:
        raise InputError(f"replicas={request.replicas!r} have no sum of all orders; write a whole number for order")
    answer = _answer_of(theory, request)
    parts: dict[int, Estimate] = {}
    notes: dict[str, None] = {}
    assert request.width_order is not None  # checked with the request
    stopped = ""
    ahead = None
    try:
        for width in range(request.width_order + 1):
            start = time.process_time()
            values, bounds, said = answer(width, False)
            parts[width] = Estimate.exact(values, time.process_time() - start, bounds)
            notes |= dict.fromkeys(said)
        ahead = _next_width(answer, request.width_order + 1)
    except (OutOfTime, KeyboardInterrupt) as error:
        stopped = limit_line(effort.time_limit) if isinstance(error, OutOfTime) else "interrupted"
        # Width order 0 of what fluctuates is 0: alone it would pass for an answer.
        nothing = not any(part.mean.any() for part in parts.values())
        if nothing and stopped == "interrupted":
            raise
        if nothing:
            raise IntegrationError(f"{stopped} before anything was summed; write a larger time_limit") from None
    if stopped == "interrupted":
        interrupts.note()
    series = Series({(RESUMMED, width): part for width, part in parts.items()}, N=theory.N)
    total = series.total
    wanted = Target(request.rtol, request.atol).tolerance(total.mean)
    missed = bool(((wanted >= 0) & (total.rounding > wanted)).any())
    missing = [str(width) for width in range(len(parts), request.width_order + 1)]
    if missing:
        notes[f"missing from the sum: width order {', '.join(missing)}"] = None
    reason = "the bound of the sum's error is larger than asked" if missed else "summed to all orders"
    return Result(
        request=request,
        series=series,
        by_coupling={f"N^-{width}" if width else "1": part for width, part in parts.items()},
        diagrams=(),
        converged=not missed and not missing,
        reason=stopped if missing else reason,
        notes=(*notes, _what_is_left_out(len(parts), total.mean, ahead)),
        seconds=time.monotonic() - began,
        versions=versions(),
        beyond=replace(Beyond.of(theory), next_width=None if ahead is None else tuple(ahead.tolist())),
    )


def _answer_of(theory: Theory, request: Request) -> Answer:
    """Who knows the sums of this request: the model itself, or else a plugin.

    Raises
    ------
    InputError
        If the model is not installed, its rules were changed, or the indices do not fit.
    """
    model = _model_of(theory)
    observable = default_host().observable(request.observable)
    if request.indices is not None and isinstance(observable, AbstractObservable):
        legs = observable.legs(theory, len(request.times[0]))
        label_legs(theory, request.observable, legs, request.indices)
    if type(model).resummed is AbstractModel.resummed:
        assert request.width_order is not None
        # Asked for no times, who knows the sum has nothing to do, and who does not refuses it.
        _of_plugins(theory, model, request, request.width_order, True, np.zeros((0, len(request.times[0]))))
        return partial(_of_plugins, theory, model, request)
    return partial(_of_model, theory, model, request)


def _of_model(
    theory: Theory, model: AbstractModel, request: Request, width: int, rough: bool
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    more = {}
    if request.indices is not None:
        known = inspect.signature(model.resummed).parameters.values()
        if not any(p.name == "indices" or p.kind is p.VAR_KEYWORD for p in known):
            raise InputError(
                f"indices={request.indices!r}: model {model.name!r} has no resummed form of them; write a whole number"
                " for order"
            )
        more["indices"] = request.indices
    resummed: Callable[..., Any] = model.resummed
    try:
        with plugin_errors(f"model {model.name!r}"):
            found = resummed(theory, request.observable, width, np.array(request.times), **more)
    except InputError:
        if not _sums_itself(request):
            raise
        return _of_observable(theory, request, width)
    return _checked(f"model {model.name!r}", found, len(request.times))


def _sums_itself(request: Request) -> bool:
    """Does the observable know sums of its own?"""
    observable = default_host().observable(request.observable)
    return isinstance(observable, AbstractObservable) and type(observable).resummed is not AbstractObservable.resummed


def _of_observable(theory: Theory, request: Request, width: int) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    observable = default_host().observable(request.observable)
    assert isinstance(observable, AbstractObservable)
    with plugin_errors(f"observable {request.observable!r}"):
        found = observable.resummed(theory, width, np.array(request.times))
    return _checked(f"observable {request.observable!r}", found, len(request.times))


def _of_plugins(
    theory: Theory, model: AbstractModel, request: Request, width: int, rough: bool, times: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    if request.indices is None and _sums_itself(request):
        return _of_observable(theory, request, width)
    times = np.array(request.times) if times is None else times
    with plugin_errors(f"activation of model {model.name!r}"):
        phi = model.activation(theory.parameters)
    for name, (known, _) in default_host().table("sum").items():
        with plugin_errors(f"sum {name!r}"):
            found = known(theory, phi, request.observable, request.indices, width, times, rough)
        if found is not None:
            return _checked(f"sum {name!r}", found, len(times))
    why = "" if phi is not None else ": it gives no activation, only Feynman rules"
    raise InputError(f"model {model.name!r} has no resummed form{why}; write a whole number for order")


def _checked(who: str, found: Any, count: int) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Values, bounds and notes, or PluginError if they are none."""
    if not isinstance(found, Sequence) or len(found) not in (2, 3):
        raise PluginError(f"{who}: its resummed form came as {short(found)}, wanted values and bounds of their errors")
    try:
        values, bounds = (np.asarray(each, float) for each in found[:2])
        bounds = np.broadcast_to(np.abs(bounds), (count,))
    except (TypeError, ValueError):
        raise PluginError(f"{who}: its resummed form is no array of a number for each of {count} times") from None
    if values.shape != (count,) or not np.isfinite(values).all() or not np.isfinite(bounds).all():
        raise PluginError(f"{who}: its resummed form is no finite number at each of the times")
    return values, bounds, tuple(str(note) for note in found[2]) if len(found) == 3 else ()


def _next_width(answer: Answer, width: int) -> np.ndarray | None:
    """(M,) the next width order, if it is known."""
    try:
        return answer(width, True)[0]
    except (InputError, PluginError, OutOfTime):
        return None


def _what_is_left_out(width: int, mean: np.ndarray, ahead: np.ndarray | None) -> str:
    """A note on the next width order: how much it would change the sum, if that is known."""
    note = f"all orders in the coupling; order N^-{width} is left out"
    known = mean != 0
    if ahead is None or not known.any():
        return note
    return f"{note}, it would change this by up to {np.abs(ahead[known] / mean[known]).max():.1%}"


def _model_of(theory: Theory) -> AbstractModel:
    """The installed model whose rules these are."""
    try:
        model = default_host().model(theory.model)
    except UnknownNameError:
        message = f"model {theory.model!r} is not installed, so its sum is not known; write a whole number for order"
        raise InputError(message) from None
    if not is_of_its_model(theory):
        raise InputError(
            f"these rules are not those of model {theory.model!r} at its parameters, so their sum is not known;"
            " write a whole number for order"
        )
    return model
