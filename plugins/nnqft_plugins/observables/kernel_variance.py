"""How much the empirical kernel of one network differs from that of another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nnqft import AbstractDerivedObservable, InputError, Need, Theory
from nnqft_plugins.networks.partitions import partitions

Blocks = tuple[tuple[int, ...], ...]


class KernelVariance(AbstractDerivedObservable):
    """Var[(1/N) Σ_j h_j(t) h_j(s)] over networks and noise, at times (t, s).

    With A_i = h_i(t) h_i(s) it is (1/N)(⟨A_i A_i⟩ − ⟨A_i⟩²) + (1 − 1/N)(⟨A_i A_j⟩ − ⟨A_i⟩⟨A_j⟩), i ≠ j. Both brackets
    are sums over products of cumulants that tie the two A together, so that nothing of order one is left to cancel.
    """

    name = "kernel_variance"
    summary = "Var[(1/N) Σ_j h_j(t) h_j(s)] over networks and noise"

    def needs(self, theory: Theory, times: np.ndarray | None) -> Mapping[str, Need]:
        """Cumulants of legs (t, s, t, s) of one unit and of two."""
        grid = _grid(theory, times)
        needs = {}
        for indices, _ in _patterns(theory):
            for block in {block for blocks in _tying_partitions() for block in blocks}:
                legs = tuple(tuple(float(row[leg % 2]) for leg in block) for row in grid)
                pattern = "".join(indices[leg] for leg in block)
                kind = None if len(set(pattern)) == 1 else pattern
                needs[_name(indices, block)] = Need("cumulant", legs, kind)
        return needs

    def needs_resummed(self, theory: Theory, times: np.ndarray | None) -> Mapping[str, Need]:
        """Its own sum, to the order in 1/N that is asked for and no further."""
        return {"whole": Need(self.name, tuple(map(tuple, _grid(theory, times).tolist())))}

    def derive(self, theory: Theory, times: np.ndarray | None, values: Mapping[str, np.ndarray]) -> Mapping[str, Any]:
        """The variance at each pair of times."""
        if "whole" in values:
            return {
                f"({t:g}, {s:g})": x for (t, s), x in zip(_grid(theory, times).tolist(), values["whole"], strict=True)
            }
        total: Any = 0.0
        for indices, weight in _patterns(theory):
            for blocks in _tying_partitions():
                total = total + weight * np.prod([values[_name(indices, block)] for block in blocks], axis=0)
        return {f"({t:g}, {s:g})": total[m] for m, (t, s) in enumerate(_grid(theory, times).tolist())}


def _grid(theory: Theory, times: np.ndarray | None) -> np.ndarray:
    if times is None and not theory.stationary:
        raise InputError("times are missing, write times of shape (M, 2), such as [(1.0, 1.0)]")
    grid = np.zeros((1, 2)) if times is None else times
    if len(np.unique(grid, axis=0)) < len(grid):
        raise InputError("times hold a pair twice; write each once")
    return grid


def _patterns(theory: Theory) -> list[tuple[str, float]]:
    """Indices of the four legs, and the share of the pairs (i, j) that have them."""
    h = theory.field_named.get("h")
    units = theory.N * (1.0 if h is None else h.share)
    share = 1.0 / units
    return [("iiii", share), ("iijj", 1.0 - share)] if units > 1 else [("iiii", 1.0)]


def _name(indices: str, block: tuple[int, ...]) -> str:
    return f"{indices} {block}"


def _tying_partitions() -> list[Blocks]:
    """Partitions of the four legs with a block that holds legs of both A = (0, 1) and A = (2, 3)."""
    return [p for p in partitions((0, 1, 2, 3)) if any(min(block) < 2 <= max(block) for block in p)]
