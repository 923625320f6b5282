"""What makes Feynman rules contradict themselves, each with a line that names the model and the cause."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from nnqft.errors import TheoryError, short

if TYPE_CHECKING:
    from nnqft.rules.theory import Field, Propagator, Theory, Vertex

MAX_POWER = 14
"""Most equal legs on a point: more lines between two points cannot be told apart by the generator."""


def check_theory(theory: Theory) -> None:
    """Raise TheoryError on rules that contradict themselves, naming the model."""
    who = f"model {theory.model!r}"
    known = {f.name for f in theory.fields}
    if duplicates := [n for n, c in Counter(f.name for f in theory.fields).items() if c > 1]:
        raise TheoryError(f"{who}: field {duplicates[0]!r} is declared twice; name each field once")
    for propagator in theory.propagators:
        for end in (propagator.left, propagator.right):
            if end not in known:
                raise TheoryError(f"{who}: propagator {propagator.name!r} joins an unknown field {end!r}")
        if not (propagator.delta or propagator.stub or propagator.terms or propagator.kernel):
            raise TheoryError(f"{who}: propagator {propagator.name!r} has neither terms nor a kernel")
        _check_terms(f"{who}: propagator {propagator.name!r}", propagator, theory)
    pairs = Counter(frozenset((p.left, p.right)) for p in theory.propagators)
    if any(count > 1 for count in pairs.values()):
        raise TheoryError(f"{who}: two propagators join the same fields; add them into one")
    if duplicates := [n for n, c in Counter(p.name for p in theory.propagators).items() if c > 1]:
        raise TheoryError(f"{who}: propagator {duplicates[0]!r} is declared twice; name each propagator once")
    for propagator in theory.propagators:
        if theory.field_named[propagator.left].response:
            where = f"{who}: propagator {propagator.name!r}"
            raise TheoryError(f"{where}: the response field comes last; write left={propagator.right!r}")
    if duplicates := [n for n, c in Counter(v.name for v in theory.vertices).items() if c > 1]:
        raise TheoryError(f"{who}: vertex {duplicates[0]!r} is declared twice; name each vertex once")
    _check_loops(who, theory)
    for vertex in theory.vertices:
        _check_vertex(who, vertex, theory.field_named, {**theory.parameters, **theory.couplings})


def _check_terms(where: str, propagator: Propagator, theory: Theory) -> None:
    response = theory.field_named[propagator.right].response or theory.field_named[propagator.left].response
    for term in propagator.terms:
        if not all(math.isfinite(number) for number in (term.amplitude, term.rate, term.early)):
            raise TheoryError(f"{where}: {term} is not finite")
        if term.rate < 0 or term.early < 0 or (response and term.rate == 0):
            raise TheoryError(f"{where}: {term} grows or never decays; wanted rates {'> 0' if response else '≥ 0'}")


def _check_loops(who: str, theory: Theory) -> None:
    """θ(0) ≠ 0 closes responses on one point, whose time then needs a bound and whose line a value."""
    if not 0 <= theory.theta0 <= 1:
        raise TheoryError(f"{who}: theta0 = {theory.theta0}; wanted a number from 0 to 1")
    if not theory.horizon > 0:
        raise TheoryError(f"{who}: horizon = {theory.horizon}; wanted a time > 0")
    if theory.theta0 and math.isinf(theory.horizon):
        raise TheoryError(f"{who}: theta0 = {theory.theta0} needs a horizon, or the times of closed responses diverge")
    for propagator in theory.propagators:
        if theory.theta0 and theory.field_named[propagator.right].response and not propagator.terms:
            raise TheoryError(f"{who}: theta0 = {theory.theta0} needs terms, no kernel, in line {propagator.name!r}")


def _check_vertex(who: str, vertex: Vertex, fields: Mapping[str, Field], couplings: Mapping[str, Any]) -> None:
    where = f"{who}: vertex {vertex.name!r}"
    if not isinstance(vertex.legs, tuple) or not isinstance(vertex.couplings, tuple):
        raise TheoryError(f"{where}: legs and couplings must be tuples, such as legs=(Leg('z'), Leg('h', power=3))")
    if not vertex.legs:
        raise TheoryError(f"{where} has no legs")
    for leg in vertex.legs:
        if leg.field not in fields:
            raise TheoryError(f"{where} has a leg of unknown field {leg.field!r}; declare it in fields")
        if isinstance(leg.power, bool) or not isinstance(leg.power, int) or not 1 <= leg.power <= MAX_POWER:
            raise TheoryError(f"{where}: leg power {short(leg.power)} must be a whole number from 1 to {MAX_POWER}")
        if isinstance(leg.point, tuple) and not fields[leg.field].bilocal:
            raise TheoryError(f"{where}: field {leg.field!r} has one time; write point={leg.point[0]}")
    for memory in vertex.memory:
        filled = memory.terms or memory.kernel
        if not (0 <= memory.one < vertex.points and 0 <= memory.two < vertex.points and filled):
            raise TheoryError(f"{where}: memory between points {memory.one} and {memory.two}, it has {vertex.points}")
    if vertex.subtraction not in ("none", "average", "wick"):
        raise TheoryError(f"{where}: subtraction {short(vertex.subtraction)}; wanted 'none', 'average' or 'wick'")
    if not isinstance(vertex.coefficient, int | float | Fraction):
        raise TheoryError(f"{where}: coefficient {short(vertex.coefficient)} is not a number")
    if not math.isfinite(vertex.coefficient):
        raise TheoryError(f"{where}: coefficient {vertex.coefficient} is not a finite number")
    for name, _ in vertex.couplings:
        if name not in couplings:
            raise TheoryError(f"{where}: coupling {name!r} is not a parameter of the model")
    if not vertex.order > 0 or not math.isfinite(vertex.order):
        raise TheoryError(f"{where}: order {vertex.order} must be positive, or the series never ends")
