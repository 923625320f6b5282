"""Simulation of networks with new weights in every layer, written without the package (docs/physics.md, oracle 4).

    h_{l+1} = (1 − γη) h_l + √η [W_l φ(h_l) + b_l + √κ ξ_l],   W_l,ij ~ N(0, σ_w²/N),   t = η l

Every network of the ensemble has weights of its own, all layers of all networks are drawn. Depth and 1/γ are times,
σ_w, σ_b and √κ are in 1/√time; h has no unit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.polynomial.polynomial import polyval
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """A mean over networks and its standard error."""

    mean: float
    sdev: float

    @classmethod
    def over(cls, networks: Array) -> Measured:
        """Of one value for each network."""
        return cls(float(networks.mean()), float(networks.std(ddof=1) / np.sqrt(len(networks))))

    def pull(self, wanted: float) -> float:
        return (self.mean - wanted) / self.sdev


def layers(
    phi: Mapping[int, float],
    *,
    N: int,
    gamma: float,
    kappa: float,
    sigma_w: float,
    sigma_b: float = 0.0,
    C_0: float = 0.0,
    depths: Sequence[float],
    step: float,
    networks: int,
    seed: int,
) -> Array:
    """States of all networks at some depths, shape (depths, networks, N).

    Parameters
    ----------
    phi : {power: coefficient}
    C_0 : variance of h in the first layer, at depth 0.
    depths : increasing multiples of `step`.

    Raises
    ------
    ValueError : a depth is not a multiple of the step.
    """
    stops = [round(depth / step) for depth in depths]
    if not np.allclose(np.multiply(stops, step), depths, rtol=1e-12, atol=0):
        raise ValueError(f"depths {list(depths)} are not multiples of step={step}")
    coefficients = [phi.get(p, 0.0) for p in range(max(phi) + 1)]
    rng = np.random.default_rng(seed)
    h = np.sqrt(C_0) * rng.standard_normal((networks, N))
    kept = []
    for layer in range(max(stops) + 1):
        kept += [h] * stops.count(layer)
        # Single precision is ample for random numbers, and twice as fast.
        weights = rng.standard_normal((networks, N, N), dtype=np.float32)
        activity = sigma_w / np.sqrt(N) * polyval(h, coefficients).astype(np.float32)
        drive = (weights @ activity[:, :, None])[:, :, 0]
        static = np.sqrt(kappa + sigma_b**2) * rng.standard_normal((networks, N))
        h = (1 - gamma * step) * h + np.sqrt(step) * (drive + static)
    return np.array(kept)


def two_point(one: Array, other: Array) -> Measured:
    """⟨h_i(t) h_i(s)⟩, averaged over i, from states of shape (networks, N)."""
    return Measured.over((one * other).mean(axis=1))


def variance_of_square(h: Array) -> Measured:
    """Variance over networks of (1/N) Σ_i h_i²."""
    square = (h**2).mean(axis=1)
    return Measured.over((square - square.mean()) ** 2 * len(square) / (len(square) - 1))


def extrapolated(coarse: Measured, fine: Measured) -> Measured:
    """2·fine − coarse, for steps of which one is half the other: errors linear in the step cancel (Richardson)."""
    return Measured(2 * fine.mean - coarse.mean, float(np.hypot(2 * fine.sdev, coarse.sdev)))
