"""Canonical form and automorphisms of small coloured graphs, a whole batch at a time.

A graph is a row of colours and a matrix of codes: ``code[i, j]`` says how j looks from i (0: no relation).
Colour refinement by 64-bit hashes settles almost every graph: where all hashes differ, sorting by them is a
canonical order, exactly so, because the graphs themselves are compared afterwards and not their hashes.
The symmetric rest goes to nauty (McKay & Piperno, J. Symb. Comput. 60, 94 (2014)) through pynauty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pynauty

Colours = np.ndarray
"""Unsigned integers, shape (B, S)."""
Codes = np.ndarray
"""Unsigned integers, shape (B, S, S); bytes are fastest."""

_ODD = np.uint64(0x9E3779B97F4A7C15)
_BLOCK = 1 << 22
"""Codes refined at once: enough to keep numpy busy, little enough to stay in tens of megabytes."""


def canonical_order(colours: Colours, codes: Codes) -> np.ndarray:
    """Permutation of the nodes of each graph that makes isomorphic graphs equal.

    Parameters
    ----------
    colours : (B, S) unsigned integers
    codes : (B, S, S) unsigned integers

    Returns
    -------
    (B, S) integer array
        Sorted by colour first; ``colours[b, order[b]]`` and ``codes[b][order[b]][:, order[b]]`` are the canonical
        form of graph b.
    """
    order = np.empty(colours.shape, dtype=np.int64)
    step = max(1, _BLOCK // colours.shape[1] ** 2)
    for start in range(0, len(colours), step):
        rows = slice(start, start + step)
        order[rows] = _block_order(colours[rows], codes[rows])
    return order


def automorphism_orbits(colours: Colours, codes: Codes) -> tuple[int, list[int]]:
    """Size of the automorphism group of one graph, and for each node the first node of its orbit."""
    import pynauty  # slow to import; most graphs need none of it

    graph, size = _nauty_graph(colours, codes)
    _, mantissa, exponent, orbits, _ = pynauty.autgrp(graph)
    return round(mantissa * 10**exponent), list(orbits[:size])


def apply_order(colours: Colours, codes: Codes, order: np.ndarray) -> tuple[Colours, Codes]:
    """The graphs with their nodes taken in the given order."""
    rows = np.arange(len(order))
    return (
        np.take_along_axis(colours, order, axis=1),
        codes[rows[:, None, None], order[:, :, None], order[:, None, :]],
    )


def row_keys(*tables: np.ndarray) -> np.ndarray:
    """(B,) opaque keys, equal and ordered as the bytes of the rows of the tables, each of shape (B, …)."""
    parts = [np.ascontiguousarray(table).reshape(len(table), -1).view(np.uint8) for table in tables]
    flat = np.concatenate(parts, axis=1)
    return flat.view(np.dtype((np.void, flat.shape[1]))).ravel()


def _block_order(colours: Colours, codes: Codes) -> np.ndarray:
    """The canonical order of a block of graphs that fits into memory at once.

    Sorting by hashes is canonical where these differ, since a hash depends on colour and neighbourhood and not on the
    node's number. Nodes of equal hash are almost always exchanged by an automorphism, but need not be: nauty decides,
    with the hashes as colours, which spares it what refinement has settled already.
    """
    hashes = _refine(colours, codes)
    order = np.argsort(hashes, axis=1, kind="stable")
    ranked = np.take_along_axis(hashes, order, axis=1)
    for b in np.flatnonzero((ranked[:, 1:] == ranked[:, :-1]).any(axis=1)):
        order[b] = _nauty_order(hashes[b], codes[b])
    # Sorted once more by the colours themselves, stably: the caller's colours then ascend in the canonical form, and
    # empty nodes come last.
    by_colour = np.argsort(np.take_along_axis(colours, order, axis=1), axis=1, kind="stable")
    return np.take_along_axis(order, by_colour, axis=1)


def _mix(x: np.ndarray) -> np.ndarray:
    """The finaliser of splitmix64: a bijection of 64-bit words without visible structure."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _hash_codes(codes: np.ndarray) -> np.ndarray:
    """A word for each code; odd, so that multiplying by it loses no bit, and 0 for code 0, so that it adds nothing."""
    return np.where(codes == 0, np.uint64(0), _mix(codes.astype(np.uint64) * _ODD) | np.uint64(1))


