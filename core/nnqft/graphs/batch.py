"""Partial diagrams in batches of arrays, and the three ways in which a batch changes."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from nnqft.errors import InputError, short
from nnqft.graphs.layout import LINES, SAME_POINT, Layout, VertexLayout


@dataclass
class Batch:
    """Partial diagrams, one a row, each with room for S sockets.

    Attributes
    ----------
    kind, free : (B, S) uint16, uint8
        Kind of each socket and its legs still free.
    code : (B, S, S) uint8
        Lines between sockets, and what they share.
    loop : (B, S) int16
        Index class: the first socket of those whose indices are equal.
    before : (B, S, S) bool
        before[a, b]: the point of a is that of b, or earlier along response lines.
    size, order : (B,) integers
        Sockets in use; order so far, in units of the theory's smallest step.
    width : (B,) integers
        Power of 1/N of the vertices.
    count : (B,) int64
        Wick contractions, with vertices of a type taken as equal.
    """

    kind: np.ndarray
    free: np.ndarray
    code: np.ndarray
    loop: np.ndarray
    before: np.ndarray
    size: np.ndarray
    order: np.ndarray
    width: np.ndarray
    count: np.ndarray

    def __len__(self) -> int:
        return len(self.kind)

    def take(self, rows: np.ndarray) -> Batch:
        """A batch of these rows alone, copied."""
        return Batch(*(getattr(self, f.name)[rows] for f in fields(self)))

    @staticmethod
    def join(batches: list[Batch]) -> Batch:
        """One batch with the rows of all of them, in their order."""
        return Batch(*(np.concatenate([getattr(b, f.name) for b in batches]) for f in fields(Batch)))


def start_batch(layout: Layout, order: int) -> Batch:
    """A batch of one partial diagram: the external legs, all free, with room for every vertex up to the order.

    All rows of a batch have the same room, that of the largest diagram which may grow from them, so that adding a
    vertex moves nothing. A partial diagram takes about S² bytes.

    Raises
    ------
    InputError
        If the order makes diagrams of more sockets.
    """
    # Sources, of order 0, may end each leg that they join.
    sources = [kind for v in layout.vertices if v.rule.source for kind in v.kinds]
    ended = layout.free * layout.joins[:, sources].any(axis=1)
    sockets = [(len(v.sockets) + int(ended[list(v.kinds)].sum())) / int(v.rule.order)
               for v in layout.vertices if not v.rule.source]  # fmt: skip
    externals = len(layout.externals)
    begun = externals + int(ended[1 : 1 + externals].sum())
    each = max(sockets, default=0)
    if each and order > 250 / each:  # compared so, as the product may be beyond all floats
        raise InputError(f"order={short(order)} makes diagrams of more than the generator's 250 sockets; lower order")
    room = begun + int(order * each)
    if room > 250:
        raise InputError(f"order={order} makes diagrams of {room} sockets, more than the generator's 250; lower order")
    batch = Batch(
        kind=np.zeros((1, room), np.uint16),
        free=np.zeros((1, room), np.uint8),
        code=np.zeros((1, room, room), np.uint8),
        loop=np.arange(room, dtype=np.int16)[None],
        before=np.eye(room, dtype=bool)[None],
        size=np.array([externals]),
        order=np.zeros(1, np.int64),
        width=np.zeros(1, np.int64),
        count=np.ones(1, np.int64),
    )
    batch.kind[0, :externals] = np.arange(1, externals + 1)
    batch.free[0, :externals] = 1
    for a, leg in enumerate(layout.externals):
        batch.loop[0, a] = [other.index for other in layout.externals].index(leg.index)
    return batch


def add_vertex(layout: Layout, batch: Batch, vertex: VertexLayout) -> None:
    """Put a new vertex, all its legs free, behind the sockets of each row."""
    rows = np.arange(len(batch))[:, None]
    sockets = batch.size[:, None] + np.arange(len(vertex.sockets))
    batch.kind[rows, sockets] = vertex.kinds
    batch.free[rows, sockets] = layout.free[list(vertex.kinds)]
    block = rows[:, :, None], sockets[:, :, None], sockets[:, None, :]
    batch.code[block] = vertex.codes
    # Sockets of one point have one time: each is `before` the other, so that causality acts on points, not on sockets.
    batch.before[block] |= (vertex.codes & SAME_POINT) > 0
    slots = [s.index for s in vertex.sockets]
    batch.loop[rows, sockets] = batch.size[:, None] + [slots.index(i) for i in slots]
    batch.size += len(vertex.sockets)
    batch.order += int(vertex.rule.order)
    batch.width += int(vertex.rule.width)


def add_line(layout: Layout, batch: Batch, one: np.ndarray, two: np.ndarray) -> None:
    """Join a free leg of socket `one` to one of socket `two` in each row.

    `before` stays closed under composition: what is earlier than the line's start is then earlier than whatever its
    end is earlier than. So one look-up tells whether a further response would close a loop.
    """
    rows = np.arange(len(batch))
    batch.free[rows, one] -= 1
    batch.free[rows, two] -= 1
    batch.code[rows, one, two] += 1
    batch.code[rows, two, one] += one != two  # a line within a socket is counted once, on the diagonal
    # The count sits in four bits of a byte; one more line would spill into the bits of what the sockets share.
    if ((batch.code[rows, one, two] & LINES) == LINES).any():
        raise InputError(f"more than {LINES - 1} lines join one pair of legs: lower the order")
    # δ_ij: both index classes become one, which goes by the number of `one`'s.
    first, second = batch.loop[rows, one], batch.loop[rows, two]
    np.copyto(batch.loop, first[:, None], where=batch.loop == second[:, None])
    kinds = batch.kind[rows, one], batch.kind[rows, two]
    forward, backward = layout.directed[kinds], layout.directed[kinds[::-1]]
    # A response runs from its z̃ end, earlier, to its h end; a line that is none orders nothing.
    start, end = np.where(forward, one, two), np.where(forward, two, one)
    hit = np.flatnonzero(forward | backward)
    earlier = batch.before[hit, :, start[hit]]
    later = batch.before[hit, end[hit], :]
    batch.before[hit] |= earlier[:, :, None] & later[:, None, :]
