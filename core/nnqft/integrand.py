"""The integrand of a time integral at points of the unit cube, for a whole grid of external times."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from nnqft.errors import PluginError
from nnqft.theory import Array, Propagator

if TYPE_CHECKING:
    from nnqft.diagram import Line
    from nnqft.integral import Branch, TimeIntegral


class Evaluation:
    """One call of an integrand. A time is a base, (1, M) or (n, M), plus an offset, (n, 1) or 0.

    Points with the same base differ by their offsets alone, so in a stationary theory a line between them is
    computed once for the whole grid.
    """

    def __init__(self, integral: TimeIntegral, u: Array, xp: ModuleType) -> None:
        self.integral, self.u, self.xp = integral, u, xp
        grid = xp.asarray(integral.times)
        self.base: list[Array] = [grid[None, :, e] for e in range(grid.shape[1])]
        self.root = list(range(len(self.base)))
        self.offset: list[Array] = [0.0] * len(self.base)
        self.factor: Array = integral.scale
        self.exponent: Array = 0.0
        self.grid_exponent: Array = 0.0

    def value(self) -> Array:
        """The integrand, (n, M)."""
        xp = self.xp
        for v, branch in enumerate(self.integral.branches):
            self._place(branch, self.u[:, v, None])
        for line in self.integral.lines:
            self._multiply(line)
        for name, points in self.integral.factors:
            self._multiply_vertex(name, points)
        factor = self.factor * xp.exp(self.exponent) * xp.exp(self.grid_exponent)
        return xp.broadcast_to(factor, (self.u.shape[0], self.integral.times.shape[0]))

    def _place(self, branch: Branch, u: Array) -> None:
        """Give the next internal point its time, and the integrand the weight of that choice."""
        if branch.parent < 0:
            self._place_freely(u)
            return
        response = self.integral.propagators[branch.propagator]
        parent = branch.parent
        if branch.below:
            self._place_in_trunk(branch, u)
        elif branch.others:
            self._place_below_several(branch, u)
        elif self.integral.theory.stationary:
            delay, weight = self._delay(response, u, None)
            self.factor = self.factor * weight
            self._append(self.root[parent], self.offset[parent] - delay)
        else:
            start = self.time(parent)
            delay, weight = self._delay(response, u, start)
            self.factor = self.factor * weight
            self._append(None, start - delay)

    def _place_freely(self, u: Array) -> None:
        """Anywhere within the horizon: the last T before the latest external time, or [0, T] from rest."""
        xp, theory = self.xp, self.integral.theory
        latest = 0.0 * u
        if theory.stationary:
            for external in range(self.integral.times.shape[1]):
                time = self.time(external)
                latest = time if external == 0 else xp.maximum(latest, time)
            latest = latest - theory.horizon
        self.factor = self.factor * theory.horizon
        self._append(None, latest + theory.horizon * u)

    def _place_in_trunk(self, branch: Branch, u: Array) -> None:
        """Density ∝ (t − lowest)^{rank−1}: a chain of exponential responses then has no variance at all."""
        xp = self.xp
        lowest = self.time(branch.below[0])
        for other in branch.below[1:]:
            lowest = xp.maximum(lowest, self.time(other))
        room = xp.maximum(self._latest(branch) - lowest, 0.0)
        scaled = u ** (1.0 / branch.rank)
        self.factor = self.factor * room * (scaled / (u * branch.rank))
        self._append(None, lowest + room * scaled)

    def _place_below_several(self, branch: Branch, u: Array) -> None:
        """Below the earliest of several parents, exponentially with the rates of all responses together."""
        xp, latest = self.xp, self._latest(branch)
        rate = (1 + len(branch.others)) * (self.integral.propagators[branch.propagator].exponential_rate or 1.0)
        reach = 1.0 if self.integral.theory.stationary else -xp.expm1(-rate * latest)
        delay = -xp.log1p(-u * reach) / rate
        self.factor = self.factor * reach / (rate * xp.exp(-rate * delay))
        self._append(None, latest - delay)

    def _latest(self, branch: Branch) -> Array:
        """The latest time that a point's parents leave it."""
        latest = self.time(branch.parent)
        for other in branch.others:
            latest = self.xp.minimum(latest, self.time(other))
        return latest

    def _append(self, root: int | None, value: Array) -> None:
        """A point with a root holds its offset from it, one without is a root itself."""
        number = len(self.root)
        self.root.append(number if root is None else root)
        self.offset.append(0.0 if root is None else value)
        self.base.append(value if root is None else None)

    def time(self, point: int) -> Array:
        """Absolute time of a point."""
        return self.base[self.root[point]] + self.offset[point]

    def _multiply(self, line: Line) -> None:
        """Multiply the integrand by one line; single exponentials are collected into one exponent."""
        xp, propagator = self.xp, self.integral.propagators[line.propagator]
        one_base = self.integral.theory.stationary and self.root[line.end] == self.root[line.start]
        if one_base:
            t, s = self.offset[line.end], self.offset[line.start]
        else:
            t, s = self.time(line.end), self.time(line.start)
        if line.response:
            later = t > s
            gap = xp.where(later, t - s, 1.0)
            self.factor = self.factor * xp.where(later, self._line(propagator, s + gap, s), 0.0)
        elif len(propagator.terms) == 1 and not propagator.terms[0].early and propagator.kernel is None:
            term = propagator.terms[0]
            self.factor = self.factor * term.amplitude
            exponent = -term.rate * xp.abs(t - s)
            if one_base:
                self.exponent = self.exponent + exponent
            else:
                self.grid_exponent = self.grid_exponent + exponent
        else:
            self.factor = self.factor * self._line(propagator, t, s)

    def _multiply_vertex(self, name: str, points: tuple[int, ...]) -> None:
        """Multiply the integrand by a vertex's kernel over the absolute times of its points."""
        theory = self.integral.theory
        vertex = next(v for v in theory.interactions if v.name == name)
        assert vertex.kernel is not None
        times = tuple(self.time(p) for p in points)
        shape = np.broadcast_shapes(*(t.shape for t in times))
        kernel, xp = vertex.kernel, self.xp
        what = f"model {theory.model!r}: kernel of vertex {name!r}"
        self.factor = self.factor * call_kernel(what, lambda: kernel(times, theory.parameters, xp), shape, xp)

    def _line(self, propagator: Propagator, t: Array, s: Array) -> Array:
        """A line's value; a stranger's kernel is checked."""
        if propagator.kernel is None:
            return propagator(t, s, self.xp)
        t, s = self.xp.asarray(t), self.xp.asarray(s)
        what = f"model {self.integral.theory.model!r}: kernel of propagator {propagator.name!r}"
        shape = np.broadcast_shapes(t.shape, s.shape)
        return call_kernel(what, lambda: propagator(t, s, self.xp), shape, self.xp)

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
        """A stranger's delay and density, checked."""
        assert response.delay is not None
        xp, sampler = self.xp, response.delay
        room = xp.inf if parent is None else parent
        shape = u.shape if parent is None else np.broadcast_shapes(u.shape, parent.shape)
        what = f"model {self.integral.theory.model!r}: delay of propagator {response.name!r}"

        def both_arrays() -> Array:
            return xp.stack(xp.broadcast_arrays(*sampler(u, room, dict(response.params), xp)))

        both = call_kernel(what, both_arrays, (2, *shape), xp)
        delay, density = both[0], both[1]
        if bool((delay < 0).any()) or bool((delay > room * (1 + 1e-9)).any()) or bool((density <= 0).any()):
            raise PluginError(f"{what} returned a delay outside (0, room) or a density that is not positive")
        return delay, density


def call_kernel(what: str, call: Callable[[], Array], shape: tuple[int, ...], xp: ModuleType) -> Array:
    """The kernel's value, or PluginError if it raises, has another shape than its times, or is not finite."""
    try:
        value = xp.asarray(call())
    except Exception as error:  # a stranger's code may raise anything
        raise PluginError(f"{what} raised {type(error).__name__}: {error}") from error
    if value.shape not in ((), shape):
        raise PluginError(f"{what} returned shape {tuple(value.shape)} for times of shape {shape}")
    if not bool(xp.isfinite(value).all()):
        raise PluginError(f"{what} returned a value that is not finite")
    return value
