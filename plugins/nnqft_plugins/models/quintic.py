"""The talk's quintic interaction: φφ of the tanh network cut off at fourth order in h."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from nnqft import AbstractModel, Theory
from nnqft_plugins.models.network.rules import NONLINEAR, network_theory


class Quintic(AbstractModel):
    """φ(h1) φ(h2) → h1 h2 − (h1 h2³ + h1³ h2)/3: the 5-point vertex 𝔚̃ h h³ beside the linear one."""

    name = "quintic"
    summary = "random network with φφ = h h − (2/3) h h³, the 5-point interaction"
    parameters = NONLINEAR

    def theory(self, start: str, values: Mapping[str, Any]) -> Theory:
        """Two vertices."""
        return network_theory(self.name, start, values, {(1, 1): Fraction(1), (1, 3): Fraction(-1, 3)})
