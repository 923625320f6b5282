"""Fluctuations of the kernels of a stationary network, and what they change at order 1/N, on one grid of times.

    N Cov(q) = M⁻¹ F M⁻ᵀ ,     N δ⟨hh⟩ = A M⁻¹ (½ K² : N Cov(q) + T) + T_x ,

F the covariance of φφ of one unit, T what quenched weights add: the derivative of F along the response of the kernels.
F of far distances is not 0 with a bias, each unit having its own: that part, which never moves, is treated apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nnqft_plugins.networks.finite_width.lag_tables import LagTables
from nnqft_plugins.networks.finite_width.linear_response import LinearResponse
from nnqft_plugins.networks.finite_width.pairs import Crossing
from nnqft_plugins.networks.finite_width.scatter import Scatter
from nnqft_plugins.networks.network import Network


@dataclass(frozen=True)
class GridSize:
    """Of a grid: its step, its lags, the degree of Hermite series, and how many times four lags one period is."""

    step: float
    lags: int
    degree: int
    periods: int = 1


class StationaryGrid:
    """All that a grid gives.

    Parameters
    ----------
    network
    correlator
        C at N → ∞ of lags ≥ 0, and its plateau.
    size
    """

    def __init__(
        self, network: Network, correlator: Callable[[np.ndarray], np.ndarray], plateau: float, size: GridSize
    ) -> None:
        self.network, self.size, self.n = network, size, size.lags
        self.reach = 2 * size.lags
        self.C = np.asarray(correlator(size.step * np.arange(2 * self.reach + 2 * size.lags + 1)))
        self.plateau = plateau if plateau > 0.0 else 0.0
        self.k = np.arange(self.n + 1)
        self.tables = LagTables(network, self.C[: self.n + 1], size.degree)
        self.linear = LinearResponse(network, self.tables, size.step, 2 * self.reach * size.periods)

    def _at(self, steps: np.ndarray) -> np.ndarray:
        return np.asarray(self.C[np.abs(steps)])

    def _crossing(self, k: int, others: np.ndarray, d: np.ndarray) -> Crossing:
        """Of the pair of lag k with those of lags `others` that end d before it does, (P', D)."""
        j, d = others[:, None], d[None, :]
        between = [self._at(x) / self.C[0] for x in (d, d + j, d - k, d + j - k)]
        rho = self.tables.rho
        return Crossing.of(rho[[[k]]], rho[j], (between[0], between[1], between[2], between[3]))

    # ---- fluctuations --------------------------------------------------------------------------------------------

    @cached_property
    def _scatter(self) -> tuple[np.ndarray, np.ndarray]:
        """(frequencies, n+1, n+1) F without its plateau, and (n+1, n+1) the plateau."""
        period = self.linear.period
        d = np.arange(-self.reach, self.reach)
        F = np.zeros((self.n + 1, self.n + 1, period))
        far = self._far_scatter
        table = self.tables.phi_phi
        for k in range(self.n + 1):
            j = self.k[: k + 1]
            found = Scatter(table[j], self._crossing(k, j, d), self.size.degree).covariance(table[k])[0]
            found -= far[k, j, None]
            F[j[:, None], k, -d[None, :] % period] = found
            F[k, j[:, None], d[None, :] % period] = found
        return self.linear.fourier(F), far

    @cached_property
    def _far_scatter(self) -> np.ndarray:
        """F of pairs with nothing in common but what never moves."""
        if not self.plateau:
            return np.zeros((self.n + 1, self.n + 1))
        rho = np.full((self.n + 1, self.n + 1), self.plateau / self.C[0])
        crossing = Crossing.of(self.tables.rho[:, None], self.tables.rho[None, :], (rho, rho, rho, rho))
        g, powers = self.tables.phi_phi[:, :, 0], np.arange(1, self.size.degree + 1)
        return np.asarray(((crossing.uu[..., None] ** powers) * g[:, None, 1:] * g[None, :, 1:]).sum(axis=-1))

    def _heard_by_kernels(self) -> tuple[np.ndarray, np.ndarray]:
        """⟨⟨hh ; φφ⟩⟩ of one unit, (frequencies, n+1, n+1) without and (n+1, n+1) with what never moves."""
        d = np.arange(-self.reach, self.reach)
        k, j = self.k[:, None, None], self.k[None, :, None]
        found = self._pairings(self._at(d), self._at(d - k), self._at(d + j), self._at(d + j - k))
        far = np.broadcast_to(self.plateau**2 * self.tables.mean(2, 0), (self.n + 1, self.n + 1))
        period = self.linear.period
        full = np.zeros((self.n + 1, self.n + 1, period))
        full[:, :, d % period] = found - far[:, :, None]
        return self.linear.fourier(full), far

    def _pairings(self, c11: np.ndarray, c21: np.ndarray, c12: np.ndarray, c22: np.ndarray) -> np.ndarray:
        """Σ_ij C(a_1,b_i) C(a_2,b_j) ⟨∂_i∂_j φφ_b⟩ with c_ij = C(a_i, b_j)."""
        slopes, curved = (x[None, :, None] for x in (self.tables.slope_slope, self.tables.curved))
        return np.asarray(curved * (c11 * c21 + c12 * c22) + slopes * (c11 * c22 + c12 * c21))

    def _sandwich(self, F: np.ndarray, heard: np.ndarray | None, L: np.ndarray) -> np.ndarray:
        """L F L† and, with what x hears itself, X L† + h.c."""
        dagger = np.conj(np.swapaxes(L, -1, -2))
        inner = L @ F
        if heard is None:
            return np.asarray(inner @ dagger)
        half = heard @ dagger
        return np.asarray(inner @ dagger + half + np.conj(np.swapaxes(half, -1, -2)))

    @cached_property
    def cumulant(self) -> np.ndarray:
        """(n+1, n+1, period) N ⟨⟨h_i(t) h_i(t−k) ; h_j(t−d) h_j(t−d−j)⟩⟩, i ≠ j, d from 0 to one period."""
        L = self.linear.to_correlators
        (F, far), (X, far_x) = self._scatter, self._heard_by_kernels()
        moving = self.linear.back(self._sandwich(F, X, L))
        return moving + self._sandwich(far, far_x, L[0].real)[:, :, None]

    # ---- order 1/N -----------------------------------------------------------------------------------------------

    @cached_property
    def _curved(self) -> np.ndarray:
        """(n+1,) ½ K² : N Cov(q), with the covariance of the correlators that q makes."""
        L, k = self.linear.to_correlators, self.k
        F, far = self._scatter
        LF, still = L @ F, L[0].real @ far @ L[0].real.T
        own = self.linear.back((LF * np.conj(L)).sum(axis=2))[:, 0] + np.diagonal(still)
        ends = self.linear.back((LF @ np.conj(L[:, 0, :, None]))[..., 0]) + still[:, :1]
        with_ends = 0.5 * (ends[k, 0] + ends[k, k])
        at_ends, across = ends[0, 0], ends[0, k]
        S = 0.5 * (at_ends + across)
        ES = with_ends - S
        E = own - 2 * with_ends + S
        D = 0.5 * (at_ends - across)
        mean = self.tables.mean
        u4, u2w2, w4 = mean(4, 0), mean(2, 2), mean(0, 4)
        by_E = 0.125 * 2 * (u4 - u2w2) * ES + (u4 - 2 * u2w2 + w4) / 16 * E
        return np.asarray(0.5 * (0.25 * u4 * S + by_E + 0.25 * u2w2 * D))

    @cached_property
    def _weights(self) -> np.ndarray:
        """(n+1,) of j, for the sum over ordered pairs."""
        return np.asarray(np.where(self.k == 0, 1.0, 2.0) * self.size.step**2)

    @cached_property
    def _quenched(self) -> np.ndarray:
        """(n+1,) T."""
        n, m = self.n, self.reach
        j, d = self.k[:, None], np.arange(m)[None, :]
        equal = self.linear.response(np.zeros_like(j), j, d)
        shared = [np.pad(r, ((0, 0), (0, m - n - 1))) for r in self.linear.shared]
        by_S, by_E, by_D = self.tables.changed
        found = np.empty(n + 1)
        for k in range(n + 1):
            later = _delayed(equal, k)
            S, D = 0.5 * (equal + later), 0.5 * (equal - later)
            E = self.linear.response(np.full_like(j, k), j, d) - S
            crossing = self._crossing(k, self.k, d[0])
            scatter = Scatter(self.tables.phi_phi, crossing, self.size.degree)
            parts = scatter.covariance(by_S[k], by_E[k], by_D[k])
            total = parts[0] * S + parts[1] * E + parts[2] * D
            r1, r2 = shared
            change = Crossing.of(
                self.tables.rho[[[k]]],
                self.tables.rho[j],
                tuple(r / self.C[0] for r in (r1, r2, _delayed(r1, k), _delayed(r2, k))),
            )
            for slope, x in zip(
                scatter.slopes(self.tables.phi_phi[k]), (change.uu, change.uw, change.wu, change.ww), strict=True
            ):
                total += slope * x
            found[k] = self._weights @ total.sum(axis=1)
        return found

    def _heard(self, values: Callable[[np.ndarray], np.ndarray], sign: int = 1) -> np.ndarray:
        """(n+1,) Σ_b Σ_ij δC(t, b_i) ⟨∂_i∂_j φφ_b⟩ y(b_j − s), t − s = ±k, y of steps."""
        k, j, x = self.k[:, None, None], self.k[None, :, None], self.k[None, None, :]
        r1, r2 = self.linear.shared
        y1, y2 = values(sign * k - x), values(sign * k - x - j)
        slopes, curved = (f[None, :, None] for f in (self.tables.slope_slope, self.tables.curved))
        total = (curved * y1 + slopes * y2) * r1 + (slopes * y1 + curved * y2) * r2
        return np.asarray(total.sum(axis=2) @ self._weights)

    @cached_property
    def two_point(self) -> np.ndarray:
        """(n+1,) N δ⟨h(t) h(t − k)⟩."""
        kernels = self.linear.to_correlators[0].real @ (self._curved + self._quenched)
        return np.asarray(kernels + self._heard(self._at) + self._heard(self._at, -1))

    @cached_property
    def response(self) -> np.ndarray:
        """(n+1,) N δ⟨h(t) z̃(t − k)⟩."""
        G = self.linear.G.copy()
        G[0] = 0.5
        found = self._heard(lambda u: np.where(u >= 0, G[np.maximum(u, 0)], 0.0))
        found[0] = 0.0  # between equal times there is nothing, and two half ends are not
        return found

    @cached_property
    def mean(self) -> float:
        """N δ⟨h⟩."""
        r1, r2 = self.linear.shared
        return float(self._weights @ ((r1 + r2).sum(axis=1) * self.tables.slope))


def _delayed(r: np.ndarray, k: int) -> np.ndarray:
    """r(j, d − k)."""
    found = np.zeros_like(r)
    found[:, k:] = r[:, : r.shape[1] - k]
    return found
