"""From a theory and an observable's legs to the set of its diagrams, within a limit that is checked beforehand."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nnqft.errors import InputError
from nnqft.graphs.batch import Batch
from nnqft.graphs.canonical import row_keys
from nnqft.graphs.census import rounded, take_census
from nnqft.graphs.diagram_set import DiagramSet
from nnqft.graphs.layout import Layout, lay_out
from nnqft.graphs.wick import contract, index_loops
from nnqft.rules.parts import Leg
from nnqft.rules.theory import Theory
from nnqft.show.watch import tick

MAX_DIAGRAMS = 250_000
"""More diagrams than this are not generated unless the user raises the limit."""

_TRIAL = 1 << 22
"""Bytes of codes of the partial diagrams of one step that are simply made, before anything is counted."""
_PARTIAL = 4
"""Partial diagrams of one step, for each diagram of the limit, at which a generation ends."""
_FAR = 5
"""So many times as many partial diagrams are not even begun: their number is known roughly."""
_MEMORY = 1 << 28
"""Bytes of their codes at which it ends, where the limit is the usual one; a higher limit allows more."""


class _TooBigError(Exception):
    """A generation passed the size it was allowed."""


def generate(
    theory: Theory,
    observable: str,
    externals: tuple[Leg, ...],
    *,
    order: int,
    width_order: int | None = None,
    connected: bool = True,
    max_diagrams: int = MAX_DIAGRAMS,
) -> DiagramSet:
    """All diagrams with these external legs up to an order.

    Parameters
    ----------
    theory, observable, externals
        The rules, the name of what is computed, and its legs.
    order, width_order
        Highest order n, and highest width order k (None: all).
    connected
        Only connected diagrams; otherwise each part holds an external leg.
    max_diagrams
        Refuse to generate more. The number is estimated before generating, and memory is bounded in proportion.

    Raises
    ------
    InputError
        If there would be more diagrams than the limit.
    """
    layout = lay_out(theory, externals)
    if len(externals) % 2 and all(sum(leg.power for leg in v.legs) % 2 == 0 for v in theory.interactions):
        return _assemble(layout, observable, [])  # an odd number of legs cannot be joined in pairs
    request = (layout, order, width_order, connected)
    try:
        batches = _run(*request, _Limit(max_diagrams, size=_TRIAL))
    except _TooBigError:
        census = take_census(*request)
        if census.least > max_diagrams:
            raise InputError(_too_many(order, width_order, str(census), max_diagrams)) from None
        if census.partial > _FAR * _PARTIAL * max_diagrams:
            number = f"{rounded(census.partial)} partial"
            raise InputError(_too_many(order, width_order, number, max_diagrams)) from None
        size = _MEMORY * max(1, max_diagrams // MAX_DIAGRAMS)
        try:
            batches = _run(*request, _Limit(max_diagrams, size=size, partial=_PARTIAL * max_diagrams))
        except _TooBigError as error:
            raise InputError(_too_many(order, width_order, str(error), max_diagrams)) from None
    diagrams = _assemble(layout, observable, batches)
    if len(diagrams) > max_diagrams:
        raise InputError(_too_many(order, width_order, f"{len(diagrams):,}", max_diagrams))
    return diagrams


@dataclass
class _Limit:
    """Ends a generation that grows too large."""

    diagrams: int
    size: int
    partial: float = math.inf

    def check(self, finished: int, partial: int, room: int) -> None:
        """_TooBigError, saying how many there are, when there are too many diagrams or partial ones in a step."""
        tick("generating diagrams", finished, None, "diagrams")
        if finished > self.diagrams:
            raise _TooBigError(f"more than {finished:,}")
        if partial > self.partial or partial * room**2 > self.size:
            raise _TooBigError(f"more than {partial:,} partial")


def _run(layout: Layout, order: int, width_order: int | None, connected: bool, limit: _Limit) -> list[Batch]:
    return list(contract(layout, order, width_order, connected, limit.check))


def _too_many(order: int, width_order: int | None, number: str, limit: int) -> str:
    hint = "lower order" if width_order == 0 else "lower order, set a lower width_order"
    return f"order={order} makes {number} diagrams, the limit is {limit:,}; {hint} or raise max_diagrams"


def _assemble(layout: Layout, observable: str, batches: list[Batch]) -> DiagramSet:
    batch = Batch.join(batches) if batches else None
    if batch is None:
        empty = np.zeros(0, np.int64)
        none = np.zeros((0, 1), np.uint8)
        return DiagramSet(layout.theory, observable, layout, empty, empty, none, none[:, :, None], empty, empty + 1.0)
    loops, shares = index_loops(layout, batch)
    widths = batch.width - loops
    rank = np.argsort(row_keys(batch.kind, batch.code), kind="stable")
    rank = rank[np.lexsort((widths[rank], batch.order[rank]))]
    return DiagramSet(
        theory=layout.theory,
        observable=observable,
        layout=layout,
        orders=batch.order[rank],
        widths=widths[rank],
        kinds=batch.kind[rank],
        codes=batch.code[rank],
        ways=batch.count[rank],
        shares=shares[rank],
    )
