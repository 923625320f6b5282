"""The parts of a time integral: what its integrand is for near and for far external times, as shapes and wires."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from nnqft.graphs.parts import Line
from nnqft.integrals.cuts import anchored, buckets, decay_rate, distances, rates_of
from nnqft.integrals.shape import BranchShape, FactorShape, LineShape, Part, Shape

if TYPE_CHECKING:
    from nnqft.integrals.integral import TimeIntegral

FAR = 3.0
"""External times further apart than this, in decay times of the slowest response, are far."""


def parts_of(integral: TimeIntegral) -> tuple[Part, ...]:
    """The integral's near and its far times, each with its shape, wires and slopes.

    Near each other, or without a correlator, points are placed by their responses alone (the forest), far apart
    between several points, see `nnqft.integrals.cuts`.
    """
    times = integral.times
    far = np.zeros(len(times), bool)
    if integral.branches and any(not line.response and line.start != line.end for line in integral.lines):
        latest = float(times.max())
        far = distances(times) * _slowest(integral, float(distances(times).max()), latest) > FAR
    if not far.any():
        return (_forest_part(integral, ()),)
    if far.all():
        return (_far_part(integral, ()),)
    near, apart = (tuple(np.flatnonzero(which).tolist()) for which in (~far, far))
    return _forest_part(integral, near), _far_part(integral, apart)


def _slowest(integral: TimeIntegral, reach: float, latest: float) -> float:
    """The least rate of the responses that place points, over distances up to `reach`."""
    if reach <= 0.0:
        return 0.0
    names = {branch.propagator for branch in integral.branches if not branch.free}
    stationary = integral.theory.stationary
    return min(
        (decay_rate(integral.propagators[name], reach, latest, stationary) for name in sorted(names)), default=0.0
    )


def _forest_part(integral: TimeIntegral, columns: tuple[int, ...]) -> Part:
    """Points placed by their responses. The wires are, for each branch, its parent, the other parents, the external
    points below it, its rank and its root; for each line its end and its start; for each factor its points.

    The root of a point is the point whose time its own is an offset from: while the delays do not depend on the times
    themselves (a stationary theory, one parent, no trunk), a whole tree hangs from one external point, and a line
    between two points of one tree has the same value for all external times. It is then computed once, not once a time.
    """
    stationary, externals = integral.theory.stationary, integral.times.shape[1]
    branches: list[BranchShape] = []
    wires: list[int] = []
    root = list(range(externals))
    for number, branch in enumerate(integral.branches, externals):
        rooted = bool(branch.free or branch.below or branch.others) or not stationary
        root.append(number if rooted else root[branch.parent])
        branches.append(BranchShape(branch.propagator, len(branch.others), len(branch.below), rooted, branch.free))
        wires += [branch.parent, *branch.others, *branch.below, branch.rank, root[-1]]
    return _part(integral, columns, branches, list(integral.lines), root, wires, np.zeros((0, 1)))


def _far_part(integral: TimeIntegral, columns: tuple[int, ...]) -> Part:
    """Points placed between several: for each branch the wires are its parent, its anchors and its root."""
    theory, externals = integral.theory, integral.times.shape[1]
    times = integral.times[list(columns)] if columns else integral.times
    lines = _all_lines(integral)
    reach, number = buckets(distances(times))
    used = {line.propagator for line in lines}
    responses = {line.propagator for line in lines if line.response}
    propagators = {name: line for name, line in integral.propagators.items() if name in used}
    rates = rates_of(propagators, responses, reach.tolist(), float(times.max()), theory.stationary)
    # Where no rate depends on the distance one column serves all times, and points that hang together stay so.
    if one := all((rate == rate[0]).all() for rate in rates.values()):
        rates, number = {name: rate[:1] for name, rate in rates.items()}, np.zeros(1, int)
    branches: list[BranchShape] = []
    wires: list[int] = []
    slopes: list[np.ndarray] = []
    root = list(range(externals))
    placed = anchored(lines, rates, externals, externals + integral.dim)
    for n, (branch, point) in enumerate(zip(integral.branches, placed, strict=True), externals):
        roots = {root[anchor] for anchor in point.anchors}
        rooted = branch.free or not theory.stationary or not one or len(roots) > 1
        root.append(n if rooted else roots.pop())
        if branch.free:
            branches.append(BranchShape(branch.propagator, 0, 0, True, True))
            wires += [branch.parent, 0, n]
            continue
        branches.append(BranchShape(branch.propagator, 0, 0, rooted, False, len(point.anchors)))
        wires += [branch.parent, *point.anchors, root[-1]]
        # No point lies above all of its anchors: the row of that set holds the response's own rate.
        slopes += [rates[branch.propagator][None, :], point.slopes[1:]]
    return _part(integral, columns, branches, lines, root, wires, np.concatenate(slopes)[:, number])


def _all_lines(integral: TimeIntegral) -> list[Line]:
    """The lines of the integrand, and those that place a point by their delay and are then no part of it."""
    placing = [
        Line(branch.propagator, branch.parent, number, True)
        for number, branch in enumerate(integral.branches, integral.times.shape[1])
        if not (branch.free or branch.below or branch.others)
    ]
    return [*placing, *integral.lines]


def _part(
    integral: TimeIntegral, columns: tuple[int, ...], branches: list[BranchShape], lines: list[Line], root: list[int],
    wires: list[int], slopes: np.ndarray,
) -> Part:  # fmt: skip
    """The part with these branches, their wires, and these lines in the integrand."""
    theory = integral.theory
    # Sorted, so that integrals with equal lines in another order have one shape, and one compiled integrand.
    ordered = sorted(
        (LineShape(line.propagator, line.response, theory.stationary and root[line.end] == root[line.start]), line)
        for line in lines
    )
    for _, line in ordered:
        wires += [line.end, line.start]
    for _, points in integral.factors:
        wires += points
    # Only what the integrand calls: other lines, and parameters that no kernel sees, change nothing of its code.
    used = {branch.propagator for branch in branches} | {shape.propagator for shape, _ in ordered}
    kernels = {name for name, _ in integral.factors}
    shape = Shape(
        theory.model,
        theory.stationary,
        integral.times.shape[1],
        tuple(branches),
        tuple(shape for shape, _ in ordered),
        tuple(FactorShape(name, len(points)) for name, points in integral.factors),
        tuple(line for name, line in sorted(integral.propagators.items()) if name in used),
        tuple(vertex for vertex in theory.interactions if vertex.name in kernels),
        tuple(sorted(theory.parameters.items())) if kernels else (),
        integral.scale,
        theory.horizon if any(branch.free for branch in branches) else math.inf,
    )
    return Part(columns, shape, tuple(wires), slopes)
