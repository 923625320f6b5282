"""Derived observables from one evaluation of the base observables that they need."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nnqft.errors import InputError, short
from nnqft.host import default_host
from nnqft.interfaces.observable import AbstractDerivedObservable, Need
from nnqft.pipeline.run import run
from nnqft.results.derivation import (
    Base,
    base_of,
    derive,
    label_of,
    method_errors,
    needs_of,
    numerical_errors,
    partial_numbers,
    shifted_numbers,
)
from nnqft.results.derived import Derived
from nnqft.results.result import Result
from nnqft.rules.theory import Theory
from nnqft.stages.effort import Effort
from nnqft.stages.request import RESUMMED, Request, make_request
from nnqft.stages.times import check_times

_ROUNDING = 1e-9
"""Part of a number below which the numerical error of a sum is rounding."""
Grids = dict[AbstractDerivedObservable, np.ndarray | None]


def compute_derived(
    theory: Theory,
    names: Sequence[str],
    effort: Effort,
    *,
    order: object,
    width_order: object = None,
    times: object = None,
    tau: object = None,
    indices: object = None,
    replicas: object = None,
) -> dict[str, Derived]:
    """The derived observables of these names, from one evaluation of all that they need.

    Raises
    ------
    InputError, PluginError
        If an observable does not fit the theory, or a plugin answers nonsense.
    """
    legs = {"times": times, "tau": tau, "indices": indices, "replicas": replicas}
    question = {"order": order, "width_order": width_order, **legs}
    grids, requests = base_requests(theory, names, effort, **question)
    results = {base: _by_largest(run(theory, *each)) for base, each in requests.items()}
    return {plugin.name: _derived(plugin, theory, grid, results) for plugin, grid in grids.items()}


def base_requests(
    theory: Theory,
    names: Sequence[str],
    effort: Effort,
    *,
    order: object,
    width_order: object = None,
    times: object = None,
    tau: object = None,
    indices: object = None,
    replicas: object = None,
) -> tuple[Grids, dict[Base, tuple[Request, Effort]]]:
    """The times of each derived observable, and the evaluations that all of them need, each once."""
    if indices is not None:
        raise InputError(f"indices={short(indices)}: {names[0]!r} chooses the indices of its legs; leave indices out")
    if replicas is not None:
        raise InputError(f"replicas={short(replicas)}: {names[0]!r} chooses those of its legs; leave replicas out")
    grids: Grids = {}
    for name in names:
        plugin = default_host().observable(name)
        assert isinstance(plugin, AbstractDerivedObservable)  # the caller sorted them
        grids[plugin] = grid_of(theory, plugin.arity, times, tau)
    return grids, {
        base: _base_request(theory, Need(base.observable, rows, *base[1:4]), effort, order, width_order)
        for base, rows in _all_times(theory, grids, order == RESUMMED).items()
    }


def grid_of(theory: Theory, arity: int | None, times: object, tau: object) -> np.ndarray | None:
    """The times of a derived observable, checked; None where it chooses its own."""
    if arity == 0 or (times is None and tau is None):
        return None
    return np.array(check_times(theory, arity, times, tau))


def _all_times(theory: Theory, grids: Grids, resummed: bool) -> dict[Base, tuple[tuple[float, ...], ...]]:
    """Each base observable with all times at which one of the derived ones needs it, none twice."""
    wanted: dict[Base, dict[tuple[float, ...], None]] = {}
    for plugin, grid in grids.items():
        for need in needs_of(plugin, theory, grid, resummed).values():
            wanted.setdefault(base_of(need), {}).update(dict.fromkeys(need.times))
    return {base: tuple(rows) for base, rows in wanted.items()}


def _base_request(
    theory: Theory, need: Need, effort: Effort, order: object, width_order: object
) -> tuple[Request, Effort]:
    """One base observable, its tolerance relative to its largest free value: a tail that is nearly zero needs no
    digits of its own.
    """
    width_order = width_order if need.width_order is None else need.width_order
    question = {"times": need.times, "indices": need.indices, "replicas": need.replicas}
    request = make_request(theory, need.observable, effort, order=order, width_order=width_order, **question)
    if effort.rtol is None or request.resummed:
        return request, effort
    cheap = Effort(neval=1, max_diagrams=effort.max_diagrams)
    free = run(theory, make_request(theory, need.observable, cheap, order=0, **question), cheap)
    if scale := float(abs(free.mean).max()):
        effort = effort.to_error(max(effort.atol or 0.0, effort.rtol * scale))
        request = make_request(theory, need.observable, effort, order=order, width_order=width_order, **question)
    return request, effort


def _by_largest(result: Result) -> Result:
    """A sum of all orders with its target taken relative to its largest value, as that of diagrams is."""
    request, total = result.request, result.total
    if not request.resummed or len(result.series) <= (request.width_order or 0):
        return result
    wanted = max((request.rtol or 0.0) * float(np.abs(total.mean).max()), request.atol or 0.0)
    if result.converged or not float(total.rounding.max()) <= wanted:
        return result
    return replace(result, converged=True, reason="summed to all orders")


def _derived(
    plugin: AbstractDerivedObservable, theory: Theory, grid: np.ndarray | None, results: dict[Base, Result]
) -> Derived:
    resummed = any(result.request.resummed for result in results.values())
    own = {base_of(need) for need in needs_of(plugin, theory, grid, resummed).values()}
    bases = {label_of(base): result for base, result in results.items() if base in own}
    totals = {label: result.total for label, result in bases.items()}
    names, mean, cov = derive(plugin, theory, grid, bases, totals)
    notes = dict.fromkeys(note for result in bases.values() for note in result.notes)
    if missing := [name for name, value in zip(names, mean, strict=True) if math.isnan(value)]:
        notes[f"no value of {', '.join(missing)}: what was computed does not determine it"] = None
    order = next(iter(bases.values())).request.order
    orders = range(order + 1 if isinstance(order, int) else 0)
    lower = [partial_numbers(plugin, theory, grid, bases, n, None) for n in orders]
    by_order = np.reshape(lower, (len(lower), len(names)))
    left = shifted_numbers(plugin, theory, grid, bases, mean)
    method = method_errors(plugin, theory, grid, bases, names)
    if resummed:
        numerical = np.nan_to_num(numerical_errors(plugin, theory, grid, bases, mean))
        method = method + np.where(numerical > _ROUNDING * np.abs(mean), numerical, 0.0)
    if method.any():
        notes["method error: what a fit or a finite grid leaves uncertain, estimated, no bound"] = None
    return Derived(plugin.name, grid, names, mean, cov, bases, by_order, tuple(notes), theory, left, method)
