"""A time integral taken apart: its shape, which many integrals share, and the wires that tell them apart.

An integrand compiled for a shape takes the wires as data, so a compiler has work to do once for a shape and not once
for a diagram.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from nnqft.integral import TimeIntegral
    from nnqft.theory import Propagator, Vertex


class BranchShape(NamedTuple):
    """A point of the forest: the line to its parent, how many more parents and external z̃ below confine it.

    `rooted`: its time is its own; else it is an offset from that of an external point. `free`: it has no parent, and
    its time runs over the horizon.
    """

    propagator: str
    others: int
    below: int
    rooted: bool
    free: bool


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
    def propagator_named(self) -> Mapping[str, Propagator]:
        """The lines by name."""
        return {propagator.name: propagator for propagator in self.propagators}


def take_apart(integral: TimeIntegral) -> tuple[Shape, tuple[int, ...]]:
    """The shape of an integral and its wires.

    The wires are point numbers: for each branch its parent, the other parents, the external points below it, its
    rank and its root; for each line its end and its start; for each factor its points.
    """
    theory, externals = integral.theory, integral.times.shape[1]
    branches: list[BranchShape] = []
    wires: list[int] = []
    root = list(range(externals))
    for number, branch in enumerate(integral.branches, externals):
        free = branch.parent < 0
        rooted = bool(free or branch.below or branch.others) or not theory.stationary
        root.append(number if rooted else root[branch.parent])
        branches.append(BranchShape(branch.propagator, len(branch.others), len(branch.below), rooted, free))
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
        integral.scale,
        theory.horizon if any(branch.free for branch in branches) else math.inf,
    )
    return shape, tuple(wires)
