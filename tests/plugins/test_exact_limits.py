"""Where exact integrals end: what is refused and why, what is shared, and how the sets of points grow."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from math import factorial

import harness
import numpy as np
import oracles
import pytest
from exact_cases import (
    EXACT,
    LANGEVIN,
    PAIRS,
    PHI_CUBIC,
    exactly,
    fan,
    first_integral,
    memory_of,
    shaken,
    with_kernel_line,
    with_many_terms,
)
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from theories import bare_theory

import nnqft
from nnqft import TimeIntegral
from nnqft.integrals.distinct import distinct_integrals
from nnqft.integrals.integral import Branch
from nnqft_plugins.integrators.exact.states import count_upper_sets, upper_sets


@pytest.mark.parametrize(
    ("integral", "reason"),
    [
        (first_integral(with_kernel_line(LANGEVIN)), "line C is not a sum of exponentials"),
        (first_integral(shaken(kernel=True)), "a vertex has a kernel over its times"),
        (first_integral(with_many_terms(LANGEVIN, 7), order=2), "343 products of exponentials, more than 256"),
        (first_integral(LANGEVIN, times=((1e9, 0.0),)), "times too far apart"),
        (first_integral(nnqft.theory("langevin", start="rest"), times=((1e9, 1e9),)), "times too far apart"),
        (fan(16), "32769 upper sets in 16 dimensions, more than 20000"),
    ],
    ids=["kernel line", "kernel vertex", "products", "span", "span from rest", "upper sets"],
)
def test_refused_with_a_reason(integral, reason):
    began = time.monotonic()
    answer = EXACT.supports(integral)
    assert isinstance(answer, str)
    assert reason in answer
    assert time.monotonic() - began < 1.0


def test_supported_up_to_the_limit():
    assert EXACT.supports(fan(15)) is True
    assert EXACT.supports(first_integral(with_many_terms(LANGEVIN, 6), order=2)) is True
    # Far apart counts, not far away.
    assert EXACT.supports(first_integral(LANGEVIN, times=((1e9, 1e9),))) is True
    assert EXACT.supports(first_integral(LANGEVIN, times=((1e9, 1e9), (0.0, 0.0)))) is True


def test_a_large_fan_has_its_known_value():
    """Each point that hangs from the first one gives ∫ G C = κ/2γ²."""
    values, bounds = EXACT.settle([fan(12)])
    assert_allclose(values[0, 0], 0.5**12, rtol=1e-12)
    assert bounds[0, 0] < 1e-12 * values[0, 0]


def test_splitting_a_line_changes_nothing():
    whole = exactly(LANGEVIN, "two_point", order=2, times=PAIRS)
    split = exactly(with_many_terms(LANGEVIN, 4), "two_point", order=2, times=PAIRS)
    assert_allclose(split.mean, whole.mean, rtol=1e-12)


@pytest.mark.parametrize(
    ("theory", "options", "reason"),
    [
        (with_kernel_line(LANGEVIN), {}, "line C is not a sum of exponentials"),
        (shaken(kernel=True), {}, "a vertex has a kernel over its times"),
        (with_many_terms(LANGEVIN, 7), {"order": 2}, "343 products of exponentials, more than 256"),
        (LANGEVIN, {"tau": [1e9]}, "times too far apart"),
    ],
    ids=["kernel line", "kernel vertex", "products", "span"],
)
def test_exact_by_name_refuses(theory, options, reason):
    began = time.monotonic()
    with pytest.raises(nnqft.InputError, match=reason) as caught:
        nnqft.compute(theory, "two_point", integrator="exact", neval=1000, **({"order": 1} | options))
    assert str(caught.value).startswith("integrator 'exact' does not take ")
    assert "integrator='auto'" in str(caught.value)
    assert "exact: " in str(caught.value)
    assert time.monotonic() - began < 2.0


@pytest.mark.parametrize(
    ("theory", "observable", "order", "reason", "left"),
    [
        # Without interaction a response has no C line.
        (with_kernel_line(LANGEVIN), "response", 1, "line C is not a sum of exponentials", lambda row: row.order == 1),
        (
            with_many_terms(LANGEVIN, 7),
            "two_point",
            2,
            "343 products of exponentials, more than 256",
            lambda row: row.order == 2,
        ),
        (
            replace(LANGEVIN, vertices=(*LANGEVIN.vertices, *shaken(kernel=True).vertices)),
            "two_point",
            1,
            "a vertex has a kernel over its times",
            lambda row: row.dim == 2,
        ),
    ],
    ids=["kernel line", "products", "kernel vertex"],
)
def test_auto_samples_what_cannot_be_exact_and_says_so(theory, observable, order, reason, left):
    result = nnqft.compute(theory, observable, order=order, times=[(0.7, 0.2)], neval=20_000)
    rows = list(result.diagrams)
    sampled = [row for row in rows if row.integrator == "vegas"]
    assert sampled
    assert sampled == [row for row in rows if left(row)]
    assert {row.integrator for row in rows} == {"exact", "vegas"}
    assert all((row.samples > 0) == (row.integrator == "vegas") for row in rows)
    assert result.integrators() == {"exact": len(rows) - len(sampled), "vegas": len(sampled)}
    note, *growing = result.notes
    assert all(each.startswith("terms grow") for each in growing)  # these couplings are strong
    assert note.startswith(f"{len(sampled)} diagram")
    assert note.endswith(f"exact: {reason}")
    if observable != "response":
        plain = replace(theory, propagators=LANGEVIN.propagators)
        plain = replace(plain, vertices=tuple(replace(v, kernel=None, memory=memory_of(v)) for v in plain.vertices))
        known = exactly(plain, observable, order=order, times=[(0.7, 0.2)])
        assert abs(result.mean[0] - known.mean[0]) < 4 * result.sdev[0]


def test_auto_is_exact_where_it_can_and_leaves_no_note():
    result = nnqft.compute(bare_theory("cubic_tanh", sigma_w=0.5), "two_point", order=1, tau=[0.0, 1.0], neval=1)
    assert result.integrators() == {"exact": len(result.diagrams)}
    assert [note for note in result.notes if "bare expansion" not in note] == []


def test_times_far_apart_are_sampled_without_delay():
    began = time.monotonic()
    result = nnqft.compute(LANGEVIN, "two_point", order=1, tau=[1e9], neval=5_000)
    assert result.integrators() == {"vegas": len(result.diagrams)}
    assert any("times too far apart" in note for note in result.notes)
    assert time.monotonic() - began < 5.0


def test_vegas_by_name_samples_everything():
    result = nnqft.compute(
        bare_theory("linear", sigma_w=0.5), "two_point", order=2, tau=[0.7], integrator="vegas", neval=50_000
    )
    assert result.integrators() == {"vegas": len(result.diagrams)}
    for row in result.diagrams:
        assert row.integrator == "vegas"
        assert (row.samples > 0) == (row.dim > 0)
    assert result.notes == ()


def test_equal_integrals_are_computed_once():
    """The linear diagrams of order n have 2n + 1 integrals, chains of a and 2n − a responses."""
    theory = bare_theory("linear")
    for tau, most in ((0.7, 4), (0.0, 4)):
        found = nnqft.diagrams(theory, "two_point", order=most)
        integrals, same = distinct_integrals(found, np.array([[tau, 0.0]]))
        assert Counter(i.dim // 2 for i in integrals) == {n: 2 * n + 1 for n in range(most + 1)}
        for number, which in enumerate(same.tolist()):
            alone = nnqft.time_integral(found[number], theory, np.array([[tau, 0.0]]))
            assert harness.chain_lengths(alone) == harness.chain_lengths(integrals[which])


def test_shared_integrals_are_equal():
    """Whatever the diagrams that share an integral, each of their own integrals has the same value."""
    for theory, observable, times in (
        (bare_theory("cubic_tanh"), "two_point", (0.7, 0.0)),
        (nnqft.theory("feedforward", coefficients=PHI_CUBIC), "two_point", (0.7, 0.0)),
        (nnqft.theory("langevin", drift={1: 1.0, 2: 0.4, 3: 1.0}), "cumulant", (0.7, 0.2, 0.2, 1.1)),
    ):
        found = nnqft.diagrams(theory, observable, order=2, arity=len(times))
        integrals, same = distinct_integrals(found, np.array([times]))
        values = [EXACT.settle([integral])[0][0, 0] for integral in integrals]
        for number in np.random.default_rng(3).permutation(len(found))[:60].tolist():
            alone = nnqft.time_integral(found[number], theory, np.array([times]))
            assert_allclose(EXACT.settle([alone])[0][0, 0], values[same[number]], rtol=1e-13)


def brute_force(integral: TimeIntegral, *, all_parents: bool) -> int:
    """Sets of internal points that hold with each point its parents: by the forest alone, or by all responses."""
    externals = integral.times.shape[1]
    needs = [(n, b.parent - externals) for n, b in enumerate(integral.branches) if b.parent >= externals]
    if all_parents:
        inner = [line for line in integral.lines if line.response and min(line.start, line.end) >= externals]
        needs += [(line.start - externals, line.end - externals) for line in inner]
    masks = range(1 << integral.dim)
    return sum(all(mask >> parent & 1 for child, parent in needs if mask >> child & 1) for mask in masks)


@given(st.lists(st.integers(0, 100), max_size=10), st.integers(1, 3))
def test_upper_sets_of_random_forests(choices, externals):
    branches = tuple(Branch(choice % (externals + n), "G") for n, choice in enumerate(choices))
    integral = TimeIntegral(bare_theory("linear"), np.zeros((1, externals)), branches, ())
    count = brute_force(integral, all_parents=False)
    assert count_upper_sets(integral) == count
    assert upper_sets(integral, count).inside.shape == (len(choices), count)
    assert upper_sets(integral, count - 1) is None or len(choices) == 0


@pytest.mark.parametrize("model", ["linear", "cubic_tanh", "feedforward"])
def test_upper_sets_of_diagrams(model):
    theory = bare_theory(model)
    found = nnqft.diagrams(theory, "cumulant", order=2, arity=2 if model != "feedforward" else 4)
    for n in range(0, len(found), 1 + len(found) // 100):
        integral = nnqft.time_integral(found[n], theory, np.zeros((1, 4 if model == "feedforward" else 2)))
        held = brute_force(integral, all_parents=True)
        assert count_upper_sets(integral) == brute_force(integral, all_parents=False) >= held
        assert upper_sets(integral, 10**6).inside.shape[1] == held


def test_few_and_many_points_take_the_same_value(monkeypatch):
    """All subsets as states, or upper sets alone: two tables, one answer."""
    times = np.array([[0.7, 0.0], [0.0, 0.0], [-1.0, 2.0]])
    for theory in (bare_theory("cubic_tanh"), bare_theory("cubic_tanh", start="rest"), shaken()):
        if not theory.stationary:
            times = np.abs(times)
        integrals, _ = distinct_integrals(nnqft.diagrams(theory, "two_point", order=2), times)
        integrals = integrals[:: 1 + len(integrals) // 30]
        by_subsets, _ = EXACT.settle(integrals)
        with monkeypatch.context() as patch:
            patch.setattr("nnqft_plugins.integrators.exact.integrator.SMALL", -1)
            by_upper_sets, _ = EXACT.settle(integrals)
        assert_allclose(by_upper_sets, by_subsets, rtol=1e-12, atol=1e-18)


def test_toy_has_no_times_and_is_exact():
    result = nnqft.compute(nnqft.theory("toy", action={4: 1.0}), "two_point", order=4, neval=1)
    assert result.integrators() == {"exact": len(result.diagrams)}
    for n, wanted in enumerate(oracles.toy_moment({4: 1}, 4, 2)):
        assert_allclose(result.contribution(n, 0).mean, float(wanted), rtol=1e-13)


def test_factorial_growth_is_in_the_weights():
    """κ_2 of the quartic well at fifth order, a hundred thousand from integrals of order one."""
    result = exactly(nnqft.theory("langevin"), "cumulant", order=4, times=[(0.0, 0.0)])
    wanted = oracles.langevin_cumulants(1, {3: 1}, 2, 4, 2)
    assert_allclose([result.contribution(n, 0).mean[0] for n in range(5)], [float(c) for c in wanted], rtol=1e-12)
    assert float(wanted[4]) == 4896 > factorial(6)
