"""Calls of plugins' kernels, checked: what is no number is blamed on the kernel, and on the point where it arose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from nnqft.errors import DiagramError, PluginError, PointError, raised, short
from nnqft.rules.parts import Propagator
from nnqft.rules.term import Array, Term

_ENOUGH = 16
"""Points that are enough to tell a kernel that never gives a number from one that fails at a point."""
_WRONG = (Exception, SystemExit)
"""What a plugin's code may raise; it may call ``sys.exit``, too."""


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
        If it raises, or gives no finite real number, at some of the points.
    DiagramError
        If it does so at all of many points.
    PluginError
        If it cannot be compiled.
    """
    names, arrays = [name for name, _ in arguments], [array for _, array in arguments]
    cause: BaseException | None = None
    try:
        value = real_array(function(*arrays), xp)
        fault = _fault(value, shape, axes)
    except _WRONG as error:
        if xp is not np:
            raise PluginError(f"{what} raised {raised(error)}") from error
        value, fault, cause = None, f"raised {raised(error)}", error
    if fault and xp is not np:
        raise PluginError(f"{what} {fault}")
    if fault:
        at = _failing_point(function, arrays, shape[:axes])
        if at is None:
            raise DiagramError(f"{what} {fault}") from cause
        raise PointError(f"{what} {fault} at {_named(names, at)}") from cause
    if xp is np and not np.isfinite(value).all():
        bad = np.argwhere(~np.isfinite(np.broadcast_to(value, shape)))
        message = f"{what} returned a value that is not finite"
        if len(bad) >= _ENOUGH and len(bad) == np.broadcast_to(value, shape).size:
            raise DiagramError(f"{message} at any of {len(bad)} points")
        first = tuple(bad[0][axes:])
        at = [float(np.broadcast_to(array, shape[axes:])[first]) for array in arrays]
        raise PointError(f"{message} at {_named(names, at)}")
    return value


def real_array(value: Any, xp: ModuleType = np) -> Array:
    """What a kernel returned as an array, one of Python's own numbers as floats, nan where numpy masks a value.

    Anything else stays as it is.
    """
    if isinstance(value, np.ma.MaskedArray):
        value = np.ma.filled(value.astype(float), np.nan)
    array = xp.asarray(value)
    if array.dtype == object and value is not None:
        try:
            return array.astype(float)
        except (TypeError, ValueError):
            pass  # it is said to be no number
    return array


def _fault(value: Array, shape: tuple[int, ...], axes: int) -> str:
    """What is wrong with the type or the shape of a kernel's value; empty if nothing is."""
    kind = np.dtype(value.dtype).kind
    if kind == "c":
        return "returned complex numbers; wanted real ones, write xp.real(…)"
    if kind not in "biuf":
        return f"returned {short(value.ravel()[0]) if value.size else 'nothing'}; wanted an array of real numbers"
    if value.shape not in ((), shape):
        return f"returned shape {tuple(value.shape)} for times of shape {shape[axes:]}"
    return ""


def _named(names: Sequence[str], values: Sequence[float]) -> str:
    """``t = 0.7, s = 0.2``, to all digits: the reader will want to call the kernel there."""
    return ", ".join(f"{name} = {value!r}" for name, value in zip(names, values, strict=True))


def _failing_point(function: Callable[..., Array], arrays: Sequence[Array], own: tuple[int, ...]) -> list[float] | None:
    """The first point at which a function fails, by halving; None if it does at all of many, or at none alone."""
    flat = [np.ravel(each) for each in np.broadcast_arrays(*arrays)]

    def fails(start: int, end: int) -> bool:
        try:
            value = real_array(function(*(each[start:end] for each in flat)))
        except _WRONG:
            return True
        return bool(_fault(value, (*own, end - start), len(own)))

    count = len(flat[0])
    some = np.unique(np.linspace(0, count - 1, _ENOUGH).astype(int)).tolist()
    if len(some) == _ENOUGH and all(fails(n, n + 1) for n in some):
        return None
    start, end = 0, count
    while end - start > 1:
        middle = (start + end) // 2
        start, end = (start, middle) if fails(start, middle) else (middle, end)
    return [float(each[start]) for each in flat] if count and fails(start, end) else None


def plain_decay(line: Propagator) -> Term | None:
    """The one term of a line that is no more than e^{−rate·lag}, on both sides; None of any other line."""
    if line.kernel is not None or len(line.terms) != 1:
        return None
    (term,) = line.terms
    return None if term.early or term.oscillates or term.left != "either" else term
