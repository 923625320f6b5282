"""A time drawn from a density whose logarithm is linear between given times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType

from nnqft.rules.parts import Array

Slope = Callable[[Array], Array]
"""The slope of the logarithm of the density, for the bit set of the anchors that are later; nan: not there."""
_FLAT = 1e-30
"""A slope of zero, to divide by."""
_BELOW_ONE = 1.0 - 2.0**-53


def place_between(
    anchors: Sequence[Array], slope: Slope, u: Array, floor: float | None, heavy: bool, xp: ModuleType
) -> tuple[Array, Array]:
    """A time for uniform u, and one over its density; the weight is 0 where no time is possible.

    Parameters
    ----------
    anchors
        Times that broadcast with u to (n, M); the drawn one lies before the latest of them.
    slope
        Of the logarithm of the density, see `Slope`.
    floor
        The earliest time there is; None for −∞.
    heavy
        Let the density below all anchors fall like a power only, for lines that may do so.
    """
    order, edges = _sorted(anchors, u, xp)
    log, logs, slopes = 0.0, [], []
    mask: Array = 0
    for step, upper in enumerate(edges):
        mask = mask + order[step]
        each = slope(mask)
        slopes.append(each)
        logs.append(log)
        if step + 1 < len(edges):
            log = log - xp.where(xp.isnan(each), 0.0, each) * (upper - edges[step + 1])
    top = logs[0] + 0.0 * edges[0]
    for each in logs[1:]:
        top = xp.maximum(top, each)
    return _draw(edges, logs, slopes, top, u, floor, heavy, xp)


def _sorted(anchors: Sequence[Array], u: Array, xp: ModuleType) -> tuple[list[Array], list[Array]]:
    """The bits of the anchors from the latest to the earliest, and their times."""
    if len(anchors) == 1:
        return [1], [anchors[0]]
    if len(anchors) == 2:
        one, two = anchors
        first = xp.where(one >= two, 1, 2)
        return [first, 3 - first], [xp.maximum(one, two), xp.minimum(one, two)]
    stacked = xp.stack(xp.broadcast_arrays(*anchors))
    order = xp.argsort(-stacked, axis=0)
    times = xp.take_along_axis(stacked, order, axis=0)
    return [1 << order[n] for n in range(len(anchors))], [times[n] for n in range(len(anchors))]


def _draw(
    edges: list[Array], logs: list[Array], slopes: list[Array], top: Array, u: Array,
    floor: float | None, heavy: bool, xp: ModuleType,
) -> tuple[Array, Array]:  # fmt: skip
    """Choose an interval by its share of the whole, from the latest down, and a time in it."""
    last = len(edges) - 1
    masses, total = [], 0.0
    for n, upper in enumerate(edges):
        steep = xp.maximum(xp.abs(xp.where(xp.isnan(slopes[n]), 0.0, slopes[n])), _FLAT)
        if n < last:
            size = steep * (upper - edges[n + 1])
            high = xp.where(slopes[n] < 0, logs[n + 1], logs[n])
            mass = xp.exp(high - top) * -xp.expm1(-size) / steep
        else:
            mass = xp.exp(logs[n] - top) * _tail_reach(upper, steep, floor, heavy, xp) / steep
        masses.append(xp.where(xp.isnan(slopes[n]), 0.0, mass))
        total = total + masses[-1]
    left = u * total
    time, log = 0.0, 0.0
    chosen = left < 0.0
    for n, upper in enumerate(edges):
        here = ~chosen & (left < masses[n]) if n < last else ~chosen
        share = xp.clip(left / xp.maximum(masses[n], 1e-300), 0.0, _BELOW_ONE)
        steep = xp.maximum(xp.abs(xp.where(xp.isnan(slopes[n]), 0.0, slopes[n])), _FLAT)
        if n < last:
            room = upper - edges[n + 1]
            falling = slopes[n] < 0  # towards later times: measured from the lower end
            part = xp.where(falling, 1.0 - share, share)
            way = xp.minimum(-xp.log1p(part * xp.expm1(-steep * room)) / steep, room)
            back = xp.where(falling, room - way, way)
            value = xp.where(falling, logs[n + 1], logs[n]) - steep * way
        else:
            back, value = _tail(share, upper, steep, floor, heavy, xp)
            value = logs[n] + value
        time = xp.where(here, upper - back, time)
        log = xp.where(here, value, log)
        left = left - masses[n]
        chosen = chosen | here
    return time, xp.where(total > 0, total * xp.exp(top - log), 0.0)


def _tail_reach(upper: Array, steep: Array, floor: float | None, heavy: bool, xp: ModuleType) -> Array:
    """How much of the density below all anchors lies above the floor."""
    if floor is None:
        return xp.ones_like(upper)
    size = steep * xp.maximum(upper - floor, 0.0)
    return size / (1.0 + size) if heavy else -xp.expm1(-size)


def _tail(
    share: Array, upper: Array, steep: Array, floor: float | None, heavy: bool, xp: ModuleType
) -> tuple[Array, Array]:
    """A distance below all anchors, and the logarithm of the density there over that at its top."""
    inside = share * _tail_reach(upper, steep, floor, heavy, xp)
    if heavy:
        size = inside / (1.0 - inside)
        return size / steep, -2.0 * xp.log1p(size)
    size = -xp.log1p(-inside)
    return size / steep, -size
