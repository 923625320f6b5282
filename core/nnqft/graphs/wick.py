"""Generate diagrams by Wick contraction, leg by leg, merging isomorphic partial diagrams.

The unit is the *socket*: the equal legs of a vertex (same point, same field, same index slot). All partial
diagrams with the same number of lines are held in one batch of arrays and extended together. In each, one free
leg is chosen and joined to every leg it can reach, of the diagram or of a new vertex; the number of ways
multiplies the count. Isomorphic results are merged and their counts added, so that in the end

    count = Π (symmetry of each vertex) / |Aut(diagram)|.

Why this counts right: in each step one leg is fixed, and Wick's theorem sums over its partners. Partners that an
automorphism of the partial diagram exchanges give isomorphic results, which the merge adds up; legs of one socket are
partners of equal result, hence the factor of free legs. Vertices of a type are equal, so a new one is a single choice
and not one for each of those still unused: the 1/(multiplicity!) of the exponential series is in this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from nnqft.graphs.batch import Batch, add_line, add_vertex, start_batch
from nnqft.graphs.bounds import can_end, index_classes, least_width
from nnqft.graphs.canonical import apply_order, canonical_order, row_keys
from nnqft.graphs.layout import SAME_POINT, Layout, entries_of
from nnqft.graphs.slots import is_closed, slot_of

Ways = tuple[np.ndarray, np.ndarray]
"""In how many ways the chosen leg of each row joins each socket of its diagram, and each entry of a new vertex."""

_BLOCK = 1 << 24
"""Bytes of codes that grow from a block of rows before they are merged."""


def contract(
    layout: Layout,
    order: int,
    width_order: int | None,
    connected: bool,
    check: Callable[[int, int, int], None] = lambda finished, partial, room: None,
    thin: Callable[[Batch, np.ndarray, Ways], Ways] = lambda batch, chosen, ways: ways,
) -> Iterator[Batch]:
    """Yield batches of finished diagrams in canonical form, of every order up to `order`.

    Parameters
    ----------
    layout
        From `lay_out`.
    order
        Highest sum of the vertices' orders.
    width_order
        Highest width order k to keep; None keeps all.
    connected
        True: every diagram is connected. False: each of its parts holds an external leg.
    check
        Called many times a step with the numbers of finished and of partial diagrams that are held, and of sockets that
        each has room for; may raise to stop the generation.
    thin
        Called before each step with the partial diagrams, the leg chosen of each and the ways to join it; what it hands
        back is done instead, so that ways may be left out.
    """
    batch = start_batch(layout, order)
    finished = 0
    first = True  # before the first line every diagram is one external leg alone, and nothing is closed yet
    while len(batch):
        chosen = _choose(layout, batch)
        done = chosen < 0
        if done.any():
            finished += int(done.sum())
            check(finished, 0, batch.kind.shape[1])
            yield _finish(batch.take(np.flatnonzero(done)))
        going = ~done
        if connected and not first:
            # Only an external leg is left to choose (they come last): the part that holds the first one is closed.
            going &= chosen >= len(layout.externals)
        first = False
        rows = np.flatnonzero(going)
        batch, chosen = batch.take(rows), chosen[rows]
        ways = thin(batch, chosen, (_ways_inside(layout, batch, chosen), _ways_new(layout, batch, chosen, order)))
        grown: list[Batch] = []
        for block in _blocks(batch, ways):
            some = ways[0][block], ways[1][block]
            extended = _extend(layout, batch.take(block), chosen[block], some, order, width_order)
            if extended is not None:
                grown.append(extended)
                check(finished, sum(map(len, grown)), batch.kind.shape[1])
        if not grown:
            return
        # What blocks have in common is merged last; one block alone is merged already.
        batch = _merge(Batch.join(grown)) if len(grown) > 1 else grown[0]


def _blocks(batch: Batch, ways: Ways) -> Iterator[np.ndarray]:
    """Rows that are extended together: what grows from them before it is merged stays in tens of megabytes."""
    grown = np.cumsum((ways[0] > 0).sum(axis=1) + (ways[1] > 0).sum(axis=1)) * batch.kind.shape[1] ** 2
    start = 0
    while start < len(batch):
        held = grown[start - 1] if start else 0
        end = max(start + 1, int(np.searchsorted(grown, held + _BLOCK, side="right")))
        yield np.arange(start, end)
        start = end


def _extend(
    layout: Layout, batch: Batch, chosen: np.ndarray, ways: Ways, order: int, width_order: int | None
) -> Batch | None:
    """The rows with their chosen legs joined in these ways, merged; None if nothing grows from them."""
    extended = [*_join_inside(layout, batch, chosen, ways[0]), *_join_new(layout, batch, chosen, ways[1])]
    if not extended:
        return None
    grown = Batch.join(extended)
    grown = grown.take(np.flatnonzero(_indices_differ(layout, grown)))
    grown = grown.take(np.flatnonzero(can_end(layout, grown, order)))
    if width_order is not None:
        grown = grown.take(np.flatnonzero(least_width(layout, grown) <= width_order))
    return _merge(grown) if len(grown) else None


def index_loops(layout: Layout, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """Number of index classes of each finished diagram that no external leg ties, and the product of their shares."""
    loops = index_classes(layout, batch)[0]
    return loops.sum(axis=1), np.where(loops, layout.share[batch.kind], 1.0).prod(axis=1)


def _choose(layout: Layout, batch: Batch) -> np.ndarray:
    """The socket to contract next, −1 where none is free: internal ones first, then external ones in order.

    Internal ones first closes the part that was begun before another is opened: then an external leg that is to be
    chosen means that nothing of the vertices is left open, so that connectedness can be told, and every vertex hangs on
    an external leg. Vacuum diagrams, which Z = 1 leaves out, never arise.
    """
    room = batch.kind.shape[1]
    position = np.arange(room)
    rank = np.where(position < len(layout.externals), position + room, position)
    rank = np.where(batch.free > 0, rank, 4 * room)
    chosen = rank.argmin(axis=1)
    return np.where(batch.free.any(axis=1), chosen, -1)


def _ways_inside(layout: Layout, batch: Batch, chosen: np.ndarray) -> np.ndarray:
    """(B, S): in how many ways the chosen leg joins a free leg of each socket of the same diagram."""
    rows = np.arange(len(batch))
    kind = batch.kind[rows, chosen]
    spare = batch.free.astype(np.int64)
    spare[rows, chosen] -= 1  # each free leg of the target is a partner of its own
    possible = (spare > 0) & layout.joins[kind[:, None], batch.kind]
    # No closed response loops, which θ(t1−t2) θ(t2−t1) makes zero: the later end must not lie before the earlier one,
    # nor on it if θ(0) = 0. `before` is reflexive, so that one point alone is refused, too.
    forward = layout.directed[kind[:, None], batch.kind]
    backward = layout.directed[batch.kind, kind[:, None]]
    codes = batch.code[rows, chosen]
    one_point = ((codes & SAME_POINT) > 0) & (layout.theory.theta0 != 0)
    possible &= ~(forward & batch.before[rows, :, chosen] & ~one_point)
    possible &= ~(backward & batch.before[rows, chosen, :] & ~one_point)
    # Wick ordering subtracts every correlator within a slot; a response there is no contraction of it, and stays.
    slot = slot_of(batch.code[rows, chosen], chosen)
    possible &= ~(slot & layout.wick[kind][:, None] & ~(forward | backward))
    return np.where(possible, spare, 0)


def _join_inside(layout: Layout, batch: Batch, chosen: np.ndarray, ways: np.ndarray) -> Iterator[Batch]:
    """Join the chosen leg to each free leg of the same diagram that there are ways to."""
    rows = np.arange(len(batch))
    kind = batch.kind[rows, chosen]
    slot = slot_of(batch.code[rows, chosen], chosen)
    for target in range(batch.kind.shape[1]):
        hit = np.flatnonzero(ways[:, target])
        if len(hit):
            new = batch.take(hit)
            new.count = new.count * ways[hit, target]
            add_line(layout, new, chosen[hit], np.full(len(hit), target))
            within = layout.average[kind[hit]] & slot[hit, target]
            yield (
                new.take(np.flatnonzero(~(within & is_closed(new.code, new.free, slot[hit])))) if within.any() else new
            )


def _ways_new(layout: Layout, batch: Batch, chosen: np.ndarray, order: int) -> np.ndarray:
    """(B, entries of all vertices): in how many ways the chosen leg joins each kind of leg of a new vertex that fits.

    One entry stands for all sockets that the vertex's own automorphisms exchange with it, which are counted.
    """
    kind = batch.kind[np.arange(len(batch)), chosen]
    columns = [
        np.where(
            (batch.order + int(vertex.rule.order) <= order) & layout.joins[kind, vertex.kinds[entry]],
            equivalent * vertex.sockets[entry].power,
            0,
        )
        for vertex, entry, equivalent in entries_of(layout)
    ]
    return np.stack(columns, axis=1) if columns else np.zeros((len(batch), 0), np.int64)


def _join_new(layout: Layout, batch: Batch, chosen: np.ndarray, ways: np.ndarray) -> Iterator[Batch]:
    """Join the chosen leg to each kind of leg of each new vertex that there are ways to."""
    for column, (vertex, entry, _) in enumerate(entries_of(layout)):
        hit = np.flatnonzero(ways[:, column])
        if len(hit):
            new = batch.take(hit)
            first_socket = new.size.copy()
            add_vertex(layout, new, vertex)
            new.count = new.count * ways[hit, column]
            add_line(layout, new, chosen[hit], first_socket + entry)
            yield new


def _indices_differ(layout: Layout, batch: Batch) -> np.ndarray:
    """False where lines have made equal the indices of external legs that are to differ: δ_ij with i ≠ j."""
    differ = np.ones(len(batch), bool)
    for a, one in enumerate(layout.externals):
        for b, two in enumerate(layout.externals[:a]):
            if None not in (one.index, two.index) and one.index != two.index:
                differ &= batch.loop[:, a] != batch.loop[:, b]
    return differ


def _merge(batch: Batch) -> Batch:
    """Merge isomorphic rows, adding their counts."""
    if not len(batch):
        return batch
    _, keys = _canonical_keys(batch)
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    count = np.zeros(len(first), batch.count.dtype)
    np.add.at(count, inverse, batch.count)
    merged = batch.take(first)
    merged.count = count
    return merged


def _finish(batch: Batch) -> Batch:
    """Put finished rows into canonical node order."""
    order, _ = _canonical_keys(batch)
    batch.kind, batch.code = apply_order(batch.kind, batch.code, order)
    # `loop` holds numbers of sockets, so its values move as well as its entries: `where` is the inverse of `order`.
    where = np.argsort(order, axis=1)
    rows = np.arange(len(batch))[:, None]
    batch.loop = np.take_along_axis(where[rows, batch.loop].astype(np.int16), order, axis=1)
    return batch


def _canonical_keys(batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """Canonical node order of each row, and a comparable key of its canonical form.

    Kind, free legs and codes say all that matters of a partial diagram: its order, width, index classes and causal
    order follow from them, so that rows with one key have one future.
    """
    room = batch.kind.shape[1]
    position = np.arange(room)
    colours = batch.kind.astype(np.uint64) << np.uint64(8) | batch.free
    # Empty sockets are told apart, so that they cost the refinement nothing; they sort last, by position.
    empty = position >= batch.size[:, None]
    colours = np.where(empty, (np.uint64(1) << np.uint64(32)) + position.astype(np.uint64), colours)
    order = canonical_order(colours, batch.code)
    kinds, codes = apply_order(colours, batch.code, order)
    return order, row_keys(kinds, codes)
