"""Numbers made of base observables, with errors propagated by gvar: their evaluation and their result."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from nnqft.checks import saved_data, whole_number
from nnqft.errors import InputError, short
from nnqft.files import FORMAT, to_plain, write_json
from nnqft.host import default_host
from nnqft.integrals.estimate_data import cov_from, cov_to_data
from nnqft.interfaces.observable import AbstractDerivedObservable
from nnqft.results.charts import derived_chart
from nnqft.results.derivation import partial_numbers
from nnqft.results.result import Result
from nnqft.results.tables import derived_page
from nnqft.rules.theory import Theory
from nnqft.show.numbers import value_with_error
from nnqft.show.page import outcome_line
from nnqft.stages.theories import make_theory

if TYPE_CHECKING:
    import gvar
    from matplotlib.axes import Axes


_SHOWN = 3
"""How many numbers a repr shows."""


@dataclass(frozen=True, eq=False, repr=False)
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
    method_error : (K,) array
        What a fit or a finite grid leaves uncertain, by comparison with a smaller one: an estimate, no bound. 0 for a
        number that follows exactly from the base observables, nan where nothing is known.

    Examples
    --------
    >>> import nnqft
    >>> theory = nnqft.theory("linear", N=100, sigma_w=0.5)
    >>> length = nnqft.compute(theory, "correlation_length", order=2, width_order=0)
    >>> length.names
    ('short_time', 'integral', 'fit')
    >>> float(length.mean[0].round(6))
    1.148438
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
    method_error: np.ndarray = field(default_factory=lambda: np.zeros(1))

    @property
    def sdev(self) -> np.ndarray:
        """(K,) standard deviations of the numbers."""
        return np.sqrt(np.maximum(np.diagonal(self.cov), 0.0))

    @property
    def error(self) -> np.ndarray:
        """(K,) statistical error and that of the method together, as far as they are known."""
        return np.hypot(self.sdev, np.nan_to_num(self.method_error))

    @property
    def first(self) -> Result:
        """One of the base results, for what all have in common: theory, order, seed."""
        return next(iter(self.bases.values()))

    @property
    def converged(self) -> bool:
        """Did all base observables meet their targets?"""
        return all(result.converged for result in self.bases.values())

    @property
    def seconds(self) -> float:
        """Seconds that all base observables took together."""
        return sum(result.seconds for result in self.bases.values())

    def __getitem__(self, name: str) -> gvar.GVar:
        """One of the numbers, as a gvar with its error, that of the method included.

        Raises
        ------
        InputError
            If there is none of that name.

        Examples
        --------
        >>> import nnqft
        >>> theory = nnqft.theory("linear", N=100, sigma_w=0.5)
        >>> length = nnqft.compute(theory, "correlation_length", order=2, width_order=0)
        >>> round(length["short_time"].mean, 4)
        1.1484
        """
        import gvar

        if not isinstance(name, str) or name not in self.names:
            raise InputError(f"{self.observable} has no {short(name)}, only {', '.join(self.names)}")
        n = self.names.index(name)
        return gvar.gvar(self.mean[n], self.error[n])

    def partial(self, order: int, width_order: int | None = None) -> np.ndarray:
        """(K,) the numbers with every base observable summed to a lower order and width order; no errors.

        Products of base observables keep what lies beyond the order.

        Raises
        ------
        InputError
            If the base observables were not computed order by order, or not to this order.

        Examples
        --------
        >>> import nnqft
        >>> theory = nnqft.theory("linear", N=100, sigma_w=0.5)
        >>> length = nnqft.compute(theory, "correlation_length", order=2, width_order=0)
        >>> [float(length.partial(n)[0].round(6)) for n in range(3)]
        [1.0, 1.125, 1.148438]
        """
        order = whole_number("order", order, 0)
        width_order = None if width_order is None else whole_number("width_order", width_order, 0)
        if order >= len(self.by_order):
            asked = f"only order ≤ {len(self.by_order) - 1}" if len(self.by_order) else "order by order"
            raise InputError(f"partial({order}) was not computed, {asked}; compute with a higher order")
        return partial_numbers(self.plugin, self.rules, self.times, self.bases, order, width_order)

    @property
    def plugin(self) -> AbstractDerivedObservable:
        """The observable that these are numbers of."""
        plugin = default_host().observable(self.observable)
        assert isinstance(plugin, AbstractDerivedObservable)
        return plugin

    @property
    def rules(self) -> Theory:
        """The theory; made again for numbers that were loaded."""
        request = self.first.request
        return self.theory or make_theory(request.model, request.start, dict(request.parameters))

    def table(self) -> str:
        """The numbers with their errors and, where there are orders, how they came about order by order."""
        made_of = ", ".join(f"{name} at {len(result.mean)} times" for name, result in self.bases.items())
        # Where one base observable was sampled, that others are exact is no word about the whole.
        sampled = [result for result in self.bases.values() if result.total.samples]
        reasons = ", ".join(dict.fromkeys(result.reason for result in sampled or self.bases.values()))
        last = outcome_line(self.converged, reasons, self.seconds, self.first.request.seed)
        method = np.broadcast_to(self.method_error, len(self.names))
        numbers = self.names, self.mean, self.sdev, method, self.truncation
        return derived_page(
            self.observable, self.first.request, numbers, self.by_order, made_of, self.notes, last
        ).text()

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        shown = [f"{n} = {value_with_error(m, s)}" for n, m, s in zip(self.names, self.mean, self.error, strict=True)]
        more = ", …" if len(shown) > _SHOWN else ""
        return f"Derived({self.observable} of {self.first.request.model}: {', '.join(shown[:_SHOWN])}{more})"

    def plot(self, ax: Axes | None = None) -> Axes:
        """The numbers with error bars, over the first time if there is one number a time; returns the axes."""
        numbers = self.names, self.mean, self.error
        return derived_chart(self.observable, self.first.request, self.times, numbers, self.by_order).draw(ax)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything, base results included, to a JSON file, whole or not at all."""
        write_json(path, self.to_data())

    def to_data(self) -> dict[str, object]:
        """The numbers and their base results as JSON values."""
        return {
            "format": FORMAT,
            "derived": self.observable,
            "times": None if self.times is None else self.times.tolist(),
            "names": list(self.names),
            "mean": to_plain(self.mean),
            "cov": cov_to_data(self.cov) if np.isfinite(self.cov).all() else to_plain(self.cov),
            "truncation": to_plain(self.truncation),
            "method_error": to_plain(self.method_error),
            "by_order": to_plain(self.by_order),
            "bases": {name: result.to_data() for name, result in self.bases.items()},
            "notes": list(self.notes),
        }

    @classmethod
    @saved_data("Derived.from_data()", "Derived.to_data()")
    def from_data(cls, data: Mapping[str, Any]) -> Derived:
        """The numbers that `to_data` wrote; InputError if the data are something else."""
        size = len(data["names"])
        return cls(
            observable=str(data["derived"]),
            times=None if data["times"] is None else np.atleast_2d(np.array(data["times"], float)),
            names=tuple(str(name) for name in data["names"]),
            mean=np.array(data["mean"], float).reshape(size),
            # A number that is not determined has no variance, which is null in a list of lists.
            cov=np.array(data["cov"], float).reshape(size, size)
            if isinstance(data["cov"], list)
            else np.array(cov_from(data["cov"], size)),
            bases={str(name): Result.from_data(each) for name, each in data["bases"].items()},
            by_order=np.array(data["by_order"], float).reshape(len(data["by_order"]), size),
            notes=tuple(str(note) for note in data["notes"]),
            # Older files do not say.
            truncation=np.array(data.get("truncation", [None] * size), float).reshape(size),
            method_error=np.array(data.get("method_error", [0.0]), float).reshape(-1),
        )
