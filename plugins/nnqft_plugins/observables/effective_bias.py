"""The static drive that the plateau of C(τ) stands for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nnqft import AbstractDerivedObservable, InputError, Need, Theory
from nnqft_plugins.observables.plateau import check_stationary, plateau_lag


class EffectiveBias(AbstractDerivedObservable):
    """σ_eff² in 1/time², from plateau = C(τ → ∞).

    ``drive`` is γ²·plateau, the variance of everything static that acts on a unit: bias, input and what the other units
    send. Exact at any width and for any φ, because a static part obeys γ h = drive; with adaptation γ + β is for γ.
    ``bias`` is (γ² − σ_w²)·plateau, which is σ_{b,eff}² = σ_b² + σ_u² q of a linear network at N → ∞ (docs/physics.md);
    at finite width it exceeds that by what finite width adds to the plateau.
    """

    name = "effective_bias"
    summary = "from the plateau of C(τ): drive γ²·plateau, and bias (γ²−σ_w²)·plateau, σ_b²+σ_u²q at N → ∞ if linear"
    arity = 0

    def needs(self, theory: Theory, times: np.ndarray | None) -> Mapping[str, Need]:
        """C at a lag where nothing but the plateau is left."""
        check_stationary(theory, self.name)
        if not {"gamma", "sigma_w"} <= set(theory.parameters):
            raise InputError(f"effective_bias needs a network, and model {theory.model!r} has no gamma or no sigma_w")
        return {"far": Need("two_point", ((plateau_lag(theory) or 0.0, 0.0),))}

    def derive(self, theory: Theory, times: np.ndarray | None, values: Mapping[str, np.ndarray]) -> Mapping[str, Any]:
        """The variances ``drive`` and ``bias``."""
        # With adaptation a = β h of what does not change.
        gamma, sigma_w = theory.parameters["gamma"], theory.parameters["sigma_w"]
        gamma += theory.parameters.get("beta", 0.0)
        plateau = values["far"][0] if plateau_lag(theory) is not None else 0.0
        return {"drive": gamma**2 * plateau, "bias": (gamma**2 - sigma_w**2) * plateau}
