"""One site without disorder: dx = −Σ_p a_p x^p dt + √noise dB."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nnqft import AbstractModel, Field, InputError, Leg, Parameter, Propagator, Term, Theory, Vertex
from nnqft_plugins.models.parameters.checks import SLOWEST, check_coefficients


class Langevin(AbstractModel):
    """Langevin equation with a polynomial drift; the linear part is in the lines, each other power is a vertex."""

    name = "langevin"
    summary = "one site, no disorder: dx = −Σ_p drift[p] x^p dt + √noise dB; order counts vertices"
    parameters: Mapping[str, Parameter] = {
        "drift": Parameter({1: 1.0, 3: 1.0}, "{power: coefficient}, 1/time", check=check_coefficients),
        "noise": Parameter(2.0, "2D, 1/time", low=0.0),
    }

    def theory(self, start: str, values: Mapping[str, Any]) -> Theory:
        """One local vertex −a_p z̃ x^p for each power but the first."""
        drift = dict(values["drift"] or ())
        mu = drift.pop(1, 0.0)
        if mu < SLOWEST:
            raise InputError(f"drift[1]={mu:g}: wanted at least {SLOWEST:g}, or the free theory does not relax")
        variance = values["noise"] / (2 * mu)
        terms: tuple[Term, ...] = (Term(variance, mu),)
        formula = "(noise/2μ) e^{−μ|t−s|}"
        if start == "rest":
            terms += (Term(-variance, mu, 2 * mu),)
            formula = "(noise/2μ) (e^{−μ|t−s|} − e^{−μ(t+s)})"
        return Theory(
            model=self.name,
            start=start,
            parameters=dict(values),
            fields=(Field("h", "x(t)", "position"), Field("z", "x̃(t)", "response field", response=True)),
            propagators=(
                Propagator("C", "h", "h", formula, terms),
                Propagator("G", "h", "z", "θ(t−s) e^{−μ(t−s)},  θ(0) = 0", (Term(1.0, mu),)),
            ),
            vertices=tuple(
                Vertex(f"z x^{p}", (Leg("z"), *([Leg("h", power=p)] if p else [])), -1, ((f"drift[{p}]", 1),))
                for p in drift
            ),
            couplings={f"drift[{p}]": a for p, a in drift.items()},
        )
