"""Time integrals on the unit cube, by the response forest.

Every internal point carries a response leg, hence an outgoing response line, and these lines form a forest
rooted at the external points. A point's time is its parent's minus a delay; sampling the delay from the
response itself removes every θ and every G from the integrand (PHYSICS: the response forest). Points that lie
between an external h and an external z̃ (the trunk) are confined to an interval and sampled there instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import NamedTuple

import numpy as np

from nnqft.diagram import Diagram, Line
from nnqft.errors import PluginError, TheoryError
from nnqft.theory import Array, Memory, Propagator, Theory, Vertex


class Branch(NamedTuple):
    """One internal point of the forest: its parent, the line to it, and what confines it from below.

    `below` lists the external z̃ points it must stay later than, `rank` counts the trunk points from it down.
    """

    parent: int
    propagator: str
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
        All lines but those to parents outside the trunk.
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
        return _Evaluation(self, u, xp).value()


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
    parents: dict[int, Line] = {}
    for line in diagram.lines:
        if line.response and line.start >= externals:
            parents.setdefault(line.start, line)
    if orphan := [v for v in range(externals, len(diagram.points)) if v not in parents]:
        name = diagram.vertices[diagram.points[orphan[0]].vertex]
        raise TheoryError(f"model {theory.model!r}: vertex {name!r} has a point without a response leg")
    order = _canonical_points(diagram, parents)
    new = {v: externals + n for n, v in enumerate(order)} | {e: e for e in range(externals)}
    below, rank = _trunk(diagram, parents, order)
    branches = tuple(
        Branch(new[parents[v].end], parents[v].propagator, tuple(sorted(below[v])), rank[v]) for v in order
    )
    # A trunk point is not sampled from its response, so that line stays in the integrand.
    kept = list(diagram.lines)
    for v in order:
        if not below[v]:
            kept.remove(parents[v])
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


def _canonical_points(diagram: Diagram, parents: dict[int, Line]) -> list[int]:
    """Internal points, parents first, in an order that depends on the integral alone wherever refinement can tell.

    Where it cannot, two equal integrals keep different keys and are computed twice, which is harmless.
    """
    externals, points = diagram.externals, range(len(diagram.points))
    depth = dict.fromkeys(range(externals), 0)
    pending = [v for v in points if v >= externals]
    while pending:
        depth |= {v: depth[parents[v].end] + 1 for v in pending if parents[v].end in depth}
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


def _trunk(diagram: Diagram, parents: dict[int, Line], order: list[int]) -> tuple[dict[int, set[int]], dict[int, int]]:
    """For each internal point the external z̃ points below it, and how many trunk points it and its branches hold."""
    below: dict[int, set[int]] = {v: set() for v in order}
    for line in diagram.lines:
        if line.response and line.start < diagram.externals and line.end in below:
            below[line.end].add(line.start)
    rank = dict.fromkeys(order, 0)
    for v in reversed(order):
        rank[v] += bool(below[v])
        parent = parents[v].end
        if parent in below:
            below[parent] |= below[v]
            rank[parent] += rank[v]
    return below, rank


class _Evaluation:
    """One call of an integrand. A time is a base, (1, M) or (n, M), plus an offset, (n, 1) or 0.

    Points with the same base differ by their offsets alone, so in a stationary theory a line between them is
    computed once for the whole grid.
    """

    def __init__(self, integral: TimeIntegral, u: Array, xp: ModuleType) -> None:
        self.integral, self.u, self.xp = integral, u, xp
        grid = xp.asarray(integral.times)
        self.base: list[Array] = [grid[None, :, e] for e in range(grid.shape[1])]
        self.root = list(range(len(self.base)))
        self.offset: list[Array] = [0.0] * len(self.base)
        self.factor: Array = 1.0
        self.exponent: Array = 0.0
        self.grid_exponent: Array = 0.0

    def value(self) -> Array:
        xp = self.xp
        for v, branch in enumerate(self.integral.branches):
            self._place(branch, self.u[:, v, None])
        for line in self.integral.lines:
            self._multiply(line)
        for name, points in self.integral.factors:
            self._multiply_vertex(name, points)
        factor = self.factor * xp.exp(self.exponent) * xp.exp(self.grid_exponent)
        return xp.broadcast_to(factor, (self.u.shape[0], self.integral.times.shape[0]))

    def _place(self, branch: Branch, u: Array) -> None:
        """Give the next internal point its time, and the integrand the weight of that choice."""
        response = self.integral.propagators[branch.propagator]
        parent = branch.parent
        if branch.below:
            self._place_in_trunk(branch, u)
        elif self.integral.theory.stationary:
            delay, weight = sample_delay(response, u, None, self.xp)
            self.factor = self.factor * weight
            self._append(self.root[parent], self.offset[parent] - delay)
        else:
            start = self.time(parent)
            delay, weight = sample_delay(response, u, start, self.xp)
            self.factor = self.factor * weight
            self._append(None, start - delay)

    def _place_in_trunk(self, branch: Branch, u: Array) -> None:
        """Density ∝ (t − lowest)^{rank−1}: a chain of exponential responses then has no variance at all."""
        xp = self.xp
        lowest = self.time(branch.below[0])
        for other in branch.below[1:]:
            lowest = xp.maximum(lowest, self.time(other))
        room = xp.maximum(self.time(branch.parent) - lowest, 0.0)
        scaled = u ** (1.0 / branch.rank)
        self.factor = self.factor * room * (scaled / (u * branch.rank))
        self._append(None, lowest + room * scaled)

    def _append(self, root: int | None, value: Array) -> None:
        """A point with a root holds its offset from it, one without is a root itself."""
        number = len(self.root)
        self.root.append(number if root is None else root)
        self.offset.append(0.0 if root is None else value)
        self.base.append(value if root is None else None)

    def time(self, point: int) -> Array:
        """Absolute time of a point."""
        return self.base[self.root[point]] + self.offset[point]

    def _multiply(self, line: Line) -> None:
        """Multiply the integrand by one line; single exponentials are collected into one exponent."""
        xp, propagator = self.xp, self.integral.propagators[line.propagator]
        one_base = self.integral.theory.stationary and self.root[line.end] == self.root[line.start]
        if one_base:
            t, s = self.offset[line.end], self.offset[line.start]
        else:
            t, s = self.time(line.end), self.time(line.start)
        if line.response:
            later = t > s
            gap = xp.where(later, t - s, 1.0)
            self.factor = self.factor * xp.where(later, self._line(propagator, s + gap, s), 0.0)
        elif len(propagator.terms) == 1 and not propagator.terms[0].early and propagator.kernel is None:
            term = propagator.terms[0]
            self.factor = self.factor * term.amplitude
            exponent = -term.rate * xp.abs(t - s)
            if one_base:
                self.exponent = self.exponent + exponent
            else:
                self.grid_exponent = self.grid_exponent + exponent
        else:
            self.factor = self.factor * self._line(propagator, t, s)

    def _multiply_vertex(self, name: str, points: tuple[int, ...]) -> None:
        """Multiply the integrand by a vertex's kernel over the absolute times of its points."""
        theory = self.integral.theory
        vertex = next(v for v in theory.interactions if v.name == name)
        assert vertex.kernel is not None
        times = tuple(self.time(p) for p in points)
        shape = np.broadcast_shapes(*(t.shape for t in times))
        kernel, xp = vertex.kernel, self.xp
        what = f"model {theory.model!r}: kernel of vertex {name!r}"
        self.factor = self.factor * call_kernel(what, lambda: kernel(times, theory.parameters, xp), shape, xp)

    def _line(self, propagator: Propagator, t: Array, s: Array) -> Array:
        """A line's value; a stranger's kernel is checked."""
        if propagator.kernel is None:
            return propagator(t, s, self.xp)
        t, s = self.xp.asarray(t), self.xp.asarray(s)
        what = f"model {self.integral.theory.model!r}: kernel of propagator {propagator.name!r}"
        shape = np.broadcast_shapes(t.shape, s.shape)
        return call_kernel(what, lambda: propagator(t, s, self.xp), shape, self.xp)


