"""What a truncated series leaves out, estimated from the terms that it has.

The terms are continued: the next one is the last times a ratio that grows as diagrams do, and what follows it is a
geometric series. No estimate of this kind is a bound; docs/truncation.md states the rule, and how often and how
closely it holds where the truth is known.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from nnqft.checks import finite_number, whole_number
from nnqft.integrals.estimate import Estimate
from nnqft.results.continuation import Growth, Term, alone, following, geometric, ratio_of
from nnqft.rules.parts import Leg
from nnqft.rules.theory import Theory

NEGLIGIBLE = 1e-12
"""Part of the largest sum below which that of a degree is nothing but rounding."""
SUSPICIOUS = 1e-3
"""Part of the sum below which terms may grow without a note: they are no part that anybody would miss."""


@dataclass(frozen=True)
class Beyond:
    """What there is beyond the terms of a series.

    Attributes
    ----------
    orders : bool
        Higher orders exist: some vertex has a coupling that is not zero, and the legs can be joined in pairs.
    widths : bool
        Some vertex carries powers of 1/N, so that higher width orders exist.
    degree : int or None
        Where the activation was cut off; None where it was not.
    legs : int
        Most legs of a vertex: what the number of diagrams grows by.
    odd : bool
        Some vertex has an odd number of legs, so that one order may be small beside the next.
    gap : int
        So many orders without diagrams in a row are the end of a series.
    next_width : (M,) tuple or None
        The next width order, summed over all orders, where a model knows it.
    ratio : float
        What each order is likely to bring, where the model knows it, at most 1; used where a single term is known.
    """

    orders: bool = True
    widths: bool = True
    degree: int | None = None
    legs: int = 4
    odd: bool = False
    gap: int = 2
    next_width: tuple[float, ...] | None = None
    ratio: float = 0.0

    @classmethod
    def of(cls, theory: Theory, externals: Sequence[Leg] = ()) -> Beyond:
        """Beyond a series of this theory, for a function with these external legs."""
        vertices = [v for v in theory.interactions if v.coefficient and theory.coupling_value(v.couplings)]
        proper = [v for v in vertices if not v.source]
        # Where every vertex has an even number of legs in each index slot, each unit needs an even number outside.
        forbidden = _has_odd_slot(externals) and not any(_has_odd_slot(v.legs) for v in vertices)
        # Sources end lines and have no order: they are none of the vertices that diagrams grow by.
        legs = [sum(leg.power for leg in v.legs) for v in proper]
        return cls(
            orders=bool(proper) and not forbidden,
            widths=any(v.width for v in vertices),
            degree=theory.degree,
            legs=max(legs, default=4),
            odd=any(n % 2 for n in legs),
            gap=2 * max([int(v.order) for v in proper], default=1),
            ratio=min(theory.ratio, 1.0),
        )

    @classmethod
    def from_data(cls, data: Mapping[str, Any], times: int) -> Beyond:
        """From JSON values; what an older file does not say is what is likely."""
        usual = cls()
        ahead = data.get("next_width")
        if ahead is not None and (len(ahead) != times or not np.isfinite(np.array(ahead, float)).all()):
            raise ValueError(f"next_width is no number for each of {times} times")
        degree = data.get("degree")
        return cls(
            orders=bool(data.get("orders", usual.orders)),
            widths=bool(data.get("widths", usual.widths)),
            degree=None if degree is None else whole_number("degree", degree, 0),
            legs=whole_number("legs", data.get("legs", usual.legs), 1),
            odd=bool(data.get("odd", usual.odd)),
            gap=whole_number("gap", data.get("gap", usual.gap), 1),
            next_width=None if ahead is None else tuple(float(x) for x in ahead),
            ratio=min(max(finite_number("ratio", data.get("ratio", 0.0)), 0.0), 1.0),
        )


def _has_odd_slot(legs: Sequence[Leg]) -> bool:
    counts: Counter[str | None] = Counter()
    for leg in legs:
        counts[leg.index] += leg.power
    return any(n % 2 for n in counts.values())


def left_out(
    series: Mapping[tuple[int | str, int], Estimate],
    N: int,
    order: int | str,
    width_order: int | None,
    beyond: Beyond,
    by_degree: Mapping[int, Estimate] | None = None,
) -> np.ndarray:
    """(M,) estimate of what a series lacks: higher orders, higher width orders and higher powers of the activation.

    Parameters
    ----------
    series
        Contributions by (order, width), couplings and N^{−width} included; orders "resummed" are all orders at once.
    N
        Width, 1 for a theory without index.
    order, width_order
        What was asked for; a part within that is not there has no diagrams.
    beyond
        What there is beyond.
    by_degree
        The sums of the diagrams by the highest degree of their vertices; asked for where the activation was cut off.
    """
    none = np.zeros(len(next(iter(series.values())).mean))
    if not beyond.orders:
        return none
    if isinstance(order, str):
        parts = {k: Term.of(part) for (_, k), part in series.items()}
        return _next_widths(parts, N, beyond) if beyond.widths else none
    assert all(isinstance(n, int) for n, _ in series)
    terms = {(int(n), k): Term.of(part) for (n, k), part in series.items()}
    total = _orders(terms, N, order, beyond)
    if width_order is not None and beyond.widths:
        total = total + _widths(terms, N, order, width_order, beyond)
    if beyond.degree is not None and by_degree:
        total = total + degrees_left_out({d: Term.of(part) for d, part in by_degree.items()})
    alive = np.any([term.size > 0 for term in terms.values()], axis=0)
    return np.where(alive, _without_dips(total), 0.0)


def whole_orders(
    series: Mapping[tuple[int | str, int], Estimate], order: int | str, incomplete: Sequence[int]
) -> tuple[Mapping[tuple[int | str, int], Estimate], int | str]:
    """The part of a series that tells how it goes on, and its order: what is below the first `incomplete` order."""
    if not incomplete or isinstance(order, str):
        return series, order
    below = min(*incomplete, order + 1)
    whole = {key: part for key, part in series.items() if isinstance(key[0], int) and key[0] < below}
    return whole, below - 1


def _without_dips(sizes: np.ndarray) -> np.ndarray:
    """At each time no less than at both of its neighbours: what is left out may change its sign between them."""
    lowest = np.minimum(sizes[:-2], sizes[2:])
    return np.concatenate([sizes[:1], np.maximum(sizes[1:-1], lowest), sizes[-1:]]) if len(sizes) > 2 else sizes


def _orders(terms: Mapping[tuple[int, int], Term], N: int, order: int, beyond: Beyond) -> np.ndarray:
    """What higher orders add: to the sum of all widths, or to each of them, whichever is more."""
    # Where all that orders do is finite width, as about the saddle, order 0 at N → ∞ says nothing of how they fall.
    orders = {k: [n for n, width in terms if width == k] for _, k in terms}
    if orders.get(0) == [0] and any(max(own) for own in orders.values()):
        terms = {key: term for key, term in terms.items() if key[1]}
    whole = following(_by_order(terms), order, Growth(beyond.legs, N, beyond.odd), beyond.gap, beyond.ratio)
    apart = [_one_width(terms, k, order, beyond) for k in sorted({k for _, k in terms})]
    return np.maximum(whole, np.sum(apart, axis=0))


def _by_order(terms: Mapping[tuple[int, int], Term]) -> dict[int, Term]:
    """The terms of all widths together."""
    together: dict[int, Term] = {}
    for (n, _), term in terms.items():
        together[n] = together[n] + term if n in together else term
    return together


def _one_width(terms: Mapping[tuple[int, int], Term], width: int, order: int, beyond: Beyond) -> np.ndarray:
    """What higher orders add to one width; two terms are too few to tell, for widths begin with small ones."""
    own = {n: term for (n, k), term in terms.items() if k == width}
    growth = Growth(beyond.legs, math.inf, beyond.odd)
    return following(own, order, growth, beyond.gap) if len(own) > 2 else 0 * next(iter(terms.values())).size


@cache
def _chains(n: int) -> tuple[int, ...]:
    """Diagrams of n bilocal vertices by width order, the coefficients of (1 + 2x)(1 + 4x)…(1 + 2nx)."""
    counts = [1]
    for m in range(1, n + 1):
        counts = [a + 2 * m * b for a, b in zip([*counts, 0], [0, *counts], strict=True)]
    return tuple(counts)


def _wider(n: int, width: int, N: int) -> float:
    """All width orders above one, at order n, in units of that one: as many as the linear network's."""
    counts = _chains(n)
    return sum(counts[k] / counts[width] / float(N) ** (k - width) for k in range(width + 1, n + 1))


