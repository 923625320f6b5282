"""The linear network, φ(h) = h."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from nnqft import AbstractModel, Activation, Theory
from nnqft_plugins.models.activations import LINEAR
from nnqft_plugins.models.network import PARAMETERS, network_theory


class Linear(AbstractModel):
    """dh_i = (−γ h_i + Σ_j W_ij h_j + …) dt + √κ dB_i: exactly solvable, the reference of everything else."""

    name = "linear"
    summary = "random network with φ(h) = h"
    parameters = PARAMETERS

    def theory(self, start: str, values: Mapping[str, Any]) -> Theory:
        """One vertex, (1,1)."""
        return network_theory(self.name, start, values, {(1, 1): Fraction(1)})

    def activation(self, values: Mapping[str, Any]) -> Activation:
        """φ(h) = h."""
        return LINEAR
