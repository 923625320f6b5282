"""External times far apart: bounded weights, honest errors, the same integrals as near each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from coupled import Coupled, legs
from numpy.testing import assert_allclose
from theories import bare_theory

import nnqft
from nnqft.host import default_host
from nnqft.integrals import parts as parts_of_integrals
from nnqft.integrals.between import Ramps
from nnqft.integrals.cuts import decay_rate
from nnqft_plugins.integrators.vegas import VegasIntegrator
from nnqft_plugins.models.network.lines import crowded_delay

TERMS = (nnqft.Term(0.4, 0.8), nnqft.Term(0.1, 2.0))
PAIRS = [(tau, 0.0) for tau in (0.0, 1.0, 3.0, 10.0, 20.0, 30.0, 50.0, 100.0, 200.0)]
EARLY = [(40.0, 0.5), (0.5, 200.0), (200.0, 190.0), (200.0, 0.01)]
FOUR = [(0.0, 0.3, 40.0, 40.5), (0.0, 10.0, 20.0, 30.0), (60.0, 0.0, 0.1, 20.0), (0.0, 0.0, 0.0, 50.0)]


def disguised(t, s, params, xp):
    """The sum of `TERMS`, as a stranger or a table gives it."""
    return sum(term.amplitude * xp.exp(-term.rate * xp.abs(t - s)) for term in TERMS)


def leaking(t, s, params, xp):
    """The response as a function."""
    return xp.exp(-(t - s))


def with_line(theory: nnqft.Theory, name: str, **fields) -> nnqft.Theory:
    lines = tuple(replace(p, **fields) if p.name == name else p for p in theory.propagators)
    return replace(theory, propagators=lines)


DISGUISED = {"terms": (), "kernel": disguised}
LINEAR, REST = bare_theory("linear"), bare_theory("linear", start="rest")
QUINTIC = bare_theory("quintic")
# Responses between two fields begin at 0, rise, and fall only then.
COUPLED = Coupled(
    np.array([[1.0, -1.6], [0.3, 2.5]]), np.array([[0.4, 0.3], [0.3, 1.6]]), np.array([[0.0, 0.4], [-0.5, 0.3]])
)
TWO = COUPLED.theory()
OWN = {"terms": (), "kernel": leaking, "params": (("gamma", 1.0),), "delay": crowded_delay}
# What is sampled, the same with exact integrals, what for.
CASES = {
    "linear": (LINEAR, LINEAR, "two_point", 2, PAIRS),
    "linear from rest": (REST, REST, "two_point", 2, EARLY),
    "four times": (LINEAR, LINEAR, "cumulant", 2, FOUR),
    "several lines at a point": (QUINTIC, QUINTIC, "two_point", 1, PAIRS),
    "response": (QUINTIC, QUINTIC, "response", 1, PAIRS[1:]),
    "small plateau": (bare_theory("linear", sigma_b=1e-3),) * 2 + ("two_point", 2, PAIRS),
    "correlator a function": (
        with_line(QUINTIC, "C", **DISGUISED), with_line(QUINTIC, "C", terms=TERMS), "two_point", 1, PAIRS,
    ),
    "two fields": (TWO, TWO, ("x0", "x1"), 2, PAIRS),
    "two fields, functions": (COUPLED.theory(kernels=True), TWO, ("x0", "x1"), 2, PAIRS),
    "response a function": (with_line(LINEAR, "G", terms=(), kernel=leaking), LINEAR, "two_point", 1, PAIRS),
    "delay of its own": (with_line(LINEAR, "G", **OWN), LINEAR, "two_point", 2, PAIRS),
    "delay of its own, from rest": (with_line(REST, "G", **OWN), REST, "two_point", 2, EARLY),
}  # fmt: skip


def integrals(name: str) -> list[tuple[nnqft.TimeIntegral, np.ndarray]]:
    """The different integrals of a case, with their exact values; some thirty at most."""
    theory, same, observable, order, times = CASES[name]
    exact = default_host().get("integrator", "exact")
    observable = observable if isinstance(observable, str) else legs(*observable)
    found = {}
    # The diagrams of both theories are the same, in the same order: their lines have the same names.
    for diagram in nnqft.diagrams(same, observable, order=order, arity=len(times[0])):
        integral = nnqft.time_integral(diagram, same, np.array(times))
        if integral.dim:
            found.setdefault(integral.key, (nnqft.time_integral(diagram, theory, np.array(times)), integral))
    chosen = list(found.values())[:: max(1, len(found) // 20)]
    values, _ = exact.settle([integral for _, integral in chosen])
    return [(integral, value) for (integral, _), value in zip(chosen, values, strict=True)]


def sampled(integral: nnqft.TimeIntegral, neval: int, seed: int) -> nnqft.Estimate:
    integrator = VegasIntegrator()
    state = integrator.prepare(integral, np.random.SeedSequence((seed, 1)))
    return integrator.sample(integral, state, neval, np.random.SeedSequence((seed, 2)))


@pytest.mark.parametrize("name", CASES)
def test_values_are_exact_ones_within_errors_that_stay_small(name):
    pulls = []
    for n, (integral, exact) in enumerate(integrals(name)):
        estimate = sampled(integral, 4000, n)
        known = np.abs(exact) > 1e-140  # whose squares are numbers
        assert (estimate.sdev[known] < 0.1 * np.abs(exact[known])).all(), integral.key
        sure = known & (estimate.sdev > 1e-9 * np.abs(exact))
        pulls.append((estimate.mean - exact)[sure] / estimate.sdev[sure])
    squares = [float(np.mean(np.square(each))) for each in pulls if len(each)]
    # The times of one integral share their samples and count as one.
    assert np.mean(squares) < 1 + 4 * np.sqrt(2 / len(squares))
    assert max(np.abs(np.concatenate(pulls))) < 5


BOUNDED = ["linear", "linear from rest", "four times", "several lines at a point", "response", "two fields"]


@pytest.mark.parametrize("name", BOUNDED)
def test_weights_are_bounded(name):
    """The largest of them, over their mean, at lags where the forest's would be e^{τ/2} or more."""
    rng = np.random.default_rng(3)
    for integral, exact in integrals(name):
        known = np.abs(exact) > 1e-250
        values = integral(rng.random((4000, integral.dim)))[:, known] / exact[known]
        assert np.abs(values).max() < 500, integral.key


