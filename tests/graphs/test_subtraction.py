"""What the generator leaves out when lines hold it already, and the responses that close where θ(0) ≠ 0."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import inf

import numpy as np
import pytest
import theories
from scipy.integrate import quad
from theories import TWO_POINT

import nnqft
from nnqft import Diagram, Leg, TheoryError, Vertex
from nnqft.graphs.generate import generate
from nnqft.integrals.forest import time_integral
from nnqft.stages.times import check_times
from nnqft_plugins.integrators.exact.integrator import ExactIntegrator
from nnqft_plugins.integrators.vegas import VegasIntegrator

CUBIC = {(1, 1): Fraction(1), (1, 3): Fraction(-1, 3), (3, 3): Fraction(1, 9)}
EVEN = {(0, 1): Fraction(1, 2), (1, 1): Fraction(1), (1, 2): Fraction(1, 3), (2, 2): Fraction(1, 5)}


def subtracted(theory, subtraction):
    changed = [replace(v, subtraction=subtraction) if v.name.startswith("(") else v for v in theory.vertices]
    return replace(theory, vertices=tuple(changed))


def points_of(diagram: Diagram):
    """The points of each vertex."""
    sets: dict[int, set[int]] = {}
    for n, point in enumerate(diagram.points):
        if point.vertex >= 0:
            sets.setdefault(point.vertex, set()).add(n)
    return sets.values()


def has_closed_slot(diagram: Diagram) -> bool:
    """Does some vertex join all its h among themselves? Its lines other than those of its two z̃ then stay inside."""
    for points in points_of(diagram):
        ends = [(line.end in points, line.start in points) for line in diagram.lines if not line.response]
        answered = any(line.end in points for line in diagram.lines if line.response)
        if not answered and all(one == two for one, two in ends if one or two):
            return True
    return False


def has_inner_line(diagram: Diagram) -> bool:
    correlators = [line for line in diagram.lines if not line.response]
    return any({line.end, line.start} <= points for points in points_of(diagram) for line in correlators)


@pytest.mark.parametrize(("subtraction", "left_out"), [("average", has_closed_slot), ("wick", has_inner_line)])
@pytest.mark.parametrize(("phi_phi", "order"), [({(1, 1): Fraction(1)}, 3), (CUBIC, 2), (EVEN, 2)])
def test_a_subtraction_leaves_out_those_diagrams_and_changes_no_weight(subtraction, left_out, phi_phi, order):
    bare = theories.network(phi_phi, sigma_w=0.8, N=3)
    everything = generate(bare, "two_point", TWO_POINT, order=order, width_order=2)
    kept = generate(subtracted(bare, subtraction), "two_point", TWO_POINT, order=order, width_order=2)
    wanted = {d.digest: d.weight for d in everything if not left_out(d)}
    assert 0 < len(wanted) < len(everything)
    assert {d.digest: d.weight for d in kept} == pytest.approx(wanted)


@pytest.mark.parametrize("subtraction", ["average", "wick"])
def test_without_averages_no_diagram_of_width_order_0_is_left_but_the_line(subtraction):
    kept = generate(subtracted(theories.network(CUBIC), subtraction), "two_point", TWO_POINT, order=3, width_order=0)
    assert kept.counts == {(0, 0): 1}


# Closed responses.


def with_loops(theory, theta0=0.5, horizon=7.0):
    return replace(theory, theta0=theta0, horizon=horizon)


def without_determinant(theory):
    """The same theory with −θ0 Σ_i W_ii ∫dt added before the average over W: the logarithm of the determinant.

    Averaged with Σ_ij W_ij ∫ z̃_i h_j it leaves −θ0 (σ_w²/N) T ∫ z̃_i h_i, and a constant.
    """
    legs = (Leg("z", 0, "i"), Leg("h", 0, "i"))
    vertex = Vertex("det", legs, -theory.theta0 * theory.horizon, (("sigma_w", 2),), width=1)
    return replace(theory, vertices=(*theory.vertices, vertex))


@pytest.mark.parametrize("start", ["stationary", "rest"])
@pytest.mark.parametrize("externals", [TWO_POINT, (theories.H, theories.Z)])
def test_the_determinant_of_the_change_of_variables_cancels_every_closed_response(start, externals):
    ito = theories.linear(start=start, sigma_w=0.7, N=5, sigma_b=0.3)
    times = np.array([[1.4, 0.5]])
    loops = with_loops(ito, theta0=0.75, horizon=3.0)
    values = [total(theory, externals, times, order=3) for theory in (ito, loops, without_determinant(loops))]
    assert values[2] == pytest.approx(values[0], rel=1e-12)
    assert abs(values[1] / values[0] - 1) > 1e-2


def total(theory, externals, times, order):
    found = generate(theory, "two_point", externals, order=order)
    integrals = [time_integral(diagram, theory, times) for diagram in found]
    values, _ = ExactIntegrator().settle(integrals)
    return float(found.weights @ values[:, 0])


@pytest.mark.parametrize("start", ["stationary", "rest"])
def test_a_free_time_that_lines_tie_to_others_is_integrated_over_the_horizon(start):
    """At first order −ε z̃ h³ with a closed response is the weight e^{−3εθ0 ∫h²}: −3εθ0·2 ∫ C(t,u) C(u,s) du."""
    gamma, horizon, theta0, t, s = 1.0, 2.5, 0.5, 1.5, 0.6
    theory = theories.network({}, start=start, local={3: -1}) if start == "rest" else theories.langevin({3: 1}, noise=1)
    theory = with_loops(theory, theta0, horizon)
    leg = theories.H if start == "rest" else Leg("h")
    found = generate(theory, "two_point", (leg, leg), order=1)
    loops = [d for d in found if any(line.response and line.start == line.end for line in d.lines)]
    tied = [d for d in loops if all(x.response or x.start != x.end for x in d.lines)]
    assert len(tied) == 1

    def correlator(a, b):
        early = np.exp(-gamma * (a + b)) if start == "rest" else 0.0
        return (np.exp(-gamma * abs(a - b)) - early) / (2 * gamma)

    low, high = (0.0, horizon) if start == "rest" else (t - horizon, t)
    exact = -6 * theta0 * quad(lambda u: correlator(t, u) * correlator(u, s), low, high, points=[s, min(t, high)])[0]
    integral = time_integral(tied[0], theory, np.array([[t, s]]))
    assert isinstance(ExactIntegrator().supports(integral), str)
    seed = np.random.SeedSequence(5)
    vegas = VegasIntegrator()
    estimate = vegas.sample(integral, vegas.prepare(integral, seed), 20_000, seed)
    assert abs(estimate.mean[0] * tied[0].weight - exact) < 4 * estimate.sdev[0] * abs(tied[0].weight)
    assert estimate.sdev[0] < 1e-3 * abs(estimate.mean[0])


def test_with_itos_rule_no_response_closes_and_with_another_each_vertex_does_so_in_two_ways():
    ito = theories.linear()
    assert generate(ito, "two_point", TWO_POINT, order=1).counts[1, 1] == 2
    found = generate(with_loops(ito), "two_point", TWO_POINT, order=1)
    assert found.counts == {(0, 0): 1, (1, 0): 1, (1, 1): 4}
    loops = [d for d in found if any(line.response and line.start == line.end for line in d.lines)]
    assert [d.weight for d in loops] == [1.0, 1.0]
    assert ["a>a" in str(d) or "b>b" in str(d) for d in loops] == [True, True]
    integral = time_integral(loops[0], with_loops(ito), np.zeros((1, 2)))
    assert (integral.scale, integral.dim) == (0.5 * 7.0, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"theta0": 1.5}, "theta0 = 1.5; wanted a number from 0 to 1"),
        ({"theta0": 0.5}, "theta0 = 0.5 needs a horizon, or the times of closed responses diverge"),
        ({"horizon": 0.0}, "horizon = 0.0; wanted a time > 0"),
    ],
)
def test_loops_that_nothing_bounds_are_refused(change, message):
    with pytest.raises(TheoryError, match=message):
        replace(theories.linear(), **({"horizon": inf} | change))


def test_an_unknown_subtraction_is_refused():
    with pytest.raises(TheoryError, match="subtraction 'mean'; wanted 'none', 'average' or 'wick'"):
        subtracted(theories.linear(), "mean")


def test_from_rest_no_time_may_lie_beyond_the_horizon():
    theory = replace(theories.linear(start="rest"), horizon=2.0)
    assert check_times(theory, 2, [(2.0, 1.0)], None) == ((2.0, 1.0),)
    with pytest.raises(nnqft.InputError, match=r"times=2\.5 lies beyond the theory's horizon T=2; write a larger T"):
        check_times(theory, 2, [(2.5, 1.0)], None)
