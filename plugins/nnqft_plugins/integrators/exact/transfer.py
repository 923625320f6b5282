"""The linear system of an exact integral, for many integrals at once. See integrator.py for the equations."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from nnqft import Line, Propagator
from nnqft.show.watch import tick
from nnqft_plugins.integrators.exact.states import Ideals
from nnqft_plugins.integrators.exact.terms import Piece, pieces_of

TURNS = 4
"""How much faster than the largest complex rate the uniformisation steps."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Integrals with one exponential on each line: R rows, of up to L lines.

    Attributes
    ----------
    owner : (R,) integers
        Which integral a row belongs to; its value is the sum over its rows.
    amplitude : (R,) floats, or complex numbers
    end, start : (R, L) integers
        Points of each line.
    ordered, strict : (R, L) bool
        Is the line there only where its start is no later than its end; and where it is earlier?
    rate, early : (R, L) floats, or complex numbers
    """

    owner: np.ndarray
    amplitude: np.ndarray
    end: np.ndarray
    start: np.ndarray
    ordered: np.ndarray
    strict: np.ndarray
    rate: np.ndarray
    early: np.ndarray

    @property
    def oscillate(self) -> bool:
        """Are there complex numbers among them?"""
        return any(np.iscomplexobj(numbers) for numbers in (self.amplitude, self.rate, self.early))


def expand_terms(integrals: Sequence[tuple[Sequence[Line], Mapping[str, Propagator]]]) -> Rows:
    """Multiply out the sums of exponentials on the lines of each integral; short rows are padded with nothing."""
    length = max((len(lines) for lines, _ in integrals), default=0)
    owner, rows = [], []
    for n, (lines, propagators) in enumerate(integrals):
        tick()
        pad = (Piece(1.0, 0.0, 0.0, 0, 0, False, False),) * (length - len(lines))
        for chosen in product(*(pieces_of(line, propagators[line.propagator]) for line in lines)):
            owner.append(n)
            rows.append(chosen + pad)
    shape = (len(rows), length)

    def column(name: str, kind: type | None = None) -> np.ndarray:
        return np.array([[getattr(piece, name) for piece in row] for row in rows], kind).reshape(shape)

    return Rows(
        np.array(owner, int),
        np.array([math.prod(piece.amplitude for piece in row) for row in rows]),
        column("end", int),
        column("start", int),
        column("ordered", bool),
        column("strict", bool),
        _numbers(column("rate")),
        _numbers(column("early")),
    )


def _numbers(values: np.ndarray) -> np.ndarray:
    """Complex numbers as they are, all others as floats."""
    return values if np.iscomplexobj(values) else values.astype(float)


def order_patterns(times: np.ndarray) -> Iterator[tuple[tuple[tuple[int, ...], ...], np.ndarray]]:
    """Time tuples that share an order: groups of equal columns, latest first, and which tuples have it."""
    patterns: dict[tuple[tuple[int, ...], ...], list[int]] = {}
    for n, row in enumerate(times):
        values = sorted(set(row.tolist()), reverse=True)
        groups = tuple(tuple(np.flatnonzero(row == value).tolist()) for value in values)
        patterns.setdefault(groups, []).append(n)
    for groups, members in patterns.items():
        yield groups, np.array(members)


class Transfer:
    """The system of R rows over S states, for one order of the external times.

    Going down from the latest time, group after group of external points joins the points above; a level is the
    interval below a group. All rows go through together as arrays (S, R, …); masks say which states a row may use.
    """

    def __init__(
        self,
        states: Ideals,
        rows: Rows,
        externals: int,
        groups: tuple[tuple[int, ...], ...],
        stationary: bool,
        majorant: bool = False,
    ) -> None:
        self.states, self.rows, self.externals = states, rows, externals
        self.groups, self.stationary = groups, stationary
        # Every number by its size: what is added up on the way, where oscillations cancel.
        self.majorant = majorant

    def integrate(self, times: np.ndarray) -> tuple[np.ndarray, int]:
        """Values at the time tuples, (R, M), and the number of steps that rounding went through."""
        marks = np.array([times[:, group[0]] for group in self.groups])  # (groups, M), latest first
        # F is built from the bottom up: what lies below the lowest time, then interval by interval to the top.
        bottom, steps = self._bottom(marks[-1])
        if len(self.groups) == 1:
            return self.gate(0, bottom)[0], steps
        values = np.empty((len(self.rows.owner), len(times)), bottom.dtype)
        first = self.gate(0, np.ones_like(bottom[:1, :, :1]))[0]
        # A pair (t, s): only F of the empty set is wanted at the top, for all lengths of the interval at once.
        if len(self.groups) == 2:
            bottom = self.gate(1, bottom)
            top, taken = self._top(marks[0] - marks[1], bottom)
            return top * first, steps + taken
        # More intervals have lengths of their own at each time tuple, and nothing is left to share.
        for m in range(len(times)):
            vector = self.gate(len(self.groups) - 1, bottom[:, :, m % bottom.shape[2], None])
            for level in range(len(self.groups) - 2, 0, -1):
                vector, taken = self._down(level, marks[level, m : m + 1] - marks[level + 1, m : m + 1], vector)
                vector = self.gate(level, vector)
                steps = max(steps, taken * len(self.groups))
            top, taken = self._top(marks[0, m : m + 1] - marks[1, m : m + 1], vector)
            values[:, m] = top[:, 0]
            steps = max(steps, taken * len(self.groups))
        return values * first, steps

    def _inside(self, groups: int) -> np.ndarray:
        """(points, S): which points are above, the external ones of the first groups among them."""
        outer = np.zeros((self.externals, self.states.inside.shape[1]), bool)
        outer[[e for group in self.groups[:groups] for e in group]] = True
        return np.concatenate([outer, self.states.inside])

    def rates(self, level: int) -> np.ndarray:
        """E below group `level`, (S, R): rates of the lines across the cut, and of what decays down to the start."""
        inside, rows = self._inside(level + 1), self.rows
        total = np.zeros((inside.shape[1], len(rows.owner)), np.result_type(rows.rate, rows.early))
        for n in range(rows.end.shape[1]):
            # A line decays while one of its ends is above and the other below, at its `early` rate once both are above.
            one, two = inside[rows.end[:, n]], inside[rows.start[:, n]]
            total += ((one ^ two) * rows.rate[:, n, None] + (one & two) * rows.early[:, n, None]).T
        return total

    def allowed(self, level: int) -> list[np.ndarray]:
        """For each point, (sources, R): may the set grow by it, its later neighbours being above?

        This is the θ of the responses, and of terms on one side only: the point at the start is passed only after that
        at the end.
        """
        inside, rows = self._inside(level + 1), self.rows
        allowed = [np.ones((len(source), len(rows.owner)), bool) for source, _ in self.states.grown]
        for n in range(rows.end.shape[1]):
            for p, (source, _) in enumerate(self.states.grown):
                hit = np.flatnonzero(rows.ordered[:, n] & (rows.start[:, n] == self.externals + p))
                if len(hit):
                    allowed[p][:, hit] &= inside[rows.end[hit, n]][:, source].T
        return allowed

    def gate(self, level: int, vector: np.ndarray) -> np.ndarray:
        """Zero where an external z̃ of this group is passed before what it drives; vector (S, R, …).

        The same of terms on one side only, of which those of the later side are there at equal times, too.
        """
        rows = self.rows
        before, here = (self._inside(groups)[:, : len(vector)] for groups in (level, level + 1))
        open_ = np.ones(vector.shape[:2], bool)
        for n in range(rows.end.shape[1]):
            starts = rows.ordered[:, n] & np.isin(rows.start[:, n], self.groups[level])
            for strict, above in ((True, before), (False, here)):
                hit = np.flatnonzero(starts & (rows.strict[:, n] == strict))
                open_[:, hit] &= above[rows.end[hit, n]].T
        return vector * open_[:, :, None]

    def _bottom(self, lowest: np.ndarray) -> tuple[np.ndarray, int]:
        """F below the lowest external time, (S, R, 1 or M)."""
        level = len(self.groups) - 1
        rates = self.rates(level)
        if not self.stationary:
            full = np.zeros((*rates.shape, 1))
            full[-1] = 1.0
            return self._down(level, lowest, full)
        allowed = self.allowed(level)
        value = np.zeros_like(rates)
        value[-1] = 1.0
        # Sets are sorted by size: fill them from the largest down.
        counts = self.states.inside.sum(axis=0)
        for count in range(self.states.points - 1, -1, -1):
            total = np.zeros_like(rates)
            for p, (source, target) in enumerate(self.states.grown):
                pick = counts[source] == count
                total[source[pick]] += allowed[p][pick] * value[target[pick]]
            here = counts == count
            np.divide(total, np.abs(rates) if self.majorant else rates, out=value, where=here[:, None] & (total != 0))
        return value[:, :, None], self.states.points

    def _down(self, level: int, lengths: np.ndarray, vector: np.ndarray) -> tuple[np.ndarray, int]:
        """e^{M·length} vector below group `level`, for each of M lengths: (S, R, 1) → (S, R, M)."""
        rates, allowed = self.rates(level), self.allowed(level)
        scale, stay = self._uniform(rates)
        weights, stay = _poisson(scale * lengths), stay[:, :, None]
        total = np.zeros((*rates.shape, len(lengths)), np.result_type(stay, vector))
        for k in range(len(weights)):
            tick()
            total += weights[k] * vector
            grown = stay * vector
            for p, (source, target) in enumerate(self.states.grown):
                grown[source] += allowed[p][:, :, None] * vector[target] / scale
            vector = grown
        return total, len(weights)

    def _top(self, lengths: np.ndarray, vector: np.ndarray) -> tuple[np.ndarray, int]:
        """The component of the empty set of e^{M·length} vector below the first group, (R, M).

        The row of the exponential is built instead of its action on the vector, so that all lengths share it.
        """
        rates, allowed = self.rates(0), self.allowed(0)
        scale, stay = self._uniform(rates)
        weights = _poisson(scale * lengths)
        row = np.zeros_like(stay)
        row[0] = 1.0
        total = np.zeros((rates.shape[1], len(lengths)), np.result_type(stay, vector))
        for k in range(len(weights)):
            tick()
            total += weights[k] * np.einsum("sr,srm->rm", row, vector)
            grown = stay * row
            for p, (source, target) in enumerate(self.states.grown):
                grown[target] += allowed[p] * row[source] / scale
            row = grown
        return total, len(weights)

    def _uniform(self, rates: np.ndarray) -> tuple[float, np.ndarray]:
        """Λ, and the diagonal of 1 + M/Λ.

        Uniformisation (integrator.py): with Λ the largest rate all entries of 1 + M/Λ are ≥ 0, and nothing cancels.
        Complex ones turn, and |1 − E/Λ| exceeds 1 − Re E/Λ by (Im E/Λ)²/2: a larger Λ leaves less to cancel.
        """
        largest = float(np.abs(rates).max()) or 1.0
        scale = largest if not np.iscomplexobj(rates) else TURNS * largest
        stay = 1.0 - rates / scale
        return scale, np.abs(stay) if self.majorant else stay


def _poisson(means: np.ndarray) -> np.ndarray:
    """(K, M) weights e^{−x} x^k/k!, as far as any of them matters.

    Built outwards from the largest by ratios x/k and normalised, which keeps all digits where logarithms would not.
    """
    largest = float(means.max())
    steps = int(largest + 12 * math.sqrt(largest) + 40)
    weights = np.zeros((steps, len(means)))
    for m, x in enumerate(means.tolist()):
        mode = int(x)
        weights[mode, m] = 1.0
        weights[mode + 1 :, m] = np.cumprod(x / np.arange(mode + 1, steps))
        if mode:
            weights[:mode, m] = np.cumprod(np.arange(mode, 0, -1) / x)[::-1]
    return weights / weights.sum(axis=0)
