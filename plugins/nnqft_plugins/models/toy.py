"""No time at all: p(z) ∝ exp(−z²/2 − Σ_p action[p] z^p/p!)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from nnqft import AbstractModel, Field, InputError, Leg, Parameter, Propagator, Term, Theory, Vertex
from nnqft_plugins.models.parameters.checks import coefficients_such_as


class Toy(AbstractModel):
    """A plain integral with a polynomial action: every line is 1, so a diagram is its weight."""

    name = "toy"
    summary = "no time: p(z) ∝ exp(−z²/2 − Σ_p action[p] z^p/p!); order counts vertices"
    parameters: Mapping[str, Parameter] = {
        "action": Parameter({4: 1.0}, "{power: coefficient}", check=coefficients_such_as("{4: 1.0}")),
    }
    starts = ("stationary",)

    def theory(self, start: str, values: Mapping[str, Any]) -> Theory:
        """One vertex −action[p]/p! z^p for each power."""
        action = dict(values["action"] or ())
        if 0 in action:
            raise InputError("action[0]: a constant only changes the normalisation; leave it out")
        return Theory(
            model=self.name,
            start=start,
            parameters=dict(values),
            fields=(Field("h", "z", "the variable"),),
            propagators=(Propagator("C", "h", "h", "1", (Term(1.0, 0.0),)),),
            vertices=tuple(
                Vertex(f"z^{p}", (Leg("h", power=p),), -Fraction(1, math.factorial(p)), ((f"action[{p}]", 1),))
                for p in action
            ),
            couplings={f"action[{p}]": a for p, a in action.items()},
            timeless=True,
        )
