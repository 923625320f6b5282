"""Kernels and order 1/N at any coupling, from rest and of layers: closed forms, diagrams, and Euler's scheme."""

from __future__ import annotations

from dataclasses import replace
from math import cosh, exp

import numpy as np
import pytest
from numpy.polynomial.hermite_e import hermegauss
from numpy.testing import assert_allclose
from theories import bare_theory
from threadpoolctl import threadpool_limits

import nnqft
from nnqft_plugins.models.parameters.activations import NAMED
from nnqft_plugins.networks.finite_width.layers import LayerEngine
from nnqft_plugins.networks.finite_width.rest import RestEngine
from nnqft_plugins.networks.finite_width.rest_averages import PairAverages
from nnqft_plugins.networks.finite_width.rest_fluctuations import RestFluctuations
from nnqft_plugins.networks.finite_width.rest_grid import PairGrid
from nnqft_plugins.networks.network import Network, network_of

TANH = replace(
    network_of(nnqft.theory("taylor", activation="tanh", sigma_w=1.4, kappa=0.5, sigma_b=0.2, N=1)), stationary=False
)


@pytest.fixture(autouse=True)
def one_thread():
    with threadpool_limits(1):
        yield


# From rest, by Euler's scheme with a coarse step: what the theory says of that is exact, and was checked against
# networks that were drawn with it (their numbers and errors below).


class EulerGrid(PairGrid):
    """h(t + step) = (1 − γ·step) h(t) + step·input(t): every response is strictly later than its cause."""

    def __init__(self, network: Network, step: float, n: int) -> None:
        super().__init__(network, step, n)
        self.weight = np.where(self.same, 1.0, 2.0) * step**2

    @property
    def integral(self):
        return self.step * self.response(0.0)

    def response(self, at_once):
        return np.where(self._lag > 0, (1 - self.network.gamma * self.step) ** (np.abs(self._lag) - 1.0), 0.0)


def phi_phi(phi, C):
    """⟨φφ⟩ by Mehler's series."""
    variance = np.maximum(np.diagonal(C), 1e-30)
    z, weights = hermegauss(100)
    functions = [np.ones_like(z), z]
    for r in range(1, 40):
        functions.append((z * functions[r] - np.sqrt(r) * functions[r - 1]) / np.sqrt(r + 1))
    a = phi(np.sqrt(variance)[:, None] * z) @ (weights * np.array(functions)).T / np.sqrt(2 * np.pi)
    rho = np.clip(C / np.sqrt(np.outer(variance, variance)), -1, 1)
    return sum(np.outer(a[:, r], a[:, r]) * rho**r for r in range(a.shape[1]))


def euler(network: Network, step: float, n: int, degree: int) -> RestFluctuations:
    grid = EulerGrid(network, step, n)
    A, C = grid.integral, np.zeros((n + 1, n + 1))
    for _ in range(n + 2):
        drive = network.kappa / step * np.eye(n + 1) + network.sigma_b**2
        C = A @ (drive + network.sigma_w**2 * phi_phi(network.activation.value, C)) @ A.T
    return RestFluctuations(grid, PairAverages(grid, C, degree))


def spread_of(found: RestFluctuations, at: int) -> float:
    """N Var of (1/N) Σ h² at one time of the grid."""
    own = found.of.C[[at]]
    weights, scatter = found.carried[found.grid.index[at, at]], found.scatter_with(own, own)[0]
    return float(2 * own[0, at] ** 2 + 2 * weights @ scatter + weights @ found.of.scatter @ weights)


def test_kernel_variance_of_drawn_networks_beyond_the_edge():
    """tanh: 0.291(2) at t = 1 and 1.534(11) at t = 3."""
    found = euler(TANH, 0.25, 12, 6)
    assert_allclose([spread_of(found, 4), spread_of(found, 12)], [0.29315, 1.5306], rtol=2e-4)


