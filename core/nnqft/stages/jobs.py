"""From diagrams to pieces of work: their time integrals, who computes each, and its seeds."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from nnqft.errors import InputError
from nnqft.graphs.canonical import apply_order, canonical_order, row_keys
from nnqft.graphs.diagram import Diagram
from nnqft.graphs.diagram_set import DiagramSet
from nnqft.graphs.layout import LINES
from nnqft.host import default_host, strangers
from nnqft.integrals.closed_form import ClosedForm, combine, rational
from nnqft.integrals.integral import TimeIntegral, time_integral
from nnqft.interfaces.executor import Work
from nnqft.interfaces.model import AbstractIntegrator
from nnqft.rules.theory import Leg, Theory

_COUNT_BITS = 4
"""Bits that count the lines of one kind between two points."""


@dataclass(frozen=True, eq=False)
class Job:
    """All work of a computation.

    Attributes
    ----------
    work
        What an executor gets.
    which : (D,) integers
        The piece of work that holds each diagram's integral. Exact integrators compute equal integrals once;
        sampled diagrams have a piece each, so that their errors are independent.
    passed_over
        Why preferred integrators did not take diagrams, and how many.
    """

    work: list[Work]
    which: np.ndarray
    passed_over: dict[str, int]


def make_job(diagrams: DiagramSet, times: np.ndarray, integrator: str) -> Job:
    """The work of all diagrams at the times of their external legs.

    Raises
    ------
    InputError
        If no integrator supports one of the integrals, with the reasons.
    """
    candidates = _candidates(integrator)
    integrals, same = distinct_integrals(diagrams, times)
    choices = [_choose(candidates, integral) for integral in integrals]
    chosen = [integrator for integrator, _ in choices]
    keys = [_words(integral.key) for integral in integrals]
    work: list[Work] = []
    which = np.empty(len(diagrams), np.int64)
    place: dict[int, int] = {}
    weights = diagrams.weights
    summed = np.bincount(same, weights, minlength=len(integrals))
    for number, n in enumerate(same.tolist()):
        if chosen[n].exact and n in place:
            which[number] = place[n]
            continue
        label = f"diagram {number} (order {diagrams.orders[number]}, width {diagrams.widths[number]})"
        key = (0,) if chosen[n].exact else (int(diagrams.digest(number), 16),)
        place[n] = which[number] = len(work)
        weight = float(summed[n] if chosen[n].exact else weights[number])
        work.append(Work(label, integrals[n], chosen[n], weight, key, keys[n]))
    passed_over = Counter(choices[n][1] for n in same.tolist() if choices[n][1])
    return Job(work, which, dict(passed_over))


def distinct_integrals(diagrams: DiagramSet, times: np.ndarray) -> tuple[list[TimeIntegral], np.ndarray]:
    """The different time integrals among the diagrams, and for each diagram the number of its own.

    Diagrams that differ only in how their indices run have one integral: the (2n+1)!! diagrams of the linear
    network have 2n+1.
    """
    columns = [_column(leg) for leg in diagrams.plan.externals]
    legs = times[:, columns]
    if not len(diagrams):
        return [], np.zeros(0, np.int64)
    theory = diagrams.theory
    wide = 2 * len(theory.propagators) * _COUNT_BITS > 64
    if theory.timeless or wide or any(v.kernel or v.memory for v in theory.interactions):
        first = inverse = np.arange(len(diagrams))
    else:
        keys = _integral_keys(diagrams)
        _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    found = [time_integral(diagrams[n], theory, legs) for n in first.tolist()]
    return found, inverse


def _column(leg: Leg) -> int:
    """The column of the times that an external leg sits at."""
    assert isinstance(leg.point, int)
    return leg.point


def sum_closed_forms(diagrams: DiagramSet, order: int, width: int) -> ClosedForm:
    """Σ weight × closed form over the diagrams of an order and width, in fractions.

    Raises
    ------
    InputError
        If an integral has no closed form.
    """
    theory = diagrams.theory
    arity = 1 + max(_column(leg) for leg in diagrams.plan.externals)
    part = diagrams.subset(np.flatnonzero((diagrams.orders == order) & (diagrams.widths == width)))
    # A part without diagrams still has the unit of time of the others.
    integrals, same = distinct_integrals(part if len(part) else diagrams.subset(np.arange(1)), np.zeros((1, arity)))
    weights = dict.fromkeys(range(len(integrals)), Fraction(0))
    for diagram, n in zip(part, same.tolist(), strict=False):
        weights[n] += _exact_weight(diagram, theory)
    exact_integrators = [i for i in _candidates("auto") if i.exact]
    forms = []
    for n, weight in weights.items():
        chosen, _ = _choose(exact_integrators, integrals[n])
        forms.append((weight, chosen.closed_form(integrals[n])))
    return combine(forms, forms[0][1].gamma)


def _exact_weight(diagram: Diagram, theory: Theory) -> Fraction:
    """The weight with parameters taken as the decimal fractions they were written as."""
    values = {**theory.parameters, **theory.couplings}
    product = Fraction(diagram.coefficient) / Fraction(theory.N) ** diagram.width
    if isinstance(diagram.coefficient, float):
        exact = rational(diagram.coefficient)
        if exact is None:
            raise InputError(f"no closed form: a coefficient {diagram.coefficient!r} is not a fraction")
        product = exact / Fraction(theory.N) ** diagram.width
    for name, power in diagram.couplings:
        # A power may be a fraction where the value is none, as for a square root.
        value = float(values[name])
        product *= rational(value**power) or Fraction(repr(value)) ** power
    return product


def _integral_keys(diagrams: DiagramSet) -> np.ndarray:
    """(D,) comparable keys, equal where points and lines look alike once vertices and indices are forgotten."""
    points, codes = _point_codes(diagrams)
    externals = len(diagrams.plan.externals)
    place = np.arange(codes.shape[1])
    # External points keep their order, empty ones their place; internal ones are alike.
    colours = np.where(place < externals, place, np.where(place < points[:, None], externals, externals + 1 + place))
    order = canonical_order(colours.astype(np.uint64), codes)
    colours, codes = apply_order(colours, codes, order)
    return row_keys(colours, codes)


def _point_codes(diagrams: DiagramSet) -> tuple[np.ndarray, np.ndarray]:
    """Number of points of each diagram, and (D, P, P) uint64: how many lines of each kind join two points."""
    sockets = diagrams.kinds.shape[1]
    first = diagrams.point_of
    is_first = (first == np.arange(sockets)) & (diagrams.kinds > 0)
    number = np.cumsum(is_first, axis=1) - 1
    point = np.take_along_axis(number, first, axis=1)
    kinds = _line_kinds(diagrams)
    counts = diagrams.codes & LINES
    rows, a, b = np.nonzero(counts)
    # A line inside one point is met twice unless it joins a socket with itself.
    p, q = point[rows, a], point[rows, b]
    once = (p != q) | (a <= b)
    rows, a, b, p, q = rows[once], a[once], b[once], p[once], q[once]
    shift = kinds[diagrams.kinds[rows, a], diagrams.kinds[rows, b]] * _COUNT_BITS
    points = is_first.sum(axis=1)
    codes = np.zeros((len(diagrams), points.max(), points.max()), np.uint64)
    np.add.at(codes, (rows, p, q), counts[rows, a, b].astype(np.uint64) << shift.astype(np.uint64))
    return points, codes


def _line_kinds(diagrams: DiagramSet) -> np.ndarray:
    """(K, K): which kind of line joins two kinds of sockets, seen from the first; both ends of a response differ."""
    plan = diagrams.plan
    seen: dict[tuple[str, bool], int] = {}
    table = np.zeros((len(plan.field_of),) * 2, np.int64)
    for a, one in enumerate(plan.field_of):
        for b, two in enumerate(plan.field_of):
            line = plan.theory.lines.get((one, two))
            if line is not None:
                table[a, b] = seen.setdefault((line.name, one == line.left), len(seen))
    return table


def _words(key: str) -> tuple[int, ...]:
    return (int.from_bytes(hashlib.blake2b(key.encode(), digest_size=16).digest()),)


def _candidates(integrator: str) -> list[AbstractIntegrator]:
    """The one that was named, or for "auto" all, exact ones first."""
    host = default_host()
    if integrator != "auto":
        return [host.get("integrator", integrator)]
    everyone: list[AbstractIntegrator] = [thing for thing, _ in host.found["integrator"].values()]
    return sorted(everyone, key=lambda i: not i.exact)


def _choose(candidates: Sequence[AbstractIntegrator], integral: TimeIntegral) -> tuple[AbstractIntegrator, str]:
    """The first candidate that supports the integral, and why those before it did not."""
    reasons: list[str] = []
    for candidate in candidates:
        with strangers(f"integrator {candidate.name!r}"):
            answer = candidate.supports(integral)
        if not isinstance(answer, str) and bool(answer):
            return candidate, "; ".join(reasons)
        reasons.append(f"{candidate.name}: {answer}")
    raise InputError(
        f"no integrator for an integral of {integral.dim} times ({'; '.join(reasons) or 'none is installed'})"
    )
