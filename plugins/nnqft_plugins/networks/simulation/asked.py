"""What is asked of a simulation: correlation functions by their legs, and how paths depend on what happened before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nnqft import AbstractDerivedObservable, AbstractObservable, InputError, Need, Theory
from nnqft.graphs.indices import check_indices, label_legs
from nnqft.host import default_host, plugin_errors
from nnqft.stages.times import check_times
from nnqft_plugins.networks.simulation.moments import Moment, Polynomials, check_legs, polynomials

Times = tuple[tuple[float, ...], ...]
TANGENT = ("response", "gradient", "gradient_variance")
"""Observables of how paths depend on what happened before."""


@dataclass(frozen=True)
class Asked:
    """What is asked, in the terms of an ensemble.

    Attributes
    ----------
    observable : str
        What it is called.
    times : tuple of tuples of float
        As they were given.
    rows : tuple of tuples of float
        Times of everything that is averaged in each network.
    polynomials : Polynomials or None
        How numbers follow from moments; None where what is averaged is the answer.
    indices : str or None
    """

    observable: str
    times: Times
    rows: Times
    polynomials: Polynomials | None = None
    indices: str | None = None

    @property
    def moments(self) -> tuple[Moment, ...]:
        """What is averaged over units, if that are products of states."""
        return () if self.polynomials is None else self.polynomials.moments

    def numbers(self, mean: np.ndarray, cov: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The numbers that were asked for, and their slopes with what is averaged."""
        return (mean, np.eye(len(mean))) if self.polynomials is None else self.polynomials.numbers(mean, cov)


def ask(theory: Theory, observable: object, times: object, tau: object, indices: object) -> Asked:
    """One observable with legs at its times, everything checked.

    Raises
    ------
    InputError
        If it is none that networks can be asked for.
    """
    plugin = default_host().observable(observable)
    if isinstance(plugin, AbstractDerivedObservable):
        raise InputError(
            f"observable {plugin.name!r} is derived from others: write nnqft.check(theory, {plugin.name!r}),"
            " or for the variance of (1/N) Σ h h kernel=True"
        )
    rows = check_times(theory, plugin.arity, times, tau)
    return ask_all(theory, [Need(plugin.name, rows, check_indices(indices))])


def ask_all(theory: Theory, needs: Sequence[Need]) -> Asked:
    """Several of them together, in the same networks, their numbers one after another."""
    first = needs[0]
    if (
        len(needs) == 1
        and first.indices is None
        and first.replicas is None
        and first.observable in ("two_point", *TANGENT)
    ):
        if first.observable != "gradient_variance":
            return Asked(first.observable, first.times, first.times)
        # The mean of squares minus the square of the mean.
        count = len(first.times)
        terms = tuple(((1.0, (count + m,)), (-1.0, (m, m))) for m in range(count))
        return Asked(first.observable, first.times, first.times * 2, Polynomials((), terms))
    rows = []
    for need in needs:
        plugin = default_host().observable(need.observable)
        assert isinstance(plugin, AbstractObservable)
        rows += [(legs, plugin.connected) for legs in _legs(theory, plugin, need)]
    found = polynomials(rows, theory.stationary)
    times = tuple(tuple(t for t, _ in moment) for moment in found.moments)
    return Asked(first.observable, first.times, times, found, first.indices)


def _legs(theory: Theory, plugin: AbstractObservable, need: Need) -> list[Moment]:
    """(time, unit) of each leg, for each row of times."""
    with plugin_errors(f"observable {plugin.name!r}"):
        legs = plugin.legs(theory, len(need.times[0]))
    legs = label_legs(theory, plugin.name, legs, check_indices(need.indices))
    units = {index: n for n, index in enumerate(dict.fromkeys(leg.index for leg in legs))}
    if need.replicas is not None or any(leg.replica != "a" for leg in legs):
        raise InputError(f"observable {plugin.name!r}: networks are simulated with one noise history each, not several")
    if any(leg.field != "h" for leg in legs):
        together = f"; {' and '.join(TANGENT)} are simulated alone, with one unit" if plugin.name in TANGENT else ""
        raise InputError(f"observable {plugin.name!r}: networks are asked for products of their h only{together}")
    ends = [(leg.point, units[leg.index]) for leg in legs for _ in range(leg.power) if isinstance(leg.point, int)]
    each = [tuple((row[point], unit) for point, unit in ends) for row in need.times]
    for moment in each:
        check_legs(moment, theory.N)
    return each