def test_two_point_of_drawn_networks_beyond_the_edge():
    """−0.045 from fluctuating kernels and 0.189 of what units hear of themselves: 0.146(3) in drawn networks."""
    found = euler(replace(TANH, kappa=0.6, sigma_w=1.5, sigma_b=0.3), 0.5, 6, 6)
    at = found.grid.index[6, 6]
    assert found.carried[at] @ found.bent == pytest.approx(-0.0450, abs=3e-4)
    assert found.carried[at] @ found.heard + found.heard_itself[at] == pytest.approx(0.1890, abs=3e-4)


# From rest, in continuous time


def test_linear_is_its_closed_form():
    """With σ_w² = 1/2 at T = 2; the two-point function and the response also between the grid's times."""
    theory = bare_theory("linear", start="rest", sigma_w=0.5**0.5, N=1)
    times = np.array([[2.0, 2.0], [2.0, 1.1], [0.77, 1.3], [0.6, 0.6]])
    engine = RestEngine(network_of(theory), times)
    values, errors = engine.two_point(times)
    wanted = nnqft.compute(theory, "two_point", order="resummed", width_order=1, times=times)
    assert wanted.contribution("resummed", 1).mean[0] == pytest.approx(0.16181948, abs=1e-8)
    assert (np.abs(values - wanted.contribution("resummed", 1).mean) < errors).all()
    assert (errors < 1e-3 * values[0]).all()
    values, errors = engine.response(np.array([[2.0, 0.0], [2.0, 1.0], [1.5, 0.5], [0.5, 1.5]]))
    exact = [exp(-lag) * (cosh(0.5**0.5 * lag) - 1) for lag in (2.0, 1.0, 1.0)]
    assert (np.abs(values - [*exact, 0.0]) <= errors + 1e-15).all()
    assert (errors < 1e-3).all()
    values, errors = engine.spread(np.full((1, 4), 2.0))
    assert values[0] == pytest.approx(0.953681, abs=1e-6)
    assert errors[0] < 1e-4


