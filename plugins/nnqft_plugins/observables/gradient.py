"""How small changes of one unit's past spread: the mean square of the response of all units."""

from __future__ import annotations

import numpy as np

from nnqft import AbstractObservable, InputError, Leg, Theory
from nnqft_plugins.networks.finite_width.gradient import mean_square_gradient


class GradientVariance(AbstractObservable):
    """The variance of Σ_j (∂h_i(t)/∂h_j(s))² over networks, noise and units i, which begins at order 1/N.

    Known for φ = h at that order; simulated for any φ.
    """

    name = "gradient_variance"
    summary = "variance of Σ_j (∂h_i(t)/∂h_j(s))² over networks and units, with --order resummed"

    def legs(self, theory: Theory, arity: int) -> tuple[Leg, ...]:
        """Refused: there are none."""
        raise InputError("gradient_variance: known as a sum of all orders only; write order='resummed', width_order=1")

    def resummed(self, theory: Theory, width: int, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Refused: what is known of it the linear network knows."""
        raise InputError("gradient_variance: known for φ = h to order 1/N only; networks of other φ can be simulated")


class Gradient(AbstractObservable):
    """E Σ_j (∂h_i(t)/∂h_j(s))², of one network under one noise: 1 at t = s, 0 before; it grows as e^{2λ(t−s)}.

    It is no sum of diagrams here, as squares of derivatives are not the second derivative of a correlation function:
    ``order="resummed"`` has it, at N → ∞ for any activation, and for φ = h to order 1/N².
    """

    name = "gradient"
    summary = "E Σ_j (∂h_i(t)/∂h_j(s))², with --order resummed"

    def legs(self, theory: Theory, arity: int) -> tuple[Leg, ...]:
        """Refused: there are none."""
        raise InputError("gradient: known as a sum of all orders only; write order='resummed', width_order=0")

    def resummed(self, theory: Theory, width: int, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Its value at N → ∞, from mean-field theory."""
        if width > 0:
            raise InputError("gradient: order 1/N is known for the linear network only; write width_order=0")
        return mean_square_gradient(theory, times)
