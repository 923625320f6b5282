"""The network with φ(h) = h − h³/3, tanh to third order."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import partial
from typing import Any

from nnqft import AbstractModel, Activation, Theory
from nnqft_plugins.models.network.rules import AVERAGES, NONLINEAR, activation_theory, network_theory
from nnqft_plugins.models.network.vertices import phi_phi_of
from nnqft_plugins.models.parameters.activations import CUBIC_TANH


class CubicTanh(AbstractModel):
    """φ(h) = h − h³/3 taken as it is: vertices (1,1), (1,3) and (3,3)."""

    name = "cubic_tanh"
    summary = "random network with φ(h) = h − h³/3"
    parameters = NONLINEAR | AVERAGES

    def theory(self, start: str, values: Mapping[str, Any]) -> Theory:
        """Wick-ordered vertices about the saddle, or the three of the powers of h."""
        return activation_theory(self.name, start, values, CUBIC_TANH, None, partial(self._by_powers, start))

    def _by_powers(self, start: str, values: Mapping[str, Any]) -> Theory:
        phi_phi = phi_phi_of({1: Fraction(1), 3: Fraction(-1, 3)})
        return network_theory(self.name, start, values, phi_phi, CUBIC_TANH)

    def activation(self, values: Mapping[str, Any]) -> Activation:
        """φ(h) = h − h³/3, unbounded: networks may run away."""
        return CUBIC_TANH
