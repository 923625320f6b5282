"""Series in the coupling and in 1/N: coefficients, the critical coupling, resummed values."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from math import comb, sqrt

import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.special import binom
from theories import bare_theory

import nnqft
from nnqft import Estimate, Series

GAMMA, KAPPA = 1.3, 0.8


@cache
def linear(order: int, width_order: int | None = None, tau: tuple[float, ...] = (0.0,), **parameters) -> nnqft.Result:
    theory = bare_theory("linear", **{"gamma": GAMMA, "kappa": KAPPA, **parameters})
    return nnqft.compute(theory, "two_point", order=order, width_order=width_order, tau=tau, rtol=1.0)


def made(coefficients, coupling: float = 1.0, N: int = 1, width: int = 0) -> Series:
    """A series whose coefficients are these."""
    parts = {
        (n, width): Estimate.exact(np.array([a * coupling**n / float(N) ** width])) for n, a in enumerate(coefficients)
    }
    return Series(parts, coupling, N)


# Coefficients


@pytest.mark.parametrize(("sigma_w", "N"), [(1.0, 1), (0.7, 1), (0.3, 50), (1.9, 7)])
def test_coefficients_are_bare(sigma_w, N):
    tau = (0.0, 0.7)
    series = linear(4, tau=tau, sigma_w=sigma_w, N=N).series
    assert series.coupling == sigma_w**2
    assert series.N == N
    assert series.order == 4
    assert series.widths == (0, 1, 2, 3, 4)
    wanted = oracles.linear_two_point([(t, 0.0) for t in tau], order=4, gamma=GAMMA, kappa=KAPPA)
    for k in range(5):
        for m in range(len(tau)):
            assert_allclose(series.coefficients(k, at=m), wanted[:, k, m], rtol=1e-11)


@pytest.mark.parametrize("model", ["quintic", "feedforward"])
def test_coefficients_of_every_model_are_bare(model):
    theories = [bare_theory(model, **values) for values in ({}, {"sigma_w": 0.3, "N": 5})]
    bare, dressed = (nnqft.compute(theory, "two_point", order=2, rtol=1.0).series for theory in theories)
    assert bare.widths == dressed.widths
    assert list(bare) == list(dressed)
    for k in bare.widths:
        assert_allclose(dressed.coefficients(k), bare.coefficients(k), rtol=1e-12, atol=1e-15)


def test_coefficients_of_a_drift():
    for strength in (1.0, 0.25):
        theory = nnqft.theory("langevin", drift={1: 1.0, 3: strength})
        series = nnqft.compute(theory, "two_point", order=4, rtol=1.0).series
        assert series.coupling == strength
        assert_allclose(series.coefficients(0), [1, -3, 24, -297, 4896], rtol=1e-12)


def test_several_couplings_have_no_common_one():
    theory = nnqft.theory("langevin", drift={1: 1.0, 2: 0.5, 3: 0.5})
    series = nnqft.compute(theory, "two_point", order=1, rtol=1.0).series
    assert series.coupling == 1.0
    assert_allclose(series.coefficients(0)[1], series[1, 0].mean[0])


def test_a_mapping_whose_total_is_the_sum():
    result = linear(3, sigma_w=0.7, N=3)
    series = result.series
    assert len(series) == 4 * 5 // 2
    assert list(series) == [(n, k) for n in range(4) for k in range(n + 1)]
    assert_allclose(series.total.mean, sum(series[key].mean for key in series), rtol=1e-14)
    assert_allclose(series.total.mean, result.mean, rtol=1e-14)


# The ratio test


def test_ratios():
    series = linear(6, 1).series
    for k in (0, 1):
        known = [a for a in series.coefficients(k) if a]
        assert_allclose(series.ratios(k), [b / a for a, b in pairwise(known)], rtol=1e-14)
    n = np.arange(1, 7)
    assert_allclose(series.ratios(0), (1 - 1 / (2 * n)) / GAMMA**2, rtol=1e-11)


@pytest.mark.parametrize(("sigma_w", "N"), [(1.0, 1), (0.4, 20)])
def test_critical_coupling_at_infinite_width(sigma_w, N):
    """C(0) = κ/(2 √(γ² − g)): g_c = γ², exponent 1/2."""
    found = linear(10, 0, sigma_w=sigma_w, N=N).series.singularity(0)
    assert found.coupling == pytest.approx(GAMMA**2, rel=1e-8)
    assert found.exponent == pytest.approx(0.5, abs=1e-6)
    assert found.error < 1e-7


def test_critical_coupling_of_the_first_correction_in_width():
    found = linear(12, 1).series.singularity(1)
    print(found)
    assert found.coupling == pytest.approx(GAMMA**2, rel=5e-3)
    assert found.error < 5e-2 * GAMMA**2
    # Each power of 1/N makes the singularity stronger.
    assert found.exponent > 1.5


@given(st.floats(0.2, 5.0), st.floats(0.2, 3.0), st.integers(8, 14))
def test_a_pure_power_is_found(critical, exponent, order):
    n = np.arange(order + 1)
    found = made(binom(exponent + n - 1, n) / critical**n).singularity(0)
    assert found.coupling == pytest.approx(critical, rel=1e-9)
    assert found.exponent == pytest.approx(exponent, abs=1e-6)


def test_a_negative_critical_coupling():
    found = made([(-2.0) ** n for n in range(8)]).singularity(0)
    assert found.coupling == pytest.approx(-0.5)
    assert found.exponent == pytest.approx(1.0)


def test_leading_zeros_do_not_shift_the_orders():
    """g²/(1 − g/3)²: a_n = (n − 1)/3^{n−2} from n = 2."""
    found = made([0, 0, *((n - 1) / 3.0 ** (n - 2) for n in range(2, 16))]).singularity(0)
    assert found.coupling == pytest.approx(3.0, rel=5e-3)
    assert found.exponent == pytest.approx(2.0, abs=0.1)


def test_error_says_how_good_it_is():
    for order in (8, 10, 12):
        found = linear(order, 1).series.singularity(1)
        assert abs(found.coupling - GAMMA**2) < 10 * found.error


def power(critical: float, exponent: float, count: int = 13) -> np.ndarray:
    """Coefficients of (1 − g/critical)^{−exponent}."""
    n = np.arange(count)
    return binom(exponent + n - 1, n) / critical**n


KNOWN = {
    "logarithm": np.array([0, *(1 / (n * 2.0**n) for n in range(1, 13))]) * 2,
    "root and pole behind it": np.convolve(power(2.0, 0.5), power(2.2, 1.0))[:13],
    "root and root behind it": np.convolve(power(2.0, 0.5), power(3.0, 0.5))[:13],
    "sum with a root behind it": power(2.0, 1.5) + power(2.6, 0.5),
    "sum of two like it": power(2.0, 1.5) + power(2.6, 1.5),
    "root on the other side": power(2.0, 1.5) + power(-6.0, 0.5),
    "weaker at the same place": power(2.0, 1.5) + 3 * power(2.0, 0.7),
}


@pytest.mark.parametrize("name", KNOWN)
def test_a_critical_coupling_is_right_within_its_error(name):
    """A second singularity not far away bends the ratios, which then agree with each other about a wrong limit."""
    told = 0
    for count in range(5, 14):
        try:
            found = made(KNOWN[name][:count]).singularity(0)
        except nnqft.InputError:
            continue
        told += 1
        assert abs(found.coupling - 2.0) <= found.error + 1e-9
    assert told >= 3


SHORT = {
    "factorials": [1.0, 1.0, 2.0, 6.0, 24.0, 120.0, 720.0, 5040.0],
    "an entire function": list(1 / np.sqrt(np.cumprod([1.0, *range(1, 10)]))),
    "the exponential": list(1 / np.cumprod([1.0, *range(1, 10)])),
    "a pair close to the axis": [float(np.cos(0.1 * n)) for n in range(8)],
    "a pair close to the other axis": [float((-1) ** n * np.cos(0.14 * n)) for n in range(6)],
    "no end": [1.0, 2.0, 6.0, 24.0, 120.0, 720.0],
    "of both signs": [1.0, -0.8, -0.9, 1.3, -0.2, 0.7],
    "a pair of complex singularities": [float(np.cos(0.9 * n + 0.3)) for n in range(9)],
    "any numbers": [0.3, 4.0, 0.1, 9.0, 2.0],
    "straight": [1.0, 1.0, 2.0, 6.0, 1.0],
}


@pytest.mark.parametrize("name", SHORT)
def test_what_coefficients_do_not_tell_is_refused(name):
    with pytest.raises(
        nnqft.InputError, match=r"do not tell where the series stops .*compute a higher order"
    ) as caught:
        made(SHORT[name]).singularity(0)
    assert "\n" not in str(caught.value)


def noisy(coefficients, relative: float, seed: int) -> Series:
    errors = relative * np.abs(coefficients)
    values = coefficients + errors * np.random.default_rng(seed).standard_normal(len(errors))
    return Series(
        {
            (n, 0): Estimate.of_chunk(9, np.array([a]), np.array([[e * e]]))
            for n, (a, e) in enumerate(zip(values, errors, strict=True))
        },
        1.0,
        1,
    )


@pytest.mark.parametrize("relative", [1e-5, 1e-4, 1e-3, 1e-2, 0.1])
def test_errors_of_the_coefficients_reach_the_critical_coupling(relative):
    """a_n of (1 − g/2)^{−3/2}: what is quoted holds, or nothing is."""
    n = np.arange(9)
    pulls, exponents = [], []
    for seed in range(40):
        try:
            found = noisy(binom(n + 0.5, n) / 2.0**n, relative, seed).singularity(0)
        except nnqft.InputError:
            continue
        pulls.append((found.coupling - 2.0) / found.error)
        exponents.append(abs(found.exponent - 1.5))
    assert len(pulls) > 30 if relative <= 1e-4 else len(pulls) < 30 if relative >= 1e-2 else True
    if pulls:
        assert np.mean(np.square(pulls)) < 2.0
        assert np.nanmax([*exponents, 0.0]) < 2.0


def test_noise_that_a_pade_approximant_magnifies_is_refused():
    n = np.arange(9)
    exact = binom(n + 0.5, n) / 2.0**n
    assert noisy(exact, 1e-6, 1).pade(0, coupling=1.5) == pytest.approx(0.25**-1.5, rel=0.05)
    refused = 0
    for seed in range(20):
        try:
            value = noisy(exact, 0.03, seed).pade(0, coupling=1.9)
        except nnqft.InputError:
            refused += 1
        else:
            assert value > 0
    assert refused > 10


def test_a_value_beyond_a_pole_is_refused():
    with pytest.raises(nnqft.InputError, match=r"has a pole at 1, between 0 and the coupling 1\.5"):
        made([1.0, 1.0, 1.0, 1.0]).pade(0, coupling=1.5, denominator=1)


# Padé


@pytest.mark.parametrize("coupling", [None, 0.2, 0.9, 1.3])
def test_pade_at_infinite_width(coupling):
    sigma_w = 0.8
    series = linear(12, 0, sigma_w=sigma_w, N=4).series
    g = sigma_w**2 if coupling is None else coupling
    wanted = KAPPA / (2 * sqrt(GAMMA**2 - g))
    assert series.pade(0, coupling=coupling) == pytest.approx(wanted, rel=1e-5)
    partial = sum(a * g**n for n, a in enumerate(series.coefficients(0)))
    assert abs(series.pade(0, coupling=coupling) - wanted) < abs(partial - wanted) or g < 0.3


def test_pade_beyond_the_radius_of_convergence():
    """1/(1 + g) at g = 5."""
    assert made([(-1.0) ** n for n in range(4)]).pade(0, coupling=5.0, denominator=1) == pytest.approx(1 / 6)


def test_pade_of_a_rational_function_is_itself():
    coefficients = np.array([1.0, 0, 0, 0, 0, 0])
    for n in range(1, 6):  # (1 + 2g)/(1 − g + g²/2)
        coefficients[n] = coefficients[n - 1] - (coefficients[n - 2] / 2 if n > 1 else 0) + (2 if n == 1 else 0)
    g = 0.7
    assert made(coefficients).pade(0, coupling=g, denominator=2) == pytest.approx((1 + 2 * g) / (1 - g + g * g / 2))


@pytest.mark.parametrize("N", [1, 9])
def test_pade_keeps_the_power_of_the_width_and_of_the_coupling(N):
    """g²/(1 − g)/N: two leading zeros."""
    series = made([0, 0, 1, 1, 1, 1], coupling=0.3, N=N, width=1)
    for denominator in (None, 1):
        if denominator is not None:
            assert series.pade(1, denominator=denominator) == pytest.approx(0.09 / 0.7 / N)
    assert series.pade(1, denominator=0) == pytest.approx((0.09 + 0.027 + 0.0081 + 0.00243) / N)


def test_pade_with_no_denominator_is_the_partial_sum():
    series = linear(5, 1, sigma_w=0.6, N=3).series
    for k in (0, 1):
        partial = sum(part.mean[0] for (_, width), part in series.items() if width == k)
        assert series.pade(k, denominator=0) == pytest.approx(partial, rel=1e-13)


def test_resummed_is_the_sum_over_widths():
    series = linear(6, 1, sigma_w=0.8, N=30).series
    assert series.resummed() == pytest.approx(series.pade(0) + series.pade(1), rel=1e-14)


def test_resummed_is_what_networks_do():
    """Against simulation, without diagrams, where the series itself is still several errors away."""
    N, sigma_w = 40, 0.75
    series = linear(11, 1, gamma=1.0, kappa=1.0, sigma_w=sigma_w, N=N).series
    mean, error = oracles.simulate_linear(N, sigma_w, gamma=1.0, kappa=1.0, samples=600, seed=4, discard_unstable=True)
    print(series.resummed(), mean, error)
    assert abs(series.resummed() - mean) < 4 * error + 3 / N**2


def test_at_chooses_the_time():
    series = linear(6, 0, tau=(0.0, 0.7)).series
    wanted = oracles.infinite_width({1: 1.0}, [0.7], order=6, gamma=GAMMA, kappa=KAPPA)
    assert_allclose(series.coefficients(0, at=1), wanted[:, 0], rtol=1e-11)
    assert series.pade(0, at=1) < series.pade(0, at=0)
    assert series.resummed(at=1) == series.pade(0, at=1)


# Errors


def test_a_width_that_is_absent():
    series = linear(4).series
    for call in (series.coefficients, series.ratios, series.singularity, series.pade):
        with pytest.raises(nnqft.InputError, match=r"no contribution of width order 9"):
            call(9)


def test_too_few_orders():
    for order, kept in ((0, 0), (3, 3)):
        series = linear(order, 0).series
        with pytest.raises(nnqft.InputError, match="compute a higher order"):
            series.singularity(0)
        if kept:
            assert len(series.ratios(0)) == kept
        else:
            with pytest.raises(nnqft.InputError, match="too few non-zero coefficients for ratios"):
                series.ratios(0)
    with pytest.raises(nnqft.InputError, match=r"width order 0: 3 ratios, wanted 4; compute a higher order"):
        linear(3, 0).series.singularity(0)
    assert linear(4, 0).series.singularity(0).coupling == pytest.approx(GAMMA**2, rel=1e-6)


def test_coefficients_that_vanish_in_between_have_no_ratios():
    with pytest.raises(nnqft.InputError, match="too few non-zero coefficients"):
        made([1, 0, 1, 0, 1, 0, 1]).ratios(0)
    with pytest.raises(nnqft.InputError, match="too few non-zero coefficients"):
        made([0, 0, 0]).ratios(0)


def test_a_coefficient_that_is_rounding_is_no_coefficient():
    """At γ = κ = 1 the first order in 1/N of cubic tanh cancels; 1e-17 in its place would make a ratio of 1e15."""
    for parameters in ({}, {"sigma_w": 0.3, "N": 5}):
        theory = bare_theory("cubic_tanh", **parameters)
        series = nnqft.compute(theory, "two_point", order=2, rtol=1.0).series
        assert abs(series.coefficients(1)[1]) < 1e-15
        with pytest.raises(nnqft.InputError, match="too few non-zero coefficients for ratios"):
            series.ratios(1)


def test_without_coupling_nothing_is_known():
    series = linear(3, 0, sigma_w=0.0).series
    for call in (series.coefficients, series.ratios, series.singularity, series.pade):
        with pytest.raises(nnqft.InputError, match="the coupling is 0, so no coefficient is known"):
            call(0)


@pytest.mark.parametrize("denominator", [-1, 5, 99])
def test_a_denominator_of_a_degree_that_is_not_there(denominator):
    with pytest.raises(nnqft.InputError, match=rf"denominator={denominator}: wanted a degree from 0 to 4"):
        linear(4, 0).series.pade(0, denominator=denominator)


def test_an_approximant_that_does_not_exist():
    """1 + g² has no [1/1] approximant."""
    with pytest.raises(nnqft.InputError, match="no Padé approximant with denominator=1 exists"):
        made([1, 0, 1]).pade(0, denominator=1)


def test_a_series_of_zeros_is_zero():
    assert made([0, 0, 0]).pade(0, denominator=0) == 0.0


def test_loaded_series_are_the_same(tmp_path):
    result = linear(6, 1, sigma_w=0.7, N=5)
    result.save(tmp_path / "result.json")
    series = nnqft.load(tmp_path / "result.json").series
    for k in (0, 1):
        assert_allclose(series.coefficients(k), result.series.coefficients(k), rtol=1e-15)
        assert series.singularity(k) == result.series.singularity(k)
    assert series.resummed() == result.series.resummed()


def test_central_binomials():
    """The whole k = 0 series in one line, as a check on the checks."""
    wanted = [KAPPA / (2 * GAMMA) * comb(2 * n, n) / (4 * GAMMA**2) ** n for n in range(11)]
    assert_allclose(linear(10, 0).series.coefficients(0), wanted, rtol=1e-11)