def test_the_error_of_a_sum_is_normal_at_every_lag():
    theory = nnqft.theory("linear", N=50, sigma_w=0.5)
    taus = [tau for tau, _ in PAIRS]
    exact = nnqft.compute(theory, "two_point", order=1, tau=taus, integrator="exact").mean
    pulls = []
    for seed in range(32):
        result = nnqft.compute(theory, "two_point", order=1, tau=taus, integrator="vegas", neval=2000, seed=seed)
        pulls.append((result.mean - exact) / result.sdev)
    pulls = np.array(pulls)
    assert (np.abs(pulls.mean(axis=0)) < 3.5 / np.sqrt(32)).all()
    assert (np.abs((pulls**2).mean(axis=0) - 1) < 3.5 * np.sqrt(2 / 32)).all()


def test_a_target_at_a_long_lag_is_met_by_the_right_number():
    theory = nnqft.theory("linear", N=50, sigma_w=0.5)
    exact = nnqft.compute(theory, "two_point", order=2, tau=[30.0], integrator="exact").mean
    for seed in range(3):
        result = nnqft.compute(theory, "two_point", order=2, tau=[30.0], integrator="vegas", rtol=1e-2, seed=seed)
        assert result.converged
        assert result.total.samples < 1e6
        assert abs(result.mean[0] / exact[0] - 1) < 0.04


