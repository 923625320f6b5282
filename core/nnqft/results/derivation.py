"""Numbers derived from base observables: what they need, how they follow, and partial sums."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import product
from typing import NamedTuple

import numpy as np

from nnqft.errors import PluginError, short
from nnqft.host import default_host, plugin_errors
from nnqft.integrals.estimate import Estimate, add_all
from nnqft.interfaces.observable import AbstractDerivedObservable, Need
from nnqft.results.result import Result
from nnqft.rules.theory import Theory


class Base(NamedTuple):
    """A base observable: its name, the patterns of its legs, its highest width order, the number of its times."""

    observable: str
    indices: str | None
    replicas: str | None
    width_order: int | None
    legs: int


def needs_of(
    plugin: AbstractDerivedObservable, theory: Theory, times: np.ndarray | None, resummed: bool
) -> Mapping[str, Need]:
    """What a derived observable needs, by its own names, checked; of sums of all orders that may be itself."""
    with plugin_errors(f"observable {plugin.name!r}"):
        needs = plugin.needs_resummed(theory, times) if resummed else plugin.needs(theory, times)
    if not isinstance(needs, Mapping) or not needs or not all(isinstance(n, Need) for n in needs.values()):
        raise PluginError(f"observable {plugin.name!r} needs {short(needs)}, wanted a mapping of names to Need")
    for need in needs.values():
        if resummed and need.observable == plugin.name:
            continue
        if isinstance(default_host().observable(need.observable), AbstractDerivedObservable):
            raise PluginError(f"observable {plugin.name!r} needs {need.observable!r}, which is derived, too")
    return needs


def base_of(need: Need) -> Base:
    """The base observable that a need is one of."""
    return Base(need.observable, need.indices, need.replicas, need.width_order, len(need.times[0]))


def label_of(base: Base) -> str:
    """How a base observable is named in results: its name, with what tells it from others."""
    fixed = default_host().observable(base.observable).arity is not None
    said = [] if base.indices is None and fixed else [base.indices or "i" * base.legs]
    said += [base.replicas] if base.replicas else []
    said += [f"width order ≤ {base.width_order}"] if base.width_order is not None else []
    return f"{base.observable} ({', '.join(said)})" if said else base.observable


def derive(
    plugin: AbstractDerivedObservable,
    theory: Theory,
    times: np.ndarray | None,
    bases: Mapping[str, Result],
    totals: Mapping[str, Estimate],
) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Names, means and covariance of the derived numbers, from a total for each base observable."""
    import gvar

    # What is not known has no variance, of which gvar would make nothing; its mean, nan, says so.
    numbers = {label: gvar.gvar(total.mean, np.nan_to_num(total.cov)) for label, total in totals.items()}
    values = _values(plugin, theory, times, bases, numbers)
    with plugin_errors(f"observable {plugin.name!r}"), np.errstate(all="ignore"):
        by_name = plugin.derive(theory, times, values)
    if not isinstance(by_name, Mapping):
        raise PluginError(f"observable {plugin.name!r} derived {short(by_name)}, wanted a mapping of names to numbers")
    derived = []
    for name, x in by_name.items():
        try:
            derived.append(x if isinstance(x, gvar.GVar) else gvar.gvar(float(x), 0.0))
        except (TypeError, ValueError):
            raise PluginError(f"observable {plugin.name!r} derived {name}={short(x)}, wanted a real number") from None
    mean = np.array([x.mean for x in derived])
    cov = np.array(gvar.evalcov(derived)).reshape(len(derived), len(derived))
    broken = ~np.isfinite(mean) | ~np.isfinite(np.diagonal(cov))
    mean[broken] = math.nan
    cov[broken, :] = cov[:, broken] = math.nan
    return tuple(str(name) for name in by_name), mean, cov


