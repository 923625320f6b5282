"""What drawn networks have without any theory: where h = 0 loses its stability, and how fast small changes grow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import nnqft
from nnqft.threads import one_thread
from nnqft_plugins.networks.network import network_of
from nnqft_plugins.networks.simulation.paths import Walk, step_of

STEP, BURN, LAST = 0.1, 30.0, 100.0
"""Of time in 1/γ: a step, what is waited for, and what λ is averaged over."""

_BETWEEN = 10
"""Steps from one normalisation to the next."""

_GROUPS = 10
"""Of networks, each of which is left out once."""

_BLOCK = 64
"""Matrices at a time."""


def draw_edges(N: int, matrices: int, seed: int) -> dict[str, Any]:
    """Mean, median and standard deviation of σ_c/γ, each with its error, and how many are below 1; as JSON values.

    A W whose eigenvalues all have negative real parts, which a few units may have, is stable at any coupling: its σ_c
    is infinite.
    """
    rng = np.random.default_rng((seed, N))
    found = []
    with one_thread():
        for first in range(0, matrices, _BLOCK):
            W = rng.standard_normal((min(_BLOCK, matrices - first), N, N)) / math.sqrt(N)
            found.append(np.linalg.eigvals(W).real.max(axis=1))
    largest = np.concatenate(found)
    with np.errstate(divide="ignore", invalid="ignore"):
        edge = np.sort(np.where(largest > 0, 1 / largest, np.inf))
        mean, spread = float(edge.mean()), float(edge.std(ddof=1))
        fourth = float(np.mean((edge - mean) ** 4))
    below = float(np.mean(edge < 1))
    # Ranks of the median scatter by √n/2.
    low, high = (edge[round(np.clip((matrices + sign * math.sqrt(matrices)) / 2, 0, matrices - 1))] for sign in (-1, 1))
    return {
        "mean": [mean, spread / math.sqrt(matrices)],
        "median": [float(np.median(edge)), float(high - low) / 2],
        "spread": [spread, math.sqrt(max(0.0, fourth - spread**4) / matrices) / (2 * spread)],
        "below": [below, math.sqrt(below * (1 - below) / matrices)],
    }


def draw_exponents(N: int, networks: int, kappa: float, couplings: Sequence[float], seed: int) -> dict[str, Any]:
    """λ/γ of drawn tanh networks at each σ_w, with its error, and σ_w where its average is 0, as JSON values.

    All σ_w have the same W/σ_w and the same noise. The zero is that of the parabola through the averages; None where it
    lies beyond the σ_w that were looked at. Its error is that of leaving out a tenth of the networks at a time.
    """
    with one_thread():
        found = np.array([_growth(N, networks, kappa, sigma_w, seed) for sigma_w in couplings])
    mean, error = found.mean(axis=1), found.std(axis=1, ddof=1) / math.sqrt(networks)
    zero = _zero(couplings, mean)
    groups = np.array_split(np.arange(networks), min(_GROUPS, networks))
    others = [_zero(couplings, np.delete(found, group, axis=1).mean(axis=1)) for group in groups]
    known = [other for other in others if other is not None]
    whole = zero is not None and len(known) == len(others)
    sdev = math.sqrt((len(known) - 1) * float(np.var(known))) if whole else math.nan
    return {"mean": mean.tolist(), "error": error.tolist(), "zero": [zero, sdev] if whole else None}


def _growth(N: int, networks: int, kappa: float, sigma_w: float, seed: int) -> np.ndarray:
    """(U,) λ of each network."""
    theory = nnqft.theory("taylor", activation="tanh", gamma=1.0, kappa=kappa, sigma_w=sigma_w, N=N)
    rng, shape = np.random.default_rng((seed, N)), (networks, N)
    W = sigma_w / math.sqrt(N) * rng.standard_normal((*shape, N))
    walk = Walk(network_of(theory), W, rng.standard_normal(shape))
    walk.tangents[0] = rng.standard_normal((*shape, 1))
    step, still, total = step_of("heun", 1.0, kappa, STEP), np.zeros(shape), np.zeros(networks)
    first, blocks = round(BURN / STEP / _BETWEEN), round((BURN + LAST) / STEP / _BETWEEN)
    for block in range(blocks):
        for _ in range(_BETWEEN):
            walk.step(step, step.spread * rng.standard_normal(shape), still, still)
        size = np.linalg.norm(walk.tangents[0], axis=1, keepdims=True)
        walk.tangents[0] /= size
        if block >= first:
            total += np.log(size[:, 0, 0])
    return total / LAST


def _zero(sigma_w: Sequence[float], exponents: np.ndarray) -> float | None:
    """The first σ_w within the range where the parabola through them rises through 0."""
    if len(sigma_w) < 3 or exponents[0] > 0 or exponents[-1] < 0:
        return None
    roots = np.roots(np.polyfit(sigma_w, exponents, 2))
    inside = [float(root.real) for root in roots if abs(root.imag) < 1e-12 and sigma_w[0] <= root.real <= sigma_w[-1]]
    return min(inside, default=None)
