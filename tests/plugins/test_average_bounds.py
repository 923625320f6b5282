"""The errors that averages quote are bounds: every activation over twelve decades of variance, by plain quadrature.

The oracle knows the function and where it is not smooth, nothing of the package's panels: Gauss's rule between places
that are graded towards the origin and the kinks, in one variable or, conditionally on the first, in two.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.polynomial.legendre import leggauss

import nnqft
from nnqft import Activation
from nnqft_plugins.models.parameters.activations import NAMED
from nnqft_plugins.networks.meanfield import solve
from nnqft_plugins.networks.meanfield.gaussian import average_of_square, moment
from nnqft_plugins.networks.meanfield.kernel import kernel
from nnqft_plugins.networks.network import network_of

VARIANCES = [1e-6, 1e-3, 0.7, 1e3, 1e6]
NODES, WEIGHTS = leggauss(24)
FAR = 9.5
WAVES = {"sin": lambda v: -math.expm1(-2 * v) / 2, "cos": lambda v: (1 + math.exp(-2 * v)) / 2}


def steep(h: np.ndarray) -> np.ndarray:
    return np.tanh(50 * h)


def given(function: Callable[[np.ndarray], np.ndarray]) -> Activation:
    """As a theory takes a function of the user's."""
    return network_of(nnqft.theory("feedforward", activation=function)).activation


def places(phi: Activation, scale: float) -> np.ndarray:
    """Values of h between which a unit-scale function with these kinks is smooth."""
    graded = [sign * scale * 10.0**e for e in np.arange(-9, 1.01, 0.5) for sign in (-1, 1)]
    unit = [sign * x for x in (0.01, 0.03, 0.1, 0.3, 0.6, 1, 1.5, 2, 3, 4, 6, 9, 14, 20, 30) for sign in (-1, 1)]
    around = [kink + x for kink in (0.0, *phi.kinks) for x in (0.0, *graded)]
    return np.unique([*around, *unit, *(scale * np.arange(-9.0, 10.0))])


def rule(cuts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights between cuts in units of the deviation, with the density of a unit Gaussian."""
    cuts = np.sort(np.clip(cuts, -FAR, FAR), axis=-1)
    half = np.diff(cuts)[..., None] / 2
    z = cuts[..., :-1, None] + half * (1 + NODES)
    weight = half * WEIGHTS * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    return z.reshape(*z.shape[:-2], -1), weight.reshape(*z.shape[:-2], -1)


def one(phi: Activation, v: float) -> float:
    z, weight = rule(places(phi, math.sqrt(v)) / math.sqrt(v))
    return float(weight @ phi.value(math.sqrt(v) * z) ** 2)


def two(phi: Activation, v: float, rho: float) -> float:
    """⟨φ(x) φ(y)⟩ = ⟨φ(x) ⟨φ(y)⟩_x⟩, y = ρx + √(1−ρ²)√v u."""
    scale, left = math.sqrt(v), math.sqrt((1 - rho) * (1 + rho))
    z, weight = rule(places(phi, scale) / scale)
    if not left:
        return float(weight @ (phi.value(scale * z) * phi.value(rho * scale * z)))
    graded = [sign * size * 10.0**e for size in (1.0, scale) for e in np.arange(-8, 1.6, 0.5) for sign in (-1, 1)]
    coarse = np.unique([*phi.kinks, 0.0, *graded])
    total = 0.0
    for part, factor in zip(np.array_split(z, 20), np.array_split(weight, 20), strict=True):
        middle = np.broadcast_to(np.arange(-9.0, 10.0, 1.5), (len(part), 13))
        u, inner = rule(np.concatenate([(coarse / scale - rho * part[:, None]) / left, middle], axis=1))
        given_x = (inner * phi.value(scale * (rho * part[:, None] + left * u))).sum(axis=1)
        total += float(factor @ (phi.value(scale * part) * given_x))
    return total


TWO = {1e-6: [-1.0, 0.0, 1.0], 1.0: [-0.6, 1 - 1e-9], 1e6: [-1 + 1e-9, 0.6]}
"""Correlations at each variance."""
ALL = [*NAMED.values(), *map(given, (np.cbrt, np.abs, np.sign, np.tanh, steep))]


@pytest.mark.parametrize("phi", ALL, ids=lambda phi: phi.name)
def test_one_variable(phi):
    for v in VARIANCES:
        if phi.name == "exp" and v > 1:
            wanted = math.exp(2 * v) if v < 300 else math.inf
        else:
            wanted = WAVES[phi.name](v) if phi.name in WAVES else one(phi, v)
        found = moment(phi, v, power=2)
        if not math.isfinite(found.value):
            assert phi.name == "exp"
            assert v > 100
            continue
        assert found.error <= 1e-10 * wanted
        # The oracle itself is good to some 1e-13.
        assert abs(found.value - wanted) <= found.error + 1e-12 * wanted
        assert abs(float(average_of_square(phi.value, np.array(v), phi.kinks)) - wanted) <= 2e-12 * wanted


@pytest.mark.parametrize("phi", ALL, ids=lambda phi: phi.name)
def test_two_variables(phi):
    for v, correlations in TWO.items():
        if phi.name in ("exp", *WAVES) and v > 1:
            continue
        square, average = one(phi, v), kernel(phi, v)
        for rho in correlations:
            assert average.error <= 1e-9
            assert abs(float(average(np.array(rho))) - two(phi, v, rho)) <= (average.error + 1e-12) * square, (v, rho)


def test_what_is_not_resolved_is_in_the_error():
    """sin at a variance of 10⁸ has more waves than there are panels."""
    wave = moment(NAMED["sin"], 1e8, power=2)
    assert abs(wave.value - 0.5) <= wave.error


@pytest.mark.parametrize("sigma_w", [1e3, 1e6])
def test_no_weights_are_too_large_for_layers(sigma_w):
    """The fixed point q = σ_w² ⟨φ²⟩ and χ = σ_w² ⟨φ'²⟩, by the oracle."""
    fixed = solve(nnqft.theory("feedforward", activation="tanh", kappa=0.0, sigma_w=sigma_w)).layers(1.0)
    assert abs(fixed.variance / (sigma_w**2 * one(NAMED["tanh"], fixed.variance)) - 1) < 1e-9
    slope = Activation("slope", lambda h: np.cosh(np.minimum(np.abs(h), 300)) ** -2.0, None)
    assert abs(fixed.chi / (sigma_w**2 * one(slope, fixed.variance)) - 1) < 1e-9
