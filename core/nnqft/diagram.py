"""Diagrams as frozen data, and sets of them that are built as they are looked at."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple, overload

import networkx as nx
import numpy as np

from nnqft.plan import LINES, SAME_POINT, SAME_VERTEX, Plan, VertexPlan
from nnqft.theory import Theory

FAMILIES = {0: "cactus", 1: "mushroom"}
"""The talk's names by width order; further orders are called ``"width-k"``."""


class Point(NamedTuple):
    """One time of a diagram: which of the diagram's vertices it belongs to, and which point of that vertex it is.

    External legs have vertex −1. Points of a vertex that are equivalent are numbered as they come.
    """

    vertex: int
    number: int


class Line(NamedTuple):
    """A propagator between two points; a response runs from `start` (z̃, earlier) to `end` (h, later)."""

    propagator: str
    end: int
    start: int
    response: bool


@dataclass(frozen=True)
class Diagram:
    """One Feynman diagram.

    Attributes
    ----------
    vertices : tuple of str
        Name of each vertex.
    points : tuple of Point
        The external points first, in the order of the observable's legs.
    lines : tuple of Line
    order, width : int
        Powers of the coupling (n) and of 1/N (k, the width order).
    symmetry_factor : int
        |Aut|: permutations of legs and vertices that leave the diagram as it is. The weight is divided by it.
    coefficient : Fraction or float
        Product of the vertices' coefficients and symmetries, divided by |Aut|.
    couplings : tuple of (name, power)
        The parameters that multiply it, with their powers.
    weight : float
        What multiplies the time integral: coefficient × couplings × N^{−width}.
    digest : str
        Equal for isomorphic diagrams of theories with the same vertices, and only for those.
    """

    vertices: tuple[str, ...]
    points: tuple[Point, ...]
    lines: tuple[Line, ...]
    order: int
    width: int
    symmetry_factor: int
    coefficient: Fraction | float
    couplings: tuple[tuple[str, int], ...]
    weight: float
    digest: str = field(repr=False)

    @property
    def family(self) -> str:
        """``"cactus"`` (k = 0), ``"mushroom"`` (k = 1), ``"width-k"`` beyond."""
        return FAMILIES.get(self.width, f"width-{self.width}")

    @property
    def externals(self) -> int:
        """Number of external points."""
        return sum(point.vertex < 0 for point in self.points)

    @cached_property
    def graph(self) -> nx.MultiDiGraph:
        """The diagram as a networkx multigraph.

        Nodes are points, with attributes ``vertex`` (index, None for external points), ``name`` (of the vertex)
        and ``external``. Edges are lines from start to end, with ``propagator`` and ``response``; a response runs
        forward in time,
        for other lines the direction means nothing.
        """
        graph = nx.MultiDiGraph(order=self.order, width=self.width, family=self.family, weight=self.weight)
        for n, point in enumerate(self.points):
            external = point.vertex < 0
            name = "external" if external else self.vertices[point.vertex]
            graph.add_node(n, vertex=None if external else point.vertex, name=name, external=external)
        for line in self.lines:
            graph.add_edge(line.start, line.end, propagator=line.propagator, response=line.response)
        return graph

    def __str__(self) -> str:
        from nnqft.drawing.text import draw_text  # a drawing reads Diagram, so it is imported late

        return draw_text(self)


@dataclass(frozen=True, eq=False)
class DiagramSet(Sequence[Diagram]):
    """All diagrams of an observable up to an order, sorted by order, width and canonical form.

    A sequence of `Diagram`; each is built from the arrays when it is asked for.
    """

    theory: Theory
    observable: str
    plan: Plan = field(repr=False)
    orders: np.ndarray = field(repr=False)
    widths: np.ndarray = field(repr=False)
    kinds: np.ndarray = field(repr=False)  # (D, S) uint8
    codes: np.ndarray = field(repr=False)  # (D, S, S) uint8
    ways: np.ndarray = field(repr=False)  # (D,) Wick contractions, vertices of a type taken as equal

    def __len__(self) -> int:
        return len(self.orders)

    @overload
    def __getitem__(self, at: int) -> Diagram: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Diagram, ...]: ...
    def __getitem__(self, at: int | slice) -> Diagram | tuple[Diagram, ...]:
        if isinstance(at, slice):
            return tuple(self[n] for n in range(*at.indices(len(self))))
        if not -len(self) <= at < len(self):
            raise IndexError(f"diagram {at} of {len(self)}")
        return _build(self, at % len(self))

    def __iter__(self) -> Iterator[Diagram]:
        return (_build(self, n) for n in range(len(self)))

    @property
    def counts(self) -> dict[tuple[int, int], int]:
        """Number of diagrams by (order, width)."""
        return dict(sorted(Counter(zip(self.orders.tolist(), self.widths.tolist(), strict=True)).items()))

    def __str__(self) -> str:
        table = ", ".join(f"({n}, {k}): {c}" for (n, k), c in self.counts.items())
        return f"{len(self)} diagrams of {self.observable} in {self.theory.model} by (order, width): {table}"

    @cached_property
    def _vertex_of(self) -> np.ndarray:
        """(D, S): the first socket of the vertex of each socket."""
        eye = np.eye(self.kinds.shape[1], dtype=bool)
        return (((self.codes & SAME_VERTEX) > 0) | eye).argmax(axis=2)

    @cached_property
    def _point_of(self) -> np.ndarray:
        """(D, S): the first socket of the point of each socket."""
        eye = np.eye(self.kinds.shape[1], dtype=bool)
        return (((self.codes & SAME_POINT) > 0) | eye).argmax(axis=2)

    @cached_property
    def _vertex_of_kind(self) -> list[int]:
        """For each kind the vertex it belongs to in the plan, −1 for external legs and none."""
        table = [-1] * len(self.plan.free)
        for n, vertex in enumerate(self.plan.vertices):
            for kind in vertex.kinds:
                table[kind] = n
        return table