def call_kernel(what: str, call: Callable[[], Array], shape: tuple[int, ...], xp: ModuleType) -> Array:
    """The kernel's value, or PluginError if it raises, has another shape than its times, or is not finite."""
    try:
        value = xp.asarray(call())
    except Exception as error:  # a stranger's code may raise anything
        raise PluginError(f"{what} raised {type(error).__name__}: {error}") from error
    if value.shape not in ((), shape):
        raise PluginError(f"{what} returned shape {tuple(value.shape)} for times of shape {shape}")
    if not bool(xp.isfinite(value).all()):
        raise PluginError(f"{what} returned a value that is not finite")
    return value


def sample_delay(response: Propagator, u: Array, room: Array | None, xp: ModuleType) -> tuple[Array, Array]:
    """Delay for uniform u, and response/density; `room` is the longest delay allowed (None: no bound)."""
    rate = response.exponential_rate
    if rate is None:
        assert response.delay is not None
        delay, density = response.delay(u, xp.inf if room is None else room, dict(response.params), xp)
        return delay, response(delay, xp.zeros_like(delay), xp) / density
    reach = 1.0 if room is None else -xp.expm1(-rate * room)
    delay = -xp.log1p(-u * reach) / rate
    if response.kernel is None and len(response.terms) == 1:
        return delay, response.terms[0].amplitude * reach / rate
    return delay, response(delay, xp.zeros_like(delay), xp) * reach / (rate * xp.exp(-rate * delay))
