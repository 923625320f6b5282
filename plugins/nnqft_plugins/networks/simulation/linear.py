"""Linear networks, each solved exactly: given W, h is Gaussian, and its covariance is known.

With W = V Λ V⁻¹ and a_i = ±Λ_i − γ, the modes V⁻¹ h have the covariances (V⁻¹V⁻ᴴ)_ij k(a_i, a_j*; t, s), where k is the
correlation of two scalar processes driven by the same noise. In the stationary case without input this solves the
Lyapunov equation A P + P Aᵀ + κ = 0, C(τ) = e^{Aτ} P.

W and −W have the same V and are equally likely: taken together (antithetic), odd powers of W cancel. The traces of the
lowest even powers have known averages and serve as control variates.
"""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np

from nnqft_plugins.networks.network import Network
from nnqft_plugins.networks.simulation.measurement import Ensemble, Measured, NetworkBatch
from nnqft_plugins.networks.simulation.moments import pairings, wick
from nnqft_plugins.networks.weights import draw_weights

POWERS = ((2, 0), (1, 1), (4, 0), (3, 1), (2, 2))
"""(a, b) of the traces (1/N) tr W^a (Wᵀ)^b that are used as controls."""


def linear_batch(batch: NetworkBatch) -> Measured:
    """What pairs W, −W of linear networks give, from their eigenvectors."""
    ensemble = batch.ensemble
    network, N = ensemble.network, ensemble.network.N
    W, rest = draw_weights(batch.generator(), network.weights, network.sigma_w, N, batch.size)
    even = network.weights is None or network.weights.even
    if even:
        W = W + rest
        eigenvalues, modes = _modes(W, network)
    shape = batch.size, len(ensemble.times)
    members, values, squares, discarded = np.zeros(batch.size), np.zeros(shape), np.zeros(shape), 0
    residual, closest = 0.0, np.full(batch.size, np.inf)
    for sign in (1.0, -1.0):
        signed = sign * W
        if not even:
            signed = signed + rest
            eigenvalues, modes = _modes(signed, network)
        rates = (sign if even else 1.0) * eigenvalues - network.gamma
        stable = rates.real.max(axis=1) < 0.0 if network.stationary else np.ones(batch.size, dtype=bool)
        with np.errstate(all="ignore"):
            value, square = _measure(ensemble, rates, modes)
        keep = stable[:, None]
        members += stable
        values += np.where(keep, value, 0.0)
        squares += np.where(keep, square, 0.0)
        discarded += int((~stable).sum())
        residual = max(residual, modes.residual(signed, rates, network))
        closest = np.minimum(closest, -rates.real.max(axis=1))
    controls = np.broadcast_to(_controls(W, network)[:, None, :], (*shape, len(POWERS)))
    if network.weights is not None and (network.weights.several or network.weights.low_rank):
        controls = controls[..., :0]  # whose averages are other ones
    margin = closest if network.stationary else None
    return Measured(members, values, squares, values, controls, discarded, residual=residual, margin=margin)


def _modes(W: np.ndarray, network: Network) -> tuple[np.ndarray, Modes]:
    eigenvalues, V = np.linalg.eig(W)
    return eigenvalues, Modes(V.astype(complex), np.linalg.inv(V).astype(complex), network.units)


class Modes:
    """The eigenvectors of a batch of matrices, and the products that every trace over some units needs."""

    def __init__(self, V: np.ndarray, inverse: np.ndarray, units: slice = slice(None)) -> None:
        self.V, self.inverse = V, inverse
        self.noise = inverse @ inverse.conj().swapaxes(1, 2)
        self.seen = V[:, units]
        self.trace = self.noise * (self.seen.conj().swapaxes(1, 2) @ self.seen).swapaxes(1, 2)
        # Of each mode the part that some units have in a response of theirs; all of it, if they are all.
        self.share = (inverse[:, :, units].swapaxes(1, 2) * self.seen).sum(axis=1)

    def covariance(self, k: np.ndarray) -> np.ndarray:
        """The matrices ⟨h_a(t) h_b(s)⟩ of these units from k(a_i, a_j*; t, s)."""
        return (self.seen @ (self.noise * k) @ self.seen.conj().swapaxes(1, 2)).real

    def residual(self, W: np.ndarray, rates: np.ndarray, network: Network) -> float:
        """Largest |A P x + P Aᵀ x + x|/|x| for one vector x: what ill-conditioned eigenvectors cost."""
        x = np.cos(np.arange(network.N) + 1.0)
        P = self.noise * (-1 / (rates[:, :, None] + rates.conj()[:, None, :]))

        def apply(vectors: np.ndarray) -> np.ndarray:
            right = self.V.conj().swapaxes(1, 2) @ vectors[:, :, None]
            return (self.V @ (P @ right))[:, :, 0].real

        A = W - network.gamma * np.eye(network.N)
        vectors = np.broadcast_to(x, W.shape[:2])
        Px = apply(vectors)
        left = (A @ Px[:, :, None])[:, :, 0] + apply((A.swapaxes(1, 2) @ vectors[:, :, None])[:, :, 0]) + vectors
        size = np.linalg.norm(Px, axis=1) + np.linalg.norm(x)
        return float((np.linalg.norm(left, axis=1) / size).max())


