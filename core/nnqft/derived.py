"""Numbers made of base observables, with errors propagated by gvar: their evaluation and their result."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from nnqft.errors import InputError, PluginError, short
from nnqft.estimate import Estimate, add_all
from nnqft.files import write_json
from nnqft.host import default_host, strangers
from nnqft.interfaces import AbstractDerivedObservable, Need, whole_number
from nnqft.report import derived_table, plot_derived
from nnqft.request import check_times, make_theory
from nnqft.result import FORMAT, Result
from nnqft.theory import Theory

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Key = tuple[str, str | None, int]
"""A base observable: its name, the pattern of its indices, the number of its times."""


@dataclass(frozen=True, eq=False)
class Derived:
    """Numbers derived from base observables.

    Attributes
    ----------
    observable : str
    times : (M, arity) array or None
        As the user gave them.
    names : tuple of str
        What each of the K numbers is.
    mean, cov : (K,), (K, K) arrays
        nan where a number does not exist.
    bases : dict
        Name and indices of each base observable, as text → its Result, at the times that all derived observables of
        the computation needed.
    by_order : (order + 1, K) array
        The numbers with every base observable summed to a lower order only; no rows where there are no orders.
    notes : tuple of str
    theory : Theory or None
        None for one that was loaded.
    truncation : (K,) array
        How much the numbers change when every base observable is shifted by its `Result.truncation`, up or down,
        whichever changes them most; no bound. nan where a number does not exist, or no longer does when shifted.
    """

    observable: str
    times: np.ndarray | None
    names: tuple[str, ...]
    mean: np.ndarray
    cov: np.ndarray
    bases: dict[str, Result]
    by_order: np.ndarray
    notes: tuple[str, ...] = ()
    theory: Theory | None = field(default=None, repr=False)
    truncation: np.ndarray = field(default_factory=lambda: np.full(1, math.nan))

    @property
    def sdev(self) -> np.ndarray:
        """(K,) standard deviations."""
        return np.sqrt(np.maximum(np.diagonal(self.cov), 0.0))

    @property
    def first(self) -> Result:
        """One of the base results, for what all have in common: theory, order, seed."""
        return next(iter(self.bases.values()))

    @property
    def converged(self) -> bool:
        """All base observables met their targets."""
        return all(result.converged for result in self.bases.values())

    @property
    def seconds(self) -> float:
        """All base observables together."""
        return sum(result.seconds for result in self.bases.values())

    def __getitem__(self, name: str) -> Any:
        """One of the numbers, as a gvar with its error.

        Raises
        ------
        InputError
            If there is none of that name.
        """
        import gvar

        if name not in self.names:
            raise InputError(f"{self.observable} has no {short(name)}, only {', '.join(self.names)}")
        n = self.names.index(name)
        return gvar.gvar(self.mean[n], self.sdev[n])

    def partial(self, order: int, width_order: int | None = None) -> np.ndarray:
        """(K,) the numbers with every base observable summed to a lower order and width order; no errors.

        Products of base observables keep what lies beyond the order.

        Raises
        ------
        InputError
            If the base observables were not computed order by order, or not to this order.
        """
        order, request = whole_number("order", order, 0), self.first.request
        if order >= len(self.by_order):
            asked = f"only order ≤ {len(self.by_order) - 1}" if len(self.by_order) else "order by order"
            raise InputError(f"partial({order}) was not computed, {asked}; compute with a higher order")
        plugin = default_host().get("observable", self.observable)
        theory = self.theory or make_theory(request.model, request.start, dict(request.parameters))
        return _partial(plugin, theory, self.times, self.bases, order, width_order)

    def table(self) -> str:
        """The numbers with their errors and, where there are orders, how they came about order by order."""
        return derived_table(self)

    def plot(self, ax: Axes | None = None) -> Axes:
        """The numbers with error bars, over the first time if there is one number a time; returns the axes."""
        return plot_derived(self, ax)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything, base results included, to a JSON file, whole or not at all."""
        write_json(path, self.to_data())

    def to_data(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "format": FORMAT,
            "derived": self.observable,
            "times": None if self.times is None else self.times.tolist(),
            "names": list(self.names),
            "mean": _nan_to_none(self.mean.tolist()),
            "cov": [_nan_to_none(row) for row in self.cov.tolist()],
            "truncation": _nan_to_none(self.truncation.tolist()),
            "by_order": [_nan_to_none(row) for row in self.by_order.tolist()],
            "bases": {name: result.to_data() for name, result in self.bases.items()},
            "notes": list(self.notes),
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Derived:
        """What `to_data` made; raises one of many errors if it is not."""
        size = len(data["names"])
        return cls(
            observable=str(data["derived"]),
            times=None if data["times"] is None else np.atleast_2d(np.array(data["times"], float)),
            names=tuple(str(name) for name in data["names"]),
            mean=np.array(data["mean"], float).reshape(size),
            cov=np.array(data["cov"], float).reshape(size, size),
            bases={str(name): Result.from_data(each) for name, each in data["bases"].items()},
            by_order=np.array(data["by_order"], float).reshape(len(data["by_order"]), size),
            notes=tuple(str(note) for note in data["notes"]),
            # Older files do not say.
            truncation=np.array(data.get("truncation", [None] * size), float).reshape(size),
        )


def compute_derived(
    theory: Theory, names: Sequence[str], times: Any, tau: Any, evaluate: Callable[[Need], Result]
) -> dict[str, Derived]:
    """Derived observables from one evaluation of the base observables they need.

    Parameters
    ----------
    names
        Of derived observables.
    times, tau
        As the user gave them.
    evaluate
        Called once for each base observable, with all times at which it is needed.

    Raises
    ------
    InputError, PluginError
        If an observable does not fit the theory, or a plugin answers nonsense.
    """
    plugins: dict[str, AbstractDerivedObservable] = {name: default_host().get("observable", name) for name in names}
    grids = {name: _grid(theory, plugin.arity, times, tau) for name, plugin in plugins.items()}
    wanted: dict[Key, dict[tuple[float, ...], None]] = {}
    for name, plugin in plugins.items():
        for need in _needs(plugin, theory, grids[name]).values():
            wanted.setdefault(_key(need), {}).update(dict.fromkeys(need.times))
    results = {key: evaluate(Need(key[0], tuple(rows), key[1])) for key, rows in wanted.items()}
    made = {}
    for name, plugin in plugins.items():
        keys = {_key(need) for need in _needs(plugin, theory, grids[name]).values()}
        bases = {_label(key): result for key, result in results.items() if key in keys}
        totals = {label: result.total for label, result in bases.items()}
        labels, mean, cov = _derive(plugin, theory, grids[name], bases, totals)
        notes = dict.fromkeys(note for result in bases.values() for note in result.notes)
        missing = [label for label, value in zip(labels, mean, strict=True) if math.isnan(value)]
        if missing:
            notes[f"no value of {', '.join(missing)}: what was computed does not determine it"] = None
        order = next(iter(bases.values())).request.order
        lower = [
            _partial(plugin, theory, grids[name], bases, n, None)
            for n in range(order + 1 if isinstance(order, int) else 0)
        ]
        by_order = np.reshape(lower, (len(lower), len(labels)))
        left = _truncation(plugin, theory, grids[name], bases, mean)
        made[name] = Derived(name, grids[name], labels, mean, cov, bases, by_order, tuple(notes), theory, left)
    return made


def is_derived(observable: Any) -> bool:
    """Is it the name of a derived observable?"""
    return isinstance(default_host().get("observable", observable), AbstractDerivedObservable)


def _grid(theory: Theory, arity: int | None, times: Any, tau: Any) -> np.ndarray | None:
    if arity == 0 or (times is None and tau is None):
        return None
    return np.array(check_times(theory, arity, times, tau))


def _needs(plugin: AbstractDerivedObservable, theory: Theory, times: np.ndarray | None) -> Mapping[str, Need]:
    with strangers(f"observable {plugin.name!r}"):
        needs = plugin.needs(theory, times)
    if not isinstance(needs, Mapping) or not needs or not all(isinstance(n, Need) for n in needs.values()):
        raise PluginError(f"observable {plugin.name!r} needs {short(needs)}, wanted a mapping of names to Need")
    for need in needs.values():
        if is_derived(need.observable):
            raise PluginError(f"observable {plugin.name!r} needs {need.observable!r}, which is derived, too")
    return needs


def _key(need: Need) -> Key:
    return need.observable, need.indices, len(need.times[0])


def _label(key: Key) -> str:
    observable, indices, legs = key
    if indices is None and default_host().get("observable", observable).arity is not None:
        return observable
    return f"{observable} ({indices or 'i' * legs})"


def _derive(
    plugin: AbstractDerivedObservable,
    theory: Theory,
    times: np.ndarray | None,
    bases: Mapping[str, Result],
    totals: Mapping[str, Estimate],
) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Names, means and covariance of the derived numbers, from a total for each base observable."""
    import gvar

    known = {}
    for label, total in totals.items():
        numbers = gvar.gvar(total.mean, np.array(total.cov))
        known[label] = dict(zip(bases[label].request.times, numbers, strict=True))
    values = {
        name: np.array([known[_label(_key(need))][tuple(row)] for row in need.times])
        for name, need in _needs(plugin, theory, times).items()
    }
    with strangers(f"observable {plugin.name!r}"), np.errstate(all="ignore"):
        found = plugin.derive(theory, times, values)
    if not isinstance(found, Mapping):
        raise PluginError(f"observable {plugin.name!r} derived {short(found)}, wanted a mapping of names to numbers")
    numbers = [x if isinstance(x, gvar.GVar) else gvar.gvar(float(x), 0.0) for x in found.values()]
    mean = np.array([x.mean for x in numbers])
    cov = np.array(gvar.evalcov(numbers)).reshape(len(numbers), len(numbers))
    broken = ~np.isfinite(mean) | ~np.isfinite(np.diagonal(cov))
    mean[broken] = math.nan
    cov[broken, :] = cov[:, broken] = math.nan
    return tuple(str(name) for name in found), mean, cov


def _truncation(
    plugin: AbstractDerivedObservable,
    theory: Theory,
    times: np.ndarray | None,
    bases: Mapping[str, Result],
    mean: np.ndarray,
) -> np.ndarray:
    """(K,) the largest change of the numbers when the base observables are shifted by what they leave out.

    All times of one base observable are shifted together, because what is left out varies slowly with them; different
    ones independently of each other, up to three of them.
    """
    free = min(len(bases), 3)
    change = np.full(len(mean), math.nan)
    for signs in product((1.0, -1.0), repeat=free):
        shifts = zip(bases.items(), [*signs, *[1.0] * (len(bases) - free)], strict=True)
        totals = {
            label: Estimate.exact(result.total.mean + sign * result.truncation) for (label, result), sign in shifts
        }
        with suppress(PluginError):  # shifted numbers may be none that the plugin is made for
            change = np.fmax(change, np.abs(_derive(plugin, theory, times, bases, totals)[1] - mean))
    return change


def _partial(
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
    return _derive(plugin, theory, times, bases, totals)[1]


def _nan_to_none(values: Sequence[float]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values]
