"""The integrand of a time integral at points of the unit cube, for a whole grid of external times."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from types import ModuleType

import numpy as np

from nnqft.errors import PluginError
from nnqft.integrals.between import Loose, Ramps
from nnqft.integrals.kernels import call_kernel, plain_decay
from nnqft.integrals.shape import BranchShape, LineShape, Part
from nnqft.rules.parts import Propagator
from nnqft.rules.term import Array

_CLOSE = 0.8
"""Below this quantile of a response's own delay a point is close to its parent."""
_BELOW_ALL = 0.1
"""Share of the samples with a point earlier than all that it is placed between, where others are loose: weights may
then be so alike that samples which never met this thin layer would not know their error."""
_BELOW_ONE = 1.0 - 2.0**-53

Wire = int | Array
"""The number of a point, or a traced integer where the integrand is compiled."""


class Evaluation:
    """One call of an integrand. A time is a base, (1, M) or (n, M), plus an offset, (n, 1) or 0.

    Points with the same base differ by their offsets alone, so in a stationary theory a line between them is
    computed once for the whole grid.

    Parameters
    ----------
    part
        See `TimeIntegral.parts`; all of it but its shape and columns may be traced, so that one compiled integrand
        serves all integrals of a shape.
    times : (M, E) array
    u : (n, dim) array
    xp
        Array namespace; what plugins' functions return is checked under numpy only, since a traced array has no
        values yet.
    """

    def __init__(self, part: Part, times: Array, u: Array, xp: ModuleType) -> None:
        self.part, self.shape, self.u, self.xp, self.row = part, part.shape, u, xp, 0
        self.wires: Iterator[Wire] = iter(part.wires)
        self.propagators = part.shape.propagator_named
        self.grid = xp.asarray(times)
        self.base: list[Array] = [self.grid[None, :, e] for e in range(part.shape.externals)]
        self.root: list[Wire] = list(range(part.shape.externals))
        self.offset: list[Array] = [0.0] * part.shape.externals
        self._stacks: dict[int, Array] = {}
        self.factor: Array = part.shape.scale
        self.exponent: Array = 0.0
        self.grid_exponent: Array = 0.0

    def value(self) -> Array:
        """The integrand at all points and times, (n, M)."""
        xp = self.xp
        for v, branch in enumerate(self.shape.branches):
            self._place(branch, self.u[:, v, None])
        for line in self.shape.lines:
            self._multiply(line, *self._wires(2))
        for name, points in self.shape.factors:
            self._multiply_vertex(name, self._wires(points))
        factor = self.factor * xp.exp(self.exponent) * xp.exp(self.grid_exponent)
        return xp.broadcast_to(factor, (self.u.shape[0], self.grid.shape[0]))

    def _wires(self, count: int) -> list[Wire]:
        """The next `count` wires, in the order in which `TimeIntegral.shape_and_wires` gives them."""
        return list(islice(self.wires, count))

    def _place(self, branch: BranchShape, u: Array) -> None:
        """Give the next internal point its time, and the integrand the weight of that choice."""
        if branch.anchors:
            self._place_between(branch, u)
            return
        parents, below = self._wires(1 + branch.others), self._wires(branch.below)
        rank, root = self._wires(2)
        if branch.free:
            self._place_freely(u)
            return
        response = self.propagators[branch.propagator]
        if branch.below:
            self._place_in_trunk(parents, below, rank, u)
        elif branch.others:
            self._place_below_several(response, parents, u)
        elif self.shape.stationary:
            delay, weight = self._delay(response, u, None)
            self.factor = self.factor * weight
            self._append(root, self._pick(self.offset, parents[0]) - delay)
        else:
            start = self.time(parents[0])
            delay, weight = self._delay(response, u, start)
            self.factor = self.factor * weight
            self._append(None, start - delay)

    def _place_freely(self, u: Array) -> None:
        """Anywhere within the horizon: the last T before the latest external time, or [0, T] from rest."""
        xp, horizon = self.xp, self.shape.horizon
        first: Array = 0.0
        if self.shape.stationary:
            latest = self.time(0)
            for external in range(1, self.shape.externals):
                latest = xp.maximum(latest, self.time(external))
            first = latest - horizon
        self.factor = self.factor * horizon
        self._append(None, first + horizon * u)

    def _place_in_trunk(self, parents: list[Wire], below: list[Wire], rank: Wire, u: Array) -> None:
        """Density ∝ (t − lowest)^{rank−1}: a chain of exponential responses then has no variance at all."""
        xp = self.xp
        lowest = self.time(below[0])
        for other in below[1:]:
            lowest = xp.maximum(lowest, self.time(other))
        room = xp.maximum(self._latest(parents) - lowest, 0.0)
        scaled = u ** (1.0 / rank)
        self.factor = self.factor * room * (scaled / (u * rank))
        self._append(None, lowest + room * scaled)

    def _place_below_several(self, response: Propagator, parents: list[Wire], u: Array) -> None:
        """Below the earliest of several parents, exponentially with the rates of all responses together."""
        xp, latest = self.xp, self._latest(parents)
        rate = len(parents) * (response.exponential_rate or 1.0)
        reach = 1.0 if self.shape.stationary else -xp.expm1(-rate * latest)
        delay = -xp.log1p(-u * reach) / rate
        self.factor = self.factor * reach / (rate * xp.exp(-rate * delay))
        self._append(None, latest - delay)

    def _place_between(self, branch: BranchShape, u: Array) -> None:
        """Between all the points placed before to which lines lead from here; all lines stay in the integrand."""
        xp = self.xp
        parent, *anchors = self._wires(1 + branch.anchors)
        (root,) = self._wires(1)
        response = self.propagators[branch.propagator]
        first, self.row = self.row, self.row + (1 << branch.anchors)
        floor = None if self.shape.stationary else 0.0
        heavy = response.kernel is not None
        loose = self._loose(first) if branch.loose else None
        below = _BELOW_ALL / len(self.shape.branches) if self.shape.crowded else 0.0
        times = [self._time_or_offset(anchor, branch) for anchor in anchors]
        ramps = Ramps.between(times, self._slope(first), floor, heavy, xp, loose, below)
        if response.delay is None:
            time, weight, _ = ramps.draw(u)
        else:
            time, weight = self._place_by_both(response, ramps, self._time_or_offset(parent, branch), u)
        self.factor = self.factor * weight
        self._append(None if branch.rooted else root, time)

    def _place_by_both(self, response: Propagator, ramps: Ramps, start: Array, u: Array) -> tuple[Array, Array]:
        """Close to its parent a point is placed by the response's own delay, which may know of a singularity there.

        The delay gets the share of the samples that the ramps have in that place; where the response is a function,
        which no ramp need resemble, it gets half of them at least.
        """
        xp = self.xp
        room = None if self.shape.stationary else start
        reach, _ = self._sampled_delay(response, _CLOSE + 0.0 * u, room)
        total = sum(ramps.masses())
        inside = sum(ramps.masses(start - reach)) / xp.where(total > 0, total, 1.0)
        share = xp.maximum(inside, 0.5) if ramps.heavy else inside
        close = u < share
        delay, density = self._sampled_delay(response, xp.where(close, u / share * _CLOSE, 0.5), room)
        rest = xp.where(close, 1.0, 1.0 - share)
        below = inside + (u - share) * (1.0 - inside) / xp.where(rest > 0, rest, 1.0)
        time, weight, _ = ramps.draw(xp.clip(below, 0.0, _BELOW_ONE))
        time = xp.minimum(time, start - reach)
        weight = weight * (1.0 - inside) / xp.where(rest > 0, rest, 1.0)
        return xp.where(close, start - delay, time), xp.where(close, _CLOSE / (density * share), weight)

    def _time_or_offset(self, point: Wire, branch: BranchShape) -> Array:
        """The time of a point, for a point that hangs from none; else its offset from the root of both."""
        return self.time(point) if branch.rooted else self._pick(self.offset, point)

    def _slope(self, first: int) -> Callable[[Array], Array]:
        """Slopes by sets of anchors, from the rows that begin at `first`."""
        slopes, buckets = self.part.slopes, self.part.buckets
        return lambda mask: slopes[first + mask, buckets] + self.xp.zeros((1, 1))

    def _loose(self, first: int) -> Loose:
        """The points that come after this one, by sets of anchors, and the rate of its own response."""
        slopes, buckets = self.part.slopes, self.part.buckets
        return Loose(lambda s: slopes[first + s, -2], lambda s: slopes[first + s, -1], slopes[first, buckets])

    def _latest(self, parents: list[Wire]) -> Array:
        """The latest time that a point's parents leave it."""
        latest = self.time(parents[0])
        for other in parents[1:]:
            latest = self.xp.minimum(latest, self.time(other))
        return latest

    def _append(self, root: Wire | None, value: Array) -> None:
        """A point with a root holds its offset from it, one without is a root itself."""
        number = len(self.root)
        self.root.append(number if root is None else root)
        self.offset.append(0.0 if root is None else value)
        self.base.append(value if root is None else 0.0)

    def time(self, point: Wire) -> Array:
        """The absolute time of a point, an array that broadcasts to (n, M)."""
        return self._pick(self.base, self._pick(self.root, point)) + self._pick(self.offset, point)

    def _pick(self, held: list[Array], point: Wire) -> Array:
        """What belongs to a point; under a compiler the point is known only when the code runs."""
        if isinstance(point, int):
            return held[point]
        xp, known = self.xp, self._stacks.get(id(held))
        if known is None or len(known) < len(held):
            shape = np.broadcast_shapes(*(xp.shape(one) for one in held))
            self._stacks[id(held)] = known = xp.stack([xp.broadcast_to(xp.asarray(one), shape) for one in held])
        return known[point]

    def _multiply(self, line: LineShape, end: Wire, start: Wire) -> None:
        """Multiply the integrand by one line; single exponentials are collected into one exponent."""
        xp, propagator = self.xp, self.propagators[line.propagator]
        if line.one_root:
            t, s = self._pick(self.offset, end), self._pick(self.offset, start)
        else:
            t, s = self.time(end), self.time(start)
        if line.response:
            later = t > s
            gap = xp.where(later, t - s, 1.0)
            self.factor = self.factor * xp.where(later, self._line(propagator, s + gap, s), 0.0)
        elif (term := plain_decay(propagator)) is not None:
            self.factor = self.factor * term.amplitude
            exponent = -term.rate * xp.abs(t - s)
            if line.one_root:
                self.exponent = self.exponent + exponent
            else:
                self.grid_exponent = self.grid_exponent + exponent
        else:
            self.factor = self.factor * self._line(propagator, t, s)

    def _multiply_vertex(self, name: str, points: Sequence[Wire]) -> None:
        """Multiply the integrand by a vertex's kernel over the absolute times of its points."""
        kernel, xp = next(v.kernel for v in self.shape.vertices if v.name == name), self.xp
        assert kernel is not None
        times = tuple(self.time(p) for p in points)
        shape = np.broadcast_shapes(*(t.shape for t in times))
        what = f"model {self.shape.model!r}: kernel of vertex {name!r}"
        named = [(f"t{n}", time) for n, time in enumerate(times, 1)]
        parameters = dict(self.shape.parameters)
        self.factor = self.factor * call_kernel(what, lambda *t: kernel(t, parameters, xp), named, shape, xp)

    def _line(self, propagator: Propagator, t: Array, s: Array) -> Array:
        """A line's value at times t and s; what a plugin's kernel returns is checked."""
        if propagator.kernel is None:
            return propagator(t, s, self.xp)
        t, s = self.xp.asarray(t), self.xp.asarray(s)
        what = f"model {self.shape.model!r}: kernel of propagator {propagator.name!r}"
        shape = np.broadcast_shapes(t.shape, s.shape)
        return call_kernel(what, lambda t, s: propagator(t, s, self.xp), [("t", t), ("s", s)], shape, self.xp)

    def _delay(self, response: Propagator, u: Array, parent: Array | None) -> tuple[Array, Array]:
        """Delay for uniform u, and response over density; `parent` is the parent's time, None if stationary."""
        xp, rate = self.xp, response.exponential_rate
        if rate is None:
            delay, density = self._sampled_delay(response, u, parent)
        else:
            reach = 1.0 if parent is None else -xp.expm1(-rate * parent)
            delay = -xp.log1p(-u * reach) / rate
            # Without a dependence on the time itself the response over its density is a number.
            if (term := plain_decay(response)) is not None:
                return delay, term.amplitude * reach / rate
            density = rate * xp.exp(-rate * delay) / xp.maximum(reach, 1e-300)  # 0 at time 0
        # A stationary response depends on the delay alone; from rest it may depend on the time itself.
        end = delay if parent is None else xp.broadcast_to(parent, delay.shape)
        return delay, self._line(response, end, end - delay) / density

    def _sampled_delay(self, response: Propagator, u: Array, parent: Array | None) -> tuple[Array, Array]:
        """The delay and density that a plugin's own `delay` draws, checked."""
        assert response.delay is not None
        xp, sampler = self.xp, response.delay
        room = xp.inf if parent is None else parent
        shape = u.shape if parent is None else np.broadcast_shapes(u.shape, parent.shape)
        what = f"model {self.shape.model!r}: delay of propagator {response.name!r}"

        def both_arrays(u: Array, room: Array) -> Array:
            return xp.stack(xp.broadcast_arrays(*sampler(u, room, dict(response.params), xp)))

        both = call_kernel(what, both_arrays, [("u", u), ("room", room)], (2, *shape), xp, axes=1)
        delay, density = both[0], both[1]
        if xp is np and ((delay < 0) | (delay > room * (1 + 1e-9)) | (density <= 0)).any():
            raise PluginError(f"{what} returned a delay outside (0, room) or a density that is not positive")
        return delay, density


def values_of(parts: Sequence[Part], times: Array, u: Array, xp: ModuleType) -> Array:
    """The integrand at points u for all external times, (n, M), of parts that may place their points differently."""
    if len(parts) == 1:
        (part,) = parts
        return Evaluation(part, times, u, xp).value()
    values = [Evaluation(part, times[np.array(part.columns)], u, xp).value() for part in parts]
    back = np.argsort(np.concatenate([part.columns for part in parts]))
    return xp.concatenate(values, axis=1)[:, back]
