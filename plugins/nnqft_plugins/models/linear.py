"""The linear network, φ(h) = h."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from nnqft import AbstractModel, Activation, InputError, Theory, short
from nnqft_plugins.models.linear_sums import sums as linear_sums
from nnqft_plugins.models.network.rules import PARAMETERS, network_theory
from nnqft_plugins.models.parameters.activations import LINEAR
from nnqft_plugins.networks.finite_width.answers import MAX_WIDTH, answer
from nnqft_plugins.networks.weights import refuse_structure


class Linear(AbstractModel):
    """dh_i = (−γ h_i + Σ_j W_ij h_j + …) dt + √κ dB_i: exactly solvable, the reference of everything else."""

    name = "linear"
    summary = "random network with φ(h) = h"
    parameters = PARAMETERS

    def theory(self, start: str, values: Mapping[str, Any]) -> Theory:
        """The rules with their one vertex, (1,1)."""
        return network_theory(self.name, start, values, {(1, 1): Fraction(1)})

    def resummed(
        self, theory: Theory, observable: str, width: int, times: np.ndarray, indices: str | None = None
    ) -> tuple[np.ndarray, np.ndarray] | tuple[np.ndarray, np.ndarray, Sequence[str]]:
        """All cacti (width 0), all mushrooms (1) or all diagrams of width 2 of ``two_point`` and ``response``.

        Of other observables what is known of every network.
        """
        refuse_structure(theory.parameters, "order='resummed'", "write a whole number for order")
        if theory.parameters.get("expansion", "bare") != "bare":
            raise InputError("order='resummed' adds the diagrams of the expansion about 𝔚 = 0; write expansion='bare'")
        if indices is not None or observable not in ("two_point", "response", "gradient", "gradient_variance"):
            return self._as_any_network(theory, observable, indices, width, times)
        if width > linear_sums.MAX_WIDTH:
            raise InputError(f"width_order={short(width)}: the linear network is summed for width_order=0, 1 or 2")
        values = theory.parameters
        gamma, sigma = values["gamma"], values["sigma_w"]
        if observable in ("gradient", "gradient_variance"):
            known = linear_sums.gradient if observable == "gradient" else linear_sums.gradient_variance
            sums = known(width, gamma, sigma, times[:, 0] - times[:, 1])
            return float(theory.N) ** -width * sums[0], float(theory.N) ** -width * sums[1]
        if theory.stationary and sigma >= gamma:
            raise InputError(
                f"sigma_w={sigma:g}: the sum of all cacti diverges for σ_w² ≥ γ² = {gamma**2:g}; wanted"
                f" sigma_w < {gamma:g}, or write start='rest'"
            )
        if observable == "response":
            sums = linear_sums.response(width, gamma, sigma, times[:, 0] - times[:, 1])
        elif width <= MAX_WIDTH and _moves_from_rest(theory):
            return self._as_any_network(theory, observable, indices, width, times)
        else:
            sums = self._two_point(theory, width, times)
        factor = float(theory.N) ** -width
        return factor * sums[0], factor * sums[1]

    @staticmethod
    def _as_any_network(
        theory: Theory, observable: str, indices: str | None, width: int, times: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, Sequence[str]]:
        found = answer(theory, LINEAR, observable, indices, width, times)
        assert found is not None  # it has all parameters of a network
        return found

    def _two_point(self, theory: Theory, width: int, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        values = theory.parameters
        gamma, sigma, kappa = values["gamma"], values["sigma_w"], values["kappa"]
        q = values["q"] if isinstance(values["q"], tuple) else ((0.0, values["q"]),)
        driven = [(0.0, values["sigma_b"] ** 2), *((rate, values["sigma_u"] ** 2 * weight) for rate, weight in q)]
        if theory.stationary:
            lags = np.abs(times[:, 0] - times[:, 1])
            return linear_sums.stationary_two_point(width, gamma, sigma, kappa, driven, lags)
        if _moves_from_rest(theory):
            raise InputError(
                "from rest width order 2 is known for an input that stays: write a number for q, start='stationary' or"
                " width_order=1"
            )
        if sigma * times.max() > linear_sums.MAX_SPAN:
            latest = linear_sums.MAX_SPAN / sigma
            raise InputError(f"times={short(float(times.max()))}: from rest the sum reaches to t = {latest:g}")
        static = sum(weight for _, weight in driven)
        return linear_sums.rest_two_point(width, gamma, sigma, kappa, static, times)

    def activation(self, values: Mapping[str, Any]) -> Activation:
        """The activation φ(h) = h."""
        return LINEAR


def _moves_from_rest(theory: Theory) -> bool:
    """Is there an input from rest that changes in time?"""
    q = theory.parameters["q"]
    moving = isinstance(q, tuple) and any(rate and weight for rate, weight in q)
    return not theory.stationary and moving and theory.parameters["sigma_u"] > 0.0
