"""A time limit covers everything, and leaves what is there when it strikes; the clock here counts the looks at it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from theories import bare_theory

import nnqft
from nnqft.cli.main import main as cli
from nnqft.interrupts import forget
from nnqft.self_energies import self_consistent
from nnqft.show import watch
from nnqft_plugins.networks.meanfield import phase_diagram
from nnqft_plugins.networks.meanfield import solve as meanfield
from nnqft_plugins.networks.simulation import simulate


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


def test_a_part_that_was_saved_prints_as_it_did(clock, tmp_path):
    """Diagrams that were not evaluated have no row, but are counted."""
    request = {"integrator": "vegas", "neval": 70_000, "tau": np.linspace(0.0, 5.0, 60)}
    compute(**request, time_limit=1e6)
    limit, clock.now = 0.6 * clock.now, 0.0
    part = compute(**request, time_limit=limit)
    assert len(part.diagrams) < sum(part.counts.values())
    part.save(tmp_path / "part.json")
    loaded = nnqft.load(tmp_path / "part.json", nnqft.Result)
    assert loaded.table() == part.table()
    assert loaded.count(3, 1) == part.count(3, 1)


@pytest.mark.parametrize("limit", [1.0, 30.0, 60.0])
@pytest.mark.parametrize("integrator", ["exact", "vegas"])
def test_order_0_is_there_whatever_the_limit(limit, integrator, clock):
    part = compute(integrator=integrator, time_limit=limit, neval=2_000_000)
    assert not part.converged
    assert part.contribution(0, 0).mean[0] == pytest.approx(0.5)
    assert part.incomplete == tuple(range(min(part.incomplete), 4))
    assert np.isfinite(part.mean).all()


def test_a_limit_that_does_not_strike_changes_no_bit(clock):
    one, two = (compute(integrator="vegas", neval=100_000, time_limit=limit) for limit in (None, 1e9))
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


# Other commands: what is there is handed back with status 3, or refused in a line.


def run(*words: str) -> int:
    return cli(list(words))


def test_diagrams_of_lower_orders_are_listed(clock, capsys):
    assert run("diagrams", "linear", "-n", "5", "--time-limit", "1e6", "--limit", "0") == 0
    whole = capsys.readouterr()
    limit = 0.1 * clock.now
    clock.now = 0.0
    assert run("diagrams", "linear", "-n", "5", "--time-limit", str(limit), "--limit", "0") == 3
    part = capsys.readouterr()
    assert "order 5 is missing" in part.err or "to 5 are missing" in part.err
    assert "order 1, width order 1: 2" in part.out
    shown = part.out.splitlines()[1:]
    assert whole.out.splitlines()[1 : 1 + len(shown)] == shown


def test_diagrams_without_an_order_are_one_line(clock, capsys):
    assert run("diagrams", "linear", "-n", "5", "--time-limit", "0.5") == 3
    assert capsys.readouterr().err == "nnqft: the time limit was reached before there was anything to show\n"


def test_dyson_hands_back_its_last_step(clock, capsys):
    question = {"order": 1, "width_order": 0, "self_consistent": True, "intervals": 64, "reach": 20.0}
    theory = bare_theory("linear", sigma_w=0.9)
    whole = nnqft.dyson(theory, **question, time_limit=1e6)
    assert whole.converged
    limit = 0.5 * clock.now
    clock.now = 0.0
    with pytest.warns(UserWarning, match="time limit reached before the solution stayed: the last step changed it by"):
        part = nnqft.dyson(theory, **question, time_limit=limit)
    assert not part.converged
    assert 1 <= part.steps < whole.steps
    assert np.isfinite(part.two_point).all()
    assert "NOT met" in part.table()
    clock.now = 0.0
    words = ["-n", "1", "-k", "0", "--self-consistent", "--intervals", "64", "--reach", "20", "--time-limit", "0.5"]
    assert run("dyson", "linear", *words) == 3
    assert "time limit of 0.5 s reached before there was a solution" in capsys.readouterr().err


def test_dyson_ends_as_well_when_it_is_interrupted(monkeypatch):
    steps = iter(range(100))

    def interrupted(*arguments):
        if next(steps) == 3:
            raise KeyboardInterrupt
        return evaluate(*arguments)

    evaluate = self_consistent.evaluate
    monkeypatch.setattr(self_consistent, "evaluate", interrupted)
    theory = bare_theory("linear", sigma_w=0.9)
    with pytest.warns(UserWarning, match="interrupted before the solution stayed"):
        part = nnqft.dyson(theory, order=1, width_order=0, self_consistent=True, intervals=64, reach=20.0)
    forget()
    assert (part.steps, part.converged) == (3, False)


@pytest.mark.parametrize("model", ["linear", "taylor"])
def test_a_simulation_hands_back_the_networks_that_were_drawn(model, clock):
    more = {} if model == "linear" else {"activation": "tanh", "step": 0.5, "burn": 1.0, "window": 1.0}
    steps = {name: more.pop(name) for name in ("step", "burn", "window") if name in more}
    theory = nnqft.theory(model, N=4, sigma_w=0.5, **more)
    whole = simulate(theory, networks=200, time_limit=1e6, **steps)
    assert whole.converged
    limit = 0.5 * clock.now
    clock.now = 0.0
    part = simulate(theory, networks=200, time_limit=limit, **steps)
    assert not part.converged
    assert part.reason == f"time limit of {limit:g} s reached"
    assert 2 <= part.networks < whole.networks
    assert np.isfinite(part.mean).all()
    clock.now = 0.0
    if model == "taylor":  # whose paths look at the clock at every step
        with pytest.raises(nnqft.IntegrationError, match=r"limit of 0\.1 s reached before there were two networks"):
            simulate(theory, networks=200, time_limit=0.1, **steps)


def test_a_phase_diagram_ends_with_the_last_row(clock, tmp_path):
    theory = nnqft.theory("feedforward", activation="erf")
    grid = {"sigma_w": [1.0, 2.0], "sigma_b": [0.0, 0.1, 0.2, 0.3]}
    whole = phase_diagram(theory, **grid, time_limit=1e6)
    assert whole.converged
    limit = 0.6 * clock.now
    clock.now = 0.0
    part = phase_diagram(theory, **grid, time_limit=limit)
    rows = len(part.sigma_b)
    assert not part.converged
    assert 1 <= rows < 4
    assert_array_equal(part.lyapunov, whole.lyapunov[:rows])
    assert f"time limit of {limit:g} s reached: {rows} of 4 rows" in part.table()
    part.save(tmp_path / "part.json")
    clock.now = 0.0
    with pytest.raises(nnqft.IntegrationError, match="before a row was solved"):
        phase_diagram(theory, **grid, time_limit=0.1)


def test_mean_field_theory_from_rest_hands_back_the_finest_grid_that_was_solved(clock):
    theory = nnqft.theory("taylor", activation="tanh", start="rest")
    whole = meanfield(theory, horizon=2.0, rtol=1e-7, time_limit=1e6)
    assert whole.converged
    limit = clock.now - 2
    clock.now = 0.0
    part = meanfield(theory, horizon=2.0, rtol=1e-7, time_limit=limit)
    assert not part.converged
    assert part.error > whole.error
    assert part.C[-1, -1] == pytest.approx(whole.C[-1, -1], abs=part.error + whole.error)
    clock.now = 0.0
    with pytest.raises(nnqft.IntegrationError, match="time limit of 2 s reached before there was a solution"):
        meanfield(theory, horizon=2.0, time_limit=2.0)


def test_stationary_mean_field_theory_is_refused_in_a_line(clock, capsys):
    assert run("meanfield", "taylor", "-p", "activation=tanh", "-p", "sigma_w=1.5", "--time-limit", "0.5") == 3
    assert capsys.readouterr().err == "nnqft: time limit of 0.5 s reached before there was a solution\n"


def test_a_study_goes_on_where_its_limit_ended_it(clock, tmp_path, capsys):
    words = ["--couplings", "0.25", "--widths", "20", "--tanh-couplings", "none", "--rtol", "0.1",
             "--edge-widths", "none", "--out", str(tmp_path / "study"), "--executor", "local"]  # fmt: skip
    assert run("study", "test-it", *words, "--time-limit", "0.5") == 3
    assert "the same command goes on from here" in capsys.readouterr().err
    assert len(list((tmp_path / "study" / "cells").iterdir())) == 1


@pytest.mark.parametrize("command", ["diagrams", "dyson", "simulate", "meanfield", "phase-diagram"])
def test_a_limit_that_makes_no_sense_is_one_line(command, capsys):
    more = ["--networks", "10"] if command == "simulate" else []
    assert run(command, "taylor", *more, "--time-limit", "-1") == 2
    assert "--time-limit -1.0: wanted a number > 0" in capsys.readouterr().err
