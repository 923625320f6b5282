"""From coefficients to the engine's sum at one coupling and width, with what its truncation leaves open."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnqft import Estimate, InputError, Series


@dataclass(frozen=True)
class Coefficient:
    """Of σ_w^{2n} N^{−k} at one time: its value, sampling error, and how much the degree of φ matters.

    `degree_error` is the difference between the highest degree computed and the next lower one; nan where only one was.
    """

    value: float
    sdev: float = 0.0
    degree_error: float = 0.0


Table = Mapping[tuple[int, int], Coefficient]
"""By (n, k)."""


def combine(cells: Sequence[Mapping[str, Any]], at: int) -> dict[tuple[int, int], Coefficient]:
    """Each coefficient from the cell of the highest degree that has it, at time number `at`."""
    found: dict[tuple[int, int], dict[int, tuple[float, float]]] = {}
    truncated = False
    for data in cells:
        degree = dict(data["cell"]["parameters"]).get("degree", 0)
        truncated |= degree > 0
        for part in data["parts"]:
            numbers = part["mean"][at], part["sdev"][at]
            found.setdefault((part["order"], part["width"]), {})[degree] = numbers
    table = {}
    for key, by_degree in sorted(found.items()):
        best, *lower = sorted(by_degree, reverse=True)
        value, sdev = by_degree[best]
        error = 0.0 if not truncated or key[0] == 0 else math.nan
        if lower:
            error = abs(value - by_degree[lower[0]][0])
        table[key] = Coefficient(value, sdev, error)
    return {key: _guess_degree_error(table, key) for key in table}


def _guess_degree_error(table: Table, key: tuple[int, int]) -> Coefficient:
    """Where one degree only was computed, the largest relative effect of the degree among the other coefficients."""
    one = table[key]
    if not math.isnan(one.degree_error):
        return one
    known = [c.degree_error / abs(c.value) for c in table.values() if not math.isnan(c.degree_error) and c.value]
    return Coefficient(one.value, one.sdev, max(known, default=1.0) * abs(one.value))


@dataclass(frozen=True)
class Sum:
    """The sum of a truncated series, and its error budget.

    Attributes
    ----------
    value : float
    sampling : float
        Statistical error of the integrals.
    last : float
        Σ_k |term of the highest order| .
    pade : float
        Σ_k |Padé approximant − sum|.
    degree : float
        What the truncation of φ to a polynomial may change.
    """

    value: float
    sampling: float
    last: float
    pade: float
    degree: float

    @property
    def truncation(self) -> float:
        """Of the order: the larger of both estimates."""
        return max(self.last, self.pade)

    @property
    def error(self) -> float:
        """All together; what is no statistical error is added as it is."""
        return self.sampling + self.truncation + self.degree

    def scaled(self, factor: float) -> Sum:
        """In another unit."""
        return Sum(*(factor * x for x in (self.value, self.sampling, self.last, self.pade, self.degree)))


def evaluate(table: Table, coupling: float, N: float, width: int | None = None) -> Sum:
    """Σ a_nk g^n N^{−k}, of one width order only if `width` says so."""
    widths = sorted({k for _, k in table if width in (None, k)})
    value, variance, last, pade, degree = 0.0, 0.0, 0.0, 0.0, 0.0
    for k in widths:
        scale = float(N) ** -k
        terms = {n: c.value * coupling**n * scale for (n, j), c in table.items() if j == k}
        value += math.fsum(terms.values())
        last += abs(terms[max(terms)])
        pade += abs(_pade(terms, coupling) - math.fsum(terms.values()))
        variance += sum((c.sdev * coupling**n * scale) ** 2 for (n, j), c in table.items() if j == k)
        degree += sum(c.degree_error * coupling**n * scale for (n, j), c in table.items() if j == k)
    return Sum(value, math.sqrt(variance), last, pade, degree)


def pade_value(table: Table, coupling: float, N: float, width: int) -> float:
    """The Padé approximant of one width order."""
    scale = float(N) ** -width
    return _pade({n: c.value * coupling**n * scale for (n, k), c in table.items() if k == width}, coupling)


def _pade(terms: Mapping[int, float], coupling: float) -> float:
    """The near-diagonal approximant; the sum itself where there are too few terms for one."""
    plain = math.fsum(terms.values())
    if coupling == 0 or sum(bool(x) for x in terms.values()) < 3:
        return plain
    parts: dict[tuple[int | str, int], Estimate] = {(n, 0): Estimate.exact(np.array([x])) for n, x in terms.items()}
    series = Series(parts, coupling)
    # Where the series is a simple fraction itself, the near-diagonal approximant does not exist but a lower one does.
    for denominator in range((len(terms) - 1) // 2, 0, -1):
        try:
            return series.pade(0, denominator=denominator)
        except (InputError, ZeroDivisionError):
            continue
    return plain
