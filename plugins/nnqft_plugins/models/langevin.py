"""One site without disorder: dx = −Σ_p a_p x^p dt + √noise dB."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.polynomial import Polynomial

from nnqft import AbstractModel, Field, InputError, Leg, Parameter, Propagator, Term, Theory, Vertex
from nnqft_plugins.models.parameters.checks import SLOWEST, coefficients_such_as


class Langevin(AbstractModel):
    """Langevin equation with a polynomial drift; the linear part is in the lines, each other power is a vertex."""

    name = "langevin"
    summary = "one site, no disorder: dx = −Σ_p drift[p] x^p dt + √noise dB; order counts vertices"
    parameters: Mapping[str, Parameter] = {
        "drift": Parameter(
            {1: 1.0, 3: 1.0}, "{power: coefficient}, 1/time", check=coefficients_such_as("{1: 1.0, 3: 1.0}")
        ),
        "noise": Parameter(2.0, "2D, 1/time", low=0.0),
    }

    def theory(self, start: str, values: Mapping[str, Any]) -> Theory:
        """One local vertex −a_p z̃ x^p for each power but the first."""
        drift = dict(values["drift"] or ())
        mu = drift.pop(1, 0.0)
        if mu < SLOWEST:
            raise InputError(_why_not(dict(values["drift"] or ()), mu))
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


def _why_not(drift: Mapping[int, float], mu: float) -> str:
    """Why there is no expansion about x = 0, and what to write instead: x shifted to a minimum, where there is one."""
    force = Polynomial([drift.get(p, 0.0) for p in range(max(drift, default=0) + 1)])
    came = f"drift[1]={mu:g}: x = 0 is no minimum of the potential"
    roots = force.roots()
    real = [float(root.real) for root in roots.tolist() if abs(complex(root).imag) <= 1e-9 * (1 + abs(root))]
    stable = [(float(force.deriv()(root)), root) for root in real if force.deriv()(root) >= max(SLOWEST, 1e-6)]
    if not stable:
        return f"{came}, and it has none; wanted drift[1] > 0, write for example drift={{1: 1.0, 3: 1.0}}"
    _, minimum = max(stable)
    moved = force(Polynomial([minimum, 1.0])).coef
    shifted = ", ".join(f"{p}: {c:.10g}" for p, c in enumerate(moved) if p and abs(c) > 1e-12 * abs(moved).max())
    others = f" (one of {len(stable)})" if len(stable) > 1 else ""
    return f"{came}; shift x to a minimum: with x = {minimum:.10g} + y{others} write drift={{{shifted}}}"
