"""A theory and an observable's legs, laid out as sockets for the generator."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from nnqft.errors import InputError, TheoryError, short
from nnqft.graphs.canonical import automorphism_orbits
from nnqft.rules.parts import Leg, Vertex
from nnqft.rules.theory import Theory

LINES = 0x0F
"""Bits of a code that count the lines between two sockets."""
SAME_VERTEX, SAME_POINT, SAME_INDEX = 0x10, 0x20, 0x40


@dataclass(frozen=True)
class VertexLayout:
    """What the generator needs of a vertex: its sockets and how they hang together.

    `entries` holds (socket, how many sockets are equivalent to it); `symmetry` counts the permutations of the
    legs that leave the vertex as it is.
    """

    rule: Vertex
    sockets: tuple[Leg, ...]
    kinds: tuple[int, ...]
    codes: np.ndarray
    entries: tuple[tuple[int, int], ...]
    symmetry: int


@dataclass(frozen=True)
class Layout:
    """A theory and an observable's legs, laid out for the generator.

    Kind 0 is an empty socket, kinds 1…E the external legs, the rest the sockets of vertices; vertices whose
    sockets look alike still have kinds of their own.
    """

    theory: Theory
    externals: tuple[Leg, ...]
    vertices: tuple[VertexLayout, ...]
    field_of: tuple[str, ...]  # (K,) field of a socket of this kind
    joins: np.ndarray  # (K, K) bool: a propagator exists between these kinds
    directed: np.ndarray  # (K, K) bool: it is a response from the first kind (z̃) to the second (h)
    response: np.ndarray  # (K,) bool
    indexed: np.ndarray  # (K,) bool: carries an index
    share: np.ndarray  # (K,) of the N units, the part that has this field
    free: np.ndarray  # (K,) legs of a socket of this kind
    average: np.ndarray  # (K,) bool: the average of its slot is subtracted
    wick: np.ndarray  # (K,) bool: contractions within its slot are subtracted
    pure_slots: bool  # no index is shared by response legs and others within a vertex
    halves: bool  # a slot that cannot close on its own may count as half a closed one (see `least_width`)


def lay_out(theory: Theory, externals: tuple[Leg, ...]) -> Layout:
    """Lay out a theory and external legs for generation.

    Raises
    ------
    TheoryError
        If a vertex has a power of 1/N or an order that is not an integer after contraction.
    """
    _check_externals(theory, externals)
    kinds: list[Leg] = [Leg("", 0), *externals]
    laid_out: list[VertexLayout] = []
    for vertex in theory.interactions:
        if Fraction(vertex.width).denominator != 1 or Fraction(vertex.order).denominator != 1:
            raise TheoryError(f"model {theory.model!r}: vertex {vertex.name!r} has a fractional order or width")
        _check_growth(theory, vertex)
        laid_out.append(_lay_out_vertex(vertex, first_kind=len(kinds)))
        kinds += _kind_legs(laid_out[-1], len(kinds))
    names = [leg.field for leg in kinds]
    subtractions = ["none"] * (1 + len(externals)) + [p.rule.subtraction for p in laid_out for _ in set(p.kinds)]
    joins = np.array([[(a, b) in theory.lines for b in names] for a in names])
    response = np.array([bool(n) and theory.field_named[n].response for n in names])
    return Layout(
        theory=theory,
        externals=externals,
        vertices=tuple(laid_out),
        field_of=tuple(names),
        joins=joins,
        directed=joins & response[:, None] & ~response[None, :],
        response=response,
        indexed=np.array([leg.index is not None for leg in kinds]),
        share=np.array([theory.field_named[n].share if n else 1.0 for n in names]),
        free=np.array([leg.power if leg.field else 0 for leg in kinds], dtype=np.uint8),
        average=np.array([each == "average" for each in subtractions]),
        wick=np.array([each == "wick" for each in subtractions]),
        pure_slots=all(_pure_slots(theory, vertex) for vertex in theory.interactions),
        halves=all(_halves(theory, vertex) for vertex in theory.interactions),
    )


def entries_of(layout: Layout) -> list[tuple[VertexLayout, int, int]]:
    """Each vertex with each kind of socket that it has: the vertex, the socket, how many are equivalent to it."""
    return [(vertex, entry, equivalent) for vertex in layout.vertices for entry, equivalent in vertex.entries]


def _check_externals(theory: Theory, externals: tuple[Leg, ...]) -> None:
    for leg in externals:
        if leg.field not in theory.field_named:
            raise InputError(f"model {theory.model!r} has no field {leg.field!r}, which the observable asks for")
        if theory.field_named[leg.field].bilocal:
            raise InputError(f"field {leg.field!r} is bilocal; an observable's legs need fields of one time")
        if leg.power != 1 or not isinstance(leg.point, int) or leg.point < 0:
            raise InputError(f"an observable's leg is {short(leg)}; wanted power 1 at a column of times ≥ 0")
    columns = {leg.point for leg in externals}
    if not externals or columns != set(range(len(columns))):
        raise InputError(f"the observable's legs sit at columns {sorted(map(str, columns))}; wanted 0, 1, … in a row")


def _check_growth(theory: Theory, vertex: Vertex) -> None:
    """Refuse vertices whose diagrams would grow with N without bound: each sum over an index needs its 1/N."""
    slots = len({leg.index for leg in vertex.legs if leg.index is not None})
    # One slot is that by which the vertex hangs on the rest, unless it can hang by a leg without index.
    tied = all(leg.index is not None for leg in vertex.legs)
    if slots - tied > vertex.width:
        raise TheoryError(
            f"model {theory.model!r}: vertex {vertex.name!r} sums over {slots} indices and has only"
            f" N^-{vertex.width}: its diagrams would grow without bound as N does"
        )


def _pure_slots(theory: Theory, vertex: Vertex) -> bool:
    kinds: dict[str | None, set[bool]] = {}
    for leg in vertex.legs:
        kinds.setdefault(leg.index, set()).add(theory.field_named[leg.field].response)
    return all(len(responses) == 1 for responses in kinds.values())


def _halves(theory: Theory, vertex: Vertex) -> bool:
    """Does a vertex that joins the rest by any of its legs bring no more than its powers of 1/N take, all told?

    Its other slots are worth a half each if they cannot close on their own, else one; the class that it joins may have
    been worth a half, and be worth one then.
    """
    kinds: dict[str, set[bool]] = {}
    for leg in vertex.legs:
        if leg.index is not None:
            kinds.setdefault(leg.index, set()).add(theory.field_named[leg.field].response)
    needy = [found == {True} or (found == {False} and vertex.subtraction == "wick") for found in kinds.values()]
    worth = [Fraction(1, 2) if each else Fraction(1) for each in needy]
    all_indexed = all(leg.index is not None for leg in vertex.legs)
    others = sum(worth) - min(worth) + Fraction(1, 2) if worth and all_indexed else sum(worth) + Fraction(1, 2)
    return others <= vertex.width


def _lay_out_vertex(vertex: Vertex, first_kind: int) -> VertexLayout:
    powers: dict[tuple[str, int, str | None], int] = {}
    for leg in vertex.legs:
        assert isinstance(leg.point, int)
        key = (leg.field, leg.point, leg.index)
        powers[key] = powers.get(key, 0) + leg.power
    sockets = tuple(Leg(f, p, i, n) for (f, p, i), n in powers.items())
    codes = np.zeros((len(sockets), len(sockets)), dtype=np.uint8)
    for a, one in enumerate(sockets):
        for b, two in enumerate(sockets):
            if a != b:
                codes[a, b] = SAME_VERTEX
                codes[a, b] |= SAME_POINT if one.point == two.point else 0
                codes[a, b] |= SAME_INDEX if one.index is not None and one.index == two.index else 0
    # Equivalent sockets must share a kind, or isomorphic diagrams would look different; a kernel over the times
    # tells the points of a vertex apart.
    look = [(s.field, s.power, s.point if vertex.ordered else 0) for s in sockets]
    looks = sorted(set(look))
    kinds = tuple(first_kind + looks.index(each) for each in look)
    permutations, orbits = automorphism_orbits(np.array(kinds), codes)
    entries = tuple((a, orbits.count(a)) for a in sorted(set(orbits)))
    symmetry = permutations * math.prod(math.factorial(s.power) for s in sockets)
    return VertexLayout(vertex, sockets, kinds, codes, entries, symmetry)


def _kind_legs(layout: VertexLayout, first_kind: int) -> list[Leg]:
    legs = dict(zip(layout.kinds, layout.sockets, strict=True))
    return [legs[kind] for kind in range(first_kind, first_kind + len(legs))]
