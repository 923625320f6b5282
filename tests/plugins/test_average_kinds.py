"""Averages where they are hard: rounding in the activation itself, two close solutions, many variances at once."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar

import nnqft
from nnqft import Activation, InputError
from nnqft_plugins.models.parameters.activations import NAMED
from nnqft_plugins.networks.meanfield import edge_of_chaos, solve
from nnqft_plugins.networks.meanfield.gaussian import _many_orders, average_of_square
from nnqft_plugins.networks.meanfield.kernel import kernel
from nnqft_plugins.networks.meanfield.octaves import at_many
from nnqft_plugins.networks.meanfield.pairs import overlap
from nnqft_plugins.networks.meanfield.stationary import fixed_point
from nnqft_plugins.networks.network import Network


def network(activation: Activation, **values: float) -> Network:
    given = {"gamma": 1.0, "kappa": 0.0, "sigma_w": 1.0, "sigma_b": 0.0} | values
    return Network(**given, inputs=(), C_0=0.0, N=100, stationary=True, layered=False, activation=activation)


def bump(h: np.ndarray) -> np.ndarray:
    return 4 * h**2 * np.exp(-(h**2))


def shrunk(h: np.ndarray) -> np.ndarray:
    return h - np.tanh(h)


@pytest.mark.parametrize("variance", [1e-4, 1e-6, 1e-8])
def test_cancellation_in_the_activation_is_in_the_error(variance):
    with mp.workdps(40):
        s = mp.sqrt(variance)
        places = [-12, -6, 0, 6, 12]
        wanted = mp.quad(lambda z: (s * z - mp.tanh(s * z)) ** 2 * mp.npdf(z), places)
        average = kernel(Activation("shrunk", shrunk, None), variance)
        off = abs(float(average.square / wanted) - 1)
    assert off <= average.error < 1e5 * off + 1e-12


def test_what_is_lost_in_rounding_is_called_so():
    with pytest.raises(InputError, match=r"lost in rounding: write it without a difference .* at variance 1e-12"):
        average_of_square(shrunk, np.array(1e-12))


def test_of_two_close_solutions_the_lower_one_is_found():
    """A variance that grows from 0 comes to rest there, however close the second one is."""

    def square(q: float) -> float:
        return float(average_of_square(bump, np.array(q)))

    lowest = minimize_scalar(lambda q: square(q) - q, bounds=(0.005, 0.03), method="bounded", options={"xatol": 1e-9})
    drive = -lowest.fun - 1e-8
    wanted = brentq(lambda q: square(q) + drive - q, drive, lowest.x)
    found = fixed_point(network(Activation("bump", bump, None), sigma_b=math.sqrt(drive)))
    assert found == pytest.approx(wanted, rel=1e-8)


@pytest.mark.parametrize("name", ["tanh", "hard_tanh"])
def test_coefficients_between_a_few_variances(name):
    phi = NAMED[name]
    variance = np.geomspace(1e-3, 1e6, 7)
    b, square = _many_orders(phi.value, variance, phi.kinks, 128)
    between, other = at_many(_many_orders, phi.value, variance, phi.kinks, 128)
    assert np.abs(b - between).max() < 1e-12 * math.sqrt(square.max())
    assert other == pytest.approx(square, rel=1e-12)


def test_pairs_in_tiles():
    random = np.random.default_rng(1)
    b = random.normal(size=(150, 40))
    t = np.linspace(0.0, 60.0, 150)
    rho = np.exp(-np.abs(t[:, None] - t))
    wanted = sum(np.outer(b[:, r], b[:, r]) * rho**r for r in range(40))
    assert np.abs(overlap(b, rho) - wanted).max() < 1e-12 * np.abs(wanted).max()


def test_tables_from_rest_have_no_infinite_entry(recwarn):
    """⟨φ'φ'⟩ at small times, where the variance is small: 1 − 2 C(t,t) to first order."""
    theory = nnqft.theory("taylor", activation="tanh", start="rest", sigma_w=1.5)
    memory = next(vertex.memory[0] for vertex in theory.vertices if vertex.name == ":1,1:")
    params = dict(memory.params)
    assert np.isfinite(np.frombuffer(params["table"])).all()
    value = memory.kernel(np.array([0.01]), np.array([0.005]), params, np)[0]
    assert value == pytest.approx(1 - 0.00985 - 0.00498, abs=2e-4)
    assert not recwarn


def test_a_plateau_far_below_the_variance_has_its_digits():
    """γ² C(∞) = σ_b² + σ_w² ⟨φφ⟩, linear in C(∞) for signs: ⟨φφ⟩ = (2/π) ρ, C(0) = (2 − 4/π) σ_w²."""
    found = solve(nnqft.theory("taylor", activation="tanh", sigma_w=1e6, sigma_b=0.3))
    assert found.plateau == pytest.approx(0.09 / (1 - 2 / math.pi * 1e12 / found.variance), rel=1e-4)


def test_just_beyond_the_edge_the_exponent_is_within_its_error():
    theory = nnqft.theory("taylor", activation="tanh", kappa=0.0, sigma_b=0.3)
    edge = float(edge_of_chaos(theory)[0])
    found = solve(nnqft.theory("taylor", activation="tanh", kappa=0.0, sigma_b=0.3, sigma_w=edge * (1 + 1e-8)))
    assert abs(found.lyapunov) <= found.lyapunov_error + 1e-8  # of an exponent between 0 and 1e-8
    assert found.lyapunov_error < 1e-5


def test_adaptation_at_huge_weights_and_rates_far_apart():
    found = solve(nnqft.theory("adaptation", sigma_w=1e4))
    assert found.variance == pytest.approx(5.4303835e7, rel=1e-6)
    assert found.error < 1e-6 * found.variance
    assert nnqft.theory("adaptation", start="rest", sigma_w=3.0, sigma_b=10.0, gamma=1000.0).propagators
