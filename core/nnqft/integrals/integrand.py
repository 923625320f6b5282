"""The integrand of a time integral at points of the unit cube, for a whole grid of external times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from types import ModuleType

import numpy as np

from nnqft.errors import PluginError
from nnqft.integrals.kernels import call_kernel
from nnqft.integrals.shape import BranchShape, LineShape, Shape
from nnqft.rules.parts import Array, Propagator

Wire = int | Array
"""The number of a point, or a traced integer where the integrand is compiled."""


class Evaluation:
    """One call of an integrand. A time is a base, (1, M) or (n, M), plus an offset, (n, 1) or 0.

    Points with the same base differ by their offsets alone, so in a stationary theory a line between them is
    computed once for the whole grid.

    Parameters
    ----------
    shape, wires
        See `TimeIntegral.shape_and_wires`; wires may be traced, so that one compiled integrand serves all integrals of
        a shape.
    times : (M, E) array
    u : (n, dim) array
    xp
        Array namespace; what plugins' functions return is checked under numpy only, since a traced array has no
        values yet.
    """

    def __init__(self, shape: Shape, wires: Sequence[Wire], times: Array, u: Array, xp: ModuleType) -> None:
        self.shape, self.u, self.xp = shape, u, xp
        self.wires: Iterator[Wire] = iter(wires)
        self.propagators = shape.propagator_named
        self.grid = xp.asarray(times)
        self.base: list[Array] = [self.grid[None, :, e] for e in range(shape.externals)]
        self.root: list[Wire] = list(range(shape.externals))
        self.offset: list[Array] = [0.0] * shape.externals
        self._stacks: dict[int, Array] = {}
        self.factor: Array = shape.scale
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
        elif len(propagator.terms) == 1 and not propagator.terms[0].early and propagator.kernel is None:
            term = propagator.terms[0]
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
        vertex = next(v for v in self.shape.vertices if v.name == name)
        assert vertex.kernel is not None
        times = tuple(self.time(p) for p in points)
        shape = np.broadcast_shapes(*(t.shape for t in times))
        kernel, xp = vertex.kernel, self.xp
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
            if response.kernel is None and len(response.terms) == 1:
                return delay, response.terms[0].amplitude * reach / rate
            density = rate * xp.exp(-rate * delay) / reach
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
