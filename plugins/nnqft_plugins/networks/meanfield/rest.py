"""The correlator at infinite width from rest, on a grid of two times.

    C(t,s) = C_κ(t,s) + D(t,s) ,     C_κ = (κ/2γ)(e^{−γ|t−s|} − e^{−γ(t+s)})
    (∂_t+γ)(∂_s+γ) D = σ_w² ⟨φ(t)φ(s)⟩_C + S(t−s) ,     D(0,s) = D(t,0) = 0

Only the past enters, so iterating from D = 0 converges faster than any power (Picard). The white noise is in C_κ; D is
smooth but for a kink in its second derivatives on the diagonal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import RectBivariateSpline

from nnqft import InputError
from nnqft.show.watch import OutOfTime, tick
from nnqft_plugins.networks.adaptation import correlator_amplitudes, response_amplitudes
from nnqft_plugins.networks.meanfield.gaussian import hermite
from nnqft_plugins.networks.meanfield.kernel import kernel
from nnqft_plugins.networks.meanfield.kinds import homogeneous, jumps
from nnqft_plugins.networks.meanfield.pairs import overlap
from nnqft_plugins.networks.network import Network

MAX_STEPS = 1024
_LARGEST = 1e12
"""C beyond which it counts as unbounded, times the scale that bounded functions have."""
_SWEEPS = 400
_ROUNDED = 1e-4
"""Largest change, relative to C, that is taken for rounding when it grows again."""


@dataclass(frozen=True)
class TimeGrid:
    """C(t,s) on a square grid of times.

    Attributes
    ----------
    times : (T,) array, from 0 on
    C : (T, T) array
    smooth : (T, T) array
        D, the part without the white noise of the units themselves.
    error : float
        Estimate of the largest error.
    """

    times: np.ndarray
    C: np.ndarray
    smooth: np.ndarray
    error: float

    def correlator(self, network: Network, t: np.ndarray, s: np.ndarray) -> np.ndarray:
        """C at any times within the grid: C_κ as it is, D by a bicubic spline."""
        t, s = np.broadcast_arrays(np.asarray(t, dtype=float), np.asarray(s, dtype=float))
        spline = RectBivariateSpline(self.times, self.times, self.smooth)
        return white(network, t, s) + spline(t.ravel(), s.ravel(), grid=False).reshape(t.shape)


def white(network: Network, t: np.ndarray, s: np.ndarray) -> np.ndarray:
    """C_κ, what a unit's own white noise gives."""
    gamma = network.gamma
    if network.adaptation is not None:
        terms = correlator_amplitudes(gamma, network.adaptation, network.kappa, [], rest=True).items()
        lag, first = np.abs(t - s), np.minimum(t, s)
        return np.sum([np.real(a * np.exp(-rate * lag - early * first)) for (rate, early), a in terms], axis=0)
    return network.kappa / (2 * gamma) * (np.exp(-gamma * np.abs(t - s)) - np.exp(-gamma * (t + s)))


def solve_rest(network: Network, horizon: float, rtol: float) -> TimeGrid:
    """C on [0, horizon]², by grids of which each halves the steps of the one before, until two agree.

    Richardson's extrapolation takes out the error that is quadratic in the step.

    Raises
    ------
    InputError
        If C grows beyond all bounds before the horizon.
    """
    steps = max(32, 2 * int(np.ceil(2 * network.gamma * horizon)))
    if steps > MAX_STEPS // 2:
        raise InputError(
            f"horizon={horizon:g}: wanted at most {MAX_STEPS / 8 / network.gamma:g}; late times are stationary"
        )
    settled = max(1e-3 * rtol, 1e-13)
    (coarse, _), best = _picard(network, horizon, steps, None, settled), None
    solved: TimeGrid | None = None
    while True:
        steps *= 2
        try:
            fine, change = _picard(network, horizon, steps, coarse, settled)
        except OutOfTime:
            if solved is None or not np.isfinite(solved.error):
                raise
            return solved
        extrapolated = fine[::2, ::2] + (fine[::2, ::2] - coarse) / 3
        times = np.linspace(0.0, horizon, len(extrapolated))
        C = white(network, times[:, None], times) + extrapolated
        error = np.inf
        if best is not None:
            # Halving the step divides the error of the grid by four at least, that of the spline, whose third
            # derivatives jump on the diagonal, by eight.
            spline = RectBivariateSpline(times[::2], times[::2], best)
            between = np.abs(spline(times, times) - extrapolated).max() / 8
            # ⟨φφ⟩ of a φ that jumps goes like the root of the lag, and the grid's error falls more slowly.
            gained = 1 if jumps(network.activation) else 4
            error = float(np.abs(extrapolated[::2, ::2] - best).max() / gained + between)
            error += 10 * change * (change > settled * np.abs(C).max()) + _left_out(
                network, C, float(times[1]), settled
            )
        best, coarse = extrapolated, fine
        solved = TimeGrid(times, C, best, error)
        if error <= rtol * np.abs(C).max() or 2 * steps > MAX_STEPS:
            return solved


