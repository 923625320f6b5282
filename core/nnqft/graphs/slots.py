"""Index slots of partial diagrams: what a vertex's subtraction takes off is what lines within a slot would make."""

from __future__ import annotations

import numpy as np

from nnqft.graphs.layout import LINES, SAME_INDEX, SAME_VERTEX


def slot_of(codes: np.ndarray, socket: np.ndarray) -> np.ndarray:
    """(B, S) bool: the sockets in the index slot of one socket in each row.

    Parameters
    ----------
    codes : (B, S)
        How the sockets look from that one.
    socket : (B,) integers
    """
    shared = SAME_VERTEX | SAME_INDEX
    return ((codes & shared) == shared) | (np.arange(codes.shape[1]) == socket[:, None])


def is_closed(code: np.ndarray, free: np.ndarray, slot: np.ndarray) -> np.ndarray:
    """(B,) bool: are all legs of the slot of each row joined among themselves? Its average then cancels the diagram.

    Parameters
    ----------
    code : (B, S, S)
    free : (B, S)
        Legs still free.
    slot : (B, S) bool
    """
    lines = (code & LINES) > 0
    leaves = (lines & slot[:, :, None] & ~slot[:, None, :]).any(axis=(1, 2))
    return ~leaves & ~((free > 0) & slot).any(axis=1)
