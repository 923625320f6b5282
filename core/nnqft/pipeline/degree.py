"""The degree at which an activation's expansion is cut, chosen by looking at what higher degrees would add.

About the saddle the coefficients of an activation's expansion do not depend on where it is cut, so the diagrams of a
degree are those of the degrees below and some more. They are looked at roughly, degree by degree, until what is left
out no longer matters; then the one computation that counts begins.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nnqft.errors import InputError
from nnqft.graphs.diagram_set import DiagramSet
from nnqft.integrals.estimate import Estimate, add_all
from nnqft.results.continuation import Term
from nnqft.results.truncation import degrees_left_out
from nnqft.rules.theory import Theory
from nnqft.show.numbers import spread
from nnqft.show.watch import OutOfTime, time_limit
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
_WORTH = 512
"""Samples of a diagram, below which a budget is refused."""
_CHEAP = 1000
"""Diagrams up to which one degree more is taken for the sake of the correction alone."""
_COSTLY = 3000
"""Diagrams that are too many to go one degree further on a guess."""
_EMPTY = 6
"""Degrees without any diagram at which the search ends: layers from rest begin with the third."""
_SHARE = 0.25
"""Of a time limit, after which the choice ends with what is known."""
_UNKNOWN = "higher ones may matter, see what is left out"


def choose_degree(theory: Theory, request: Request, effort: Effort) -> tuple[Theory, str]:
    """The theory cut where higher degrees no longer matter to this request, and a note that says so.

    Where the diagrams of the request hold no vertices of higher degrees at all, nothing is cut, and `Theory.degree` of
    what is returned is None.
    """
    search = _Search(theory, request, effort)
    degrees = sorted({vertex.degree for vertex in theory.vertices if vertex.degree})
    try:
        with time_limit(None if effort.time_limit is None else _SHARE * effort.time_limit):
            return _look_for(search, degrees)
    except OutOfTime:
        # Each degree holds what the lower ones do: the first that there was no time for is not known to matter.
        best = search.best or degrees[0]
        return theory.up_to(best), f"{search.name_of(best)}, as far as time allowed: {_UNKNOWN}"


def _look_for(search: _Search, degrees: Sequence[int]) -> tuple[Theory, str]:
    """See `choose_degree`."""
    theory = search.theory
    for degree in degrees:
        known = search.diagrams(degree)
        if isinstance(known, str):
            return theory.up_to(search.best), f"{search.name}; {known}"
        search.add(degree, known)
        if search.empty == (2 if search.sums else _EMPTY) or degree >= _bound(
            theory, search.request, len(known.layout.externals)
        ):
            # Vertices of even and of odd degree may alternate: two without a diagram are the end, once some had any.
            cut = replace(theory.up_to(max(search.last, degrees[0])), degree=None)
            return cut, f"{search.name}: diagrams of this order hold no higher one"
        if search.matters_no_longer(len(known)):
            return theory.up_to(search.best), f"{search.name}: what higher ones add no longer matters"
        if search.worse == 2:
            return theory.up_to(search.best), f"{search.name}: with higher ones no less is known to be left out"
        if len(known) > _COSTLY:
            break
    return theory.up_to(search.best), f"{search.name}, as far as was looked: {_UNKNOWN}"


class _Search:
    """What is known of the sums by degree so far: rough values, and what they leave out."""

    def __init__(self, theory: Theory, request: Request, effort: Effort) -> None:
        self.theory, self.request, self.effort = theory, request, effort
        self.times = np.array(request.times)[spread(len(request.times), _TIMES)]
        self.free = Estimate.exact(np.zeros(len(self.times)))
        self.sums: dict[int, Estimate] = {}
        self.left: dict[int, np.ndarray] = {}
        self.empty = 0

    @property
    def last(self) -> int:
        """The highest degree that any diagram holds."""
        return max(self.sums, default=0)

    @property
    def best(self) -> int:
        """The degree with which least is left out; a higher one only if it leaves out less."""
        return min(self.left, key=lambda degree: (float(self.left[degree].max()), degree), default=self.last)

    @property
    def worse(self) -> int:
        """How many degrees were looked at beyond the best one."""
        return sum(degree > self.best for degree in self.left)

    @property
    def name(self) -> str:
        """The activation and where it is cut, for a note."""
        return self.name_of(self.best)

    def name_of(self, degree: int) -> str:
        """The same for any degree."""
        activation = self.theory.parameters.get("activation")
        return f"φ{f' = {activation}' if activation else ''} to degree {degree}, chosen"

    def diagrams(self, degree: int) -> DiagramSet | str:
        """The diagrams up to a degree, or why they are not looked at."""
        try:
            known = requested_diagrams(self.theory.up_to(degree), self.request, self.effort.max_diagrams)
        except InputError:
            if not self.sums:
                raise
            return "a higher one makes too many diagrams to be looked at"
        neval = self.effort.neval
        if self.sums and neval is not None and len(known) * _WORTH > neval:
            return f"a higher one makes more diagrams than neval={neval} can sample"
        return known

    def add(self, degree: int, known: DiagramSet) -> None:
        """Look at the diagrams that a degree adds."""
        if not self.sums and not self.empty:
            self.free = self._rough(known.subset(np.flatnonzero(known.degrees == 0)))
        added = known.subset(np.flatnonzero(known.degrees == degree))
        self.empty = 0 if len(added) else self.empty + 1
        if len(added):
            self.sums[degree] = self._rough(added)
            if len(self.sums) > 1:
                terms = {n: Term.of(part) for n, part in self.sums.items()}
                self.left[degree] = degrees_left_out(terms)

    def _rough(self, diagrams: DiagramSet) -> Estimate:
        return rough_sum(diagrams, self.times, self.request.seed)

    def matters_no_longer(self, diagrams: int) -> bool:
        """Is what the best degree leaves out within the target, and while that is cheap small beside the correction?"""
        if not self.left:
            return False
        correction = add_all(self.sums.values()).mean
        target = self.effort.target()
        # A budget or a limit alone says nothing of errors: what is asked for without any target is looked for.
        target = replace(target, rtol=DEFAULT_RTOL) if target.only_budget else target
        allowed = target.tolerance(self.free.mean + correction)
        if diagrams <= _CHEAP:
            allowed = np.minimum(allowed, _OF_CORRECTION * np.abs(correction).max())
        return bool((self.left[self.best] <= allowed).all())


def _bound(theory: Theory, request: Request, legs: int) -> float:
    """The highest degree that diagrams of the request can hold, infinite where no bound is known.

    With a single vertex whose fields are Wick-ordered, each of its h ends on an external leg or on one of its own z̃,
    of which as many are then missing outside: as many h as external legs.
    """
    wick = all(vertex.subtraction == "wick" for vertex in theory.vertices if vertex.degree)
    return legs if wick and request.order in (0, 1) else math.inf
