"""The rules as data and as text: what is printed, what is refused, and the vertices diagrams are made of.

The texts in golden/ are written anew by ``python tests/rules/test_rules.py``; read the difference before you keep it.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import theories
from theories import TWO_POINT, bare_theory

from nnqft import Field, Leg, Propagator, Term, Theory, TheoryError, Vertex
from nnqft.graphs.layout import lay_out

GOLDEN = Path(__file__).parent / "golden"
PRINTED = {
    "rules_linear_stationary.txt": {"sigma_w": 0.5, "N": 100},
    "rules_linear_rest_bias.txt": {"start": "rest", "gamma": 1.3, "kappa": 0.8, "sigma_b": 0.25, "N": 7, "sigma_w": 2},
}
HALF = Fraction(1, 2)

H, Z = Field("h", "h"), Field("z", "z̃", response=True)
W, W_TILDE = Field("W", "𝔚", bilocal=True), Field("W~", "𝔚̃", bilocal=True)
C = Propagator("C", "h", "h", terms=(Term(1.0, 1.0),))
G = Propagator("G", "h", "z", terms=(Term(1.0, 1.0),))
G_W = Propagator("G_w", "W", "W~", delta=True)
CUBIC = Vertex("z h^3", (Leg("z"), Leg("h", power=3)), -1.0)


def theory(*vertices: Vertex, fields=(H, Z, W, W_TILDE), propagators=(C, G, G_W)) -> Theory:
    return Theory("mine", "stationary", {"g": 1.0}, fields, propagators, vertices)


# Text.


@pytest.mark.parametrize("name", PRINTED)
def test_rules_are_printed_like_this(name):
    printed = bare_theory("linear", **PRINTED[name]).rules
    assert printed + "\n" == (GOLDEN / name).read_text(encoding="utf-8")


def test_a_theory_without_bilocal_lines_lists_its_vertices_once():
    rules = theories.langevin({3: HALF}).rules
    assert "  z h^3   -1/2 ∫ dt1 z̃(t1) h³(t1)" in rules.splitlines()
    assert "contracted" not in rules


# Refusals.


def test_the_plain_theory_is_accepted():
    assert theory(CUBIC).interactions == (CUBIC,)


@pytest.mark.parametrize(
    ("vertex", "message"),
    [
        (replace(CUBIC, legs=(Leg("z"), Leg("x"))), "has a leg of unknown field 'x'; declare it in fields"),
        (replace(CUBIC, legs=()), "has no legs"),
        (replace(CUBIC, legs=(Leg("z"), Leg("h", power=0))), "leg power 0 must be a whole number from 1 to 14"),
        (replace(CUBIC, coefficient=math.nan), "coefficient nan is not a finite number"),
        (replace(CUBIC, coefficient=math.inf), "coefficient inf is not a finite number"),
        (replace(CUBIC, couplings=(("f", 1),)), "coupling 'f' is not a parameter of the model"),
        (replace(CUBIC, order=Fraction(0)), "order 0 must be positive, or the series never ends"),
        (replace(CUBIC, order=Fraction(-1)), "order -1 must be positive, or the series never ends"),
    ],
)
def test_a_vertex_that_makes_no_sense_is_refused(vertex, message):
    with pytest.raises(TheoryError) as refused:
        theory(vertex)
    assert str(refused.value).startswith("model 'mine': vertex 'z h^3'")
    assert str(refused.value).endswith(message)


def test_a_source_that_has_a_time_of_its_own_is_refused():
    """One leg of order 0 ends lines only if nothing else could place its point."""
    for field in ("z", "h"):
        with pytest.raises(TheoryError, match=r"vertex 'start' of order 0 is a source: its field .* no other vertex"):
            theory(replace(CUBIC, name="start", legs=(Leg(field),), order=0))


def test_a_coupling_may_be_a_parameter():
    assert theory(replace(CUBIC, couplings=(("g", 2),))).coupling_value((("g", 2),)) == 1.0


def test_a_vertex_declared_twice_is_refused():
    with pytest.raises(TheoryError, match=r"model 'mine': vertex 'z h\^3' is declared twice; name each vertex once"):
        theory(CUBIC, CUBIC)


def test_a_field_declared_twice_is_refused():
    with pytest.raises(TheoryError, match="model 'mine': field 'h' is declared twice; name each field once"):
        theory(fields=(H, Z, H))


@pytest.mark.parametrize(
    ("propagator", "message"),
    [
        (replace(C, right="x"), "model 'mine': propagator 'C' joins an unknown field 'x'"),
        (replace(C, terms=()), "model 'mine': propagator 'C' has neither terms nor a kernel"),
        (replace(G, left="z", right="h"), "model 'mine': two propagators join the same fields; add them into one"),
    ],
)
def test_a_propagator_that_makes_no_sense_is_refused(propagator, message):
    with pytest.raises(TheoryError, match=f"^{message}$"):
        theory(propagators=(propagator, G))


# What only the generator can see.


@pytest.mark.parametrize("part", [{"width": HALF}, {"order": HALF}])
def test_a_vertex_that_stays_fractional_is_refused(part):
    with pytest.raises(TheoryError, match=r"model 'mine': vertex 'z h\^3' has a fractional order or width"):
        lay_out(theory(replace(CUBIC, **part)), TWO_POINT)


def test_a_bilocal_vertex_without_half_a_width_is_refused():
    mine = theories.linear()
    weights, activation = mine.vertices
    broken = replace(mine, vertices=(replace(weights, width=Fraction(0)), activation))
    with pytest.raises(TheoryError, match=r"vertex '\(1,1\)' has a fractional order or width"):
        lay_out(broken, TWO_POINT)


def test_a_vertex_that_grows_with_the_width_is_refused():
    double = Vertex("z h h", (Leg("z", 0, "i"), Leg("h", 0, "j", 2)), 1.0)
    message = r"vertex 'z h h' sums over 2 indices and has only N\^-0: its diagrams would grow without bound"
    with pytest.raises(TheoryError, match=message):
        lay_out(theory(double), TWO_POINT)
    lay_out(theory(replace(double, width=1)), TWO_POINT)


# The bilocal line.


@pytest.mark.parametrize(
    "legs",
    [(Leg("W", (0, 1), power=2), Leg("z")), (Leg("W", (0, 1)), Leg("W~", (0, 1)), Leg("z"))],
    ids=["squared", "both"],
)
def test_two_bilocal_legs_on_a_vertex_are_refused(legs):
    with pytest.raises(TheoryError, match="model 'mine': vertex 'W W' has more than one bilocal leg"):
        _ = theory(Vertex("W W", legs, 1.0)).interactions


def test_a_bilocal_leg_at_one_time_is_refused():
    one, two = Vertex("a", (Leg("W"), Leg("z")), 1.0), Vertex("b", (Leg("W~"), Leg("h")), 1.0)
    with pytest.raises(TheoryError, match=r"bilocal field 'W~?' needs two points, such as \(0, 1\)"):
        _ = theory(one, two).interactions


def legs_of(vertex: Vertex) -> Counter:
    return Counter((leg.field, leg.point, leg.index, leg.power) for leg in vertex.legs)


def test_contraction_gives_the_term_of_the_averaged_action():
    (vertex,) = theories.linear().interactions
    assert (vertex.coefficient, vertex.couplings) == (HALF, (("sigma_w", 2),))
    assert (vertex.width, vertex.order) == (1, 1)
    assert legs_of(vertex) == Counter([("z", 0, "i", 1), ("z", 1, "i", 1), ("h", 0, "j", 1), ("h", 1, "j", 1)])


def test_unequal_powers_add_both_orders():
    """(σ_w²/2N) (c_1 c_3 + c_3 c_1): one type of vertex with the coefficient c_1 c_3."""
    c_1, c_3 = Fraction(2), Fraction(-1, 3)
    mine = theories.network({(1, 1): c_1 * c_1, (1, 3): c_1 * c_3, (3, 3): c_3 * c_3})
    assert {v.name: v.coefficient for v in mine.interactions} == {
        "(1,1)": HALF * c_1**2, "(1,3)": c_1 * c_3, "(3,3)": HALF * c_3**2,
    }  # fmt: skip
    assert {(v.couplings, v.width, v.order) for v in mine.interactions} == {((("sigma_w", 2),), 1, 1)}
    mixed = mine.interactions[1]
    assert sorted(leg.power for leg in mixed.legs if leg.field == "h") == [1, 3]
    assert {leg.point for leg in mixed.legs if leg.field == "h"} == {0, 1}


def test_equal_index_names_stay_apart():
    mine = theories.linear()
    weights, activation = mine.vertices
    legs = tuple(replace(leg, index=leg.index and "i") for leg in activation.legs)
    (vertex,) = replace(mine, vertices=(weights, replace(activation, legs=legs))).interactions
    assert {leg.index for leg in vertex.legs if leg.field == "z"} == {"i"}
    assert len({leg.index for leg in vertex.legs}) == 2


def test_two_ways_that_differ_stay_two_vertices():
    """With unlike legs at both ends no relabelling of the times makes the two ways to match them equal."""
    y = Field("y", "ỹ", response=True)
    one = Vertex("weights", (Leg("W", (0, 1)), Leg("z", 0), Leg("y", 1)), 1.0)
    two = Vertex("activation", (Leg("W~", (0, 1)), Leg("h", 0), Leg("h", 1, power=3)), 1.0)
    found = theory(one, two, fields=(H, Z, y, W, W_TILDE)).interactions
    at_z = [{leg.power for leg in v.legs if leg.point == 0 and leg.field == "h"} for v in found]
    assert at_z == [{1}, {3}]
    assert [v.coefficient for v in found] == [1.0, 1.0]


def test_local_vertices_stay_as_they_are():
    mine = theories.network({(1, 1): 1}, local={3: -HALF})
    assert mine.vertices[-1] in mine.interactions
    assert len(mine.interactions) == 2


if __name__ == "__main__":
    for file, parameters in PRINTED.items():
        (GOLDEN / file).write_text(bare_theory("linear", **parameters).rules + "\n", encoding="utf-8")
