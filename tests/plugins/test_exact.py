"""The exact integrator against answers that contain no diagrams, and what it leaves to others."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import permutations, product

import numpy as np
import oracles
import pytest
from exact_cases import (
    CLOSE,
    MU,
    PAIRS,
    PHI_CUBIC,
    RATES,
    REST,
    Process,
    assert_sum,
    coloured,
    coloured_process,
    connect,
    diffusion,
    exactly,
    oscillator,
    oscillator_process,
    parts,
    shaken,
    shaken_process,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.linalg import expm
from theories import bare_theory

import nnqft
from nnqft import Memory, Term


def test_the_process_knows_the_boltzmann_distribution():
    process = diffusion({3: 1.0}, 2.0, 3)
    for count in (2, 4):
        wanted = [float(c) for c in oracles.langevin_cumulants(1, {3: 1}, 2, 3, count)]
        assert_allclose(process.cumulant([0.0] * count), wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("start", ["stationary", "rest"])
@pytest.mark.parametrize(
    ("extra", "order"),
    [({}, 5), ({"sigma_b": 0.5, "sigma_u": 0.7, "q": 0.6}, 4), ({"sigma_b": 0.5}, 3)],
    ids=["noise", "bias and input", "bias"],
)
def test_linear_two_point(start, extra, order):
    times = PAIRS if start == "stationary" else REST
    result = exactly(bare_theory("linear", start=start, **RATES, **extra), "two_point", order=order, times=times)
    wanted = oracles.linear_two_point(times, order=order, start=start, **RATES, **extra)
    for n in range(order + 1):
        assert_allclose(parts(result, n), wanted[n], rtol=CLOSE, atol=1e-14 * np.abs(wanted[n]).max())


@pytest.mark.parametrize("start", ["stationary", "rest"])
def test_linear_response(start):
    times = [(0.7, 0.0), (1.2, 0.5), (6.0, 1.0), (0.5, 0.5), (0.5, 1.2)]
    result = exactly(bare_theory("linear", start=start, **RATES), "response", order=4, times=times)
    wanted = oracles.linear_response(times, order=4, gamma=RATES["gamma"])
    for n in range(5):
        assert_allclose(parts(result, n), wanted[n], rtol=CLOSE, atol=0)


def test_width_and_coupling_multiply_each_part():
    bare = exactly(bare_theory("quintic"), "two_point", order=2, tau=[0.7])
    dressed = exactly(bare_theory("quintic", N=5, sigma_w=0.3), "two_point", order=2, tau=[0.7])
    for (n, k), part in bare.series.items():
        assert_allclose(dressed.contribution(n, k).mean, part.mean * 0.3 ** (2 * n) / 5**k, 1e-12, 1e-15)


@pytest.mark.parametrize("start", ["stationary", "rest"])
@pytest.mark.parametrize("sigma_b", [0.0, 0.4])
def test_cubic_tanh_at_one_site(start, sigma_b):
    times = PAIRS if start == "stationary" else REST[1:5]
    theory = bare_theory("cubic_tanh", start=start, sigma_b=sigma_b, **RATES)
    # From rest with a bias C has five terms: second order has 625 products, and is left to Monte Carlo.
    order = 1 if start == "rest" and sigma_b else 2
    result = exactly(theory, "two_point", order=order, times=times)
    wanted = oracles.one_site(PHI_CUBIC, times, order=order, sigma_b=sigma_b, start=start, **RATES)
    for n in range(order + 1):
        assert_sum(parts(result, n), wanted[n])


@pytest.mark.parametrize("sigma_b", [0.0, 0.4])
def test_cubic_tanh_at_infinite_width(sigma_b):
    tau = [0.0, 0.3, 2.0] if sigma_b else [0.0, 0.3, 0.7, 2.0, 9.0]
    theory = bare_theory("cubic_tanh", sigma_b=sigma_b, **RATES)
    result = exactly(theory, "two_point", order=3, width_order=0, tau=tau)
    wanted = oracles.infinite_width(PHI_CUBIC, tau, order=3, sigma_b=sigma_b, **RATES)
    for n in range(4):
        assert_allclose(result.contribution(n, 0).mean, wanted[n], rtol=CLOSE)


@pytest.mark.parametrize("sigma_b", [0.0, 0.4])
def test_quintic_at_infinite_width(sigma_b):
    tau = [0.0, 0.3, 0.7, 2.0, 9.0]
    theory = bare_theory("quintic", sigma_b=sigma_b, **RATES)
    result = exactly(theory, "two_point", order=3, width_order=0, tau=tau)
    wanted = oracles.infinite_width(None, tau, order=3, quintic_truncation=True, sigma_b=sigma_b, **RATES)
    for n in range(4):
        assert_allclose(result.contribution(n, 0).mean, wanted[n], rtol=CLOSE)


# Values on record from before this code, to twelve digits: coefficients of σ_w^{2n} N^{−k} at γ = 1.3, κ = 0.8
SAMPLES = {
    ("linear", 2, 0.7): [0.035548665254, 0.125032176763, 0.161819894147],
    ("cubic_tanh", 1, 0.0): [0.046504153503, 0.013466453717],
    ("cubic_tanh", 2, 0.0): [0.005549583576, -0.002082920896, -0.000628873524],
    ("cubic_tanh", 2, 0.7): [0.005066122233, 0.001528947344, -0.000775292436],
    ("quintic", 1, 0.7): [0.026918569655, -0.004480321096],
    ("quintic", 2, 0.7): [0.000357709761, 0.002395751500, 0.129282598008],
}


@pytest.mark.parametrize(("model", "order", "tau"), SAMPLES)
def test_sample_values(model, order, tau):
    result = exactly(bare_theory(model, **RATES), "two_point", order=order, tau=[tau])
    for k, wanted in enumerate(SAMPLES[model, order, tau]):
        assert_allclose(result.contribution(order, k).mean, wanted, atol=6e-13, rtol=0)


def test_white_noise_fixes_the_slope_at_every_width():
    """C'(0+) = −κ/2 from the lines alone, at third order, by small lags and by fractions."""
    small = 2.0**-12
    theory = bare_theory("cubic_tanh", kappa=1.0, gamma=1.0)
    result = exactly(theory, "two_point", order=3, width_order=1, tau=[0.0, small, 2 * small])
    for n, k in [(1, 0), (1, 1), (2, 0), (2, 1), (3, 0), (3, 1)]:
        at = result.contribution(n, k).mean
        curvature = abs(at[0] - 2 * at[1] + at[2]) / small**2
        assert abs((-3 * at[0] + 4 * at[1] - at[2]) / (2 * small)) < 20 * small**2 * max(curvature, abs(at[0]))
    free = result.contribution(0, 0).mean
    assert_allclose((-3 * free[0] + 4 * free[1] - free[2]) / (2 * small), -0.5, rtol=1e-6)


