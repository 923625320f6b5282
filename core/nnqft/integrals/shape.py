"""The shape of a time integral, which many integrals share; the wires that tell them apart come as numbers.

An integrand compiled for a shape takes the wires as data, so a compiler has work to do once for a shape and not once
for a diagram.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from nnqft.graphs.parts import Line
from nnqft.rules.parts import Propagator, Vertex
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

    @property
    def free(self) -> bool:
        """Has it no parent?"""
        return self.parent == FREE


Factor = tuple[str, tuple[int, ...]]
"""A vertex with a kernel, and its points in the vertex's own order."""


class Forest(Protocol):
    """What a time integral is made of; see the attributes of `TimeIntegral`."""

    @property
    def theory(self) -> Theory:
        """Whose lines and vertices these are."""

    @property
    def times(self) -> np.ndarray:
        """(M, E) external times."""

    @property
    def branches(self) -> tuple[Branch, ...]:
        """Internal points, each after its parent."""

    @property
    def lines(self) -> tuple[Line, ...]:
        """All lines but those that place a point."""

    @property
    def factors(self) -> tuple[Factor, ...]:
        """Vertices with a kernel over their times."""

    @property
    def scale(self) -> float:
        """A number that multiplies it."""

    @property
    def propagators(self) -> Mapping[str, Propagator]:
        """Lines by name, and the memories of vertices."""


class BranchShape(NamedTuple):
    """A point of the forest: the line to its parent, how many more parents and external z̃ below confine it.

    `rooted`: its time is its own; else it is an offset from that of an external point. `free`: it has no parent, and
    its time runs over the horizon. `anchors`: between how many points it is placed; 0 if by its response. `loose`:
    does it leave room for points that come after it?
    """

    propagator: str
    others: int
    below: int
    rooted: bool
    free: bool
    anchors: int = 0
    loose: bool = False


class LineShape(NamedTuple):
    """A line: which, whether it has a direction, and whether its two times hang from one root."""

    propagator: str
    response: bool
    one_root: bool


class FactorShape(NamedTuple):
    """A vertex with a kernel, and its number of points."""

    vertex: str
    points: int


@dataclass(frozen=True)
class Shape:
    """What an integrand's code depends on, apart from array shapes; hashable if the parameters of its lines are.

    Attributes
    ----------
    stationary : bool
    externals : int
    branches, lines, factors : tuples
        In the order in which they are evaluated, which is that of the wires.
    propagators, vertices : tuples
        Those that occur.
    parameters : tuple of pairs
        Of the theory, if a vertex has a kernel.
    scale : float
    horizon : float
        Of the theory, if a point is free; else infinite.
    """

    model: str
    stationary: bool
    externals: int
    branches: tuple[BranchShape, ...]
    lines: tuple[LineShape, ...]
    factors: tuple[FactorShape, ...]
    propagators: tuple[Propagator, ...]
    vertices: tuple[Vertex, ...]
    parameters: tuple[tuple[str, Any], ...]
    scale: float
    horizon: float

    @property
    def far(self) -> bool:
        """Are its points placed between several others, for external times that are far apart?"""
        return any(branch.anchors for branch in self.branches)

    @property
    def crowded(self) -> bool:
        """Do some of them leave room for others?"""
        return any(branch.loose for branch in self.branches)

    @property
    def propagator_named(self) -> Mapping[str, Propagator]:
        """The lines by name."""
        return {propagator.name: propagator for propagator in self.propagators}


class Part(NamedTuple):
    """Columns of the external times whose points are placed alike.

    Attributes
    ----------
    columns : tuple of int
        Empty for all of them.
    shape : Shape
    wires : tuple of int
        See `Evaluation`.
    slopes : (R, B + 2) array
        Of the densities of points that are placed between others (`nnqft.integrals.cuts`), a row for each set of
        anchors of each point, a column for each distance on which rates depend, and two for loose points.
    buckets : (M,) or (1,) array of int
        Which of these columns is that of each of the times, or of all.
    """

    columns: tuple[int, ...]
    shape: Shape
    wires: Sequence[Any]
    slopes: np.ndarray
    buckets: np.ndarray
