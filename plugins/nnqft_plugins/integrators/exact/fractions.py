"""The equations of integrator.py in fractions: an integral as a closed form in the time difference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import product

import numpy as np

from nnqft import ClosedForm, InputError, Line, TimeIntegral
from nnqft.integrals.closed_form import Polynomial, add, add_forms, rational, relax
from nnqft_plugins.integrators.exact.states import Ideals, upper_sets
from nnqft_plugins.integrators.exact.terms import pieces_of
from nnqft_plugins.integrators.exact.transfer import Transfer, expand_terms

_DENOMINATOR = 8
"""Rates are recognised as multiples of γ with denominators up to this."""

Function = dict[Fraction, Polynomial]


def closed_form(integral: TimeIntegral, lines: Sequence[Line], gamma: float, limit: int) -> ClosedForm:
    """The integral as a function of γτ, its first external time being later by τ than the others.

    Raises
    ------
    InputError
        If it has no such form: a start at rest, amplitudes that are not rational, rates that are no multiples of
        γ, too many upper sets.
    """
    if not integral.theory.stationary:
        raise InputError("no closed form from rest, only for a stationary start; ask for numbers instead")
    states = upper_sets(integral, limit)
    if states is None:
        raise InputError(f"no closed form: more than {limit} upper sets in {integral.dim} dimensions")
    unit = _fraction(gamma, "gamma")
    externals = integral.times.shape[1]
    groups = ((0,), tuple(range(1, externals))) if externals > 1 else ((0,),)
    transfer = Transfer(states, expand_terms([(lines, integral.propagators)]), externals, groups, True)
    if transfer.rows.oscillate:
        raise InputError("no closed form: a line oscillates; ask for numbers instead")
    choices = product(*(pieces_of(line, integral.propagators[line.propagator]) for line in lines))
    forms = []
    for row, terms in enumerate(choices):
        scale = _fraction(integral.scale, "a closed response")
        amplitude = math.prod((_fraction(float(term.amplitude.real), "an amplitude") for term in terms), start=scale)
        forms.append((amplitude / unit**integral.dim, ClosedForm(_row_form(transfer, row, gamma), unit)))
    return add_forms(forms, unit)


def _row_form(transfer: Transfer, row: int, gamma: float) -> Function:
    """F(∅) as a function of x = γτ for one choice of exponentials."""
    states, last = transfer.states, len(transfer.groups) - 1
    size = states.inside.shape[1]
    open_ = [transfer.gate(level, np.ones((size, len(transfer.rows.owner), 1)))[:, row, 0] for level in range(last + 1)]
    bottom = _bottom(states, _multiples(transfer, last, row, gamma), _moves(transfer, last, row))
    values = [value if ok else Fraction(0) for value, ok in zip(bottom, open_[last], strict=True)]
    if last == 0:
        return {Fraction(0): (values[0],)}
    rates, moves = _multiples(transfer, 0, row, gamma), _moves(transfer, 0, row)
    functions: list[Function] = [{} for _ in range(size)]
    for state in range(size - 1, -1, -1):
        source: Function = {}
        for target in moves[state]:
            for rate, polynomial in functions[target].items():
                source[rate] = add(source.get(rate, ()), polynomial)
        functions[state] = relax(rates[state], values[state], source)
    return functions[0] if open_[0][0] else {}


def _bottom(states: Ideals, rates: Sequence[Fraction], moves: Sequence[Sequence[int]]) -> list[Fraction]:
    """F of each state below all external times, by the first of the equations in integrator.py."""
    values = [Fraction(0)] * len(rates)
    values[-1] = Fraction(1)
    for state in range(len(rates) - 2, -1, -1):
        total = sum((values[target] for target in moves[state]), Fraction(0))
        values[state] = total / rates[state] if total else total
    return values


def _moves(transfer: Transfer, level: int, row: int) -> list[list[int]]:
    """For each state the states it may grow into; these come later in the table."""
    moves: list[list[int]] = [[] for _ in range(transfer.states.inside.shape[1])]
    for (source, target), allowed in zip(transfer.states.grown, transfer.allowed(level), strict=True):
        for a, b, ok in zip(source.tolist(), target.tolist(), allowed[:, row].tolist(), strict=True):
            if ok:
                moves[a].append(b)
    return moves


def _multiples(transfer: Transfer, level: int, row: int, gamma: float) -> list[Fraction]:
    """E of each state below group `level`, in units of γ."""
    rates = (transfer.rates(level)[:, row] / gamma).tolist()
    exact = [Fraction(rate).limit_denominator(_DENOMINATOR) for rate in rates]
    if any(abs(float(e) - rate) > 1e-9 for e, rate in zip(exact, rates, strict=True)):
        raise InputError("no closed form: a rate is no multiple of gamma; ask for numbers instead")
    return exact


def _fraction(value: float, what: str) -> Fraction:
    exact = rational(value)
    if exact is None:
        raise InputError(f"no closed form: {what} {value!r} is not a fraction; write parameters such as 0.5 or 1.3")
    return exact
