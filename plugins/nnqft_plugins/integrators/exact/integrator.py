"""Exact time integrals where every line is a sum of exponentials.

Order all points in time and go down from the latest. Between two neighbouring times the integrand decays with
the summed rate E(S) of the lines that join S, the points already passed, with the others; S is an upper set of
the causal order. So the integral solves a linear triangular system over the upper sets:

    F(S) = Σ_v F(S ∪ {v}) / E(S),  F(all) = 1        below all external times, reaching to −∞,
    dF/dt = M F,  M = −E(S) on the diagonal, 1 for S → S ∪ {v}        between external times, or down to a start.

The exponential of M is taken by uniformisation, e^{Mt} = e^{−Λt} Σ_k (Λt)^k/k! (1 + M/Λ)^k with Λ ≥ E: nothing
is subtracted, so repeated rates, the normal case here, cost no digits. (A. Jensen, Scand. Actuar. J. 1953, 87.)
A term that a line has on one side only, t ≥ s or t < s, orders its two points as a response does. Complex rates come in
conjugate pairs; what they cancel on the way is in the bound of the rounding error.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnqft import AbstractIntegrator, ClosedForm, Estimate, Line, TimeIntegral
from nnqft_plugins.integrators.exact.fractions import closed_form
from nnqft_plugins.integrators.exact.states import Ideals, all_subsets, count_upper_sets, upper_sets
from nnqft_plugins.integrators.exact.terms import count_pieces
from nnqft_plugins.integrators.exact.transfer import TURNS, Transfer, expand_terms, order_patterns

SMALL = 8
"""Up to this many internal points all subsets serve as states, shared by many integrals; beyond, upper sets."""
MAX_STATES = 20_000
MAX_TERMS = 256
"""Upper sets of an integral, and ways to choose one term of each line: more are left to Monte Carlo."""
MAX_SPAN = 2e4
"""Largest rate × time: the uniformisation takes as many steps."""
_BLOCK = 1 << 21
"""Numbers in one array of states × integrals."""


@dataclass(frozen=True)
class ExactIntegrator(AbstractIntegrator):
    """Transfer matrix over the upper sets of the causal order; no statistical error."""

    name = "exact"
    summary = "closed sum over time orders, where every line is a sum of exponentials"
    exact = True

    def supports(self, integral: TimeIntegral) -> bool | str:
        """True, or the reason why not: a line that is no sum of exponentials, or too many terms, sets or decays."""
        if integral.factors:
            return "a vertex has a kernel over its times"
        if any(branch.parent < 0 for branch in integral.branches):
            return "the time of a closed response runs over a finite horizon"
        used = {line.propagator for line in integral.lines} | {branch.propagator for branch in integral.branches}
        tabulated = [name for name in sorted(used) if integral.propagators[name].kernel is not None]
        if tabulated:
            named = [p.name for p in integral.theory.propagators if p.name in tabulated]
            return (f"line {named[0]}" if named else "a factor of a vertex") + " is not a sum of exponentials"
        # Each choice of one term a line is a system of its own; their number is a product over the lines.
        terms = _terms(integral)
        if terms > MAX_TERMS:
            return f"{terms} products of exponentials, more than {MAX_TERMS}"
        # The uniformisation takes as many steps as rate × time, where the rate is at most that of all lines in one cut.
        lines = [integral.propagators[line.propagator] for line in all_lines(integral)]
        rates = sum(max(abs(term.rate) + abs(term.early) for term in line.terms) for line in lines)
        if any(term.oscillates for line in lines for term in line.terms):
            rates *= TURNS
        reach = float((np.ptp(integral.times, axis=1) if integral.theory.stationary else integral.times).max())
        if rates * reach > MAX_SPAN:
            return f"times too far apart for its rates ({rates * reach:.3g} > {MAX_SPAN:g})"
        # Few points use the table of all their subsets, which is small; only beyond does the causal order matter.
        states = count_upper_sets(integral)
        if integral.dim > SMALL and states > MAX_STATES:
            return f"{states} upper sets in {integral.dim} dimensions, more than {MAX_STATES}"
        return True

    def prepare(self, integral: TimeIntegral, seed: np.random.SeedSequence) -> None:
        """None: an exact integrator has nothing to learn."""

    def sample(self, integral: TimeIntegral, state: Any, neval: int, seed: np.random.SeedSequence) -> Estimate:
        """The exact value as an estimate without statistical error."""
        began = time.process_time()
        values, bounds = self.settle([integral])
        return Estimate.exact(values[0], time.process_time() - began, bounds[0])

    def closed_form(self, integral: TimeIntegral) -> ClosedForm:
        """The integral with rational coefficients, for a stationary theory whose rates are multiples of γ."""
        # The slowest response sets the unit; for every model here it is γ.
        fields = integral.theory.field_named
        responses = [p for p in integral.theory.propagators if not p.delta and fields[p.right].response]
        rates = [complex(term.rate).real for response in responses for term in response.terms]
        return closed_form(integral, all_lines(integral), min(rates, default=1.0), MAX_STATES)

    def settle(self, integrals: Sequence[TimeIntegral]) -> tuple[np.ndarray, np.ndarray]:
        """Values and rounding bounds, (n, M) each; integrals with equally many points go through together."""
        shape = (len(integrals), len(integrals[0].times))
        values, bounds = np.zeros(shape), np.zeros(shape)
        for members, states in _groups(integrals):
            values[members], bounds[members] = _settle_group([integrals[n] for n in members], states)
        return values, bounds


def all_lines(integral: TimeIntegral) -> list[Line]:
    """Every line of the integral, those to parents included.

    A response that places its point was taken out of the integrand, and is put back; in the trunk and below several
    parents it is still there.
    """
    externals = integral.times.shape[1]
    forest = [
        Line(branch.propagator, branch.parent, externals + n, True)
        for n, branch in enumerate(integral.branches)
        if not branch.below and not branch.others
    ]
    return [*integral.lines, *forest]


def _terms(integral: TimeIntegral) -> int:
    """How many ways there are to choose one exponential on each line."""
    return math.prod(count_pieces(integral.propagators[line.propagator]) for line in all_lines(integral))


def _groups(integrals: Sequence[TimeIntegral]) -> list[tuple[list[int], Ideals]]:
    """Groups of integrals, by number, that share a table of states, small enough for one array."""
    small: dict[int, list[int]] = {}
    groups: list[tuple[list[int], Ideals]] = []
    for n, integral in enumerate(integrals):
        if integral.dim <= SMALL:
            small.setdefault(integral.dim, []).append(n)
        else:
            states = upper_sets(integral, MAX_STATES)
            assert states is not None
            groups.append(([n], states))
    for dim, members in small.items():
        batch: list[int] = []
        size = 0
        for n in members:
            # Rows × states, and × times where the vectors depend on them: from rest, where F reaches down to the start.
            grid = 1 if integrals[n].theory.stationary else len(integrals[n].times)
            own = _terms(integrals[n]) * grid << dim
            if batch and size + own > _BLOCK:
                groups.append((batch, all_subsets(dim)))
                batch, size = [], 0
            batch.append(n)
            size += own
        groups.append((batch, all_subsets(dim)))
    return groups


def _settle_group(integrals: Sequence[TimeIntegral], states: Ideals) -> tuple[np.ndarray, np.ndarray]:
    """Values and rounding bounds of integrals with one table of states, (n, M) each."""
    rows = expand_terms([(all_lines(integral), integral.propagators) for integral in integrals])
    first = integrals[0]
    shape = (len(integrals), len(first.times))
    values, size = np.zeros(shape), np.zeros(shape)
    steps = 0
    for columns, members in order_patterns(first.times):
        how = states, rows, first.times.shape[1], columns, first.theory.stationary
        by_row, taken = Transfer(*how).integrate(first.times[members])
        steps = max(steps, taken)
        added = Transfer(*how, majorant=True).integrate(first.times[members])[0] if rows.oscillate else by_row
        factor = (np.array([integral.scale for integral in integrals])[rows.owner] * rows.amplitude)[:, None]
        for target, source in ((values, (factor * by_row).real), (size, np.abs(factor * added))):
            part = np.zeros((len(integrals), len(members)))
            np.add.at(part, rows.owner, source)
            target[:, members] = part
    # Of the sizes of all that was added, each of the steps rounds one part in 2^53 at most, and so does each pass.
    return values, np.finfo(float).eps * (steps + 64) * size
