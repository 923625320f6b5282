"""Gaussian averages of derivatives, ⟨φ^(p)(x) φ^(q)(y)⟩/(p! q!), without a derivative being taken.

With a_n = ⟨φ He_n⟩/√n! at variances v of x and w of y and ρ the correlation coefficient (Mehler's formula, in which a
derivative shifts the coefficients by one),

    ⟨φ^(p) φ^(q)⟩/(p! q!) = v^{−p/2} w^{−q/2} Σ_r ρ^r a_{p+r}(v) a_{q+r}(w) [(p+r)! (q+r)!]^{1/2} / (r! p! q!) .

Of an activation with kinks or jumps the a_n fall too slowly for that: their part is in closed form (`edges`), the
series has the smooth rest and what mixes both. As ρ → 1 it is singular like (1 − ρ)^{(3−p−q)/2} for kinks and
(1 − ρ)^{(1−p−q)/2} for jumps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from scipy.special import gammaln

from nnqft import Activation
from nnqft_plugins.models.network.edges import TakenApart, average_of_two, edge_coefficients, take_apart
from nnqft_plugins.networks.meanfield.gaussian import hermite

MAX_CHAOS = 12
"""Highest p + q that is looked for where nobody asks for one: 2756 diagrams at order 2, k = 1, of an odd φ."""
_ACCURACY = 1e-6
"""Of the averages, relative to the largest of each; what the Hermite series leaves out grows with p and q."""
_QUICK = 40
"""Up to so many coefficients they are taken to fall faster than any exponential."""
_LEAST_POWER = 1e-280
"""Of a variance: its inverse is still a number."""
_NEGLIGIBLE = 1e-12


@dataclass(frozen=True)
class DerivativeAverages:
    """The averages at one variance of x and y."""

    activation: Activation
    variance: float

    @cached_property
    def parts(self) -> TakenApart:
        """Edges of φ and what is smooth."""
        return take_apart(self.activation)

    @cached_property
    def count(self) -> int:
        """How many a_n of the smooth part there are."""
        return len(self._of_rest)

    @cached_property
    def _of_rest(self) -> np.ndarray:
        if self.parts.line is not None:
            start, slope = self.parts.line
            return np.array([start, slope * math.sqrt(self.variance)])
        return smooth_coefficients(
            self.parts.rest,
            np.array([self.variance]),
            self.activation.coefficients is not None,
            self.activation.kinks,
        )[0]

    @cached_property
    def smooth(self) -> np.ndarray:
        """a_n of the smooth part, and zeros where edges go on."""
        return np.append(self._of_rest, np.zeros(MAX_CHAOS if self.parts.edges else 0))

    @cached_property
    def rough(self) -> np.ndarray:
        """a_n of the edges, as many."""
        return edge_coefficients(self.parts.edges, self.variance, len(self.smooth))

    def limit(self, cusp: bool = True) -> int | None:
        """The highest p + q that can be had: of the accuracy above, and integrable over the times.

        None if there is no limit. `cusp`: white noise makes 1 − ρ ∝ |τ|; without it 1 − ρ ∝ τ².
        """
        if self.parts.edges:
            highest = (2 if self.parts.jumps else 4) if cusp else (1 if self.parts.jumps else 3)
        else:
            highest = MAX_CHAOS
        for total in range(1, highest + 1):
            if self.variance ** (total / 2) < _LEAST_POWER:
                return total - 1
            if not all(self.settled(p, total - p) for p in range(total // 2 + 1)):
                return total - 1
        return None if self.activation.coefficients is not None else highest

    def settled(self, p: int, q: int) -> bool:
        """Is the last of the series negligible beside its largest, so that this average can be had?"""
        series = self._series(p, q)[: max(self.count - max(p, q), 0)]
        largest = float(np.abs(series).max(initial=0.0))
        ends = self.activation.coefficients is not None or self.parts.line is not None
        negligible = largest * self.variance ** ((p + q) / 2) < _NEGLIGIBLE
        return ends or negligible or bool(np.abs(series[-2:]).max() <= _ACCURACY * largest)

    def _series(self, p: int, q: int) -> np.ndarray:
        """Coefficients of ρ^r, without those of the edges among themselves."""
        return _series(self.smooth + self.rough, p, q, self.variance) - _series(self.rough, p, q, self.variance)

    def at(self, p: int, q: int, covariance: np.ndarray) -> np.ndarray | None:
        """⟨φ^(p) φ^(q)⟩/(p! q!) at each covariance; None if it vanishes."""
        series = self._series(p, q)
        scale = self.variance ** ((p + q) / 2)
        total = (
            np.polynomial.polynomial.polyval(covariance / self.variance, series) if len(series) else 0.0 * covariance
        )
        size = float(np.abs(series).max(initial=0.0)) * scale
        if self.parts.edges:
            sharp = average_of_two(self.parts.edges, p, q, covariance, self.variance)
            sharp /= math.factorial(p) * math.factorial(q)
            total, size = total + sharp, size + float(np.abs(sharp).max()) * scale
        return total if size > _NEGLIGIBLE else None


def smooth_coefficients(
    function: Callable[[np.ndarray], np.ndarray], variances: np.ndarray, ends: bool, kinks: tuple[float, ...] = ()
) -> np.ndarray:
    """a_n of a smooth φ at each variance, (V, orders); `ends` says that φ is a polynomial.

    `kinks` are where a higher derivative jumps, and where averages are taken apart.
    """
    a, _ = hermite(function, variances, 1e-15, kinks)
    if ends:
        return a
    if a.shape[1] <= _QUICK and not kinks:
        # They fall so fast that many more of them have a meaning; factors of derivatives bring these up.
        z, weights = _quick_rule()
        return np.asarray(function(np.sqrt(variances)[:, None] * z) @ weights)
    # The last one holds the rest of ⟨φ²⟩, which these factors would blow up.
    return a[:, :-1]


@cache
def _quick_rule() -> tuple[np.ndarray, np.ndarray]:
    """Nodes z, and (nodes, orders) weights with a_n = Σ_z φ(√v z) w[z, n]."""
    z = np.linspace(-15.0, 15.0, 601)
    values = [np.exp(-(z**2) / 4), z * np.exp(-(z**2) / 4)]
    for n in range(1, _QUICK + MAX_CHAOS):
        values.append((z * values[n] - math.sqrt(n) * values[n - 1]) / math.sqrt(n + 1))
    return z, (np.array(values) * values[0]).T * (z[1] - z[0]) / math.sqrt(2 * math.pi)


def derivative_factors(p: int, q: int, count: int) -> np.ndarray:
    """[(p+r)! (q+r)!]^{1/2} / (r! p! q!) for r < count."""
    r = np.arange(count)
    logs = gammaln(p + r + 1) / 2 + gammaln(q + r + 1) / 2 - gammaln(r + 1)
    return np.exp(logs - math.lgamma(p + 1) - math.lgamma(q + 1))


def _series(a: np.ndarray, p: int, q: int, variance: float) -> np.ndarray:
    low, high = sorted((p, q))
    count = max(len(a) - high, 0)
    return a[low : low + count] * a[high:] * derivative_factors(p, q, count) * variance ** (-(p + q) / 2)
