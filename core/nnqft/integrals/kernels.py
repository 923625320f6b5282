"""Calls of plugins' kernels, checked: what is no number is blamed on the kernel, and on the point where it arose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType

import numpy as np

from nnqft.errors import PluginError, PointError, raised
from nnqft.rules.parts import Propagator
from nnqft.rules.term import Array, Term

_ENOUGH = 16
"""Points that are enough to tell a kernel that never gives a number from one that fails at a point."""


def call_kernel(
    what: str,
    function: Callable[..., Array],
    arguments: Sequence[tuple[str, Array]],
    shape: tuple[int, ...],
    xp: ModuleType,
    axes: int = 0,
) -> Array:
    """The function's value at its arguments, each given with its name, of a shape whose first `axes` are its own.

    Raises
    ------
    PointError
        If it raises, or gives no finite number, at some of the points.
    PluginError
        If it does so at all of many points, or gives another shape than that of its arguments.
    """
    arrays = [array for _, array in arguments]
    try:
        value = xp.asarray(function(*arrays))
    except Exception as error:  # a plugin's code may raise anything
        message = f"{what} raised {raised(error)}"
        at = _raising_point(function, arrays) if xp is np else None
        if at is None:
            raise PluginError(message) from error
        names = [name for name, _ in arguments]
        raise PointError(f"{message} at {_named(names, at)}") from error
    if value.shape not in ((), shape):
        raise PluginError(f"{what} returned shape {tuple(value.shape)} for times of shape {shape[axes:]}")
    if xp is np and not np.isfinite(value).all():
        bad = np.argwhere(~np.isfinite(np.broadcast_to(value, shape)))
        message = f"{what} returned a value that is not finite"
        if len(bad) >= _ENOUGH and len(bad) == np.broadcast_to(value, shape).size:
            raise PluginError(f"{message} at any of {len(bad)} points")
        first = tuple(bad[0][axes:])
        at = [float(np.broadcast_to(array, shape[axes:])[first]) for array in arrays]
        raise PointError(f"{message} at {_named([name for name, _ in arguments], at)}")
    return value


def _named(names: Sequence[str], values: Sequence[float]) -> str:
    """``t = 0.7, s = 0.2``, to all digits: the reader will want to call the kernel there."""
    return ", ".join(f"{name} = {value!r}" for name, value in zip(names, values, strict=True))


def _raising_point(function: Callable[..., Array], arrays: Sequence[Array]) -> list[float] | None:
    """The first point at which a function raises, by halving; None if it raises at all of many, or at none alone."""
    flat = [np.ravel(each) for each in np.broadcast_arrays(*arrays)]

    def raises(start: int, end: int) -> bool:
        try:
            function(*(each[start:end] for each in flat))
        except Exception:  # as above
            return True
        return False

    count = len(flat[0])
    some = np.unique(np.linspace(0, count - 1, _ENOUGH).astype(int)).tolist()
    if len(some) == _ENOUGH and all(raises(n, n + 1) for n in some):
        return None
    start, end = 0, count
    while end - start > 1:
        middle = (start + end) // 2
        start, end = (start, middle) if raises(start, middle) else (middle, end)
    return [float(each[start]) for each in flat] if count and raises(start, end) else None


def plain_decay(line: Propagator) -> Term | None:
    """The one term of a line that is no more than e^{−rate·lag}, on both sides; None of any other line."""
    if line.kernel is not None or len(line.terms) != 1:
        return None
    (term,) = line.terms
    return None if term.early or term.oscillates or term.left != "either" else term
