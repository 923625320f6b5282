"""Dyson's equation in time, for a stationary process: causal and even functions on a uniform grid.

    R = G + G Σ_R R                                      (a Volterra equation of the second kind)
    C = (1 + R Σ_R) C_0 (1 + R Σ_R)ᵀ + R Σ_K Rᵀ

Every integral is a trapezoidal sum with its ends and kinks on the grid, so that errors are even powers of the step:
three steps and Romberg's table take the first two away, and say how much they mattered.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

import numpy as np

_CAUTION = 6.0
"""The bound of what is left of a grid's error over the last correction that was taken off."""


@dataclass(frozen=True)
class Kernels:
    """What Dyson's equation is made of, at times 0, h, 2h, … of one grid.

    Attributes
    ----------
    step : float
        h.
    G, C_0 : (M,) arrays
        Bare response (at 0 its limit from above) and bare correlator without its plateau.
    retarded, noise : (M,) arrays
        Σ_R(τ), τ > 0, and the even Σ_K(τ) without its plateau.
    mass, white : float
        Parts of Σ_R and Σ_K at one time: mass·δ(τ) and white·δ(τ).
    plateau, noise_plateau : float
        What C_0 and Σ_K tend to.
    """

    step: float
    G: np.ndarray
    C_0: np.ndarray
    retarded: np.ndarray
    noise: np.ndarray
    mass: float = 0.0
    white: float = 0.0
    plateau: float = 0.0
    noise_plateau: float = 0.0

    def coarser(self, stride: int) -> Kernels:
        """The same functions at every stride-th time of the grid."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        taken = {name: v[::stride] for name, v in values.items() if isinstance(v, np.ndarray)}
        return Kernels(**(values | taken | {"step": self.step * stride}))


@dataclass(frozen=True)
class Solution:
    """Full response and correlator on a grid, and bounds of the error that the grid makes, (M,) each."""

    response: np.ndarray
    correlator: np.ndarray
    plateau: float
    response_error: np.ndarray
    correlator_error: np.ndarray


def solve(kernels: Kernels) -> Solution:
    """Solve on three grids and extrapolate; the grid needs a multiple of four intervals."""
    levels = [solve_once(kernels.coarser(stride)) for stride in (1, 2, 4)]
    response, response_error = _extrapolated([level[0] for level in levels])
    correlator, correlator_error = _extrapolated([level[1] for level in levels])
    plateau = float(_romberg(np.array([level[2] for level in levels])))
    correlator_error = correlator_error + _beyond(response, correlator, plateau, kernels.step)
    return Solution(response, correlator, plateau, response_error, correlator_error)


def _extrapolated(levels: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The finest of three levels with its error of low orders taken away, and the bound of what remains.

    The bound is the largest from there on, as it passes through zeros that mean nothing.
    """
    fine, size = levels[0], len(levels[0])
    one, two = (4 * fine[::2] - levels[1]) / 3, (4 * levels[1][::2] - levels[2]) / 3
    first, second = one - fine[::2], (one[::2] - two) / 15
    taken = _spread(first, size, 2) + _spread(second, size, 4)
    # Between the times of a coarser level a correction is known as well as splines of two degrees agree on it.
    between = np.abs(taken - _spread(first, size, 2, degree=3) - _spread(second, size, 4, degree=3))
    bound = np.maximum.accumulate((_CAUTION * np.abs(_spread(second, size, 4)) + between)[::-1])[::-1]
    return fine + taken, bound


def _romberg(column: np.ndarray) -> np.ndarray:
    """Values at steps h, 2h, 4h extrapolated to h → 0."""
    one, two = (4 * column[0] - column[1]) / 3, (4 * column[1] - column[2]) / 3
    return one + (one - two) / 15


def _beyond(response: np.ndarray, correlator: np.ndarray, plateau: float, h: float) -> float:
    """What the end of the grid cuts off, from how fast the response decays at its end."""
    half = len(response) // 2
    fall = abs(response[half]) / max(abs(response[-1]), 1e-300)
    rest = abs(response[-1]) * half * h / max(np.log(max(fall, 1.0)), 1e-3)
    return float(abs(correlator[-1] - plateau) + 2 * abs(plateau) * rest / max(abs(_area(response, h)), 1e-300))


def _spread(values: np.ndarray, size: int, stride: int, degree: int = 5) -> np.ndarray:
    """From every stride-th time to all of them, for a smooth function."""
    from scipy.interpolate import make_interp_spline  # slow to import

    coarse = np.arange(0, size, stride)
    return make_interp_spline(coarse, values, k=min(degree, len(coarse) - 1))(np.arange(size))


def solve_once(kernels: Kernels) -> tuple[np.ndarray, np.ndarray, float]:
    """Response, correlator with its plateau, and the plateau, to second order in the step."""
    h = kernels.step
    response = _response(kernels)
    dressing = kernels.mass * response + _causal(response, kernels.retarded, h)
    around = dressing + _overlap(dressing, h)
    spread = _overlap(response, h)
    correlator = kernels.C_0 + _even(kernels.C_0, around, h)
    correlator += kernels.white * spread + _even(kernels.noise, spread, h)
    plateau = kernels.plateau * (1 + _area(dressing, h)) ** 2 + kernels.noise_plateau * _area(response, h) ** 2
    return response, correlator + plateau, plateau


def _response(kernels: Kernels) -> np.ndarray:
    """R on the grid, from R = G + H R with H = mass G + G Σ_R: one triangular Toeplitz system."""
    from scipy.linalg import solve_triangular, toeplitz  # slow to import

    h, G = kernels.step, kernels.G
    H = kernels.mass * G + _causal(G, kernels.retarded, h)
    column = -h * H[:-1]
    column[0] = 1 - h * H[0] / 2
    source = G[1:] + h / 2 * H[1:] * G[0]
    return np.concatenate([G[:1], solve_triangular(toeplitz(column, np.zeros(len(column))), source, lower=True)])


def _causal(one: np.ndarray, two: np.ndarray, h: float) -> np.ndarray:
    """∫_0^τ one(τ−u) two(u) du at each τ of the grid: the product of two causal functions."""
    whole = _convolved(one, two)[: len(one)]
    return h * (whole - (one * two[0] + two * one[0]) / 2)


def _overlap(one: np.ndarray, h: float) -> np.ndarray:
    """∫_0^∞ one(u+τ) one(u) du at each τ ≥ 0 of the grid: one oneᵀ of a causal function."""
    whole = _convolved(one, one[::-1])[len(one) - 1 :]
    return h * (whole - one * one[0] / 2)


def _even(one: np.ndarray, two: np.ndarray, h: float) -> np.ndarray:
    """∫ one(τ−u) two(u) du over all u, for even functions that vanish beyond the grid; τ ≥ 0."""
    left, right = (np.concatenate([f[:0:-1], f]) for f in (one, two))
    return h * _convolved(left, right, mode="same")[len(one) - 1 :]


def _area(one: np.ndarray, h: float) -> float:
    """∫_0^∞ one(u) du, over the grid."""
    return float(h * (one.sum() - (one[0] + one[-1]) / 2))


def _convolved(one: np.ndarray, two: np.ndarray, mode: Literal["full", "same"] = "full") -> np.ndarray:
    """The convolution of two arrays, by fast Fourier transforms."""
    from scipy.signal import fftconvolve  # slow to import, and most of nnqft never needs it

    return np.asarray(fftconvolve(one, two, mode=mode))
