"""Where the points of a diagram lie when its external times are far apart: the cheapest cuts between them.

Let every line decay like e^{−rate·|t−s|}. If the set S of points lies above a level u and the others below it, the
lines that cross the level cost the integrand e^{−cut(S) du}. Some points are placed already, the others go where they
cost least, so what is to be paid at the level is the least cut, over all places of the others. As a function of the
time of one more point, the logarithm of the best that can still become of the integrand is therefore linear between
the times of the points placed before, with slopes that are differences of least cuts.

From that density points are drawn one after the other (`nnqft.integrals.between`). Each normalisation makes up for
the best value that came before it but for a width, which is at most the distance of the external times and some decay
times. The product telescopes: the integrand over the density is bounded by a power of that distance.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from nnqft.graphs.parts import Line
from nnqft.integrals.loose import loose_groups
from nnqft.rules.parts import Propagator

_LADDER = math.sqrt(2.0)
"""Distances are rounded up to powers of this where rates depend on them."""
_STEPS = 17
_NEAR = 53
_BEYOND = 8
_SLACK = 2.5
"""Logarithm of the factor by which the exponential may begin above a line's largest value."""
_FASTEST = 4.0
"""A correlator's rate is at most this times the fastest response's: what decays faster than any exponential is flat
first, and no exponential over its whole length is above it."""
_TAIL = 0.5
"""Correlators count by this fraction below all points they lead to, where a function may decay slower than before."""

_LEAST_TAIL = 0.25
MANY = 2
"""Loose points that are worth leaving room for: one costs no more than a third of the variance."""

_Table = tuple[tuple[int, ...], np.ndarray]
"""Points, and costs by the sides of a level that they lie on, an axis for each and one for the distance."""


class Anchored(NamedTuple):
    """How one internal point is placed: the points that it is drawn between, and the slopes of its density.

    `slopes[S, b]`, in 1/time, is that of the logarithm of the density where the anchors of the bit set S are later
    than the point, for rates of the distance b; nan where the point may not lie. There is no row for the empty set,
    row 0, that allows the point: it hangs from a response.

    `loose[S]` are the numbers of groups of points, still to be placed, that may lie anywhere in the gap below these
    anchors, if this point is below the gap and if it is above it.
    """

    anchors: tuple[int, ...]
    slopes: np.ndarray
    loose: np.ndarray


def distances(times: np.ndarray) -> np.ndarray:
    """(M,) the distance of the latest and the earliest external time of each column, in the theory's unit of time."""
    return np.ptp(times, axis=1)


