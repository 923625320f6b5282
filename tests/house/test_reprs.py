"""Every public object says in one short line what it is, and a result printed is its table."""

from __future__ import annotations

import pytest

import nnqft
from nnqft.host import default_host, open_executor
from nnqft.stages.effort import Effort
from nnqft.stages.jobs import make_job
from nnqft_plugins.networks.meanfield import phase_diagram, solve
from nnqft_plugins.networks.published import published
from nnqft_plugins.networks.simulation import simulate

LINEAR = nnqft.theory("linear", N=10, sigma_w=0.5)
SADDLE = nnqft.theory("taylor", activation="tanh", N=10, kappa=0.1, sigma_w=0.5, expansion="saddle")
"""Its lines are tables of many numbers."""
RESULT = nnqft.compute(LINEAR, "two_point", order=5, width_order=1, tau=[0.1 * n for n in range(50)])
DERIVED = nnqft.compute(LINEAR, "correlation_length", order=2)
CHECK = nnqft.check(LINEAR, "two_point", tau=[0.0, 1.0], samples=20)
DYSON = nnqft.dyson(LINEAR, order=1)
DIAGRAMS = nnqft.diagrams(LINEAR, "two_point", order=6, width_order=1)
JOB = make_job(nnqft.diagrams(LINEAR, "two_point", order=2), RESULT.times, "auto")
WORK = JOB.work[0]
MANY = tuple((0.1 * n, 0.0) for n in range(500))

THINGS = {
    "result": RESULT,
    "total": RESULT.total,
    "series": RESULT.series,
    "singularity": RESULT.series.singularity(0),
    "rows": RESULT.diagrams,
    "row": RESULT.diagrams[-1],
    "request": RESULT.request,
    "closed form": RESULT.closed_form(5, 1),
    "derived": DERIVED,
    "dyson": DYSON,
    "self-energy": DYSON.self_energy,
    "theory": LINEAR,
    "theory with tables": SADDLE,
    "long drift": nnqft.theory("langevin", drift={p: 1.0 / p for p in range(1, 14)}),
    "diagrams": DIAGRAMS,
    "diagram": DIAGRAMS[-1],
    "point": DIAGRAMS[-1].points[0],
    "line": DIAGRAMS[-1].lines[0],
    "integral": WORK.integral,
    "work": WORK,
    "target": nnqft.Target(rtol=1e-3, keep=nnqft.Keep("run.ledger", RESULT.request.to_json())),
    "keep": nnqft.Keep("run.ledger", RESULT.request.to_json()),
    "outcome": nnqft.Outcome([RESULT.total] * 1000, True, "target met"),
    "shared": SADDLE.what_is_shared(),
    "need": nnqft.Need("two_point", MANY),
    "memory": nnqft.Memory(0, 1, tuple(nnqft.Term(1.0, 0.1 * n) for n in range(100))),
    "activation": nnqft.Activation.polynomial("long", {p: 1.0 / (p + 1) for p in range(100)}),
    "simulation": simulate(LINEAR, networks=20),
    "mean field": solve(SADDLE),
    "layers": solve(nnqft.theory("feedforward", activation="tanh")).layers(),
    "phase diagram": phase_diagram(SADDLE, sigma_w=[1.0, 2.0], sigma_b=[0.0]),
    "published": published(LINEAR, 5.0),
    "check": CHECK,
    "simulated": CHECK.simulated[0],
    "sampling": nnqft.Sampling(100, None, 0, None, None, open_executor("local")),
    "effort": Effort(),
    **{f"field {each.name}": each for each in SADDLE.fields},
    **{f"propagator {each.name}": each for each in (*SADDLE.propagators, *LINEAR.propagators)},
    **{f"vertex {each.name}": each for each in (*SADDLE.vertices, *LINEAR.interactions)},
    **{f"legs of {each.name}": each.legs[0] for each in SADDLE.vertices},
    **{f"parameter {n}": spec for n, spec in default_host().model("taylor").parameters.items()},
}


@pytest.mark.parametrize("name", THINGS)
def test_a_repr_is_one_short_line(name):
    text = repr(THINGS[name])
    assert text.isprintable(), text
    assert len(text) < 200, text
    assert text.startswith(type(THINGS[name]).__name__)
    assert text.endswith(")")


@pytest.mark.parametrize("name", ["result", "derived", "dyson", "simulation", "mean field", "phase diagram", "check"])
def test_a_result_printed_is_its_table(name):
    assert str(THINGS[name]) == THINGS[name].table()
    assert "\n" in str(THINGS[name])


def test_a_theory_printed_is_its_rules():
    assert str(SADDLE) == SADDLE.rules


def test_every_public_class_is_among_them():
    classes = {type(thing).__name__ for thing in THINGS.values()}
    public = {name for name in nnqft.__all__ if isinstance(getattr(nnqft, name), type)}
    other = {name for name in public if name.startswith("Abstract") or name.endswith("Error")} | {"Term"}
    assert public - other <= classes
