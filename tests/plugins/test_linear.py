"""The linear network, computed through the front door, against its closed form: every order and width."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise, product
from math import factorial

import numpy as np
import oracles
import pytest
from harness import installed
from numpy.testing import assert_allclose, assert_array_equal
from scipy.integrate import quad

import nnqft

RATES = {"gamma": 1.3, "kappa": 0.8}
STATIC = {"sigma_b": 0.5, "sigma_u": 0.7, "q": 0.6}
N, SIGMA_W = 3, 0.7
NEVAL = 250_000
STATIONARY = [(0.0, 0.0), (0.7, 0.0), (0.0, 0.7), (-2.0, 0.5), (3.0, 2.5)]
REST = [(0.0, 0.0), (1.2, 0.5), (0.5, 1.2), (0.0, 0.8), (0.9, 0.9), (4.0, 3.0)]
SETTINGS = [
    pytest.param(start, extra, id=f"{start}-{'with bias and input' if extra else 'noise only'}")
    for start, extra in product(("stationary", "rest"), ({}, STATIC))
]
INTEGRATORS = sorted(installed(exact=True) | installed(exact=False))


def times_of(start: str) -> list[tuple[float, float]]:
    return STATIONARY if start == "stationary" else REST


def assert_honest(estimate: nnqft.Estimate, wanted: np.ndarray, scale: float, label: object) -> None:
    """Within 4 of its own errors at every time, and where it claims none, within rounding of `scale`."""
    gap, error = estimate.mean - wanted, np.hypot(estimate.sdev, 1e-12 * scale)
    assert (np.abs(gap) <= 4 * error).all(), f"{label}: pulls {gap / error}"


def assert_parts(result: nnqft.Result, coefficients: np.ndarray) -> None:
    """Every part against coefficients [n, k, m] of σ_w^{2n} N^{−k}, and their sum; too large errors are seen, too."""
    pulls, total = [], np.zeros(len(result.times))
    scale = float(np.abs(coefficients).max())
    for n, k in product(range(4), range(4)):
        wanted = SIGMA_W ** (2 * n) * float(N) ** -k * coefficients[n, k]
        part = result.contribution(order=n, width=k)
        assert_honest(part, wanted, scale, (n, k))
        if (known := part.sdev > 1e-11 * scale).any():
            pulls.append(np.mean(((part.mean - wanted)[known] / part.sdev[known]) ** 2))
        total += wanted
    assert_honest(result.total, total, scale, "sum")
    print(f"mean square pull of {len(pulls)} contributions: {np.mean(pulls) if pulls else 'exact'}")
    # 9 contributions, the times of each correlated: their mean square is 1 ± 0.47 or better.
    assert not pulls or 0.1 < np.mean(pulls) < 2.5


def linear(start: str = "stationary", **parameters) -> nnqft.Theory:
    return nnqft.theory("linear", start=start, N=N, sigma_w=SIGMA_W, **(RATES | parameters))


@pytest.mark.parametrize("integrator", INTEGRATORS)
@pytest.mark.parametrize(("start", "extra"), SETTINGS)
def test_two_point(integrator, start, extra):
    times = times_of(start)
    result = nnqft.compute(
        linear(start, **extra), "two_point", order=3, times=times, integrator=integrator, neval=NEVAL, seed=1
    )
    assert result.converged
    assert {row.integrator for row in result.diagrams} == {integrator}
    assert_parts(result, oracles.linear_two_point(times, order=3, start=start, **RATES, **extra))


@pytest.mark.parametrize("integrator", INTEGRATORS)
@pytest.mark.parametrize("start", ["stationary", "rest"])
def test_response(integrator, start):
    times = [*times_of(start), (6.0, 1.0)]
    result = nnqft.compute(
        linear(start, **STATIC), "response", order=3, times=times, integrator=integrator, neval=20_000
    )
    wanted = oracles.linear_response(times, order=3, gamma=RATES["gamma"])
    # The trunk leaves no variance: the response is exact however few the samples.
    for n, k in product(range(4), range(4)):
        part = result.contribution(order=n, width=k)
        assert_allclose(part.mean, SIGMA_W ** (2 * n) * float(N) ** -k * wanted[n, k], rtol=1e-10, atol=1e-14)
    late = np.array(times)[:, 0] <= np.array(times)[:, 1]
    assert_array_equal(result.mean[late], 0)


def test_response_does_not_see_noise_bias_or_input():
    times = [(1.2, 0.5), (3.0, 0.0)]
    results = [
        nnqft.compute(linear(**extra), "response", order=2, times=times, integrator="vegas", neval=5_000)
        for extra in ({}, STATIC, {"kappa": 0.0})
    ]
    for result in results[1:]:
        assert_allclose(result.mean, results[0].mean, rtol=1e-10)


def test_stationary_depends_on_the_lag_alone():
    pairs = [(0.7, 0.0), (10.7, 10.0), (0.0, 0.7), (-5.0, -5.7)]
    result = nnqft.compute(
        linear(**STATIC), "two_point", order=2, times=pairs, integrator="vegas", neval=100_000, seed=2
    )
    by_tau = nnqft.compute(linear(**STATIC), "two_point", order=2, tau=[0.7], integrator="vegas", neval=100_000, seed=3)
    assert (np.abs(result.mean - by_tau.mean) < 4 * np.hypot(result.sdev, by_tau.sdev)).all()


def test_the_memory_of_the_start_fades():
    late = nnqft.compute(
        linear("rest", **STATIC), "two_point", order=2, times=[(30.7, 30.0)], integrator="vegas", neval=200_000
    )
    wanted = oracles.linear_two_point([(0.7, 0.0)], order=2, **RATES, **STATIC)[:, :, 0]
    total = sum(SIGMA_W ** (2 * n) * float(N) ** -k * wanted[n, k] for n in range(3) for k in range(3))
    assert abs(late.mean[0] - total) < 4 * late.sdev[0]


def test_more_samples_come_closer():
    times = [(0.7, 0.0)]
    wanted = oracles.linear_two_point(times, order=2, **RATES)[:, :, 0]
    total = sum(SIGMA_W ** (2 * n) * float(N) ** -k * wanted[n, k] for n in range(3) for k in range(3))
    few, many = (
        nnqft.compute(linear(), "two_point", order=2, times=times, integrator="vegas", neval=neval, seed=4)
        for neval in (20_000, 1_280_000)
    )
    assert many.sdev[0] < few.sdev[0] / 8 * 1.1
    assert abs(many.mean[0] - total) < 4 * many.sdev[0]


# An input that changes in time


def driven(t: float, s: float, rate: float, gamma: float, start: str, a: int = 0, b: int = 0) -> float:
    """∬ du dv G(t,u) G(s,v) (t−u)^a (s−v)^b/(a! b!) e^{−rate·|u−v|}, by quadrature."""
    first = 0.0 if start == "rest" else min(t, s) - 40 / gamma

    def chain(lag: float, power: int) -> float:
        return np.exp(-gamma * lag) * lag**power / factorial(power)

    def integrate(f: Callable[[float], float], marks: Iterable[float]) -> float:
        return sum(quad(f, low, high, epsabs=1e-13, epsrel=1e-11)[0] for low, high in pairwise(sorted(marks)))

    def inner(u: float) -> float:  # its kink is where v passes u
        return integrate(lambda v: chain(s - v, b) * np.exp(-rate * abs(u - v)), {first, min(u, s), s})

    # The inner integral has a kink at s, and what counts is the last few 1/γ.
    marks = {x for x in (first, s - 5 / gamma, t - 5 / gamma, s, t) if first <= x <= t}
    return integrate(lambda u: chain(t - u, a) * inner(u), marks)


@pytest.mark.parametrize("start", ["stationary", "rest"])
@pytest.mark.parametrize("q", [{0.4: 0.9}, {0.0: 0.3, 2.6: 1.1}], ids=str)
def test_input_with_memory(start, q):
    times = [(0.7, 0.0), (0.0, 0.7), (1.5, 1.5)] if start == "stationary" else [(1.2, 0.5), (0.5, 1.2), (1.5, 1.5)]
    sigma_u = 0.7
    result = nnqft.compute(linear(start, sigma_u=sigma_u, q=q), "two_point", order=0, times=times, neval=1000)
    noise = oracles.linear_two_point(times, order=0, start=start, **RATES)[0, 0]
    wanted = [
        sigma_u**2 * sum(weight * driven(t, s, rate, RATES["gamma"], start) for rate, weight in q.items())
        for t, s in times
    ]
    assert_allclose(result.mean, noise + wanted, rtol=1e-8)
    assert_array_equal(result.sdev, 0)


@pytest.mark.parametrize("start", ["stationary", "rest"])
def test_input_with_memory_in_every_order(start):
    (t, s), rate, weight, sigma_u = (1.2, 0.5), 0.4, 0.9, 0.7
    theory = linear(start, sigma_u=sigma_u, q={rate: weight})
    result = nnqft.compute(theory, "two_point", order=2, times=[(t, s)], integrator="vegas", neval=NEVAL, seed=6)
    for n in (1, 2):
        coefficients = oracles.linear_two_point([(t, s)], order=2, start=start, **RATES)[n, : n + 1, 0]
        for a in range(2 * n + 1):
            b = 2 * n - a
            value = sigma_u**2 * weight * driven(t, s, rate, RATES["gamma"], start, a, b)
            coefficients = coefficients + value * np.array(oracles.trace_moment(a, b))
        for k in range(n + 1):
            part = result.contribution(order=n, width=k)
            assert_honest(part, SIGMA_W ** (2 * n) * float(N) ** -k * coefficients[[k]], 1.0, (n, k))


@pytest.mark.parametrize("start", ["stationary", "rest"])
@pytest.mark.parametrize("apart", [1e-3, 1e-6, 1e-9, 1e-12])
def test_input_that_decays_almost_at_the_leak_rate(start, apart):
    gamma, t, s = RATES["gamma"], 1.2, 0.5
    rate = gamma * (1 + apart)
    try:
        theory = linear(start, sigma_u=1.0, q={rate: 1.0}, kappa=0.0)
    except nnqft.InputError:  # refusing is honest, a wrong number is not
        return
    result = nnqft.compute(theory, "two_point", order=0, times=[(t, s)], neval=1000)
    assert_allclose(result.mean, driven(t, s, rate, gamma, start), rtol=1e-6)


@pytest.mark.parametrize("start", ["stationary", "rest"])
def test_a_constant_input_is_a_bias(start):
    """σ_u² q in place of σ_b²: the same closed form, to order 2."""
    times = times_of(start)
    theories = [
        linear(start, sigma_b=0.6),
        linear(start, sigma_u=1.2, q=0.25),
        linear(start, sigma_u=1.2, q={0.0: 0.25}),
    ]
    first, *others = (
        nnqft.compute(theory, "two_point", order=2, times=times, integrator="vegas", neval=20_000)
        for theory in theories
    )
    for result in others:
        assert_allclose(result.mean, first.mean, rtol=1e-10, atol=1e-14)
