"""Time integrals on the unit cube, by the response forest.

Every internal point carries a response leg, hence an outgoing response line, and these lines form a forest
rooted at the external points. A point's time is its parent's minus a delay; sampling the delay from the
response itself removes every θ and every G from the integrand (docs/physics.md, the response forest). Points that lie
between an external h and an external z̃ (the trunk) are confined to an interval and sampled there instead.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType

import numpy as np

from nnqft.graphs.parts import Line
from nnqft.integrals.integrand import values_of
from nnqft.integrals.parts import parts_of
from nnqft.integrals.shape import FREE, Branch, Factor, Part
from nnqft.rules.parts import Memory, Propagator, Vertex
from nnqft.rules.term import Array
from nnqft.rules.theory import Theory


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
        far = sum(len(part.columns) or times for part in self.parts if part.shape.far)
        return float(8 + 10 * self.dim + 8 * grid * self.dim + lines + 8 * times + 40 * far * self.dim)

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
        return values_of(self.parts, self.times, u, xp)

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The times near each other and those far apart, for which points are placed in different ways."""
        return parts_of(self)


def memories_of(vertex: Vertex) -> list[tuple[str, Memory]]:
    """The memories of a vertex, with the names they have among the lines."""
    return [(f"{vertex.name}[{m.one},{m.two}]" + "'" * n, m) for n, m in enumerate(vertex.memory)]
