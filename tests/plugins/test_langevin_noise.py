"""Langevin equations whose noise depends on x, remembers, or starts with a variance, against their generator.

d⟨f⟩/dt = ⟨L f⟩ with L = (η − Σ_p a_p x^p) ∂_x + ½ Σ_p d_p x^p ∂_x² − λ η ∂_η + λ s ∂_η² on polynomials of x and an
Ornstein-Uhlenbeck η of rate λ and variance s; a power of w counts vertices. No diagrams.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from math import comb, prod

import numpy as np
import oracles
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import nnqft
from nnqft.graphs.census import take_census
from nnqft.graphs.generate import generate
from nnqft.graphs.layout import lay_out
from nnqft.results.truncation import Beyond

ORDER = 3


def generator(drift: Mapping[int, float], noise: Mapping[int, float], colour: tuple[float, float]):
    """L on monomials w^j x^i η^q, cut above w^ORDER."""
    rate, variance = colour

    def act(monomial):
        j, i, q = monomial
        image = defaultdict(float)
        if i:
            for p, a in drift.items():
                image[j + (p != 1), i - 1 + p, q] -= i * a
            if variance:
                image[j, i - 1, q + 1] += i
        if i > 1:
            for p, d in noise.items():
                image[j + (p != 0), i - 2 + p, q] += d / 2 * i * (i - 1)
        image[j, i, q] -= rate * q
        if q > 1:
            image[j, i, q - 2] += rate * variance * q * (q - 1)
        return {key: value for key, value in image.items() if key[0] <= ORDER and value}

    return act


def at_start(i: int, x_0: float, C_0: float) -> float:
    """⟨x^i⟩ of a Gaussian of this mean and variance."""
    return sum(comb(i, k) * x_0 ** (i - k) * oracles.gaussian_moment(k) * C_0 ** (k / 2) for k in range(i + 1))


def moment(drift, noise, times, *, start="stationary", colour=(1.0, 0.0), C_0=0.0, x_0=0.0, kicked=None) -> np.ndarray:
    """⟨x(t1) … x(tk)⟩ by powers of w; with `kicked` its response to a kick then."""
    act = generator(drift, noise, colour)
    marks, f = sorted(times, reverse=True), {(0, 0, 0): 1.0}
    kicks = [] if kicked is None else [kicked]
    begin = 0.0 if start == "rest" else min([*marks, *kicks]) - 60.0
    steps = [*marks, *kicks, begin]
    for n, t in enumerate(marks):
        f = oracles.propagate({(j, i + 1, q): value for (j, i, q), value in f.items()}, act, t - steps[n + 1])
    if kicked is not None:
        slope = defaultdict(float)
        for (j, i, q), value in f.items():
            if i:
                slope[j, i - 1, q] += i * value
        f = oracles.propagate(slope, act, kicked - begin)
    out = np.zeros(ORDER + 1)
    for (j, i, q), value in f.items():
        out[j] += value * at_start(i, x_0, C_0) * oracles.gaussian_moment(q) * colour[1] ** (q / 2)
    return out


def by_order(result: nnqft.Result) -> np.ndarray:
    return np.array([result.contribution(n, 0).mean for n in range(result.request.order + 1)])


CASES = {
    "depends on x": ({1: 1.2}, {0: 1.6, 1: 0.3, 2: 0.4}, (1.0, 0.0), 0.0),
    "and a drift": ({0: 0.3, 1: 1.2, 2: 0.2, 3: 0.5}, {0: 1.6, 2: 0.4}, (1.0, 0.0), 0.0),
    "of a high power": ({1: 1.2}, {0: 1.6, 4: 0.1}, (1.0, 0.0), 0.0),
    "only where x is": ({1: 1.2, 3: 0.1}, {2: 0.4}, (1.0, 0.0), 0.7),
    "coloured": ({1: 1.2, 2: 0.2, 3: 0.5}, {0: 1.6}, (0.7, 0.9), 0.0),
    "coloured, slow": ({1: 1.2, 3: 0.5}, {0: 0.4}, (0.01, 0.5), 0.0),
    # Not at it: matrix exponentials of the oracle are wrong where two rates are equal.
    "coloured at the rate of x": ({1: 1.2, 3: 0.5}, {0: 0.4}, (1.2 * (1 + 1e-9), 0.5), 0.3),
    "all": ({0: 0.2, 1: 1.2, 3: 0.5}, {0: 1.1, 1: 0.2, 2: 0.3}, (2.5, 0.8), 0.6),
}
TIMES = [(0.9, 0.4), (0.4, 0.9), (2.0, 2.0), (1.3, 0.0)]


@pytest.mark.parametrize("start", ["stationary", "rest"])
@pytest.mark.parametrize("case", CASES)
def test_moments_by_order(case, start):
    drift, noise, colour, C_0 = CASES[case]
    own = {"C_0": C_0} if start == "rest" else {}
    theory = nnqft.theory("langevin", start=start, drift=drift, noise=noise, coloured={colour[0]: colour[1]}, **own)
    order = 2 if "colour" in case or case in ("of a high power", "all") else ORDER
    oracle = {"start": start, "colour": colour, **own}
    for name, times in (("two_point", TIMES), ("mean", [(0.3,), (2.0,)])):
        result = nnqft.compute(theory, name, order=order, times=times)
        wanted = np.transpose([moment(drift, noise, row, **oracle) for row in times])[: order + 1]
        # Where the rates are equal there are too many exponentials for exact sums at order 2.
        errors = np.array([result.contribution(n, 0).sdev for n in range(order + 1)])
        assert errors.max() <= (2e-3 if case == "coloured at the rate of x" else 0.0) * np.abs(wanted).max()
        rounding = (1e-6 if case == "coloured at the rate of x" else 2e-9) * (1 + np.abs(wanted).max())
        assert (np.abs(by_order(result) - wanted) <= 4 * errors + rounding).all()
    order = min(order, 1 if case == "coloured at the rate of x" else order)
    rtol = 1e-6 if case == "coloured at the rate of x" else 2e-9
    found = by_order(nnqft.compute(theory, "response", order=order, times=[(0.9, 0.4), (2.0, 0.1)]))
    wanted = np.transpose([moment(drift, noise, (t,), kicked=s, **oracle) for t, s in [(0.9, 0.4), (2.0, 0.1)]])
    assert_allclose(found, wanted[: order + 1], rtol=rtol, atol=rtol * (1 + np.abs(wanted).max()))


@pytest.mark.parametrize("case", ["and a drift", "only where x is", "all"])
@pytest.mark.parametrize("x_0", [1.5, -0.7])
def test_initial_value_by_order(case, x_0):
    drift, noise, colour, C_0 = CASES[case]
    own = {"C_0": C_0, "x_0": x_0}
    coloured = {colour[0]: colour[1]} if case == "all" else 0.0
    theory = nnqft.theory("langevin", start="rest", drift=drift, noise=noise, coloured=coloured, **own)
    oracle = {"start": "rest", "colour": colour if case == "all" else (1.0, 0.0), **own}
    order = 1 if case == "all" else 2
    means = [(0.0,), (0.3,), (2.0,)]
    for name, times in (("two_point", [*TIMES, (0.0, 0.0)]), ("mean", means)):
        found = by_order(nnqft.compute(theory, name, order=order, times=times))
        wanted = np.transpose([moment(drift, noise, row, **oracle) for row in times])[: order + 1]
        assert_allclose(found, wanted, rtol=2e-9, atol=2e-9)
    found = by_order(nnqft.compute(theory, "response", order=order, times=[(0.9, 0.4), (2.0, 0.1)]))
    wanted = np.transpose([moment(drift, noise, (t,), kicked=s, **oracle) for t, s in [(0.9, 0.4), (2.0, 0.1)]])
    assert_allclose(found, wanted[: order + 1], rtol=2e-9, atol=2e-9)
    # A cumulant by orders: ⟨xy⟩ less the product of the two series of means.
    both = np.array([moment(drift, noise, row, **oracle) for row in TIMES])
    one, two = (np.array([moment(drift, noise, (row[k],), **oracle) for row in TIMES]) for k in (0, 1))
    cut = [both[:, n] - sum(one[:, k] * two[:, n - k] for k in range(n + 1)) for n in range(order + 1)]
    assert_allclose(by_order(nnqft.compute(theory, "cumulant", order=order, times=TIMES)), cut, rtol=2e-9, atol=2e-9)


def test_noise_that_grows_with_x_sums_to_its_stationary_variance():
    """D = d_0 + d_2 x²: ⟨x²⟩ = d_0/(2μ − d_2), a geometric series; its fourth moment likewise."""
    theory = nnqft.theory("langevin", drift={1: 1.3}, noise={0: 0.8, 2: 0.5})
    found = by_order(nnqft.compute(theory, "two_point", order=6))[:, 0]
    assert_allclose(found, [0.8 / 2.6 * (0.5 / 2.6) ** n for n in range(7)], rtol=1e-12)


@given(
    st.dictionaries(st.sampled_from([0, 1, 2, 3]), st.sampled_from([-0.4, 0.2, 0.7]), max_size=3),
    st.sampled_from([(0.9, 0.2), (0.5, 0.5)]),
)
@settings(deadline=None, max_examples=10)
def test_stratonovich_is_ito_with_a_quarter_of_the_slope(noise, times):
    noise = {**noise, 0: 1.0}
    drift = {0: 0.3, 1: 1.5, 3: 0.2}
    moved = dict(drift)
    for p, d in noise.items():
        if p:
            moved[p - 1] = moved.get(p - 1, 0.0) - p * d / 4
    found = nnqft.compute(
        nnqft.theory("langevin", drift=drift, noise=noise, calculus="stratonovich"), "two_point", order=2, times=[times]
    )
    wanted = nnqft.compute(nnqft.theory("langevin", drift=moved, noise=noise), "two_point", order=2, times=[times])
    assert_allclose(found.mean, wanted.mean, rtol=1e-12, atol=1e-14)


def test_stratonovich_against_paths():
    """Heun's scheme is Stratonovich's, Euler's is Itô's: both at D = 1 + x²/2."""
    rng = np.random.default_rng(5)
    for calculus in ("ito", "stratonovich"):
        x, step, squares = np.zeros(6_000), 0.005, []
        for n in range(1600):
            kick = rng.normal(size=x.size) * step**0.5
            g = np.sqrt(1 + x**2 / 2)
            guess = x - 2 * x * step + g * kick
            if calculus == "stratonovich":
                guess = x - (x + guess) * step + (g + np.sqrt(1 + guess**2 / 2)) / 2 * kick
            x = guess
            if n > 500 and n % 100 == 0:
                squares.append((x**2).mean())
        theory = nnqft.theory("langevin", drift={1: 2.0}, noise={0: 1.0, 2: 0.5}, calculus=calculus)
        summed = nnqft.compute(theory, "two_point", order=8).mean[0]
        # Itô: 1/(4 − 1/2); Stratonovich relaxes more slowly, at 2 − 1/4.
        assert summed == pytest.approx({"ito": 1 / 3.5, "stratonovich": 1 / 3}[calculus], rel=1e-5)
        assert np.mean(squares) == pytest.approx(summed, rel=0.02)


def test_many_colours_add_up():
    """The covariance of Σ_k η_k through a leak, at order 0, by quadrature-free closed form."""
    colours = {0.3: 0.5, 2.0: 1.1, 1.0: 0.2}
    theory = nnqft.theory("langevin", drift={1: 1.0}, noise=0.7, coloured=colours)
    lags = np.array([0.0, 0.4, 3.0])
    wanted = 0.35 * np.exp(-lags)
    for rate, s in colours.items():
        wanted = wanted + (
            s * (np.exp(-rate * lags) - rate * np.exp(-lags)) / (1 - rate**2)
            if rate != 1
            else s / 2 * (1 + lags) * np.exp(-lags)
        )
    assert_allclose(nnqft.compute(theory, "two_point", order=0, tau=lags).mean, wanted, rtol=1e-10)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"noise": -1.0}, "noise=-1.0: wanted a number from 0"),
        ({"noise": {0: -1.0, 2: 1.0}}, "wanted a number from 0 to 1e9 at x = 0"),
        ({"noise": {"0": 1.0}}, r"noise has the power '0', .* write noise=\{0: 2.0, 2: 0.5\}"),
        ({"noise": "much"}, "noise='much': wanted a number, write for example noise=2.0"),
        ({"calculus": "Ito"}, "did you mean 'ito'"),
        ({"coloured": {-1.0: 1.0}}, "coloured="),
        ({"C_0": 1.0}, "C_0=1 is the variance at the start; write start='rest'"),
        ({"x_0": 1.0}, "x_0=1 is the mean at the start; write start='rest'"),
        ({"drift": {1: 0.1}, "noise": {0: 1.0, 2: 1.0}, "calculus": "stratonovich"}, "wanted drift"),
    ],
)
def test_what_is_no_noise_is_refused(asked, message):
    with pytest.raises(nnqft.InputError, match=message):
        nnqft.theory("langevin", **asked)


def test_noise_that_would_be_negative_is_said():
    remarks = nnqft.theory("langevin", noise={0: 1.0, 1: 0.5}).remarks
    assert any("negative for some x" in line for line in remarks)
    assert len(nnqft.theory("langevin", noise={0: 1.0, 1: 0.5, 2: 0.1}).remarks) == 1
    assert nnqft.theory("langevin", noise=np.polynomial.Polynomial([1, 0, 0.5])).couplings["noise[2]"] == 0.5
    assert prod(nnqft.theory("langevin", noise={0: 1.0}).couplings.values()) == 1.0


EVERYTHING = {"drift": {1: 1.2, 2: 0.3, 3: 0.2}, "noise": {0: 1.0, 1: 0.2, 2: 0.1}, "coloured": {0.7: 0.4}}
STARTED = nnqft.theory("langevin", start="rest", x_0=0.8, C_0=0.3, calculus="stratonovich", **EVERYTHING)


def test_sampled_with_an_initial_value():
    # Sources, multiplicative and coloured noise at once: the sampled sums are those of the exact integrator.
    times = [(1.1, 0.6), (2.0, 2.0), (0.0, 1.0), (0.0, 0.0)]
    exact = nnqft.compute(STARTED, "two_point", order=1, times=times)
    assert exact.integrators() == {"exact": len(exact.diagrams)}
    pulls = []
    for seed in range(3):
        found = nnqft.compute(STARTED, "two_point", order=1, times=times, integrator="vegas", neval=120_000, seed=seed)
        assert abs(found.mean[3] - exact.mean[3]) < 1e-12  # no time passed
        pulls.append((found.mean - exact.mean)[:3] / found.sdev[:3])
    assert np.abs(pulls).max() < 4
    assert np.mean(np.square(pulls)) < 2


def test_an_initial_value_in_files_and_ledgers(tmp_path):
    asked = {"order": 1, "times": [(1.0,), (2.0,)], "integrator": "vegas", "neval": 4_000}
    result = nnqft.compute(STARTED, "mean", ledger=tmp_path / "run.ledger", **asked)
    again = nnqft.compute(STARTED, "mean", ledger=tmp_path / "run.ledger", **asked)
    assert (again.mean == result.mean).all()
    result.save(tmp_path / "r.json")
    read = nnqft.load(tmp_path / "r.json")
    assert read.table() == result.table()
    assert [row.drawing for row in read.diagrams] == [row.drawing for row in result.diagrams]
    assert read.diagrams[0].drawing == "t t~a:M [a]"


def test_diagrams_with_sources_are_counted_beforehand():
    theory = nnqft.theory("langevin", start="rest", drift={1: 1.0, 2: 0.5, 3: 0.3}, x_0=1.0)
    legs = tuple(nnqft.Leg("h", n) for n in range(3))
    census = take_census(lay_out(theory, legs), 2, None, True)
    number = len(generate(theory, "cumulant", legs, order=2))
    assert abs(census.number - number) <= (4 * census.error if census.error else 0)


def test_sources_are_no_vertices_that_orders_grow_by():
    with_mean, without = (nnqft.theory("langevin", start="rest", x_0=x_0) for x_0 in (1.0, 0.0))
    assert Beyond.of(with_mean) == Beyond.of(without)
    # But a mean lets an odd number of legs have a series.
    legs = (nnqft.Leg("h"),)
    assert Beyond.of(with_mean, legs).orders
    assert not Beyond.of(without, legs).orders
