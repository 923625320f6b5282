"""How many diagrams there are, estimated without making them.

Partial diagrams are extended as in a generation, but at most a few thousand ways of doing so are followed in each
step, drawn at random and weighted by one over the probability that they were drawn (Knuth, Math. Comput. 29, 121
(1975); D. G. Horvitz and D. J. Thompson, J. Am. Stat. Assoc. 47, 663 (1952)). A finished diagram of weight w, counted
over its Wick contractions, then stands for w |Aut| / Π (symmetry of each vertex) diagrams. The mean is right however
badly is drawn; to draw well, ways are taken in proportion to the number of ways in which they can be finished in zero
dimensions (`nnqft.graphs.prospects`). Where nothing was left out the count is exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nnqft.graphs.batch import Batch
from nnqft.graphs.canonical import automorphism_orbits
from nnqft.graphs.layout import LINES, Layout, entries_of
from nnqft.graphs.prospects import Prospects
from nnqft.graphs.wick import Ways, contract
from nnqft.show.watch import tick

_WORK = 1 << 21
"""Codes of the ways that are followed in a run, which decide how long it takes: some tenths of a second."""
_FEWEST, _MOST = 24, 512
"""Ways that are followed in a step."""
_RUNS = 4
"""Independent estimates, whose spread is the error of their mean."""
_STUDENT = 1.2
"""An error from so few of them is taken larger by this, as W. S. Gosset found: Biometrika 6, 1 (1908)."""
_ROUGH = 0.5
"""Relative error from which on only the size of a number is known: rare diagrams of large symmetry bring most of it."""
_LOST = 1e-3
"""So it is, too, where there are so few beside partial ones that most of what was followed came to nothing."""
_ROWS = 16
"""Or where a run found no more diagrams than these, which may agree because all runs miss the same ones."""
_SURE = 20
"""At most so many times too large is an estimate."""


@dataclass(frozen=True)
class Census:
    """An estimate of a number of diagrams.

    Attributes
    ----------
    number, error : float
        And its standard error: 0 where it was counted.
    partial : float
        Roughly so many partial diagrams, or more, there are in the step that has most of them.
    factor : float
        By so much the number may be too small or too large where only its size is known; else 1.
    """

    number: float
    error: float
    partial: float
    factor: float = 1.0

    @property
    def least(self) -> float:
        """So many there are almost surely."""
        return self.number / max(self.factor, _SURE) if self.factor > 1 else self.number - 4 * self.error

    def __str__(self) -> str:
        if self.factor > 1:
            if not self.number:
                return "few or no"
            return f"{rounded(self.number)} (to within a factor of {float(f'{self.factor:.1g}'):,.0f})"
        if not self.error:
            return f"{self.number:,.0f}"
        if self.error < 0.5:
            return rounded(self.number)
        digits = max(1, math.floor(math.log10(self.number)) - math.floor(math.log10(self.error)) + 1)
        return f"{rounded(self.number, digits)} ± {_written(float(f'{self.error:.1g}'), 1)}"


def rounded(number: float, digits: int = 1) -> str:
    """``about 440,000``, or ``about 2e+16`` where zeros would have to be counted."""
    return "about " + _written(float(f"{number:.{digits}g}"), digits)


def _written(number: float, digits: int) -> str:
    return f"{number:,.0f}" if number < 1e9 else f"{number:.{digits - 1}e}"


def take_census(layout: Layout, order: int, width_order: int | None, connected: bool) -> Census:
    """The number of diagrams of every order up to `order`, the same answer each time."""
    prospects = Prospects(layout, order, connected)
    totals: list[float] = []
    partial = []
    rows = 0
    for run in range(_RUNS):
        sieve = _Sieve(layout, prospects, np.random.default_rng(run))
        found = list(contract(layout, order, width_order, connected, thin=sieve.thin))
        rows += sum(len(batch) for batch in found)
        totals.append(sum(_diagrams_in(layout, batch) for batch in found))
        partial.append(sieve.partial)
        if not sieve.thinned:
            return Census(float(round(totals[0])), 0.0, sieve.partial)
    number = float(np.mean(totals))
    error = max(_STUDENT * float(np.std(totals, ddof=1)) / math.sqrt(_RUNS), 1e-3 * number)
    most = float(np.mean(partial))
    if error < _ROUGH * number and number > _LOST * most and rows >= _RUNS * _ROWS:
        return Census(number, error, most)
    # The mean of what is far from normal is most likely too small, and its own error, too.
    spread = math.exp(2 * float(np.std(np.log(np.maximum(totals, 1.0)), ddof=1)))
    return Census(number, error, most, max(3.0, min(spread, 1e6), min(most / max(number, 1.0), 1e12)))


class _Sieve:
    """Leaves out ways at random, so that what is left stands for all of them."""

    def __init__(self, layout: Layout, prospects: Prospects, rng: np.random.Generator) -> None:
        self.layout, self.rng = layout, rng
        self.prospects = prospects
        self.entries = entries_of(layout)
        self.symmetry = np.array([float(vertex.symmetry) for vertex, *_ in self.entries])
        # A line is drawn in each step, and all legs are joined in the end.
        self.steps = 1 + prospects.longest
        self.thinned = False
        self.partial = 0.0

    def thin(self, batch: Batch, chosen: np.ndarray, ways: Ways) -> Ways:
        """The ways that are followed, in units of the symmetry of the vertices that they bring in."""
        tick("counting diagrams")
        self.partial = max(self.partial, float((batch.count * _swaps(batch)).sum()))
        inside, new = ways[0].astype(float), ways[1] / self.symmetry
        most = min(_MOST, max(_FEWEST, _WORK // (self.steps * batch.kind.shape[1] ** 2)))
        rows, columns = np.nonzero(np.hstack([inside, new]))
        if len(rows) <= most:
            return inside, new
        self.thinned = True
        table = np.hstack([inside, new])
        ahead = self.prospects.of(batch, chosen, rows, columns)
        weight = batch.count[rows] * table[rows, columns] * _equal_lines(batch, chosen, rows, columns)
        value = np.log(weight) + np.log(np.maximum(ahead, 1e-300))
        chance = _chances(value, most)
        # Systematic: as many are drawn as their chances add up to, which is less noise than drawing each for itself.
        mark = np.floor(np.cumsum(chance) + self.rng.random())
        drawn = np.diff(mark, prepend=0.0) > 0
        table[rows, columns] = np.where(drawn, table[rows, columns] / chance, 0.0)
        room = inside.shape[1]
        return table[:, :room], table[:, room:]


def _equal_lines(batch: Batch, chosen: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Permutations of equal lines after each way: what is drawn is to be a diagram, not a contraction.

    A diagram with many such has few contractions, and would be found too rarely.
    """
    value = _swaps(batch, free=False)[rows]
    at = np.flatnonzero(columns < batch.kind.shape[1])
    lines = batch.code[rows[at], chosen[rows[at]], columns[at]] & LINES
    value[at] *= (1.0 + lines) * np.where(chosen[rows[at]] == columns[at], 2.0, 1.0)
    return value


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


def _swaps(batch: Batch, *, free: bool = True) -> np.ndarray:
    """(B,) permutations of equal lines and, unless told otherwise, of equal free legs, which change nothing."""
    diagonal = np.arange(batch.kind.shape[1])
    lines = (batch.code & LINES).astype(np.int64)
    within = lines[:, diagonal, diagonal]
    between = _FACTORIAL[np.triu(lines, 1)].prod(axis=(1, 2))
    own = _FACTORIAL[within] * 2.0**within
    return between * (own * _FACTORIAL[batch.free] if free else own).prod(axis=1)


_FACTORIAL = np.array([math.factorial(min(n, 170)) for n in range(256)], float)
