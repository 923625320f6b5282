"""Fluctuations of the kernels of a stationary network of finite width, and their effect at order 1/N.

Times on a uniform grid. A pair of times is (t, t − k·step), k ≥ 0, and functions of pairs that move in time are Fourier
series in t: of frequency Ω each is a vector over k, and every equation is one between small matrices. With
C_Ω = σ_w² A_Ω q_Ω the response of the correlators to the kernels q,

    M_Ω = 1 − K_Ω ,   K_Ω: ⟨φ'φ'⟩ δC(t,s) + ½ ⟨φ''φ⟩ [δC(t,t) + δC(s,s)] ,   N Cov(q)_Ω = M_Ω⁻¹ F_Ω M_Ω^{−†} .
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property

import numpy as np

from nnqft_plugins.networks.finite_width import filters
from nnqft_plugins.networks.finite_width.pairs import Crossing, coefficients, covariance, lowered
from nnqft_plugins.networks.network import Network


class Fluctuations:
    """All that is needed on one grid.

    Parameters
    ----------
    network
    C
        The correlator at N → ∞, of lags ≥ 0.
    step, lags
        Of the grid: lags 0, step, …, lags·step.
    degree
        Of the Hermite series of a pair.
    """

    def __init__(self, network: Network, C: Callable[[np.ndarray], np.ndarray], step: float, lags: int, degree: int) -> None:
        self.network, self.step, self.n, self.degree = network, step, lags, degree
        self.m = 2 * lags
        self.coupling = network.sigma_w**2
        self.k = np.arange(lags + 1)
        self.d = np.arange(-self.m, self.m)
        self.C = C(step * np.arange(2 * lags + self.m + 1))
        self.size = math.sqrt(self.C[0])
        self.omega = 2 * np.pi * np.fft.fftfreq(2 * self.m)
        self.modes = filters.modes_of(network)

    def rho(self, n: np.ndarray) -> np.ndarray:
        """Correlation coefficient at lags of n steps."""
        return self.C[np.abs(n)] / self.C[0]

    # functions of pairs -------------------------------------------------------------------------------------------

    def _pair(self, first, second, degree):
        sizes = np.full(self.n + 1, self.size)
        return coefficients(first, second, (sizes, sizes), self.rho(self.k), degree)

    @cached_property
    def phi_phi(self):
        return self._pair(self.network.activation.value, self.network.activation.value, self.degree)

    @cached_property
    def h_h(self):
        identity = lambda h: h
        return self._pair(identity, identity, self.degree)

    @cached_property
    def _same(self):
        """Coefficients of functions of one variable at lag 0: φ², φ'²."""
        phi = self.network.activation
        zero, s = np.ones(1), np.array([self.size])
        one = lambda h: np.ones_like(h)
        square = coefficients(lambda h: phi.value(h) ** 2, one, (s, s), zero, self.degree + 4)[0, :, 0]
        slopes = coefficients(lambda h: phi.slope(h) ** 2, one, (s, s), zero, self.degree + 2)[0, :, 0]
        return square, slopes

    def _shift(self, a, times):
        for _ in range(times):
            a = a[1:] * np.sqrt(np.arange(1, len(a))) / self.size
        return a

    def _with_first(self, table, first):
        table = table[:, : self.degree + 1, : self.degree + 1].copy()
        table[0] = 0.0
        table[0, :, 0] = first[: self.degree + 1]
        return table

    @cached_property
    def slope_slope(self):
        phi = self.network.activation
        return self._with_first(self._pair(phi.slope, phi.slope, self.degree), self._same[1])

    @cached_property
    def _slope_value(self):
        phi = self.network.activation
        return self._pair(phi.slope, phi.value, self.degree + 1)

    @cached_property
    def slope_value(self):
        return self._with_first(self._slope_value, 0.5 * self._shift(self._same[0], 1))

    @cached_property
    def curvature_value(self):
        """φ''φ"""
        s = np.full(self.n, self.size)
        table = np.zeros((self.n + 1, self.degree + 1, self.degree + 1))
        table[1:] = lowered(self._slope_value[1:], s, self.rho(self.k)[1:], 0)
        return self._with_first(table, 0.5 * self._shift(self._same[0], 2)[: self.degree + 1] - self._same[1][: self.degree + 1])

    @staticmethod
    def swapped(g):
        """The same function with its variables exchanged."""
        return g * (-1.0) ** np.arange(g.shape[2])

    # filters ------------------------------------------------------------------------------------------------------

    def _correlated(self, w):
        """a_Ω(δ) = Σ_u w_u w_{u−δ} e^{−iΩu}, δ = 0 … 2n, shape (frequencies, 2n + 1)."""
        count = len(w)
        found = np.empty((len(self.omega), 2 * self.n + 1), complex)
        phase = np.exp(-1j * np.outer(self.omega, np.arange(count)))
        for delta in range(2 * self.n + 1):
            product = w[delta:] * w[: count - delta]
            found[:, delta] = phase[:, delta:] @ product
        return found

    def _folded(self, a, sign=1):
        """(frequencies, n+1, n+1) A: function of pairs, even or odd under exchange, to the same."""
        n = self.n
        e = np.exp(1j * np.outer(self.omega, np.arange(2 * n + 1)))
        both = np.concatenate([(e * a)[:, :0:-1], a], axis=1)  # δ from −2n
        k, l = self.k[:, None], self.k[None, :]
        direct = both[:, 2 * n + k - l]
        mirrored = both[:, 2 * n + k + l] * e[:, None, : n + 1]
        mirrored[:, :, 0] *= 0.0 if sign > 0 else 1.0
        return direct + sign * mirrored

    @cached_property
    def _w(self):
        rate = min(np.real(rate) for _, rate in self.modes)
        count = 2 * self.n + 2 + int(40 / (rate * self.step))
        return filters.weights(self.modes, self.step, count), filters.values(self.modes, self.step, count, 0.5)

    @cached_property
    def A(self):
        return self.coupling * self._folded(self._correlated(self._w[0]))

    def _apply_K(self, A, odd=False):
        pp = self.two(1, 1)
        out = pp[None, :, None] * A
        if not odd:
            phase = 1 + np.exp(-1j * np.outer(self.omega, self.k))
            out = out + 0.5 * (self.two(2, 0)[None] * phase)[:, :, None] * A[:, :1]
        return out

    def two(self, p, q):
        """⟨φ^(p) φ^(q)⟩ over k."""
        a = self._hermite
        return _two(a, p, q, self.size, self.rho(self.k))

    @cached_property
    def _hermite(self):
        return _line(self.network.activation.value, self.size)

    @cached_property
    def inverse(self):
        return np.linalg.inv(np.eye(self.n + 1) - self._apply_K(self.A))

    # scatter ------------------------------------------------------------------------------------------------------

    def crossing(self, d):
        k, l, d = self.k[:, None, None], self.k[None, :, None], d[None, None, :]
        between = self.rho(d), self.rho(d + l), self.rho(d - k), self.rho(d + l - k)
        return Crossing.of(self.rho(k), self.rho(l), between)

    def fourier(self, F):
        return np.moveaxis(np.fft.fft(np.fft.ifftshift(F, axes=-1), axis=-1), -1, 0)

    def back(self, S):
        return np.fft.fftshift(np.fft.ifft(np.moveaxis(S, 0, -1), axis=-1), axes=-1).real

    @cached_property
    def F(self):
        return self.fourier(covariance(self.phi_phi, self.phi_phi, self.crossing(self.d), self.degree)[0])

    @cached_property
    def cov_q(self):
        return self.inverse @ self.F @ np.conj(np.swapaxes(self.inverse, 1, 2))

    @cached_property
    def cov_C(self):
        """(n+1, n+1, 2m) N Cov(C(t, t−k), C(t−d, t−d−l))."""
        return self.back(self.A @ self.cov_q @ np.conj(np.swapaxes(self.A, 1, 2)))

    def kernel_variance(self):
        """N Var (1/N) Σ h²."""
        w = (self.A[:, :1] @ self.inverse)[:, 0]
        zero = self.h_h[:1]
        k, l, d = self.k[:1, None, None], self.k[None, :, None], self.d[None, None, :]
        cross = Crossing.of(self.rho(k), self.rho(l), (self.rho(d), self.rho(d + l), self.rho(d), self.rho(d + l)))
        hp = self.fourier(covariance(zero, self.phi_phi, cross, self.degree)[0])[:, 0]
        hh = 2 * self.C[np.abs(self.d)] ** 2
        total = np.fft.fft(np.fft.ifftshift(hh)) + 2 * (hp * np.conj(w)).sum(1).real + np.einsum("oi,oij,oj->o", w, self.F, np.conj(w)).real
        return total.real.mean()

    # order 1/N ----------------------------------------------------------------------------------------------------

    def curved(self):
        """½ K² : N Cov(q)."""
        V, k, m = self.cov_C, self.k, self.m
        own = V[k, k, m]
        with_first, with_second, ends = V[k, 0, m], V[k, 0, m + k], V[0, 0, m + k]
        two = self.two
        half = 0.5 * (two(2, 2) * own + two(3, 1) * (with_first + with_second) + 0.5 * two(4, 0) * V[0, 0, m] + 0.5 * two(2, 2) * ends)
        half[0] = 0.125 * self._shift(self._same[0], 4)[0] * V[0, 0, m]
        return half

    def responses(self):
        h, k, d, n, m = self.step, self.k, self.d, self.n, self.m
        g = self._correlated(self._w[1])
        even, odd = (0.5 * self.coupling * self._half(g, sign) for sign in (1, -1))
        A_odd = self.coupling * self._folded(self._correlated(self._w[0]), -1)
        one = np.eye(n + 1)
        whole = self.back(self.A @ (self.inverse @ self._apply_K(even)))
        pp = self.two(1, 1)
        chains = [self.back(A @ (np.linalg.inv(one - pp[:, None] * A) @ (pp[:, None] * start))) for A, start in ((self.A, even), (A_odd, odd))]
        return whole, chains[0], chains[1]

    def _half(self, g, sign):
        n = self.n
        e = np.exp(1j * np.outer(self.omega, np.arange(2 * n + 1)))
        both = np.concatenate([(e * g)[:, :0:-1], g], axis=1)
        k, l = self.k[:, None], self.k[None, :]
        return both[:, 2 * n + k - l] + sign * both[:, 2 * n + k + l] * e[:, None, : n + 1]

    def heard(self):
        """T and T_x: what a unit hears of itself."""
        h, k, n, m = self.step, self.k, self.n, self.m
        whole, even, odd = self.responses()
        G = filters.values(self.modes, h, m + 2 * n + 2, 1.0)
        Ghalf = G.copy(); Ghalf[0] = 0.5
        gv = lambda u: np.where(u >= 0, Ghalf[np.maximum(u, 0)], 0.0)
        K, L = k[:, None, None], k[None, :, None]
        d = np.arange(0, m)
        D = d[None, None, :]
        bare = 0.5 * self.coupling * (gv(D) * gv(D + L - K) + gv(D + L) * gv(D - K))
        R = bare + whole[:, :, m:]
        weight = np.full((n + 1, m), 2.0) * h * h
        weight[0] *= 0.5
        X = self.crossing(d)
        T = (covariance(self.slope_slope, self.phi_phi, X, self.degree)[0] * R * weight).sum((1, 2))
        cv = covariance(self.curvature_value, self.phi_phi, X, self.degree)[0]
        T += 0.5 * (cv * R[:1] * weight).sum((1, 2))
        # of the second time: d counts from it, h_2 at 0, h_1 at +k
        X2 = self._crossing_late(d)
        vc = covariance(self.swapped(self.curvature_value), self.phi_phi, X2, self.degree)[0]
        T += 0.5 * (vc * R[:1] * weight).sum((1, 2))
        nd = np.arange(0, n + 1)
        edge = np.where(nd == 0, 0.5, 1.0)
        # d ≤ n; pair (a, b1): lag d, Δ = d
        own = 0.5 * self.coupling * G[nd][None, :] * G[k][:, None]
        chain = 0.5 * np.array([even[x, :, m + x] + odd[x, :, m + x] for x in nd]).T
        rest = np.array([whole[x, :, m + x] - even[x, :, m + x] for x in nd]).T
        r1 = (own + chain + rest) * edge
        r2 = np.zeros((n + 1, n + 1))
        for l in k:
            x = nd[nd + l <= n]
            r2[l, x] = whole[x + l, l, m + x] - even[x + l, l, m + x]
        r2 *= edge
        wt = weight[:, : n + 1]
        sv = self.slope_value
        vs = self.swapped(sv)
        s0 = (sv[:, 0, 0][:, None, None] * sv[:, 0, 0][None, :, None]) if True else 0
        Xs, Xl = self.crossing(nd), self._crossing_late(nd)
        for r, b in ((r1, sv), (r2, vs)):
            T += ((covariance(sv, b, Xs, self.degree)[0] + s0) * r * wt).sum((1, 2))
            T += ((covariance(vs, b, Xl, self.degree)[0] + s0) * r * wt).sum((1, 2))
        # T_x: ⟨h_{a2} φ'_{b1} φ_{b2}⟩
        C = lambda x: self.C[np.abs(x)]
        a, b = self.two(2, 0), self.two(1, 1)
        N = nd[None, None, :]
        Tx = np.zeros(n + 1)
        for shift in (K, -K):
            c1, c2 = C(N - shift), C(N + L - shift)
            first = a[None, :, None] * c1 + b[None, :, None] * c2  # φ'_{b1} φ_{b2}
            second = b[None, :, None] * c1 + a[None, :, None] * c2
            Tx += ((first * r1 + second * r2) * wt).sum((1, 2))
        return T, Tx

    def _crossing_late(self, d):
        """As `crossing`, d counted from the earlier time of the first pair: h_1 at +k, h_2 at 0."""
        k, l, d = self.k[:, None, None], self.k[None, :, None], d[None, None, :]
        between = self.rho(d + k), self.rho(d + l + k), self.rho(d), self.rho(d + l)
        return Crossing.of(self.rho(k), self.rho(l), between)

    def two_point(self):
        T, Tx = self.heard()
        A, M = self.A[0].real, self.inverse[0].real
        return A @ (M @ self.curved()), A @ (M @ T) + Tx


def _line(function, size):
    z = np.linspace(-26.0, 26.0, 4001)
    f = np.zeros((301, len(z)))
    f[0] = np.exp(-(z**2) / 4)
    f[1] = z * f[0]
    for r in range(1, 300):
        f[r + 1] = (z * f[r] - math.sqrt(r) * f[r - 1]) / math.sqrt(r + 1)
    return f @ (function(size * z) * f[0]) * (z[1] - z[0]) / math.sqrt(2 * math.pi)


def _two(a, p, q, size, rho):
    from scipy.special import gammaln

    r = np.arange(len(a) - max(p, q))
    c = np.exp(0.5 * (gammaln(p + r + 1) + gammaln(q + r + 1)) - gammaln(r + 1)) * a[p : p + len(r)] * a[q : q + len(r)]
    return np.polynomial.polynomial.polyval(rho, c) / size ** (p + q)