@settings(deadline=None, max_examples=12)
@given(
    phi=st.dictionaries(
        st.integers(0, 3), st.integers(-8, 8).filter(bool).map(lambda n: n / 8), min_size=1, max_size=2
    ),
    times=st.tuples(st.floats(0, 4), st.floats(0, 4)),
    start=st.sampled_from(["stationary", "rest"]),
    sigma_b=st.sampled_from([0.0, 0.4]),
)
def test_any_activation_at_one_site(phi, times, start, sigma_b):
    theory = bare_theory("taylor", coefficients=phi, start=start, sigma_b=sigma_b, **RATES)
    result = exactly(theory, "two_point", order=1, times=[times])
    wanted = oracles.one_site(phi, [times], order=1, sigma_b=sigma_b, start=start, **RATES)
    for n in range(2):
        assert_sum(parts(result, n), wanted[n])


def test_mean_of_an_activation_with_even_powers():
    phi, times = {0: 0.3, 1: 1.0, 2: -0.5}, [(0.4,), (2.0,)]
    theory = bare_theory("taylor", coefficients=phi, start="rest", sigma_b=0.4, **RATES)
    result = exactly(theory, "mean", order=2, times=times)
    lone = [t for (t,) in times]
    wanted = oracles.one_site_mean(phi, lone, order=2, sigma_b=0.4, start="rest", **RATES)
    for n in range(3):
        assert_sum(parts(result, n), wanted[n])


