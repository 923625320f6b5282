"""The random network with activation sin(h), by its Taylor series."""

from collections.abc import Mapping
from fractions import Fraction
from math import factorial
from typing import Any

from nnqft import AbstractModel, Field, Leg, Parameter, Propagator, Term, Theory, Vertex


class Sine(AbstractModel):
    """dh_i = (−γ h_i + Σ_j W_ij sin h_j) dt + √κ dB_i, averaged over W_ij ~ N(0, σ_w²/N)."""

    name = "sine"
    summary = "random network with φ(h) = sin h = h − h³/6 + …"
    starts = ("stationary",)
    parameters = {
        "gamma": Parameter(1.0, "leak rate γ, 1/time", low=0.0, open_low=True),
        "kappa": Parameter(1.0, "noise strength κ, 1/time", low=0.0),
        "sigma_w": Parameter(1.0, "weights σ_w, 1/time", low=0.0),
        "N": Parameter(1, "width", low=1, integer=True),
        "degree": Parameter(3, "highest power of h kept", low=1, high=13, integer=True),
    }

    def theory(self, start: str, values: Mapping[str, Any]) -> Theory:
        """One vertex (σ_w²/2N) c_p c_q z̃_i(t1) z̃_i(t2) h_j(t1)^p h_j(t2)^q a pair of powers, (p,q) and (q,p) added."""
        gamma, kappa = values["gamma"], values["kappa"]
        phi = {p: Fraction((-1) ** (p // 2), factorial(p)) for p in range(1, values["degree"] + 1, 2)}
        z_z = Leg("z", 0, "i"), Leg("z", 1, "i")
        vertices = [
            Vertex(f"({p},{q})", (*z_z, Leg("h", 0, "j", p), Leg("h", 1, "j", q)), c, (("sigma_w", 2),), width=1)
            for p in phi
            for q in phi
            if p <= q and (c := phi[p] * phi[q] / (2 if p == q else 1))
        ]
        correlator = Propagator("C", "h", "h", "(κ/2γ) e^{−γ|t−s|}", (Term(kappa / (2 * gamma), gamma),))
        response = Propagator("G", "h", "z", "θ(t−s) e^{−γ(t−s)}", (Term(1.0, gamma),))
        fields = Field("h", "h_i(t)", "hidden state"), Field("z", "z̃_i(t)", "response field", response=True)
        return Theory(self.name, start, dict(values), fields, (correlator, response), tuple(vertices))