def _picard(
    network: Network, horizon: float, steps: int, guess: np.ndarray | None, settled: float
) -> tuple[np.ndarray, float]:
    """D on a grid of that many steps, iterated until it changes by that little, relative to C; and its last change.

    Where chaos magnifies rounding the change grows again: then D is taken where it changed least.
    """
    t = np.linspace(0.0, horizon, steps + 1)
    noise = white(network, t[:, None], t)
    drive = sum(
        (weight * np.exp(-rate * np.abs(t[:, None] - t)) for rate, weight in network.sources), np.zeros_like(noise)
    )
    D = np.zeros_like(noise)
    if guess is not None:
        coarse = np.linspace(0.0, horizon, len(guess))
        D = RectBivariateSpline(coarse, coarse, guess, kx=1, ky=1)(t, t)
    least, kept = np.inf, D
    for _ in range(_SWEEPS):
        tick("solving at infinite width")
        with np.errstate(all="ignore"):
            C = noise + D
            source = network.sigma_w**2 * phi_phi(network, C, settled) + drive
            new = answered(answered(source, network, t[1]).T, network, t[1]).T
        if not np.isfinite(new).all() or np.abs(new).max() > _LARGEST * max(1.0, network.sigma_w**2 / network.gamma**2):
            break
        change, D = float(np.abs(new - D).max()), new
        if change < least:
            least, kept = change, D
        size = float(np.abs(noise + kept).max())
        if least <= settled * size or (change > 30 * least and least <= _ROUNDED * size):
            return kept, least
    raise InputError(
        f"C grows beyond all bounds before t={horizon:g} at σ_w={network.sigma_w:g}, or too fast to follow;"
        " write a smaller horizon"
    )


def phi_phi(network: Network, C: np.ndarray, accuracy: float) -> np.ndarray:
    """⟨φφ⟩ for all pairs of times."""
    phi = network.activation
    variance = np.maximum(np.diagonal(C), 0.0)
    size = np.sqrt(np.outer(variance, variance))
    rho = np.clip(np.divide(C, size, out=np.zeros_like(C), where=size > 0), -1.0, 1.0)
    degree = homogeneous(phi.value, phi.kinks)
    if degree is not None:  # variances are factors, and the average of unit ones is exact
        return size**degree * kernel(phi, 1.0)(rho)
    b, _ = hermite(phi.value, variance, accuracy, phi.kinks)
    return overlap(b, rho)


def _left_out(network: Network, C: np.ndarray, step: float, accuracy: float) -> float:
    """Bound of what the Hermite series leaves out of D, to first order, all of it counted at the last power of ρ."""
    phi = network.activation
    if homogeneous(phi.value, phi.kinks) is not None:
        return 0.0
    variance = np.maximum(np.diagonal(C), 0.0)
    b, left = hermite(phi.value, variance, accuracy, phi.kinks)
    if left <= accuracy:
        return 0.0
    size = np.sqrt(np.outer(variance, variance))
    rho = np.clip(np.divide(C, size, out=np.zeros_like(C), where=size > 0), 0.0, 1.0)
    rest = network.sigma_w**2 * np.outer(b[:, -1], b[:, -1]) * rho ** (b.shape[1] - 1) * (rho < 1 - 1e-12)
    return float(answered(answered(rest, network, step).T, network, step).max())


def answered(source: np.ndarray, network: Network, step: float) -> np.ndarray:
    """∫_0^t G(t−u) source(u) du along the first axis, G the response of a unit."""
    if network.adaptation is None:
        return driven(source, network.gamma, step)
    modes = response_amplitudes(network.gamma, network.adaptation)
    return np.sum([(residue * driven(source, rate, step)).real for (rate, _), residue in modes.items()], axis=0)


def driven(source: np.ndarray, rate: complex, step: float) -> np.ndarray:
    """∫_0^t e^{−rate·(t−u)} source(u) du along the first axis, exact for a source linear between the grid points."""
    x = rate * step
    decay = np.exp(-x)
    if abs(x) < 1e-2:
        early = step * (0.5 - x / 3 + x**2 / 8 - x**3 / 30)
        late = step * (0.5 - x / 6 + x**2 / 24 - x**3 / 120)
    else:
        late = step * (1 - (1 - decay) / x) / x
        early = step * ((1 - decay) / x - decay) / x
    first = source[0] * late  # so that the integral begins at 0
    from scipy.signal import lfilter  # slow to import, and needed only from rest

    out, _ = lfilter([late, early], [1.0, -decay], source, axis=0, zi=-first[None])
    return out
