"""Sums of all orders in the coupling for every network with an activation, at N → ∞ and at order 1/N."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from nnqft import Activation, InputError, Theory, short
from nnqft.threads import one_thread
from nnqft_plugins.networks.finite_width import filters
from nnqft_plugins.networks.finite_width.dimension import dimensions
from nnqft_plugins.networks.finite_width.far_lags import far
from nnqft_plugins.networks.finite_width.layers import LayerEngine, linear_slope, linear_spread
from nnqft_plugins.networks.finite_width.rest import RestEngine, accuracy_of
from nnqft_plugins.networks.finite_width.stationary import StationaryEngine
from nnqft_plugins.networks.meanfield.layers import settled_variance
from nnqft_plugins.networks.meanfield.solver import solve
from nnqft_plugins.networks.network import Network, network_of
from nnqft_plugins.networks.weights import refuse_structure

Values = tuple[np.ndarray, np.ndarray]

MAX_WIDTH = 1
_ACCURACY, _ROUGHLY = 1e-6, 3e-2
"""Of stationary answers, relative to their largest value; and where the size is enough."""
_LONGEST = 12.0
"""Lags from which on an exponential goes on, in units of the slowest decay of a unit."""
_LARGE = 0.3
"""Part of the N → ∞ value from which order 1/N is called large."""
_PAIRED = ("iijj", "ijij", "ijji")
_WHOLE = "write a whole number for order"


class Engine(Protocol):
    """One network and one start at order 1/N: values bare of 1/N and their errors, (M,) arrays."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Which method, which grids, and what limits it."""

    def cumulant(self, times: np.ndarray) -> Values:
        """N⟨⟨h_i(t1) h_i(t2); h_j(t3) h_j(t4)⟩⟩, i ≠ j, at (M, 4) times."""

    def spread(self, times: np.ndarray) -> Values:
        """N Cov of (1/N) Σ h(t1) h(t2) and (1/N) Σ h(t3) h(t4), at (M, 4) times."""

    def two_point(self, times: np.ndarray) -> Values:
        """N δ⟨h(t) h(s)⟩ at (M, 2) times."""

    def response(self, times: np.ndarray) -> Values:
        """N δR(t, s) at (M, 2) times."""

    def mean(self, times: np.ndarray) -> Values:
        """N δ⟨h(t)⟩ at (M, 1) times."""


def answer(
    theory: Theory,
    activation: Activation | None,
    observable: str,
    indices: str | None,
    width: int,
    times: np.ndarray,
    rough: bool = False,
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]] | None:
    """The part of one width order of an observable, as the hook `nnqft_sums` wants it; None for what is no network.

    Raises
    ------
    InputError
        If it is a network, and this is not known of it.
    """
    if activation is None or not {"gamma", "sigma_w"} <= set(theory.parameters):
        return None
    refuse_structure(theory.parameters, "order='resummed'", "write a whole number for order")
    network = network_of(theory, activation)
    slope = linear_slope(network) if observable == "kernel_variance" and indices is None else None
    at_once = bool((times[:, 0] == times[:, -1]).all())
    if width > MAX_WIDTH and slope is not None and at_once:
        settled_variance(network)  # where it refuses there is no stationary state
        values = np.full(len(times), linear_spread(network, slope, width)) / float(theory.N) ** width
        return values, 1e-14 * np.abs(values), ()
    _check(theory, width)
    ask = _asked(observable, indices, times.shape[1])
    if not len(times):
        return np.zeros(0), np.zeros(0), ()
    with one_thread():
        values, errors, notes = ask(_Sums(theory, network, rough), width, times)
    return values / theory.N**width, errors / theory.N**width, (*_remarks(theory, network), *notes)


def _check(theory: Theory, width: int) -> None:
    """Raise InputError for what is another sum than that of the network's diagrams."""
    if width > MAX_WIDTH:
        raise InputError(f"width_order={short(width)}: networks are summed for width_order=0 and 1; write one of them")
    values = theory.parameters
    if values.get("tadpoles", "cancelled") == "kept":
        raise InputError("tadpoles='kept' counts tadpoles twice, their sum is none; write tadpoles='cancelled'")
    if values.get("theta0"):
        raise InputError(f"theta0={values['theta0']:g}: sums of all orders have θ(0) = 0; write theta0=0")


def _remarks(theory: Theory, network: Network) -> tuple[str, ...]:
    """What whoever compares with diagrams has to know."""
    values = theory.parameters
    cut = theory.degree is not None and (values.get("expansion") == "bare" or values.get("averages") == "polynomial")
    return (f"summed for φ = {network.activation.name} itself, not for its Taylor polynomial",) if cut else ()


Answered = tuple[np.ndarray, np.ndarray, tuple[str, ...]]
Asked = Callable[["_Sums", int, np.ndarray], Answered]


def _asked(observable: str, indices: str | None, legs: int) -> Asked:
    """What answers this observable; InputError if nothing does."""
    if indices is None:
        if observable in ("two_point", "mean", "response", "kernel_variance", "dimension"):
            return getattr(_Sums, observable)
        if observable == "cumulant" and legs in (1, 2):
            # The mean is of order 1/N, its square of the next one.
            return (_Sums.mean, _Sums.two_point)[legs - 1]
    if observable in ("cumulant", "four_point") and indices in _PAIRED:
        order = sorted(range(4), key=lambda leg: (indices[leg], leg))
        known = getattr(_Sums, observable)
        return lambda sums, width, times: known(sums, width, times[:, order])
    if observable in ("cumulant", "four_point"):
        such = f"indices={indices!r}" if indices else f"{observable!r} of one unit with {legs} legs"
        raise InputError(f"{such} has no resummed form; write indices='iijj' with four times, or {_WHOLE[6:]}")
    if indices is not None:
        raise InputError(f"indices={indices!r} have no resummed form of {observable!r}; leave indices out, or {_WHOLE}")
    raise InputError(
        f"observable {observable!r} has no resummed form; write 'two_point', 'response', 'mean', 'kernel_variance', or"
        " 'cumulant' with indices='iijj'"
    )