def _build(diagrams: DiagramSet, n: int) -> Diagram:
    plan = diagrams.plan
    kinds = diagrams.kinds[n]
    used = int((kinds > 0).sum())
    sockets = kinds[:used].tolist()
    type_of = [diagrams._vertex_of_kind[kind] for kind in sockets]
    first_of_vertex = diagrams._vertex_of[n, :used].tolist()
    first_of_point = diagrams._point_of[n, :used].tolist()
    inner = {first for first, t in zip(first_of_vertex, type_of, strict=True) if t >= 0}
    vertex_number = {s: v for v, s in enumerate(sorted(inner))}
    point_number = {s: p for p, s in enumerate(sorted(set(first_of_point)))}
    types = [type_of[s] for s in vertex_number]
    points = _points(plan, sockets, first_of_vertex, list(point_number), vertex_number, types)
    lines = _lines(plan, sockets, [point_number[f] for f in first_of_point], diagrams.codes[n])
    vertices = [plan.vertices[t] for t in types]
    coefficient: Fraction | float = Fraction(int(diagrams.ways[n]))
    couplings: Counter[str] = Counter()
    symmetry = 1
    for vertex in vertices:
        coefficient *= vertex.vertex.coefficient
        couplings.update(dict(vertex.vertex.couplings))
        symmetry *= vertex.symmetry
    powers = tuple(sorted(couplings.items()))
    width = int(diagrams.widths[n])
    theory = diagrams.theory
    return Diagram(
        vertices=tuple(v.vertex.name for v in vertices),
        points=points,
        lines=lines,
        order=int(diagrams.orders[n]),
        width=width,
        symmetry_factor=symmetry // int(diagrams.ways[n]),
        coefficient=coefficient,
        couplings=powers,
        weight=float(coefficient) * theory.coupling_value(powers) * float(theory.N) ** -width,
        digest=_digest(diagrams.observable, vertices, diagrams.codes[n, :used, :used]),
    )


def _points(
    plan: Plan,
    kinds: list[int],
    first_of_vertex: list[int],
    first_of_point: list[int],
    vertex_number: dict[int, int],
    types: list[int],
) -> tuple[Point, ...]:
    points: list[Point] = []
    for socket in first_of_point:
        vertex = vertex_number.get(first_of_vertex[socket], -1)
        number = sum(point.vertex == vertex for point in points)
        if vertex >= 0 and plan.vertices[types[vertex]].vertex.kernel is not None:
            here = plan.vertices[types[vertex]]
            leg = here.sockets[here.kinds.index(kinds[socket])]
            assert isinstance(leg.point, int)
            number = leg.point
        points.append(Point(vertex, number))
    return tuple(points)


def _lines(plan: Plan, kinds: list[int], points: list[int], codes: np.ndarray) -> tuple[Line, ...]:
    counts = codes & LINES
    lines = []
    for a, b in zip(*np.nonzero(np.triu(counts)), strict=True):
        # A response is recorded from its z̃ end to its h end.
        start, end = (b, a) if plan.directed[kinds[b], kinds[a]] else (a, b)
        fields = plan.field_of[kinds[end]], plan.field_of[kinds[start]]
        response = bool(plan.directed[kinds[start], kinds[end]])
        line = Line(plan.theory.lines[fields].name, points[end], points[start], response)
        lines += [line] * int(counts[a, b])
    return tuple(lines)


def _digest(observable: str, vertices: Sequence[VertexPlan], codes: np.ndarray) -> str:
    """128 bits of the canonical form; the seeds of a diagram come from it."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(repr((observable, [v.vertex.name for v in vertices])).encode())
    digest.update(codes.tobytes())
    return digest.hexdigest()