_BYTE_WORDS = _hash_codes(np.arange(256))


def _words(codes: Codes) -> np.ndarray:
    """An odd 64-bit word for each code, 0 for no relation; looked up where the codes are bytes."""
    return _BYTE_WORDS[codes] if codes.dtype == np.uint8 else _hash_codes(codes)


def _refine(colours: Colours, codes: Codes) -> np.ndarray:
    """Hash every node with its neighbourhood until no graph gains another distinct node.

    A node's new hash mixes its own with the sum over its neighbours of (word of the code) × (hash of the neighbour),
    mod 2^64. A sum forgets the order of the neighbours, as it must. A graph leaves the loop when all its nodes differ,
    or when a pass told no more of them apart, as in colour refinement. Two nodes that differ may collide, with a
    probability of about 2^−64; nauty then looks at them, too.
    """
    words = _words(codes)
    own = _words(np.diagonal(codes, axis1=1, axis2=2))
    hashes = _mix(_mix((colours.astype(np.uint64) + np.uint64(1)) * _ODD) + own)
    cells = _distinct(hashes)
    active = np.flatnonzero(cells < colours.shape[1])
    while len(active):
        seen = np.einsum("bij,bj->bi", words[active], _mix(hashes[active]))
        hashes[active] = _mix(hashes[active] * _ODD + seen)
        now = _distinct(hashes[active])
        gained = (now > cells[active]) & (now < colours.shape[1])
        cells[active] = now
        active = active[gained]
    return hashes


def _distinct(hashes: np.ndarray) -> np.ndarray:
    """How many different hashes each row has."""
    ranked = np.sort(hashes, axis=1)
    return 1 + (ranked[:, 1:] != ranked[:, :-1]).sum(axis=1)


def _nauty_order(colours: Colours, codes: Codes) -> np.ndarray:
    """nauty's canonical order of the nodes of one graph; of its layers the first tells the order."""
    import pynauty  # as above

    graph, size = _nauty_graph(colours, codes)
    return np.array(pynauty.canon_label(graph)[:size])


def _nauty_graph(colours: Colours, codes: Codes) -> tuple[pynauty.Graph, int]:
    """Codes become layers: layer l holds the edges whose code's number has bit l, with a ladder between the layers.

    nauty knows colours of nodes and not of edges, and this is how its user's guide ("Variations") colours edges, with
    as many layers as a code's number has bits. Codes are numbered by their rank among those of the graph, which
    isomorphic graphs share, and from 1 where 0, no relation, is not among them.
    """
    import pynauty  # as above

    size = len(colours)
    values, rank = np.unique(codes, return_inverse=True)
    number = rank.reshape(size, size) + (values[0] != 0)
    layers = max(1, int(number.max()).bit_length())
    neighbours: dict[int, list[int]] = {
        node: [node + size] if node + size < layers * size else [] for node in range(layers * size)
    }
    for layer in range(layers):
        sources, targets = np.nonzero(number >> layer & 1)
        for source, target in zip((sources + layer * size).tolist(), (targets + layer * size).tolist(), strict=True):
            neighbours[source].append(target)
    cells: dict[int, set[int]] = {}
    for node, colour in enumerate(colours.tolist()):
        cells.setdefault(colour, set()).add(node)
    ordered = [cells[colour] for colour in sorted(cells)]
    coloring = [{node + layer * size for node in cell} for layer in range(layers) for cell in ordered]
    graph = pynauty.Graph(size * layers, directed=True, adjacency_dict=neighbours, vertex_coloring=coloring)
    return graph, size
