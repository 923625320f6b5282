"""In how many ways a partial diagram can be finished in zero dimensions: a guide for who follows some ways at random.

There only numbers of legs matter: how many of what was begun are still free, responses apart, how many external legs
and how many orders are left. The legs are joined one by one, as in a generation, so that what is counted hangs
together. A response joins no other response, and within the index slots of a new vertex Wick ordering and subtracted
averages take off what they do; whatever else times and indices forbid is left out.
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np
from numpy.polynomial import Polynomial

from nnqft.graphs.batch import Batch
from nnqft.graphs.layout import Layout, VertexLayout, entries_of

_SIZE = 1 << 19
"""Numbers in the table at most; what has more orders left is taken as what has the most of the table's."""
_LARGE = 1e280
"""Numbers of ways beyond this are all the same."""


class Prospects:
    """The table of these numbers, and what a step of a generation reads from it.

    ``table[n, m, r, q, p]`` counts the ways from p plain legs and q responses that are free, with m plain external legs
    and r responses among them left to be joined, and vertices of orders that add up to n at most still to come.
    """

    def __init__(self, layout: Layout, order: int, connected: bool) -> None:
        self.layout, self.connected, self.order = layout, connected, order
        self.ends = any(v.rule.source for v in layout.vertices)
        vertices = [v for v in layout.vertices if not v.rule.source and int(v.rule.order) <= order]
        factors = {id(v): _legs(layout, v) for v in vertices}
        self.entries = _alike([_rest(layout, vertex, entry) for vertex, entry, _ in entries_of(layout)])
        outer = layout.response[1 : 1 + len(layout.externals)]
        m, r = int((~outer).sum()), int(outer.sum())
        grown = [(len(factors[id(v)][0]) - 1, factors[id(v)][1]) for v in vertices]
        steps = [int(v.rule.order) for v in vertices]
        known = order
        while known and (known + 1) * (m + 1) * (r + 1) * math.prod(_room(known, grown, steps)) > _SIZE:
            known -= 1
        q, p = _room(known, grown, steps)
        self.longest = (m + r + sum(_room(order, grown, steps))) // 2
        self.table = np.zeros((known + 1, m + 1, r + 1, q, p))
        with np.errstate(over="ignore", invalid="ignore"):
            for n, left, right in product(range(known + 1), range(m + 1), range(r + 1)):
                self._fill(n, left, right, [(step, *factors[id(v)]) for v, step in zip(vertices, steps, strict=True)])

    def _fill(self, n: int, m: int, r: int, vertices: list[tuple[int, np.ndarray, int]]) -> None:
        """One more leg is joined: a plain one where there is any, else a response."""
        table, here = self.table, self.table[n, m, r]
        plain, alone = np.zeros(here.shape), np.zeros(len(here))
        for left, before in ((m, table[n, m - 1, r]), (r, table[n, m, r - 1])):
            if left:
                plain[:, 1:] += left * before[:, :-1]
        if m:
            alone[1:] += m * table[n, m - 1, r, :-1, 0]
        for step, powers, b in vertices:
            if step > n:
                continue
            before = table[n - step, m, r]
            slope = powers[1:] * np.arange(1, len(powers))
            for a in np.flatnonzero(slope).tolist():
                _add_moved(plain[:, 1:], before, b, a, slope[a])
                if a < here.shape[1]:
                    _add_moved(alone[1:, None], before[:, a : a + 1], b, 0, slope[a])
            for a in np.flatnonzero(powers).tolist() if b else ():
                _add_moved(plain[:, 1:], before, b - 1, a, b * powers[a])
        here[:, 0] = np.clip(alone, 0.0, _LARGE)
        here[0, 0] = float(m == r == 0) if self.connected or m == r == 0 else self._next(n, m, r)
        responses = np.arange(1, len(here))
        for k in range(1, here.shape[1]):
            now = plain[:, k]
            now[1:] += responses * here[:-1, k - 1]
            if k > 1:
                now += (k - 1) * here[:, k - 2]
            if self.ends:
                now += here[:, k - 1]
            # Where Wick ordering leaves no way there may be rounding, or less than nothing.
            here[:, k] = np.clip(np.nan_to_num(now, nan=_LARGE, posinf=_LARGE), 0.0, _LARGE)

    def _next(self, n: int, m: int, r: int) -> float:
        """Another part begins, with an external leg."""
        return float(self.table[n, m - 1, r, 0, 1] if m else self.table[n, m, r - 1, 1, 0])

    def of(self, batch: Batch, chosen: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """The number of ways to go on from each way (row, column), for the columns of a step's `Ways` side by side."""
        layout, room = self.layout, batch.kind.shape[1]
        outer = np.arange(room) < len(layout.externals)
        response = layout.response[batch.kind]
        free = batch.free.astype(np.int64)
        parts = ~outer & ~response, ~outer & response, outer & ~response, outer & response
        left = np.array([(free * each).sum(axis=1) for each in parts])
        every = np.arange(len(batch))
        _take_off(left, every, response[every, chosen], outer[chosen])
        order = self.order - batch.order
        value = np.zeros(len(rows))
        at = np.flatnonzero(columns < room)
        inside = left[:, rows[at]]
        _take_off(inside, np.arange(len(at)), response[rows[at], columns[at]], outer[columns[at]])
        p, q, m, r = inside
        value[at] = self._look_up(p, q, m, r, order[rows[at]])
        at = np.flatnonzero(columns >= room)
        value[at] = self._with_new(left, order)[rows[at], columns[at] - room]
        return value

    def _with_new(self, left: np.ndarray, order: np.ndarray) -> np.ndarray:
        """(B, entries): the number for each partial diagram joined by each entry of a new vertex."""
        p, q, m, r = (each[:, None] for each in left)
        value = np.zeros((left.shape[1], sum(len(columns) for *_, columns, _ in self.entries)))
        for step, b, columns, powers in self.entries:
            found = self._look_up(p + np.arange(powers.shape[1]), q + b, m, r, order[:, None] - step)
            value[:, columns] = np.maximum(found @ powers.T, 0.0)
        return value

    def _look_up(self, p: np.ndarray, q: np.ndarray, m: np.ndarray, r: np.ndarray, n: np.ndarray) -> np.ndarray:
        known, _, _, responses, plain = self.table.shape
        return self.table[np.clip(n, 0, known - 1), m, r, np.minimum(q, responses - 1), np.minimum(p, plain - 1)]


def _take_off(left: np.ndarray, at: np.ndarray, response: np.ndarray, outer: np.ndarray) -> None:
    """One leg less, of the kind that it is, in these columns of (plain, response, plain outside, response outside)."""
    left[2 * outer.astype(int) + response, at] -= 1


def _add_moved(to: np.ndarray, table: np.ndarray, down: int, right: int, factor: float) -> None:
    """to[i, j] += factor · table[i + down, j + right], as far as both reach."""
    part = table[down : down + to.shape[0], right : right + to.shape[1]]
    to[: part.shape[0], : part.shape[1]] += factor * part


def _room(order: int, grown: list[tuple[int, int]], steps: list[int]) -> tuple[int, int]:
    """Numbers of responses and of plain legs that may be free at once, 0 included, and one more that is let in."""
    q, p = (max((order * each[k] / step for each, step in zip(grown, steps, strict=True)), default=0) for k in (1, 0))
    return int(q) + 2, int(p) + 2


def _rest(layout: Layout, vertex: VertexLayout, entry: int) -> tuple[int, np.ndarray, int]:
    """What a vertex brings when it is joined by a leg of that socket: its order, powers of x, and responses."""
    powers, responses = _legs(layout, vertex)
    powers = powers * vertex.symmetry  # which the ways to join it are in units of
    if layout.response[vertex.kinds[entry]]:
        return int(vertex.rule.order), powers, responses - 1
    return int(vertex.rule.order), powers[1:] * np.arange(1, len(powers)) / (len(powers) - 1), responses


def _alike(entries: list[tuple[int, np.ndarray, int]]) -> list[tuple[int, int, list[int], np.ndarray]]:
    """Entries of one order and number of responses together: both, which they are, and the powers of each as a row."""
    groups = []
    for step, b in dict.fromkeys((step, b) for step, _, b in entries):
        columns = [n for n, entry in enumerate(entries) if (entry[0], entry[2]) == (step, b)]
        powers = np.zeros((len(columns), max(len(entries[n][1]) for n in columns)))
        for row, n in enumerate(columns):
            powers[row, : len(entries[n][1])] = entries[n][1]
        groups.append((step, b, columns, powers))
    return groups


def _legs(layout: Layout, vertex: VertexLayout) -> tuple[np.ndarray, int]:
    """A vertex as a polynomial in x, whose powers count plain legs, over its symmetry; and its number of responses.

    Of a Wick-ordered slot of a legs it has Hermite's He_a(x) as a factor, of one less its average x^a − ⟨x^a⟩.
    """
    slots: dict[object, list[int]] = {}
    for number, (socket, kind) in enumerate(zip(vertex.sockets, vertex.kinds, strict=True)):
        slots.setdefault(number if socket.index is None else (socket.index,), []).append(kind)
    whole, responses = Polynomial([1.0 / vertex.symmetry]), 0
    for kinds in slots.values():
        a = sum(int(layout.free[kind]) for kind in kinds if not layout.response[kind])
        b = sum(int(layout.free[kind]) for kind in kinds) - a
        responses += b
        factor = np.zeros(a + 1)
        if layout.wick[kinds].any():
            for k in range(a // 2 + 1):
                factor[a - 2 * k] = (-0.5) ** k * math.factorial(a) / math.factorial(k) / math.factorial(a - 2 * k)
        else:
            factor[a] = 1.0
            if layout.average[kinds].any() and a % 2 == 0 and not b:
                factor[0] -= math.prod(range(a - 1, 0, -2))
        whole = whole * Polynomial(factor)
    return whole.coef, responses
