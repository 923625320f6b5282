"""Contributions in exact fractions: sums of the closed forms of diagrams."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from nnqft.errors import InputError
from nnqft.graphs.diagram import Diagram
from nnqft.graphs.diagram_set import DiagramSet
from nnqft.host import plugin_errors
from nnqft.integrals.closed_form import ClosedForm, add_forms, rational
from nnqft.integrals.distinct import column_of, distinct_integrals
from nnqft.rules.theory import Theory
from nnqft.stages.jobs import candidates_of, choose


def sum_closed_forms(diagrams: DiagramSet, order: int, width: int) -> ClosedForm:
    """Σ weight × closed form over the diagrams of an order and width, in fractions.

    Raises
    ------
    InputError
        If an integral has no closed form.
    """
    theory = diagrams.theory
    arity = 1 + max(column_of(leg) for leg in diagrams.layout.externals)
    part = diagrams.subset(np.flatnonzero((diagrams.orders == order) & (diagrams.widths == width)))
    # A part without diagrams still has the unit of time of the others.
    integrals, same = distinct_integrals(part if len(part) else diagrams.subset(np.arange(1)), np.zeros((1, arity)))
    weights = dict.fromkeys(range(len(integrals)), Fraction(0))
    for diagram, n in zip(part, same.tolist(), strict=False):
        weights[n] += _exact_weight(diagram, theory)
    exact_integrators = [i for i in candidates_of("auto") if i.exact]
    forms = []
    for n, weight in weights.items():
        chosen, reason = choose(exact_integrators, integrals[n])
        if chosen is None:
            raise InputError(f"no closed form: no exact integrator takes one of the integrals ({reason})")
        with plugin_errors(f"integrator {chosen.name!r}"):
            forms.append((weight, chosen.closed_form(integrals[n])))
    return add_forms(forms, forms[0][1].gamma)


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