def _measure(ensemble: Ensemble, rates: np.ndarray, modes: Modes) -> tuple[np.ndarray, np.ndarray]:
    network, N = ensemble.network, modes.seen.shape[1]
    values, squares = np.zeros((2, len(rates), len(ensemble.times)))
    known: dict[tuple[float, float], np.ndarray] = {}

    def k(t: float, s: float) -> np.ndarray:
        if network.stationary:
            t, s = max(t - s, 0.0), max(s - t, 0.0)
        if (t, s) not in known:
            known[t, s] = correlation(network, rates[:, :, None], rates.conj()[:, None, :], t, s)
        return known[t, s]

    if ensemble.moments:
        pairs = {(t, s) for times in ensemble.times for n, t in enumerate(times) for s in times[n + 1 :]}
        covariance = {(t, s): modes.covariance(k(t, s)) for t, s in pairs}
        for m, moment in enumerate(ensemble.moments):
            values[:, m] = wick(moment, covariance) if pairs else 0.0
        return values, squares
    for m, (t, s) in enumerate(ensemble.times):
        if ensemble.response:
            answered = (
                np.exp(rates * (t - s)) if N == network.N else np.exp(rates * (t - s)) * modes.share * network.N / N
            )
            values[:, m] = answered.mean(axis=1).real if t > s else 0.0
            continue
        if ensemble.gradient:
            grown = np.exp(rates * (t - s))
            pairs_of_modes = grown[:, :, None] * grown.conj()[:, None, :]
            if t < s:
                continue
            if ensemble.spread and 2 * m >= len(ensemble.times):
                each = np.diagonal(modes.covariance(pairs_of_modes), axis1=1, axis2=2)
                values[:, m] = (each**2).mean(axis=1)
                continue
            values[:, m] = (modes.trace * pairs_of_modes).sum(axis=(1, 2)).real / N
            squares[:, m] = values[:, m] ** 2
            continue
        values[:, m] = (modes.trace * k(t, s)).sum(axis=(1, 2)).real / N
        if ensemble.kernel:
            both, at_t, at_s = (modes.covariance(k(*pair)) for pair in ((t, s), (t, t), (s, s)))
            # Wick: ⟨K²⟩ − ⟨K⟩² of K = (1/N) Σ h_a(t) h_a(s), given W.
            spread = (at_t * at_s).sum(axis=(1, 2)) + (both * both.swapaxes(1, 2)).sum(axis=(1, 2))
            squares[:, m] = values[:, m] ** 2 + spread / N**2
    return values, squares


def correlation(network: Network, a: np.ndarray, b: np.ndarray, t: float, s: float) -> np.ndarray:
    """k(a, b; t, s) = ∬ e^{a(t−u)} e^{b(s−v)} [κ δ(u−v) + Σ weight·e^{−rate·|u−v|}] du dv, from −∞ or from 0 on."""
    if t < s:
        return correlation(network, b, a, s, t)
    lag, both = t - s, a + b
    moved = np.exp(a * lag)
    total = network.kappa * moved * (-1 / both if network.stationary else s * phi1(both * s))
    for rate, weight in network.sources:
        later = np.exp(-rate * lag) * lag * phi1((a + rate) * lag)
        if network.stationary:
            together = -(1 / (rate - a) + 1 / (rate - b)) / both
            with_drive = 1 / (rate - b)
        else:
            together = _grown(a, b, rate, s) + _grown(b, a, rate, s)
            with_drive = s * phi1((b - rate) * s)
        total = total + weight * (moved * together + later * with_drive)
    return total


def _grown(a: np.ndarray, b: np.ndarray, rate: float, s: float) -> np.ndarray:
    """∫_0^s e^{(a+b)(s−v)} (e^{(a−rate)v} − 1)/(a−rate) dv."""
    return s * (np.exp((a - rate) * s) * phi1((b + rate) * s) - phi1((a + b) * s)) / (a - rate)


def phi1(z: np.ndarray) -> np.ndarray:
    """(e^z − 1)/z, 1 at 0."""
    safe = np.where(z == 0, 1.0, z)
    return np.where(z == 0, 1.0, np.expm1(safe) / safe)


def _controls(W: np.ndarray, network: Network) -> np.ndarray:
    """(U, powers): (1/N) tr W^a (Wᵀ)^b of each matrix for POWERS, less its average over the ensemble."""
    N = network.N
    square, gram = W @ W, W @ W.swapaxes(1, 2)

    def trace(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        return (left * right.swapaxes(1, 2)).sum(axis=(1, 2)) / N

    measured = [
        np.trace(square, axis1=1, axis2=2) / N,
        np.trace(gram, axis1=1, axis2=2) / N,
        trace(square, square),
        trace(square, gram),
        trace(square, square.swapaxes(1, 2)),
    ]
    eta = 0.0 if network.weights is None else network.weights.eta
    expected = [network.sigma_w ** (a + b) * trace_average(a, b, N, eta) for a, b in POWERS]
    return np.stack([trace - average for trace, average in zip(measured, expected, strict=True)], axis=-1)


@cache
def trace_average(a: int, b: int, N: int, eta: float = 0.0) -> float:
    """(1/N)⟨tr W^a (Wᵀ)^b⟩ at σ_w = 1: each pairing of the W's gives N to its index loops − 1 − (a+b)/2.

    With correlation η of W_ij and W_ji a pair may also go the other way round, and then brings η.
    """
    size = a + b
    # Factor e stands between the indices e and e+1 of the trace; Wᵀ has them exchanged.
    ends = [(e, (e + 1) % size) if e < a else ((e + 1) % size, e) for e in range(size)]
    total = 0.0
    for pairing in pairings(tuple(range(size))):
        for turns in product((1, -1) if eta else (1,), repeat=len(pairing)):
            label = list(range(size))
            for (e, f), turn in zip(pairing, turns, strict=True):
                for one, other in zip(ends[e], ends[f][::turn], strict=True):
                    old, new = label[one], label[other]
                    label = [new if x == old else x for x in label]
            total += eta ** turns.count(-1) * float(N) ** (len(set(label)) - 1 - size // 2)
    return total
