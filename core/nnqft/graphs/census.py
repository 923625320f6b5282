"""How many diagrams there are, estimated without making them.

Partial diagrams are extended as in a generation, but at most a few thousand ways of doing so are followed in each
step, drawn at random and weighted by one over the probability that they were drawn (Knuth, Math. Comput. 29, 121
(1975); D. G. Horvitz and D. J. Thompson, J. Am. Stat. Assoc. 47, 663 (1952)). A finished diagram of weight w, counted
over its Wick contractions, then stands for w |Aut| / Π (symmetry of each vertex) diagrams. The mean is right however
badly is drawn; to draw well, ways are taken in proportion to the number of contractions that they lead to in zero
dimensions, where a sum over numbers of legs is all that it takes. Where nothing was left out the count is exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nnqft.graphs.batch import Batch
from nnqft.graphs.canonical import automorphism_orbits
from nnqft.graphs.layout import LINES, Layout
from nnqft.graphs.wick import Ways, contract, entries_of
from nnqft.show.watch import tick

_WORK = 1 << 19
"""Codes of the ways that are followed in a step: so many take some hundredths of a second."""
_FEWEST, _MOST = 64, 512
_RUNS = 4
"""Independent estimates, whose spread is the error of their mean."""
_NODES = 120
"""Nodes of the average over one Gaussian number, exact up to twice as many legs."""
_FAR = 20
"""One estimate is enough where it is so many times what was wanted to be known."""


@dataclass(frozen=True)
class Census:
    """An estimate of a number of diagrams.

    Attributes
    ----------
    number, error : float
        And its standard error: 0 where it was counted, inf where it is not known.
    partial : float
        Roughly so many partial diagrams, or more, there are in the step that has most of them.
    """

    number: float
    error: float
    partial: float

    @property
    def least(self) -> float:
        """So many there are almost surely."""
        return max(self.number - 3 * self.error, self.number / _FAR)

    def __str__(self) -> str:
        return rounded(self.number, 2 if self.error < self.number / 10 else 1) if self.error else f"{self.number:,.0f}"


def rounded(number: float, digits: int = 1) -> str:
    """``about 440,000``, or ``about 2e+16`` where zeros would have to be counted."""
    known = float(f"{number:.{digits}g}")
    return "about " + (f"{known:,.0f}" if known < 1e9 else f"{known:.{digits - 1}e}")


def take_census(layout: Layout, order: int, width_order: int | None, connected: bool, limit: float) -> Census:
    """The number of diagrams of every order up to `order`, the same answer each time, to be compared with a limit."""
    totals: list[float] = []
    partial = []
    for run in range(_RUNS):
        sieve = _Sieve(layout, order, np.random.default_rng(run))
        found = contract(layout, order, width_order, connected, thin=sieve.thin)
        totals.append(sum(_diagrams_in(layout, batch) for batch in found))
        partial.append(sieve.partial)
        if not sieve.thinned:
            return Census(float(round(totals[0])), 0.0, sieve.partial)
        if not run and max(totals[0], sieve.partial / _FAR) > _FAR * limit:
            break
    spread = float(np.std(totals, ddof=1)) / math.sqrt(_RUNS) if len(totals) > 1 else 0.0
    return Census(float(np.mean(totals)), spread or math.inf, float(np.mean(partial)))


class _Sieve:
    """Leaves out ways at random, so that what is left stands for all of them."""

    def __init__(self, layout: Layout, order: int, rng: np.random.Generator) -> None:
        self.layout, self.order, self.rng = layout, order, rng
        self.future = _Future(layout, order)
        self.entries = entries_of(layout)
        self.symmetry = np.array([float(vertex.symmetry) for vertex, *_ in self.entries])
        self.thinned = False
        self.partial = 0.0

    def thin(self, batch: Batch, chosen: np.ndarray, ways: Ways) -> Ways:
        """The ways that are followed, in units of the symmetry of the vertices that they bring in."""
        tick("counting diagrams")
        self.partial = max(self.partial, float((batch.count * _swaps(batch)).sum()))
        inside, new = ways[0].astype(float), ways[1] / self.symmetry
        most = min(_MOST, max(_FEWEST, _WORK // batch.kind.shape[1] ** 2))
        rows, columns = np.nonzero(np.hstack([inside, new]))
        if len(rows) <= most:
            return inside, new
        self.thinned = True
        table = np.hstack([inside, new])
        value = np.log(batch.count[rows] * table[rows, columns]) + self._prospects(batch, chosen, rows, columns)
        chance = _chances(value, most)
        # Systematic: as many are drawn as their chances add up to, which is less noise than drawing each for itself.
        mark = np.floor(np.cumsum(chance) + self.rng.random())
        drawn = np.diff(mark, prepend=0.0) > 0
        table[rows, columns] = np.where(drawn, table[rows, columns] / chance, 0.0)
        room = inside.shape[1]
        return table[:, :room], table[:, room:]

    def _prospects(self, batch: Batch, chosen: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Logarithm of the number of contractions that each way leads to in zero dimensions."""
        response = self.layout.response[batch.kind]
        room = batch.kind.shape[1]
        free = [(batch.free * ~response).sum(axis=1), (batch.free * response).sum(axis=1)]
        plain, conjugate = (each[rows].astype(np.int64) for each in free)
        own = response[np.arange(len(batch)), chosen][rows]
        order = self.order - batch.order[rows]
        is_new = columns >= room
        other = np.zeros(len(rows), bool)
        other[~is_new] = response[rows[~is_new], columns[~is_new]]
        for column, (vertex, entry, _) in enumerate(self.entries):
            hit = columns == room + column
            other[hit] = self.layout.response[vertex.kinds[entry]]
            both = _legs(self.layout, vertex.kinds)
            plain[hit] += both[0]
            conjugate[hit] += both[1]
            order[hit] -= int(vertex.rule.order)
        conjugate -= own.astype(np.int64) + other
        plain -= (~own).astype(np.int64) + ~other
        return self.future(plain, conjugate, order)


