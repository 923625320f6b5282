"""Numbers of diagrams are predicted within the error that is stated, and what cannot be finished is left out early."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from merging import partial_diagrams

import nnqft
from nnqft.graphs import wick
from nnqft.graphs.bounds import can_end, least_width
from nnqft.graphs.census import Census, take_census
from nnqft.graphs.generate import generate
from nnqft.graphs.layout import lay_out
from nnqft.graphs.wick import contract


def laid_out(model, observable="two_point", arity=2, degree=None, **parameters):
    theory = nnqft.theory(model, **parameters)
    theory = theory if degree is None else theory.up_to(degree)
    return lay_out(theory, tuple(nnqft.host.default_host().observable(observable).legs(theory, arity)))


def count(layout, order, width_order=None):
    return sum(len(batch) for batch in contract(layout, order, width_order, True))


def test_trees_of_eight_legs_with_vertices_of_three_and_four():
    """Order Σ(legs − 2): at order 6 these are the trees, 34,300 of them (F. Schröder's fourth problem, cut at 3)."""
    theory = nnqft.theory("toy", action={3: 0.1, 4: 0.1})
    vertices = tuple(
        nnqft.Vertex(v.name, v.legs, v.coefficient, v.couplings, order=v.legs[0].power - 2) for v in theory.vertices
    )
    theory = replace(theory, vertices=vertices)
    layout = lay_out(theory, tuple(nnqft.host.default_host().observable("cumulant").legs(theory, 8)))
    census = take_census(layout, 6, None, connected=True)
    assert 0 < census.error < 0.05 * 34_300
    assert abs(census.number - 34_300) < 4 * census.error


MIXED = [
    *product(["langevin"], [{1: 1.0, 2: 0.2, 3: 0.2}, {1: 1.0, 3: 0.2, 4: 0.2}], [(2, 4), (4, 3)]),
    ("langevin", {1: 1.0, 3: 0.2, 4: 0.2}, (8, 2)),
    *product(["toy"], [{3: 0.1, 4: 0.1}], [(2, 5), (4, 4), (6, 3), (8, 3)]),
]


@pytest.mark.parametrize(("model", "powers", "case"), MIXED)
def test_even_and_odd_powers_mixed(model, powers, case, monkeypatch):
    monkeypatch.setattr("nnqft.graphs.census._MOST", 128)  # so that what can be counted has to be estimated
    legs, order = case
    name = "drift" if model == "langevin" else "action"
    layout = laid_out(model, "cumulant", legs, **{name: powers})
    census = take_census(layout, order, None, connected=True)
    known = count(layout, order)
    assert 0 <= census.error < 0.15 * known
    assert census.factor == 1.0
    assert abs(census.number - known) <= 4.5 * census.error


def test_a_rough_number_says_how_rough_it_is():
    layout = laid_out("feedforward", degree=8, activation="tanh")
    census = take_census(layout, 3, None, connected=True)
    assert census.number / max(census.factor, 3) < 93 < census.number * max(census.factor, 3)
    assert str(Census(2e13, 1e13, 1e15, 30.0)) == "about 2e+13 (to within a factor of 30)"
    assert str(Census(34_312.4, 412.0, 1e5)) == "about 34,300 ± 400"
    assert str(Census(0.0, 0.0, 1e9, 3.0)) == "few or no"


def test_a_number_of_which_few_diagrams_were_found_is_rough():
    """The runs agree on 4 diagrams of 9 to the last digit, as all miss the same ones."""
    census = take_census(laid_out("feedforward"), 8, None, connected=True)
    assert census.number / census.factor < 9 < census.number * census.factor
    assert "to within a factor of" in str(census)
    assert str(Census(599.0, 0.3, 1e3)) == "about 600"


@pytest.mark.parametrize("model", ["linear", "cubic_tanh", "feedforward", "taylor"])
def test_a_prediction_takes_about_a_second_at_order_nine(model):
    layout = laid_out(model, degree=20 if model == "feedforward" else None)
    began = time.process_time()
    take_census(layout, 9, None, connected=True)
    assert time.process_time() - began < 5  # of a busy machine


def counted(*arguments):
    """How many diagrams there are, and how many partial ones were made for them."""
    with partial_diagrams() as sizes:
        found = count(*arguments)
    return found, sum(sizes)


def test_wick_ordered_slots_are_known_to_cost_width(monkeypatch):
    layout = laid_out("cubic_tanh")
    assert counted(layout, 6, 0) == (1, 1)
    found, rows = counted(layout, 3, 1)
    assert found == 464
    monkeypatch.setattr(wick, "can_end", lambda layout, batch, order: np.ones(len(batch), bool))
    found, without = counted(replace(layout, halves=False), 3, 1)
    assert found == 464
    assert without > 3 * rows


PRUNED = [
    ("cubic_tanh", {}, 2, 1),
    ("taylor", {"activation": "relu", "degree": 4}, 2, 1),
    ("feedforward", {"activation": "tanh", "degree": 6}, 3, 1),
    ("linear", {}, 4, 2),
    ("cubic_tanh", {"expansion": "bare"}, 2, 0),
]


@pytest.mark.parametrize(("model", "parameters", "order", "width_order"), PRUNED)
def test_what_is_left_out_early_would_have_come_to_nothing(model, parameters, order, width_order, monkeypatch):
    layout = laid_out(model, **parameters)
    early = generate(layout.theory, "two_point", layout.externals, order=order,
                                           width_order=width_order)  # fmt: skip
    monkeypatch.setattr(wick, "can_end", lambda layout, batch, order: can_end(layout, batch, 10**6))
    monkeypatch.setattr(wick, "least_width", lambda layout, batch: 0 * least_width(layout, batch))
    late = generate(layout.theory, "two_point", layout.externals, order=order)
    late = late.subset(late.widths <= width_order)
    assert [early.digest(n) for n in range(len(early))] == [late.digest(n) for n in range(len(late))]
    assert early.ways.tolist() == late.ways.tolist()
