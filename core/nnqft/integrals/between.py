"""A time drawn from a density whose logarithm is linear between given times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType

from nnqft.rules.term import Array

Slope = Callable[[Array], Array]
"""The slope of the logarithm of the density, for the bit set of the anchors that are later; nan: not there."""
_FLAT = 1e-30
"""A slope of zero, to divide by."""
_LEAST = 1e-300
_BELOW_ONE = 1.0 - 2.0**-53


@dataclass(frozen=True)
class Ramps:
    """The density: intervals from the latest anchor down, in each of which its logarithm is linear.

    Attributes
    ----------
    edges, logs : lists of arrays
        The later end of each interval, and the logarithm of the density there, less that of the largest.
    slopes : list of arrays
        Of the logarithm, in each interval; 0 where `allowed` is False.
    allowed : list of arrays
    floor : float
        The earliest time there is; None for −∞.
    heavy : bool
        Does the density below all anchors fall like a power only, for lines that may do so?
    """

    edges: list[Array]
    logs: list[Array]
    slopes: list[Array]
    allowed: list[Array]
    floor: float | None
    heavy: bool
    xp: ModuleType

    @classmethod
    def between(cls, anchors: Sequence[Array], slope: Slope, floor: float | None, heavy: bool, xp: ModuleType) -> Ramps:
        """The density with these anchors, times that broadcast to (n, M)."""
        order, edges = _sorted(anchors, xp)
        log, logs, slopes, allowed = 0.0 * edges[0], [], [], []
        mask: Array = 0
        for step, upper in enumerate(edges):
            mask = mask + order[step]
            each = slope(mask)
            allowed.append(~xp.isnan(each))
            slopes.append(xp.where(allowed[-1], each, 0.0))
            logs.append(log)
            if step + 1 < len(edges):
                log = log - slopes[-1] * (upper - edges[step + 1])
        top = logs[0]
        for each in logs[1:]:
            top = xp.maximum(top, each)
        return cls(edges, [each - top for each in logs], slopes, allowed, floor, heavy, xp)

    def masses(self, cut: Array = None) -> list[Array]:
        """The integral of the density over each interval, or over what of it is later than the cut."""
        xp, masses = self.xp, []
        for n, (upper, log, slope) in enumerate(zip(self.edges, self.logs, self.slopes, strict=True)):
            steep = xp.maximum(xp.abs(slope), _FLAT)
            part = None if cut is None else xp.maximum(upper - cut, 0.0)
            if n + 1 < len(self.edges):
                room = upper - self.edges[n + 1]
                part = room if part is None else xp.minimum(part, room)
                high = xp.where(slope < 0, self.logs[n + 1] - steep * (room - part), log)
                mass = xp.exp(high) * -xp.expm1(-steep * part) / steep
            else:
                mass = xp.exp(log) * self._tail_share(upper, steep, part) / steep
            masses.append(xp.where(self.allowed[n], mass, 0.0))
        return masses

    def draw(self, u: Array) -> tuple[Array, Array, Array]:
        """The time for uniform u, from the latest down, one over the normalised density there, and the integral.

        The second is 0 where no time is possible.
        """
        xp, masses = self.xp, self.masses()
        total = sum(masses)
        left = u * total
        time, log, chosen = 0.0, 0.0, left < 0.0
        for n, upper in enumerate(self.edges):
            last = n + 1 == len(self.edges)
            here = ~chosen if last else ~chosen & (left < masses[n])
            share = xp.clip(left / xp.maximum(masses[n], _LEAST), 0.0, _BELOW_ONE)
            back, value = self._tail(share, n) if last else self._ramp(share, n)
            time, log = xp.where(here, upper - back, time), xp.where(here, value, log)
            left, chosen = left - masses[n], chosen | here
        return time, xp.where(total > 0, total * xp.exp(-log), 0.0), total

    def _ramp(self, share: Array, n: int) -> tuple[Array, Array]:
        """How far below the upper end of an interval, and the logarithm of the density there."""
        xp, slope, room = self.xp, self.slopes[n], self.edges[n] - self.edges[n + 1]
        steep, falling = xp.maximum(xp.abs(slope), _FLAT), slope < 0
        # Towards later times it falls: then the way is measured from the lower end.
        part = xp.where(falling, xp.minimum(1.0 - share, _BELOW_ONE), share)
        way = xp.minimum(-xp.log1p(part * xp.expm1(-steep * room)) / steep, room)
        return xp.where(falling, room - way, way), xp.where(falling, self.logs[n + 1], self.logs[n]) - steep * way

    def _tail_share(self, upper: Array, steep: Array, part: Array | None) -> Array:
        """How much of the density below all anchors lies above the floor, or above the cut."""
        xp = self.xp
        room = None if self.floor is None else xp.maximum(upper - self.floor, 0.0)
        if part is not None:
            room = part if room is None else xp.minimum(part, room)
        if room is None:
            return xp.ones_like(upper)
        size = steep * room
        return size / (1.0 + size) if self.heavy else -xp.expm1(-size)

    def _tail(self, share: Array, n: int) -> tuple[Array, Array]:
        """How far below all anchors, and the logarithm of the density there."""
        xp, steep = self.xp, self.xp.maximum(self.slopes[n], _FLAT)
        inside = share * self._tail_share(self.edges[n], steep, None)
        if self.heavy:
            size = inside / (1.0 - inside)
            return size / steep, self.logs[n] - 2.0 * xp.log1p(size)
        size = -xp.log1p(-inside)
        return size / steep, self.logs[n] - size


def _sorted(anchors: Sequence[Array], xp: ModuleType) -> tuple[list[Array], list[Array]]:
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
