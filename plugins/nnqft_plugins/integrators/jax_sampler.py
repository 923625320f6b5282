"""The same integrand on the same frozen VEGAS map, compiled by JAX: on a GPU where there is one, else on the CPU.

Sampling and summing stay on the device, in blocks, so that a chunk of any size takes the same memory. Code is
compiled once for a shape of integrals (`nnqft.integrals.shape`) and number of times; which diagram it is comes as data.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np

from nnqft import AbstractIntegrator, Estimate, ExecutorError, TimeIntegral
from nnqft.errors import PointError
from nnqft.host import default_host
from nnqft.identity.abstract import UnseenError
from nnqft.identity.walk import Walk
from nnqft.integrals.integrand import values_of
from nnqft.integrals.shape import Part, Shape
from nnqft_plugins.integrators.strata import covariance, strata_of, with_fourth_powers

_BLOCK = 1 << 9
"""Strata that share one key of random numbers: these depend on it, and not on the device."""
_VALUES = {"cpu": 1 << 18, "gpu": 1 << 25}
"""Values of the integrand, samples × times, that are computed at once."""
_COMPILED = 256
"""How many compiled shapes are kept."""
_BELOW_ONE = np.nextafter(1.0, 0.0)


@dataclass(frozen=True)
class JaxIntegrator(AbstractIntegrator):
    """VEGAS with its samples drawn and summed by JAX, in float64.

    The map is learnt by the integrator "vegas". Numbers from a GPU and from a CPU agree to rounding, not to the last
    bit.
    """

    name = "jax"
    summary = "VEGAS samples compiled by JAX, on a GPU where there is one; needs nnqft[gpu]"
    accelerated = "jax"

    def supports(self, integral: TimeIntegral) -> bool | str:
        """True for any integral whose lines and factors have parameters that can be hashed, if JAX is installed."""
        if find_spec("jax") is None:
            return "JAX is not installed; pip install 'nnqft[gpu]'"
        try:
            hash(_statics(integral.parts))
        except TypeError:
            return "the parameters of a line or factor cannot be hashed; make them tuples"
        return True

    def prepare(self, integral: TimeIntegral, seed: np.random.SeedSequence) -> Any:
        """The map that the integrator "vegas" learns."""
        return default_host().get("integrator", "vegas").prepare(integral, seed)

    def sample(
        self, integral: TimeIntegral, state: np.ndarray | None, neval: int, seed: np.random.SeedSequence
    ) -> Estimate:
        """Two samples in each stratum of the frozen map, as "vegas" takes them, from JAX's own random numbers."""
        began = time.process_time()
        if state is None:
            return Estimate.exact(np.array(integral(np.empty((1, 0)))[0]), time.process_time() - began)
        jax = _jax()
        strata = strata_of(neval, integral.dim)
        pairs = int(np.prod(strata))
        # The caller's own precision stays as it is.
        with jax.enable_x64(True):
            most = _VALUES["cpu" if jax.default_backend() == "cpu" else "gpu"] // (2 * _BLOCK * len(integral.times))
            # Small samples would pay for a large block that is mostly empty.
            at_once = max(1, most) if pairs > 64 * _BLOCK else 1
            sampler = _sampler(_statics(integral.parts), len(integral.times), at_once)
            words = seed.generate_state(2, np.uint32)
            data = [(np.array(part.wires, np.int32), part.slopes, part.buckets) for part in integral.parts]
            sums = sampler(data, integral.times, state, np.array(strata), pairs, words)
            (total, size, square), products, fourth, largest = (np.array(each) for each in sums)
            mean = total / (2 * pairs)
            size, square = size / (2 * pairs), square / (2 * pairs) ** 2
            if not (np.isfinite(mean).all() and np.isfinite(products).all()):
                finder = _sampler(_statics(integral.parts), len(integral.times), at_once, find=True)
                _blame(integral, np.array(finder(data, integral.times, state, np.array(strata), pairs, words)))
        cov = covariance(mean, products, fourth, largest, pairs)
        return Estimate.of_chunk(2 * pairs, mean, cov, time.process_time() - began, size, square)


def _blame(integral: TimeIntegral, points: np.ndarray) -> None:
    """PointError on the integrand without a value among these points of its cube, (n, dim), named as numpy finds it."""
    integral(points)  # names the kernel and the times, which compiled code cannot
    raise PointError(f"the integrand is not finite in JAX at u = {points[0].tolist()}, and it is in numpy")


Statics = tuple[tuple[tuple[int, ...], Shape], ...]
"""Of each part of an integral what code is compiled for: its columns of the times, and its shape."""


def _statics(parts: Sequence[Part]) -> Statics:
    return tuple((part.columns, part.shape) for part in parts)


@cache
def _jax() -> ModuleType:
    """The module jax, told to take memory as it needs it: several workers may share a GPU with others."""
    import os

    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    try:
        import jax
    except ImportError as error:
        raise ExecutorError(f"integrator 'jax': {error}; pip install 'nnqft[gpu]' on every worker") from error
    return jax


