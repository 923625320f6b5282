"""Simulated ensembles: each network against scipy, averages against oracles, errors against their scatter."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import oracles
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.integrate import quad
from scipy.linalg import expm, solve_continuous_lyapunov
from scipy.stats import chi2, kstest, norm
from theories import bare_theory

import nnqft
from nnqft.cli.main import main
from nnqft.host import open_executor
from nnqft_plugins.networks.meanfield import solve
from nnqft_plugins.networks.network import network_of
from nnqft_plugins.networks.simulation import Simulation, load, simulate
from nnqft_plugins.networks.simulation.batches import run_batch
from nnqft_plugins.networks.simulation.linear import Modes, correlation, linear_batch, trace_average
from nnqft_plugins.networks.simulation.measurement import Ensemble, Measured, NetworkBatch, concatenate
from nnqft_plugins.networks.simulation.moments import averaged, polynomials, wick
from nnqft_plugins.networks.simulation.paths import path_batch
from nnqft_plugins.networks.simulation.pilot import pilot_of
from nnqft_plugins.networks.simulation.statistics import summarise


def pulls(result: Simulation, wanted: Any) -> np.ndarray:
    return (result.mean - wanted) / result.sdev


# One linear network


def a_matrix(N: int = 6, sigma_w: float = 0.6) -> np.ndarray:
    return np.random.default_rng(3).normal(0, sigma_w / math.sqrt(N), (N, N))


def covariance(W: np.ndarray, theory: nnqft.Theory, t: float, s: float) -> np.ndarray:
    """What the package says ⟨h_a(t) h_b(s)⟩ is, given W."""
    network = network_of(theory)
    rates, V = np.linalg.eig(W[None])
    modes = Modes(V.astype(complex), np.linalg.inv(V).astype(complex))
    rates = rates - network.gamma
    return modes.covariance(correlation(network, rates[:, :, None], rates.conj()[:, None, :], t, s))[0]


@pytest.mark.parametrize("lag", [0.0, 0.8])
def test_a_stationary_network_solves_the_lyapunov_equation(lag):
    W = a_matrix()
    theory = bare_theory("linear", gamma=1.2, kappa=0.7, sigma_b=0.4, sigma_u=0.5, q={0.3: 1.0}, N=6)
    A, eye, zero = W - 1.2 * np.eye(6), np.eye(6), np.zeros((6, 6))
    # The input is an Ornstein–Uhlenbeck process of variance 1/4: one larger system under white noise.
    drift = np.block([[A, eye], [zero, -0.3 * eye]])
    noise = np.block([[0.7 * eye, zero], [zero, 2 * 0.3 * 0.25 * eye]])
    P = solve_continuous_lyapunov(drift, -noise)
    wanted = (expm(drift * lag) @ P)[:6, :6] + 0.16 * np.linalg.inv(A) @ np.linalg.inv(A).T
    assert_allclose(covariance(W, theory, lag, 0.0), wanted, atol=1e-12)
    assert_allclose(covariance(W, theory, 0.0, lag), wanted.T, atol=1e-12)


@pytest.mark.parametrize("pair", [(0.9, 0.9), (2.0, 0.7), (0.4, 1.5), (1.0, 0.0)])
def test_a_network_from_rest_is_the_integral_of_its_noise(pair):
    W = a_matrix(sigma_w=1.8)  # one that grows, too
    theory = bare_theory("linear", start="rest", kappa=0.7, sigma_b=0.4, sigma_u=0.5, q={0.3: 1.0}, N=6)
    A, (t, s) = W - np.eye(6), pair
    x, w = np.polynomial.legendre.leggauss(30)

    def integral(upper: float, f: Callable[[float], np.ndarray]) -> np.ndarray:
        return sum(
            (upper / 2 * w_i * f(upper / 2 * (x_i + 1)) for x_i, w_i in zip(x, w, strict=True)), np.zeros((6, 6))
        )

    wanted = 0.7 * integral(min(t, s), lambda u: expm(A * (t - u)) @ expm(A * (s - u)).T)
    one, other = (integral(end, lambda u, end=end: expm(A * (end - u))) for end in (t, s))
    wanted += 0.16 * one @ other.T
    # e^{−0.3|u−v|} from rest: the same system as above, started with the stationary input.
    drift = np.block([[A, np.eye(6)], [np.zeros((6, 6)), -0.3 * np.eye(6)]])

    def grown(end: float) -> np.ndarray:
        start = np.zeros((12, 12))
        start[6:, 6:] = 0.25 * np.eye(6)
        noise = np.zeros((12, 12))
        noise[6:, 6:] = 2 * 0.3 * 0.25 * np.eye(6)
        x12 = expm(drift * end) @ start @ expm(drift * end).T
        for x_i, w_i in zip(x, w, strict=True):
            G = expm(drift * (end - end / 2 * (x_i + 1)))
            x12 = x12 + end / 2 * w_i * G @ noise @ G.T
        return x12

    at = grown(min(t, s))
    moved = expm(drift * abs(t - s))
    wanted += ((moved @ at) if t >= s else (at @ moved.T))[:6, :6]
    assert_allclose(covariance(W, theory, t, s), wanted, atol=1e-10)


def test_traces_have_the_averages_of_the_oracle():
    for a, b in ((2, 0), (1, 1), (4, 0), (3, 1), (2, 2), (4, 2)):
        wanted = sum(c * 7.0**-k for k, c in enumerate(oracles.trace_moment(a, b)))
        assert_allclose(trace_average(a, b, 7), wanted, rtol=1e-14)


def test_controls_have_mean_zero():
    network = network_of(nnqft.theory("linear", start="rest", sigma_w=0.7, N=5))
    found = linear_batch(NetworkBatch(Ensemble(network, ((1.0, 0.5),)), 0, 4000)).controls[:, 0]
    assert (np.abs(found.mean(axis=0)) < 4 * found.std(axis=0) / math.sqrt(4000)).all()
    paths = path_batch(
        NetworkBatch(Ensemble(network, ((1.0, 0.5),), scheme="heun", step=0.2, begin=0.3), 0, 4000)
    ).controls[:, 0]
    assert (np.abs(paths.mean(axis=0)) < 4 * paths.std(axis=0) / math.sqrt(4000)).all()


# Ensembles with known averages


def test_linear_from_rest_is_the_whole_series():
    """At finite times the series in σ_w² converges at any N: oracle 1, as far as its last order counts."""
    times, values = [(1.0, 1.0), (2.0, 0.6)], {"gamma": 1.1, "kappa": 0.8, "sigma_b": 0.3}
    series = oracles.linear_two_point(times, order=5, start="rest", **values)
    N, coupling = 4, 0.09
    wanted = sum(series[n, k] * coupling**n / N**k for n in range(6) for k in range(n + 1))
    last = sum(series[5, k] * coupling**5 / N**k for k in range(6))
    theory = nnqft.theory("linear", start="rest", sigma_w=0.3, N=N, **values)
    result = simulate(theory, times=times, networks=20_000)
    assert (result.sdev < 3e-6 * wanted).all()  # control variates leave that little
    assert (np.abs(last) < 0.1 * result.sdev).all()
    assert (np.abs(pulls(result, wanted)) < 4).all()
    assert result.networks == 20_000


def test_one_unit_is_the_average_over_one_weight():
    theory, t = nnqft.theory("linear", start="rest", sigma_w=0.8, N=1), 1.5

    def average(f: Callable[[float], float]) -> float:
        return quad(lambda w: np.exp(-((w / 0.8) ** 2) / 2) / (0.8 * math.sqrt(2 * math.pi)) * f(w), -8, 8, points=[1])[
            0
        ]

    def variance(w: float) -> float:
        return -math.expm1(2 * (w - 1) * t) / (2 * (1 - w)) if w != 1 else t

    result = simulate(theory, times=[(t, t)], networks=100_000, kernel=True)
    assert abs(pulls(result, average(variance))[0]) < 4
    kernel, error = result.kernel_variance()  # given w, h² of a Gaussian
    wanted = average(lambda w: 3 * variance(w) ** 2) - average(variance) ** 2
    assert abs(kernel[0] - wanted) < 4 * error[0]
    response = simulate(theory, times=[(t, 0.0), (0.0, 0.5)], networks=4000, observable="response")
    assert abs(response.mean[0] - math.exp(-t + 0.64 * t**2 / 2)) < 4 * response.sdev[0]
    assert response.mean[1] == 0.0


@pytest.mark.parametrize("N", [20, 50])
def test_stationary_linear_networks_average_as_known(N):
    """C(0) at γ=κ=1, σ_w²=1/2: 0.739(7) at N = 20 and 0.7195(24) at N = 50, from another program."""
    known, error = {20: (0.739, 0.007), 50: (0.7195, 0.0024)}[N]
    result = simulate(nnqft.theory("linear", N=N, sigma_w=math.sqrt(0.5)), networks=60 * N)
    assert abs(result.mean[0] - known) < 3.5 * math.hypot(error, result.sdev[0])
    if result.discarded:
        assert "no stationary state" in result.notes[0]


def test_stationary_weak_coupling_is_the_series():
    tau, N, coupling = [0.0, 0.7, 2.0], 30, 0.04
    series = oracles.linear_two_point([(x, 0.0) for x in tau], order=5, gamma=1.0, kappa=1.0)
    wanted = sum(series[n, k] * coupling**n / N**k for n in range(6) for k in range(n + 1))
    result = simulate(nnqft.theory("linear", N=N, sigma_w=0.2), tau=tau, networks=2000)
    assert (result.sdev < 2e-6).all()
    assert (np.abs(pulls(result, wanted)) < 4).all()


@pytest.mark.parametrize(("method", "step"), [("heun", 0.2), ("euler", 0.02)])
def test_paths_agree_with_exact_networks(method, step):
    values = {"N": 8, "sigma_w": 0.6, "sigma_b": 0.3, "sigma_u": 0.4, "q": {0.5: 1.0, 0.0: 0.5}}
    theory, times = bare_theory("linear", start="rest", **values), [(1.0, 1.0), (1.5, 0.5)]
    exact = simulate(theory, times=times, networks=4000, kernel=True)
    paths = simulate(theory, times=times, networks=6000, method=method, step=step, kernel=True, seed=1)
    assert (np.abs(paths.mean - exact.mean) < 4 * np.hypot(paths.sdev, exact.sdev)).all()
    (one, e), (two, d) = paths.kernel_variance(), exact.kernel_variance()
    assert (np.abs(one - two) < 4 * np.hypot(e, d) + (0.03 * two if method == "euler" else 0.0)).all()


def test_stationary_paths_agree_with_exact_networks():
    theory = nnqft.theory("linear", N=10, sigma_w=0.4, sigma_b=0.2)
    tau = [0.0, 0.5, 1.5]
    exact, paths = simulate(theory, tau=tau, networks=2000), simulate(theory, tau=tau, networks=400, method="heun")
    assert (np.abs(paths.mean - exact.mean) < 4 * np.hypot(paths.sdev, exact.sdev)).all()
    assert (paths.sdev < 0.01).all()


@pytest.mark.parametrize(("method", "order"), [("heun", 2), ("euler", 1)])
def test_the_step_error_falls_as_it_should(method, order):
    """Fine and coarse paths see the same noise, so their difference is precise."""
    network = network_of(bare_theory("taylor", activation="tanh", start="rest", sigma_w=1.5, sigma_b=0.5, N=4))
    ensemble = Ensemble(network, ((2.0, 2.0),), scheme=method, refined=True, begin=0.0)
    gaps = []
    for step in (0.1, 0.05, 0.025):
        found = path_batch(NetworkBatch(replace(ensemble, step=step), 0, 4000))
        gaps.append(abs((found.values - found.coarse).mean()))
    rates = np.log2(np.array(gaps[:-1]) / gaps[1:])
    assert_allclose(rates, order, atol=0.45)


def test_a_nonlinear_unit_is_the_dyson_series():
    """N = 1, cubic φ, from rest: oracle 2 knows every order at any time."""
    times, values = [(0.8, 0.8), (1.2, 0.5)], {"gamma": 1.3, "kappa": 0.5}
    series = oracles.one_site({1: 1.0, 3: -1 / 3}, times, order=4, start="rest", **values)
    wanted = np.polynomial.polynomial.polyval(0.09, series)
    theory = bare_theory("cubic_tanh", start="rest", sigma_w=0.3, **values)
    result = simulate(theory, times=times, networks=60_000, step=0.1)
    assert (result.sdev < 2e-2 * wanted).all()
    assert (np.abs(pulls(result, wanted)) < 4).all()
    assert not result.discarded


def test_a_wide_tanh_network_is_mean_field_theory():
    theory, tau = bare_theory("taylor", N=500, sigma_w=1.2), [0.0, 1.0, 3.0]
    result = simulate(theory, tau=tau, networks=6)
    wanted = solve(theory).correlator(tau)
    assert_allclose(result.mean, wanted, atol=0.025 * wanted[0])


# Products of states


def test_products_of_different_units_are_averaged_over_all_of_them():
    """Against loops over the units."""
    h = np.random.default_rng(4).standard_normal((3, 2, 5))  # times, networks, units
    moment = ((0.0, 0), (1.0, 0), (1.0, 1), (2.0, 2))
    wanted = np.zeros(2)
    for i, j, k in permutations(range(5), 3):
        wanted += h[0, :, i] * h[1, :, i] * h[1, :, j] * h[2, :, k] / 60
    assert_allclose(averaged(moment, [h[0], h[1], h[1], h[2]]), wanted, atol=1e-14)
    # Of Gaussian networks, from their covariances.
    S = np.random.default_rng(5).standard_normal((1, 4, 4))
    S = S @ S.swapaxes(1, 2)
    pairs = [(i, j) for i, j in permutations(range(4), 2)]
    each = [S[0, i, i] * S[0, j, j] + 2 * S[0, i, j] ** 2 for i, j in pairs]
    assert_allclose(wick(((0.0, 0), (0.0, 0), (0.0, 1), (0.0, 1)), {(0.0, 0.0): S})[0], np.mean(each))


def test_a_cumulant_is_its_moments():
    """And its estimate from few networks is unbiased: that of a variance is Σ (x − x̄)²/(n − 1)."""
    found = polynomials([(((0.0, 0), (0.0, 0), (1.0, 1)), True), (((3.0, 1), (3.0, 1)), True)], stationary=True)
    assert len(found.moments) == 4  # ⟨aab⟩, ⟨aa⟩, ⟨ab⟩, ⟨a⟩, which all times share
    x = np.random.default_rng(0).standard_normal(7)
    variance = polynomials([(((0.0, 0), (0.0, 0)), True)], stationary=True)
    assert [len(moment) for moment in variance.moments] == [1, 2]
    values, slopes = variance.numbers(np.array([x.mean(), (x**2).mean()]), np.cov([x, x**2]) / 7)
    assert_allclose(values[0], x.var(ddof=1), rtol=1e-12)
    assert slopes.shape == (1, 2)


@pytest.mark.parametrize(
    ("observable", "times", "indices"),
    [
        ("cumulant", (1.0, 1.0, 0.6, 0.6), "iijj"),
        ("cumulant", (1.0, 1.0, 1.0, 1.0), None),
        ("four_point", (1.0, 0.6, 1.0, 0.6), "ijij"),
        ("mean", (1.0,), None),
    ],
)
def test_paths_and_covariances_give_the_same_products(observable, times, indices):
    theory = nnqft.theory("linear", N=6, sigma_w=0.8, sigma_b=0.4, start="rest")
    ask = {"observable": observable, "times": [times], "indices": indices}
    exact = simulate(theory, networks=10_000, **ask)
    paths = simulate(theory, networks=10_000, method="heun", step=0.25, **ask)
    assert (np.abs(paths.mean - exact.mean) < 4 * np.hypot(paths.sdev, exact.sdev)).all()
    assert paths.sdev[0] < 0.1 * max(abs(exact.mean[0]), 0.1)
    assert paths.indices == indices


# Layers


def moments_of_layers(
    N: int, sigma_w: float, layer: float, kappa: float, C_0: float, depth: float
) -> tuple[float, float]:
    """⟨K⟩ and the variance of K = |h|²/N for φ = h, γ = 1, exactly: given K the next layer is Gaussian."""
    decay, mean, square = 1 - layer, C_0, C_0**2 * (1 + 2 / N)
    for _ in range(round(depth / layer)):
        # h' = decay h + √v g with v = layer (σ_w² K + κ): K' has mean decay² K + v, variance (4 decay² v K + 2 v²)/N.
        a, b = layer * sigma_w**2, layer * kappa
        v2 = a**2 * square + 2 * a * b * mean + b**2
        vK = a * square + b * mean
        square = decay**4 * square + 2 * decay**2 * vK + v2 + (4 * decay**2 * vK + 2 * v2) / N
        mean = decay**2 * mean + a * mean + b
    return mean, square - mean**2


@pytest.mark.parametrize("layer", [1.0, 0.25])
def test_a_stack_of_layers_is_known_exactly(layer):
    theory = nnqft.theory("feedforward", start="rest", sigma_w=0.9, kappa=0.3, C_0=1.0, N=12)
    result = simulate(theory, times=[(2.0, 2.0)], networks=20_000, layer=layer, kernel=True)
    mean, variance = moments_of_layers(12, 0.9, layer, 0.3, 1.0, 2.0)
    assert abs(pulls(result, mean)[0]) < 4
    kernel, error = result.kernel_variance()
    assert abs(kernel[0] - variance) < 4 * error[0]
    assert result.discretisation[0] == 0.0


def test_thin_layers_are_the_limit_of_thin_layers():
    theory = nnqft.theory("feedforward", start="rest", sigma_w=0.9, kappa=0.3, C_0=1.0, N=12)
    result = simulate(theory, times=[(2.0, 2.0)], networks=20_000, kernel=True, seed=5)
    (m1, v1), (m2, v2) = (moments_of_layers(12, 0.9, layer, 0.3, 1.0, 2.0) for layer in (0.002, 0.001))
    assert abs(pulls(result, 2 * m2 - m1)[0]) < 4
    kernel, error = result.kernel_variance()
    assert abs(kernel[0] - (2 * v2 - v1)) < 4 * error[0]


# Errors, targets, executors


def assert_standard_normal(found: np.ndarray) -> None:
    def sizes(scale: float) -> float:
        """How likely squares that add up to so much, or so little, are."""
        total = (scale * found**2).sum()
        return 2 * min(chi2.cdf(total, len(found)), chi2.sf(total, len(found)))

    assert kstest(found, "norm").pvalue > 1e-2
    assert sizes(1.0) > 1e-3
    assert max(sizes(1.5**2), sizes(1.5**-2)) < 1e-3, "errors wrong by half would go unnoticed"


@pytest.mark.parametrize("networks", [50, 900])
def test_errors_of_exact_networks_are_those_of_the_scatter(networks):
    """Without control variates, for which 50 are too few, and with them."""
    times, N = [(1.0, 0.7)], 5
    series = oracles.linear_two_point(times, order=5, gamma=1.0, kappa=1.0, start="rest")
    wanted = sum(series[n, k] * 0.16**n / N**k for n in range(6) for k in range(n + 1))
    theory = nnqft.theory("linear", start="rest", sigma_w=0.4, N=N)
    runs = [simulate(theory, times=times, networks=networks, seed=seed) for seed in range(100)]
    assert (runs[0].sdev[0] < 1e-6) == (networks == 900)
    assert_standard_normal(np.array([pulls(run, wanted)[0] for run in runs]))


def test_controls_serve_where_networks_are_left_out_too():
    """What decides whether a network counts may be what the control measures: still no bias, and honest errors."""
    wanted = -norm.pdf(1.5) / norm.cdf(1.5)  # ⟨x⟩ of a Gaussian below 1.5

    def pull(seed: int, controlled: bool) -> tuple[float, float]:
        x, noise = np.random.default_rng(seed).standard_normal((2, 400))
        counts = (x < 1.5).astype(float)
        values = (counts * (x + 0.1 * noise))[:, None]
        controls = x[:, None, None] if controlled else np.zeros((400, 1, 0))
        found = summarise(Measured(counts, values, values, values, controls, int((1 - counts).sum())), 1, False, 50)
        return (found.mean[0] - wanted) / found.cov[0, 0] ** 0.5, found.cov[0, 0]

    for controlled in (False, True):
        assert_standard_normal(np.array([pull(seed, controlled)[0] for seed in range(300)]))
    assert pull(0, True)[1] < 0.5 * pull(0, False)[1]


def test_errors_of_paths_are_those_of_the_scatter():
    times = [(1.0, 1.0), (1.2, 0.8)]
    theory = nnqft.theory("linear", start="rest", sigma_w=0.4, N=3)
    wanted = simulate(theory, times=times, networks=20_000).mean
    ask = {"times": times, "networks": 40, "method": "heun", "step": 0.25}
    runs = [simulate(theory, **ask, seed=seed) for seed in range(120)]
    assert_standard_normal(np.array([pulls(run, wanted)[0] for run in runs]))
    scatter = np.cov(np.array([run.mean for run in runs]).T)
    claimed = np.mean([run.cov for run in runs], axis=0)
    assert_allclose(scatter, claimed, rtol=0.4)


@pytest.fixture(scope="module")
def processes() -> Iterator[nnqft.AbstractExecutor]:
    place = open_executor("processes", 2, None)
    yield place
    place.close()


@pytest.mark.parametrize(
    ("model", "values"),
    [("linear", {"N": 10}), ("taylor", {"N": 10, "sigma_b": 0.3}), ("feedforward", {"N": 10, "activation": "erf"})],
)
def test_the_bits_are_the_same_on_every_executor(model, values, processes):
    theory = bare_theory(model, sigma_w=0.5, **values)
    ask = {"tau": [0.0, 0.5], "networks": 48, "kernel": True, "seed": 7}
    if model != "linear":
        ask |= {"burn": 2.0, "window": 3.0}
    one, two = simulate(theory, **ask), simulate(theory, **ask, executor=processes)
    other = simulate(theory, **(ask | {"seed": 8}))
    for name in ("mean", "cov", "kernel", "kernel_error", "units"):
        assert_array_equal(getattr(one, name), getattr(two, name))
    assert (one.mean != other.mean).all()


def test_a_relative_target_is_met_or_said_to_be_missed():
    theory = nnqft.theory("linear", start="rest", sigma_w=0.5, N=4)
    met = simulate(theory, times=[(1.0, 1.0)], rtol=5e-3, method="heun")
    assert met.converged
    assert met.sdev[0] <= 5e-3 * met.mean[0]
    missed = simulate(theory, times=[(1.0, 1.0)], rtol=1e-5, networks=500, method="heun")
    assert not missed.converged
    assert missed.networks == 500
    assert "of what rtol=1e-05 allows" in missed.reason
    assert "target NOT met" in missed.table()


@pytest.mark.parametrize(("model", "networks"), [("taylor", 2), ("taylor", 3), ("linear", 5), ("feedforward", 3)])
def test_an_error_from_a_few_networks_is_a_number(model, networks):
    """It once was nan, which the table showed as no error at all."""
    few = simulate(nnqft.theory(model, N=5, sigma_w=0.5), networks=networks, rtol=0.5)
    assert np.isfinite(few.sdev).all()
    assert (few.sdev > 0).all()
    assert "nan" not in few.reason


def test_a_step_too_long_for_the_target_is_halved():
    theory = bare_theory("taylor", activation="tanh", start="rest", sigma_w=1.5, N=4)
    ask = {"times": [(2.0, 2.0)], "rtol": 2e-2, "method": "euler"}
    found = simulate(theory, **ask)
    assert found.converged
    assert found.step < 0.1 / 1.5
    assert found.discretisation[0] <= 2e-2 * found.mean[0]
    fixed = simulate(theory, **ask, step=0.1)
    assert not fixed.converged
    assert fixed.step == 0.1


class Impatient(nnqft.AbstractExecutor):
    """Ctrl-C comes after three batches."""

    name = "impatient"

    def evaluate(self, work: Sequence[nnqft.Work], target: nnqft.Target, progress: Callable) -> nnqft.Outcome:
        raise NotImplementedError

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        for n, item in enumerate(items):
            if n == 3:
                raise KeyboardInterrupt
            yield function(item)


def test_an_interrupt_hands_back_what_there_is():
    theory = nnqft.theory("linear", start="rest", sigma_w=0.5, N=4)
    cut = simulate(theory, times=[(1.0, 1.0)], networks=320, executor=Impatient())
    assert not cut.converged
    assert cut.reason == "interrupted"
    assert cut.networks == 120  # three batches of twenty pairs
    assert cut.sdev[0] > 0


def test_what_has_no_stationary_state_is_counted():
    result = simulate(nnqft.theory("linear", N=4, sigma_w=0.9), networks=400, kernel=True)
    assert result.networks + result.discarded == 400
    assert 20 < result.discarded < 300
    assert f"{result.discarded} of 400 networks have no stationary state" in result.notes[0]
    wild = simulate(bare_theory("cubic_tanh", N=10, sigma_w=1.5), networks=60, burn=5.0, window=5.0)
    assert wild.discarded > 0
    assert "ran away" in wild.notes[0]
    with pytest.raises(nnqft.InputError, match="40 of 40 networks had no stationary state or ran away"):
        simulate(nnqft.theory("linear", N=100, sigma_w=2.0), networks=40)


def test_a_path_that_is_not_stationary_is_noticed():
    # A start with the right variance does not know the bias yet.
    theory = bare_theory("taylor", sigma_w=0.3, sigma_b=1.0, kappa=0.01, N=10)
    early = simulate(theory, tau=[0.0], networks=300, burn=1e-3, window=4.0)
    assert "not stationary yet" in early.notes[0]
    late = simulate(theory, tau=[0.0], networks=300)
    assert late.notes == ()


def test_save_load_table_and_plot(tmp_path):
    theory = bare_theory("taylor", N=5, sigma_w=0.5, sigma_u=0.3, q={0.5: 1.0}, start="rest")
    result = simulate(theory, times=[(1.0, 0.5), (1.0, 1.0)], networks=100, kernel=True)
    result.save(tmp_path / "s.json")
    back = load(tmp_path / "s.json")
    for name in ("times", "mean", "cov", "discretisation", "kernel", "kernel_error"):
        assert_array_equal(getattr(back, name), getattr(result, name))
    assert back.table() == result.table()
    assert "variance of the kernel" in result.table()
    assert result.plot().get_ylabel() == "two_point"
    assert result.N == 5
    (tmp_path / "s.json").write_text('{"kind": "simulation", "mean": [1]}')
    with pytest.warns(UserWarning, match="unchecked"), pytest.raises(nnqft.InputError, match="is damaged"):
        load(tmp_path / "s.json")
    (tmp_path / "s.json").write_text("{}")
    with pytest.raises(nnqft.InputError, match="holds no simulation"):
        load(tmp_path / "s.json")


def test_the_command(tmp_path, capsys):
    plot, data = tmp_path / "s.png", tmp_path / "s.json"
    asked = ["simulate", "linear", "-p", "N=20", "-p", "sigma_w=0.4", "--tau", "0:2:3", "--networks", "200"]
    assert main([*asked, "--plot", str(plot), "--json", str(data)]) == 0
    assert "200 networks, exact" in capsys.readouterr().out
    assert load(data).networks == 200
    assert plot.stat().st_size > 5000
    assert main([*asked, "--rtol", "1e-9"]) == 3
    assert "target NOT met" in capsys.readouterr().out
    assert main(["simulate", "linear"]) == 2
    captured = capsys.readouterr()
    wanted = "wanted networks or rtol, write for example --networks 1000 or --rtol 1e-2"
    assert captured.err == f"nnqft: no target: {wanted}\n"


def linear(**values) -> nnqft.Theory:
    return nnqft.theory("linear", N=3, sigma_w=0.3, **values)


LAYERS = ("feedforward", {"N": 3, "start": "rest"})
BAD = [
    (lambda: simulate("linear", networks=10), "wanted a Theory"),
    (lambda: simulate(linear()), "no target"),
    (lambda: simulate(linear(), networks=1), "whole number ≥ 2"),
    (lambda: simulate(linear(), rtol=0.0), "rtol=0.0: wanted a number between 0 and 1"),
    (lambda: simulate(linear(), networks=10, method="rk4"), "unknown method 'rk4'"),
    (lambda: simulate(linear(), networks=10, observable="meen"), "unknown observable 'meen'"),
    (
        lambda: simulate(linear(), networks=10, observable="kernel_variance"),
        "is derived from others: write nnqft.check",
    ),
    (lambda: simulate(linear(), networks=10, observable="response", indices="ij"), "simulated alone, with one unit"),
    (lambda: simulate(linear(), networks=10, indices="ijj"), "has 3 letters, 'two_point' has 2 legs"),
    (lambda: simulate(linear(), networks=10, observable="mean", kernel=True), "kernel=True is for"),
    (lambda: simulate(linear(), networks=10, step=0.1), "step=0.1: exact networks have no steps"),
    (lambda: simulate(linear(), networks=10, method="heun", step=-0.1), "step=-0.1: wanted a number > 0"),
    (lambda: simulate(linear(), networks=10, method="layers"), "for model 'feedforward'"),
    (lambda: simulate(linear(), networks=10, times=[(0, 0)], tau=[0.0]), "both times and tau"),
    (lambda: simulate(linear(start="rest"), networks=10), "times are missing"),
    (lambda: simulate(linear(start="rest"), networks=10, times=[(1, 1)], method="heun", burn=1.0), "from rest nothing"),
    (lambda: simulate(bare_theory("taylor", N=3), networks=10, method="exact"), "for linear networks, not φ = tanh"),
    (lambda: simulate(nnqft.theory("taylor", activation="sign"), networks=9, observable="response"), "jumps"),
    (lambda: simulate(bare_theory("taylor", N=3), networks=10, layer=1.0), "layer is for model 'feedforward'"),
    (lambda: simulate(bare_theory("quintic"), networks=10), "gives no activation"),
    (lambda: simulate(nnqft.theory("feedforward", N=3), networks=10, method="heun"), "simulated by method='layers'"),
    (lambda: simulate(bare_theory(LAYERS[0], **LAYERS[1]), networks=10, times=[(1, 1)], layer=3.0), "below 2/γ"),
    (lambda: simulate(bare_theory(LAYERS[0], **LAYERS[1]), networks=10, times=[(1, 1)], layer=0.3), "no multiple of"),
    (lambda: simulate(linear(), networks=10).kernel_variance(), "write simulate\\(…, kernel=True\\)"),
]


@pytest.mark.parametrize(("act", "message"), BAD)
def test_bad_input_is_one_clear_line(act, message):
    with pytest.raises(nnqft.InputError, match=message) as caught:
        act()
    assert "\n" not in str(caught.value)


# Heavy tails


def test_errors_of_heavy_tails_count_their_own_uncertainty():
    """The pulls of means of a hundred Student variates with 4.5 degrees of freedom, whose errors are known poorly."""
    rng = np.random.default_rng(2)
    pulls, plain, freedom = [], [], []
    for values in rng.standard_t(4.5, (4000, 40, 1)):
        one = np.ones(len(values))
        found = summarise(Measured(one, values, 0 * values, values, np.zeros((40, 1, 0))), 1, False, 6)
        pulls.append(found.mean[0] / np.sqrt(found.cov[0, 0]))
        plain.append(values.mean() / (values.std(ddof=1) / np.sqrt(40)))
        freedom.append(found.freedom)
    skewed = rng.lognormal(0.0, 1.0, (2, 100, 1))
    assert np.mean(np.square(plain)) > 1.0
    assert 0.85 < np.mean(np.square(pulls)) < 1.02
    assert np.median(freedom) < 30
    flat = Measured(np.ones(100), skewed[0], 0 * skewed[0], skewed[0], np.zeros((100, 1, 0)))
    assert summarise(flat, 1, False, 6).freedom < 25


def small(model: str, N: int, *times: float, **how) -> Ensemble:
    """A small ensemble from rest."""
    network = network_of(nnqft.theory(model, start="rest", N=N, sigma_w=0.5 if model == "linear" else 0.8), None)
    return Ensemble(network=network, times=tuple((t, t) for t in times), begin=network.C_0, seed=3, **how)


@pytest.mark.parametrize(
    ("ensemble", "networks"),
    [
        (small("linear", 6, 1.0, 4.0), 20),
        (small("linear", 6, 1.0), 700),
        (small("linear", 3, 1.0), 700),
        (small("feedforward", 3, 1.0, 4.0, scheme="layers", step=0.02, refined=True), 20),
    ],
)
def test_small_networks_have_honest_errors(ensemble, networks):
    """Few, and many with control variates that leave the tail alone: means and errors were small together."""
    members, units = (2, 40_000) if ensemble.scheme == "exact" else (1, 12_000)
    each, N = networks // members, ensemble.network.N
    everything = concatenate([run_batch(NetworkBatch(ensemble, n, 1000)) for n in range(units // 1000)])
    wanted = summarise(everything, 1, False, N).mean
    scatter = pilot_of(ensemble).scatter

    def pull(first: int) -> np.ndarray:
        mine = slice(first, first + each)
        values, coarse = everything.values[mine], everything.coarse[mine]
        part = Measured(everything.members[mine], values, 0 * values, coarse, everything.controls[mine])
        found = summarise(part, 1, False, N, scatter)
        return (found.mean - wanted) / np.sqrt(np.diagonal(found.cov))

    pulls = np.array([pull(first) for first in range(0, min(units, 300 * each) - each + 1, each)])
    assert np.abs(pulls.mean(axis=0)).max() < 0.2
    assert np.square(pulls).mean(axis=0).min() > 0.5
    assert np.square(pulls).mean(axis=0).max() < 1.45


@pytest.mark.parametrize("seed", range(2))
def test_networks_that_would_run_away_are_said_to_whatever_the_seed(seed):
    """One of a thousand, which twenty lack, would bring more than all others."""
    theory = nnqft.theory("cubic_tanh", start="rest", N=3, sigma_w=0.7)
    few = simulate(theory, times=[(4.0, 4.0)], networks=20, seed=seed)
    assert not few.discarded
    assert any("the average over all has no limit, and errors are not to be trusted" in note for note in few.notes)


class Unhashable:
    """A function that is equal to others like it."""

    def __call__(self, h: np.ndarray) -> np.ndarray:
        return np.tanh(h)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unhashable)


def test_an_activation_without_a_hash_is_simulated():
    theory = nnqft.theory("taylor", activation="tanh", start="rest", N=3, sigma_w=0.7)
    ask = {"times": [(0.5, 0.5)], "networks": 4}
    mine = simulate(theory, **ask, activation=nnqft.Activation("mine", Unhashable()))
    assert_array_equal(mine.mean, simulate(theory, **ask).mean)
    assert_array_equal(mine.cov, simulate(theory, **ask).cov)


def test_a_skewed_mean_is_said_to_be_one_whatever_the_seed():
    """With the least number of networks whose mean is not, which is then enough."""
    theory = nnqft.theory("linear", start="rest", N=3, sigma_w=0.5)
    runs = [simulate(theory, times=[(4.0, 4.0)], networks=20, seed=seed) for seed in range(10)]
    said = [note for run in runs for note in run.notes if "most are too small" in note]
    assert len(said) == len(runs)
    least = max(int(note.rpartition("networks=")[2].split()[0]) for note in said)
    enough = simulate(theory, times=[(4.0, 4.0)], networks=least)
    assert not any("most are too small" in note for note in enough.notes)


@pytest.mark.parametrize("networks", [200, 400])
def test_an_average_without_a_limit_says_so(networks):
    """Even where no network of the sample lacks a stationary state, a rare one would."""
    near = simulate(nnqft.theory("linear", N=6, sigma_w=0.5), networks=networks, seed=1)
    assert not near.discarded
    assert any("the average over all has no limit, and errors are not to be trusted" in note for note in near.notes)
    far = simulate(nnqft.theory("linear", N=60, sigma_w=0.4), networks=networks, seed=1)
    assert not far.notes
