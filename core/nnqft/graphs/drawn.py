"""Points and lines of one diagram, from the sockets and codes of a set."""

from __future__ import annotations

import numpy as np

from nnqft.graphs.layout import LINES, Layout
from nnqft.graphs.parts import Line, Point, replicas_of


def points_from(
    layout: Layout,
    kinds: list[int],
    first_of_vertex: list[int],
    first_of_point: list[int],
    vertex_number: dict[int, int],
    types: list[int],
) -> tuple[Point, ...]:
    """The points of a diagram, one for each first socket of `first_of_point`."""
    points: list[Point] = []
    for socket in first_of_point:
        vertex = vertex_number.get(first_of_vertex[socket], -1)
        number = sum(point.vertex == vertex for point in points)
        if vertex >= 0 and layout.vertices[types[vertex]].rule.ordered:
            here = layout.vertices[types[vertex]]
            leg = here.sockets[here.kinds.index(kinds[socket])]
            assert isinstance(leg.point, int)
            number = leg.point
        points.append(Point(vertex, number))
    return tuple(points)


def histories_from(layout: Layout, kinds: list[int], first_of_point: list[int]) -> tuple[str, ...]:
    """The noise histories of each external point, if there are several."""
    fields: dict[int, list[str]] = {}
    for kind, point in zip(kinds, first_of_point, strict=True):
        if kind <= len(layout.externals):
            fields.setdefault(point, []).append(layout.field_of[kind])
    found = tuple(replicas_of(names) for names in fields.values())
    return found if set(found) != {"a"} else ()


def lines_from(layout: Layout, kinds: list[int], points: list[int], codes: np.ndarray) -> tuple[Line, ...]:
    """The lines of a diagram between these points, responses from z̃ to h."""
    counts = codes & LINES
    lines = []
    for a, b in zip(*np.nonzero(np.triu(counts)), strict=True):
        one, two = layout.field_of[kinds[a]], layout.field_of[kinds[b]]
        rule = layout.theory.lines[one, two]
        # From its right to its left field, which makes a response run from z̃ to h. A stub has no direction of its own.
        turned = one != two and one == rule.left and not rule.stub
        start, end = (b, a) if turned or layout.directed[kinds[b], kinds[a]] else (a, b)
        response = bool(layout.directed[kinds[start], kinds[end]])
        lines += [Line(rule.name, points[end], points[start], response)] * int(counts[a, b])
    return tuple(lines)
