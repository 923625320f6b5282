"""Networks expanded about mean-field theory: the same numbers as the bare series, ordered anew."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import factorial, inf, sqrt

import numpy as np
import oracles
import pytest
from numpy.polynomial import chebyshev
from scipy.integrate import quad
from theories import TWO_POINT, bare_theory

import nnqft
from nnqft import InputError
from nnqft.cli.main import main
from nnqft.graphs.generate import generate
from nnqft.integrals.forest import time_integral
from nnqft_plugins.integrators.exact.integrator import ExactIntegrator
from nnqft_plugins.models.network.averages import polynomial_average
from nnqft_plugins.models.network.lines import correlator_terms
from nnqft_plugins.models.network.saddle import stationary_curve
from nnqft_plugins.models.network.tabulated import rest_line, stationary_line
from nnqft_plugins.models.network.vertices import network_vertices, phi_phi_of
from nnqft_plugins.models.parameters.activations import LINEAR

GAMMA, KAPPA, SIGMA_B = 1.3, 0.8, 0.4
VALUES = {"gamma": GAMMA, "kappa": KAPPA, "sigma_b": SIGMA_B, "sigma_u": 0.0, "q": 0.0}
TAU = np.array([0.0, 0.7, 2.0])
PAIRS = np.stack([TAU, 0 * TAU], axis=1)
CUBIC = {1: Fraction(1), 3: Fraction(-1, 3)}


def saddle(model="linear", **parameters):
    return bare_theory(model, **({"gamma": GAMMA, "kappa": KAPPA, "expansion": "saddle"} | parameters))


def compute(theory, observable="two_point", **options):
    return nnqft.compute(theory, observable, **({"tau": TAU, "rtol": 1e-3} | options))


def taylor(function, radius, order, nodes=18):
    """Taylor coefficients at 0 of an analytic function of g in [0, radius], by interpolation at Chebyshev points."""
    x = -np.cos(np.pi * np.arange(nodes) / (nodes - 1))
    values = np.array([function(radius * (1 + each) / 2) for each in x])
    series = chebyshev.chebfit(x, values.reshape(nodes, -1), nodes - 1)
    at_zero = [chebyshev.chebval(-1.0, chebyshev.chebder(series, n)) / factorial(n) for n in range(order + 1)]
    return np.array([c.reshape(values.shape[1:]) * (2 / radius) ** n for n, c in enumerate(at_zero)])


# Linear network: the lines stay sums of exponentials.


def summed_widths(g, observable, order, widths):
    result = compute(saddle(sigma_w=sqrt(g), sigma_b=SIGMA_B), observable, order=order, width_order=widths[-1])
    return np.array([sum(result.contribution(n, k).mean for n in range(order + 1)) for k in widths])


@pytest.mark.parametrize(("widths", "order"), [((0, 1), 4), ((0, 1, 2, 3), 3)])
def test_re_expanded_in_sigma_w_it_is_the_bare_series_at_each_width(widths, order):
    exact = oracles.linear_two_point(PAIRS, order=order, gamma=GAMMA, kappa=KAPPA, sigma_b=SIGMA_B)
    found = taylor(lambda g: summed_widths(g, "two_point", order, widths), 0.5 * GAMMA**2, order)
    # Each derivative at the end of the interval costs two to three digits.
    for n, digits in enumerate([1e-13, 1e-9, 1e-6, 1e-5, 1e-3][: order + 1]):
        assert found[n] == pytest.approx(exact[n, : len(widths)], rel=digits, abs=digits)


def test_all_orders_of_width_1_add_up_to_what_the_traces_of_w_give():
    """At 1/N (1/N)⟨tr W^a (W^T)^b⟩ is min(a,b) + 1 for a ≠ b of equal parity, whose sum over a and b is in C(0)

    κ/(2N) · γ²(γ − m)/m⁴ ,   m² = γ² − σ_w² .
    """
    traces = {(a, b): oracles.trace_moment(a, b)[1] for a in range(6) for b in range(6) if (a + b) % 2 == 0 and a + b}
    assert all(count == (min(a, b) + 1) * (a != b) for (a, b), count in traces.items())
    sigma_w, order = 0.7, 11
    m = sqrt(GAMMA**2 - sigma_w**2)
    result = compute(saddle(sigma_w=sigma_w), order=order, width_order=1, tau=[0.0])
    parts = [result.contribution(n, 1).mean[0] for n in range(1, order + 1)]
    # Each order is about σ_w²/γ² = 0.29 of the one before.
    assert sum(parts) == pytest.approx(KAPPA / 2 * GAMMA**2 * (GAMMA - m) / m**4, rel=1e-5)


def test_a_connected_function_of_four_times_re_expanded_is_the_bare_one():
    times = [[0.5, 0.5, 0.0, 0.0]]

    def widths(theory):
        result = nnqft.compute(theory, "cumulant", order=2, times=times, rtol=1e-3)
        return np.array([[result.contribution(n, k).mean[0] for k in (1, 2)] for n in range(3)])

    found = taylor(lambda g: widths(saddle(sigma_w=sqrt(g), sigma_b=SIGMA_B)).sum(axis=0), 0.5, 2, nodes=10)
    bare = widths(bare_theory("linear", gamma=GAMMA, kappa=KAPPA, sigma_b=SIGMA_B))
    assert found == pytest.approx(bare, rel=1e-4, abs=1e-6)
    assert np.abs(bare[1:]).min(axis=1).max() > 1e-3


def test_the_response_has_no_correlator_in_it_and_is_the_bare_one():
    sigma_w, order = 0.8, 3
    result = compute(saddle(sigma_w=sigma_w, N=3), "response", order=order)
    exact = oracles.linear_response(PAIRS, order=order, gamma=GAMMA)
    scaled = exact * sigma_w ** (2.0 * np.arange(order + 1))[:, None, None] / 3.0 ** np.arange(order + 1)[:, None]
    for n in range(order + 1):
        found = [result.contribution(n, k).mean for k in range(order + 1)]
        assert np.array(found) == pytest.approx(scaled[n], rel=1e-12, abs=1e-15)


def test_infinite_width_is_the_line_and_the_sets_are_small():
    sigma_w = 0.9
    theory = saddle(sigma_w=sigma_w, sigma_b=SIGMA_B)
    xi_0 = (GAMMA**2 - sigma_w**2) ** -0.5
    result = compute(theory, order=4, width_order=0)
    line = KAPPA / 2 * xi_0 * np.exp(-TAU / xi_0) + SIGMA_B**2 * xi_0**2
    assert result.mean == pytest.approx(line, rel=1e-13)
    # With all tadpoles 2, 6, 12, 20 = n(n+1) diagrams are of width order 1.
    found = nnqft.diagrams(theory, "two_point", order=5, width_order=1)
    assert found.counts == {(0, 0): 1} | {(n, 1): 2 * n for n in range(1, 6)}


def test_an_input_drives_the_line_through_the_mean_field_response():
    """C_MF(ω) = (κ + σ_u² q(ω))/(ω² + γ² − σ_w²), here against its integral over frequencies."""
    sigma_w, sigma_u, rate = 0.9, 0.7, 0.6
    theory = saddle(sigma_w=sigma_w, sigma_u=sigma_u, q={rate: 1.5})

    def spectrum(w):
        return (KAPPA + sigma_u**2 * 1.5 * 2 * rate / (w**2 + rate**2)) / (w**2 + GAMMA**2 - sigma_w**2)

    exact = [quad(spectrum, 0, inf, weight="cos", wvar=lag)[0] / np.pi for lag in TAU[1:]]
    assert compute(theory, order=0).mean[1:] == pytest.approx(exact, rel=1e-7)


def test_the_quintic_truncation_re_expanded_is_the_bare_series():
    """Its ⟨φφ⟩ = C(τ)(1 − 2C(0)) is linear in C(τ), so that C_MF is an exponential and all is exact."""

    def widths(g):
        result = compute(saddle("quintic", sigma_w=sqrt(g)), order=2, width_order=2, tau=[0.7])
        return np.array([sum(result.contribution(n, k).mean for n in range(3)) for k in range(3)])[:, 0]

    found = taylor(widths, 0.4, 2, nodes=14)
    exact = [[0.026918569655, -0.004480321096, 0.0], [0.000357709761, 0.002395751500, 0.129282598008]]
    assert found[1:] == pytest.approx(np.array(exact), rel=2e-6, abs=2e-9)


def test_closed_forms_exist_where_xi_0_is_a_multiple_of_the_leak_time():
    """γ = 1, σ_w = 3/5: ξ_0 = 5/4 and C_MF = (5/8) e^{−4τ/5}."""
    result = compute(bare_theory("linear", expansion="saddle", sigma_w=0.6), order=1, tau=[0.0, 1.0])
    assert str(result.closed_form(0, 0)) == "5/8 e^(−4/5 τ)"
    form = result.closed_form(1, 1)
    assert form(np.array([0.0, 1.0])) == pytest.approx(result.contribution(1, 1).mean, rel=1e-13)


# Layers: lines stay exponentials whatever φ is.


@pytest.mark.parametrize("start", ["stationary", "rest"])
def test_linear_layers_re_expanded_are_the_bare_series(start):
    times = [[1.2, 0.5], [0.4, 0.4]]

    def widths(expansion, g):
        theory = nnqft.theory(
            "feedforward", start=start, gamma=GAMMA, kappa=KAPPA, sigma_b=SIGMA_B, C_0=0.3, expansion=expansion,
            sigma_w=sqrt(g),
        )  # fmt: skip
        result = nnqft.compute(theory, "two_point", order=3, times=times, rtol=1e-3)
        return np.array([[result.contribution(n, k).mean for k in range(4)] for n in range(4)])

    found = taylor(lambda g: widths("saddle", g).sum(axis=0), 1.0, 3, nodes=14)
    assert found == pytest.approx(widths("bare", 1.0), rel=1e-5, abs=1e-7)


def test_layers_with_any_polynomial_re_expanded_are_the_bare_series():
    phi = {0: 0.2, 1: 1.0, 2: 0.2, 3: -0.1}

    def widths(expansion, g):
        theory = nnqft.theory(
            "feedforward", gamma=GAMMA, kappa=KAPPA, coefficients=phi, expansion=expansion, sigma_w=sqrt(g)
        )
        result = nnqft.compute(theory, "two_point", order=2, tau=[0.0, 0.8], rtol=1e-3)
        return np.array([[result.contribution(n, k).mean for k in range(3)] for n in range(3)])

    found = taylor(lambda g: widths("saddle", g).sum(axis=0), 0.3, 2, nodes=12)
    assert found == pytest.approx(widths("bare", 1.0), rel=1e-5, abs=1e-7)


# The talk's conventions.


def over_frequencies(spectrum, lag):
    if lag:
        return quad(spectrum, 0, inf, weight="cos", wvar=lag)[0] / np.pi
    return quad(spectrum, 0, inf, epsabs=1e-13, epsrel=1e-11)[0] / np.pi


def dressed(g, n):
    """κ/(ω²+ξ_0^{−2}) · (σ_w² |G|²)^n, one frequency: the mean-field line with n more tadpoles on it."""
    return lambda w: KAPPA / (w**2 + GAMMA**2 - g) * (g / (w**2 + GAMMA**2)) ** n


def test_with_tadpoles_kept_the_orders_at_infinite_width_are_those_of_the_twice_dressed_line():
    """Σ_n κ/(ω²+ξ_0^{−2}) (σ_w²|G|²)^n = κ (ω²+γ²)/(ω²+ξ_0^{−2})², the talk's spectrum at N → ∞."""
    sigma_w, order = 0.6, 12
    result = compute(saddle(sigma_w=sigma_w, tadpoles="kept"), order=order, width_order=0)
    for n in range(order + 1):
        exact = [over_frequencies(dressed(sigma_w**2, n), lag) for lag in TAU]
        assert result.contribution(n, 0).mean == pytest.approx(exact, rel=1e-6, abs=1e-12)
    published = [
        over_frequencies(lambda w: KAPPA * (w**2 + GAMMA**2) / (w**2 + GAMMA**2 - sigma_w**2) ** 2, lag) for lag in TAU
    ]
    # What is left of the geometric series is below (σ_w²/γ²)^13 = 2e-9 of it.
    assert result.mean == pytest.approx(published, rel=1e-7)


