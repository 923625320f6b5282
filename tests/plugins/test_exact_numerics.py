"""Exact integrals against quadrature, sampling and high precision: values, and bounds of their rounding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise, permutations, product
from math import prod

import harness
import mpmath as mp
import numpy as np
import oracles
import pytest
from exact_cases import (
    CLOSE,
    EXACT,
    PHI_CUBIC,
    RATES,
    VEGAS,
    all_lines,
    coloured,
    exactly,
    in_high_precision,
    oscillator,
    parts,
    shaken,
)
from numpy.testing import assert_allclose
from theories import bare_theory

import nnqft
from nnqft import Propagator, Term, Theory, TimeIntegral
from nnqft.integrals.distinct import distinct_integrals


def quadrature(integral: TimeIntegral, times: Sequence[float], nodes: int = 14) -> float:
    """The integral from rest by Gauss–Legendre in every cell without kinks: one order of all times, external or not."""
    x, w = np.polynomial.legendre.leggauss(nodes)
    x, w = (x + 1) / 2, w / 2
    marks = sorted({0.0, *times})
    cells = list(pairwise(marks))
    total = 0.0
    for where in product(range(len(cells)), repeat=integral.dim):
        crowd = [[v for v, c in enumerate(where) if c == n] for n in range(len(cells))]
        for orders in product(*(permutations(points) for points in crowd)):
            total += _cell(integral, times, cells, orders, x, w)
    return total


def _cell(integral, times, cells, orders, x, w) -> float:
    axes = np.meshgrid(*[x] * integral.dim, indexing="ij")
    weight = prod(np.meshgrid(*[w] * integral.dim, indexing="ij"))
    point, axis = {}, 0
    for (low, high), order in zip(cells, orders, strict=True):
        top = high
        for v in order:  # latest first, each below the one before it
            point[v], weight = low + (top - low) * axes[axis], weight * (top - low)
            top, axis = point[v], axis + 1
    at = [*times, *(point[v] for v in range(integral.dim))]
    value = weight
    for line in all_lines(integral):
        t, s = at[line.end], at[line.start]
        value = value * integral.propagators[line.propagator](t, s) * ((t > s) if line.response else 1.0)
    return float(np.sum(value))


def rest_oscillator() -> Theory:
    """Lines with several exponentials, and with a start that is remembered at two rates; not of any real process."""
    theory = oscillator({2: 0.4, 3: 0.7})
    line = Propagator("C", "h", "h", terms=(Term(0.9, 0.6), Term(-0.4, 1.7, 0.8), Term(0.3, 0.0, 2.2)))
    return replace(theory, start="rest", propagators=(line, theory.propagators[1]))


QUADRATURE = {
    "memory": (shaken("rest"), "two_point", 1, (1.1, 0.3)),
    "memory, equal times": (shaken("rest"), "two_point", 1, (0.8, 0.8)),
    "several exponentials": (rest_oscillator(), "two_point", 2, (1.1, 0.3)),
    "three times": (rest_oscillator(), "cumulant", 2, (0.4, 1.1, 0.9)),
    "response": (rest_oscillator(), "response", 2, (1.4, 0.3)),
    "cubic": (bare_theory("cubic_tanh", start="rest", sigma_b=0.3), "two_point", 1, (0.5, 1.2)),
    "feedforward": (nnqft.theory("feedforward", start="rest", C_0=0.7), "cumulant", 2, (0.4, 1.1, 0.4, 0.9)),
}


@pytest.mark.parametrize("case", QUADRATURE)
def test_every_integral_against_quadrature(case):
    theory, observable, order, times = QUADRATURE[case]
    found = nnqft.diagrams(theory, observable, order=order, arity=len(times))
    integrals, _ = distinct_integrals(found, np.array([times]))
    for integral in integrals:
        values, bounds = EXACT.settle([integral])
        assert_allclose(values[0, 0], quadrature(integral, times), rtol=1e-10, atol=1e-14)
        assert bounds[0, 0] <= CLOSE * max(abs(values[0, 0]), 1e-2)


SAMPLED = {
    "linear": (bare_theory("linear", sigma_b=0.5, **RATES), "two_point", 4, (0.7, 0.0)),
    "cubic": (bare_theory("cubic_tanh", **RATES), "two_point", 2, (0.7, 0.0)),
    "cubic from rest": (bare_theory("cubic_tanh", start="rest", sigma_b=0.5, **RATES), "two_point", 2, (0.5, 1.3)),
    "quintic": (bare_theory("quintic", **RATES), "two_point", 2, (0.0, 0.0)),
    "feedforward": (nnqft.theory("feedforward", coefficients=PHI_CUBIC), "two_point", 2, (0.0, 0.0)),
    "langevin, four times": (nnqft.theory("langevin"), "cumulant", 2, (0.7, 0.2, 1.1, 0.7)),
    "coloured noise": (coloured({3: 0.7}), "cumulant", 2, (0.7, 0.2)),
    "oscillator": (oscillator({2: 0.4, 3: 0.7}), "two_point", 2, (0.7, 0.0)),
    "memory": (shaken(), "two_point", 2, (0.7, 0.0)),
    "memory from rest": (shaken("rest"), "two_point", 2, (0.5, 1.3)),
    "response": (nnqft.theory("langevin", drift={1: 1.0, 2: 0.4, 3: 1.0}), "response", 2, (1.3, 0.2)),
}


@cache
def sampled_cases(name: str) -> list[harness.Case]:
    """A few random integrals, with the values of the exact integrator as known."""
    theory, observable, order, times = SAMPLED[name]
    found = nnqft.diagrams(theory, observable, order=order, arity=len(times))
    integrals, _ = distinct_integrals(found, np.array([times]))
    integrals = [i for i in integrals if i.dim > 0]
    chosen = np.random.default_rng(11).permutation(len(integrals))[:8]
    return [harness.Case(f"{name} {n}", integrals[n], EXACT.settle([integrals[n]])[0][0]) for n in chosen]


def test_monte_carlo_agrees():
    cases = [case for name in SAMPLED for case in sampled_cases(name)]
    pulls = harness.measure(VEGAS, cases, repeats=6, neval=2048, seed=2)
    print(len(cases), pulls)
    assert len(cases) > 60
    assert not pulls.complaints, pulls.complaints


def test_monte_carlo_would_see_a_wrong_value():
    cases = [replace(case, exact=1.01 * case.exact) for name in SAMPLED for case in sampled_cases(name)]
    assert harness.measure(VEGAS, cases, repeats=6, neval=2048, seed=2).complaints


def test_memory_equals_the_same_factor_as_a_kernel():
    times = [(0.4, 0.4), (1.1, 0.3)]
    exact = exactly(shaken(), "two_point", order=1, times=times)
    sampled = nnqft.compute(shaken(kernel=True), "two_point", order=1, times=times, neval=200_000, seed=1)
    assert sampled.integrators() == {"exact": 1, "vegas": len(sampled.diagrams) - 1}
    assert (np.abs(sampled.mean - exact.mean) < 4 * sampled.sdev).all()
    assert (sampled.sdev < 1e-2 * sampled.mean).all()


@pytest.mark.parametrize("tau", [0.0, 1e-9, 0.01, 0.3, 1.0, 3.0, 10.0, 33.0, 100.0, 500.0])
@pytest.mark.parametrize(("model", "order"), [("linear", 3), ("cubic_tanh", 2)])
def test_rounding_stays_within_its_bound(model, order, tau):
    found = nnqft.diagrams(bare_theory(model), "two_point", order=order)
    integrals, _ = distinct_integrals(found, np.array([[tau, 0.0]]))
    integrals = integrals[:: 1 + len(integrals) // 30]
    with mp.workdps(50):
        for integral in integrals:
            values, bounds = EXACT.settle([integral])
            judge = in_high_precision(EXACT.closed_form(integral), tau)
            assert abs(mp.mpf(float(values[0, 0])) - judge) <= bounds[0, 0], (tau, integral.key)
            assert bounds[0, 0] < CLOSE * judge


def exact_chains(a: int, b: int, t: float, s: float) -> mp.mpf:
    """Two chains of responses from t and s, joined by (1/2)(e^{−|t−s|} − e^{−(t+s)}), γ = κ = 1, from 0."""
    if t < s:
        a, b, t, s = b, a, s, t
    gap, upper = mp.mpf(t) - mp.mpf(s), mp.mpf(s)
    total = mp.mpf(0)
    for j in range(a + 1):
        tail = mp.gammainc(b + j + 1, 0, 2 * upper) / mp.mpf(2) ** (b + j + 1)
        total += gap ** (a - j) / (mp.factorial(a - j) * mp.factorial(b) * mp.factorial(j)) * tail
    return mp.exp(-gap) * total


@pytest.mark.parametrize("times", [(0.01, 0.01), (0.5, 0.25), (3.0, 5.0), (40.0, 31.0), (300.0, 299.0)], ids=str)
def test_rounding_stays_within_its_bound_from_rest(times):
    theory = bare_theory("linear", start="rest")
    found = nnqft.diagrams(theory, "two_point", order=3)
    integrals, _ = distinct_integrals(found, np.array([times]))
    with mp.workdps(60):
        for integral in integrals:
            values, bounds = EXACT.settle([integral])
            judge = exact_chains(*harness.chain_lengths(integral), *times)
            assert abs(mp.mpf(float(values[0, 0])) - judge) <= bounds[0, 0], integral.key


def test_bounds_add_up_in_a_result():
    result = exactly(bare_theory("quintic"), "two_point", order=2, width_order=1, tau=[0.0, 0.7, 2.0])
    with mp.workdps(40):
        for (n, k), part in result.series.items():
            form = result.closed_form(n, k)
            for m, tau in enumerate((0.0, 0.7, 2.0)):
                gap = abs(mp.mpf(float(part.mean[m])) - in_high_precision(form, tau))
                assert gap <= part.rounding[m] < 1e-10
    assert (result.total.rounding < CLOSE).all()


def test_small_values_keep_their_digits():
    """Positive terms throughout: e^{−600} times a polynomial is as good as any number."""
    result = exactly(bare_theory("linear"), "two_point", order=2, tau=[600.0])
    wanted = oracles.linear_two_point([(600.0, 0.0)], order=2, gamma=1.0, kappa=1.0)
    for n in range(3):
        assert_allclose(parts(result, n)[: n + 1], wanted[n, : n + 1], rtol=CLOSE)
