"""The same from rest: all pairs (t_i, t_j), i ≥ j, of a uniform grid from t = 0 on; every equation is one between
dense matrices over the pairs.
"""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np

from nnqft_plugins.networks.finite_width import filters
from nnqft_plugins.networks.finite_width.pairs import Crossing, coefficients, covariance, lowered
from nnqft_plugins.networks.network import Network


class RestFluctuations:
    """All that is needed on one grid; C is (n+1, n+1)."""

    def __init__(self, network: Network, C: np.ndarray, step: float, degree: int) -> None:
        self.network, self.step, self.degree = network, step, degree
        self.n = n = len(C) - 1
        self.coupling = network.sigma_w**2
        v = np.diagonal(C).copy()
        v[0] = max(v[0], 1e-6 * v[1])
        self.size = np.sqrt(v)
        self.C = C
        self.rho = np.clip(C / np.outer(self.size, self.size), -1, 1)
        np.fill_diagonal(self.rho, 1.0)
        self.i, self.j = np.tril_indices(n + 1)
        self.P = len(self.i)
        self.index = np.zeros((n + 1, n + 1), int)
        self.index[self.i, self.j] = self.index[self.j, self.i] = np.arange(self.P)
        self.same = self.i == self.j
        self.modes = filters.modes_of(network)
        w = filters.weights(self.modes, step, n + 1)
        late = w[0]
        lag = np.subtract.outer(np.arange(n + 1), np.arange(n + 1))
        self.W = np.where(lag >= 0, w[np.abs(lag)], 0.0)
        # the integral begins at 0: what the weight of t = 0 has of the interval before it is taken off
        x = np.array([np.exp(-rate * step) for _, rate in self.modes])
        self.W[:, 0] = _first(self.modes, step, n + 1)
        g = filters.values(self.modes, step, n + 1, 0.5)
        self.g = np.where(lag >= 0, g[np.abs(lag)], 0.0)
        g1 = filters.values(self.modes, step, n + 1, 1.0)
        self.g1 = np.where(lag >= 0, g1[np.abs(lag)], 0.0)
        edge = np.full(n + 1, step)
        edge[0] *= 0.5
        self.weight = np.where(self.same, 1.0, 2.0) * edge[self.i] * edge[self.j]
        self.weight[0] = edge[0] ** 2

    def _fold(self, W, sign, half):
        i, j = self.i, self.j
        direct = W[i][:, i] * W[j][:, j]
        mirrored = W[i][:, j] * W[j][:, i]
        if half:
            return 0.5 * (direct + sign * mirrored)
        mirrored[:, self.same] *= 0.0 if sign > 0 else 1.0
        return direct + sign * mirrored

    @cached_property
    def A(self):
        return self.coupling * self._fold(self.W, 1, False)

    def apply_K(self, A, odd=False):
        out = self.two(1, 1)[:, None] * A
        if not odd:
            out += 0.5 * self.two(2, 0)[:, None] * A[self.index[self.i, self.i]]
            out += 0.5 * self.two(0, 2)[:, None] * A[self.index[self.j, self.j]]
        return out

    @cached_property
    def _hermite(self):
        return np.array([_line(self.network.activation.value, s) for s in self.size])

    def two(self, p, q):
        from scipy.special import gammaln

        a, b = self._hermite[self.i], self._hermite[self.j]
        r = np.arange(a.shape[1] - max(p, q))
        c = np.exp(0.5 * (gammaln(p + r + 1) + gammaln(q + r + 1)) - gammaln(r + 1))
        rho = self.rho[self.i, self.j]
        total = np.zeros(self.P)
        for n in range(len(r) - 1, -1, -1):
            total = total * rho + c[n] * a[:, p + n] * b[:, q + n]
        return total / (self.size[self.i] ** p * self.size[self.j] ** q)

    @cached_property
    def inverse(self):
        return np.linalg.inv(np.eye(self.P) - self.apply_K(self.A))

    def pair(self, first, second, degree):
        return coefficients(first, second, (self.size[self.i], self.size[self.j]), self.rho[self.i, self.j], degree)

    @cached_property
    def phi_phi(self):
        phi = self.network.activation.value
        return self.pair(phi, phi, self.degree)

    def crossing(self, a, b):
        i, j, k, l = self.i[a][:, None], self.j[a][:, None], self.i[b][None], self.j[b][None]
        r = self.rho
        return Crossing.of(r[i, j], r[k, l], (r[i, k], r[i, l], r[j, k], r[j, l]))

    def cov(self, g, other, a=slice(None), b=slice(None)):
        return covariance(g, other, self.crossing(a, b), self.degree)[0]

    @cached_property
    def F(self):
        return self.cov(self.phi_phi, self.phi_phi)

    @cached_property
    def cov_C(self):
        L = self.A @ self.inverse
        return L @ self.F @ L.T

    def kernel_variance(self, t):
        a = self.index[t, t]
        w = np.linalg.solve((np.eye(self.P) - self.apply_K(self.A)).T, self.A[a])
        identity = lambda h: h
        hh = coefficients(identity, identity, (self.size[[t]], self.size[[t]]), np.ones(1), self.degree)
        cross = self.cov(hh, self.phi_phi, [a])[0]
        return 2 * self.C[t, t] ** 2 + 2 * w @ cross + w @ self.F @ w

    def curved(self):
        V, two = self.cov_C, self.two
        a = np.arange(self.P)
        ii, jj = self.index[self.i, self.i], self.index[self.j, self.j]
        half = 0.5 * (two(2, 2) * (V[a, a] + 0.5 * V[ii, jj]) + two(3, 1) * V[ii, a] + two(1, 3) * V[jj, a] + 0.25 * (two(4, 0) * V[ii, ii] + two(0, 4) * V[jj, jj]))
        return half

    def tables(self):
        phi = self.network.activation
        D = self.degree
        sizes, rho = (self.size[self.i], self.size[self.j]), self.rho[self.i, self.j]
        one = lambda h: np.ones_like(h)
        s = (self.size, self.size)
        square = coefficients(lambda h: phi.value(h) ** 2, one, s, np.ones(self.n + 1), D + 4)[:, :, 0]
        slopes = coefficients(lambda h: phi.slope(h) ** 2, one, s, np.ones(self.n + 1), D + 4)[:, :, 0]

        def shift(x):
            return x[:, 1:] * np.sqrt(np.arange(1, x.shape[1])) / self.size[:, None]

        def fix(table, line):
            table = table[:, : D + 1, : D + 1].copy()
            table[self.same] = 0.0
            table[self.same, :, 0] = line[:, : D + 1]
            return table

        off = ~self.same
        ss = fix(self.pair(phi.slope, phi.slope, D), slopes)
        sv_, vs_ = self.pair(phi.slope, phi.value, D + 1), self.pair(phi.value, phi.slope, D + 1)
        sv, vs = fix(sv_, 0.5 * shift(square)), fix(vs_, 0.5 * shift(square))
        cv, vc = np.zeros((self.P, D + 1, D + 1)), np.zeros((self.P, D + 1, D + 1))
        cv[off] = lowered(sv_[off], sizes[0][off], rho[off], 0)
        vc[off] = lowered(vs_[off], sizes[1][off], rho[off], 1)
        line = 0.5 * shift(shift(square))[:, : D + 1] - slopes[:, : D + 1]
        return ss, sv, vs, fix(cv, line), fix(vc, line)

    def heard(self):
        i, j, idx, n = self.i, self.j, self.index, self.n
        pp = self.two(1, 1)[:, None]
        even, odd = (self.coupling * self._fold(self.g, sign, True) for sign in (1, -1))
        A_odd = self.coupling * self._fold(self.W, -1, False)
        one = np.eye(self.P)
        whole = self.A @ (self.inverse @ self.apply_K(even))
        chain_e = self.A @ np.linalg.solve(one - pp * self.A, pp * even)
        chain_o = A_odd @ np.linalg.solve(one - pp * A_odd, pp * odd)
        R = whole + even
        # bare with half values at both jumps
        ss, sv, vs, cv, vc = self.tables()
        wt = self.weight
        T = (self.cov(ss, self.phi_phi) * R * wt).sum(1)
        T += 0.5 * (self.cov(cv, self.phi_phi) * R[idx[i, i]] * wt).sum(1)
        T += 0.5 * (self.cov(vc, self.phi_phi) * R[idx[j, j]] * wt).sum(1)
        # r1[t, b] = R((t, b1); b), t ≥ b1
        t = np.arange(n + 1)[:, None]
        b1, b2 = i[None], j[None]
        pos = idx[np.broadcast_to(t, (n + 1, self.P)), np.broadcast_to(b1, (n + 1, self.P))]
        col = np.broadcast_to(np.arange(self.P), pos.shape)
        later = t >= b1
        own = 0.5 * self.coupling * self.g1[t, b1] * self.g1[b1, b2]
        edge = np.where(t == b1, 0.5, 1.0) * later
        r1 = (own + 0.5 * (chain_e + chain_o)[pos, col] + (whole - chain_e)[pos, col]) * edge
        pos2 = idx[np.broadcast_to(t, pos.shape), np.broadcast_to(b2, pos.shape)]
        r2 = (whole - chain_e)[pos2, col] * edge
        m_sv, m_vs = sv[:, 0, 0], vs[:, 0, 0]
        for r, b, mb in ((r1, sv, m_sv), (r2, vs, m_vs)):
            T += ((self.cov(sv, b) + np.outer(m_sv, mb)) * r[i] * wt).sum(1)
            T += ((self.cov(vs, b) + np.outer(m_vs, mb)) * r[j] * wt).sum(1)
        p20, p11, p02 = self.two(2, 0), self.two(1, 1), self.two(0, 2)
        Tx = np.zeros(self.P)
        for other, source in ((j, i), (i, j)):
            c1, c2 = self.C[other][:, i], self.C[other][:, j]
            Tx += (((p20 * c1 + p11 * c2) * r1[source] + (p11 * c1 + p02 * c2) * r2[source]) * wt).sum(1)
        return T, Tx

    def two_point(self):
        T, Tx = self.heard()
        curved = self.A @ (self.inverse @ self.curved())
        return curved, self.A @ (self.inverse @ T) + Tx


def _first(modes, step, count):
    """Weights of the value at the start of the integral."""
    total = np.zeros(count)
    for residue, rate in modes:
        x = rate * step
        decay = np.exp(-x)
        early = 0.5 - x / 3 + x**2 / 8 - x**3 / 30 if abs(x) < 1e-2 else ((1 - decay) / x - decay) / x
        each = early * np.exp(-x * (np.arange(count) - 1))
        each[0] = 0.0
        total += (residue * step * each).real
    return total


def _line(function, size):
    z = np.linspace(-26.0, 26.0, 4001)
    f = np.zeros((301, len(z)))
    f[0] = np.exp(-(z**2) / 4)
    f[1] = z * f[0]
    for r in range(1, 300):
        f[r + 1] = (z * f[r] - math.sqrt(r) * f[r - 1]) / math.sqrt(r + 1)
    return f @ (function(size * z) * f[0]) * (z[1] - z[0]) / math.sqrt(2 * math.pi)