def test_with_a_bias_the_plateau_is_the_talks():
    """(γ²/2) ξ_0⁴ · 2 σ_b², from the same spectrum at ω = 0."""
    sigma_w = 0.6
    theory = saddle(sigma_w=sigma_w, sigma_b=SIGMA_B, tadpoles="kept")
    result = compute(theory, order=14, width_order=0, tau=[60.0])
    assert result.mean[0] == pytest.approx(GAMMA**2 * SIGMA_B**2 / (GAMMA**2 - sigma_w**2) ** 2, rel=1e-8)


@pytest.mark.parametrize("theta0", [0.25, 0.5, 1.0])
def test_closed_responses_insert_a_mass_into_every_line(theta0):
    """What is linear in T at 1/N is X⁽⁰⁾ (T/N) 2γ θ0 σ_w²/(ω²+ξ_0^{−2}), order by order in σ_w² of the vertices.

    The talk has γσ_w²/2 in place of 2γθ0σ_w²: its form comes out for any θ(0), its number for θ(0) = 1/4.
    """
    sigma_w, order, horizon = 0.6, 5, 9.0
    g = sigma_w**2
    options = {"order": order, "width_order": 1}
    loops = compute(saddle(sigma_w=sigma_w, tadpoles="kept", theta0=theta0, T=horizon), **options)
    ito = compute(saddle(sigma_w=sigma_w, tadpoles="kept"), **options)
    for n in range(1, order + 1):
        # X⁽⁰⁾/(ω²+ξ_0^{−2}) = κ/(ω²+ξ_0^{−2}) Σ_m (m+1) g^m |G|^{2(m+1)}, and n = m + 1
        shape = [over_frequencies(lambda w, n=n: n * dressed(g, n)(w), lag) for lag in TAU]
        found = loops.contribution(n, 1).mean - ito.contribution(n, 1).mean
        assert found == pytest.approx(2 * GAMMA * theta0 * horizon * np.array(shape), rel=1e-6)


