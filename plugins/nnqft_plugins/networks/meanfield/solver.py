"""From a theory to its correlator at infinite width."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from nnqft import Activation, InputError, IntegrationError, Theory, finite_number, short
from nnqft.checks import one_line_keywords, positive_number
from nnqft.show.watch import OutOfTime, limit_line, tick
from nnqft.show.watch import time_limit as limited
from nnqft.threads import one_thread
from nnqft_plugins.networks.meanfield.adapting import solve_adapting
from nnqft_plugins.networks.meanfield.driven import solve_driven
from nnqft_plugins.networks.meanfield.layers import layered_curve, variance_from_start
from nnqft_plugins.networks.meanfield.rest import solve_rest
from nnqft_plugins.networks.meanfield.solution import MeanField
from nnqft_plugins.networks.meanfield.stationary import Curve, solve_static
from nnqft_plugins.networks.meanfield.structured import (
    check_known,
    structured_curves,
    structured_grid,
    with_latent_source,
)
from nnqft_plugins.networks.network import Network, network_of

STATIONARY, MOVING_INPUT, FROM_REST = 1e-9, 1e-7, 1e-4
"""Default accuracies."""


@one_line_keywords
def solve(
    theory: Theory,
    *,
    tau: Any = None,
    horizon: float | None = None,
    rtol: float | None = None,
    activation: Activation | None = None,
    time_limit: float | None = None,
) -> MeanField:
    """Solve the dynamic mean-field equation, (γ² − ∂_τ²) C = κδ + σ_w² ⟨φφ⟩_C + σ_b² + input, or its form from rest.

    Parameters
    ----------
    theory
        Its model must have an activation; the true function is used, not its Taylor series. N plays no part.
    tau : (T,) array
        Lags of a stationary C to tabulate; chosen from the solution if not given. `MeanField.correlator` takes any.
    horizon
        From rest: the last time of the grid, 10/γ if not given.
    rtol
        Numerical error wanted, relative to the largest C; if not given 1e-9 stationary, 1e-7 with an input that
        moves, 1e-4 from rest. The error that was reached is the result's.
    activation
        Instead of the model's own.
    time_limit
        In seconds. From rest the finest grid that was solved by then is taken, with its error; else there is nothing to
        be had before the end.

    Returns
    -------
    MeanField

    Raises
    ------
    InputError
        If the model has no activation, there is no stationary solution, or C grows beyond all bounds.
    IntegrationError
        If the time limit leaves no solution.

    Notes
    -----
    H. Sompolinsky, A. Crisanti, H. J. Sommers, Phys. Rev. Lett. 61, 259 (1988); J. Schuecker, S. Goedeke, M. Helias,
    Phys. Rev. X 8, 041029 (2018). For layers B. Poole et al., arXiv:1606.05340.
    """
    network = network_of(theory, activation, structured=True)
    check_known(network)
    slow = _moving(network) or network.adaptation is not None or len(_populations(network)) > 1
    default = (MOVING_INPUT if slow else STATIONARY) if network.stationary else FROM_REST
    accuracy = default if rtol is None else _between("rtol", rtol, 1e-12, 1e-1)
    if network.stationary and horizon is not None:
        raise InputError("horizon is for start='rest'; a stationary solution has no end, write tau=[…]")
    if not network.stationary and tau is not None:
        raise InputError("tau needs a stationary start; from rest write horizon=… and then correlator(t, s)")
    end = 10 / network.gamma if horizon is None else _between("horizon", horizon, 1e-6, 1e6)
    seconds = None if time_limit is None else positive_number("time_limit", time_limit)
    try:
        with one_thread(), limited(seconds):  # the matrices are small, and threads would get into each other's way
            if network.stationary:
                return _stationary(theory, network, tau, accuracy)
            return (_layers_from_start if network.layered else _from_rest)(theory, network, end, accuracy)
    except OutOfTime:
        if seconds is None:
            raise  # it is that of the caller
        raise IntegrationError(f"{limit_line(seconds)} before there was a solution") from None


def _stationary(theory: Theory, network: Network, tau: Any, accuracy: float) -> MeanField:
    if network.weights is not None and network.weights.low_rank:
        network = with_latent_source(network, lambda one: _curves(one, accuracy)[0])
    curves = _curves(network, 0.01 * accuracy)
    curve = curves[0 if network.weights is None else network.weights.observed]
    # Units with adaptation, and structured weights: the solution comes with its error, from two grids.
    rough = curve if network.adaptation is not None or len(curves) > 1 else _curves(network, accuracy)[0]
    if tau is None:
        end = min(curve.end, 12 / (curve.rate or 1e-300)) if curve.end else 10 / network.gamma
        lags = np.linspace(0.0, end, 201)
    else:
        lags = _lags(tau)
    error = float(np.abs(curve.C(lags) - rough.C(lags)).max(initial=abs(curve.variance - rough.variance)))
    rounding = max(1e-14, curve.error) * abs(curve.variance)
    return MeanField(
        model=theory.model,
        parameters=theory.parameters,
        start=theory.start,
        network=network,
        tau=lags,
        C=curve.C(lags),
        error=max(error, rounding),
        wanted=accuracy * max(abs(curve.variance), 1e-300) + rounding,
        curve=curve,
        populations=tuple(curves) if len(curves) > 1 else (),
    )


def stationary_curve(network: Network, accuracy: float) -> Curve:
    """C(τ) of a network, its numerical error about `accuracy` times C(0); of several populations the observed one's.

    Raises
    ------
    InputError
        If there is no stationary solution.
    """
    return _curves(network, accuracy)[0 if network.weights is None else network.weights.observed]


def _populations(network: Network) -> tuple[float, ...]:
    return (1.0,) if network.weights is None else network.weights.fractions


def _curves(network: Network, accuracy: float) -> list[Curve]:
    """The solution of each population."""
    tick("solving at infinite width")
    if network.weights is not None and (network.weights.eta or network.weights.several):
        return structured_curves(network, max(accuracy, 1e-10))
    if network.layered:
        return [layered_curve(network)]
    if network.adaptation is not None:
        return [solve_adapting(network, max(accuracy, 1e-10))]
    if _moving(network):
        return [solve_driven(network, max(0.1 * accuracy, 1e-10))]
    return [solve_static(network, max(accuracy, 1e-13))]


def _moving(network: Network) -> bool:
    return any(rate > 0.0 for rate, _ in network.sources)


def _from_rest(theory: Theory, network: Network, horizon: float, accuracy: float) -> MeanField:
    structured = network.weights is not None and (network.weights.eta or network.weights.several)
    grid = (structured_grid if structured else solve_rest)(network, horizon, accuracy)
    notes = []
    if grid.error > accuracy * np.abs(grid.C).max():
        notes.append(f"error {grid.error:.1e} on the finest grid allowed; a smaller horizon would be solved better")
    return MeanField(
        model=theory.model,
        parameters=theory.parameters,
        start=theory.start,
        network=network,
        tau=grid.times,
        C=grid.C,
        error=grid.error,
        wanted=accuracy * float(np.abs(grid.C).max()),
        curve=None,
        notes=tuple(notes),
        between=partial(grid.correlator, network),
    )


def _layers_from_start(theory: Theory, network: Network, horizon: float, accuracy: float) -> MeanField:
    variance, rough = (variance_from_start(network, horizon, goal) for goal in (0.01 * accuracy, accuracy))
    times = np.linspace(0.0, horizon, 201)

    def between(t: np.ndarray, s: np.ndarray) -> np.ndarray:
        return np.exp(-network.gamma * np.abs(t - s)) * variance(np.minimum(t, s))

    return MeanField(
        model=theory.model,
        parameters=theory.parameters,
        start=theory.start,
        network=network,
        tau=times,
        C=between(times[:, None], times),
        error=max(float(np.abs(variance(times) - rough(times)).max()), 1e-14),
        wanted=accuracy * max(float(variance(times).max()), network.C_0, 1e-9),
        curve=None,
        between=between,
    )


def _lags(tau: Any) -> np.ndarray:
    try:
        lags = np.atleast_1d(np.asarray(tau, dtype=float))
    except (TypeError, ValueError, OverflowError):
        lags = np.array([np.nan])
    if lags.ndim != 1 or not lags.size or not np.isfinite(lags).all():
        raise InputError(f"tau={short(tau)}: wanted finite numbers, write for example tau=[0.0, 0.5, 1.0]")
    return lags


def _between(name: str, value: Any, low: float, high: float) -> float:
    number = finite_number(name, value)
    if not low <= number <= high:
        raise InputError(f"{name}={short(value)}: wanted a number from {low:g} to {high:g}")
    return number
