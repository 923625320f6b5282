"""Two noise histories on one network at order 1/N, and its dimension: theory, diagrams and drawn networks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.linalg import solve_continuous_lyapunov

import nnqft
from nnqft_plugins.networks.finite_width.dimension import dimensions
from nnqft_plugins.networks.finite_width.replicas import TwoHistories, two_histories
from nnqft_plugins.networks.finite_width.spectra import frequencies, spectrum_of
from nnqft_plugins.networks.network import network_of


def histories(model: str, **parameters: object) -> TwoHistories:
    return two_histories(network_of(nnqft.theory(model, **parameters)))


def test_spectrum():
    spectrum = spectrum_of(lambda t: np.exp(-0.3 * t) - 0.5 * np.exp(-2 * t) * t, 0.8, 150.0)
    omega = np.array([0.0, 0.7, 30.0])
    exact = 0.6 / (omega**2 + 0.09) - (4 - omega**2) / (omega**2 + 4) ** 2
    np.testing.assert_allclose(spectrum(omega), exact, rtol=1e-9)
    assert spectrum.left < 1e-12
    nodes, weights = frequencies(0.8, 256)
    assert abs(weights @ spectrum(nodes) - 1.0) < 1e-10


def linear_psi(s: float, most: int = 40) -> float:
    """Σ_{(m,n)≠0} s^{m+n} [Σ_k s^k C(m+n+2k, m+k)/2^{m+n+2k+1}]², W joined to W and Wᵀ to Wᵀ."""
    k = range(60)
    total = 0.0
    for m in range(most):
        for n in range(most):
            if m or n:
                inner = sum(s**j * math.comb(m + n + 2 * j, m + j) / 2.0 ** (m + n + 2 * j + 1) for j in k)
                total += s ** (m + n) * inner**2
    return total


@pytest.mark.parametrize("bias", [0.0, 0.8])
def test_linear(bias):
    found = histories("linear", sigma_w=0.5**0.5, sigma_b=bias)
    assert abs(found.scatter().value - 0.3030776503) < 1e-10
    assert abs(found.scatter().value - linear_psi(0.5)) < 1e-9
    assert abs(found.dimension().value - 0.622605) < 1e-6
    for frequency in (0.0, 0.4, 3.0):
        exact = (1 - 0.5 / (1 + frequency**2)) ** 2
        assert abs(found.dimension_at(frequency).value - exact) < 1e-10


def test_linear_with_adaptation():
    found = histories("adaptation", coefficients={1: 1.0}, sigma_w=0.7, gamma_a=0.3, beta=0.9)
    omega = 0.5
    exact = (1 - 0.49 * abs(found.gain(np.array([omega]))[0]) ** 2) ** 2
    assert abs(found.dimension_at(omega).value - exact) < 1e-8


def test_tanh():
    found = histories("taylor", activation="tanh", sigma_w=0.8)
    assert abs(found.variance - 0.604434) < 1e-6
    assert abs(found.scatter().value - 0.0909206) < 1e-6
    assert abs(found.scatter_of_activity().value - 0.0219543) < 1e-6
    assert abs(found.dimension().value - 0.800727) < 1e-6
    assert max(found.scatter().error, found.dimension().error) < 1e-8


def test_beyond_the_edge_of_the_linear_network():
    chaotic = histories("taylor", activation="tanh", sigma_w=1.8)
    assert 0 < chaotic.dimension().value < histories("taylor", activation="tanh", sigma_w=0.9).dimension().value < 1


def test_linear_networks():
    """Σ_ij² of drawn networks by Lyapunov's equation, against diagrams to order N^−2."""
    N, s = 30, 0.2
    rng, values = np.random.default_rng(8), []
    for _ in range(400):
        A = rng.normal(0.0, np.sqrt(s / N), (N, N)) - np.eye(N)
        square = solve_continuous_lyapunov(A, -np.eye(N)) ** 2
        values.append((square.sum() - np.trace(square)) / (N - 1))
    found = scatter(nnqft.theory("linear", N=N, sigma_w=s**0.5), order=4, width_order=2)
    assert abs(np.mean(values) - N * found) < 4 * np.std(values) / 20


