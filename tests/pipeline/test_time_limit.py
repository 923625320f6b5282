"""A time limit covers everything, and leaves what is there when it strikes; the clock here counts the looks at it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from theories import bare_theory

import nnqft
from nnqft.show import watch


class Clock:
    """A clock that goes on by one second each time it is looked at."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 1.0
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    ours = Clock()
    monkeypatch.setattr(watch, "time", SimpleNamespace(monotonic=ours.monotonic))
    return ours


def compute(**more) -> nnqft.Result:
    request = {"order": 3, "tau": [0.0, 1.0], "seed": 5} | more
    return nnqft.compute(bare_theory("linear"), "two_point", **request)


def test_a_generation_that_takes_too_long_leaves_the_lower_orders(clock):
    whole = compute(order=5, time_limit=1e6)
    limit = 0.1 * clock.now
    clock.now = 0.0
    part = compute(order=5, time_limit=limit)
    assert clock.now < 2 * limit + 20
    assert not part.converged
    assert part.reason == f"time limit of {limit:g} s reached"
    assert 5 in part.incomplete
    assert 0 not in part.incomplete
    assert_array_equal(part.contribution(0, 0).mean, whole.contribution(0, 0).mean)
    assert any("missing from the sum" in note for note in part.notes)
    assert np.isnan(part.contribution(5, 0).mean).all()


@pytest.mark.parametrize("limit", [1.0, 30.0, 60.0])
@pytest.mark.parametrize("integrator", ["exact", "vegas"])
def test_order_0_is_there_whatever_the_limit(limit, integrator, clock):
    part = compute(integrator=integrator, time_limit=limit, neval=2_000_000)
    assert not part.converged
    assert part.contribution(0, 0).mean[0] == pytest.approx(0.5)
    assert part.incomplete == tuple(range(min(part.incomplete), 4))
    assert np.isfinite(part.mean).all()


def test_a_limit_that_does_not_strike_changes_no_bit(clock):
    one, two = compute(integrator="vegas", neval=50_000), compute(integrator="vegas", neval=50_000, time_limit=1e9)
    assert_array_equal(one.mean, two.mean)
    assert_array_equal(one.cov, two.cov)


def test_exact_integrals_look_at_the_clock_inside(clock):
    whole = compute(order=3, times=[(2.0, 1.0)], tau=None, integrator="exact", time_limit=1e6)
    assert whole.converged
    integrals = len({row.integral.tobytes() for row in whole.diagrams})
    theory, exact = bare_theory("linear"), nnqft.host.default_host().integrator("exact")
    last = nnqft.time_integral(nnqft.diagrams(theory, "two_point", order=3)[-1], theory, [[30.0, 0.0]])
    with watch.time_limit(10.0 + integrals), pytest.raises(watch.OutOfTime):
        exact.settle([last] * integrals)


def test_the_choice_of_a_degree_obeys_it(clock):
    theory = nnqft.theory("taylor", activation="softplus", N=50)
    part = nnqft.compute(theory, "two_point", order=2, time_limit=50.0)
    assert clock.now < 500
    assert any("as far as time allowed" in note for note in part.notes)
    assert part.contribution(0, 0).mean[0] > 0


def test_limits_within_each_other_hold_together(clock):
    clock.now = 10.0
    with watch.time_limit(5.0), watch.time_limit(1e6):
        clock.now = 20.0
        with pytest.raises(watch.OutOfTime):
            watch.tick()
    with watch.time_limit(5.0), watch.no_time_limit():
        clock.now = 50.0
        watch.tick()


def test_what_is_being_done_is_told(clock):
    told = []
    with watch.reporting(told.append):
        nnqft.diagrams(bare_theory("linear"), "two_point", order=3)
    assert {state["stage"] for state in told} == {"generating diagrams"}
    assert all(state["things"] == "diagrams" for state in told)
