"""What no completion of a partial diagram can do, so that those which come to nothing are left out early."""

from __future__ import annotations

import numpy as np

from nnqft.graphs.batch import Batch
from nnqft.graphs.layout import SAME_INDEX, SAME_VERTEX, Layout, VertexLayout


def can_end(layout: Layout, batch: Batch, order: int) -> np.ndarray:
    """(B,) bool: False where there are not partners enough for the legs that are free, whatever is still to come.

    Legs of a Wick-ordered slot find none within it, and a response joins no other response.
    """
    fine = np.ones(len(batch), bool)
    if any(vertex.rule.source for vertex in layout.vertices):
        return fine  # which may end every leg
    left = order - batch.order
    free = batch.free.astype(np.int64)
    response = layout.response[batch.kind]
    grown = [_legs(layout, vertex) for vertex in layout.vertices if int(vertex.rule.order) <= order]
    if not layout.joins[np.ix_(layout.response, layout.response)].any():
        net = max((max(0, plain - responses) / step for plain, responses, step in grown), default=0.0)
        fine &= (free * np.where(response, 1, -1)).sum(axis=1) <= np.floor(left * net)
    if layout.wick.any():
        most = max(((plain + responses) / step for plain, responses, step in grown), default=0.0)
        bound = (free.sum(axis=1) + np.floor(left * most)).astype(np.int64)
        own = np.where(layout.wick[batch.kind] & ~response, free, 0)
        # Only where slots are large is there anything to be found: no slot has more than all of them together.
        rows = np.flatnonzero(fine & (2 * own.sum(axis=1) > bound))
        if len(rows):
            fine[rows] = 2 * _of_slots(batch.code[rows], own[rows]).max(axis=1) <= bound[rows]
    return fine


def _legs(layout: Layout, vertex: VertexLayout) -> tuple[int, int, int]:
    """Plain legs, responses and order of a vertex."""
    responses = sum(int(layout.free[kind]) for kind in vertex.kinds if layout.response[kind])
    return sum(int(layout.free[kind]) for kind in vertex.kinds) - responses, responses, int(vertex.rule.order)


def _of_slots(code: np.ndarray, legs: np.ndarray) -> np.ndarray:
    """(B, S): of each socket the sum of some numbers over the sockets of its slot."""
    shared = SAME_VERTEX | SAME_INDEX
    return legs + np.einsum("bst,bt->bs", (code & shared) == shared, legs)


def index_classes(layout: Layout, batch: Batch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Index classes without an external leg, by (B, S) masks of their first sockets.

    A class is known by its first socket, whose entry in `loop` is its own number. Returned are the closed classes, the
    open ones, and the open ones whose free legs are all response legs.
    """
    closed, is_open, unwilling, _ = _classes(layout, batch)
    return closed, is_open, unwilling


def _classes(layout: Layout, batch: Batch) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """See `index_classes`, and those whose free legs are all of one Wick-ordered slot without responses."""
    position = np.arange(batch.kind.shape[1])
    member = batch.loop[:, :, None] == position
    own = (batch.loop == position) & (position < batch.size[:, None]) & layout.indexed[batch.kind]
    own &= ~member[:, : len(layout.externals)].any(axis=1)
    free = batch.free > 0
    is_open = own & (member & free[:, :, None]).any(axis=1)
    response = layout.response[batch.kind]
    unwilling = is_open & ~(member & (free & ~response)[:, :, None]).any(axis=1)
    wick = np.zeros_like(is_open)
    if layout.halves and layout.wick.any():
        legs = batch.free.astype(np.int64)
        of_class = np.einsum("bsc,bs->bc", member, legs)
        # The slot of any leg that is free: if it holds all of them, there is no other.
        whole = np.where(layout.wick[batch.kind] & ~response & free, _of_slots(batch.code, legs), 0)
        wick = is_open & ((member * whole[:, :, None]).max(axis=1) == of_class)
    return own & ~is_open, is_open, unwilling, wick


def least_width(layout: Layout, batch: Batch) -> np.ndarray:
    """Lower bound of the width order of everything that can grow from each row.

    Each open class closes at best on its own, except those with only response legs free: as ⟨z̃ z̃⟩ = 0, each of
    these merges with a class that has other legs, or takes in those of a new vertex, which leaves that vertex's
    own response legs in the same need. A new vertex adds no more classes than powers of 1/N (see `lay_out`).

    Where slots are Wick-ordered, a class whose free legs are all of one slot cannot close on its own either. Of two
    classes in such need one is left at best, so that each is worth a half; new vertices change nothing if `halves`.
    """
    closed, is_open, unwilling, wick = (mask.sum(axis=1) for mask in _classes(layout, batch))
    bound = batch.width - closed - is_open
    if layout.halves:
        return np.maximum(bound + (unwilling if layout.pure_slots else 0), bound + (unwilling + wick + 1) // 2)
    return bound + unwilling if layout.pure_slots else bound