def test_at_theta0_one_quarter_the_diagrams_give_the_published_correlation_length():
    """ξ = (ξ_0/2) [1 + γ²ξ_0² + (γT/8N)(1 + 3γ²ξ_0²) ξ_0² σ_w²], read off as 2 X(0)/κ."""
    sigma_w, horizon, N, order = 0.4, 9.0, 50, 9
    xi_0 = (GAMMA**2 - sigma_w**2) ** -0.5
    options = {"order": order, "width_order": 1, "tau": [0.0]}
    loops = compute(saddle(sigma_w=sigma_w, N=N, tadpoles="kept", theta0=0.25, T=horizon), **options)
    ito = compute(saddle(sigma_w=sigma_w, N=N, tadpoles="kept"), **options)
    at_infinite_width = sum(loops.contribution(n, 0).mean[0] for n in range(order + 1))
    published = xi_0 / 2 * (1 + (GAMMA * xi_0) ** 2)
    shift = xi_0 / 2 * GAMMA * horizon / (8 * N) * (1 + 3 * (GAMMA * xi_0) ** 2) * (xi_0 * sigma_w) ** 2
    assert 2 * at_infinite_width / KAPPA == pytest.approx(published, rel=1e-9)
    assert 2 * (loops.mean[0] - ito.mean[0]) / KAPPA == pytest.approx(shift, rel=1e-7)