def _widths(terms: Mapping[tuple[int, int], Term], N: int, order: int, width: int, beyond: Beyond) -> np.ndarray:
    """What higher width orders add, within the orders computed and in those that follow."""
    rows = {n: term for (n, k), term in terms.items() if k == width and n}
    if not rows:
        # Nothing is known of 1/N but its power. A width order above all orders leaves no width out.
        first = [alone(term.size) for (n, k), term in terms.items() if k == width == 0]
        return sum(first, 0 * next(iter(terms.values())).size) / N
    after = _one_width(terms, width, order, beyond) * _wider(order + 1, width, N)
    return sum((term.size * _wider(n, width, N) for n, term in rows.items()), after)


def degrees_left_out(sums: Mapping[int, Term]) -> np.ndarray:
    """What higher powers of the activation add, from the sums by degree, each taken for one term."""
    largest = max(float(term.size.max()) for term in sums.values())
    # A degree that symmetry forbids leaves a zero that did not quite cancel.
    some = [term for degree, term in sorted(sums.items()) if degree and term.size.max() > NEGLIGIBLE * largest]
    if not some:
        return np.zeros_like(next(iter(sums.values())).size)
    return following(dict(enumerate(some, 1)), len(some), Growth(2, math.inf), 2)


def _next_widths(parts: Mapping[int, Term], N: int, beyond: Beyond) -> np.ndarray:
    """What higher width orders add where all orders are summed: the next as the model knows it, or continued."""
    last = max(parts)
    if beyond.next_width is None:
        # What begins with finite width is one term as well as what ends with N → ∞.
        one = not any(term.size.any() for width, term in parts.items() if width < last)
        return alone(parts[last].size) / N if one else following(parts, last, Growth(2, math.inf), 2)
    further = np.abs(beyond.next_width)
    return further * (1 + geometric(ratio_of(further, parts[last].size)))


def growing(series: Mapping[tuple[int | str, int], Estimate]) -> tuple[str, ...]:
    """A note if the last order contributes more than the one before it, at the time where it is largest."""
    sums = _by_order({(n, k): Term.of(part) for (n, k), part in series.items() if isinstance(n, int)})
    if len(sums) < 2:
        return ()
    before, last = sorted(sums)[-2:]
    at = int(np.argmax(np.abs(sums[last].value)))
    x, y = sums[last].value[at], sums[before].value[at]
    total = np.abs(sum((term.value for term in sums.values()), np.zeros(1))).max()
    if abs(x) < SUSPICIOUS * total:
        return ()
    if abs(x) - sums[last].error[at] <= np.abs(sums[before].value).max() + sums[before].error.max():
        return ()
    return (f"terms grow instead of falling, order {last} gives {x:.3g}, order {before} {y:.3g}: do not trust the sum",)
