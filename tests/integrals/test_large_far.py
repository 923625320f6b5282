"""Large integrals and single axes at far external times, and the tables behind them."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from coupled import Coupled, legs
from numpy.testing import assert_allclose
from theories import bare_theory

import nnqft
from nnqft.graphs.parts import Line
from nnqft.host import default_host
from nnqft.integrals.between import Loose, Ramps
from nnqft.integrals.cuts import anchored, most_together
from nnqft.integrals.loose import loose_groups
from nnqft.integrals.parts import all_lines
from nnqft_plugins.integrators.vegas import VegasIntegrator

PAIRS = [(tau, 0.0) for tau in (0.0, 1.0, 3.0, 10.0, 20.0, 30.0, 50.0, 100.0, 200.0)]
FAR = [(20.0, 0.0), (60.0, 0.0), (200.0, 0.0)]
LATER = [(t + 6.0, 6.0) for t, _ in FAR]

TWO = Coupled(
    np.array([[1.0, -1.6], [0.3, 2.5]]), np.array([[0.4, 0.3], [0.3, 1.6]]), np.array([[0.0, 0.4], [-0.5, 0.3]])
).theory()


def sampled(integral: nnqft.TimeIntegral, neval: int, seed: int) -> nnqft.Estimate:
    integrator = VegasIntegrator()
    state = integrator.prepare(integral, np.random.SeedSequence((seed, 1)))
    return integrator.sample(integral, state, neval, np.random.SeedSequence((seed, 2)))


def with_values(theory, observable, order, times, **options) -> list[tuple[nnqft.TimeIntegral, np.ndarray]]:
    """The different integrals of this order alone, with their exact values."""
    found = {}
    for diagram in nnqft.diagrams(theory, observable, order=order, **options):
        integral = nnqft.time_integral(diagram, theory, np.array(times))
        if integral.dim and diagram.order == order:
            found.setdefault(integral.key, integral)
    values, _ = default_host().get("integrator", "exact").settle(list(found.values()))
    return list(zip(found.values(), values, strict=True))


@pytest.mark.parametrize(("start", "times"), [("stationary", FAR), ("rest", LATER)])
@pytest.mark.parametrize("order", [6, 7])
def test_up_to_sixteen_points(order, start, times):
    """Chains of up to fourteen points between two times, whose weights once varied like 14!."""
    work = with_values(bare_theory("linear", start=start), "two_point", order, times, width_order=1)
    squares = []
    for n, (integral, exact) in enumerate(work[1::6]):
        estimate = sampled(integral, 4000, n)
        assert estimate.trusted.all(), integral.key
        assert (estimate.sdev < 0.15 * np.abs(exact)).all(), integral.key
        pulls = (estimate.mean - exact) / estimate.sdev
        assert np.abs(pulls).max() < 4.5, integral.key
        squares.append(float(np.mean(pulls**2)))
    assert np.mean(squares) < 1 + 4 * np.sqrt(2 / len(squares))


def test_tables_are_as_large_as_a_cut_and_not_as_the_diagram():
    theory = bare_theory("linear")
    found = nnqft.diagrams(theory, "two_point", order=14, width_order=0)
    integral = nnqft.time_integral(found[-1], theory, [[60.0, 0.0]])
    lines = all_lines(integral)
    assert integral.dim == 28
    assert most_together(lines, 2, 30) <= 4
    assert integral.parts[0].shape.far
    assert integral.parts[0].slopes.size < 2000


def test_least_cuts_are_the_least_of_all():
    rng = np.random.default_rng(4)
    lines = [Line("G", 0, 3, True), Line("G", 3, 4, True), Line("G", 1, 5, True), Line("G", 3, 6, True)]
    lines += [Line("C", 4, 6, False), Line("C", 5, 6, False), Line("D", 2, 4, False), Line("D", 5, 5, False)]
    rates = {name: rng.uniform(0.3, 2.0, 3) for name in "GCD"}
    for point, placed in enumerate(anchored(lines, rates, 3, 7, 1e-9), 3):
        inside = [v for v in range(point, 7) if v == point or _hang_together(lines, point, v)]
        near = [line for line in lines if line.start != line.end and {line.start, line.end} & set(inside)]
        for bits in range(1, (1 << len(placed.anchors)) - 1):
            least = {True: np.full(3, np.inf), False: np.full(3, np.inf)}
            for sides in product([True, False], repeat=len(inside)):
                above = dict(zip(inside, sides, strict=True))
                above |= {v: bool(bits >> n & 1) for n, v in enumerate(placed.anchors)}
                if any(line.response and above[line.start] and not above[line.end] for line in near):
                    continue
                crossed = [rates[line.propagator] for line in near if above[line.start] != above[line.end]]
                least[sides[0]] = np.minimum(least[sides[0]], np.sum(crossed, axis=0))
            slope = least[False] - least[True]
            assert_allclose(placed.slopes[bits], np.where(np.isfinite(slope), slope, np.nan), rtol=1e-12, atol=1e-14)


def _hang_together(lines: list[Line], one: int, two: int) -> bool:
    """Are two points joined by lines between points that are not earlier than the first?"""
    seen = {one}
    for _ in lines:
        for line in lines:
            ends = {line.start, line.end}
            if min(ends) >= one and ends & seen:
                seen |= ends
    return two in seen


def test_points_that_are_loose_between_two_others():
    chain = [Line("G", 0, 2, True), Line("G", 2, 3, True), Line("G", 3, 4, True), Line("C", 1, 4, False)]
    # With point 2 above the gap and point 1 below it, 3 and 4 may be anywhere in it.
    assert loose_groups(chain, {"G": 1.0, "C": 1.0}, [0, 1], [2, 3, 4], 0.01)[1].tolist() == [0, 2]
    # A slower C wants 4 close to 3, and both close to 2; a faster one wants them at its own end.
    assert loose_groups(chain, {"G": 1.0, "C": 0.5}, [0, 1], [2, 3, 4], 0.01)[1].tolist() == [0, 0]
    assert loose_groups(chain, {"G": 1.0, "C": 0.999}, [0, 1], [2, 3, 4], 0.01)[1].tolist() == [0, 2]
    # Two that hang together by a line that costs more than the gap go as one.
    pair = [*chain, Line("C", 3, 4, False)]
    assert loose_groups(pair, {"G": 1.0, "C": 1.0}, [0, 1], [2, 3, 4], 0.01)[1].tolist() == [0, 1]


@pytest.mark.parametrize("count", [1.0, 3.0, 13.0])
@pytest.mark.parametrize("slope", [-0.9, -0.01, 0.0, 0.4, 3.0])
def test_the_density_with_room_for_others(count, slope):
    anchors = [np.full((1, 1), 25.0), np.full((1, 1), 4.0)]
    slopes, room = np.array([0.0, slope, 0.0, 1.5]), np.array([0.0, count, 0.0, 0.0])
    loose = Loose(lambda mask: 0.0 * mask, lambda mask: room[mask], np.ones((1, 1)))
    ramps = Ramps.between(anchors, lambda mask: slopes[np.asarray(mask)], None, False, np, loose, 0.1)
    u, step = np.linspace(0.01, 0.99, 500)[:, None], 1e-6
    time, weight, total = ramps.draw(u)
    later, earlier = ramps.draw(u - step)[0], ramps.draw(u + step)[0]
    assert (np.isclose((later - earlier) / (2 * step), weight, rtol=1e-3)).mean() > 0.98
    assert float((ramps.masses()[-1] / total)[0, 0]) > 0.099
    cut = float(time[200, 0])
    assert_allclose(float((sum(ramps.masses(cut)) / total)[0, 0]), u[200, 0], rtol=1e-9)


def test_the_error_on_a_single_axis_is_not_that_of_two_strata():
    """Lines between two fields decay at several rates, so that the integrand has a root at an end of its axis."""
    work = [each for each in with_values(TWO, legs("x0", "x1"), 1, [(0.0, 0.0), (30.0, 0.0)]) if each[0].dim == 1]
    for integral, exact in work[1:4:2]:
        pulls = []
        for seed in range(60):
            estimate = sampled(integral, 1000, 50_000 + seed)
            pulls.append((estimate.mean - exact) / estimate.sdev)
        pulls = np.array(pulls)
        assert (np.abs(pulls.mean(axis=0)) < 3.5 / np.sqrt(60)).all(), integral.key
        assert (np.sqrt((pulls**2).mean(axis=0)) < 1.25).all(), integral.key


def quadrature(integral: nnqft.TimeIntegral, times: np.ndarray, step: float, below: float) -> float:
    """The integral by the trapezoidal rule on one grid of times, its points summed away one after the other.

    It takes the lines as they are, and knows neither forest nor cuts. A response counts half where its times are equal.
    """
    first, externals = times.min() - below, len(times)
    grid = first + step * np.arange(round((times.max() - first) / step) + 1)
    where = [[round((time - first) / step)] for time in times] + [slice(None)] * integral.dim
    value = np.full((1, 1), integral.scale)
    own = {v: np.full(len(grid), step) for v in range(externals, externals + integral.dim)}
    joint: dict[tuple[int, int], np.ndarray] = {}
    for line in all_lines(integral):
        t, s = grid[where[line.end]][:, None], grid[where[line.start]][None, :]
        propagator = integral.propagators[line.propagator]
        if line.start == line.end:
            own[line.start] = own[line.start] * propagator(t, t)[:, 0]
            continue
        gap = t - s
        factor = propagator(s + (np.maximum(gap, 0.0) if line.response else gap), s + 0 * gap)
        factor = factor * (np.heaviside(np.round(gap / step), 0.5) if line.response else 1.0)
        if line.start < externals and line.end < externals:
            value = value * factor
        elif min(line.start, line.end) < externals:
            inner = max(line.start, line.end)
            own[inner] = own[inner] * factor.ravel()
        else:
            join(joint, line.end, line.start, factor)
    while own:
        v = min(own, key=lambda v: sum(v in pair for pair in joint))
        weight = own.pop(v)
        near = [(pair, joint.pop(pair)) for pair in list(joint) if v in pair]
        sides = [(sum(pair) - v, factor if pair[0] == v else factor.T) for pair, factor in near]
        if not sides:
            value = value * weight.sum()
        elif len(sides) == 1:
            own[sides[0][0]] = own[sides[0][0]] * (weight @ sides[0][1])
        else:
            (one, left), (two, right) = sides
            join(joint, one, two, (left * weight[:, None]).T @ right)
    return float(value[0, 0])


def join(joint: dict[tuple[int, int], np.ndarray], one: int, two: int, factor: np.ndarray) -> None:
    pair = (one, two) if one < two else (two, one)
    joint[pair] = joint.get(pair, 1.0) * (factor if one < two else factor.T)


def by_quadrature(integral: nnqft.TimeIntegral, times: tuple[float, float], step: float) -> tuple[float, float]:
    """The value extrapolated to step 0, and its distance from that of a step twice as large."""
    coarse, middle, fine = (quadrature(integral, np.array(times), h, 12.0) for h in (4 * step, 2 * step, step))
    value = (4 * fine - middle) / 3
    return value, abs(value - (4 * middle - coarse) / 3)


def test_quadrature_finds_exact_values():
    for integral, exact in with_values(bare_theory("linear"), "two_point", 2, [(20.0, 0.0)])[::3]:
        value, error = by_quadrature(integral, (20.0, 0.0), 0.1)
        assert error < 2e-3 * abs(value)
        assert_allclose(value, exact[0], rtol=2e-4)


@pytest.mark.parametrize(("tau", "numbers"), [(20.0, (60, 330)), (50.0, (480,))])
def test_about_the_saddle_each_diagram_is_what_quadrature_finds(tau, numbers):
    """Lines that are tables, of order 2, at lags where nothing can be simulated."""
    theory = nnqft.theory("cubic_tanh", N=50, sigma_w=0.5)
    found = nnqft.diagrams(theory, "two_point", order=2)
    for n in numbers:
        integral = nnqft.time_integral(found[n], theory, [(0.0, 0.0), (1.0, 0.0), (tau, 0.0)])
        value, error = by_quadrature(integral, (tau, 0.0), 0.1)
        estimate = sampled(integral, 20_000, n)
        spread = np.hypot(estimate.sdev[2], error)
        assert spread < 2e-2 * abs(value), n
        assert abs(estimate.mean[2] - value) < 4 * spread, n
