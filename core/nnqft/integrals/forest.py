"""From a diagram to its time integral: the response forest.

Every internal point carries a response leg, hence an outgoing response line, and these lines form a forest
rooted at the external points. The integral's points are put in an order that depends on the integral alone, each after
the point that it hangs from.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nnqft.checks import one_line_keywords
from nnqft.errors import InputError, TheoryError
from nnqft.graphs.diagram import Diagram
from nnqft.graphs.parts import Line, Point
from nnqft.integrals.integral import FREE, Branch, Factor, TimeIntegral, memories_of
from nnqft.rules.theory import Theory


@one_line_keywords
def time_integral(diagram: Diagram, theory: Theory, times: np.ndarray) -> TimeIntegral:
    """The time integral of a diagram at external `times` (M, E), without the diagram's weight.

    Raises
    ------
    TheoryError
        If an internal point has no response leg, so that nothing bounds its time.
    """
    diagram, times = contract_stubs(diagram, theory, np.asarray(times, float))
    if theory.timeless:
        lines = tuple(sorted(line._replace(end=0, start=0) for line in diagram.lines))
        return TimeIntegral(theory, times, (), lines)
    parents, scale = _parents(diagram, theory)
    order = _canonical_points(diagram, parents)
    new = {v: diagram.externals + n for n, v in enumerate(order)} | {e: e for e in range(diagram.externals)}
    below, rank = _trunk(diagram, parents, order)
    branches = tuple(_branch(parents[v], below[v], rank[v], new) for v in order)
    factors, memories = _factors(diagram, theory, new)
    # A response that is closed on its point is a number, already in the scale; one that alone places its point has
    # become the density of that point's delay. All others stay in the integrand.
    kept = [line for line in diagram.lines if not _is_loop(line)]
    for v in order:
        if not below[v] and len(parents[v]) == 1:
            kept.remove(parents[v][0])
    kept = [line._replace(end=new[line.end], start=new[line.start]) for line in kept]
    lines = tuple(sorted(_oriented(line) for line in kept + memories))
    return TimeIntegral(theory, times, branches, lines, factors, scale)


def _is_loop(line: Line) -> bool:
    """Is it a response that is closed on its own point?"""
    return line.response and line.start == line.end


def _parents(diagram: Diagram, theory: Theory) -> tuple[dict[int, list[Line]], float]:
    """For each internal point that needs a time the responses that lead from it, and what the others multiply by.

    A point whose response is closed on itself has none; without any other line its free time is a factor T, and it
    needs no place in the forest.
    """
    parents: dict[int, list[Line]] = {v: [] for v in range(diagram.externals, len(diagram.points))}
    loops = [line for line in diagram.lines if _is_loop(line)]
    for line in diagram.lines:
        if line.response and not _is_loop(line) and line.start >= diagram.externals:
            parents[line.start].append(line)
    closed = {line.start for line in loops}
    if orphan := [v for v, lines in parents.items() if not lines and v not in closed]:
        name = diagram.vertices[diagram.points[orphan[0]].vertex]
        raise TheoryError(f"model {theory.model!r}: vertex {name!r} has a point without a response leg")
    alone = _alone(diagram, theory, closed)
    for v in alone:
        del parents[v]
    scale = theory.horizon ** len(alone) if alone else 1.0
    for line in loops:
        response = next(p for p in theory.propagators if p.name == line.propagator)
        scale *= theory.theta0 * sum(term.amplitude for term in response.terms)
    return parents, scale


def contract_stubs(diagram: Diagram, theory: Theory, times: np.ndarray) -> tuple[Diagram, np.ndarray]:
    """The diagram with its external points moved onto the points that their stubs lead to, and the times that remain.

    Where several end on one point, the first of them gives its time.
    """
    if not any(line.stub for line in diagram.lines):
        return diagram, times
    externals = diagram.externals
    held: dict[int, int] = {}
    for line in diagram.lines:
        if line.stub:
            outer, far = sorted((line.start, line.end))
            held[far] = min(outer, held.get(far, outer))
    ordered = {v.name for v in theory.interactions if v.ordered}
    if clash := [n for n in held if diagram.vertices[diagram.points[n].vertex] in ordered]:
        name = diagram.vertices[diagram.points[clash[0]].vertex]
        raise InputError(f"vertex {name!r} has a factor over its times, so an amputated leg on it cannot be integrated")
    kept = sorted(set(held.values()))
    inner = [n for n in range(externals, len(diagram.points)) if n not in held]
    new = {n: kept.index(outer) for n, outer in held.items()}
    new |= {n: len(kept) + m for m, n in enumerate(inner)}
    lines = tuple(
        Line(line.propagator, new[line.end], new[line.start], line.response) for line in diagram.lines if not line.stub
    )
    points = (*(Point(-1, n) for n in range(len(kept))), *(diagram.points[n] for n in inner))
    return replace(diagram, points=points, lines=lines), times[:, kept]


def _branch(responses: list[Line], below: set[int], rank: int, new: dict[int, int]) -> Branch:
    if not responses:
        return Branch(FREE, "", (), tuple(sorted(below)), rank)
    others = tuple(sorted(new[line.end] for line in responses[1:]))
    return Branch(new[responses[0].end], responses[0].propagator, others, tuple(sorted(below)), rank)


def _alone(diagram: Diagram, theory: Theory, closed: set[int]) -> list[int]:
    """Points without any line but a closed response: their times only give a factor T each."""
    ordered = {vertex.name for vertex in theory.interactions if vertex.kernel or vertex.memory}
    tied = {n for n, p in enumerate(diagram.points) if p.vertex >= 0 and diagram.vertices[p.vertex] in ordered}
    for line in diagram.lines:
        if not _is_loop(line):
            tied |= {line.start, line.end}
    return sorted(closed - tied)


def _factors(diagram: Diagram, theory: Theory, new: dict[int, int]) -> tuple[tuple[Factor, ...], list[Line]]:
    """The vertices whose kernel multiplies the integrand, and the memories of vertices as lines."""
    ordered = {vertex.name: vertex for vertex in theory.interactions if vertex.kernel or vertex.memory}
    points: dict[int, dict[int, int]] = {}
    for n, point in enumerate(diagram.points):
        if point.vertex >= 0 and diagram.vertices[point.vertex] in ordered:
            points.setdefault(point.vertex, {})[point.number] = new[n]
    factors, memories = [], []
    for number, where in points.items():
        vertex = ordered[diagram.vertices[number]]
        if vertex.kernel is not None:
            factors.append((vertex.name, tuple(p for _, p in sorted(where.items()))))
        for name, memory in memories_of(vertex):
            memories.append(Line(name, where[memory.one], where[memory.two], False))
    return tuple(sorted(factors)), memories


def _oriented(line: Line) -> Line:
    """A line without direction is written from its lower to its higher point, so that equal ones look equal."""
    if line.response or line.start <= line.end:
        return line
    return line._replace(end=line.start, start=line.end)


def _canonical_points(diagram: Diagram, parents: dict[int, list[Line]]) -> list[int]:
    """Internal points, parents first, in an order that depends on the integral alone wherever refinement can tell.

    Where it cannot, two equal integrals keep different keys and are computed twice, which is harmless.
    """
    externals, points = diagram.externals, range(len(diagram.points))
    depth = dict.fromkeys(points, 0)
    known = set(points) - set(parents)
    pending = sorted(parents)
    while pending:
        ready = [v for v in pending if all(line.end in known for line in parents[v])]
        depth |= {v: 1 + max((depth[line.end] for line in parents[v]), default=0) for v in ready}
        known.update(ready)
        pending = [v for v in pending if v not in known]
    near: list[list[tuple[str, bool, int]]] = [[] for _ in points]
    for line in diagram.lines:
        near[line.start].append((line.propagator, True, line.end))
        near[line.end].append((line.propagator, False, line.start))
    rank, cells = [min(v, externals) for v in points], 0
    while True:
        looks = [(rank[v], depth[v], tuple(sorted((p, out, rank[w]) for p, out, w in near[v]))) for v in points]
        places = {look: n for n, look in enumerate(sorted(set(looks)))}
        rank = [places[look] for look in looks]
        if len(places) == cells or len(places) == len(rank):
            break
        cells = len(places)
    return sorted(parents, key=lambda v: (depth[v], rank[v], v))


def _trunk(
    diagram: Diagram, parents: dict[int, list[Line]], order: list[int]
) -> tuple[dict[int, set[int]], dict[int, int]]:
    """For each internal point the external z̃ points below it, and how many trunk points it and its branches hold."""
    below: dict[int, set[int]] = {v: set() for v in order}
    for line in diagram.lines:
        if line.response and line.start < diagram.externals and line.end in below:
            below[line.end].add(line.start)
    rank = dict.fromkeys(order, 0)
    for v in reversed(order):
        rank[v] += bool(below[v])
        for line in parents[v]:
            if line.end in below:
                below[line.end] |= below[v]
                rank[line.end] += rank[v]
    return below, rank
