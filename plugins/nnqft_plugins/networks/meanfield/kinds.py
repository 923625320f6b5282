"""What kind of function an activation is, found by trying it: powers, waves, jumps."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from nnqft import Activation

Function = Callable[[np.ndarray], np.ndarray]


def homogeneous(function: Function, kinks: tuple[float, ...]) -> float | None:
    """k of a kinked f with f(a h) = a^k f(h) for a > 0, such as a root; None for any other."""
    if kinks != (0.0,):
        return None
    h = np.array([-3.7, -1.3, -0.2, 0.2, 1.3, 3.7])
    values, doubled = function(h), function(2 * h)
    size = np.abs(values).max()
    if not size or not np.isfinite(size):
        return None
    k = math.log2(np.abs(doubled).max() / size) if doubled.any() else 0.0
    k = round(k) if abs(k - round(k)) < 1e-12 else k
    far = [1e-6, 1e-3, 2.0, 1e3, 1e6]
    known = all(np.abs(function(a * h) - a**k * values).max() <= 1e-13 * a**k * size for a in far)
    return k if known else None


def wave(function: Function) -> float | None:
    """s with f(x) f(y) = ½[cos(x − y) + s cos(x + y)], −1 for the sine and 1 for the cosine; None for any other."""
    inner = getattr(function, "function", function)
    return {id(np.sin): -1.0, id(np.cos): 1.0}.get(id(inner))


def jumps(activation: Activation) -> bool:
    """Is there a place where φ itself jumps, not only a derivative?"""
    for kink in activation.kinks:
        gap = 1e-9 * max(1.0, abs(kink))
        sides = activation.value(np.array([kink - 2 * gap, kink - gap, kink + gap, kink + 2 * gap]))
        if abs(sides[2] - sides[1]) > 1e-6 + 1e3 * (abs(sides[1] - sides[0]) + abs(sides[3] - sides[2])):
            return True
    return False


def has_slopes(activation: Activation) -> bool:
    """Has φ'² an average? Not where φ jumps, nor where it rises like a square root or faster."""
    for kink in activation.kinks:
        near, far = 1e-12 + 1e-9 * abs(kink), 1e-9 + 1e-6 * abs(kink)
        h = np.array([kink, kink - near, kink - far, kink + near, kink + far])
        at, *sides = activation.value(h).tolist()
        for one, other in (sides[:2], sides[2:]):
            small, large = abs(one - at), abs(other - at)
            if small > 1e-13 * max(abs(at), 1e-100) and math.log(large / small) <= 0.505 * math.log(far / near):
                return False
    return True
