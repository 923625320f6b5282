"""Few sites: at fixed W and b the moments of h close, order by order in W; then average. No diagrams are made.

This is an oracle for any number of sites that is small, so it tells the widths and the indices of the sites apart.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby, product

import numpy as np
import oracles
from scipy.sparse import csc_array
from scipy.sparse.linalg import expm_multiply

RATES = {"gamma": 1.3, "kappa": 0.8}

Powers = tuple[int, ...]
Random = tuple[tuple[int, int, int], ...]
"""A product of weights (i, j, kind) and biases (i, −1, 0), sorted."""


@dataclass(frozen=True)
class Coupled:
    """Σ_j Σ_kind W^kind_ij φ_kind(h_j): polynomials, and the covariance of the kinds of weights in units of σ_w²/N."""

    polynomials: Mapping[int, Mapping[int, float]]
    covariance: Mapping[tuple[int, int], float]

    @classmethod
    def network(cls, phi: Mapping[int, float]) -> Coupled:
        """One kind of weights."""
        return cls({0: phi}, {(0, 0): 1.0})

    @classmethod
    def quintic(cls) -> Coupled:
        """φφ → h h − (h h³ + h³ h)/3: weights of h and of h³ whose covariance is not that of anything real."""
        return cls({1: {1: 1.0}, 3: {3: 1.0}}, {(1, 1): 1.0, (1, 3): -1 / 3, (3, 1): -1 / 3, (3, 3): 0.0})

    def moment(self, kinds: tuple[int, ...]) -> float:
        """Of one weight's kinds: the sum over pairings."""
        if not kinds:
            return 1.0
        first, *rest = kinds
        return sum(
            self.covariance[first, other] * self.moment((*rest[:n], *rest[n + 1 :])) for n, other in enumerate(rest)
        )


class Sites:
    """N sites with dh_i = [−γ h_i + Σ_j W_ij φ(h_j) + b_i] dt + √κ dB_i, to order σ_w^{2·order}.

    A function of h, W and b is {(powers of h, product of W and b): coefficient}.
    """

    def __init__(self, coupled: Coupled | Mapping[int, float], N: int, order: int, sigma_b: float = 0.0) -> None:
        self.coupled = coupled if isinstance(coupled, Coupled) else Coupled.network(coupled)
        self.N, self.order, self.sigma_b = N, order, sigma_b
        self.terms = [(kind, p, c) for kind, phi in self.coupled.polynomials.items() for p, c in phi.items()]
        self.limit, self.can_pair = cache(self._limit), cache(self._can_pair)

    def act(self, powers: Powers, random: Random) -> dict[tuple[Powers, Random], float]:
        """The generator on a monomial, cut above W^{2·order}."""
        image: dict[tuple[Powers, Random], float] = defaultdict(float)
        image[powers, random] -= RATES["gamma"] * sum(powers)
        weights = sum(j >= 0 for _, j, _ in random)
        for i, a in enumerate(powers):
            if a >= 2:
                image[shift(powers, i, -2), random] += RATES["kappa"] / 2 * a * (a - 1)
            if a >= 1:
                low = shift(powers, i, -1)
                if self.sigma_b:
                    image[low, tuple(sorted((*random, (i, -1, 0))))] += a
                if weights < 2 * self.order:
                    for j, (kind, p, c) in product(range(self.N), self.terms):
                        more = tuple(sorted((*random, (i, j, kind))))
                        if self.can_pair(more):
                            image[shift(low, j, p), more] += a * c
        return image

    def _can_pair(self, random: Random) -> bool:
        """Whether the weights still to come suffice to leave none single."""
        weights = [each[:2] for each in random if each[1] >= 0]
        single = sum(count % 2 for count in Counter(weights).values())
        return single <= 2 * self.order - len(weights)

    def _limit(self, powers: Powers, random: Random) -> dict[Random, float]:
        """Its expectation after a long time, at given W and b."""
        if not sum(powers):
            return {random: 1.0}
        total: dict[Random, float] = defaultdict(float)
        for (raised, more), value in self.act(powers, random).items():
            if raised != powers or more != random:
                for key, x in self.limit(raised, more).items():
                    total[key] += value * x
        return {key: x / (RATES["gamma"] * sum(powers)) for key, x in total.items()}

    def later(self, seeds: dict[tuple[Powers, Random], float], time: float) -> dict[tuple[Powers, Random], float]:
        """E[f(h(time)) | h(0) = h]."""
        place: dict[tuple[Powers, Random], int] = {}
        waiting, entries = list(seeds), []
        while waiting:
            key = waiting.pop()
            if key not in place:
                place[key] = len(place)
                images = self.act(*key)
                entries += [(key, image, value) for image, value in images.items()]
                waiting += images
        rows, columns = [place[image] for _, image, _ in entries], [place[key] for key, _, _ in entries]
        matrix = csc_array(([value for *_, value in entries], (rows, columns)), shape=(len(place),) * 2)
        vector = np.array([seeds.get(key, 0.0) for key in place])
        return dict(zip(place, expm_multiply(matrix * time, vector, traceA=matrix.trace() * time), strict=True))

    def moment(self, legs: Sequence[tuple[int, float]], start: str = "stationary") -> np.ndarray:
        """⟨Π h_site(time)⟩ of legs (site, time): coefficients of σ_w^{2n}, at this N."""
        none: Powers = (0,) * self.N
        f: dict[tuple[Powers, Random], float] = {(none, ()): 1.0}
        times = sorted({time for _, time in legs}, reverse=True)
        for now, before in zip(times, [*times[1:], None], strict=True):
            for site in (site for site, time in legs if time == now):
                f = {(shift(powers, site, 1), random): value for (powers, random), value in f.items()}
            if before is not None:
                f = self.later(f, now - before)
        if start == "stationary":
            return self.average(set(f), f)
        return self.average(set(), self.later(f, times[-1]))

    def two_point(self, t: float, s: float, start: str) -> np.ndarray:
        """⟨h_1(t) h_1(s)⟩."""
        return self.moment([(0, t), (0, s)], start)

    def mean(self) -> np.ndarray:
        """Stationary ⟨h_1⟩."""
        one = ((1, *[0] * (self.N - 1)), ())
        return self.average({one}, {one: 1.0})

    def average(self, waits: set[tuple[Powers, Random]], f: dict[tuple[Powers, Random], float]) -> np.ndarray:
        """Over W and b, and over h for the monomials that wait for ever; else h = 0."""
        out = np.zeros(self.order + 1)
        for key, value in f.items():
            known = self.limit(*key) if key in waits else {} if sum(key[0]) else {key[1]: 1.0}
            for random, x in known.items():
                weights = sum(j >= 0 for _, j, _ in random)
                if moment := self.expectation(random):
                    out[weights // 2] += value * x * moment / self.N ** (weights // 2)
        return out

    def expectation(self, random: Random) -> float:
        """Of a product of weights, without (σ_w²/N), and biases."""
        total = 1.0
        for (_, j), group in groupby(random, key=lambda each: each[:2]):
            kinds = tuple(kind for *_, kind in group)
            total *= (
                self.coupled.moment(kinds)
                if j >= 0
                else oracles.gaussian_moment(len(kinds)) * self.sigma_b ** len(kinds)
            )
        return total


def shift(powers: Powers, i: int, by: int) -> Powers:
    return (*powers[:i], powers[i] + by, *powers[i + 1 :])
