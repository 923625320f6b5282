"""From coefficients to the engine's sum at one coupling and width, with what its truncation leaves open."""

from __future__ import annotations

import math
import warnings
from collections.abc import Container, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from scipy.interpolate import pade
from scipy.linalg import LinAlgWarning


@dataclass(frozen=True)
class Coefficient:
    """Of σ_w^{2n} N^{−k} at one time: its value, sampling error, and how much the degree of φ matters.

    `degree_error` is the difference between the highest degree computed and the next lower one; nan where only one was.
    """

    value: float
    sdev: float = 0.0
    degree_error: float = 0.0


Table = Mapping[tuple[int, int], Coefficient]
"""Coefficients by (order n, width order k)."""


def combine(cells: Sequence[Mapping[str, Any]], at: int) -> dict[tuple[int, int], Coefficient]:
    """Each coefficient from the cell of the highest degree that has it, at time number `at`."""
    by_key: dict[tuple[int, int], dict[int, tuple[float, float]]] = {}
    truncated = False
    for data in cells:
        degree = dict(data["cell"]["parameters"]).get("degree", 0)
        truncated |= degree > 0
        for part in data["parts"]:
            numbers = part["mean"][at], part["sdev"][at]
            by_key.setdefault((part["order"], part["width"]), {})[degree] = numbers
    table = {}
    for key, by_degree in sorted(by_key.items()):
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
    by_pade : float
        The same series by near-diagonal Padé approximants of each width order.
    sampling : float
        Statistical error of the integrals.
    last : float
        Σ_k |term of the highest order| .
    pade : float
        Σ_k |Padé approximant − sum of that width order|.
    degree : float
        What the truncation of φ to a polynomial may change.
    """

    value: float
    by_pade: float
    sampling: float
    last: float
    pade: float
    degree: float

    @property
    def truncation(self) -> float:
        """What the cut at an order leaves open: the larger of both estimates."""
        return max(self.last, self.pade)

    @property
    def error(self) -> float:
        """All errors together; what is no statistical error is added as it is."""
        return self.sampling + self.truncation + self.degree

    def scaled(self, factor: float) -> Sum:
        """The sum with all its errors times a factor, for another unit."""
        return Sum(*(factor * x for x in astuple(self)))


def evaluate(table: Table, coupling: float, N: float, widths: Container[int] = range(100)) -> Sum:
    """Σ a_nk g^n N^{−k} over the width orders k that are wanted; nan without any series."""
    if not table:
        return Sum(*(math.nan,) * 6)
    total = Sum(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    for k in sorted({k for _, k in table if k in widths}):
        total = _add(total, _one_width(table, coupling, N, k))
    return total


def _one_width(table: Table, coupling: float, N: float, k: int) -> Sum:
    factors = {n: coupling**n * float(N) ** -k for n, j in table if j == k}
    terms = {n: table[n, k].value * factor for n, factor in factors.items()}
    value, approximant = math.fsum(terms.values()), _pade(terms)
    return Sum(
        value=value,
        by_pade=approximant,
        sampling=math.hypot(*(table[n, k].sdev * factor for n, factor in factors.items())),
        last=abs(terms[max(terms)]),
        pade=abs(approximant - value),
        degree=sum(table[n, k].degree_error * factor for n, factor in factors.items()),
    )


def _add(one: Sum, two: Sum) -> Sum:
    return Sum(
        one.value + two.value,
        one.by_pade + two.by_pade,
        math.hypot(one.sampling, two.sampling),
        one.last + two.last,
        one.pade + two.pade,
        one.degree + two.degree,
    )


def _pade(terms: Mapping[int, float], fewest: int = 3) -> float:
    """The near-diagonal approximant of Σ terms; the sum itself where there are too few terms for one.

    A lower denominator is taken where the approximant does not exist, as for a simple fraction, or has a pole between
    zero coupling and this one, which a series with finite terms in between has no use for.
    """
    known = [terms[n] for n in sorted(terms)]
    while known and known[0] == 0.0:
        known = known[1:]
    for degree in range((len(known) - 1) // 2, 0, -1):
        if len(known) < fewest:
            break
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", LinAlgWarning)
                above, below = pade(known, degree)
        except (np.linalg.LinAlgError, LinAlgWarning):
            continue
        if not any(abs(root.imag) < 1e-9 * abs(root) and 0 < root.real <= 1 for root in below.roots):
            return float(above(1.0) / below(1.0))
    return math.fsum(known)