def scatter(theory: nnqft.Theory, order: int, width_order: int = 1) -> float:
    """E Σ_ij² at equal times: a square of averages beyond their own averages takes four histories."""
    asked = {"order": order, "width_order": width_order, "times": [(0.0,) * 4], "indices": "ijij", "neval": 40_000}
    parts = {"aabb": 1, "abcc": -2, "abcd": 1}
    return sum(sign * nnqft.compute(theory, "cumulant", replicas=p, **asked).mean[0] for p, sign in parts.items())


def test_a_bias_adds_nothing_to_what_noise_makes_of_a_linear_network():
    plain, biased = (nnqft.theory("linear", N=5, sigma_w=0.4, sigma_b=bias) for bias in (0.0, 0.7))
    assert abs(scatter(plain, 2, 2) / scatter(biased, 2, 2) - 1) < 1e-10


@pytest.mark.parametrize("bias", [0.0, 0.5])
def test_networks_with_two_noises(bias):
    """δh of pairs of histories on one drawn network; theory at N → ∞ within errors and 1/N."""
    rng, N, count = np.random.default_rng(3), 60, 24
    off, values = ~np.eye(count // 2, dtype=bool), []
    for _ in range(24):
        W, b = rng.normal(0.0, 0.8 / np.sqrt(N), (N, N)), rng.normal(0.0, bias, (N, 1))
        h, looks = rng.normal(0.0, 0.8, (N, count)), []
        for step in range(300):
            noise = rng.normal(0.0, 0.1**0.5, h.shape)
            slope = -h + W @ np.tanh(h) + b
            guess = h + 0.1 * slope + noise
            h = h + 0.05 * (slope - guess + W @ np.tanh(guess) + b) + noise
            if step >= 100 and step % 25 == 0:
                d = (h[:, ::2] - h[:, 1::2]) / np.sqrt(2)
                looks.append((((d.T @ d) ** 2) - (d**2).T @ d**2)[off].mean() / (N - 1))
        values.append(np.mean(looks))
    expected = histories("taylor", activation="tanh", sigma_w=0.8, sigma_b=bias).scatter().value
    error = np.std(values) / np.sqrt(len(values))
    assert error < 0.15 * expected
    assert abs(np.mean(values) - expected) < 4 * error + expected / N


def test_dimension_of_a_linear_network_order_by_order():
    order, s = 2, 0.3
    found = nnqft.compute(nnqft.theory("linear", N=100, sigma_w=s**0.5), "dimension", order=order)
    psi = sum(c * s**n / 2 for n, c in enumerate([0, 1 / 4, 9 / 16]))
    variance = 0.5 * (1 + s / 2 + 3 * s**2 / 8)
    spectrum = 1 + s + s**2  # κ/(γ² − σ_w²) to this order
    scatter = 2 * s + 7 * s**2  # of (1 − s)^−4 − (1 − s)^−2
    exact = [1 / (1 + psi / variance**2), 1 / (1 + scatter / spectrum**2)]
    np.testing.assert_allclose(found.mean, exact, rtol=1e-6)
    assert found.names == ("equal_time", "zero_frequency")
    assert not found.method_error[0]
    # It is a number at N → ∞, whatever N and the width order are.
    again = nnqft.compute(nnqft.theory("linear", N=7, sigma_w=s**0.5), "dimension", order=1, width_order=0)
    np.testing.assert_allclose(again.mean, found.by_order[1])


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        ("taylor", {"activation": "tanh", "sigma_b": 0.5}),
        ("linear", {"sigma_b": 0.5, "expansion": "saddle"}),
        ("cubic_tanh", {"kappa": 0.2, "sigma_b": 0.3, "averages": "polynomial"}),
        ("taylor", {"activation": "relu"}),
        ("adaptation", {"activation": "tanh", "sigma_b": 0.5}),
        ("feedforward", {"activation": "tanh"}),
    ],
)
def test_diagrams_about_the_saddle_begin_as_the_sum_does(model, parameters):
    """At weak coupling order 1 is all but a part σ_w² of ψ."""
    theory = nnqft.theory(model, N=10**6, sigma_w=0.1, **parameters)
    found = scatter(theory, 1)
    network = network_of(theory)
    share = 1 / dimensions(network)["equal_time"].value - 1 if model == "feedforward" else None
    variance = nnqft.compute(theory, "two_point", order=0).mean[0]
    psi = share * variance**2 if share is not None else two_histories(network).scatter().value
    assert abs(theory.N * found / psi - 1) < 0.03


