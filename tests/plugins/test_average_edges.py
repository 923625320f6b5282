"""Where averages are hard: steep user functions, roots and jumps, saturation at a huge C(0), and the edge itself."""

from __future__ import annotations

import math

import numpy as np
import pytest

import nnqft
from nnqft_plugins.networks.meanfield import edge_of_chaos, solve
from nnqft_plugins.networks.meanfield.gaussian import average_of_square, slope_square
from nnqft_plugins.networks.meanfield.kernel import kernel
from nnqft_plugins.networks.meanfield.kinds import has_slopes
from nnqft_plugins.networks.meanfield.lyapunov import largest_exponent
from nnqft_plugins.networks.meanfield.stationary import solve_static
from nnqft_plugins.networks.network import network_of


def given(function):
    return network_of(nnqft.theory("taylor", activation=function, expansion="saddle")).activation


def far_step(h):
    return np.tanh(200 * (h - 1))


def steep_root(h):
    return np.sign(h) * np.minimum(np.sqrt(np.abs(h)), 1.0)


def sixth_tenths(h):
    return np.clip(np.abs(h) ** 0.6, 0.0, 1.0)


@pytest.mark.parametrize("v", [1.0, 100.0, 300.0])
def test_a_steep_place_does_not_hide_between_the_nodes(v):
    """1 − ⟨φ²⟩ = ∫ cosh⁻² is 2/200 times the density at 1, but for a curvature of 1e-5."""
    wanted = 1 - 2 / 200 * math.exp(-1 / (2 * v)) / math.sqrt(2 * math.pi * v)
    assert abs(float(average_of_square(far_step, np.array(v))) - wanted) < 1e-6


def test_slopes_that_have_no_average():
    """φ'² ~ |h|^(2a−2) has one for a > 1/2."""
    for function in (np.sign, np.cbrt, steep_root):
        phi = given(function)
        assert not has_slopes(phi)
        assert math.isinf(slope_square(phi, 1.0))
    for function in (np.abs, np.tanh, far_step, sixth_tenths):
        assert has_slopes(given(function))
    values = {"activation": steep_root, "expansion": "saddle", "sigma_w": 0.3}
    assert math.isinf(solve(nnqft.theory("taylor", **values)).lyapunov)
    with pytest.warns(UserWarning, match="is infinite, so that any σ_w > 0 is chaotic"):
        (edge,) = edge_of_chaos(nnqft.theory("taylor", **values))
    assert math.isnan(edge)


@pytest.mark.parametrize("v", [1e8, 1e12])
def test_kinks_of_a_function_that_saturates(v):
    """⟨φ'φ'⟩ of the hard tanh at ρ → 1 is the chance to be between its kinks."""
    average = kernel(given(lambda h: np.clip(h, -1.0, 1.0)), v)
    assert abs(float(average.slope(np.array(1.0))) / (v * math.erf(1 / math.sqrt(2 * v))) - 1) < 1e-7


def test_the_exponent_of_a_huge_variance_is_right_or_not_known():
    """erf, by the closed form of ⟨φφ⟩ and the Riccati equation of the ground state."""
    for sigma_w in (1e4, 1e9):
        theory = nnqft.theory("taylor", activation="erf", kappa=1.0, sigma_b=0.3, sigma_w=sigma_w)
        network = network_of(theory)
        value, error = largest_exponent(network, solve_static(network, 1e-6), 1e-6)
        if sigma_w == 1e4:
            assert abs(value - 7.570330166) <= error < 1e-6
        else:
            assert math.isnan(value)


@pytest.mark.parametrize("bias", [0.0, 0.3])
@pytest.mark.parametrize("beyond", [0.0, 1e-9, 1e-7])
def test_at_the_edge_itself(bias, beyond):
    """No more is asked for than can be told there; the error says so."""
    values = {"activation": "tanh", "kappa": 0.0, "sigma_b": bias}
    edge = float(edge_of_chaos(nnqft.theory("taylor", **values))[0])
    at = solve(nnqft.theory("taylor", sigma_w=edge * (1 + beyond), **values))
    assert abs(at.lyapunov) < 1e-5
    assert 1 - at.plateau / at.variance < 1e-5 if bias else at.variance <= 2.5 * beyond


def test_a_line_at_its_edge_has_no_stationary_state():
    with pytest.raises(nnqft.InputError, match="no stationary state"):
        solve(nnqft.theory("linear", kappa=1e-8, sigma_w=1.0))
