"""Several populations at infinite width from rest: the equations of `rest` for each, coupled by their sources.

    (∂_t+γ)(∂_s+γ) D_a = σ_w² Σ_b f_b g_ab² ⟨φ(t)φ(s)⟩_b + S(t−s)

Means of the weights drop out where ⟨φ⟩ = 0: from h = 0 no population leaves mean 0, whatever they are.
"""

from __future__ import annotations

import numpy as np
from scipy.interpolate import RectBivariateSpline

from nnqft import InputError
from nnqft.show.watch import tick
from nnqft_plugins.networks.meanfield.populations import check_odd
from nnqft_plugins.networks.meanfield.rest import TimeGrid, answered, phi_phi, white
from nnqft_plugins.networks.network import Network

_MOST, _LONGEST = 512, 64.0
"""Steps of the finest grid, and the horizon in units of 1/γ."""
_SWEEPS = 400


def rest_populations(network: Network, horizon: float, rtol: float) -> list[TimeGrid]:
    """C of each population on [0, horizon]², by grids of which each halves the steps of the one before.

    Raises
    ------
    InputError
        If C grows beyond all bounds before the horizon, the horizon is too far, or means matter.
    """
    if network.gamma * horizon > _LONGEST:
        raise InputError(f"horizon={horizon:g}: wanted at most {_LONGEST / network.gamma:g}; late times are stationary")
    steps = max(32, 2 * int(np.ceil(network.gamma * horizon)))
    settled = max(1e-3 * rtol, 1e-13)
    coarse, best = _picard(network, horizon, steps, None, settled), None
    while True:
        steps *= 2
        fine = _picard(network, horizon, steps, coarse, settled)
        smooth = fine[:, ::2, ::2] + (fine[:, ::2, ::2] - coarse) / 3
        times = np.linspace(0.0, horizon, smooth.shape[1])
        C = white(network, times[:, None], times) + smooth
        error = np.inf
        if best is not None:
            splines = [RectBivariateSpline(times[::2], times[::2], each)(times, times) for each in best]
            error = float(np.abs(smooth[:, ::2, ::2] - best).max() / 4 + np.abs(np.array(splines) - smooth).max() / 8)
        if error <= rtol * np.abs(C).max() or 2 * steps > _MOST:
            check_odd(network, np.diagonal(C, axis1=1, axis2=2)[:, -1])
            return [TimeGrid(times, one, other, error) for one, other in zip(C, smooth, strict=True)]
        best, coarse = smooth, fine


def _picard(network: Network, horizon: float, steps: int, guess: np.ndarray | None, settled: float) -> np.ndarray:
    """(P, T, T): D of each population, iterated until it changes by that little, relative to C."""
    weights = network.weights
    assert weights is not None
    t = np.linspace(0.0, horizon, steps + 1)
    noise, coupling = white(network, t[:, None], t), network.sigma_w**2 * weights.feeds
    drive = sum((w * np.exp(-rate * np.abs(t[:, None] - t)) for rate, w in network.sources), np.zeros_like(noise))
    D = np.zeros((len(coupling), *noise.shape))
    if guess is not None:
        rough = np.linspace(0.0, horizon, guess.shape[1])
        D = np.array([RectBivariateSpline(rough, rough, each, kx=1, ky=1)(t, t) for each in guess])
    for _ in range(_SWEEPS):
        tick("solving at infinite width")
        with np.errstate(all="ignore"):
            source = np.tensordot(coupling, np.array([phi_phi(network, noise + each, settled) for each in D]), 1)
            new = np.array([answered(answered(each + drive, network, t[1]).T, network, t[1]).T for each in source])
        if not np.isfinite(new).all() or np.abs(new).max() > 1e12:
            break
        change, D = np.abs(new - D).max(), new
        if change <= settled * np.abs(noise + D).max():
            return D
    raise InputError(
        f"C grows beyond all bounds before t={horizon:g} at σ_w={network.sigma_w:g}, or too fast to follow;"
        " write a smaller horizon"
    )