@pytest.mark.parametrize(("bias", "averages", "rtol"), [(0.0, "activation", 0.01), (0.3, "polynomial", 0.03)])
def test_saddle_and_bare_expansion_from_rest(bias, averages, rtol):
    asked = {"times": [(1.5,) * 4], "indices": "ijij", "replicas": "aabb", "width_order": 1, "neval": 40_000}
    own = {"start": "rest", "kappa": 0.2, "sigma_w": 0.08, "sigma_b": bias}
    bare = nnqft.compute(nnqft.theory("cubic_tanh", expansion="bare", **own), "cumulant", order=1, **asked)
    saddle = nnqft.compute(nnqft.theory("cubic_tanh", T=2.0, averages=averages, **own), "cumulant", order=1, **asked)
    assert abs(saddle.mean[0] / bare.mean[0] - 1) < rtol


def test_layers():
    found = dimensions(network_of(nnqft.theory("feedforward", sigma_w=0.5**0.5)))
    assert list(found) == ["equal_time"]
    assert abs(found["equal_time"].value - 0.75) < 1e-9


@pytest.mark.parametrize(
    ("model", "parameters", "message"),
    [
        ("linear", {"start": "rest"}, "write start='stationary'"),
        ("linear", {"sigma_w": 1.2}, "no stationary state at infinite width"),
        ("taylor", {"kappa": 0.0, "activation": "tanh"}, "nothing fluctuates in this network"),
        ("linear", {"sigma_u": 1.0, "q": {0.5: 1.0}}, "an input that changes is heard by both histories"),
        ("feedforward", {"sigma_b": 0.3}, "write sigma_b=0 and an odd φ"),
    ],
)
def test_what_is_not_known(model, parameters, message):
    with pytest.raises(nnqft.InputError, match=message):
        dimensions(network_of(nnqft.theory(model, **parameters)))


@pytest.mark.parametrize(
    ("model", "parameters", "message"),
    [
        ("taylor", {"sigma_u": 1.0, "q": {0.5: 1.0}}, "write a number for q, or expansion='bare'"),
        ("taylor", {"activation": "relu", "start": "rest", "T": 1.0}, "write start='stationary'"),
        ("feedforward", {"activation": "tanh", "start": "rest", "T": 1.0}, "write expansion='bare'"),
    ],
)
def test_where_shared_lines_are_not_known(model, parameters, message):
    theory = nnqft.theory(model, **parameters)
    with pytest.raises(nnqft.InputError, match=message):
        nnqft.diagrams(theory, "two_point", order=1, replicas="ab")


def test_dimension_needs_a_stationary_state():
    with pytest.raises(nnqft.InputError, match="needs a stationary process"):
        nnqft.compute(nnqft.theory("linear", start="rest"), "dimension", order=1)


def test_one_unit_has_one_direction():
    found = nnqft.compute(nnqft.theory("linear", N=1, sigma_w=0.3), "dimension", order=1)
    assert found.mean.tolist() == [1.0, 1.0]


def test_layers_have_a_dimension_at_equal_times_alone():
    theory = nnqft.theory("feedforward", N=100, sigma_w=0.5**0.5)
    found = nnqft.compute(theory, "dimension", order=4)
    assert found.names == ("equal_time",)
    psi = sum(found.bases["cumulant (ijij, aabb, width order ≤ 1)"].mean) * 100
    variance = found.bases["two_point (width order ≤ 0)"].mean[0]
    np.testing.assert_allclose(found.mean, 1 / (1 + psi / variance**2))
    assert abs(psi - 0.148148) < 0.01


def test_an_input_that_changes_has_a_dimension_at_equal_times_alone():
    theory = nnqft.theory("linear", N=100, sigma_w=0.4, sigma_u=0.5, q={0.3: 1.0})
    found = nnqft.compute(theory, "dimension", order=2)
    # What noise makes of one linear network does not depend on its input.
    plain = nnqft.compute(nnqft.theory("linear", N=100, sigma_w=0.4), "dimension", order=2)
    assert found.names == ("equal_time",)
    np.testing.assert_allclose(found.mean, plain.mean[:1], rtol=1e-9)
