"""From a diagram to its time integral: the response forest.

Every internal point carries a response leg, hence an outgoing response line, and these lines form a forest
rooted at the external points: a point's parent is where its response leads to, and lies later. The integral's points
are put in an order that depends on the integral alone, each after the point that it hangs from.

A point with an external z̃ somewhere below it, upstream along the responses, belongs to the trunk: it is confined from
both sides, by its parent's time above and by the latest of those external times below.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nnqft.checks import one_line_keywords
from nnqft.errors import InputError, TheoryError
from nnqft.graphs.diagram import Diagram
from nnqft.graphs.parts import Line, Point
from nnqft.integrals.integral import TimeIntegral, memories_of
from nnqft.integrals.shape import FREE, Branch, Factor
from nnqft.rules.theory import Theory


@one_line_keywords
def time_integral(diagram: Diagram, theory: Theory, times: np.ndarray) -> TimeIntegral:
    """The time integral of a diagram, without the diagram's weight.

    The response forest removes every θ and G from the integrand; the lines that remain are its integrand on the unit
    cube (docs/physics.md, the response forest).

    Parameters
    ----------
    diagram
        Of the theory, from `diagrams`.
    theory
        Whose lines and vertices the diagram is made of.
    times : (M, E) array
        External times, a column for each external point, in the theory's unit of time.

    Raises
    ------
    TheoryError
        If an internal point has no response leg, so that nothing bounds its time.
    InputError
        If an amputated leg ends on a vertex with a factor over its times.

    Examples
    --------
    >>> import nnqft
    >>> theory = nnqft.theory("linear", N=100, sigma_w=0.5)
    >>> mushroom = nnqft.diagrams(theory, "two_point", order=1)[2]
    >>> integral = nnqft.time_integral(mushroom, theory, [[0.0, 0.0], [1.0, 0.0]])
    >>> [(branch.parent, branch.propagator) for branch in integral.branches]
    [(0, 'G'), (2, 'G')]
    >>> [(line.propagator, line.end, line.start) for line in integral.lines]
    [('C', 3, 1)]
    """
    diagram, times = contract_stubs(_contract_sources(diagram, theory), theory, np.asarray(times, float))
    if theory.timeless:
        lines = tuple(sorted(line._replace(end=0, start=0) for line in diagram.lines))
        return TimeIntegral(theory, times, (), lines)
    parents, scale = _parents(diagram, theory)
    # From here on points go by their number in the integral: external ones as they are, then `order`.
    order = _canonical_points(diagram, parents)
    new = {v: diagram.externals + n for n, v in enumerate(order)} | {e: e for e in range(diagram.externals)}
    below, rank = _trunk(diagram, parents, order)
    branches = tuple(_branch(parents[v], below[v], rank[v], new) for v in order)
    free = {line.name for line in theory.propagators if line.symmetric}
    free |= {name for vertex in theory.interactions for name, memory in memories_of(vertex) if memory.symmetric}
    factors, memories = _factors(diagram, theory, new)
    # A response that is closed on its point is a number, already in the scale; one that alone places its point has
    # become the density of that point's delay. All others stay in the integrand: in the trunk points are sampled
    # between their bounds, and below several parents by a density that is none of the responses.
    kept = [line for line in diagram.lines if not _is_loop(line)]
    for v in order:
        if not below[v] and len(parents[v]) == 1:
            kept.remove(parents[v][0])
    kept = [line._replace(end=new[line.end], start=new[line.start]) for line in kept]
    lines = tuple(sorted(_oriented(line) if line.propagator in free else line for line in kept + memories))
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
        scale *= theory.theta0 * sum(complex(term.amplitude).real for term in response.terms)
    return parents, scale


def _contract_sources(diagram: Diagram, theory: Theory) -> Diagram:
    """The diagram with its sources moved onto the points whose lines they end."""
    sources = {vertex.name for vertex in theory.interactions if vertex.source}
    ends = {n for n, p in enumerate(diagram.points) if p.vertex >= 0 and diagram.vertices[p.vertex] in sources}
    if not ends:
        return diagram
    inner = [n for n in range(len(diagram.points)) if n not in ends]
    new = {n: m for m, n in enumerate(inner)}
    for line in diagram.lines:
        if ends & {line.start, line.end}:
            source, begin = (line.start, line.end) if line.start in ends else (line.end, line.start)
            new[source] = new[begin]
    lines = tuple(line._replace(end=new[line.end], start=new[line.start]) for line in diagram.lines)
    return replace(diagram, points=tuple(diagram.points[n] for n in inner), lines=lines)


def contract_stubs(diagram: Diagram, theory: Theory, times: np.ndarray) -> tuple[Diagram, np.ndarray]:
    """The diagram with its external points moved onto the points that their stubs lead to, and the times that remain.

    Where several stubs end on one point, that point has one time: the first of them gives it, and the columns of the
    others go. The self-energy of such diagrams is a δ of the times (`on_one_point`).
    """
    if not any(line.stub for line in diagram.lines):
        return diagram, times
    externals = diagram.externals
    held: dict[int, int] = {}  # point → the first external point whose stub ends on it
    for line in diagram.lines:
        if line.stub:
            outer, far = sorted((line.start, line.end))
            held[far] = min(outer, held.get(far, outer))
    # Such a point becomes external, and belongs to no vertex any more: a factor of its vertex would not find its time.
    # A memory joins two points as a line does, and goes on as one.
    ordered = {v.name for v in theory.interactions if v.ordered}
    if clash := [n for n in held if diagram.vertices[diagram.points[n].vertex] in ordered]:
        name = diagram.vertices[diagram.points[clash[0]].vertex]
        raise InputError(f"vertex {name!r} has a factor over its times, so an amputated leg on it cannot be integrated")
    kept = sorted(set(held.values()))
    inner = [n for n in range(externals, len(diagram.points)) if n not in held]
    new = {n: kept.index(outer) for n, outer in held.items()}
    new |= {n: len(kept) + m for m, n in enumerate(inner)}
    joined = (*(line for line in diagram.lines if not line.stub), *_memories_of_held(diagram, theory, set(held)))
    lines = tuple(line._replace(end=new[line.end], start=new[line.start]) for line in joined)
    points = (*(Point(-1, n) for n in range(len(kept))), *(diagram.points[n] for n in inner))
    return replace(diagram, points=points, lines=lines), times[:, kept]


def _memories_of_held(diagram: Diagram, theory: Theory, held: set[int]) -> list[Line]:
    """The memories of vertices of which some points are held by external ones, as lines between their points."""
    rules = {vertex.name: vertex for vertex in theory.interactions}
    lines = []
    for number in sorted({diagram.points[n].vertex for n in held}):
        own = {point.number: n for n, point in enumerate(diagram.points) if point.vertex == number}
        for name, memory in memories_of(rules[diagram.vertices[number]]):
            lines.append(Line(name, own[memory.one], own[memory.two], False))
    return lines


def _branch(responses: list[Line], below: set[int], rank: int, new: dict[int, int]) -> Branch:
    """One point of the forest: the first of its responses leads to its parent, and the others confine it."""
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
        if len(where) < vertex.points:
            continue  # some of its points are held by external ones: `contract_stubs` made lines of its memories
        if vertex.kernel is not None:
            factors.append((vertex.name, tuple(p for _, p in sorted(where.items()))))
        for name, memory in memories_of(vertex):
            memories.append(Line(name, where[memory.one], where[memory.two], False))
    return tuple(sorted(factors)), memories


def _oriented(line: Line) -> Line:
    """A symmetric line is written from its lower to its higher point, so that equal ones look equal."""
    if line.response or line.start <= line.end:
        return line
    return line._replace(end=line.start, start=line.end)


def _canonical_points(diagram: Diagram, parents: dict[int, list[Line]]) -> list[int]:
    """Internal points, parents first, in an order that depends on the integral alone wherever refinement can tell.

    Diagrams that differ in their indices or vertices only have equal integrals, and these should have equal keys: so
    the order may depend neither on the numbers of the diagram's points nor on its vertices. It is colour refinement,
    one-dimensional Weisfeiler–Leman: points start ranked by depth below their root, and are told apart by the lines to
    neighbours that were told apart before, until no rank splits any more. Where that is not enough to tell two points
    apart, two equal integrals may keep different keys and are computed twice, which is harmless; unequal ones never
    share a key, as the key holds the whole integral.
    """
    externals, points = diagram.externals, range(len(diagram.points))
    # Depth: the longest way along responses down from a point that has a time already. Ranked first, it puts parents
    # before children.
    depth = dict.fromkeys(points, 0)
    known = set(points) - set(parents)
    pending = sorted(parents)
    while pending:
        ready = [v for v in pending if all(line.end in known for line in parents[v])]
        depth |= {v: 1 + max((depth[line.end] for line in parents[v]), default=0) for v in ready}
        known.update(ready)
        pending = [v for v in pending if v not in known]
    # Both ends of a line see it; the flag tells the start of a response from its end.
    near: list[list[tuple[str, bool, int]]] = [[] for _ in points]
    for line in diagram.lines:
        near[line.start].append((line.propagator, True, line.end))
        near[line.end].append((line.propagator, False, line.start))
    # External points are told apart from the start, as their times are; all internal ones begin alike.
    rank, cells = [min(v, externals) for v in points], 0
    while True:
        looks = [(rank[v], depth[v], tuple(sorted((p, out, rank[w]) for p, out, w in near[v]))) for v in points]
        rank_of = {look: n for n, look in enumerate(sorted(set(looks)))}
        rank = [rank_of[look] for look in looks]
        if len(rank_of) == cells or len(rank_of) == len(rank):
            break
        cells = len(rank_of)
    return sorted(parents, key=lambda v: (depth[v], rank[v], v))


def _trunk(
    diagram: Diagram, parents: dict[int, list[Line]], order: list[int]
) -> tuple[dict[int, set[int]], dict[int, int]]:
    """For each internal point the external z̃ points below it, and how many trunk points it and its branches hold.

    The first bound its time t from below. The second is its rank r: the r − 1 trunk points below it, in a chain, fill a
    volume ∝ (t − lowest)^{r−1}, and that is the density from which its own time is sampled. A chain of exponential
    responses is so sampled without any variance.
    """
    below: dict[int, set[int]] = {v: set() for v in order}
    for line in diagram.lines:
        if line.response and line.start < diagram.externals and line.end in below:
            below[line.end].add(line.start)
    rank = dict.fromkeys(order, 0)
    # Children come after their parents in `order`: backwards, each is complete before it is added to its parents.
    for v in reversed(order):
        rank[v] += bool(below[v])
        for line in parents[v]:
            if line.end in below:
                below[line.end] |= below[v]
                rank[line.end] += rank[v]
    return below, rank
