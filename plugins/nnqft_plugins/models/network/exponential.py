"""The mean-field line of a polynomial activation that is an exponential, and what to do where there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from nnqft import InputError, Propagator, Term
from nnqft_plugins.models.network.averages import PolynomialAverage
from nnqft_plugins.models.network.lines import correlator_terms


def briefly(values: Mapping[str, Any]) -> str:
    """What there is where the variance runs away: not even from rest does it last for long."""
    return f"start='rest' and a short T, such as T={0.1 / values['gamma']:g},"


def exponential_line(values: Mapping[str, Any], average: PolynomialAverage) -> Propagator:
    """The free line at the rate 1/ξ_0 and with the static source that the average adds."""
    gamma, coupling = values["gamma"], values["sigma_w"] ** 2

    def dressed(variance: float) -> tuple[float, tuple[Term, ...]] | None:
        factors = average.at_variance(variance)
        stiffness = gamma**2 - coupling * factors.get(1, 0.0)
        if stiffness <= 0:
            return None
        rate = math.sqrt(stiffness)
        return rate, correlator_terms("stationary", values, rate, coupling * factors.get(0, 0.0))

    def excess(variance: float) -> float:
        found = dressed(variance)
        return math.inf if found is None else sum(complex(term.amplitude).real for term in found[1]) - variance

    # The factors depend on C(0): the smallest that is its own. From below, excess is positive.
    trial = np.concatenate([[0.0], np.geomspace(1e-9, 1e9, 800)])
    above = next((n for n, variance in enumerate(trial.tolist()) if excess(variance) <= 0), None)
    found = None
    if above is not None:
        low, high = float(trial[max(above - 1, 0)]), float(trial[above])
        for _ in range(80):  # bisection, because excess may be infinite
            middle = (low + high) / 2
            low, high = (middle, high) if excess(middle) > 0 else (low, middle)
        found = dressed(high)
    if found is None:
        slopes = [x for (r, a, b), x in average.terms if r == 1 and a == b == 0]
        linear = slopes if all(a == b == 0 for (_, a, b), _ in average.terms) else []
        why, rest = "the average ⟨φφ⟩ feeds C(0) beyond all bounds", briefly(values)
        if linear:
            why, rest = "for φ = h it needs sigma_w < gamma", "start='rest'"
            if linear[0] != 1:
                why = f"for φ with slope {math.sqrt(linear[0]):g} it needs sigma_w < {gamma / math.sqrt(linear[0]):g}"
        raise InputError(
            f"expansion='saddle': no stationary mean-field line at sigma_w={values['sigma_w']:g},"
            f" gamma={gamma:g}; {why}; write a smaller sigma_w, {rest} or expansion='bare'"
        )
    rate, terms = found
    powers = {r for (r, _, _), _ in average.terms}
    slope = "σ_w²" if average.terms == (((1, 0, 0), 1.0),) else "σ_w² ∂⟨φφ⟩/∂C"
    formula = "(κ/2) ξ_0 e^(−|t−s|/ξ_0)"
    if 0 in powers:
        formula += " + (σ_b² + σ_w² ⟨φφ⟩_(C=0)) ξ_0²"
    elif values["sigma_b"] > 0:
        formula += " + σ_b² ξ_0²"
    formula += " + σ_u² ∬ G_MF G_MF q" * (values["sigma_u"] > 0)
    formula += f",  ξ_0 = (γ² − {slope})^(−1/2) = {1 / rate:.6g}"
    return Propagator("C", "h", "h", formula, terms)
