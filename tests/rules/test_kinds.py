"""Rules made of anything that a model may hand over: numbers and collections of every kind, or one line."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from numpy.testing import assert_allclose

import nnqft
from nnqft import Field, Leg, Memory, Propagator, Term, Theory, TheoryError, Vertex

LINES = Propagator("G", "h", "z", terms=(Term(1.0, 1.0),)), Propagator("C", "h", "h", terms=(Term(0.5, 1.0),))
CUBIC = Vertex("cubic", (Leg("z"), Leg("h", power=3)), -0.1)


def one_site(**changes) -> Theory:
    fields = Field("h", "h"), Field("z", "z̃", response=True)
    rules = {"start": "stationary", "parameters": {}, "fields": fields, "propagators": LINES, "vertices": (CUBIC,)}
    return Theory("site", **(rules | changes))


@pytest.mark.parametrize("integrator", ["exact", "vegas"])
@pytest.mark.parametrize("one", [Fraction(1), np.array(1.0), np.float32(1), np.complex64(1), 1, True], ids=repr)
def test_any_number_is_a_number_of_a_term(one, integrator):
    lines = replace(LINES[0], terms=(Term(one, one),)), replace(LINES[1], terms=(Term(one / 2, one),))
    found, wanted = (
        nnqft.compute(theory, "two_point", order=1, tau=[0.0, 1.0], integrator=integrator, neval=1024)
        for theory in (one_site(propagators=lines), one_site())
    )
    assert_allclose(found.mean, wanted.mean, rtol=1e-14)
    with pytest.raises(TheoryError, match="depends on the time itself"):
        one_site(propagators=(LINES[0], replace(LINES[1], terms=(Term(0.5, 1.0, one),))))


def test_rules_may_come_from_a_generator():
    """Those that were read once by a check were gone afterwards: all vertices, silently."""
    again = [replace(line, terms=(term for term in line.terms)) for line in LINES]
    theory = one_site(vertices=(each for each in [CUBIC]), propagators=iter(again), fields=[*one_site().fields])
    assert theory == one_site()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"start": "Stationary"}, "start='Stationary': wanted 'stationary' or 'rest'"),
        ({"start": None}, "start=None: wanted 'stationary' or 'rest'"),
        ({"parameters": [1]}, "[1]: wanted parameters and couplings by name"),
        ({"vertices": CUBIC}, "wanted a tuple of Vertex"),
        ({"fields": "hz"}, "fields: 'hz': wanted a tuple of Field"),
        ({"remarks": "careful"}, "remarks: 'careful': wanted a tuple of str"),
        ({"theta0": "x"}, "theta0='x': wanted a number"),
        ({"propagators": (Propagator("G", "h", "z", terms=Term(1.0, 1.0)),)}, "wanted a tuple, such as terms=(Term("),
        ({"vertices": (replace(CUBIC, legs=("z",)),)}, "legs: 'z': wanted a tuple of Leg"),
        ({"vertices": (replace(CUBIC, memory=Memory(0, 1)),)}, "wanted a tuple, such as (Memory(0, 1, terms),)"),
        ({"vertices": (replace(CUBIC, order=None),)}, "order=None: wanted a number, such as order=1"),
        ({"vertices": (replace(CUBIC, width="1"),)}, "width='1': wanted a number, such as width=1"),
        ({"vertices": (replace(CUBIC, couplings=("g",)),)}, "couplings: 'g': wanted a tuple of pairs"),
        ({"vertices": (replace(CUBIC, legs=(Leg("z", "0"),)),)}, "point='0': wanted a whole number"),
    ],
    ids=range(14),
)
def test_rules_of_the_wrong_kind_are_one_line(changes, message):
    with pytest.raises(TheoryError) as refused:
        one_site(**changes)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