def test_closed_responses_are_all_that_depends_on_the_horizon():
    """At width k the result is a polynomial of degree k in T."""
    means = []
    for horizon in (1.0, 2.0, 3.0, 4.0):
        result = compute(saddle(sigma_w=0.6, N=2, theta0=0.5, T=horizon), order=3, width_order=2)
        means.append([sum(result.contribution(n, k).mean for n in range(4)) for k in range(3)])
    first, second, third = (np.diff(means, n, axis=0) for n in (1, 2, 3))
    assert np.abs(first[:, 0]).max() == 0.0
    assert np.abs(first[:, 1]).min() > 1e-3
    assert second[:, 1] == pytest.approx(0.0, abs=1e-12)
    assert np.abs(second[:, 2]).min() > 1e-3
    assert third == pytest.approx(0.0, abs=1e-12)


# Tables.


def test_the_average_of_a_polynomial_is_that_of_gaussian_samples():
    phi_phi = {(0, 0): 0.3, (0, 2): -0.2, (1, 1): 1.0, (1, 3): Fraction(-1, 3), (2, 4): 0.1}
    v, w, c = 0.8, 1.3, 0.5
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)
    weights = weights / weights.sum()
    x = sqrt(v) * nodes[:, None]
    y = c / v * x + sqrt(w - c**2 / v) * nodes
    both = sum(float(a) * (x**p * y**q + (x**q * y**p if p != q else 0)) for (p, q), a in phi_phi.items())
    average = polynomial_average(phi_phi)
    assert average(c, v, w) == pytest.approx(weights @ both @ weights, rel=1e-12)
    step = 1e-6
    by_covariance = (average(v + step, v, v) - average(v - step, v, v)) / (2 * step)
    assert average.slope(v) == pytest.approx(by_covariance, rel=1e-8)
    assert sum(x * c**r for r, x in average.at_variance(v).items()) == pytest.approx(average(c, v, v), rel=1e-13)


