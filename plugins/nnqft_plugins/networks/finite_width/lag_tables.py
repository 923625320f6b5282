"""Averages of φ(h(t)) φ(h(t − τ)) and of its derivatives, at N → ∞, for each lag of a stationary grid.

Derivatives act on Hermite coefficients: with x_1 = α u + β w, x_2 = α u − β w (module `pairs`) and h = size·x,

    ∂_1 + ∂_2 = ∂_u/(α size) ,     ∂_1 − ∂_2 = ∂_w/(β size) ,

so that φ is asked for values alone, and kinks and jumps need no special care. A change of the correlator is split by

    δC_12 ∂_1∂_2 + ½ δC_11 ∂_1² + ½ δC_22 ∂_2² = S D_S + E D_E + Δ D_Δ ,
    S = ½(δC_11 + δC_22) ,  E = δC_12 − S ,  Δ = ½(δC_11 − δC_22) ,
    D_S = ½(∂_1 + ∂_2)² ,  D_E = ∂_1∂_2 ,  D_Δ = ½(∂_1² − ∂_2²) ,

where E and Δ vanish with the lag as the averages of D_E and D_Δ grow.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property

import numpy as np

from nnqft_plugins.networks.finite_width.kinked import kinked_coefficients
from nnqft_plugins.networks.finite_width.pairs import coefficients
from nnqft_plugins.networks.meanfield.panels import narrowest
from nnqft_plugins.networks.meanfield.remembering import remembered
from nnqft_plugins.networks.network import Network


class LagTables:
    """All of it at lags 0, step, … of a correlator.

    Parameters
    ----------
    network
    C
        (n + 1,) correlator at these lags.
    degree
        Highest degree of the coefficients that are wanted.
    """

    def __init__(self, network: Network, C: np.ndarray, degree: int) -> None:
        self.network, self.degree = network, degree
        self.size = math.sqrt(C[0])
        self.rho = np.clip(C / C[0], -1.0, 1.0)
        self.rho[0] = 1.0
        self.n = len(C) - 1

    @cached_property
    def _wide(self) -> np.ndarray:
        """g_mn of φφ up to two degrees more; from degree 4 on anyway."""
        phi = self.network.activation
        sizes = np.full(self.n + 1, self.size)
        degree = max(self.degree, 2) + 2
        if phi.kinks:
            return kinked_coefficients(phi.value, phi.value, (sizes, sizes), self.rho, degree, phi.kinks)
        finest = math.inf if phi.coefficients is not None else _narrowest(phi.value)
        return coefficients(phi.value, phi.value, (sizes, sizes), self.rho, degree, finest)

    @cached_property
    def phi_phi(self) -> np.ndarray:
        """(n + 1, degree + 1, degree + 1) coefficients of φφ."""
        return self._wide[:, : self.degree + 1, : self.degree + 1]

    @cached_property
    def _scales(self) -> tuple[np.ndarray, np.ndarray]:
        """1/(α size) and 1/(β size), the latter 0 at lag 0."""
        alpha, beta = np.sqrt((1 + self.rho) / 2), np.sqrt((1 - self.rho) / 2)
        inverse = np.divide(1.0, beta, out=np.zeros_like(beta), where=beta > 0.0)
        return 1 / (alpha * self.size), inverse / self.size

    def _derived(self, by_u: int, by_w: int) -> np.ndarray:
        """Coefficients of (∂_1 + ∂_2)^by_u (∂_1 − ∂_2)^by_w φφ, by_u + by_w = 2."""
        g, kept = self._wide, self.degree + 1
        m, n = np.arange(kept + by_u), np.arange(kept + by_w)
        lower_m = np.sqrt(np.prod([m[by_u:] - i for i in range(by_u)], axis=0))
        lower_n = np.sqrt(np.prod([n[by_w:] - i for i in range(by_w)], axis=0))
        u, w = self._scales
        scale = u**by_u * w**by_w
        cut = g[:, by_u : kept + by_u, by_w : kept + by_w] * np.reshape(lower_m, (-1, 1)) * lower_n
        return cut * scale[:, None, None]

    @cached_property
    def changed(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Coefficients of D_S, D_E and D_Δ of φφ; at lag 0 the last two are 0."""
        uu, uw, ww = self._derived(2, 0), self._derived(1, 1), self._derived(0, 2)
        by_E = 0.25 * (uu - ww)
        by_E[0] = 0.0
        return 0.5 * uu, by_E, 0.5 * uw

    def mean(self, by_u: int, by_w: int) -> np.ndarray:
        """(n + 1,) ⟨(∂_1 + ∂_2)^by_u (∂_1 − ∂_2)^by_w φφ⟩, of up to four derivatives; at lag 0 none by w."""
        u, w = self._scales
        root = math.sqrt(math.factorial(by_u) * math.factorial(by_w))
        return np.asarray(self._wide[:, by_u, by_w] * root * u**by_u * w**by_w)

    @cached_property
    def slope_slope(self) -> np.ndarray:
        """(n + 1,) ⟨φ'φ'⟩, at lag 0 as at the first lag."""
        found = 0.25 * (self.mean(2, 0) - self.mean(0, 2))
        found[0] = found[1]
        return found

    @cached_property
    def curved(self) -> np.ndarray:
        """(n + 1,) ⟨φ''φ⟩, so that at lag 0 ⟨φ'φ'⟩ + ⟨φ''φ⟩ = ½ ⟨(φ²)''⟩."""
        found = 0.25 * (self.mean(2, 0) + self.mean(0, 2))
        found[0] = 0.5 * self.mean(2, 0)[0] - self.slope_slope[0]
        return found

    @cached_property
    def slope(self) -> np.ndarray:
        """(n + 1,) ⟨φ'φ⟩, a half of the derivative of φφ at equal arguments."""
        return 0.5 * self.mean(1, 0)


@remembered(64)
def _narrowest(function: Callable[[np.ndarray], np.ndarray]) -> float:
    return narrowest(function) / 2
