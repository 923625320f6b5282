"""The oracles against each other and against the numbers of docs/physics.md."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import factorial

import numpy as np
import oracles
import pytest
from numpy.testing import assert_allclose

TANH = {1: 1.0, 3: -1 / 3}
UNIT = {"gamma": 1.0, "kappa": 1.0}
TABLE = {"gamma": 1.3, "kappa": 0.8}
PAIRS = [(0.0, 0.0), (1.7, 1.0), (1.0, 1.7), (2.5, 0.3), (0.4, 0.4), (0.9, 0.0)]


# Oracle 1


def test_trace_moments_count_every_pairing():
    # n=1..4 of <h h>: section 3's counts, (2n+1)!! in total, summed over how W's split on two legs.
    wanted = [[1, 2], [1, 6, 8], [1, 12, 44, 48], [1, 20, 140, 400, 384]]
    for n, counts in enumerate(wanted, start=1):
        total = np.sum([oracles.trace_moment(a, 2 * n - a) for a in range(2 * n + 1)], axis=0)
        assert total.tolist() == counts
    assert sum(oracles.trace_moment(7, 3)) == oracles.gaussian_moment(10) == 945


def test_linear_equal_times():
    C = oracles.linear_two_point([(0, 0)], order=3, **UNIT)[:, :, 0]
    wanted = [[1 / 2, 0, 0, 0], [1 / 4, 1 / 4, 0, 0], [3 / 16, 9 / 16, 3 / 4, 0],
              [5 / 32, 29 / 32, 13 / 4, 51 / 16]]  # fmt: skip
    assert_allclose(C, wanted, rtol=1e-14)


def test_linear_table():
    C = oracles.linear_two_point([(0.7, 0), (0, 0.7)], order=2, **TABLE)[2]
    wanted = [0.035548665254, 0.125032176763, 0.161819894147]
    assert_allclose(C, np.transpose([wanted, wanted]), atol=6e-13)


def test_linear_integral_against_quadrature():
    gamma, t, s = 0.7, 2.5, 0.9
    x, weight = np.polynomial.legendre.leggauss(40)
    u, weight = s * (x + 1) / 2, weight * s / 2
    C = oracles.linear_two_point([(t, s), (s, t)], order=3, gamma=gamma, kappa=0.8, start="rest")
    wanted = np.zeros(4)
    for a in range(7):
        b = 6 - a
        shape = (t - u) ** a * (s - u) ** b / (factorial(a) * factorial(b))
        integral = 0.8 * weight @ (np.exp(-gamma * (t + s - 2 * u)) * shape)
        wanted += integral * np.array(oracles.trace_moment(a, b))
    assert_allclose(C[3], np.transpose([wanted, wanted]), rtol=1e-13)


def test_linear_infinite_width_is_the_geometric_series():
    # C(0) - plateau = kappa/2 (gamma^2 - g)^{-1/2}, plateau = static/(gamma^2 - g), g = sigma_w^2.
    static = 0.3**2 + 0.5**2 * 1.7
    C = oracles.linear_two_point(
        [(0, 0)], order=5, **TABLE, sigma_b=0.3, sigma_u=0.5, q=1.7
    )[:, 0, 0]  # fmt: skip
    n = np.arange(6)
    half = np.cumprod([1.0, *[(2 * i - 1) / (2 * i) for i in range(1, 6)]])
    wanted = 0.4 * half / 1.3 ** (2 * n + 1) + static / 1.3 ** (2 * n + 2)
    assert_allclose(C, wanted, rtol=1e-13)


def test_linear_from_rest_reaches_the_stationary_state():
    settings = {"order": 3, **TABLE, "sigma_b": 0.4}
    rest = oracles.linear_two_point([(60.7, 60)], start="rest", **settings)
    assert_allclose(rest, oracles.linear_two_point([(0.7, 0)], **settings), rtol=1e-13)
    assert not oracles.linear_two_point([(1.0, 0)], start="rest", **settings).any()


def test_linear_response():
    R = oracles.linear_response([(1.5, 1.0), (1.0, 1.0), (0.5, 1.0)], order=2, gamma=1.3)
    bare = np.exp(-1.3 * 0.5)
    # <tr W^2>/N = 1/N and <tr W^4>/N = 1/N + 2/N^2.
    assert_allclose(R[0, 0], [bare, 0, 0])
    assert_allclose(R[1, :, 0], [0, bare * 0.125, 0])
    assert_allclose(R[2, :, 0], bare * 0.5**4 / 24 * np.array([0, 1, 2]))
    assert not R[:, :, 1:].any()


@pytest.mark.parametrize("start", ["stationary", "rest"])
@pytest.mark.parametrize("sigma_b", [0.0, 0.6])
def test_linear_at_one_site(start, sigma_b):
    settings = {"order": 3, **TABLE, "sigma_b": sigma_b, "start": start}
    by_width = oracles.linear_two_point(PAIRS, **settings)
    assert_allclose(oracles.one_site({1: 1.0}, PAIRS, **settings), by_width.sum(axis=1), rtol=1e-12)


def test_order_five_is_quick():
    C = oracles.linear_two_point([(1, 1)], order=5, **UNIT)
    assert C.shape == (6, 6, 1)
    assert (C[5] > 0).all()


# Oracle 2


def test_one_site_table():
    C = oracles.one_site(TANH, [(0, 0), (0.7, 0), (0, 0.7)], order=2, **TABLE)
    assert_allclose(C[1, 0], 0.059970607220, atol=6e-13)
    assert_allclose(C[2], [0.002837789157, 0.005819777140, 0.005819777140], atol=6e-13)


@pytest.mark.parametrize("phi", [{2: 0.7}, {3: -0.5}, {0: 0.4, 2: 0.7, 3: -0.5}, {0: 1.0, 4: 0.2}])
def test_one_site_equal_times_have_the_boltzmann_density(phi):
    # At fixed w the stationary density is e^{-2V/kappa} (oracle 5); then average over w.
    order, gamma, kappa = 2, Fraction(13, 10), Fraction(8, 10)
    couplings = {p: -Fraction(c) for p, c in phi.items()}
    wanted = []
    for k in (1, 2):
        series = oracles.langevin_cumulants(gamma, couplings, kappa, 2 * order, k)
        by_degree = np.zeros(2 * order + 1)
        for i, x in enumerate(series) if isinstance(series, list) else series.items():
            by_degree[i if isinstance(i, int) else sum(i)] += float(x)
        wanted.append(by_degree)
    mean, second = wanted[0], wanted[1] + np.convolve(wanted[0], wanted[0])[: 2 * order + 1]
    even = np.array([1, 1, 3])
    settings = {"order": order, **TABLE}
    got = oracles.one_site_mean(phi, [0.0], **settings)[:, 0]
    assert_allclose(got, mean[::2] * even, rtol=1e-12, atol=1e-14)
    got = oracles.one_site(phi, [(0, 0)], **settings)[:, 0]
    assert_allclose(got, second[::2] * even, rtol=1e-12)


def test_one_site_without_noise_from_rest():
    # dh = -gamma h + w (1 + h^2): h = w h1 + w^3 h3 + ..., both known.
    gamma, times = 1.3, np.array([0.6, 1.9])
    decay = np.exp(-gamma * times)
    h1 = (1 - decay) / gamma
    h3 = ((1 - decay**2) / gamma - 2 * times * decay) / gamma**2
    C = oracles.one_site({0: 1.0, 2: 1.0}, [times, times[::-1]], order=2, gamma=gamma, kappa=0.0, start="rest")
    assert_allclose(C[0], 0, atol=1e-15)
    assert_allclose(C[1], h1[0] * h1[1], rtol=1e-13)
    assert_allclose(C[2], 3 * (h1[0] * h3[1] + h3[0] * h1[1]), rtol=1e-12)


def _integral(f, *breaks):
    """int f over the pieces between breaks, where f is smooth."""
    x, weight = np.polynomial.legendre.leggauss(10)
    return sum(
        (hi - lo) / 2 * w * f(lo + (hi - lo) * (y + 1) / 2)
        for lo, hi in pairwise(breaks)
        for y, w in zip(x, weight, strict=True)
    )


def test_one_site_noisy_from_rest_by_quadrature():
    # h = h0 + w h1 + w^2 h2 with h0 Gaussian: h1' = phi(h0), h2' = phi'(h0) h1 along the response.
    phi = np.polynomial.Polynomial([0.3, 1.0, -0.4, -1 / 3])
    gamma, kappa, sigma_b, t, s = 1.3, 0.8, 0.5, 1.5, 0.8

    def C0(x, y):
        rest = np.exp(-gamma * abs(x - y)) - np.exp(-gamma * (x + y))
        bias = (1 - np.exp(-gamma * x)) * (1 - np.exp(-gamma * y))
        return kappa / (2 * gamma) * rest + sigma_b**2 / gamma**2 * bias

    def average(f, u, g, v):
        return _gaussian_average(f, g, C0(u, u), C0(v, v), C0(u, v))

    def h1_h1(u, v):
        return np.exp(-gamma * (t - u + s - v)) * average(phi, u, phi, v)

    def h2(end, u, v):
        return np.exp(-gamma * (end - v)) * average(phi.deriv(), u, phi, v)

    def h2_h0(end, u, v, other):  # h0(other) joins the other factors by Wick's theorem
        at_u = C0(other, u) * average(phi.deriv(2), u, phi, v)
        at_v = C0(other, v) * average(phi.deriv(), u, phi.deriv(), v)
        return np.exp(-gamma * (end - v)) * (at_u + at_v)

    second = _integral(lambda v: _integral(lambda u: h1_h1(u, v), 0, v, t), 0, s)
    second += _integral(lambda u: _integral(lambda v: h2_h0(s, u, v, t), 0, u), 0, s)
    second += _integral(lambda u: _integral(lambda v: h2_h0(t, u, v, s), 0, min(u, s), u), 0, s, t)
    mean = _integral(lambda u: _integral(lambda v: h2(t, u, v), 0, u), 0, t)
    settings = {"order": 1, "gamma": gamma, "kappa": kappa, "sigma_b": sigma_b, "start": "rest"}
    phi = dict(enumerate(phi.coef))
    got = oracles.one_site(phi, [(t, s), (s, t)], **settings)
    assert_allclose(got, [[C0(t, s)] * 2, [second] * 2], rtol=1e-9)
    assert_allclose(oracles.one_site_mean(phi, [t], **settings)[:, 0], [0, mean], rtol=1e-9)


def test_one_site_mean_of_a_linear_site():
    # h -> w a/(gamma - w c): only even powers of w survive the average.
    mean = oracles.one_site_mean({0: 0.4, 1: 0.7}, [3.0, 9.0], order=3, **TABLE)
    wanted = [0, 0.4 * 0.7 / 1.3**2, 3 * 0.4 * 0.7**3 / 1.3**4, 15 * 0.4 * 0.7**5 / 1.3**6]
    assert_allclose(mean, np.transpose([wanted, wanted]), rtol=1e-13)


@pytest.mark.parametrize("phi", [TANH, {0: 0.3, 1: 1.0, 2: -0.4}])
def test_one_site_from_rest_reaches_the_stationary_state(phi):
    settings = {"order": 2, **TABLE, "sigma_b": 0.3}
    late = oracles.one_site(phi, [(40.7, 40.0)], start="rest", **settings)
    assert_allclose(late, oracles.one_site(phi, [(0.7, 0)], **settings), rtol=1e-11)
    late_mean = oracles.one_site_mean(phi, [40.0], start="rest", **settings)
    stationary = oracles.one_site_mean(phi, [0.0], **settings)
    assert_allclose(late_mean, stationary, rtol=1e-11, atol=1e-14)


# Oracle 3


def test_infinite_width_table():
    cubic = oracles.infinite_width(TANH, [0, 0.7, -0.7], order=2, **TABLE)
    assert_allclose(cubic[1, 0], 0.046504153503, atol=6e-13)
    assert_allclose(cubic[2], [0.005549583576, 0.005066122233, 0.005066122233], atol=6e-13)
    quintic = oracles.infinite_width(None, [0.7], order=2, **TABLE, quintic_truncation=True)
    assert_allclose(quintic[1:, 0], [0.026918569655, 0.000357709761], atol=6e-13)


def test_infinite_width_of_the_linear_network():
    lags = np.array([0.0, 0.7, 2.1])
    settings = {"order": 5, **TABLE, "sigma_b": 0.6}
    by_width = oracles.linear_two_point([(x, 0) for x in lags], **settings)
    assert_allclose(oracles.infinite_width({1: 1.0}, lags, **settings), by_width[:, 0], rtol=1e-12)


@pytest.mark.parametrize("phi", [TANH, {1: 1.0, 3: -1 / 3, 5: 2 / 15}])
def test_infinite_width_has_the_slope_of_white_noise(phi):
    # C'(0+) = -kappa/2 at every order (section 6), and C obeys its own equation in mid-range.
    step, lag = 1e-3, 0.9
    tau = [0.0, step, 2 * step, lag - step, lag, lag + step]
    C = oracles.infinite_width(phi, tau, order=3, gamma=1.3, kappa=0.8, sigma_b=0.4)
    slope = (-3 * C[:, 0] + 4 * C[:, 1] - C[:, 2]) / (2 * step)
    assert_allclose(slope, [-0.4, 0, 0, 0], atol=1e-5)
    first = 1.3**2 * C[1, 4] - (C[1, 3] - 2 * C[1, 4] + C[1, 5]) / step**2
    f = np.polynomial.Polynomial([phi.get(p, 0.0) for p in range(6)])
    assert_allclose(first, _gaussian_average(f, f, C[0, 0], C[0, 0], C[0, 4]), rtol=1e-5)


def _gaussian_average(f, g, var_x, var_y, covariance):
    """<f(x) g(y)> by Gauss-Hermite quadrature."""
    z, weight = np.polynomial.hermite_e.hermegauss(20)
    weight = weight / weight.sum()
    slope = covariance / np.sqrt(var_x)
    y = slope * z[:, None] + np.sqrt(max(var_y - slope**2, 0.0)) * z
    return (weight * f(np.sqrt(var_x) * z)) @ g(y) @ weight


# Oracles 5 and 6


def test_langevin_cumulants():
    cubic = {3: 1}
    assert oracles.langevin_cumulants(1, cubic, 2, 3, 2) == [1, -3, 24, -297]
    assert oracles.langevin_cumulants(1, cubic, 2, 3, 4) == [0, -6, 126, -2682]
    third = oracles.langevin_cumulants(1, {2: 1, 3: 1}, 2, 3, 3)
    assert third.keys() >= {(1, 0), (1, 1), (3, 0)}
    assert (third[1, 0], third[1, 1], third[3, 0]) == (-2, 42, -32)
    assert all(isinstance(x, Fraction) for x in third.values())


def test_langevin_cumulants_by_quadrature():
    mu, noise, eps = 1.3, 0.8, 0.01
    x = np.linspace(-8, 8, 4001)
    density = np.exp(-2 / noise * (mu * x**2 / 2 + eps * x**4 / 4))
    wanted = (x**2 @ density) / density.sum()
    series = oracles.langevin_cumulants(Fraction(13, 10), {3: 1}, Fraction(4, 5), 6, 2)
    assert_allclose(sum(float(c) * eps**n for n, c in enumerate(series)), wanted, rtol=1e-7)


def test_toy_moment():
    wanted = [1, Fraction(-1, 2), Fraction(2, 3), Fraction(-11, 8), Fraction(34, 9)]
    assert oracles.toy_moment({4: 1}, 4, 2) == wanted
    # Schwinger-Dyson: <z^2> = 1 - l <z^4>/3!.
    fourth = oracles.toy_moment({4: 1}, 3, 4)
    assert [1, *(-x / 6 for x in fourth)] == wanted
    both = oracles.toy_moment({3: 1, 4: 1}, 2, 2)
    assert both[0, 1] == Fraction(-1, 2)


# Oracle 4


def test_simulation_agrees_with_the_series():
    lags = np.array([0.0, 0.7])
    settings = {"gamma": 1.3, "kappa": 0.8, "sigma_b": 0.5}
    sigma_w, N, order = 0.3, 4, 4
    C = oracles.linear_two_point([(x, 0) for x in lags], order=order, **settings)
    weights = np.outer(sigma_w ** (2 * np.arange(order + 1)), N ** -np.arange(order + 1.0))
    wanted = np.einsum("nk,nkm->m", weights, C)
    mean, sdev = oracles.simulate_linear(N, sigma_w, tau=lags, samples=2000, seed=1, **settings)
    assert (sdev < 0.01 * mean).all()
    assert (abs(mean - wanted) < 4 * sdev).all()
    # Negative control: without the k >= 1 terms it disagrees.
    planar = sigma_w ** (2 * np.arange(order + 1)) @ C[:, 0]
    assert (abs(mean - planar) > 4 * sdev).all()


def test_simulation_published_value():
    # Section 8: gamma = kappa = 1, sigma_w^2 = 1/2, N = 50: 0.7195(24).
    mean, sdev = oracles.simulate_linear(50, 0.5**0.5, **UNIT, samples=60, seed=2)
    assert abs(mean - 0.7195) < 4 * np.hypot(sdev, 0.0024)


def test_simulation_refuses_an_unstable_network():
    with pytest.raises(ValueError, match="use a smaller sigma_w or discard_unstable=True"):
        oracles.simulate_linear(10, 3.0, **UNIT, samples=5, seed=0)
    with pytest.raises(ValueError, match="stable networks of 5, wanted at least 2"):
        oracles.simulate_linear(10, 3.0, **UNIT, samples=5, seed=0, discard_unstable=True)


def test_errors_say_what_to_write():
    with pytest.raises(ValueError, match=r"wanted \(M, 2\): write \[\(t, s\), ...\]"):
        oracles.one_site(TANH, [0.0, 1.0], order=1, **UNIT)
    with pytest.raises(ValueError, match="wanted 'stationary' or 'rest'"):
        oracles.linear_two_point([(0, 0)], order=1, **UNIT, start="steady")
    with pytest.raises(ValueError, match="use times >= 0"):
        oracles.linear_two_point([(0, -1)], order=1, **UNIT, start="rest")