@pytest.mark.parametrize("times", [(0.0, 0.0, 0.0, 0.0), (1.5, 0.9, 0.4, 0.0), (0.2, 1.1, 1.1, 0.2)], ids=str)
def test_four_point_cumulant_of_a_network_at_one_site(times):
    """The weight w of one site is the ε of a diffusion, averaged over at the end."""
    order = 2
    process = Process(
        (
            (-1.3, 0, (1,), (1,)),
            (0.4, 0, (0,), (2,)),
            *((c, 1, (p,), (1,)) for p, c in {1: 1.0, 3: -1 / 3}.items()),
        ),
        2 * order,
    )

    def averaged(part: tuple[int, ...]) -> np.ndarray:
        series = process.moment([times[n] for n in part])
        return np.array([series[2 * n] * oracles.gaussian_moment(2 * n) for n in range(order + 1)])

    wanted = connect(averaged, 4, order)
    theory = bare_theory("cubic_tanh", **RATES)
    result = exactly(theory, "cumulant", order=1, times=[times])
    assert_sum(parts(result, 1), wanted[[1]])
    linear = exactly(bare_theory("linear", **RATES), "cumulant", order=3, times=[times])
    process = replace(process, terms=process.terms[:3], order=6)
    order = 3
    wanted = connect(averaged, 4, order)
    for n in range(4):
        assert_sum(parts(linear, n), wanted[[n]])


@pytest.mark.parametrize("start", ["stationary", "rest"])
def test_feedforward_linear_obeys_its_closed_equation(start):
    """d⟨h²⟩/dt = (σ_w² − 2γ) ⟨h²⟩ + κ + σ_b², and C(t,s) = e^{−γ(t−s)} C(s,s), at any width."""
    gamma, noise, first, order = 1.3, 0.8 + 0.5**2, 0.9, 4
    times = PAIRS if start == "stationary" else REST
    theory = nnqft.theory("feedforward", start=start, sigma_b=0.5, C_0=first, N=7, **RATES)
    result = exactly(theory, "two_point", order=order, times=times)
    matrix = np.diag([-2 * gamma] * (order + 1) + [0.0]) + np.diag([1.0] * order + [0.0], -1)
    matrix[0, -1], matrix[-1, order] = noise, 0.0
    begin = np.zeros(order + 2)
    begin[0], begin[-1] = first, 1.0
    for m, (t, s) in enumerate(times):
        equal = noise / (2 * gamma) ** np.arange(1, order + 2)
        if start == "rest":
            equal = (expm(matrix * min(t, s)) @ begin)[:-1]
        for n in range(order + 1):
            assert_allclose(result.contribution(n, 0).mean[m], equal[n] * np.exp(-gamma * abs(t - s)), rtol=CLOSE)
            assert all(result.contribution(n, k).mean[m] == 0 for k in range(1, order + 1))


@pytest.mark.parametrize("start", ["stationary", "rest"])
@pytest.mark.parametrize("phi", [{1: 1.0}, PHI_CUBIC], ids=["linear", "cubic"])
def test_feedforward_at_one_site(phi, start):
    """dh = −γh dt + σ_w φ(h) dW + √κ dB: the generator has ½(κ + σ_w² φ²) ∂²."""
    square: dict[int, float] = defaultdict(float)
    for (p, a), (q, b) in product(phi.items(), repeat=2):
        square[p + q] += a * b
    order = 3 if len(phi) == 1 else 1
    push = [(c / 2, 1, (p,), (2,)) for p, c in square.items()]
    process = Process(((-1.3, 0, (1,), (1,)), (0.4, 0, (0,), (2,)), *push), order)
    theory = nnqft.theory("feedforward", start=start, coefficients=phi, **RATES)
    for times in [(0.9, 0.9, 0.9, 0.9), (1.7, 0.9, 0.5, 0.5), (1.7, 1.1)]:
        result = exactly(theory, "cumulant", order=order, times=[times])
        wanted = process.cumulant(times, start)
        for n in range(order + 1):
            assert_sum(parts(result, n), wanted[[n]])


@pytest.mark.parametrize("start", ["stationary", "rest"])
def test_langevin_two_point(start):
    drift, order = {3: 1.0}, 3
    times = [(0.0, 0.0), (0.25, 0.0), (0.0, 1.0), (2.0, 1.5), (6.0, 1.0)]
    theory = nnqft.theory("langevin", start=start, drift={1: 1.2, **drift}, noise=1.4)
    result = exactly(theory, "two_point", order=order, times=times)
    process = diffusion(drift, 1.4, order, mu=1.2)
    for m, pair in enumerate(times):
        wanted = process.moment(pair, start)
        for n in range(order + 1):
            assert_allclose(result.contribution(n, 0).mean[m], wanted[n], rtol=CLOSE, atol=1e-15)


