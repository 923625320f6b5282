"""Linear networks at infinite width with correlated W_ij and W_ji, whose eigenvalues fill an ellipse.

A unit hears itself through the others, so that its response is that of the elliptic law,

    1/χ(p) = γ + p − η σ_w² χ(p) ,     C(ω) = D(ω) |χ|² / (1 − σ_w² |χ|²) ,     p = iω ,

with D the spectrum of noise, bias and input. There is a stationary state for σ_w (1 + η) < γ. From rest, with
q_n(t) = σ_w^{n−1} times the n-fold convolution of χ, C(t,s) = κ Σ_n ∫ q_n(t−u) q_n(s−u) du and the same of what is
static. For η = 1 χ is Wigner's semicircle, for η = −1 C(0) = κ/2γ. H. J. Sommers et al., Phys. Rev. Lett. 60, 1895
(1988).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nnqft import InputError
from nnqft_plugins.networks.meanfield.rest import TimeGrid
from nnqft_plugins.networks.meanfield.stationary import Curve
from nnqft_plugins.networks.network import Network

_DECAYS = 36.0
"""e^{−36} is rounding."""
_MOST = 1 << 16
"""Terms of a series of Laguerre functions."""
_STEPS = 400
_LATEST = 60.0
"""Times from rest reach so far, in units of 1/σ_w."""


def response(network: Network, p: np.ndarray) -> np.ndarray:
    """χ at Laplace variables p with Re p ≥ 0 and beyond, on the sheet where it falls like 1/p."""
    eta = _eta(network)
    P, square = network.gamma + p, eta * network.sigma_w**2
    # P/2 [1 + (1 − 4 ησ²/P²)^{1/2}] never crosses the cut of the root.
    return 2 / (P * (1 + np.sqrt(1 - 4 * square / P**2)))


def _eta(network: Network) -> float:
    assert network.weights is not None
    return network.weights.eta


def margin(network: Network) -> float:
    """γ less the largest real part of an eigenvalue of W."""
    return network.gamma - network.sigma_w * (1 + _eta(network))


def _slowest(network: Network) -> float:
    """Rate of the slowest part of C that the network brings: a pole, or a branch point."""
    eta, sigma, gamma = _eta(network), network.sigma_w, network.gamma
    branch = gamma - 2 * sigma * math.sqrt(eta) if eta > 0 else gamma
    if eta > -1 and sigma:
        half = gamma / (sigma * (1 + eta))
        u = half - math.sqrt(half**2 - 1)  # u + 1/u = 2 half, u < 1
        if u > math.sqrt(abs(eta)):
            return min(branch, sigma * (1 - eta) / 2 * (1 / u - u))
    return branch


def solve_elliptic(network: Network, accuracy: float) -> Curve:
    """The stationary correlator, as a series of Laguerre functions.

    Raises
    ------
    InputError
        If there is no stationary state, or it is too close to where there is none.
    """
    if margin(network) <= 0:
        raise InputError(
            f"no stationary state at infinite width: sigma_w (1 + eta) = {network.gamma - margin(network):g} is not"
            f" below gamma = {network.gamma:g}; write a smaller sigma_w, or start='rest'"
        )
    rates = [rate for rate, _ in network.sources if rate > 0.0]
    slowest = min(_slowest(network), *rates) if rates else _slowest(network)
    scale = math.sqrt(slowest * network.gamma)
    zero = float(response(network, np.zeros(1))[0]) ** 2
    plateau = network.static * zero / (1 - network.sigma_w**2 * zero)
    count = 64
    while True:
        series = _coefficients(network, scale, count)
        tail, size = float(np.abs(series[-count // 8 :]).max()), max(float(np.abs(series).sum()), 1e-300)
        if tail <= 1e-3 * max(accuracy, 1e-13) * size or count >= _MOST:
            break
        count *= 2
    if tail > 1e-4 * size:
        raise InputError(
            f"sigma_w={network.sigma_w:g}, eta={_eta(network):g} is too close to the edge of what is stationary;"
            " write a smaller sigma_w"
        )
    moving = _Laguerre(series, scale, plateau)
    variance = float(moving(np.zeros(1))[0])
    return Curve(variance, plateau, slowest, _DECAYS / slowest, moving, 16 * tail / size)


def _coefficients(network: Network, scale: float, count: int) -> np.ndarray:
    """c_m of (ω² + a²) C(ω) = Σ_m c_m cos(mθ)·(2 for m > 0), ω = a tan(θ/2); what moves alone."""
    theta = np.pi * (2 * np.arange(2 * count) + 1) / (2 * count)
    # Half a step off, so that ω = ∞ is no node.
    tangent = np.tan(theta / 2)
    omega = scale * tangent
    gain = np.abs(response(network, 1j * omega)) ** 2
    drive = network.kappa + sum(
        2 * weight * rate / (omega**2 + rate**2) for rate, weight in network.sources if rate > 0.0
    )
    values = (omega**2 + scale**2) * drive * gain / (1 - network.sigma_w**2 * gain)
    spectrum = np.fft.fft(values)[:count] * np.exp(-1j * np.pi * np.arange(count) / (2 * count)) / (2 * count)
    return spectrum.real


@dataclass(frozen=True, eq=False)
class _Laguerre:
    """Σ_m c_m ∫ e^{iωτ} z^{−m}/(ω² + a²) dω/2π, z = (a + iω)/(a − iω), and the plateau."""

    series: np.ndarray
    scale: float
    plateau: float

    def __call__(self, tau: np.ndarray) -> np.ndarray:
        """C at lags of either sign."""
        x = 2 * self.scale * np.abs(np.asarray(tau, float))
        # (−1)^{m−1} (x/m) L¹_{m−1}(x) e^{−x/2}: functions of size 1, by their recursion in m.
        damped = np.exp(-np.minimum(x, 1400.0) / 2)
        total = self.series[0] * damped
        before, now = np.zeros_like(x), damped
        for m in range(1, len(self.series)):
            total = total - (-1) ** m * self.series[m] * x / m * now
            before, now = now, ((2 * m - x) * now - m * before) / m
        return self.plateau + total / (2 * self.scale)


def rest_elliptic(network: Network, horizon: float) -> TimeGrid:
    """C(t,s) from rest on a grid of times, from convolutions of χ with itself.

    Raises
    ------
    InputError
        If an input moves, or the horizon is too far.
    """
    if any(rate > 0.0 for rate, _ in network.sources):
        raise InputError("eta from rest: an input that moves is not known; write a number for q, or start='stationary'")
    if network.sigma_w * horizon > _LATEST:
        raise InputError(f"horizon={horizon:g}: wanted at most {_LATEST / network.sigma_w:g} with eta; write that")
    from scipy.integrate import cumulative_simpson

    def solved(steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        t = np.linspace(0.0, horizon, steps + 1)
        q = _convolutions(network, t)
        product = q.T @ q
        summed = np.zeros_like(product)
        for lag in range(steps + 1):
            along = np.diagonal(product, lag)
            whole = cumulative_simpson(along, dx=t[1], initial=0.0) if len(along) > 2 else _short(along, float(t[1]))
            rows = np.arange(len(along))
            summed[rows, rows + lag] = summed[rows + lag, rows] = whole
        static = cumulative_simpson(q, dx=t[1], axis=1, initial=0.0)
        C = network.kappa * summed + network.static * static.T @ static
        own = network.kappa * -np.expm1(-2 * network.gamma * np.minimum(t[:, None], t)) / (2 * network.gamma)
        return t, C, C - own * np.exp(-network.gamma * np.abs(t[:, None] - t))

    # Every other time alone: Simpson's rule needs two steps.
    t, C, smooth = (each[::2] if each.ndim == 1 else each[::2, ::2] for each in solved(2 * _STEPS))
    _, rough, _ = solved(_STEPS)
    return TimeGrid(t, C, smooth, float(np.abs(C[::2, ::2] - rough[::2, ::2]).max()) / 8 + 1e-14)


def _short(values: np.ndarray, step: float) -> np.ndarray:
    return np.append(0.0, np.cumsum((values[1:] + values[:-1]) / 2 * step))


def _convolutions(network: Network, t: np.ndarray) -> np.ndarray:
    """q_n(t) = e^{−γt} (σ_w t)^{n−1}/(n−1)! ₀F₁(n + 1; η σ_w² t²) for n = 1, 2, …, as far as they matter."""
    from scipy.special import gammaln, ive, jv

    x, eta = network.sigma_w * t, _eta(network)
    z = eta * x**2
    found = []
    for n in range(1, 40 + math.ceil(6 * x[-1])):
        far = np.abs(z) > 4 * (n + 1)
        near = np.where(far, 0.0, z)
        total, term = np.ones_like(z), np.ones_like(z)
        for k in range(1, 60):
            term = term * near / (k * (n + k))
            total = total + term
        with np.errstate(divide="ignore"):
            size = (n - 1) * np.log(x) if n > 1 else np.zeros_like(x)
            # I_n or J_n of 2 |z|^{1/2}, over |z|^{n/2}/n!
            beyond = gammaln(n + 1) - n / 2 * np.log(np.where(far, np.abs(z), 1.0))
        root = 2 * np.sqrt(np.abs(z))
        bessel = ive(n, root) if eta > 0 else jv(n, root)
        grown = beyond + (root if eta > 0 else 0.0)
        scale = np.exp(size - gammaln(n) - network.gamma * t + np.where(far, grown, 0.0))
        found.append(scale * np.where(far, bessel, total))
    return np.array(found)