@pytest.mark.parametrize("coupling", [0.3, 1.0, 1.68])
def test_the_stationary_table_of_the_linear_network_is_its_closed_form(coupling):
    lags = np.array([0.0, 1e-3, 0.1, 0.7, 3.0, 11.0, 90.0, 1e4])
    curve = stationary_curve(VALUES | {"sigma_w": sqrt(coupling), "N": 1}, LINEAR)
    table = stationary_line(curve.C, correlator_terms("stationary", VALUES), 4 / GAMMA)
    terms = correlator_terms("stationary", VALUES, sqrt(GAMMA**2 - coupling))
    exact = sum(term.amplitude * np.exp(-term.rate * lags) for term in terms)
    assert table(lags, 0 * lags) == pytest.approx(exact, rel=1e-8)
    assert table(0 * lags, lags) == pytest.approx(table(lags, 0 * lags), rel=1e-15)


def test_the_stationary_table_of_a_cubic_network_is_the_sum_of_all_cacti():
    table = saddle("cubic_tanh", sigma_w=0.3, sigma_b=SIGMA_B).lines["h", "h"]
    cacti = oracles.infinite_width(CUBIC, TAU, order=6, gamma=GAMMA, kappa=KAPPA, sigma_b=SIGMA_B)
    exact = (cacti * 0.09 ** np.arange(7)[:, None]).sum(axis=0)
    assert table(TAU, 0 * TAU) == pytest.approx(exact, rel=1e-11)


def test_the_quintic_truncation_has_its_own_mean_field_line():
    table = saddle("quintic", sigma_w=0.4).lines["h", "h"]
    cacti = oracles.infinite_width(None, TAU, order=9, gamma=GAMMA, kappa=KAPPA, quintic_truncation=True)
    assert table(TAU, 0 * TAU) == pytest.approx((cacti * 0.16 ** np.arange(10)[:, None]).sum(axis=0), rel=1e-10)


def test_the_table_from_rest_of_the_linear_network_is_the_sum_of_its_cacti():
    """Σ_n σ_w^{2n} of the diagrams with n responses on each side, also for σ_w > γ."""
    coupling, horizon = 2.0, 6.0
    average, terms = polynomial_average({(1, 1): 1}), correlator_terms("rest", VALUES)
    table = rest_line(average, terms, GAMMA, coupling, horizon)
    times = np.array([[0.0, 0.0], [6.0, 6.0], [6.0, 0.0], [5.9, 0.3], [0.01, 3.0], [2.2, 2.2], [3.1, 3.15]])
    exact = np.zeros(len(times))
    for m, (t, s) in enumerate(times):
        for n in range(60):
            noise = oracles.noise_integral(n, n, t, s, GAMMA, min(t, s))
            static = oracles.decay_integral(n, GAMMA, t) * oracles.decay_integral(n, GAMMA, s)
            exact[m] += coupling**n * (KAPPA * noise + SIGMA_B**2 * static)
    assert table(times[:, 0], times[:, 1]) == pytest.approx(exact, abs=2e-7)


def test_the_table_from_rest_forgets_its_start():
    late = saddle("cubic_tanh", sigma_w=0.9, start="rest", T=14.0).lines["h", "h"]
    stationary = saddle("cubic_tanh", sigma_w=0.9).lines["h", "h"]
    assert late(11.0 + TAU, 11.0) == pytest.approx(stationary(TAU, 0 * TAU), rel=1e-6)


class Few:
    """The part of numpy that tables may use: what jax.numpy has, too, handing out arrays that cannot be written to."""

    def __getattr__(self, name):
        assert name in {"abs", "asarray", "clip", "exp", "floor", "minimum", "take"}

        def frozen(*args, **options):
            value = np.asarray(getattr(np, name)(*args, **options))
            value.flags.writeable = False
            return value

        return frozen


@pytest.mark.parametrize("parameters", [{}, {"start": "rest", "T": 3.0}])
def test_tables_run_on_any_array_namespace(parameters):
    line = saddle("cubic_tanh", sigma_w=0.9, **parameters).lines["h", "h"]
    t, s = np.array([0.3, 2.0, 1.1]), np.array([[0.2], [2.4]])
    assert line(t, s, Few()) == pytest.approx(line(t, s), rel=1e-15)


def test_tables_are_compiled_by_jax():
    jax = pytest.importorskip("jax")
    for parameters in ({}, {"start": "rest", "T": 3.0}):
        line = saddle("cubic_tanh", sigma_w=0.9, **parameters).lines["h", "h"]
        t, s = np.array([0.3, 2.0, 1.1]), np.array([[0.2], [2.4]])
        compiled = jax.jit(lambda t, s, line=line: line(t, s, jax.numpy))
        assert np.asarray(compiled(t, s)) == pytest.approx(line(t, s), rel=1e-5)