def shifted_numbers(
    plugin: AbstractDerivedObservable,
    theory: Theory,
    times: np.ndarray | None,
    bases: Mapping[str, Result],
    mean: np.ndarray,
) -> np.ndarray:
    """(K,) the largest change of the numbers when the base observables are shifted by what they leave out."""
    sizes = {label: result.truncation for label, result in bases.items()}
    return _shifted(plugin, theory, times, bases, mean, sizes)


def numerical_errors(
    plugin: AbstractDerivedObservable,
    theory: Theory,
    times: np.ndarray | None,
    bases: Mapping[str, Result],
    mean: np.ndarray,
) -> np.ndarray:
    """(K,) the same for the bounds of numerical errors of sums of all orders."""
    sizes = {label: np.broadcast_to(each.total.rounding, each.mean.shape) for label, each in bases.items()}
    return _shifted(plugin, theory, times, bases, mean, sizes)


def _shifted(
    plugin: AbstractDerivedObservable,
    theory: Theory,
    times: np.ndarray | None,
    bases: Mapping[str, Result],
    mean: np.ndarray,
    sizes: Mapping[str, np.ndarray],
) -> np.ndarray:
    """(K,) the largest change of the numbers when the base observables are shifted by these sizes.

    All times of one base observable are shifted together, because what is left out varies slowly with them; different
    ones independently of each other, up to three of them.
    """
    free = min(len(bases), 3)
    change = np.full(len(mean), math.nan)
    for signs in product((1.0, -1.0), repeat=free):
        shifts = zip(bases.items(), [*signs, *[1.0] * (len(bases) - free)], strict=True)
        totals = {label: Estimate.exact(result.total.mean + sign * sizes[label]) for (label, result), sign in shifts}
        with suppress(PluginError):  # shifted numbers may be none that the plugin is made for
            change = np.fmax(change, np.abs(derive(plugin, theory, times, bases, totals)[1] - mean))
    return change


def _values(
    plugin: AbstractDerivedObservable,
    theory: Theory,
    times: np.ndarray | None,
    bases: Mapping[str, Result],
    numbers: Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """What each need of an observable has come out as, from the numbers of each base observable at all its times."""
    resummed = any(result.request.resummed for result in bases.values())
    known = {label: dict(zip(bases[label].request.times, each, strict=True)) for label, each in numbers.items()}
    return {
        name: np.array([known[label_of(base_of(need))][tuple(row)] for row in need.times])
        for name, need in needs_of(plugin, theory, times, resummed).items()
    }


def method_errors(
    plugin: AbstractDerivedObservable,
    theory: Theory,
    times: np.ndarray | None,
    bases: Mapping[str, Result],
    names: Sequence[str],
) -> np.ndarray:
    """(K,) what the method of each number leaves uncertain: 0 for one that follows exactly, nan if that is unknown."""
    values = _values(plugin, theory, times, bases, {label: result.mean for label, result in bases.items()})
    with plugin_errors(f"observable {plugin.name!r}"), np.errstate(all="ignore"):
        found = plugin.method_error(theory, times, values)
        sizes = {str(name): abs(float(size)) for name, size in found.items()}
    if unknown := set(sizes) - set(names):
        raise PluginError(
            f"observable {plugin.name!r} has an error of {short(sorted(unknown))}, which it did not derive"
        )
    return np.array([sizes.get(name, 0.0) for name in names])


def partial_numbers(
    plugin: AbstractDerivedObservable,
    theory: Theory,
    times: np.ndarray | None,
    bases: Mapping[str, Result],
    order: int,
    width_order: int | None,
) -> np.ndarray:
    """The numbers with every base observable summed to a lower order and width order."""
    totals = {}
    for label, result in bases.items():
        zero = Estimate.exact(np.zeros(len(result.request.times)))
        narrow = {key: e for key, e in result.series.items() if width_order is None or key[1] <= width_order}
        kept = [e for (n, _), e in narrow.items() if isinstance(n, int) and n <= order]
        totals[label] = add_all([zero, *kept])
    return derive(plugin, theory, times, bases, totals)[1]
