"""Time integrals on the unit cube, by the response forest.

Every internal point carries a response leg, hence an outgoing response line, and these lines form a forest
rooted at the external points. A point's time is its parent's minus a delay; sampling the delay from the
response itself removes every θ and every G from the integrand (docs/physics.md, the response forest). Points that lie
between an external h and an external z̃ (the trunk) are confined to an interval and sampled there instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import NamedTuple

import numpy as np

from nnqft.diagram import Diagram, Line
from nnqft.errors import TheoryError
from nnqft.integrand import Evaluation
from nnqft.shape import BranchShape, FactorShape, LineShape, Shape
from nnqft.theory import Array, Memory, Propagator, Theory, Vertex


class Branch(NamedTuple):
    """One internal point of the forest: its parent, the line to it, and what else confines it.

    `others` are further points that a response leads to from here, and that it must stay earlier than; `below` lists
    the external z̃ points it must stay later than, `rank` counts the trunk points from it down.
    """

    parent: int
    propagator: str
    others: tuple[int, ...] = ()
    below: tuple[int, ...] = ()
    rank: int = 0


@dataclass(frozen=True, eq=False)
class TimeIntegral:
    """The time integral of a diagram for a whole grid of external times, without the diagram's weight.

    Calling it with u of shape (n, dim) in the unit cube gives the integrand, shape (n, M), whose mean over
    uniform u is the integral at each of the M time tuples.

    Attributes
    ----------
    theory : Theory
        Whose lines and vertices these are; times reach back to −∞ if it is stationary, else to 0.
    times : (M, E) float array
        External times, in units of the theory's time.
    branches : tuple of Branch
        Internal points E, E+1, …, each after its parent.
    lines : tuple of Line
        All lines but those that place a point.
    factors : tuple of (vertex name, points)
        Vertices with a kernel over their times.
    key : str
        Equal for integrals that are equal point by point (whatever diagram they came from).
    """

    theory: Theory
    times: np.ndarray
    branches: tuple[Branch, ...]
    lines: tuple[Line, ...]
    factors: tuple[Factor, ...] = ()

    @property
    def dim(self) -> int:
        """Number of internal times."""
        return len(self.branches)

    @cached_property
    def cost(self) -> float:
        """Operations on one sample, counted: for sharing samples and sizing chunks, where a clock would not repeat."""
        times = len(self.times)
        grid = times if not self.theory.stationary or any(branch.below for branch in self.branches) else 1
        lines = sum(4 * (times if line.start < self.times.shape[1] or line.end < self.times.shape[1] else grid)
                    for line in self.lines)  # fmt: skip
        return float(8 + 10 * self.dim + 8 * grid * self.dim + lines + 8 * times)

    @cached_property
    def key(self) -> str:
        """Text that two integrals share when they are the same function on the same cube."""
        return repr((self.branches, self.lines, self.factors))

    @cached_property
    def propagators(self) -> dict[str, Propagator]:
        """The theory's lines by name, and the memories of its vertices, which act like lines."""
        lines = {p.name: p for p in self.theory.propagators if not p.delta}
        for vertex in self.theory.interactions:
            for memory in vertex.memory:
                name = _memory_name(vertex, memory)
                lines[name] = Propagator(name, "", "", terms=memory.terms)
        return lines

    def __call__(self, u: Array, xp: ModuleType = np) -> Array:
        """Integrand at points u, shape (n, dim) → (n, M)."""
        shape, wires = self.apart
        return Evaluation(shape, wires, self.times, u, xp).value()

    @cached_property
    def apart(self) -> tuple[Shape, tuple[int, ...]]:
        """Its shape, which many integrals share, and the wires that tell them apart."""
        return _take_apart(self)