class _Sums:
    """The observables of one network, each a function of a width order and times."""

    def __init__(self, theory: Theory, network: Network, rough: bool) -> None:
        self.theory, self.network, self.rough = theory, network, rough

    def _engine(self, times: np.ndarray) -> Engine:
        if self.network.layered:
            return LayerEngine(self.network, times)
        if self.network.stationary:
            return StationaryEngine(self.network, _ROUGHLY if self.rough else _ACCURACY)
        return RestEngine(self.network, times, self.rough)

    @property
    def _by_lags(self) -> bool:
        """Is it the engine whose grid is one of lags?"""
        return self.network.stationary and not self.network.layered

    @property
    def _settles(self) -> bool:
        """Does C come down to a constant that is not zero?"""
        longest = np.array([[400.0 * self._reach, 0.0], [0.0, 0.0]])
        last, first = self._infinite(longest)[0]
        return bool(last > 1e-9 * first)

    @property
    def _reach(self) -> float:
        """The longest lag that the grid is made for."""
        return _LONGEST / min(float(np.real(rate)) for _, rate in filters.modes_of(self.network))

    def _infinite(self, times: np.ndarray) -> Values:
        """C at N → ∞ at (M, 2) times, with its numerical error."""
        more = {} if self.network.stationary else {"horizon": max(float(times.max()), 1e-3 / self.network.gamma)}
        accuracy = None if self.network.stationary or self.network.layered else accuracy_of(self.network)
        found = solve(self.theory, activation=self.network.activation, rtol=accuracy, **more)
        return found.correlator(times[:, 0], times[:, 1]), np.full(len(times), found.error)

    def two_point(self, width: int, times: np.ndarray) -> Answered:
        """⟨h(t) h(s)⟩."""
        if width == 0:
            return *self._infinite(times), ("N → ∞ is dynamic mean-field theory",)
        engine = self._engine(times)
        ask = engine.two_point
        values, errors = far(ask, times, self._reach, self._settles) if self._by_lags else ask(times)
        return values, errors, (*engine.notes, *self._size(values, times))

    def mean(self, width: int, times: np.ndarray) -> Answered:
        """⟨h(t)⟩, nothing at N → ∞."""
        if width == 0:
            return _nothing(times)
        engine = self._engine(times)
        return *engine.mean(times), engine.notes

    def response(self, width: int, times: np.ndarray) -> Answered:
        """The response of h(t) to an input at s."""
        if width == 0:
            modes = filters.modes_of(self.network)
            lag = times[:, 0] - times[:, 1]
            sum_of = np.sum([(residue * np.exp(-rate * np.maximum(lag, 0.0))).real for residue, rate in modes], axis=0)
            values = np.where(lag > 0, sum_of, 0.0)
            return values, 1e-14 * np.abs(values), ("N → ∞ is the response of one unit",)
        engine = self._engine(times)
        ask = engine.response
        return *(far(ask, times, self._reach, False, causal=True) if self._by_lags else ask(times)), engine.notes

    def cumulant(self, width: int, times: np.ndarray) -> Answered:
        """⟨⟨h_i h_i; h_j h_j⟩⟩, nothing at N → ∞."""
        if width == 0:
            return _nothing(times)
        engine = self._engine(times)
        return *engine.cumulant(times), engine.notes

    def four_point(self, width: int, times: np.ndarray) -> Answered:
        """⟨h_i h_i h_j h_j⟩."""
        pairs = times[:, :2], times[:, 2:]
        (one, first), (two, second) = (self._infinite(pair) for pair in pairs)
        if width == 0:
            return one * two, np.abs(one) * second + np.abs(two) * first, ("N → ∞ is dynamic mean-field theory",)
        engine = self._engine(times)
        values, errors = engine.cumulant(times)
        for pair, other in ((pairs[0], two), (pairs[1], one)):
            shift, error = engine.two_point(pair)
            values, errors = values + shift * other, errors + error * np.abs(other)
        return values, errors, engine.notes

    def kernel_variance(self, width: int, times: np.ndarray) -> Answered:
        """Var of (1/N) Σ h(t) h(s), nothing at N → ∞."""
        if width == 0:
            return _nothing(times)
        engine = self._engine(times)
        return *engine.spread(times[:, [0, 1, 0, 1]]), engine.notes

    def dimension(self, width: int, times: np.ndarray) -> Answered:
        """D/N at equal times (part 0) and at frequency 0 (part 1), which layers have none of: a number at N → ∞."""
        if width:
            raise InputError("the dimension D/N is known at N → ∞; write width_order=0")
        found = list(dimensions(self.network).values())
        parts = [found[part] for part in times[:, 0].astype(int).tolist()]
        values, errors = np.array([[each.value, each.error] for each in parts], float).T
        return values, errors, ("two noise histories on one network, at leading order in 1/N",)

    def _size(self, values: np.ndarray, times: np.ndarray) -> tuple[str, ...]:
        """A note where order 1/N is not small."""
        infinite = np.abs(self._infinite(times)[0]).max(initial=0.0)
        part = float(np.abs(values).max(initial=0.0)) / self.theory.N
        if not infinite or part <= _LARGE * infinite:
            return ()
        return (f"order 1/N is {part / infinite:.0%} of N → ∞ at N={self.theory.N}: not small, do not trust the sum",)


def _nothing(times: np.ndarray) -> Answered:
    return np.zeros(len(times)), np.zeros(len(times)), ()