def buckets(reach: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distances rounded up to a ladder, (B,) increasing, and the number in it of each of the (M,) given ones."""
    steps = np.ceil(np.log(np.maximum(reach, 1e-300)) / math.log(_LADDER) - 1e-9)
    ladder, number = np.unique(steps, return_inverse=True)
    return _LADDER**ladder, number


def decay_rate(line: Propagator, reach: float, latest: float, stationary: bool, response: bool) -> float:
    """The slowest rate, in 1/time, at which a line falls from its largest value over distances up to `reach`.

    With it an exponential lies above the line over all of the distance, up to a factor. For one exponential it is that
    one's rate, for a sum or a function the slope of the chord, or that of its end where the line is flat or rises
    first. From rest all starts s ≥ 0 that end before `latest` count.
    """
    if line.single:
        return float(line.terms[0].rate.real)
    # The first only find the largest value, which need not be at lag 0: a response between two fields begins at 0. The
    # last only tell a zero at the end, such as that of a difference of two exponentials, from a steep fall.
    near, beyond = reach * np.geomspace(1e-9, 1 / 16, _NEAR), reach * np.linspace(1.0, 2.0, _BEYOND + 1)[1:]
    lags = np.concatenate([near, reach * np.linspace(1 / 8, 1.0, _STEPS), beyond])[:, None]
    starts = np.zeros((1, 1)) if stationary else np.linspace(0.02, 1.0, _STEPS) * np.maximum(latest - lags, 0.0)
    with np.errstate(all="ignore"):
        try:
            one, two = (np.broadcast_to(np.abs(v), np.broadcast_shapes(lags.shape, starts.shape)) for v in (
                line(starts + lags, starts + 0 * lags),
                0.0 if response else line(starts + 0 * lags, starts + lags),
            ))  # fmt: skip
        except Exception:  # a plugin's code may raise anything, and will say so when it is integrated
            return 0.0
        size = np.nan_to_num(np.maximum(one, two), nan=0.0, posinf=0.0).max(axis=1)
        fall, far = np.log(size[:-_BEYOND].max() / size[_NEAR:]), lags[_NEAR:, 0]
        middle, end = _STEPS // 2, _STEPS - 1
        last = (fall[end:] - fall[middle]) / (far[end:] - far[middle])
        falls = fall[:_STEPS] / far[:_STEPS], (fall[:_STEPS] + _SLACK) / far[:_STEPS], last
        chord, loose, tail = (float(np.nan_to_num(x, nan=0.0, posinf=np.inf).min()) for x in falls)
    slowest = min((complex(term.rate).real for term in line.terms if line.kernel is None), default=math.inf)
    return max(chord, min(tail, loose, slowest), 0.0)


def rates_of(
    lines: Mapping[str, Propagator], responses: set[str], reach: Sequence[float], latest: float, stationary: bool
) -> dict[str, np.ndarray]:
    """(B,) rates of each line for each of the distances."""
    found = {
        name: np.array([decay_rate(line, x, latest, stationary, name in responses) for x in reach])
        for name, line in lines.items()
    }
    fastest = np.max([found[name] for name in sorted(responses)], axis=0)
    slow = 1e-3 * np.maximum(fastest, 1.0 / np.asarray(reach))
    return {
        name: np.maximum(rate, slow) if name in responses else np.minimum(rate, _FASTEST * fastest)
        for name, rate in found.items()
    }


def anchored(
    lines: Sequence[Line], rates: Mapping[str, np.ndarray], externals: int, points: int, slack: float
) -> list[Anchored]:
    """For each internal point, in order, between which earlier points it is placed, and with which slopes.

    Costs that differ by no more than `slack`, in 1/time, are taken for equal where points are loose.
    """
    return [_slopes(lines, rates, anchors, inside, slack) for anchors, inside in _places(lines, externals, points)]


def most_together(lines: Sequence[Line], externals: int, points: int) -> int:
    """How many points the largest table is over that `anchored` and `growth` make for these lines."""
    largest = externals
    for fixed, free in [*_places(lines, externals, points), (list(range(externals)), list(range(externals, points)))]:
        scopes = [{line.start, line.end} for line in lines if line.start != line.end]
        own = [scope for scope in scopes if scope & set(free)]
        # The first point of a place is itself fixed in its table.
        both = len(fixed) + 1, *(size for _, size in _eliminations(own, free))
        largest = max(largest, *both)
    return largest


def _places(lines: Sequence[Line], externals: int, points: int) -> list[tuple[list[int], list[int]]]:
    """For each internal point the earlier points that it is placed between, and itself with the later ones there."""
    near: dict[int, set[int]] = {v: set() for v in range(points)}
    for line in lines:
        near[line.start].add(line.end)
        near[line.end].add(line.start)
    places = []
    for v in range(externals, points):
        later, anchors, pending = {v}, set(), [v]
        while pending:
            for w in near[pending.pop()] - later:
                if w < v:
                    anchors.add(w)
                else:
                    later.add(w)
                    pending.append(w)
        places.append((sorted(anchors), [v, *sorted(later - {v})]))
    return places


def growth(
    lines: Sequence[Line], drawn: Sequence[Line], rates: Mapping[str, np.ndarray], externals: int, points: int
) -> np.ndarray:
    """(2^E, B) how fast the relative variance of the forest grows with the distance, in 1/time.

    For the external points of a bit set above a gap in time and the others below it. Where points are placed by the
    lines `drawn`, with weight w = e^{−(all − drawn)}, the mean of w² over the square of that of w is e^{2 least(all) −
    least(2 all − drawn)}, with the least costs of the gap by either measure. 0 where no cut is possible.
    """
    fixed, free = list(range(externals)), list(range(externals, points))
    once = _least(lines, dict.fromkeys(range(len(lines)), 1.0), rates, fixed, free)
    own = [1.0 if line in drawn else 2.0 for line in lines]
    twice = _least(lines, dict(enumerate(own)), rates, fixed, free)
    with np.errstate(invalid="ignore"):
        found = 2 * once - twice
    return np.where(np.isfinite(found), np.maximum(found, 0.0), 0.0)


def _slopes(
    lines: Sequence[Line], rates: Mapping[str, np.ndarray], anchors: list[int], inside: list[int], slack: float
) -> Anchored:
    """Least cuts for all sets of anchors above the level, with the point (the first of `inside`) below and above it."""
    own, count = set(inside), len(next(iter(rates.values())))
    near = [line for line in lines if line.start != line.end and own & {line.start, line.end}]
    weights = dict.fromkeys(range(len(near)), 1.0)
    least = _least(near, weights, rates, [*anchors, inside[0]], inside[1:])
    # Below all anchors, the last set of them.
    tail = {n: 1.0 if line.response else _TAIL for n, line in enumerate(near)}
    bottom = _least(near, tail, rates, [*anchors, inside[0]], inside[1:])
    below, above = least.reshape(2, 1 << len(anchors), count)
    # Only the largest distance has gaps in which this matters.
    longest = {name: float(rate[-1]) for name, rate in rates.items()}
    loose = loose_groups(near, longest, anchors, inside, slack)
    with np.errstate(invalid="ignore"):
        slopes = below - above
        # Of n loose points between there and the anchors Σ_{k ≤ n} (rate·x)^k/k! is made, nearly e^{rate·x} for many.
        full, many = slopes[-1].copy(), loose[-1, 0]
        below, above = bottom.reshape(2, 1 << len(anchors), count)
        slopes[-1] = below[-1] - above[-1]
        if many >= MANY:
            slowest = np.min([rates[line.propagator] for line in near if line.response], axis=0)
            flat = full - slowest * many / (many + 1.0)
            slopes[-1] = np.maximum(np.minimum(slopes[-1], flat), _LEAST_TAIL * full)
    return Anchored(tuple(anchors), np.where(np.isfinite(slopes), slopes, np.nan), loose)


def _least(
    lines: Sequence[Line], weights: Mapping[int, float], rates: Mapping[str, np.ndarray], fixed: list[int],
    free: list[int],
) -> np.ndarray:  # fmt: skip
    """(2^F, B) the least summed rate that crosses a level, over all places of the free points, by sets of fixed ones.

    The fixed points of the set lie above the level. A line counts by its weight, and a response that would run
    backwards is not possible, ∞. Free points are eliminated one after the other (U. Bertelè and F. Brioschi, Nonserial
    Dynamic Programming, 1972), so that a table is as large as a cut through the diagram, not as the diagram.
    """
    count = len(next(iter(rates.values())))
    # The first of the fixed points is the last axis, so that it becomes the lowest bit.
    axis = {v: n for n, v in enumerate(reversed(fixed + free))}
    tables: list[_Table] = [(tuple(fixed[::-1]), np.zeros((2,) * len(fixed) + (count,)))]
    for n, line in enumerate(lines):
        if line.start == line.end:
            continue
        cost = np.zeros((2, 2, count))
        cost[0, 1] = weights[n] * rates[line.propagator]
        cost[1, 0] = np.inf if line.response else cost[0, 1]
        first = axis[line.start] < axis[line.end]
        ends = (line.start, line.end) if first else (line.end, line.start)
        tables.append((ends, cost if first else cost.swapaxes(0, 1)))
    for v, _ in _eliminations([set(scope) for scope, _ in tables], free):
        scope, joint = _joined([table for table in tables if v in table[0]], axis)
        tables = [table for table in tables if v not in table[0]]
        gone = scope.index(v)
        tables.append((scope[:gone] + scope[gone + 1 :], joint.min(axis=gone)))
    return np.asarray(_joined(tables, axis)[1].reshape(1 << len(fixed), count))


def _joined(tables: Sequence[_Table], axis: Mapping[int, int]) -> _Table:
    """The sum of tables over the points of all of them, which come in the order of their axes."""
    scope = tuple(sorted({v for points, _ in tables for v in points}, key=axis.__getitem__))
    total: np.ndarray = np.zeros((2,) * len(scope) + (1,))
    for points, table in tables:
        total = total + table.reshape(*(2 if v in points else 1 for v in scope), table.shape[-1])
    return scope, total


def _eliminations(scopes: list[set[int]], free: list[int]) -> Iterator[tuple[int, int]]:
    """The free points in an order that keeps tables small, fewest neighbours first, each with its table's points."""
    left = set(free)
    while left:
        sizes = {v: len(set().union(*(scope for scope in scopes if v in scope)) | {v}) for v in left}
        v = min(left, key=lambda v: (sizes[v], v))
        merged = set().union(*(scope for scope in scopes if v in scope)) - {v}
        scopes = [scope for scope in scopes if v not in scope] + [merged]
        left.remove(v)
        yield v, sizes[v]