def time_integral(diagram: Diagram, theory: Theory, times: np.ndarray) -> TimeIntegral:
    """The time integral of `diagram` at external `times` (M, E).

    Raises
    ------
    TheoryError
        If an internal point has no response leg, so that nothing bounds its time.
    """
    times = np.asarray(times, float)
    externals = diagram.externals
    if theory.timeless:
        lines = tuple(sorted(line._replace(end=0, start=0) for line in diagram.lines))
        return TimeIntegral(theory, times, (), lines)
    parents: dict[int, list[Line]] = {}
    for line in diagram.lines:
        if line.response and line.start >= externals:
            parents.setdefault(line.start, []).append(line)
    if orphan := [v for v in range(externals, len(diagram.points)) if v not in parents]:
        name = diagram.vertices[diagram.points[orphan[0]].vertex]
        raise TheoryError(f"model {theory.model!r}: vertex {name!r} has a point without a response leg")
    order = _canonical_points(diagram, parents)
    new = {v: externals + n for n, v in enumerate(order)} | {e: e for e in range(externals)}
    below, rank = _trunk(diagram, parents, order)
    branches = tuple(
        Branch(
            new[parents[v][0].end],
            parents[v][0].propagator,
            tuple(sorted(new[line.end] for line in parents[v][1:])),
            tuple(sorted(below[v])),
            rank[v],
        )
        for v in order
    )
    # A point that is not placed by its one response keeps the line in the integrand.
    kept = list(diagram.lines)
    for v in order:
        if not below[v] and len(parents[v]) == 1:
            kept.remove(parents[v][0])
    kept = [line._replace(end=new[line.end], start=new[line.start]) for line in kept]
    factors, memories = _factors(diagram, theory, new)
    return TimeIntegral(theory, times, branches, tuple(sorted(_oriented(line) for line in kept + memories)), factors)


Factor = tuple[str, tuple[int, ...]]
"""A vertex with a kernel, and its points in the vertex's own order."""


def _factors(diagram: Diagram, theory: Theory, new: dict[int, int]) -> tuple[tuple[Factor, ...], list[Line]]:
    """The vertices whose kernel multiplies the integrand, and the memories of vertices as lines."""
    ordered = {vertex.name: vertex for vertex in theory.interactions if vertex.ordered}
    points: dict[int, dict[int, int]] = {}
    for n, point in enumerate(diagram.points):
        if point.vertex >= 0 and diagram.vertices[point.vertex] in ordered:
            points.setdefault(point.vertex, {})[point.number] = new[n]
    factors, memories = [], []
    for number, where in points.items():
        vertex = ordered[diagram.vertices[number]]
        if vertex.kernel is not None:
            factors.append((vertex.name, tuple(p for _, p in sorted(where.items()))))
        for memory in vertex.memory:
            memories.append(Line(_memory_name(vertex, memory), where[memory.one], where[memory.two], False))
    return tuple(sorted(factors)), memories


def _memory_name(vertex: Vertex, memory: Memory) -> str:
    return f"{vertex.name}[{memory.one},{memory.two}]"


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
    depth = dict.fromkeys(range(externals), 0)
    pending = [v for v in points if v >= externals]
    while pending:
        ready = [v for v in pending if all(line.end in depth for line in parents[v])]
        depth |= {v: 1 + max(depth[line.end] for line in parents[v]) for v in ready}
        pending = [v for v in pending if v not in depth]
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
    return sorted(range(externals, len(points)), key=lambda v: (depth[v], rank[v], v))


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


def _take_apart(integral: TimeIntegral) -> tuple[Shape, tuple[int, ...]]:
    """The shape of an integral and its wires.

    The wires are point numbers: for each branch its parent, the other parents, the external points below it, its
    rank and its root; for each line its end and its start; for each factor its points.
    """
    theory, externals = integral.theory, integral.times.shape[1]
    branches: list[BranchShape] = []
    wires: list[int] = []
    root = list(range(externals))
    for number, branch in enumerate(integral.branches, externals):
        rooted = bool(branch.below or branch.others) or not theory.stationary
        root.append(number if rooted else root[branch.parent])
        branches.append(BranchShape(branch.propagator, len(branch.others), len(branch.below), rooted))
        wires += [branch.parent, *branch.others, *branch.below, branch.rank, root[-1]]
    lines = sorted(
        (LineShape(line.propagator, line.response, theory.stationary and root[line.end] == root[line.start]), line)
        for line in integral.lines
    )
    for _, line in lines:
        wires += [line.end, line.start]
    for _, points in integral.factors:
        wires += points
    used = {branch.propagator for branch in branches} | {shape.propagator for shape, _ in lines}
    kernels = {name for name, _ in integral.factors}
    shape = Shape(
        theory.model,
        theory.stationary,
        externals,
        tuple(branches),
        tuple(shape for shape, _ in lines),
        tuple(FactorShape(name, len(points)) for name, points in integral.factors),
        tuple(line for name, line in sorted(integral.propagators.items()) if name in used),
        tuple(vertex for vertex in theory.interactions if vertex.name in kernels),
        tuple(sorted(theory.parameters.items())) if kernels else (),
    )
    return shape, tuple(wires)
