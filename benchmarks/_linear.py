"""The diagrams of the linear network have closed forms: two chains of responses that end in one line C."""

from __future__ import annotations

from functools import cache
from math import comb, exp, factorial

from scipy.special import gammainc

import nnqft


def exact_value(diagram: nnqft.Diagram, t: float, s: float, theory: nnqft.Theory) -> float:
    """The time integral of a diagram of ⟨h(t) h(s)⟩, without its weight; no bias and no input.

    κ ∫ du e^{−γ(t+s−2u)} (t−u)^a (s−u)^b/(a! b!) over u < min(t,s), from rest over 0 < u < min(t,s), where a
    and b points hang from t and s.
    """
    gamma, kappa = theory.parameters["gamma"], theory.parameters["kappa"]
    a, b = chain_lengths(diagram)
    reach = float("inf") if theory.stationary else min(t, s)
    return kappa * _chains(a, b, t, s, gamma, reach)


def chain_lengths(diagram: nnqft.Diagram) -> tuple[int, int]:
    """How many internal points hang, along response lines, from each of the two external points."""
    parent = {line.start: line.end for line in diagram.lines if line.response}
    lengths = [0, 0]
    for point in parent:
        root = point
        while root in parent:
            root = parent[root]
        lengths[root] += 1
    return lengths[0], lengths[1]


@cache
def _chains(a: int, b: int, t: float, s: float, gamma: float, reach: float) -> float:
    """∫_0^reach dv e^{−γ(|t−s|+2v)} (t−u)^a (s−u)^b/(a! b!) with u = min(t,s) − v."""
    if t < s:
        t, s, a, b = s, t, b, a
    # (t−s+v)^a is expanded in powers of v: all terms are positive, so nothing cancels.
    total = 0.0
    for j in range(a + 1):
        power, rate = b + j, 2 * gamma
        tail = gammainc(power + 1, rate * reach) / rate ** (power + 1)
        total += (t - s) ** (a - j) / factorial(a - j) * comb(b + j, j) * tail
    return exp(-gamma * (t - s)) * float(total)
