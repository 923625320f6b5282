"""A time drawn from a density whose logarithm is linear between given times."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import ModuleType
from typing import NamedTuple

from nnqft.rules.term import Array

Slope = Callable[[Array], Array]
"""The slope of the logarithm of the density, for the bit set of the anchors that are later; nan: not there."""
_FLAT = 1e-30
"""A slope of zero, to divide by."""
_NEARLY_FLAT = 1e-12
_LEAST = 1e-300
_BELOW_ONE = 1.0 - 2.0**-53


class Loose(NamedTuple):
    """Points to be placed later that may lie anywhere in a gap: how many, for the bit set of the anchors above it.

    `below` if the point that is placed now lies below the gap, `above` if it lies above; `rate`, in 1/time, says what
    length of a gap is large.
    """

    below: Slope
    above: Slope
    rate: Array

    def reach(self, count: Array, xp: ModuleType) -> Array:
        """The length c with which the room of n points in a gap x is about (1 + x/c)^n: 1 at 0, (rate·x)^n/n! far."""
        return xp.maximum(count, 1.0) / (math.e * self.rate)


class Power(NamedTuple):
    """Of an interval: its density also falls like ((x + shift)/(room + shift))^power towards its lower end, x = 0.

    With z = 1 − ((x + shift)/(room + shift))^{power + 1}, from 0 at the upper end to `most` at the lower one, it is
    drawn from e^{−slope·z}. The exponential of the interval's own slope lies nowhere above that one. Where that falls
    towards later times by more than one power of e, `used` is False, and there is no power.
    """

    used: Array
    power: Array
    shift: Array
    most: Array
    slope: Array

    @classmethod
    def of(cls, count: Array, shift: Array, room: Array, slope: Array, xp: ModuleType) -> Power:
        """For so many loose points in an interval of this length, where the logarithm has this slope."""
        used = (count > 0) & (room > 0) & (slope * room > -1.0)
        whole = xp.where(used, room, 1.0) + shift
        most = -xp.expm1((count + 1.0) * xp.log(shift / whole))
        steep = xp.where(slope < 0, slope * room / most, slope * whole / (count + 1.0))
        return cls(used, count, shift, most, xp.where(xp.abs(steep) < _NEARLY_FLAT, _NEARLY_FLAT, steep))

    def mass(self, room: Array, part: Array, xp: ModuleType) -> Array:
        """The integral over what lies within `part` of the upper end, for a density of 1 there."""
        whole = room + self.shift
        z = -xp.expm1((self.power + 1.0) * xp.log((whole - part) / whole))
        return whole / (self.power + 1.0) * -xp.expm1(-self.slope * z) / self.slope

    def draw(self, share: Array, room: Array, xp: ModuleType) -> tuple[Array, Array]:
        """How far below the upper end, and the logarithm of the density there, for a density of 1 there."""
        whole = room + self.shift
        z = xp.clip(-xp.log1p(share * xp.expm1(-self.slope * self.most)) / self.slope, 0.0, self.most)
        left = xp.log1p(-z) / (self.power + 1.0)
        return xp.minimum(-whole * xp.expm1(left), room), self.power * left - self.slope * z


@dataclass(frozen=True)
class Ramps:
    """The density: intervals from the latest anchor down, in each of which its logarithm is linear.

    Where loose points come after this one it is that times a power of the distance from the interval's lower end.

    Attributes
    ----------
    edges, logs, lows : lists of arrays
        The later end of each interval, and the logarithm of the density there, less that of the largest; for all but
        the last that at the lower end.
    slopes : list of arrays
        Of the logarithm, in each interval; 0 where `allowed` is False.
    allowed : list of arrays
    floor : float
        The earliest time there is; None for −∞.
    heavy : bool
        Does the density below all anchors fall like a power only, for lines that may do so?
    powers : list
        Of each interval but the last; empty if no loose points come after this one.
    """

    edges: list[Array]
    logs: list[Array]
    lows: list[Array]
    slopes: list[Array]
    allowed: list[Array]
    floor: float | None
    heavy: bool
    powers: list[Power]
    xp: ModuleType

    @classmethod
    def between(
        cls, anchors: Sequence[Array], slope: Slope, floor: float | None, heavy: bool, xp: ModuleType,
        loose: Loose | None = None, least: float = 0.0,
    ) -> Ramps:  # fmt: skip
        """The density with these anchors, times that broadcast to (n, M); below all of them is this share at least."""
        order, edges = _sorted(anchors, xp)
        log, logs, lows, slopes, allowed, masks = 0.0 * edges[0], [], [], [], [], []
        mask: Array = 0
        for step, upper in enumerate(edges):
            mask = mask + order[step]
            masks.append(mask)
            each = slope(mask)
            allowed.append(~xp.isnan(each))
            slopes.append(xp.where(allowed[-1], each, 0.0))
            logs.append(log)
            if step + 1 < len(edges):
                log = log - slopes[-1] * (upper - edges[step + 1])
                lows.append(log)
        powers: list[Power] = []
        if loose is not None:
            rooms = [upper - lower for upper, lower in pairwise(edges)]
            powers = _add_rooms(loose, masks, rooms, slopes, logs, lows, xp)
        top = logs[0]
        for each in [*logs[1:], *(lows if powers else [])]:
            top = xp.maximum(top, each)
        logs, lows = [each - top for each in logs], [each - top for each in lows]
        ramps = cls(edges, logs, lows, slopes, allowed, floor, heavy, powers, xp)
        if least:
            *others, last = ramps.masses()
            wanted = sum(others, 0.0 * last) * least / (1.0 - least)
            raised = xp.where((last > 0) & (last < wanted), wanted / xp.where(last > 0, last, 1.0), 1.0)
            logs[-1] = logs[-1] + xp.log(raised)
        return ramps

    def masses(self, cut: Array = None) -> list[Array]:
        """The integral of the density over each interval, or over what of it is later than the cut."""
        xp, masses = self.xp, []
        for n, (upper, log, slope) in enumerate(zip(self.edges, self.logs, self.slopes, strict=True)):
            steep = xp.maximum(xp.abs(slope), _FLAT)
            part = None if cut is None else xp.maximum(upper - cut, 0.0)
            if n + 1 < len(self.edges):
                room = upper - self.edges[n + 1]
                part = room if part is None else xp.minimum(part, room)
                high = xp.where(slope < 0, self.lows[n] - steep * (room - part), log)
                mass = xp.exp(high) * -xp.expm1(-steep * part) / steep
                if self.powers:
                    mass = xp.where(self.powers[n].used, xp.exp(log) * self.powers[n].mass(room, part, xp), mass)
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
        back = xp.where(falling, room - way, way)
        log = xp.where(falling, self.lows[n], self.logs[n]) - steep * way
        if not self.powers:
            return back, log
        power = self.powers[n]
        other, less = power.draw(share, room, xp)
        return xp.where(power.used, other, back), xp.where(power.used, self.logs[n] + less, log)

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


def _add_rooms(
    loose: Loose, masks: list[Array], rooms: list[Array], slopes: list[Array], logs: list[Array], lows: list[Array],
    xp: ModuleType,
) -> list[Power]:  # fmt: skip
    """The powers of all intervals but the last; to `logs` and `lows` the room is added that each place leaves others.

    For a point in an interval that is the room of loose points below it there, of those that it is above of in later
    intervals, and of those that it is below of in earlier ones.
    """
    powers, above, below = [], [], []
    for mask, room, slope in zip(masks, rooms, slopes, strict=False):
        count, shift = loose.above(mask), loose.reach(loose.above(mask), xp)
        powers.append(Power.of(count, shift, room, slope, xp))
        above.append(count * xp.log1p(room / shift))
        other = loose.below(mask)
        below.append(other * xp.log1p(room / loose.reach(other, xp)))
    for n in range(len(logs)):
        left = sum(below[:n]) + sum(above[n + 1 :])
        if n < len(powers):
            lows[n] = lows[n] + left
            logs[n] = logs[n] + left + xp.where(powers[n].used, above[n], 0.0)
        else:
            logs[n] = logs[n] + left
    return powers


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
