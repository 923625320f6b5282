"""How many points may lie anywhere in a gap between others at no cost: their room is a power of the gap's length.

A chain of n responses with equal rates between two far times costs the same wherever its points are, so that it is
worth length^n / n!. Placed one after the other, each must leave room for those that come after it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from nnqft.graphs.parts import Line

_MOST_ANCHORS = 5
_UNITS = 1 << 20
"""Capacities are whole numbers: this is the largest rate."""
_FORBIDDEN = 1 << 28


def loose_groups(
    lines: Sequence[Line], rates: Mapping[str, float], anchors: list[int], inside: list[int], slack: float
) -> np.ndarray:
    """(2^A, 2) how many groups of points are free between a level's neighbours, by the bit set of anchors above it.

    Column 0 where the first point of `inside` is below the level, 1 where it is above; the others of `inside` are to be
    placed. A group moves from one side of the level to the other at a cost of no more than `slack`, in 1/time.
    """
    found = np.zeros((1 << len(anchors), 2))
    top = max(rates.values())
    if len(inside) == 1 or len(anchors) > _MOST_ANCHORS or top <= 0:
        return found
    # All points above the level are one node, 0, and those below it another, 1.
    free = {v: n for n, v in enumerate(inside[1:], 2)}
    for bits in range(1, 1 << len(anchors)):
        for side in (0, 1):
            node = free | {v: 1 - (bits >> n & 1) for n, v in enumerate(anchors)} | {inside[0]: 1 - side}
            capacity = np.zeros((len(free) + 2,) * 2, np.int32)
            for line in lines:
                end, start = node[line.end], node[line.start]
                units = round(rates[line.propagator] / top * _UNITS)
                capacity[end, start] += units
                capacity[start, end] += _FORBIDDEN if line.response else units
            np.fill_diagonal(capacity, 0)
            found[bits, side] = _groups(capacity, slack / top * _UNITS)
    return found


def _groups(capacity: np.ndarray, slack: float) -> int:
    """The length of the longest chain of least cuts between nodes 0 and 1.

    Least cuts are the sets that no residual capacity leaves (J.-C. Picard and M. Queyranne, Math. Program. Study 13, 8,
    1980): they differ by the strong components that neither hang from the source nor lead to the sink.
    """
    from scipy.sparse import csr_array  # slow to import, and most of nnqft never needs it
    from scipy.sparse.csgraph import connected_components, maximum_flow

    flow = maximum_flow(csr_array(capacity), 0, 1)
    if flow.flow_value >= _FORBIDDEN:
        return 0
    open_ = (capacity - flow.flow.toarray()) > slack
    reach = open_ | np.eye(len(open_), dtype=bool)
    for _ in range(len(open_).bit_length()):
        reach = reach @ reach
    left = np.flatnonzero(~reach[0] & ~reach[:, 1])
    if not len(left):
        return 0
    return int(connected_components(open_[np.ix_(left, left)], connection="strong")[0])