# Nonlinear networks: orders by VEGAS.


def first_coefficients(phi, sigma_b, model, parameters, step):
    """Coefficients of σ_w² and σ_w⁴ of what the saddle gives beyond order 0, all width orders summed, with errors.

    F(g) = g A_1(g) + g² A_2(g): the second is A_1'(0) + A_2(0). At g = 0 the lines are the free ones, and A_2(0) is
    exact; A_1 at four couplings, each with its own seed, gives the rest through a cubic.
    """
    couplings = np.array([1e-6, 1.0, 2.0, 3.0]) * step
    means, sdevs = [], []
    for seed, g in enumerate(couplings):
        theory = saddle(model, sigma_w=sqrt(g), sigma_b=sigma_b, averages="polynomial", **parameters)
        result = compute(theory, order=1, tau=None, rtol=None, neval=400_000, seed=seed)
        means.append(result.contribution(1, 1).mean[0] / g)
        sdevs.append(result.contribution(1, 1).sdev[0] / g)
    fit = np.linalg.inv(np.vander(couplings, increasing=True))[:2]
    values, errors = fit @ means, np.sqrt(fit**2 @ np.square(sdevs))
    free = bare_theory(model, gamma=GAMMA, kappa=KAPPA, sigma_b=sigma_b, **parameters)
    exact = replace(free, vertices=network_vertices(phi_phi_of(phi), "average"))
    found = generate(exact, "two_point", TWO_POINT, order=2, connected=False)
    chosen = np.flatnonzero(found.orders == 2)
    integrals = [time_integral(found[n], exact, np.zeros((1, 2))) for n in chosen.tolist()]
    second = float(found.weights[chosen] @ ExactIntegrator().settle(integrals)[0][:, 0])
    return values + np.array([0.0, second]), errors


@pytest.mark.parametrize(
    ("model", "phi", "sigma_b", "step"),
    [("cubic_tanh", CUBIC, 0.0, 0.2), ("taylor", {0: 0.1, 1: 1.0, 2: 0.15}, 0.3, 0.05)],
)
def test_on_one_site_it_is_the_oracle_minus_the_mean_field_line(model, phi, sigma_b, step):
    parameters = {} if model == "cubic_tanh" else {"coefficients": phi}
    found, errors = first_coefficients(phi, sigma_b, model, parameters, step)
    values = {"order": 2, "gamma": GAMMA, "kappa": KAPPA, "sigma_b": sigma_b}
    one_site = oracles.one_site(phi, [(0.0, 0.0)], **values)[1:, 0]
    mean_field = oracles.infinite_width(phi, [0.0], **values)[1:, 0]
    exact = one_site - mean_field
    # The cubic through the four couplings errs by less than the samples do.
    assert (np.abs(found - exact) < 4 * errors).all()
    assert (errors < 0.1 * np.abs(exact)).all()


def test_wick_ordered_vertices_are_the_same_theory_with_fewer_diagrams():
    plain = saddle("cubic_tanh", sigma_w=0.9, sigma_b=0.2, averages="polynomial")
    ordered = saddle("cubic_tanh", sigma_w=0.9, sigma_b=0.2)
    counts = [nnqft.diagrams(t, "two_point", order=2, width_order=1).counts for t in (plain, ordered)]
    assert counts == [{(0, 0): 1, (1, 1): 14, (2, 1): 381}, {(0, 0): 1, (1, 1): 4, (2, 1): 79}]
    one, two = (
        compute(theory, order=2, width_order=1, rtol=None, neval=neval, seed=seed)
        for theory, neval, seed in ((plain, 400_000, 1), (ordered, 150_000, 2))
    )
    for n in (0, 1, 2):
        first, second = one.contribution(n, min(n, 1)), two.contribution(n, min(n, 1))
        error = np.sqrt(first.sdev**2 + second.sdev**2)
        assert (np.abs(first.mean - second.mean) <= 4 * error + 1e-9).all()
        assert (second.sdev <= first.sdev).all()


