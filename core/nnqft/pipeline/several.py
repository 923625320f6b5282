"""Several observables at once: what the derived ones need is evaluated once for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nnqft.errors import InputError, short
from nnqft.interfaces.model import Need
from nnqft.results.derived import compute_derived, is_derived
from nnqft.results.result import Result
from nnqft.rules.theory import Theory
from nnqft.stages.request import check_theory


def compute_several(
    compute: Callable[..., Any],
    theory: Theory,
    observable: str | Sequence[str],
    times: Any,
    tau: Any,
    indices: str | None,
    **options: Any,
) -> Any:
    """Derived observables together, others one by one; a dict by name unless a single name was given."""
    check_theory(theory)
    single = isinstance(observable, str)
    names = _names(observable)
    derived = [name for name in names if is_derived(name)]
    if derived and indices is not None:
        raise InputError(f"indices={short(indices)}: {derived[0]!r} chooses the indices of its legs; leave indices out")

    def evaluate(need: Need) -> Result:
        target = _absolute_target(compute, theory, need, options)
        return compute(theory, need.observable, times=need.times, indices=need.indices, **{**options, **target})

    made: dict[str, Any] = dict(compute_derived(theory, derived, times, tau, evaluate)) if derived else {}
    for name in names:
        if name not in made:
            made[name] = compute(theory, name, times=times, tau=tau, indices=indices, **options)
    return made[names[0]] if single else {name: made[name] for name in names}


def _names(observable: Any) -> list[str]:
    """The names of one or several observables."""
    if isinstance(observable, str):
        return [observable]
    try:
        names = list(observable)
    except TypeError:
        names = []
    if not names or len(set(map(str, names))) < len(names):
        raise InputError(f"observable={short(observable)}: wanted a name or several different ones")
    return names


def _absolute_target(
    compute: Callable[..., Any], theory: Theory, need: Need, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Tolerances relative to the largest free value: a tail that is nearly zero needs no digits of its own."""
    if options["rtol"] is None or not isinstance(options["order"], int):
        return {}
    free = compute(theory, need.observable, order=0, times=need.times, indices=need.indices, neval=1)
    scale = float(abs(free.mean).max())
    rtol, atol = options["rtol"], options["atol"] or 0.0
    # Anything odd is left to be refused where it is checked.
    if not scale or not isinstance(rtol, int | float) or not isinstance(atol, int | float) or rtol <= 0:
        return {}
    return {"rtol": None, "atol": max(atol, rtol * scale)}
