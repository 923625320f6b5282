"""Theories without disorder: a Langevin equation, against its density and its generator, and a plain integral.

One site, dx = −(μ x + Σ_p a_p x^p) dt + √noise dB. Equal-time cumulants are those of e^{−2V/noise}; at unequal times
the generator of the process is expanded in the couplings; the response follows from either. See docs/physics.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from fractions import Fraction
from itertools import product
from math import comb, factorial, inf, prod

import numpy as np
import oracles
import pytest
import strategies as own
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import nnqft

ORDER = 3
MIXED = {1: 1.2, 2: 0.3, 3: 0.5}
NOISE = 1.6
TRIPLES = [(0.0, 0.0, 0.0), (0.9, 0.4, 0.0), (0.4, 0.0, 0.9), (2.0, 2.0, -0.3)]
REST_TRIPLES = [(0.7, 0.7, 0.7), (1.6, 1.1, 0.7), (1.1, 0.7, 1.6), (2.0, 0.4, 0.4), (0.8, 0.5, 0.0)]


def langevin(drift: Mapping[int, float], noise: float = 2.0, start: str = "stationary") -> nnqft.Theory:
    return nnqft.theory("langevin", drift=dict(drift), noise=noise, start=start)


def exact(theory: nnqft.Theory, observable: str, order: int, times=None, **options) -> nnqft.Result:
    result = nnqft.compute(theory, observable, order=order, times=times, integrator="exact", neval=1, **options)
    assert result.converged
    assert not result.sdev.any()
    return result


def by_order(result: nnqft.Result) -> np.ndarray:
    """[n, m]: what n vertices contribute; there is no width."""
    assert result.series.widths == (0,)
    return np.array([result.contribution(n, 0).mean for n in range(result.request.order + 1)])


# Equal times: the stationary density.

QUARTIC = {1: 1.0, 3: 1.0}


@pytest.mark.parametrize(
    ("k", "wanted"),
    [(2, [1, -3, 24, -297]), (4, [0, -6, 126, -2682]), (6, [0, 0, 360, -17280])],
)
def test_quartic_potential(k, wanted):
    """μ = D = 1: the cumulants of e^{−x²/2 − εx⁴/4}."""
    assert wanted == oracles.langevin_cumulants(1, {3: 1}, 2, ORDER, k)
    order = 2 if k == 6 else ORDER
    found = by_order(exact(langevin(QUARTIC), "cumulant", order, [(0.0,) * k]))[:, 0]
    assert_allclose(found, wanted[: order + 1], rtol=1e-12, atol=1e-12)


def test_quartic_potential_in_fractions():
    result = exact(langevin(QUARTIC), "two_point", ORDER)
    assert [result.closed_form(n, 0).at_zero for n in range(ORDER + 1)] == [1, -3, 24, -297]


def test_quartic_potential_by_sampling():
    result = nnqft.compute(langevin(QUARTIC), "two_point", order=ORDER, integrator="vegas", neval=300_000)
    for n, wanted in enumerate([1, -3, 24, -297]):
        part = result.contribution(n, 0)
        assert part.sdev[0] <= 0.01 * abs(wanted)
        assert abs(part.mean[0] - wanted) <= 4 * part.sdev[0] + 1e-9 * abs(wanted)


def monomial(**powers: int) -> str:
    """drift[p] to a power, as Result.by_coupling writes it, from a2=1, a3=2."""
    names = [(f"drift[{name[1:]}]", power) for name, power in sorted(powers.items()) if power]
    return " ".join(name if power == 1 else f"{name}^{power}" for name, power in names) or "1"


def test_third_cumulant_of_a_skew_potential():
    """κ_3 = −2a + 42ab − 32a³ − 894ab² + … for the drift x + ax² + bx³, D = 1."""
    a, b = 0.3, 0.2
    result = exact(langevin({1: 1.0, 2: a, 3: b}), "cumulant", ORDER, [(0.0, 0.0, 0.0)])
    wanted = {(1, 0): -2, (1, 1): 42, (3, 0): -32, (1, 2): -894}
    assert wanted == oracles.langevin_cumulants(1, {2: 1, 3: 1}, 2, ORDER, 3)
    assert set(result.by_coupling) == {monomial(a2=i, a3=j) for i, j in wanted}
    for (i, j), coefficient in wanted.items():
        part = result.by_coupling[monomial(a2=i, a3=j)]
        assert_allclose(part.mean, coefficient * a**i * b**j, rtol=1e-12)
    assert_allclose(result.mean, sum(c * a**i * b**j for (i, j), c in wanted.items()), rtol=1e-12)


@pytest.mark.parametrize("k", [1, 2, 3, 4])
@pytest.mark.parametrize(
    "drift",
    [{1: 1.0, 2: 0.3, 3: 0.5}, {0: 0.4, 1: 1.3, 3: 0.5}, {0: -0.4, 1: 0.7, 2: 0.2, 4: -0.1}, {1: 2.0, 5: 0.3}],
    ids=str,
)
def test_cumulants_of_any_potential(drift, k):
    """By each product of couplings, the constant of the drift among them."""
    order = 2 if k == 4 else ORDER
    mu, others = Fraction(drift[1]), {p: Fraction(a) for p, a in drift.items() if p != 1}
    noise = Fraction(NOISE)
    series = oracles.langevin_cumulants(mu, dict.fromkeys(others, 1), noise, order, k)
    if isinstance(series, list):
        series = {(n,): c for n, c in enumerate(series) if c}
    result = exact(langevin(drift, NOISE), "cumulant", order, [(0.0,) * k])
    wanted = {}
    for powers, coefficient in series.items():
        value = coefficient * prod(a**n for a, n in zip(others.values(), powers, strict=True))
        wanted[monomial(**{f"a{p}": n for p, n in zip(others, powers, strict=True)})] = float(value)
    found = {name: part.mean[0] for name, part in result.by_coupling.items()}
    scale = max(map(abs, wanted.values()), default=1.0)
    # Monomials whose diagrams cancel, or that have none, may be listed as 0 or not at all.
    for name in found.keys() | wanted.keys():
        assert found.get(name, 0.0) == pytest.approx(wanted.get(name, 0.0), rel=1e-11, abs=1e-13 * scale)


def test_the_mean_is_the_first_cumulant():
    theory = langevin({0: 0.4, 1: 1.3, 2: 0.2}, NOISE)
    mean, cumulant = (by_order(exact(theory, name, ORDER, [(0.0,)])) for name in ("mean", "cumulant"))
    assert_array_equal(mean, cumulant)
    series = oracles.langevin_cumulants(Fraction(1.3), {0: 1, 2: 1}, Fraction(NOISE), ORDER, 1)
    wanted = np.zeros(ORDER + 1)
    for (i, j), c in series.items():
        wanted[i + j] += float(c) * 0.4**i * 0.2**j
    assert_allclose(mean[:, 0], wanted, rtol=1e-12, atol=1e-14)


def test_a_constant_drift_alone_moves_the_mean():
    """dx = −(μ x + a_0) dt: ⟨x⟩ = −a_0/μ, from rest with 1 − e^{−μt}; nothing else changes."""
    theory = langevin({0: 0.4, 1: 1.3}, NOISE)
    assert_allclose(by_order(exact(theory, "mean", 2))[:, 0], [0, -0.4 / 1.3, 0], atol=1e-14)
    times = np.array([[0.0], [0.5], [3.0]])
    rest = by_order(exact(langevin({0: 0.4, 1: 1.3}, NOISE, "rest"), "mean", 2, times))
    assert_allclose(rest[1], -0.4 / 1.3 * -np.expm1(-1.3 * times[:, 0]), rtol=1e-12)
    assert_array_equal(rest[2], 0)
    moment = by_order(exact(theory, "two_point", 2))[:, 0]
    assert_allclose(moment, [NOISE / 2.6, 0, (0.4 / 1.3) ** 2], rtol=1e-12, atol=1e-14)
    cumulant = by_order(exact(theory, "cumulant", 2, [(0.0, 0.0)]))[:, 0]
    assert_allclose(cumulant, [NOISE / 2.6, 0, 0], rtol=1e-12, atol=1e-14)


# Any times: the generator on polynomials, one power of w for each vertex.


def generator(drift: Mapping[int, float], noise: float, order: int):
    """L = −(μ x + w Σ_p a_p x^p) d/dx + (noise/2) d²/dx², cut above w^order."""
    others = {p: -a for p, a in drift.items() if p != 1}
    # The oracle of one site cuts above an even power of w; what is beyond `order` is never read.
    return oracles.site_generator(others, drift[1], noise, (order + 1) // 2, with_bias=False)


def moments(drift, noise, times, *, order: int, start: str, kicked: float | None = None) -> np.ndarray:
    """⟨x(t1) … x(tk)⟩ at one tuple of times: coefficients of w^0 … w^order.

    With `kicked` the response of that moment to a kick of x then: every time must be later, or it is 0.
    """
    act = generator(drift, noise, order)
    marks = sorted(times, reverse=True)
    f: oracles.Polynomial = {(0, 0, 0): 1.0}
    for n, t in enumerate(marks):
        f = {(j, i + 1, q): value for (j, i, q), value in f.items()}
        below = kicked if kicked is not None else (0.0 if start == "rest" else -inf)
        after = marks[n + 1] if n + 1 < len(marks) else below
        f = oracles.propagate(f, act, t - after)
    if kicked is not None:
        slope = defaultdict(float)
        for (j, i, q), value in f.items():
            if i:
                slope[j, i - 1, q] += i * value
        f = oracles.propagate(slope, act, kicked if start == "rest" else inf)
    out = np.zeros(order + 1)
    for (j, i, _), value in f.items():
        if i == 0 and j <= order:
            out[j] += value
    return out


def truncated_product(series: list[np.ndarray]) -> np.ndarray:
    total = series[0]
    for other in series[1:]:
        total = np.convolve(total, other)[: len(total)]
    return total


def cumulants(drift, noise, times, *, order: int, start: str) -> np.ndarray:
    """The joint cumulant: moments by set partitions, (−1)^{b−1} (b−1)! for b blocks."""
    total = np.zeros(order + 1)
    for blocks in partitions(list(range(len(times)))):
        parts = [moments(drift, noise, [times[n] for n in block], order=order, start=start) for block in blocks]
        total += (-1) ** (len(blocks) - 1) * factorial(len(blocks) - 1) * truncated_product(parts)
    return total


def partitions(items: list[int]) -> list[list[list[int]]]:
    if not items:
        return [[]]
    first, *rest = items
    found = []
    for blocks in partitions(rest):
        found.append([[first], *blocks])
        found += [[*blocks[:n], [first, *blocks[n]], *blocks[n + 1 :]] for n in range(len(blocks))]
    return found


@pytest.mark.parametrize("start", ["stationary", "rest"])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_cumulants_at_any_times(start, k):
    times = [row[:k] for row in (TRIPLES if start == "stationary" else REST_TRIPLES)]
    found = by_order(exact(langevin(MIXED, NOISE, start), "cumulant", ORDER, times))
    wanted = np.transpose([cumulants(MIXED, NOISE, row, order=ORDER, start=start) for row in times])
    assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("start", ["stationary", "rest"])
def test_fourth_cumulant_at_any_times(start):
    times = [(*row, row[0] + 0.3) for row in (TRIPLES if start == "stationary" else REST_TRIPLES)[:3]]
    found = by_order(exact(langevin(MIXED, NOISE, start), "cumulant", 2, times))
    wanted = np.transpose([cumulants(MIXED, NOISE, row, order=2, start=start) for row in times])
    assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("start", ["stationary", "rest"])
def test_the_moment_at_any_times(start):
    """⟨x x⟩ with its disconnected part, and a constant in the drift."""
    drift = MIXED | {0: 0.4}
    times = [row[:2] for row in (TRIPLES if start == "stationary" else REST_TRIPLES)]
    found = by_order(exact(langevin(drift, NOISE, start), "two_point", 2, times))
    wanted = np.transpose([moments(drift, NOISE, row, order=2, start=start) for row in times])
    assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("start", ["stationary", "rest"])
def test_cumulants_at_three_times_by_sampling(start):
    row = (TRIPLES if start == "stationary" else REST_TRIPLES)[1]
    result = nnqft.compute(
        langevin(MIXED, NOISE, start), "cumulant", order=2, times=[row], integrator="vegas", neval=200_000, seed=5
    )
    wanted = cumulants(MIXED, NOISE, row, order=2, start=start)
    for n in (1, 2):
        part = result.contribution(n, 0)
        assert 0 < part.sdev[0] < 0.01 * abs(wanted[n])
        assert abs(part.mean[0] - wanted[n]) < 4 * part.sdev[0]


@given(
    st.dictionaries(st.integers(0, 4).filter(lambda p: p != 1), own.COEFFICIENTS, min_size=1, max_size=2),
    st.lists(st.sampled_from([0.2, 0.5, 0.9, 1.6]), min_size=1, max_size=3),
    st.sampled_from(["stationary", "rest"]),
)
@settings(deadline=None, max_examples=20)
def test_any_drift_at_any_times(others, times, start):
    drift = {1: 1.3} | {p: float(a) for p, a in others.items()}
    found = by_order(exact(langevin(drift, NOISE, start), "cumulant", 2, [tuple(times)]))[:, 0]
    wanted = cumulants(drift, NOISE, times, order=2, start=start)
    assert_allclose(found, wanted, rtol=1e-9, atol=1e-11 * (1 + np.abs(wanted).max()))


def test_the_order_of_the_times_does_not_matter():
    orders = [(0.9, 0.4, 0.0), (0.0, 0.4, 0.9), (0.4, 0.9, 0.0)]
    found = by_order(exact(langevin(MIXED, NOISE), "cumulant", ORDER, orders))
    assert_allclose(found, found[:, :1] * np.ones(3), rtol=1e-11, atol=1e-13)


def test_the_memory_of_the_start_fades():
    shift = 40.0
    late = [tuple(t + shift for t in row) for row in TRIPLES]
    rest, stationary = (
        by_order(exact(langevin(MIXED, NOISE, start), "cumulant", 2, times))
        for start, times in (("rest", late), ("stationary", TRIPLES))
    )
    assert_allclose(rest, stationary, rtol=1e-9, atol=1e-11)


def test_the_units_of_x_and_of_time():
    """x → λx turns a_p into a_p λ^{1−p} and the noise into λ² noise; time → time/s multiplies all rates by s."""
    stretch, speed = 1.7, 2.3
    theory = langevin(MIXED, NOISE)
    scaled = langevin(
        {p: a * speed * stretch ** (1 - p) for p, a in MIXED.items()}, NOISE * speed * stretch**2
    )  # fmt: skip
    times = np.array(TRIPLES)
    one, other = exact(theory, "cumulant", ORDER, times), exact(scaled, "cumulant", ORDER, times / speed)
    assert_allclose(by_order(other), by_order(one) * stretch**3, rtol=1e-11, atol=1e-13)


# The response.


@pytest.mark.parametrize("start", ["stationary", "rest"])
def test_response(start):
    times = [(0.9, 0.4), (2.5, 0.3), (0.4, 0.4), (0.3, 0.9)]
    drift = MIXED | {0: 0.4}
    result = exact(langevin(drift, NOISE, start), "response", 2, times)
    wanted = [
        moments(drift, NOISE, (t,), order=2, start=start, kicked=s) if t > s else np.zeros(3) for t, s in times
    ]  # fmt: skip
    assert_allclose(by_order(result), np.transpose(wanted), rtol=1e-10, atol=1e-13)
    assert_array_equal(result.mean[2:], 0)


@pytest.mark.parametrize("drift", [QUARTIC, MIXED, {0: 0.4, 1: 1.0, 2: 0.3}], ids=str)
@pytest.mark.parametrize("noise", [2.0, 0.7])
def test_fluctuations_and_response_are_tied(drift, noise):
    """R(τ) = −(1/D) dC/dτ, D = noise/2, in every order: the drift has a potential, so the state is an equilibrium."""
    nodes = np.polynomial.chebyshev.Chebyshev.basis(24, domain=[0.1, 3.1]).roots()
    theory = langevin(drift, noise)
    pairs = np.column_stack([nodes, np.zeros_like(nodes)])
    correlation = by_order(exact(theory, "cumulant", ORDER, pairs))
    response = by_order(exact(theory, "response", ORDER, pairs))
    for n in range(ORDER + 1):
        fit = np.polynomial.Chebyshev.fit(nodes, correlation[n], 23, domain=[0.1, 3.1])
        scale = np.abs(response[n]).max()
        assert_allclose(-fit.deriv()(nodes) / (noise / 2), response[n], atol=1e-9 * (scale + 1))
        assert scale > 0 or set(drift) == {0, 1, 2}


def test_fluctuations_and_response_are_tied_in_fractions():
    theory = langevin(QUARTIC)
    correlation, response = (exact(theory, name, ORDER) for name in ("two_point", "response"))
    for n in range(ORDER + 1):
        slope = correlation.closed_form(n, 0).derivative()
        wanted = {rate: tuple(-c for c in polynomial) for rate, polynomial in slope.terms.items() if any(polynomial)}
        found = {rate: p for rate, p in response.closed_form(n, 0).terms.items() if any(p)}
        assert found == wanted


def test_the_response_is_that_of_the_mean_to_a_push():
    """dC/da_0 of ⟨x(t)⟩ at a_0 = 0 is −∫ R(t, s) ds."""
    drift = {1: 1.2, 2: 0.3, 3: 0.5}
    response = exact(langevin(drift, NOISE), "response", 2)
    forms = [response.closed_form(n, 0) for n in range(3)]
    totals = []
    for form in forms:
        gamma, total = float(form.gamma), 0.0
        for rate, polynomial in form.terms.items():
            # ∫ (γτ)^n e^{−cγτ} dτ = n!/(γ c^{n+1})
            total += sum(float(c) * factorial(n) / float(rate) ** (n + 1) for n, c in enumerate(polynomial)) / gamma
        totals.append(total)
    pushed = exact(langevin(drift | {0: 1.0}, NOISE), "mean", ORDER)
    for n in range(3):
        names = [monomial(a0=1, a2=i, a3=n - i) for i in range(n + 1)]
        slope = sum(pushed.by_coupling[name].mean[0] for name in names if name in pushed.by_coupling)
        assert slope == pytest.approx(-totals[n], rel=1e-11, abs=1e-14)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"drift": {3: 1.0}}, r"drift\[1\]=0: x = 0 is a minimum of the potential without curvature"),
        ({"drift": {0: 0.0, 3: -1.0}}, r"drift\[1\]=0: x = 0 is no minimum of the potential, and it has none"),
        ({"drift": {1: -1e-9, 3: 1.0}}, r"x = 0 is no minimum of the potential, and those it has are almost flat"),
        ({"drift": {1: -1.0, 3: 1.0}}, r"drift\[1\]=-1: .* shift x to a minimum"),
        ({"drift": None}, r"drift\[1\]=0: x = 0 is no minimum"),
        ({"drift": {1: 1.0, -1: 1.0}}, "drift has the power -1, wanted a whole number ≥ 0"),
        ({"drift": {1: 1.0, 15: 1.0}}, "wanted powers from 0 to 14, write drift="),
        ({"drift": 1.0}, "drift=1.0: wanted powers and coefficients, write drift="),
        ({"noise": -1.0}, "noise=-1.0: wanted a number from 0"),
        ({"gamma": 1.0}, "unknown parameter 'gamma' of model 'langevin'"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(given, message):
    with pytest.raises(nnqft.InputError, match=message) as caught:
        nnqft.theory("langevin", **given)
    assert "\n" not in str(caught.value)


# No time at all.


def toy(action: Mapping[int, float]) -> nnqft.Theory:
    return nnqft.theory("toy", action=dict(action))


def moment_of(action: Mapping[int, Fraction], order: int, k: int) -> np.ndarray:
    """⟨z^k⟩ by the number of vertices, at these couplings."""
    series = oracles.toy_moment(dict.fromkeys(action, 1), order, k)
    items = series.items() if isinstance(series, dict) else [((n,), c) for n, c in enumerate(series)]
    out = [Fraction(0)] * (order + 1)
    for powers, c in items:
        out[sum(powers)] += c * prod(Fraction(g) ** n for g, n in zip(action.values(), powers, strict=True))
    return np.array([float(x) for x in out])


def test_quartic_integral():
    found = by_order(exact(toy({4: 1.0}), "two_point", 4))[:, 0]
    assert_allclose(found, [1, -1 / 2, 2 / 3, -11 / 8, 34 / 9], rtol=1e-14)


def test_quartic_integral_in_fractions():
    result = exact(toy({4: 1.0}), "two_point", 4)
    wanted = [1, Fraction(-1, 2), Fraction(2, 3), Fraction(-11, 8), Fraction(34, 9)]
    assert [result.closed_form(n, 0).at_zero for n in range(5)] == wanted


@pytest.mark.parametrize("integrator", ["exact", "vegas", "auto"])
def test_every_integrator_is_exact_where_nothing_is_integrated(integrator):
    theory = toy({3: 0.2, 4: 0.6})
    result = nnqft.compute(theory, "two_point", order=3, integrator=integrator, neval=100)
    assert_array_equal(result.sdev, 0)
    assert_allclose(by_order(result)[:, 0], moment_of({3: 0.2, 4: 0.6}, 3, 2), rtol=1e-13, atol=1e-15)


@given(
    st.dictionaries(st.integers(1, 6), own.COEFFICIENTS, min_size=1, max_size=2),
    st.integers(0, 3),
)
@settings(deadline=None, max_examples=20)
def test_mean_and_variance_of_any_action(action, order):
    theory = toy({p: float(g) for p, g in action.items()})
    for name, k in (("mean", 1), ("two_point", 2)):
        found = by_order(exact(theory, name, order))[:, 0]
        assert_allclose(found, moment_of(action, order, k), rtol=1e-12, atol=1e-13 * max(1.0, np.abs(found).max()))


@given(st.dictionaries(st.integers(3, 5), own.COEFFICIENTS, min_size=1, max_size=2), st.integers(1, 4))
@settings(deadline=None, max_examples=15)
def test_cumulants_of_any_action(action, k):
    order = 2
    found = by_order(exact(toy({p: float(g) for p, g in action.items()}), "cumulant", order, [(0.0,) * k]))[:, 0]
    powers = [moment_of(action, order, n) for n in range(k + 1)]
    wanted: list[np.ndarray] = [np.zeros(order + 1)]
    for n in range(1, k + 1):
        split = [comb(n - 1, j - 1) * truncated_product([wanted[j], powers[n - j]]) for j in range(1, n)]
        wanted.append(powers[n] - sum(split))
    assert_allclose(found, wanted[k], rtol=1e-12, atol=1e-12 * max(1.0, np.abs(found).max()))


def test_fourth_cumulant():
    """−λ + 7λ²/2 − 149λ³/12 + …, here with λ = 0.6."""
    found = by_order(exact(toy({4: 0.6}), "cumulant", 3, [(0.0,) * 4]))[:, 0]
    series = oracles.langevin_cumulants(1, {3: Fraction(1, 6)}, 2, 3, 4)
    assert_allclose(found, [float(c) * 0.6**n for n, c in enumerate(series)], rtol=1e-13, atol=1e-15)
    assert series[:3] == [0, -1, Fraction(7, 2)]


def test_couplings_of_an_action_are_told_apart():
    g3, g4 = 0.3, 0.7
    result = exact(toy({3: g3, 4: g4}), "two_point", 3)
    series = oracles.toy_moment({3: 1, 4: 1}, 3, 2)
    names = {
        " ".join(f"action[{p}]" + (f"^{n}" if n > 1 else "") for p, n in zip((3, 4), powers, strict=True) if n)
        or "1": float(c) * g3 ** powers[0] * g4 ** powers[1]
        for powers, c in series.items()
    }
    assert {name: part.mean[0] for name, part in result.by_coupling.items()} == pytest.approx(names, rel=1e-13)


def test_the_times_of_a_plain_integral_mean_nothing():
    theory = toy({4: 0.6})
    result = exact(theory, "two_point", 2, [(0.0, 0.0), (3.0, 1.0), (-1.0, 7.0)])
    assert_allclose(result.mean, result.mean[0], rtol=1e-13)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"start": "rest"}, "model 'toy' has no start 'rest'; write start='stationary'"),
        ({"action": {0: 1.0}}, r"action\[0\]: a constant only changes the normalisation; leave it out"),
        ({"action": {}}, "wanted powers from 0 to 14, write action="),
        ({"action": {4: "1"}}, r"action\[4\]='1': wanted a number"),
        ({"action": 4}, "action=4: wanted powers and coefficients"),
    ],
    ids=str,
)
def test_what_makes_no_sense_in_an_action_is_refused(given, message):
    with pytest.raises(nnqft.InputError, match=message) as caught:
        nnqft.theory("toy", **given)
    assert "\n" not in str(caught.value)


def test_no_response_in_a_plain_integral():
    with pytest.raises(nnqft.InputError, match="model 'toy' has no field 'z', which the observable asks for"):
        nnqft.diagrams(toy({4: 1.0}), "response", order=1)


def test_models_without_an_index_have_one_width():
    for theory, order in product((toy({3: 1.0, 4: 1.0}), langevin(MIXED)), (0, 2)):
        assert set(nnqft.diagrams(theory, "two_point", order=order).widths.tolist()) == {0}
