"""Which diagrams of a set have one time integral."""

from __future__ import annotations

import numpy as np

from nnqft.graphs.canonical import apply_order, canonical_order, row_keys
from nnqft.graphs.diagram_set import DiagramSet
from nnqft.graphs.layout import LINES
from nnqft.integrals.forest import time_integral
from nnqft.integrals.integral import TimeIntegral
from nnqft.rules.parts import Leg
from nnqft.show.watch import tick

_COUNT_BITS = 4
"""Bits that count the lines of one kind between two points."""


def distinct_integrals(diagrams: DiagramSet, times: np.ndarray) -> tuple[list[TimeIntegral], np.ndarray]:
    """The different time integrals among the diagrams, and for each diagram the number of its own.

    Diagrams that differ only in how their indices run have one integral: the (2n+1)!! diagrams of the linear
    network have 2n+1.
    """
    columns = [column_of(leg) for leg in diagrams.layout.externals]
    legs = times[:, columns]
    if not len(diagrams):
        return [], np.zeros(0, np.int64)
    theory = diagrams.theory
    wide = 2 * len(theory.propagators) * _COUNT_BITS > 64
    if theory.timeless or wide or any(v.kernel or v.memory for v in theory.interactions):
        first = inverse = np.arange(len(diagrams))
    else:
        keys = _integral_keys(diagrams)
        _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    integrals: list[TimeIntegral] = []
    for n in first.tolist():
        tick("setting up integrals", len(integrals), len(first), "integrals")
        integrals.append(time_integral(diagrams[n], theory, legs))
    return integrals, inverse


def column_of(leg: Leg) -> int:
    """The column of the times that an external leg sits at."""
    assert isinstance(leg.point, int)
    return leg.point


def _integral_keys(diagrams: DiagramSet) -> np.ndarray:
    """(D,) comparable keys, equal where points and lines look alike once vertices and indices are forgotten."""
    points, codes = _point_codes(diagrams)
    externals = len(diagrams.layout.externals)
    position = np.arange(codes.shape[1])
    # External points keep their order, empty ones their position; internal ones are alike.
    colours = np.where(
        position < externals, position, np.where(position < points[:, None], externals, externals + 1 + position)
    )
    order = canonical_order(colours.astype(np.uint64), codes)
    colours, codes = apply_order(colours, codes, order)
    return row_keys(colours, codes)


def _point_codes(diagrams: DiagramSet) -> tuple[np.ndarray, np.ndarray]:
    """Number of points of each diagram, and (D, P, P) uint64: how many lines of each kind join two points."""
    sockets = diagrams.kinds.shape[1]
    first = diagrams.point_of
    is_first = (first == np.arange(sockets)) & (diagrams.kinds > 0)
    number = np.cumsum(is_first, axis=1) - 1
    point = np.take_along_axis(number, first, axis=1)
    kinds = _line_kinds(diagrams)
    counts = diagrams.codes & LINES
    rows, a, b = np.nonzero(counts)
    # A line inside one point is met twice unless it joins a socket with itself.
    p, q = point[rows, a], point[rows, b]
    once = (p != q) | (a <= b)
    rows, a, b, p, q = rows[once], a[once], b[once], p[once], q[once]
    shift = kinds[diagrams.kinds[rows, a], diagrams.kinds[rows, b]] * _COUNT_BITS
    points = is_first.sum(axis=1)
    codes = np.zeros((len(diagrams), points.max(), points.max()), np.uint64)
    np.add.at(codes, (rows, p, q), counts[rows, a, b].astype(np.uint64) << shift.astype(np.uint64))
    return points, codes


def _line_kinds(diagrams: DiagramSet) -> np.ndarray:
    """(K, K): which kind of line joins two kinds of sockets, seen from the first; both ends of a response differ."""
    layout = diagrams.layout
    seen: dict[tuple[str, bool], int] = {}
    table = np.zeros((len(layout.field_of),) * 2, np.int64)
    for a, one in enumerate(layout.field_of):
        for b, two in enumerate(layout.field_of):
            line = layout.theory.lines.get((one, two))
            if line is not None:
                table[a, b] = seen.setdefault((line.name, one == line.left), len(seen))
    return table