def _legs(layout: Layout, kinds: tuple[int, ...]) -> tuple[int, int]:
    """How many legs of a vertex are no responses, and how many are."""
    conjugate = sum(int(layout.free[kind]) for kind in kinds if layout.response[kind])
    return sum(int(layout.free[kind]) for kind in kinds) - conjugate, conjugate


class _Future:
    """Numbers of contractions in zero dimensions: of free legs and of the vertices that are still to come.

    A field x that is Gaussian joins what is no response, and a response acts as d/dx: E[x^P He_Q(x)] counts the ways to
    join P legs and Q responses, He being Hermite's polynomials. The vertices to come are the terms of the exponential
    of Σ_v g^order x^a y^b / symmetry, where Wick ordering turns x^a into He_a(x). The average is a sum over nodes.
    """

    def __init__(self, layout: Layout, order: int) -> None:
        legs = [(*_legs(layout, v.kinds), int(v.rule.order), v) for v in layout.vertices if not v.rule.source]
        most = len(layout.externals) + int(order * max(((a + b) / step for a, b, step, _ in legs), default=0))
        self.x, weight = np.polynomial.hermite_e.hermegauss(min(most // 2 + 1, _NODES))
        self.weight = weight / weight.sum()
        # A leg is joined or, where there are sources, ended.
        moved = self.moved = self.x + float(len(legs) < len(layout.vertices))
        self.hermite = [np.ones_like(self.x), self.x]
        while len(self.hermite) <= most:
            self.hermite.append(self.x * self.hermite[-1] - (len(self.hermite) - 1) * self.hermite[-2])
        wick = [any(layout.wick[kind] for kind in v.kinds) for *_, v in legs]
        factors = [self.hermite[a] if own else moved**a for (a, *_), own in zip(legs, wick, strict=True)]
        # n E_n = Σ_v order(v) v E_{n − order(v)}, as d/dg exp(V) = V′ exp(V); E_n by powers of y.
        terms: list[dict[int, np.ndarray]] = [{0: np.ones_like(self.x)}]
        for n in range(1, order + 1):
            here: dict[int, np.ndarray] = {}
            for (_, b, step, vertex), factor in zip(legs, factors, strict=True):
                for y, term in (terms[n - step] if step <= n else {}).items():
                    here[y + b] = here.get(y + b, 0.0) + step / n / vertex.symmetry * factor * term
            terms.append(here)
        self.terms = terms
        self.known: dict[tuple[int, int, int], float] = {}

    def __call__(self, plain: np.ndarray, conjugate: np.ndarray, order: np.ndarray) -> np.ndarray:
        """Logarithm of the number for each state, −inf where there is no way."""
        states, inverse = np.unique(np.stack([plain, conjugate, order], axis=1), axis=0, return_inverse=True)
        return np.array([self._of(*state) for state in states.tolist()])[inverse.ravel()]

    def _of(self, plain: int, conjugate: int, order: int) -> float:
        key = plain, conjugate, order
        if key not in self.known:
            free = self.weight * self.moved**plain
            value = sum(
                float((free * self.hermite[conjugate + y] * term).sum())
                for terms in self.terms[: order + 1]
                for y, term in terms.items()
            )
            self.known[key] = math.log(value) if 0 < value < math.inf else -math.inf
        return self.known[key]


def _chances(value: np.ndarray, most: int) -> np.ndarray:
    """Chances in proportion to exp(value), none above 1, that add up to `most`."""
    value = np.where(np.isfinite(value), value, value[np.isfinite(value)].min(initial=0.0) - 600.0)
    # What leads nowhere in zero dimensions keeps a small chance, lest a wrong guide leave it out for good.
    weight = np.exp(np.clip(value - value.max(), -600.0, 0.0))
    weight = weight + 1e-3 * weight.mean()
    chance = np.minimum(1.0, most * weight / weight.sum())
    for _ in range(50):
        sure = chance >= 1.0
        left = most - int(sure.sum())
        if left <= 0 or sure.all():
            break
        again = np.where(sure, 1.0, np.minimum(1.0, left * weight / weight[~sure].sum()))
        if (again == chance).all():
            break
        chance = again
    return chance


def _diagrams_in(layout: Layout, batch: Batch) -> float:
    """How many diagrams finished rows stand for, their counts in units of the vertices' symmetries."""
    used = zip(batch.kind, batch.code, batch.size.tolist(), strict=True)
    groups = [automorphism_orbits(kind[:size], code[:size, :size])[0] for kind, code, size in used]
    return float((batch.count * _swaps(batch) * np.array(groups)).sum())


def _swaps(batch: Batch) -> np.ndarray:
    """(B,) permutations of equal lines and of equal free legs, which change nothing."""
    diagonal = np.arange(batch.kind.shape[1])
    lines = (batch.code & LINES).astype(np.int64)
    within = lines[:, diagonal, diagonal]
    between = _FACTORIAL[np.triu(lines, 1)].prod(axis=(1, 2))
    return between * (_FACTORIAL[within] * 2.0**within * _FACTORIAL[batch.free]).prod(axis=1)


_FACTORIAL = np.array([math.factorial(n) for n in range(LINES + 1)], float)
