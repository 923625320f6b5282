"""From a theory and an observable's legs to the set of its diagrams, within a limit that is checked beforehand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from nnqft.errors import InputError
from nnqft.graphs.batch import Batch
from nnqft.graphs.canonical import row_keys
from nnqft.graphs.diagram_set import DiagramSet
from nnqft.graphs.layout import Layout, lay_out
from nnqft.graphs.wick import contract, index_loops
from nnqft.rules.parts import Leg
from nnqft.rules.theory import Theory

MAX_DIAGRAMS = 250_000
"""More diagrams than this are not generated unless the user raises the limit."""

_CHEAP = 1 << 25
_MEMORY = 1 << 28
"""Bytes of codes of the partial diagrams of one step: what a trial may cost, and what a generation may."""


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
        Refuse to generate more. The number is predicted from the lower orders before generating.

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
        batches = _run(*request, size=_CHEAP)
    except _TooBigError:
        _refuse_if_many(*request, max_diagrams)
        try:
            batches = _run(*request, size=_MEMORY)
        except _TooBigError:
            raise InputError(
                f"order={order} with {len(externals)} external legs needs more than {_MEMORY >> 20} MiB for its"
                " partial diagrams; lower the order, set width_order or ask for fewer legs"
            ) from None
    diagrams = _assemble(layout, observable, batches)
    if len(diagrams) > max_diagrams:
        raise InputError(_too_many(order, width_order, len(diagrams), max_diagrams))
    return diagrams


def _run(layout: Layout, order: int, width_order: int | None, connected: bool, size: int) -> list[Batch]:
    def check(partial: Batch) -> None:
        if partial.code.size > size:
            raise _TooBigError

    return list(contract(layout, order, width_order, connected, check))


def _refuse_if_many(layout: Layout, order: int, width_order: int | None, connected: bool, limit: int) -> None:
    """Count the lower orders as far as that is cheap, continue their growth, refuse if it passes the limit."""
    counts: list[int] = []
    for n in range(order):
        try:
            batches = _run(layout, n, width_order, connected, size=_CHEAP // 16)
        except _TooBigError:
            break
        counts = [sum(int((b.order == m).sum()) for b in batches) for m in range(n + 1)]
    predicted = predict_count(counts, order)
    if predicted > limit:
        raise InputError(_too_many(order, width_order, predicted, limit))


def predict_count(counts: list[int], order: int) -> float:
    """Total number of diagrams up to `order`, from the counts of the first orders.

    The ratio of neighbouring counts is continued as a straight line, which is exact for (2n+1)!! and close for
    the factorial growth of any local theory. Orders without diagrams (φ³ has every other one) are passed over.
    """
    orders = [n for n, c in enumerate(counts) if c > 0]
    known = [float(counts[n]) for n in orders]
    ratios = [b / a for a, b in pairwise(known)]
    slope = max(0.0, ratios[-1] - ratios[-2]) if len(ratios) > 1 else 2.0
    ratio = ratios[-1] if ratios else 3.0
    stride = orders[-1] - orders[-2] if len(orders) > 1 else 1
    total, last = sum(known), known[-1] if known else 1.0
    for _ in range((order - (orders[-1] if orders else 0)) // stride):
        ratio += slope
        last *= ratio
        total += last
        if total > 1e15:
            break
    return total


def _too_many(order: int, width_order: int | None, count: float, limit: int) -> str:
    number = f"{count:,.0f}" if count < 1e9 else f"{count:.1e}"
    hint = "lower order" if width_order == 0 else "lower order, set a lower width_order"
    return f"order={order} makes about {number} diagrams, the limit is {limit:,}; {hint} or raise max_diagrams"


def _assemble(layout: Layout, observable: str, batches: list[Batch]) -> DiagramSet:
    batch = Batch.join(batches) if batches else None
    if batch is None:
        empty = np.zeros(0, np.int64)
        none = np.zeros((0, 1), np.uint8)
        return DiagramSet(layout.theory, observable, layout, empty, empty, none, none[:, :, None], empty)
    widths = batch.width - index_loops(layout, batch)
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
    )