@pytest.mark.parametrize(
    ("activation", "phi", "potential"),
    [
        ("tanh", np.tanh, lambda h: np.logaddexp(h, -h)),
        ("sigmoid", lambda h: 1 / (1 + np.exp(-h)), lambda h: np.logaddexp(0.0, h)),
    ],
)
def test_averages_of_the_activation_itself_on_one_site(activation, phi, potential):
    """At N = 1 the density is e^{−γh²/κ + 2wΦ(h)/κ}, Φ' = φ: to first order in σ_w² ⟨h²⟩ is a cumulant, by quadrature.

    No power of h beyond the fourth at one time can contribute at this order, so nothing is cut off.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(120)
    weights = weights / weights.sum()
    v = KAPPA / (2 * GAMMA)
    square, slope = v * nodes**2, 2 / KAPPA * potential(sqrt(v) * nodes)

    def mean(x):
        return weights @ x

    cumulant = mean(square * slope**2) - v * mean(slope**2) - 2 * mean(square * slope) * mean(slope)
    exact = 0.5 * (cumulant + 2 * v * mean(slope) ** 2)

    def mean_field(lag):
        rho = np.exp(-GAMMA * lag)
        other = rho * nodes[:, None] + sqrt(1 - rho**2) * nodes
        return weights @ (phi(sqrt(v) * nodes)[:, None] * phi(sqrt(v) * other)) @ weights

    line = quad(lambda lag: np.exp(-GAMMA * lag) * mean_field(lag), 0, 40, epsabs=1e-11)[0] / GAMMA
    g = 1e-6
    theory = saddle("taylor", sigma_w=sqrt(g), activation=activation, degree=4, averages="activation")
    result = compute(theory, order=1, tau=None, rtol=None, neval=300_000, seed=4)
    part = result.contribution(1, 1)
    assert abs(line + part.mean[0] / g - exact) < 4 * part.sdev[0] / g
    assert part.sdev[0] / g < 1e-3 * abs(exact)


def test_from_rest_order_by_order_it_adds_up_to_the_bare_series():
    """k = 1 of the linear network at times where both series have settled."""
    sigma_w, times = 0.6, [(1.5, 1.0), (2.0, 2.0)]
    theory = saddle(sigma_w=sigma_w, start="rest", T=2.0)
    result = nnqft.compute(theory, "two_point", order=3, width_order=1, times=times, rtol=1e-4, seed=2)
    bare = oracles.linear_two_point(times, order=5, gamma=GAMMA, kappa=KAPPA, start="rest")
    scale = sigma_w ** (2 * np.arange(6))[:, None]
    assert result.contribution(0, 0).mean == pytest.approx((bare[:, 0] * scale).sum(axis=0), rel=1e-6)
    exact = (bare[:, 1] * scale).sum(axis=0)
    parts = [result.contribution(n, 1) for n in (1, 2, 3)]
    found, error = sum(p.mean for p in parts), np.sqrt(sum(p.sdev**2 for p in parts))
    assert (np.abs(found - exact) < 4 * error + np.abs(parts[2].mean)).all()
    assert (error < 0.01 * exact).all()
    assert (np.abs(parts[2].mean) < 0.03 * exact).all()


# Input.


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"expansion": "sadle"}, "did you mean 'saddle'"),
        ({"tadpoles": "dropped"}, "tadpoles"),
        ({"expansion": "bare", "theta0": 0.5}, "theta0=0.5 belongs to expansion='saddle'"),
        ({"expansion": "bare", "T": 10}, "T=10.0 belongs to expansion='saddle'"),
        ({"expansion": "bare", "tadpoles": "kept"}, "tadpoles='kept' belongs to expansion='saddle'"),
        ({"theta0": 0.5}, "theta0=0.5: closed responses have free times; write how long they run, such as T=10"),
        ({"theta0": 2}, "theta0=2: wanted a number from 0 \\(Itô\\) to 1"),
        ({"theta0": "half"}, "theta0='half': wanted a number"),
        ({"T": 5}, "T=5: nothing depends on it with theta0=0 and a stationary start; leave T out"),
        ({"T": -1, "theta0": 0.5}, "T=-1: wanted a time > 0"),
        ({"start": "rest", "T": 1e3}, "T=1000: from rest the mean-field line is tabulated up to gamma·T = 30; lower T"),
        (
            {"sigma_w": 1.3},
            "no stationary mean-field line at sigma_w=1.3, gamma=1.3; for φ = h it needs sigma_w < gamma",
        ),
        (
            {"model": "cubic_tanh", "sigma_w": 9.0},
            "φ = h − h³/3 grows like h³: no stationary state at infinite width, its variance runs away at sigma_w=9;"
            " write model 'taylor' with activation='tanh', a smaller sigma_w, start='rest' and a short T, such as"
            " T=0.0769231, or expansion='bare'",
        ),
        (
            {"model": "taylor", "activation": "tanh", "averages": "polynomial", "sigma_w": 3.0},
            "φ = h − 0.333333 h³ \\+ 0.133333 h⁵ grows like h⁵: .*; write averages='activation', a smaller sigma_w",
        ),
        (
            {"model": "taylor", "tadpoles": "kept", "sigma_w": 3.0},
            "grows like h⁵: no stationary state .* at sigma_w=3; leave tadpoles out, a smaller sigma_w",
        ),
        ({"model": "taylor", "coefficients": {1: 2.0}, "averages": "polynomial"}, "slope 2 it needs sigma_w < 0.65"),
        (
            {"model": "taylor", "coefficients": {1: 2.0}},
            "no stationary state at infinite width: .* or expansion='bare'",
        ),
        ({"model": "taylor", "activation": "tanh", "degree": 15}, "degree=15: wanted at most 14"),
        ({"model": "taylor", "averages": "activation", "expansion": "bare"}, "averages='activation' belongs to"),
        ({"model": "taylor", "averages": "activation", "tadpoles": "kept"}, "has no tadpoles to keep"),
        ({"model": "taylor", "averages": "exact"}, "averages"),
        (
            {"model": "feedforward", "sigma_w": 1.7},
            "the variance of the mean-field line grows for σ_w² φ'\\(0\\)² ≥ 2γ",
        ),
        (
            {"model": "feedforward", "start": "rest", "activation": "tanh", "averages": "polynomial"},
            "from rest is for φ\\(h\\) = h",
        ),
        ({"model": "feedforward", "theta0": 0.5}, "unknown parameter 'theta0' of model 'feedforward'"),
        ({"model": "langevin"}, "unknown parameter"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(parameters, message):
    with pytest.raises(InputError, match=message):
        saddle(**parameters)


def test_results_and_rules_say_what_the_lines_are():
    theory = saddle(sigma_w=0.5, tadpoles="kept", theta0=0.5, T=10)
    assert "θ(0) = 0.5" in theory.rules
    assert "expansion = saddle, tadpoles = kept, theta0 = 0.5, T = 10" in theory.rules
    assert "[h_j(t1) h_j(t2) − ⟨h_j(t1) h_j(t2)⟩]" in saddle(sigma_w=0.5).rules
    assert "(κ/2) ξ_0 e^(−|t−s|/ξ_0) + σ_b² ξ_0²,  ξ_0 = (γ² − σ_w²)^(−1/2) = " in saddle(sigma_b=0.1).rules
    wick = saddle("taylor", activation="tanh", averages="activation", degree=4).rules
    assert "1/2 σ_w² N⁻¹ Σ_{i,j} ∫ dt1 dt2 ⟨φ' φ'⟩(t1,t2) z̃_i(t1) z̃_i(t2) :h_j(t1) h_j(t2):" in wick
    result = compute(theory, order=1)
    assert any("order n counts the σ_w^(2n) of the vertices" in note for note in result.notes)
    assert not any(name in bare_theory("linear").parameters for name in ("expansion", "tadpoles", "theta0", "T"))


def test_a_series_whose_orders_grow_is_said_so():
    calm, chaotic = (
        saddle("taylor", activation="tanh", averages="activation", sigma_w=sigma_w, kappa=0.01, degree=3)
        for sigma_w in (0.6, 2.0)
    )
    assert not any("the orders grow" in remark for remark in calm.remarks)
    assert any("the orders grow" in remark for remark in chaotic.remarks)


def test_a_saved_result_knows_its_expansion(tmp_path):
    result = compute(saddle(sigma_w=0.5, theta0=0.5, T=10.0), order=1)
    result.save(tmp_path / "r.json")
    again = nnqft.load(tmp_path / "r.json")
    assert dict(again.request.parameters) == dict(result.request.parameters)
    assert again.mean == pytest.approx(result.mean, rel=1e-15)


def test_samples_are_the_same_on_every_executor():
    theory = saddle("cubic_tanh", sigma_w=0.5)
    runs = [compute(theory, order=1, rtol=None, neval=5000, executor=e) for e in ("local", "processes")]
    assert (runs[0].mean == runs[1].mean).all()


def test_the_command_line_has_it(capsys):
    given = ["expansion=saddle", "tadpoles=kept", "theta0=0.5", "T=10", "sigma_w=0.5", "N=50"]
    status = main(["compute", "linear", "--order", "2", "--rtol", "1e-3", *(w for pair in given for w in ("-p", pair))])
    assert status == 0
    assert "tadpoles=kept" in capsys.readouterr().out.replace("\n", "")
