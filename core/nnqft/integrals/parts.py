"""The parts of a time integral: what its integrand is for near and for far external times, as shapes and wires."""

from __future__ import annotations

import math

import numpy as np

from nnqft.graphs.parts import Line
from nnqft.integrals.cuts import MANY, anchored, buckets, decay_rate, distances, growth, most_together, rates_of
from nnqft.integrals.shape import BranchShape, FactorShape, Forest, LineShape, Part, Shape

FAR = 3.0
"""External times are far if the relative variance of the forest grows by more than the exponential of this."""
FAR_OF_DELAYS = 6.0
"""The same where a response has a delay of its own, which knows its shape better than exponentials do."""
MOST_TOGETHER = 14
"""Points that a table of all their subsets is made for; where more hang together the forest places all points."""


def parts_of(integral: Forest) -> tuple[Part, ...]:
    """The integral's near and its far times, each with its shape, wires and slopes.

    At near ones points are placed by their responses alone (the forest), at far ones between several points, see
    `nnqft.integrals.cuts`.
    """
    far = _far(integral)
    if not far.any():
        return (_forest_part(integral, ()),)
    if far.all():
        return (_far_part(integral, ()),)
    near, apart = (tuple(np.flatnonzero(which).tolist()) for which in (~far, far))
    return _forest_part(integral, near), _far_part(integral, apart)


def _far(integral: Forest) -> np.ndarray:
    """(M,) which external times are far from each other, for this integral."""
    times = integral.times
    far = np.zeros(len(times), bool)
    reach = distances(times)
    responses = [integral.propagators[b.propagator] for b in integral.branches if not b.free]
    if not responses or all(line.response or line.start == line.end for line in integral.lines) or not reach.any():
        return far
    least = FAR_OF_DELAYS if any(line.delay is not None for line in responses) else FAR
    where = float(reach.max()), float(times.max()), integral.theory.stationary, True
    # Nothing grows faster than the lines fall: most times need no more than this look.
    asked = np.flatnonzero(reach * min(decay_rate(line, *where) for line in responses) > least)
    lines = all_lines(integral)
    points = times.shape[1] + len(integral.branches)
    if not len(asked) or most_together(lines, times.shape[1], points) > MOST_TOGETHER:
        return far
    # A chord hides what a sum of exponentials has beside its slowest one.
    if not all(integral.propagators[line.propagator].single for line in integral.lines):
        far[asked] = True
        return far
    rates, number = _rates(integral, times[asked])
    below = {n for n, branch in enumerate(integral.branches, times.shape[1]) if branch.below}
    drawn = [line for line in lines if line.response and line.start not in below]
    speed = growth(lines, drawn, rates, times.shape[1], points)
    order = np.argsort(-times[asked], axis=1)
    gaps = -np.diff(np.take_along_axis(times[asked], order, axis=1), axis=1)
    sets = np.cumsum(1 << order, axis=1)[:, :-1]
    far[asked] = (speed[sets, number[:, None]] * gaps).sum(axis=1) > least
    return far


def _rates(integral: Forest, times: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Rates of all lines, (B,) each, and for each of the (M,) external times which of these are theirs."""
    lines = all_lines(integral)
    reach, number = buckets(distances(times))
    used = {line.propagator for line in lines}
    propagators = {name: line for name, line in integral.propagators.items() if name in used}
    responses = {line.propagator for line in lines if line.response}
    rates = rates_of(propagators, responses, reach.tolist(), float(times.max()), integral.theory.stationary)
    # Where no rate depends on the distance one column serves all times, and points that hang together stay so.
    if all((rate == rate[0]).all() for rate in rates.values()):
        return {name: rate[:1] for name, rate in rates.items()}, np.zeros(len(times), int)
    return rates, number


def _forest_part(integral: Forest, columns: tuple[int, ...]) -> Part:
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
    return _part(integral, columns, branches, list(integral.lines), root, wires, (np.zeros((0, 3)), np.zeros(1, int)))


def _far_part(integral: Forest, columns: tuple[int, ...]) -> Part:
    """Points placed between several: for each branch the wires are its parent, its anchors and its root."""
    theory, externals = integral.theory, integral.times.shape[1]
    times = integral.times[list(columns)] if columns else integral.times
    lines = all_lines(integral)
    rates, number = _rates(integral, times)
    one = len(next(iter(rates.values()))) == 1
    branches: list[BranchShape] = []
    wires: list[int] = []
    slopes: list[np.ndarray] = []
    root = list(range(externals))
    placed = anchored(lines, rates, externals, externals + len(integral.branches), 1.0 / float(distances(times).max()))
    crowded = any(point.loose.max() >= MANY for point in placed)
    for n, (branch, point) in enumerate(zip(integral.branches, placed, strict=True), externals):
        roots = {root[anchor] for anchor in point.anchors}
        rooted = branch.free or not theory.stationary or not one or len(roots) > 1
        root.append(n if rooted else roots.pop())
        if branch.free:
            branches.append(BranchShape(branch.propagator, 0, 0, True, True))
            wires += [branch.parent, 0, n]
            continue
        loose = crowded and bool(point.loose.any())
        branches.append(BranchShape(branch.propagator, 0, 0, rooted, False, len(point.anchors), loose))
        wires += [branch.parent, *point.anchors, root[-1]]
        # No point lies above all of its anchors: the row of that set holds the response's own rate.
        rows = np.concatenate([rates[branch.propagator][None, :], point.slopes[1:]])
        slopes.append(np.concatenate([rows, point.loose], axis=1))
    return _part(integral, columns, branches, lines, root, wires, (np.concatenate(slopes), number))


def all_lines(integral: Forest) -> list[Line]:
    """The lines of the integrand, and those that place a point by their delay and are then no part of it."""
    placing = [
        Line(branch.propagator, branch.parent, number, True)
        for number, branch in enumerate(integral.branches, integral.times.shape[1])
        if not (branch.free or branch.below or branch.others)
    ]
    return [*placing, *integral.lines]


def _part(
    integral: Forest, columns: tuple[int, ...], branches: list[BranchShape], lines: list[Line], root: list[int],
    wires: list[int], slopes: tuple[np.ndarray, np.ndarray],
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
    return Part(columns, shape, tuple(wires), *slopes)
