"""Contract the bilocal lines ⟨𝔚(t1,t2) 𝔚̃(t3,t4)⟩ = δ(t1−t3)δ(t2−t4) + δ(t1−t4)δ(t2−t3) of an action."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from fractions import Fraction
from itertools import product

from nnqft.errors import TheoryError
from nnqft.rules.action import Action
from nnqft.rules.parts import Leg, Memory, Propagator, Vertex


def contract_bilocal(action: Action, who: str) -> tuple[Vertex, ...]:
    """Vertices without bilocal fields: the local ones as they are, the others joined in pairs by each δδ line.

    Joining 𝔚 z̃_i z̃_i with 𝔚̃ φ(h_j) φ(h_j) gives back the term (σ_w²/2N) z̃_i z̃_i φ_j φ_j of −S; the two
    ways to match the times are one vertex if a relabelling of its points makes them equal.

    Raises
    ------
    TheoryError
        If a vertex has several bilocal legs: such a theory is not a sum of bilocal vertices. `who` names the model.
    """
    bilocal = {f.name for f in action.fields if f.bilocal}
    ends: dict[str, list[tuple[Vertex, Leg]]] = {name: [] for name in bilocal}
    contracted: list[Vertex] = []
    for vertex in action.vertices:
        legs = [leg for leg in vertex.legs if leg.field in bilocal]
        if not legs:
            contracted.append(vertex)
        else:
            _check_bilocal(f"{who}: vertex {vertex.name!r}", vertex, legs)
            ends[legs[0].field].append((vertex, legs[0]))
    for propagator in action.propagators:
        if propagator.delta:
            contracted += _join(ends, propagator, {vertex.name for vertex in contracted})
    return tuple(contracted)


def _check_bilocal(where: str, vertex: Vertex, legs: list[Leg]) -> None:
    if len(legs) != 1 or legs[0].power != 1:
        raise TheoryError(f"{where} has more than one bilocal leg")
    points = legs[0].point
    if not isinstance(points, tuple):
        raise TheoryError(f"{where}: the bilocal field {legs[0].field!r} needs two points, such as (0, 1)")
    if stray := [leg.point for leg in vertex.legs if leg is not legs[0] and leg.point not in points]:
        raise TheoryError(f"{where}: a leg at point {stray[0]}, wanted one of the bilocal field's points {points}")
    if vertex.kernel is not None:
        raise TheoryError(f"{where} has a bilocal leg and a kernel; give the kernel to a vertex without one")


def _join(ends: dict[str, list[tuple[Vertex, Leg]]], line: Propagator, taken: set[str]) -> list[Vertex]:
    joined: list[Vertex] = []
    for (one, its_leg), (two, other_leg) in product(ends[line.left], ends[line.right]):
        first, second = _points(its_leg), _points(other_leg)
        ways = [dict(zip(second, first, strict=True)), dict(zip(second, first[::-1], strict=True))]
        for points in ways:
            vertex = _merge(one, its_leg, two, other_leg, points)
            same = [n for n, other in enumerate(joined) if equal_vertices(vertex, other)]
            if same:
                old = joined[same[0]]
                joined[same[0]] = replace(old, coefficient=old.coefficient + vertex.coefficient)
            else:
                name = vertex.name if vertex.name not in taken else f"{one.name} × {two.name}"
                joined.append(replace(vertex, name=name if name not in taken else f"{name} (crossed)"))
                taken.add(joined[-1].name)
    return joined


def _points(leg: Leg) -> tuple[int, int]:
    assert isinstance(leg.point, tuple)  # checked by _check_bilocal
    return leg.point


def _merge(one: Vertex, its_leg: Leg, two: Vertex, other_leg: Leg, points: dict[int, int]) -> Vertex:
    """One vertex on `one`'s points; the index slots of `two` are renamed where they clash."""
    taken = {leg.index for leg in one.legs}
    legs = [leg for leg in one.legs if leg is not its_leg]
    for leg in two.legs:
        if leg is not other_leg:
            assert isinstance(leg.point, int)
            index = leg.index + "'" if leg.index is not None and leg.index in taken else leg.index
            legs.append(replace(leg, point=points[leg.point], index=index))
    memory = [replace(m, one=points[m.one], two=points[m.two]) for m in two.memory]
    couplings = Counter(dict(one.couplings)) + Counter(dict(two.couplings))
    return replace(
        two,
        legs=tuple(legs),
        coefficient=one.coefficient * two.coefficient,
        couplings=tuple(sorted(couplings.items())),
        width=Fraction(one.width + two.width),
        order=Fraction(one.order + two.order),
        memory=(*one.memory, *memory),
        subtraction=two.subtraction if one.subtraction == "none" else one.subtraction,
        degree=max(one.degree, two.degree),
    )


def equal_vertices(one: Vertex, two: Vertex) -> bool:
    """Are the two vertices equal but for their coefficients, if need be after their two points are exchanged?"""
    alike = "couplings", "width", "order", "subtraction", "degree"
    if any(getattr(one, name) != getattr(two, name) for name in alike) or one.kernel is not two.kernel:
        return False
    if one.kernel is not None and one.points > 1:  # which of them a factor over the times is symmetric in is not known
        return Counter(one.legs) == Counter(two.legs)
    legs, memories = Counter(one.legs), Counter(map(_look, one.memory))
    exchanged = [replace(leg, point=1 - leg.point) for leg in two.legs if isinstance(leg.point, int)]
    turned = [replace(memory, one=1 - memory.one, two=1 - memory.two) for memory in two.memory]
    return (legs, memories) in (
        (Counter(two.legs), Counter(map(_look, two.memory))),
        (Counter(exchanged), Counter(map(_look, turned))),
    )


def _look(memory: Memory) -> tuple[object, ...]:
    """What tells memories apart; functions and their parameters, which may be arrays, by being the same object."""
    points = frozenset((memory.one, memory.two)) if memory.symmetric else (memory.one, memory.two)
    return points, memory.symmetric, memory.terms, id(memory.kernel), id(memory.params) if memory.kernel else 0
