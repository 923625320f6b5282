"""Values between the points of uniform grids, and what they tend to as the step goes to 0."""

from __future__ import annotations

import numpy as np

_POINTS = 6


def between(values: np.ndarray, at: np.ndarray, periodic: tuple[bool, ...]) -> np.ndarray:
    """(M,) values at (M, dimensions) places in steps, by polynomials of degree 5 along each axis.

    Parameters
    ----------
    values
        On a grid; an axis that is not periodic ends at its ends, and places beyond are taken there.
    periodic
        For each axis.
    """
    total = np.zeros(len(at))
    nodes, weights = zip(
        *(_along(at[:, n], size, periodic[n]) for n, size in enumerate(values.shape)), strict=True
    )
    for choice in np.ndindex(*(w.shape[1] for w in weights)):
        place = tuple(node[:, i] for node, i in zip(nodes, choice, strict=True))
        share = np.prod([weight[:, i] for weight, i in zip(weights, choice, strict=True)], axis=0)
        total += share * values[place]
    return total


def _along(x: np.ndarray, size: int, periodic: bool) -> tuple[np.ndarray, np.ndarray]:
    """(M, points) indices and Lagrange's weights."""
    count = min(_POINTS, size)
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
    """The limit of values that are polynomials in the square of the step, and how far the last order moved it.

    Parameters
    ----------
    steps
        Falling.
    values
        Of one shape, for each step.
    """
    table = [values[0]]
    moved = np.abs(values[0])
    for n in range(1, len(steps)):
        new = [values[n]]
        for order in range(1, n + 1):
            ratio = (steps[n - order] / steps[n]) ** 2
            new.append(new[-1] + (new[-1] - table[order - 1]) / (ratio - 1))
        moved = np.abs(new[-1] - new[-2])
        table = new
    return table[-1], moved