def test_an_error_that_a_few_samples_make_up_meets_no_target(monkeypatch):
    """The forest alone, where its weights grow exponentially: it must say so."""
    monkeypatch.setattr(parts_of_integrals, "FAR", np.inf)
    theory = nnqft.theory("linear", N=50, sigma_w=0.5)
    ask = {"order": 2, "tau": [25.0], "integrator": "vegas", "neval": 100_000}
    for seed in range(3):
        result = nnqft.compute(theory, "two_point", rtol=0.9, seed=seed, **ask)
        assert not result.converged, seed
        assert any("do not trust the error at τ = 25" in note for note in result.notes)
    # With a budget alone there is no target to miss, but the note stays.
    assert any("do not trust" in note for note in nnqft.compute(theory, "two_point", **ask).notes)


def test_near_times_are_placed_as_ever_whatever_else_is_asked():
    together = [integral for integral, _ in integrals("linear")]
    rng = np.random.default_rng(1)
    for integral in together:
        alone = replace(integral, times=integral.times[:3])
        u = rng.random((50, integral.dim))
        assert len(alone.parts) == 1
        assert not alone.parts[0].shape.far
        np.testing.assert_array_equal(integral(u)[:, :3], alone(u))
    assert any(len(integral.parts) == 2 for integral in together)


@pytest.mark.parametrize("heavy", [False, True])
@pytest.mark.parametrize("floor", [None, 0.0])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_density_is_that_of_the_times_drawn(count, floor, heavy):
    """One over it is the derivative of the time by u, times its integral, and the times fall with u."""
    rng = np.random.default_rng(count)
    for _ in range(20):
        anchors = [np.full((1, 1), time) for time in rng.uniform(1.0, 30.0, count)]
        table = rng.choice([-1.0, 0.0, 0.7, 2.0], 1 << count)
        table[-1] = 1.3
        table[:-1][rng.random(len(table) - 1) < 0.2] = np.nan
        ramps = Ramps.between(anchors, lambda mask, table=table: table[np.asarray(mask)], floor, heavy, np)
        u = np.linspace(0.02, 0.98, 400)[:, None]
        step = 1e-6
        time, weight, _ = ramps.draw(u)
        later, earlier = ramps.draw(u - step)[0], ramps.draw(u + step)[0]
        slope = (later - earlier) / (2 * step)
        assert (slope > 0).all()
        assert floor is None or (time >= floor).all()
        # Only at the ends of an interval is there no derivative.
        smooth = np.isclose(slope, weight, rtol=1e-3)
        assert smooth.mean() > 0.97
        middle = float(time[200, 0])
        assert_allclose(float((sum(ramps.masses(middle)) / sum(ramps.masses()))[0, 0]), u[200, 0], rtol=1e-9)


def test_rates_are_those_of_the_slowest_part_that_matters():
    line = nnqft.Propagator("C", "h", "h", terms=TERMS)
    same = nnqft.Propagator("C", "h", "h", kernel=disguised)
    flat = nnqft.Propagator("C", "h", "h", terms=(*TERMS, nnqft.Term(0.01, 0.0)))
    waves = nnqft.Propagator("C", "h", "h", kernel=lambda t, s, p, xp: xp.exp(-xp.abs(t - s)) * xp.cos(3 * (t - s)))
    for reach in (5.0, 50.0):
        assert 0.8 < decay_rate(line, reach, 0.0, True, False) < 0.8 + 0.3 / reach
        assert_allclose(decay_rate(line, reach, 0.0, True, False), decay_rate(same, reach, 0.0, True, False))
        assert_allclose(decay_rate(flat, reach, 0.0, True, False), np.log(0.51 / flat(reach, 0.0)) / reach)
        assert 1.0 <= decay_rate(waves, reach, 0.0, True, False) < 1.2
    assert decay_rate(nnqft.Propagator("C", "h", "h", terms=(nnqft.Term(1.0, 2.5),)), 7.0, 0.0, True, False) == 2.5
