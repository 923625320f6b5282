"""Values between the points of uniform grids, and what they tend to as the step goes to 0."""

from __future__ import annotations

import math

import numpy as np

_POINTS = {1: 10}
"""By the number of axes; else 6."""


_APART = 1e-6
"""Times closer than this are the same."""


def between(values: np.ndarray, at: np.ndarray, periodic: tuple[bool, ...]) -> np.ndarray:
    """(M,) values at (M, dimensions) places in steps, by polynomials of degree 9, of several axes of degree 5 each.

    Parameters
    ----------
    values
        On a grid; an axis that is not periodic ends at its ends, and places beyond are taken there.
    periodic
        For each axis.
    """
    total = np.zeros(len(at))
    count = _POINTS.get(values.ndim, 6)
    nodes, weights = zip(
        *(_along(at[:, n], size, periodic[n], count) for n, size in enumerate(values.shape)), strict=True
    )
    for choice in np.ndindex(*(w.shape[1] for w in weights)):
        place = tuple(node[:, i] for node, i in zip(nodes, choice, strict=True))
        share = np.prod([weight[:, i] for weight, i in zip(weights, choice, strict=True)], axis=0)
        total += share * values[place]
    return total


def _along(x: np.ndarray, size: int, periodic: bool, most: int) -> tuple[np.ndarray, np.ndarray]:
    """(M, points) indices and Lagrange's weights."""
    count = min(most, size)
    if not periodic:
        x = np.clip(x, 0.0, size - 1.0)
    start = np.floor(x).astype(int) - (count // 2 - 1)
    if not periodic:
        start = np.clip(start, 0, size - count)
    offset = (x - start)[:, None]
    weights = np.ones((len(x), count))
    for i in range(count):
        for j in range(count):
            if j != i:
                weights[:, i] *= (offset[:, 0] - j) / (i - j)
    return (start[:, None] + np.arange(count)) % size, weights


def to_zero(steps: list[float], values: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The limit of values that err as step², step³, step⁴ …, and how far the last of these orders moved it.

    Trapezoids leave even powers; lines on which a response begins meet where times coincide, and give odd ones, too.

    Parameters
    ----------
    steps
        All different.
    values
        Of one shape, for each step.
    """
    limits = [np.tensordot(_weights_at_zero(steps[:n]), values[:n], axes=1) for n in (len(steps) - 1, len(steps)) if n]
    return limits[-1], np.abs(limits[-1] - limits[0]) if len(limits) > 1 else np.abs(limits[0])


def _weights_at_zero(steps: list[float]) -> np.ndarray:
    powers = [0, *range(2, len(steps) + 1)]
    matrix = (np.array(steps) / steps[0])[:, None] ** np.array(powers)
    return np.linalg.solve(matrix.T, np.eye(len(steps))[0])


def tail_of(values: list[np.ndarray]) -> np.ndarray:
    """What follows the last of a sequence whose changes fall as a geometric series does."""
    if len(values) < 2:
        return np.zeros_like(values[0])
    last = values[-1] - values[-2]
    if len(values) < 3:
        return last
    before = values[-2] - values[-3]
    ratio = np.divide(last, before, out=np.zeros_like(last), where=np.abs(before) > 1e-300)
    ratio = np.clip(ratio, 0.0, 0.9)
    return np.asarray(last * ratio / (1 - ratio))


def steps_through(times: np.ndarray, coarsest: float) -> list[float]:
    """Steps of which all these times are multiples; none if these would be too fine, or there is no such step."""
    measure = 0.0
    for time in times[times > _APART]:
        while time > _APART:  # Euclid
            measure, time = time, measure % time if measure else 0.0
    if not measure:
        return []
    first = math.ceil(measure / (1.3 * coarsest))
    steps = [float(measure) / n for n in range(first, 12 * first) if measure / n > 0.24 * coarsest]
    exact = np.abs(times / measure - np.round(times / measure)).max() < 1e-6
    return steps[:6] if len(steps) > 2 and exact else []
