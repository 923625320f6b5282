"""Time integrals on the unit cube, by the response forest.

Every internal point carries a response leg, hence an outgoing response line, and these lines form a forest
rooted at the external points. A point's time is its parent's minus a delay; sampling the delay from the
response itself removes every θ and every G from the integrand (docs/physics.md, the response forest). Points that lie
between an external h and an external z̃ (the trunk) are confined to an interval and sampled there instead.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import NamedTuple

import numpy as np

from nnqft.graphs.parts import Line
from nnqft.integrals.integrand import Evaluation
from nnqft.integrals.shape import BranchShape, FactorShape, LineShape, Shape
from nnqft.rules.parts import Memory, Propagator, Vertex
from nnqft.rules.term import Array
from nnqft.rules.theory import Theory

FREE = -1
"""The parent of a point that has none."""


class Branch(NamedTuple):
    """One internal point of the forest: its parent, the line to it, and what else confines it.

    `others` are further points that a response leads to from here, and that it must stay earlier than; `below` lists
    the external z̃ points it must stay later than, `rank` counts the trunk points from it down. A point whose response
    is closed on itself has no parent (`FREE`): its time runs over the theory's horizon.
    """

    parent: int
    propagator: str
    others: tuple[int, ...] = ()
    below: tuple[int, ...] = ()
    rank: int = 0


@dataclass(frozen=True, eq=False, repr=False)
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
    scale : float
        What closed responses and the free times of points without any other line multiply it by.
    key : str
        Equal for integrals that are equal point by point (whatever diagram they came from).

    Examples
    --------
    >>> import numpy as np
    >>> import nnqft
    >>> theory = nnqft.theory("linear", N=100, sigma_w=0.5)
    >>> cactus = nnqft.diagrams(theory, "two_point", order=1)[1]
    >>> integral = nnqft.time_integral(cactus, theory, [[1.0, 0.0]])
    >>> integral.dim, integral.branches[0].parent
    (2, 0)
    >>> u = np.random.default_rng(1).random((100_000, integral.dim))
    >>> round(float(integral(u).mean()), 2)  # (1 + τ) e^{−τ}/4 at τ = 1
    0.18
    """

    theory: Theory
    times: np.ndarray
    branches: tuple[Branch, ...]
    lines: tuple[Line, ...]
    factors: tuple[Factor, ...] = ()
    scale: float = 1.0

    def __repr__(self) -> str:
        return f"TimeIntegral({self.dim} internal times, at {len(self.times)} external ones, of {self.theory.model})"

    @property
    def dim(self) -> int:
        """The number of internal times, the dimension of the cube."""
        return len(self.branches)

    @cached_property
    def cost(self) -> float:
        """Operations on one sample, counted: for sharing samples and sizing chunks, where a clock would not repeat."""
        times = len(self.times)
        # Points that hang from an external time by offsets cost once, all others once for each of the times.
        grid = times if not self.theory.stationary or any(branch.below for branch in self.branches) else 1
        lines = sum(4 * (times if line.start < self.times.shape[1] or line.end < self.times.shape[1] else grid)
                    for line in self.lines)  # fmt: skip
        return float(8 + 10 * self.dim + 8 * grid * self.dim + lines + 8 * times)

    @cached_property
    def key(self) -> str:
        """Text that two integrals share when they are the same function on the same cube."""
        horizon = self.theory.horizon if any(branch.parent == FREE for branch in self.branches) else None
        # Seeds come from it, so no name of a class or field enters: plain lists of numbers and of the rules' own names.
        return json.dumps([self.branches, self.lines, self.factors, self.scale, horizon])

    @cached_property
    def propagators(self) -> dict[str, Propagator]:
        """The theory's lines by name, and the memories of its vertices, which act like lines."""
        lines = {p.name: p for p in self.theory.propagators if not p.delta}
        for vertex in self.theory.interactions:
            for name, memory in memories_of(vertex):
                lines[name] = Propagator(name, "", "", terms=memory.terms, kernel=memory.kernel, params=memory.params)
        return lines

    def __call__(self, u: Array, xp: ModuleType = np) -> Array:
        """Integrand at points u, shape (n, dim) → (n, M)."""
        shape, wires = self.shape_and_wires
        return Evaluation(shape, wires, self.times, u, xp).value()

    @cached_property
    def shape_and_wires(self) -> tuple[Shape, tuple[int, ...]]:
        """Its shape, which many integrals share, and the wires that tell them apart."""
        return _shape_and_wires(self)


Factor = tuple[str, tuple[int, ...]]
"""A vertex with a kernel, and its points in the vertex's own order."""


def memories_of(vertex: Vertex) -> list[tuple[str, Memory]]:
    """The memories of a vertex, with the names they have among the lines."""
    return [(f"{vertex.name}[{m.one},{m.two}]" + "'" * n, m) for n, m in enumerate(vertex.memory)]


def _shape_and_wires(integral: TimeIntegral) -> tuple[Shape, tuple[int, ...]]:
    """The shape of an integral and its wires.

    The wires are point numbers: for each branch its parent, the other parents, the external points below it, its
    rank and its root; for each line its end and its start; for each factor its points.

    The root of a point is the point whose time its own is an offset from: while the delays do not depend on the times
    themselves (a stationary theory, one parent, no trunk), a whole tree hangs from one external point, and a line
    between two points of one tree has the same value for all external times. It is then computed once, not once a time.
    """
    theory, externals = integral.theory, integral.times.shape[1]
    branches: list[BranchShape] = []
    wires: list[int] = []
    root = list(range(externals))
    for number, branch in enumerate(integral.branches, externals):
        free = branch.parent == FREE
        rooted = bool(free or branch.below or branch.others) or not theory.stationary
        root.append(number if rooted else root[branch.parent])
        branches.append(BranchShape(branch.propagator, len(branch.others), len(branch.below), rooted, free))
        wires += [branch.parent, *branch.others, *branch.below, branch.rank, root[-1]]
    # Sorted, so that integrals with equal lines in another order have one shape, and one compiled integrand.
    lines = sorted(
        (LineShape(line.propagator, line.response, theory.stationary and root[line.end] == root[line.start]), line)
        for line in integral.lines
    )
    for _, line in lines:
        wires += [line.end, line.start]
    for _, points in integral.factors:
        wires += points
    # Only what the integrand calls: other lines, and parameters that no kernel sees, change nothing of its code.
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
        integral.scale,
        theory.horizon if any(branch.free for branch in branches) else math.inf,
    )
    return shape, tuple(wires)