@pytest.mark.parametrize("count", [2, 4])
def test_langevin_equal_times_are_those_of_boltzmann(count):
    theory = nnqft.theory("langevin", drift={1: 1.0, 3: 1.0}, noise=2.0)
    result = exactly(theory, "cumulant", order=3, times=[(0.0,) * count])
    for n, wanted in enumerate(oracles.langevin_cumulants(1, {3: 1}, 2, 3, count)):
        assert_allclose(result.contribution(n, 0).mean, float(wanted), rtol=1e-12)


MANY_TIMES = [
    (0.0, 0.5, 1.3),
    (1.3, 0.5, 0.5),
    (0.8, 0.8, 0.8),
    (0.3, 2.0, 0.9, 1.4),
    (0.3, 0.3, 0.9, 1.4),
    (1.4, 0.3, 0.9, 1.4),
    (0.9, 0.2, 0.2, 0.9),
    (0.2, 0.9, 0.9, 0.9),
]


@pytest.mark.parametrize("start", ["stationary", "rest"])
@pytest.mark.parametrize("times", MANY_TIMES, ids=str)
def test_cumulants_at_several_times(times, start):
    drift = {2: 0.6, 3: 1.0}
    theory = nnqft.theory("langevin", start=start, drift={1: 1.0, **drift})
    result = exactly(theory, "cumulant", order=2, times=[times])
    wanted = diffusion(drift, 2.0, 2).cumulant(times, start)
    for n in range(3):
        assert_allclose(
            result.contribution(n, 0).mean[0], wanted[n], rtol=CLOSE, atol=1e-13 * max(1, abs(wanted).max())
        )


@pytest.mark.parametrize("start", ["stationary", "rest"])
def test_the_order_of_the_columns_does_not_matter(start):
    theory = nnqft.theory("langevin", start=start, drift={1: 1.0, 2: 0.6, 3: 1.0})
    shuffled = [*permutations((0.3, 2.0, 0.9, 0.3)), *permutations((1.1, 1.1, 1.1, 0.1))]
    result = exactly(theory, "cumulant", order=2, times=shuffled)
    for half in np.split(result.mean, 2):
        assert_allclose(half, half[0], rtol=1e-13)


def test_tuples_of_one_request_do_not_mix():
    """A grid of tuples in all orders gives what each gives alone."""
    theory = nnqft.theory("langevin", drift={1: 1.0, 2: 0.6, 3: 1.0})
    times = [t for t in MANY_TIMES if len(t) == 4]
    together = exactly(theory, "cumulant", order=2, times=times)
    for m, each in enumerate(times):
        assert_allclose(together.mean[m], exactly(theory, "cumulant", order=2, times=[each]).mean[0], rtol=1e-13)


@pytest.mark.parametrize("name", ["coloured noise", "oscillator"])
def test_lines_of_several_exponentials(name):
    drift, order = {2: 0.4, 3: 0.7}, 2
    theory = coloured(drift) if name == "coloured noise" else oscillator(drift)
    process = (coloured_process if name == "coloured noise" else oscillator_process)(drift, order)
    for times in [(0.0, 0.0), (0.9, 0.0), (0.0, 3.0), (1.3, 0.4, 0.0), (1.3, 0.4, 0.4)]:
        result = exactly(theory, "cumulant", order=order, times=[times])
        wanted = process.cumulant(times)
        for n in range(order + 1):
            assert_allclose(result.contribution(n, 0).mean[0], wanted[n], rtol=CLOSE, atol=1e-14)


@pytest.mark.parametrize("start", ["stationary", "rest"])
def test_vertex_with_memory(start):
    order = 2
    times = [(0.4, 0.4), (1.1, 0.3), (0.3, 1.1), (4.0, 1.0)]
    result = exactly(shaken(start), "two_point", order=order, times=times)
    process = shaken_process(order)
    for m, pair in enumerate(times):
        wanted = process.moment(pair, start)
        for n in range(order + 1):
            assert_allclose(result.contribution(n, 0).mean[m], wanted[2 * n], rtol=CLOSE)


def test_memory_of_rate_zero_is_static_disorder():
    """⟨ζζ⟩ = 1 for ever: the linear network at N = 1."""
    theory = shaken()
    (vertex,) = theory.vertices
    theory = replace(theory, vertices=(replace(vertex, memory=(Memory(0, 1, (Term(1.0, 0.0),)),)),))
    result = exactly(theory, "two_point", order=3, times=PAIRS)
    wanted = oracles.one_site({1: 1.0}, PAIRS, order=3, gamma=MU, kappa=2.0)
    for n in range(4):
        assert_allclose(result.contribution(n, 0).mean, wanted[n], rtol=CLOSE)
