"""The theory's side of a check: widths, orders, and what a simulation has to average for the same numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nnqft.checks import whole_number
from nnqft.errors import InputError, UnknownNameError, short
from nnqft.graphs.generate import MAX_DIAGRAMS
from nnqft.graphs.indices import check_indices
from nnqft.host import default_host, plugin_errors
from nnqft.interfaces.observable import AbstractDerivedObservable, Need
from nnqft.interfaces.simulator import Numbers
from nnqft.pipeline.compute import compute
from nnqft.pipeline.derived import grid_of
from nnqft.results.derivation import needs_of
from nnqft.results.derived import Derived
from nnqft.results.result import Result
from nnqft.rules.theory import Theory
from nnqft.stages.request import RESUMMED
from nnqft.stages.theories import as_theory, make_theory
from nnqft.stages.times import check_times

_HIGHEST, _FEW = 3, 500
"""The order that is tried first where the model knows no sum, and the most diagrams that are taken for granted."""


def expected(
    theory: Theory, observable: str, orders: Sequence[dict[str, Any]], ask: dict[str, Any]
) -> Result | Derived:
    """What theory says, by the first way that there is."""
    for n, each in enumerate(orders):
        try:
            return compute(theory, observable, **ask, **each)
        except InputError:
            if n == len(orders) - 1:
                raise
    raise AssertionError("there is always one")


def orders_to_try(order: object, width_order: int) -> list[dict[str, Any]]:
    """Ways to ask for the theory, best first."""
    if order is not None:
        return [{"order": order, "width_order": width_order}]
    diagrams = [
        {"order": n, "width_order": width_order, "max_diagrams": _FEW if n > 1 else MAX_DIAGRAMS}
        for n in range(_HIGHEST, 0, -1)
    ]
    known = {"order": RESUMMED, "width_order": width_order}
    # Of some observables the sum is all that is known, and at infinite width only; the last one's error is shown.
    return [known, *diagrams, {"order": RESUMMED, "width_order": 0}]


def needs_for(theory: Theory, observable: object, times: object, tau: object, indices: object) -> Sequence[Need]:
    """Base observables to simulate, everything that is wrong with the question said."""
    if not isinstance(observable, str):
        raise InputError(f"observable={short(observable)}: wanted the name of one; check others one by one")
    plugin = default_host().observable(observable)
    if isinstance(plugin, AbstractDerivedObservable):
        if indices is not None:
            raise InputError(f"indices={short(indices)}: {observable!r} chooses its own; leave indices out")
        return list(needs_of(plugin, theory, grid_of(theory, plugin.arity, times, tau), resummed=False).values())
    return [Need(observable, check_times(theory, plugin.arity, times, tau), check_indices(indices))]


def wanted(theory: Theory, expected: Result | Derived) -> tuple[Sequence[Need], Numbers]:
    """Base observables to simulate, and how the numbers follow from them."""
    if isinstance(expected, Result):
        request = expected.request
        return [Need(request.observable, request.times, request.indices)], lambda mean, cov: (mean, np.eye(len(mean)))
    plugin, times, names = expected.plugin, expected.times, expected.names
    # Networks are asked for correlation functions, also where the theory knows the sum as a whole.
    needs = needs_of(plugin, theory, times, resummed=False)
    return list(needs.values()), _derivation(plugin, theory, times, needs, names)


def _derivation(
    plugin: AbstractDerivedObservable,
    theory: Theory,
    times: np.ndarray | None,
    needs: Mapping[str, Need],
    names: tuple[str, ...],
) -> Numbers:
    import gvar

    ends = np.cumsum([len(need.times) for need in needs.values()])[:-1]

    def numbers(mean: np.ndarray, cov: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        inputs = gvar.gvar(mean, np.array(cov))  # with their errors, by which a plugin may judge what is determined
        with plugin_errors(f"observable {plugin.name!r}"), np.errstate(all="ignore"):
            found = plugin.derive(theory, times, dict(zip(needs, np.split(inputs, ends), strict=True)))
        derived = [found[name] + 0 * inputs[0] for name in names]
        slopes = np.array([number.deriv(inputs) for number in derived])
        return np.array([number.mean for number in derived]), slopes.reshape(len(names), len(mean))

    return numbers


def widths_of(theory: Theory, N: object) -> list[int]:
    """The widths that were asked for, that of the theory if none was."""
    if N is None:
        return [as_theory(theory).N]
    many = list(N) if isinstance(N, Sequence | np.ndarray) and not isinstance(N, str) else [N]
    widths = [whole_number("N", n, 1, "[20, 50]") for n in many]
    if not widths or len(set(widths)) < len(widths):
        raise InputError(f"N={short(N)}: wanted one width or several different ones, write for example N=[20, 50]")
    return widths


def of_width(theory: Theory, N: int) -> Theory:
    """The theory at another width."""
    if theory.N == N:
        return theory
    if "N" not in theory.parameters:
        raise InputError(f"N={N}: model {theory.model!r} has no width; leave N out")
    parameters = dict(theory.parameters) | {"N": N}
    try:
        model = default_host().model(theory.model)
    except UnknownNameError:
        return replace(theory, parameters=parameters)
    if make_theory(model, theory.start, theory.parameters) != theory:
        return replace(theory, parameters=parameters)
    return make_theory(model, theory.start, parameters)