def _sampler(statics: Statics, times: int, at_once: int, find: bool = False) -> Callable[..., Any]:
    """The code of `_compiled`, compiled again if functions in a shape would not compute the same any more.

    Compiled code holds the globals and attributes that a function read when it was compiled.
    """
    shapes = [shape for _, shape in statics]
    lines = [line for shape in shapes for line in shape.propagators if line.kernel or line.delay]
    functions = [(line.kernel, line.delay, line.params) for line in lines] + [
        (vertex.kernel, shape.parameters) for shape in shapes for vertex in shape.vertices
    ]
    if not functions:
        return _compiled(statics, times, at_once, b"", find)
    try:
        seen = Walk().digest(functions)
    except UnseenError:
        return _compiled.__wrapped__(statics, times, at_once, b"", find)
    return _compiled(statics, times, at_once, seen, find)


@lru_cache(maxsize=_COMPILED)
def _compiled(statics: Statics, times: int, at_once: int, seen: bytes, find: bool) -> Callable[..., Any]:
    """Sums over strata of integrals of these shapes: (3, M) values, sizes, squares; (M, M) products of half
    differences; (M,) their fourth powers in units of the largest, and that.

    Or with `find` the first point of the cube, (1, dim), where a value is not finite. `at_once` blocks of strata are
    computed together. `seen` is the digest of the functions in the shape.
    """
    jax = _jax()
    xp, lax = jax.numpy, jax.lax
    dim = len(statics[0][1].branches)

    def block(number: Any, strata: Any, words: Any) -> Any:
        """Two uniform points in each of the block's strata, (2, strata, dim), and the numbers of these strata."""
        key = jax.random.fold_in(jax.random.wrap_key_data(words), number)
        which = number * _BLOCK + xp.arange(_BLOCK)
        corner = xp.stack(xp.unravel_index(which, [strata[axis] for axis in range(dim)]), axis=1)
        return (corner + jax.random.uniform(key, (2, _BLOCK, dim), xp.float64)) / strata, which

    def mapped(u: Any, grid: Any) -> Any:
        """Points of the cube from those of the map, and the Jacobian, (n, dim) and (n,)."""
        increments = grid.shape[1] - 1
        left = xp.minimum((u * increments).astype(xp.int32), increments - 1)
        axis = xp.arange(dim)
        width = grid[axis, left + 1] - grid[axis, left]
        x = xp.clip(grid[axis, left] + (u * increments - left) * width, np.finfo(float).tiny, _BELOW_ONE)
        return x, xp.prod(width * increments, axis=1)

    def values(x: Any, data: Any, grid_of_times: Any) -> Any:
        """Integrand at points of the cube, (n, M)."""
        parts = [
            Part(columns, shape, [wires[n] for n in range(wires.shape[0])], slopes, buckets)
            for (columns, shape), (wires, slopes, buckets) in zip(statics, data, strict=True)
        ]
        return values_of(parts, grid_of_times, x, xp)

    def sums(data: Any, grid_of_times: Any, grid: Any, strata: Any, pairs: Any, words: Any) -> Any:
        def step(n: Any, so_far: Any) -> Any:
            numbers = n * at_once + xp.arange(at_once)
            u, which = jax.vmap(lambda number: block(number, strata, words))(numbers)
            x, jacobian = mapped(u.reshape(-1, dim), grid)
            weighted = (values(x, data, grid_of_times) * jacobian[:, None]).reshape(at_once, 2, _BLOCK, times)
            # The last block may hold more strata than there are.
            weighted = xp.where((which < pairs)[:, None, :, None], weighted, 0.0)
            gap = ((weighted[:, 0] - weighted[:, 1]) / 2).reshape(-1, times)
            moments, products, fourth, largest = so_far
            these = xp.stack([each.sum(axis=(0, 1, 2)) for each in (weighted, xp.abs(weighted), weighted**2)])
            products += xp.matmul(gap.T, gap, precision="highest")
            return moments + these, products, *with_fourth_powers(fourth, largest, gap, xp)

        steps = (pairs + at_once * _BLOCK - 1) // (at_once * _BLOCK)
        nothing = xp.zeros((3, times)), xp.zeros((times, times)), xp.zeros(times), xp.zeros(times)
        return lax.fori_loop(0, steps, step, nothing)

    def bad_point(data: Any, grid_of_times: Any, grid: Any, strata: Any, pairs: Any, words: Any) -> Any:
        def step(state: Any) -> Any:
            n, _, _ = state
            u, which = jax.vmap(lambda number: block(number, strata, words))(n * at_once + xp.arange(at_once))
            x, _ = mapped(u.reshape(-1, dim), grid)
            used = xp.broadcast_to((which < pairs)[:, None, :], u.shape[:3]).ravel()
            bad = used & ~xp.isfinite(values(x, data, grid_of_times)).all(axis=1)
            return n + 1, bad.any(), x[xp.argmax(bad)][None]

        steps = (pairs + at_once * _BLOCK - 1) // (at_once * _BLOCK)
        start = 0, False, xp.full((1, dim), 0.5)
        return lax.while_loop(lambda state: (state[0] < steps) & ~state[1], step, start)[2]

    compiled: Callable[..., Any] = jax.jit(bad_point if find else sums)
    return compiled
