"""Sums of all orders in the coupling, width order by width order, as models know them."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from nnqft.errors import InputError, PluginError, UnknownNameError
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
from nnqft.stages.request import RESUMMED, Request
from nnqft.stages.theories import make_theory


def resum(request: Request, theory: Theory) -> Result:
    """The result of a request whose order is ``"resummed"``: one exact contribution for each width order.

    Raises
    ------
    InputError
        If the model knows no such sum, or the sum diverges.
    """
    began = time.monotonic()
    if request.indices is not None:
        raise InputError(f"indices={request.indices!r} have no resummed form; write a whole number for order")
    model = _model_of(theory)
    times = np.array(request.times)
    parts: dict[int, Estimate] = {}
    assert request.width_order is not None  # checked with the request
    for width in range(request.width_order + 1):
        start = time.process_time()
        values, bounds = _sum(model, theory, request.observable, width, times)
        values, bounds = np.asarray(values, float), np.asarray(bounds, float)
        if values.shape != (len(times),) or not np.isfinite(values).all() or not np.isfinite(bounds).all():
            raise PluginError(f"model {theory.model!r}: its resummed form is no finite number at each of the times")
        bounds = np.broadcast_to(np.abs(bounds), values.shape)
        parts[width] = Estimate.exact(values, time.process_time() - start, bounds)
    series = Series({(RESUMMED, width): part for width, part in parts.items()}, N=theory.N)
    total = series.total
    wanted = Target(request.rtol, request.atol).tolerance(total.mean)
    missed = bool(((wanted >= 0) & (total.rounding > wanted)).any())
    ahead = _next_width(model, theory, request)
    return Result(
        request=request,
        series=series,
        by_coupling={f"N^-{width}" if width else "1": part for width, part in parts.items()},
        diagrams=(),
        converged=not missed,
        reason="the bound of the sum's error is larger than asked" if missed else "summed to all orders",
        notes=(_what_is_left_out(request, total.mean, ahead),),
        seconds=time.monotonic() - began,
        versions=versions(),
        beyond=replace(Beyond.of(theory), next_width=None if ahead is None else tuple(ahead.tolist())),
    )


def _sum(
    model: AbstractModel, theory: Theory, observable: str, width: int, times: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What the model knows of a width order, or where it knows nothing the observable."""
    try:
        with plugin_errors(f"model {theory.model!r}"):
            return model.resummed(theory, observable, width, times)
    except InputError:
        plugin = default_host().observable(observable)
        if not isinstance(plugin, AbstractObservable) or type(plugin).resummed is AbstractObservable.resummed:
            raise
        with plugin_errors(f"observable {observable!r}"):
            return plugin.resummed(theory, width, times)


def _next_width(model: AbstractModel, theory: Theory, request: Request) -> np.ndarray | None:
    """(M,) the next width order, if the model knows it."""
    assert request.width_order is not None
    times = np.array(request.times)
    try:
        values, _ = _sum(model, theory, request.observable, request.width_order + 1, times)
    except InputError:
        return None
    values = np.asarray(values, float)
    return values if values.shape == (len(times),) and np.isfinite(values).all() else None


def _what_is_left_out(request: Request, mean: np.ndarray, ahead: np.ndarray | None) -> str:
    """A note on the next width order: how much it would change the sum, if the model knows."""
    assert request.width_order is not None
    note = f"all orders in the coupling; order N^-{request.width_order + 1} is left out"
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
    if make_theory(model, theory.start, theory.parameters) != theory:
        raise InputError(
            f"these rules are not those of model {theory.model!r} at its parameters, so their sum is not known;"
            " write a whole number for order"
        )
    return model
