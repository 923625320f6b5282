"""What makes Feynman rules contradict themselves, each with a line that names the model and the cause."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from fractions import Fraction
from numbers import Integral, Real
from typing import Any

from nnqft.errors import TheoryError, short
from nnqft.rules.action import Action
from nnqft.rules.line_checks import Setting, check_line, check_memory
from nnqft.rules.parts import Field, Leg, Memory, Propagator, Vertex

MAX_POWER = 14
"""Most equal legs on a point: more lines between two points cannot be told apart by the generator."""


def check_action(action: Action, who: str, couplings: Mapping[str, Any], setting: Setting) -> None:
    """Raise TheoryError on rules that contradict themselves; `who` names the model in its line.

    The order of the checks is part of what they say: each relies on those before it, so that the first message is about
    the cause and not about what follows from it. Names come first, as all else goes by them.
    """
    _check_names(who, "field", (field.name for field in action.fields))
    _check_loops(who, action, setting)
    for field in action.fields:
        if not isinstance(field.share, Real) or not 0 < field.share <= 1:
            raise TheoryError(
                f"{who}: field {field.name!r}: share={short(field.share)}: wanted a number > 0, at most 1"
            )
    for propagator in action.propagators:
        _check_propagator(f"{who}: propagator {propagator.name!r}", propagator, action, setting)
    # A line is looked up by the two fields it joins, in either order: a second one would silently replace the first.
    pairs = Counter(frozenset((p.left, p.right)) for p in action.propagators)
    if any(count > 1 for count in pairs.values()):
        raise TheoryError(f"{who}: two propagators join the same fields; add them into one")
    _check_names(who, "propagator", (propagator.name for propagator in action.propagators))
    for propagator in action.propagators:
        # The generator reads the direction of a response off the rules: from the right, z̃, to the left, h.
        if action.field_named[propagator.left].response:
            where = f"{who}: propagator {propagator.name!r}"
            raise TheoryError(f"{where}: the response field comes last; write left={propagator.right!r}")
    _check_names(who, "vertex", (vertex.name for vertex in action.vertices))
    for vertex in action.vertices:
        _check_vertex(f"{who}: vertex {vertex.name!r}", vertex, action.field_named, couplings, setting)
    _check_sources(who, action)


def check_parts(who: str, start: object, named: Iterable[object], parts: Mapping[str, tuple[object, type]]) -> None:
    """Raise TheoryError on an unknown start, values without names, or parts that are no tuple of their kind."""
    if wrong := [values for values in named if not isinstance(values, Mapping)]:
        raise TheoryError(f"{who}: {short(wrong[0])}: wanted parameters and couplings by name, such as {{'g': 0.1}}")
    if not isinstance(start, str) or start not in ("stationary", "rest"):
        raise TheoryError(f"{who}: start={short(start)}: wanted 'stationary' or 'rest'")
    for name, (given, kind) in parts.items():
        wrong = [one for one in given if not isinstance(one, kind)] if isinstance(given, tuple) else [given]
        if wrong:
            raise TheoryError(f"{who}: {name}: {short(wrong[0])}: wanted a tuple of {kind.__name__}")


def _check_sources(who: str, action: Action) -> None:
    """A source ends a correlator; its field is in nothing else, so that it has no time of its own."""
    sources = {vertex.legs[0].field: vertex.name for vertex in action.vertices if vertex.source}
    for name, vertex in sources.items():
        others = {one for p in action.propagators if name in (p.left, p.right) for one in (p.left, p.right)}
        response = any(action.field_named[one].response or one in (sources if one != name else ()) for one in others)
        itself = any(p.left == p.right == name for p in action.propagators)
        shared = any(leg.field == name for v in action.vertices if not v.source for leg in v.legs)
        if response or itself or shared:
            raise TheoryError(
                f"{who}: vertex {vertex!r} of order 0 is a source: its field {name!r} must be of no other vertex,"
                " no response, and have lines to fields that are neither responses nor sources"
            )


def _check_names(who: str, kind: str, names: Iterable[str]) -> None:
    """Refuse a name that is declared twice: lines, vertices and fields of a diagram go by their names alone."""
    if duplicates := [name for name, count in Counter(names).items() if count > 1]:
        raise TheoryError(f"{who}: {kind} {duplicates[0]!r} is declared twice; name each {kind} once")


def _check_propagator(where: str, propagator: Propagator, action: Action, setting: Setting) -> None:
    fields = action.field_named
    for end in (propagator.left, propagator.right):
        if end not in fields:
            raise TheoryError(f"{where} joins an unknown field {end!r}")
    if fields[propagator.left].share != fields[propagator.right].share:
        raise TheoryError(f"{where} joins fields of different shares of the N units")
    if not (propagator.delta or propagator.stub or propagator.terms or propagator.kernel):
        raise TheoryError(f"{where} has neither terms nor a kernel")
    # A response that never decays would leave nothing to bound the time it places.
    response = fields[propagator.right].response or fields[propagator.left].response
    check_line(where, propagator, response, setting)


def _check_loops(who: str, action: Action, setting: Setting) -> None:
    """θ(0) ≠ 0 closes responses on one point, whose time then needs a bound and whose line a value."""
    theta0, horizon = setting.theta0, setting.horizon
    for name, given in (("theta0", theta0), ("horizon", horizon)):
        if not isinstance(given, Real):
            raise TheoryError(f"{who}: {name}={short(given)}: wanted a number")
    if not 0 <= theta0 <= 1:
        raise TheoryError(f"{who}: theta0 = {theta0}; wanted a number from 0 to 1")
    if not horizon > 0:
        raise TheoryError(f"{who}: horizon = {horizon}; wanted a time > 0")
    if theta0 and math.isinf(horizon):
        raise TheoryError(f"{who}: theta0 = {theta0} needs a horizon, or the times of closed responses diverge")
    for propagator in action.propagators:
        response = (field := action.field_named.get(propagator.right)) is not None and field.response
        if theta0 and response and (not propagator.terms or propagator.kernel is not None):
            raise TheoryError(f"{who}: theta0 = {theta0} needs terms, no kernel, in line {propagator.name!r}")


def _check_vertex(
    where: str, vertex: Vertex, fields: Mapping[str, Field], couplings: Mapping[str, Any], setting: Setting
) -> None:
    # Vertices are hashed and sent to workers; a list would be neither hashable nor safe from change.
    if not isinstance(vertex.memory, tuple) or any(not isinstance(each, Memory) for each in vertex.memory):
        raise TheoryError(f"{where}: memory={short(vertex.memory)}: wanted a tuple, such as (Memory(0, 1, terms),)")
    if not isinstance(vertex.legs, tuple) or not isinstance(vertex.couplings, tuple):
        raise TheoryError(f"{where}: legs and couplings must be tuples, such as legs=(Leg('z'), Leg('h', power=3))")
    if wrong := [leg for leg in vertex.legs if not isinstance(leg, Leg)]:
        raise TheoryError(f"{where}: legs: {short(wrong[0])}: wanted a tuple of Leg, such as (Leg('z'), Leg('h'))")
    if not vertex.legs:
        raise TheoryError(f"{where} has no legs")
    for name in ("order", "width"):
        if not isinstance(getattr(vertex, name), Real):
            raise TheoryError(f"{where}: {name}={short(getattr(vertex, name))}: wanted a number, such as {name}=1")
    for leg in vertex.legs:
        _check_leg(where, leg, fields)
    _check_slots(where, vertex, fields)
    _check_memories(where, vertex, setting)
    if vertex.subtraction not in ("none", "average", "wick"):
        raise TheoryError(f"{where}: subtraction {short(vertex.subtraction)}; wanted 'none', 'average' or 'wick'")
    _check_coefficient(where, vertex.coefficient)
    # Its value is looked up by name whenever a weight is made, long after the model is forgotten.
    for pair in vertex.couplings:
        if not (isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[1], Real)):
            raise TheoryError(f"{where}: couplings: {short(pair)}: wanted a tuple of pairs, such as (('g', 1),)")
    for name, _ in vertex.couplings:
        if name not in couplings:
            raise TheoryError(f"{where}: coupling {name!r} is not a parameter of the model")
    # Any number of vertices of order 0 would fit below every order; a source ends a leg, and there are finitely many.
    if not (vertex.order > 0 or vertex.source) or not math.isfinite(vertex.order):
        raise TheoryError(f"{where}: order {vertex.order} must be positive, or the series never ends")


def _check_slots(where: str, vertex: Vertex, fields: Mapping[str, Field]) -> None:
    """Legs of one index belong to the same part of the N units."""
    for index in {leg.index for leg in vertex.legs} - {None}:
        if len({fields[leg.field].share for leg in vertex.legs if leg.index == index}) > 1:
            raise TheoryError(f"{where}: index {index!r} joins fields of different shares of the N units")


def _check_leg(where: str, leg: Leg, fields: Mapping[str, Field]) -> None:
    if leg.field not in fields:
        raise TheoryError(f"{where} has a leg of unknown field {leg.field!r}; declare it in fields")
    if isinstance(leg.power, bool) or not isinstance(leg.power, int) or not 1 <= leg.power <= MAX_POWER:
        raise TheoryError(f"{where}: leg power {short(leg.power)} must be a whole number from 1 to {MAX_POWER}")
    points = leg.point if isinstance(leg.point, tuple) else (leg.point,)
    if not all(isinstance(point, Integral) and point >= 0 for point in points):
        raise TheoryError(f"{where}: point={short(leg.point)}: wanted a whole number ≥ 0, or two of a bilocal field")
    if isinstance(leg.point, tuple) and not fields[leg.field].bilocal:
        raise TheoryError(f"{where}: field {leg.field!r} has one time; write point={leg.point[0]}")


def _check_memories(where: str, vertex: Vertex, setting: Setting) -> None:
    points = range(vertex.points)
    for memory in vertex.memory:
        if memory.one not in points or memory.two not in points or not (memory.terms or memory.kernel):
            raise TheoryError(f"{where}: memory between points {memory.one} and {memory.two}, it has {vertex.points}")
        check_memory(f"{where}: memory of points {memory.one} and {memory.two}", memory, setting)


def _check_coefficient(where: str, coefficient: Any) -> None:
    if not isinstance(coefficient, int | float | Fraction):
        raise TheoryError(f"{where}: coefficient {short(coefficient)} is not a number")
    if not math.isfinite(coefficient):
        raise TheoryError(f"{where}: coefficient {coefficient} is not a finite number")