def test_errors_fall_as_the_square_of_the_step():
    """A curved φ: what the variance does where it jumps must not count half where an integral ends."""
    found = []
    theory = nnqft.theory("taylor", start="rest", coefficients={1: 1.0, 2: 0.4, 3: -0.2}, sigma_w=0.7, T=2, N=1)
    engine = RestEngine(network_of(theory), np.array([[2.0, 2.0]]))
    for steps in (4, 8, 16):
        grid = engine._grid(steps, 6).fluctuations
        at = grid.grid.index[steps, steps]
        found.append([grid.two_point[at], grid.mean[steps], grid.response[steps, steps // 2]])
    first, second = np.diff(found, axis=0)
    assert (np.abs(first / second) > 3.4).all()


SERIES = {
    "two_point": ({1: 1.0, 3: -1 / 3}, [(1.0, 0.5)], None),
    "cumulant": ({1: 1.0, 3: -1 / 3}, [(1.0, 1.0, 1.0, 0.5)], "iijj"),
    "response": ({1: 1.0, 2: 0.5}, [(1.0, 0.25), (0.5, 0.0)], None),
    "mean": ({1: 1.0, 2: 0.5}, [(1.0,), (0.5,)], None),
}


@pytest.mark.parametrize("observable", SERIES)
def test_the_series_of_the_sum_is_that_of_the_diagrams(observable):
    """σ_w² and σ_w⁴ of order 1/N against the exact integrals of all their diagrams."""
    phi, times, indices = SERIES[observable]
    theories = [
        nnqft.theory("taylor", start="rest", coefficients=phi, expansion="bare", sigma_w=s, N=1) for s in (1.0, 0.1)
    ]
    asked = {"order": 2, "width_order": 1, "times": times, "indices": indices, "integrator": "exact"}
    diagrams = nnqft.compute(theories[0], observable, **asked)
    first, second = (diagrams.contribution(n, 1).mean for n in (1, 2))
    values, errors = getattr(RestEngine(network_of(theories[1]), np.array(times)), observable)(np.array(times))
    g = 0.1**2
    assert (np.abs(values / g - first) < 3 * g * np.abs(second).max() + errors / g).all()
    assert (np.abs((values / g - first) / g - second) < 0.02 * np.abs(second).max() + errors / g**2).all()
    assert (errors / g**2 < 0.1 * np.abs(second).max()).all()


def test_networks_with_more_than_noise():
    """A bias, inputs that stay and that move, adaptation: at weak coupling against the first order's diagrams."""
    more = {
        "bias": ("taylor", {"sigma_b": 0.5, "sigma_u": 0.7, "q": 0.6}, {1: 1.0, 3: -0.2}),
        "moving input": ("taylor", {"kappa": 0.3, "sigma_u": 0.9, "q": {0.5: 1.0, 3.0: 0.4}}, {1: 1.0}),
        "adaptation": ("adaptation", {"gamma_a": 0.8, "beta": 1.2, "sigma_b": 0.3}, {1: 1.0}),
    }
    times, g = np.array([[1.0, 1.0], [1.0, 0.5]]), 1e-4
    for name, (model, values, phi) in more.items():
        own = {"start": "rest", "coefficients": phi, "expansion": "bare", "N": 1, **values}
        wanted = nnqft.compute(
            nnqft.theory(model, sigma_w=1.0, **own),
            "two_point",
            order=1,
            width_order=1,
            times=times,
            integrator="exact",
        )
        found, errors = RestEngine(network_of(nnqft.theory(model, sigma_w=g**0.5, **own)), times).two_point(times)
        first = wanted.contribution(1, 1).mean
        assert_allclose(found / g, first, rtol=3e-3, err_msg=name)
        assert (np.abs(found / g - first) < errors / g + 10 * g * np.abs(first)).all(), name


@pytest.mark.parametrize("activation", ["relu", "sign"])
def test_kinks_and_jumps(activation):
    """Without weights nothing is left of order 1/N but the scatter of units; with them the errors stay honest."""
    times = np.array([[1.0, 1.0, 1.0, 1.0]])
    network = replace(TANH, activation=NAMED[activation], sigma_b=0.0)
    free, _ = RestEngine(replace(network, sigma_w=1e-6), times).spread(times)
    engine = RestEngine(replace(network, sigma_w=0.8), times)
    values, errors = engine.spread(times)
    finer = RestEngine(replace(network, sigma_w=0.8), 2 * times)  # another grid
    again, other = finer.spread(times)
    assert free[0] == pytest.approx(2 * engine.correlator(times[:, :2])[0][0] ** 2, rel=1.0)
    assert values[0] > free[0]
    assert abs(values[0] - again[0]) < errors[0] + other[0]
    assert errors[0] < 0.02 * values[0]


def test_what_is_refused():
    with pytest.raises(nnqft.InputError, match="the sum reaches to t = 24; late times are stationary"):
        RestEngine(TANH, np.array([[30.0, 1.0]]))
    bare = nnqft.Activation("mine", np.tanh)
    with pytest.raises(nnqft.InputError, match="has no slope; write"):
        RestEngine(replace(TANH, activation=bare), np.zeros((1, 2)))


def test_what_nothing_drives_stays_at_rest():
    engine = RestEngine(replace(TANH, kappa=0.0, sigma_b=0.0), np.ones((1, 2)))
    for found in (engine.two_point(np.ones((1, 2))), engine.spread(np.ones((1, 4)))):
        assert found[0] == found[1] == 0.0


# Stacks of layers

HALF = {"sigma_w": 0.5**0.5, "N": 50}
AT_ONCE = np.zeros((1, 4))


def test_layers_are_their_closed_forms():
    linear = LayerEngine(network_of(nnqft.theory("feedforward", **HALF)), AT_ONCE)
    mean, rate = 1 / (2 - 0.5), 2 - 0.5  # (E S)² [(1 + 2/N)/(1 − 2σ²/Nλ) − 1] to order 1/N
    assert linear.spread(AT_ONCE)[0][0] == pytest.approx(mean**2 * (2 + 2 * 0.5 / rate), rel=1e-7)
    assert linear.two_point(AT_ONCE[:, :2])[0][0] == pytest.approx(0.0, abs=1e-12)
    tanh = LayerEngine(network_of(nnqft.theory("feedforward", activation="tanh", **HALF)), AT_ONCE)
    assert tanh.spread(AT_ONCE)[0][0] == pytest.approx(0.711611, abs=1e-6)


def test_a_linear_stack_is_known_for_every_width():
    theory = nnqft.theory("feedforward", **HALF)
    found = nnqft.compute(theory, "kernel_variance", order="resummed", width_order=6)
    assert found.mean[0] == pytest.approx(0.0240240240, rel=1e-7)
    with pytest.raises(nnqft.InputError, match="summed for width_order=0 and 1"):
        nnqft.compute(theory, "kernel_variance", order="resummed", width_order=2, times=[(1.0, 0.0)])


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_layers_from_rest_end_stationary(activation):
    times = np.array([[1.5, 0.2, 0.7, 0.3], [0.4, 0.4, 0.4, 0.4]])
    values = {"activation": activation, **HALF}
    deep = LayerEngine(network_of(nnqft.theory("feedforward", **values)), times)
    from_rest = network_of(nnqft.theory("feedforward", start="rest", C_0=0.4, **values))
    shallow = LayerEngine(from_rest, times + 12)
    for ask, columns in (("cumulant", 4), ("two_point", 2)):
        one, two = (getattr(e, ask)(t[:, :columns])[0] for e, t in ((deep, times), (shallow, times + 12)))
        assert_allclose(two, one, rtol=1e-6, atol=1e-9)


def test_layers_are_their_diagrams():
    """A linear stack from rest at weak coupling: order σ_w² and σ_w⁴ of two units."""
    times = np.array([[1.0, 0.6, 0.8, 0.3], [0.7, 0.7, 0.7, 0.7]])
    theory = nnqft.theory("feedforward", start="rest", C_0=0.3, sigma_w=1.0, N=1)
    asked = {"order": 2, "width_order": 1, "times": times, "indices": "iijj", "integrator": "exact"}
    diagrams = nnqft.compute(theory, "cumulant", **asked)
    engine = LayerEngine(replace(network_of(theory), sigma_w=0.1), times)
    g, found = 0.01, engine.cumulant(times)[0]
    assert_allclose((found / g - diagrams.contribution(1, 1).mean) / g, diagrams.contribution(2, 1).mean, rtol=0.03)


@pytest.mark.parametrize("start", [{}, {"start": "rest", "T": 2.0}])
def test_a_unit_of_thin_layers_hears_itself(start):
    """Order σ_w⁴ of N δC, which is that of T alone, against diagrams to the highest degree, and against networks."""
    theory = nnqft.theory("feedforward", activation="tanh", sigma_w=0.1, degree=14, N=1, **start)
    ask = {"times": [(1.5, 1.5), (1.8, 1.5)], "width_order": 1}
    series = nnqft.compute(theory, "two_point", order=2, **ask).contribution(2, 1).mean
    summed = nnqft.compute(theory, "two_point", order="resummed", **ask).contribution("resummed", 1).mean
    assert_allclose(summed, series, rtol=0.02)  # order σ_w⁶ is left out
    assert (series < 0).all()


def test_an_automatic_degree_of_layers_from_rest_keeps_their_diagrams():
    theory = nnqft.theory("feedforward", activation="tanh", sigma_w=1.0, start="rest", T=3.0, N=2)
    found = nnqft.compute(theory, "two_point", order=2, width_order=1, times=[(2.0, 2.0)])
    assert found.contribution(2, 1).mean[0] == pytest.approx(-0.0108 / 2, rel=0.05)
