"""The growth of small changes: exact sums, the mean-field equation, tangents of networks, the largest exponent."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import oracles
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import solve_ivp
from scipy.linalg import expm
from scipy.special import iv
from theories import bare_theory

import nnqft
from nnqft_plugins.networks.meanfield import solve
from nnqft_plugins.networks.network import Network, network_of
from nnqft_plugins.networks.simulation import simulate
from nnqft_plugins.networks.simulation.paths import Drive, Walk, slope_of, step_of


def gradient(theory: nnqft.Theory, width: int = 0, **times) -> nnqft.Result:
    return nnqft.compute(theory, "gradient", order="resummed", width_order=width, **times)


# Linear networks


@pytest.mark.parametrize("tau", [0.1, 0.4])
def test_linear_networks_are_sums_of_words(tau):
    """e^{−2γτ} Σ_ab (σ_w τ)^{a+b}/(a! b!) (1/N)⟨tr W^a (Wᵀ)^b⟩, every pairing counted by the oracle."""
    gamma, sigma, N = 1.2, 0.7, 9
    words = np.zeros(3)
    for a in range(9):
        for b in range(9):
            if (a + b) % 2 == 0 and a + b <= 8:
                moments = oracles.trace_moment(a, b)
                size = (sigma * tau) ** (a + b) / (math.factorial(a) * math.factorial(b))
                words[: len(moments[:3])] += size * np.array(moments[:3])
    result = gradient(nnqft.theory("linear", gamma=gamma, sigma_w=sigma, N=N), 2, tau=[tau])
    for width in range(3):
        wanted = math.exp(-2 * gamma * tau) * words[width] / N**width
        assert_allclose(result.contribution("resummed", width).mean, wanted, rtol=1e-12 + 5 * (sigma * tau) ** 8)


def test_the_variance_is_that_of_wide_networks():
    """What is left is the next order in 1/N. At first Σ_j J_ij² differs by 2τW_ii from unit to unit."""
    theory, tau = nnqft.theory("linear", N=150, sigma_w=0.8), [0.01, 0.5, 1.5]
    known = gradient_of_units(theory, tau)
    assert_allclose(known[0], 4 * (0.8 * 0.01) ** 2 * math.exp(-0.04) / 150, rtol=1e-3)
    found = simulate(theory, observable="gradient_variance", tau=tau, networks=60)
    assert (np.abs(found.mean - known) < 4 * found.sdev + 6 * known / 150).all()
    assert (found.sdev < 0.05 * known).all()
    assert gradient_of_units(nnqft.theory("linear"), [-1.0, 0.0]).tolist() == [0.0, 0.0]


def gradient_of_units(theory: nnqft.Theory, tau: list[float]) -> np.ndarray:
    return nnqft.compute(theory, "gradient_variance", order="resummed", width_order=1, tau=tau).mean


def test_mean_field_theory_is_the_sum_of_cacti():
    """The ladder on a grid, and the closed form; before the change there is nothing, and at once all of it."""
    tau, line = [0.0, 0.5, 2.0, 5.0], {"coefficients": {1: 1.0}}
    rest = bare_theory("taylor", sigma_w=1.4, start="rest", sigma_b=0.3, **line)
    wanted = np.exp(-2 * np.array(tau)) * iv(0, 2.8 * np.array(tau))
    found = gradient(rest, times=[(1.0 + lag, 1.0) for lag in tau])
    assert (np.abs(found.mean - wanted) <= 3 * found.total.rounding + 1e-14).all()
    assert_allclose(found.mean, wanted, rtol=2e-4)
    assert gradient(rest, times=[(1.0, 1.5)]).mean[0] == 0.0
    stable = gradient(bare_theory("taylor", sigma_w=0.5, **line), tau=tau)
    assert_allclose(stable.mean, np.exp(-2 * np.array(tau)) * iv(0, np.array(tau)), rtol=1e-5)


def test_growth_is_that_of_the_lyapunov_exponent():
    for sigma_w, kappa in ((2.0, 0.3), (0.8, 1.0)):
        theory = bare_theory("taylor", activation="tanh", sigma_w=sigma_w, kappa=kappa)
        far = gradient(theory, tau=[12.0, 14.0]).mean
        assert abs(math.log(far[1] / far[0]) / 4 - solve(theory).lyapunov) < 0.02


def test_layers_grow_by_their_mean_square_slope():
    theory = nnqft.theory("feedforward", activation="tanh", start="rest", sigma_w=1.5, C_0=0.5)
    solution = solve(theory, horizon=3.0)
    z = np.linspace(-8, 8, 4001)
    weight = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) * (z[1] - z[0])

    def rate(t: float, y: np.ndarray) -> np.ndarray:
        square = (np.cosh(math.sqrt(solution.correlator(t, t)) * z) ** -4 * weight).sum()
        return (2.25 * square - 2) * y

    wanted = solve_ivp(rate, (1.0, 3.0), [1.0], rtol=1e-9).y[0, -1]
    assert_allclose(gradient(theory, times=[(3.0, 1.0)]).mean[0], wanted, rtol=1e-5)


# Drawn networks


def walked(scheme: str, network: Network, W: np.ndarray, v: np.ndarray, h: np.ndarray) -> Walk:
    """Fifty steps of one network, always under the same noise."""
    rng = np.random.default_rng(3)
    drive = Drive(network, rng, (1, 5)).value()
    walk = Walk(network, W, h)
    walk.tangents[0] = v[:, :, None]
    step = step_of(scheme, network.gamma, network.kappa, 0.02)
    for _ in range(50):
        walk.step(step, step.spread * rng.standard_normal((1, 5)), drive, drive)
    return walk


def test_tangents_are_the_derivative_of_the_steps():
    """Of both schemes, against differences of the same path; and of a linear network, e^{(W−γ)τ}."""
    for scheme, activation in (("heun", "tanh"), ("euler", "tanh"), ("heun", "linear")):
        model = {"linear": "linear"}.get(activation, "taylor")
        network = network_of(bare_theory(model, N=5, sigma_w=1.3, start="rest", sigma_b=0.4))
        W = np.random.default_rng(1).normal(0, 1.3 / math.sqrt(5), (1, 5, 5))
        h, v = np.random.default_rng(2).standard_normal((2, 1, 5))

        ends = partial(walked, scheme, network, W, v)
        gap = 1e-6
        quotient = (ends(h + gap * v).h - ends(h - gap * v).h) / (2 * gap)
        assert_allclose(ends(h).tangents[0][:, :, 0], quotient, atol=1e-8)
        if activation == "linear":
            assert_allclose(ends(h).tangents[0][0, :, 0], expm(W[0] - np.eye(5)) @ v[0], atol=1e-4)


def test_an_activation_without_a_slope_has_one():
    mine = nnqft.Activation("mine", np.tanh)
    h = np.array([-2.0, 0.0, 1e-3, 0.7])
    assert_allclose(slope_of(mine)(h), np.cosh(h) ** -2.0, atol=1e-9)


@pytest.mark.parametrize("start", ["stationary", "rest"])
def test_paths_and_eigenvectors_agree(start):
    """Means, responses, and the variance over networks, of which two vectors give an unbiased product."""
    theory = bare_theory("linear", N=8, sigma_w=0.6, start=start)
    times = {"times": [(1.0, 0.0), (2.0, 0.5)]} if start == "rest" else {"tau": [1.0, 1.5]}
    quick = {} if start == "rest" else {"burn": 0.1, "window": 0.1}
    for observable in ("gradient", "response", "gradient_variance"):
        kernel = observable == "gradient"
        exact = simulate(theory, observable=observable, networks=20_000, kernel=kernel, **times)
        paths = simulate(
            theory, observable=observable, networks=4000, method="heun", step=0.2, kernel=kernel, **times, **quick
        )
        assert (np.abs(paths.mean - exact.mean) < 4 * np.hypot(paths.sdev, exact.sdev)).all()
        assert (paths.sdev < 0.1 * exact.mean).all()
        if kernel:
            (one, e), (two, d) = paths.kernel_variance(), exact.kernel_variance()
            assert (np.abs(one - two) < 4 * np.hypot(e, d)).all()
            assert (e < 0.3 * two).all()


def test_wide_tanh_networks_are_mean_field_theory():
    """Beyond the edge: the difference falls as 1/N."""
    theory = bare_theory("taylor", activation="tanh", N=100, sigma_w=1.8, kappa=0.5, sigma_b=0.2, start="rest")
    times = [(1.0, 0.0), (2.0, 1.0), (3.0, 1.0)]
    wanted = gradient(theory, times=times).mean
    found = simulate(theory, observable="gradient", times=times, networks=60, step=0.1)
    assert (np.abs(found.mean - wanted) < 4 * found.sdev + 2 * wanted / 100).all()
    assert (found.sdev < 0.05 * wanted).all()


def test_a_check_knows_it():
    theory = bare_theory("taylor", activation="tanh", N=50, sigma_w=1.5, start="rest")
    found = nnqft.check(theory, "gradient", times=[(1.0, 0.0)], samples=60, step=0.1)
    assert found.agrees
    assert found.compared[0].left_out[0] > 0  # 1/N, of which only the size is known


BAD = [
    (lambda: nnqft.compute(nnqft.theory("linear"), "gradient", order=1), "write order='resummed', width_order=0"),
    (lambda: gradient(nnqft.theory("taylor"), 1), "order 1/N is known for the linear network only"),
    (lambda: gradient(nnqft.theory("linear"), 3), "order 1/N is known for the linear network only"),
    (lambda: gradient(nnqft.theory("taylor", activation="sign", expansion="saddle")), "jumps"),
    (lambda: gradient(nnqft.theory("linear"), tau=[1e5]), "write shorter lags"),
    (lambda: gradient(nnqft.theory("toy")), "gives no activation"),
    (lambda: nnqft.compute(nnqft.theory("linear"), "gradient_variance", order=1), "order='resummed', width_order=1"),
    (lambda: nnqft.check(bare_theory("taylor"), "gradient_variance"), "networks of other φ can be simulated"),
    (lambda: simulate(nnqft.theory("adaptation", N=3), observable="gradient", networks=4), "units with adaptation"),
    (lambda: simulate(nnqft.theory("linear", N=3), observable="response", networks=4, kernel=True), "kernel=True is"),
]


@pytest.mark.parametrize(("act", "message"), BAD)
def test_bad_input_is_one_clear_line(act, message):
    with pytest.raises(nnqft.InputError, match=message) as caught:
        act()
    assert "\n" not in str(caught.value)
