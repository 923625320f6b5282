"""The degree at which an activation's expansion is cut, chosen by looking at what higher degrees would add.

About the saddle the coefficients of an activation's expansion do not depend on where it is cut, so the diagrams of a
degree are those of the degrees below and some more. They are looked at roughly, degree by degree, until what is left
out no longer matters; then the one computation that counts begins.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from nnqft.errors import InputError
from nnqft.integrals.estimate import Estimate, add_all
from nnqft.results.continuation import Term
from nnqft.results.truncation import degrees_left_out
from nnqft.rules.theory import Theory
from nnqft.show.numbers import spread
from nnqft.stages.effort import DEFAULT_RTOL, Effort
from nnqft.stages.generation import requested_diagrams
from nnqft.stages.request import Request
from nnqft.stages.rough import rough_sum

_TIMES = 3
"""Times at which degrees are looked at."""
_OF_CORRECTION = 0.05
"""Part of the correction to order 0 that may be left out, however coarse the target is: the correction is what a finite
width is computed for.
"""
_WORTH = 200
"""Samples of a diagram, below which a budget is better spent on fewer diagrams."""
_COSTLY = 20_000
"""Diagrams that are too many to go one degree further on a guess."""


def choose_degree(theory: Theory, request: Request, effort: Effort) -> tuple[Theory, str]:
    """The theory cut where higher degrees no longer matter to this request, and a note that says so.

    Where the diagrams of the request hold no vertices of higher degrees at all, nothing is cut, and `Theory.degree` of
    what is returned is None.
    """
    times = np.array(request.times)[spread(len(request.times), _TIMES)]
    degrees = sorted({vertex.degree for vertex in theory.vertices if vertex.degree})
    free = rough_sum(requested_diagrams(theory.up_to(0), request, effort.max_diagrams), times, request.seed)
    sums: dict[int, Estimate] = {}
    chosen, empty = theory.up_to(degrees[0]), 0
    for degree in degrees:
        try:
            known = requested_diagrams(theory.up_to(degree), request, effort.max_diagrams)
        except InputError:
            if not sums:
                raise
            return chosen, f"{_name(chosen)}; a higher one makes too many diagrams to be looked at"
        if sums and effort.neval is not None and len(known) * _WORTH > effort.neval:
            return chosen, f"{_name(chosen)}; a higher one makes more diagrams than neval={effort.neval} can sample"
        added = known.subset(np.flatnonzero(known.degrees == degree))
        empty = 0 if len(added) else empty + 1
        if empty == 2:
            # Vertices of even and of odd degree may alternate: two without a diagram are the end.
            return replace(chosen, degree=None), f"{_name(chosen)}: diagrams of this order hold no higher one"
        if len(added):
            sums[degree] = rough_sum(added, times, request.seed)
            chosen = theory.up_to(degree)
        if degree >= _bound(theory, request, len(known.layout.externals)):
            return replace(chosen, degree=None), f"{_name(chosen)}: diagrams of this order hold no higher one"
        if len(sums) > 1 and _matters_no_longer(free, sums, effort):
            return chosen, f"{_name(chosen)}: what higher ones add no longer matters"
        if len(known) > _COSTLY:
            break
    return chosen, f"{_name(chosen)}, the highest that was looked at: it may still matter, see what is left out"


def _bound(theory: Theory, request: Request, legs: int) -> float:
    """The highest degree that diagrams of the request can hold, infinite where no bound is known.

    With a single vertex whose fields are Wick-ordered, each of its h ends on an external leg or on one of its own z̃,
    of which as many are then missing outside: as many h as external legs.
    """
    wick = all(vertex.subtraction == "wick" for vertex in theory.vertices if vertex.degree)
    return legs if wick and request.order in (0, 1) else math.inf


def _name(theory: Theory) -> str:
    activation = theory.parameters.get("activation")
    return f"φ{f' = {activation}' if activation else ''} to degree {theory.degree}, chosen"


def _matters_no_longer(free: Estimate, sums: dict[int, Estimate], effort: Effort) -> bool:
    """Is what higher degrees add small beside the target, and beside the correction to what holds no vertex?"""
    correction = add_all(sums.values()).mean
    total = np.abs(free.mean + correction)
    allowed = np.zeros(len(total)) if effort.atol is None else np.full(len(total), effort.atol)
    if effort.rtol is not None or effort.atol is None:
        allowed = np.maximum(allowed, (effort.rtol or DEFAULT_RTOL) * total)
    further = degrees_left_out({degree: Term.of(part) for degree, part in sums.items()})
    return bool((further <= np.minimum(allowed, _OF_CORRECTION * np.abs(correction).max())).all())
