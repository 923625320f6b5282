"""Networks of which each hears several noises: scalar products of their states say how its covariances scatter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Histories:
    """dh = (−γ h + W φ(h) + b) dt + √κ dB with γ = 1: N units, W and b drawn once, B for each history.

    Steps are exact for W = 0 and of second order in it; `burn` passes first, then `looks` are taken, `apart` each.
    """

    phi: Callable[[np.ndarray], np.ndarray]
    N: int
    sigma_w: float
    sigma_b: float = 0.0
    kappa: float = 1.0
    histories: int = 32
    step: float = 0.1
    burn: float = 20.0
    looks: int = 20
    apart: float = 4.0

    def network(self, rng: np.random.Generator) -> np.ndarray:
        """(3,) of one network, unbiased: C = Σ_ii averaged over i, ψ = N Σ_ij² averaged over i ≠ j, N Σ_φ,ij²."""
        W = rng.normal(0.0, self.sigma_w / np.sqrt(self.N), (self.N, self.N))
        b = rng.normal(0.0, self.sigma_b, (self.N, 1)) if self.sigma_b else 0.0
        h = rng.normal(0.0, 1.0, (self.N, self.histories))
        decay, found = np.exp(-self.step), np.zeros(3)
        size, bend = np.sqrt(self.kappa * (1 - decay**2) / 2), (decay - 1 + self.step) / self.step
        for look in range(self.looks):
            for _ in range(round((self.apart if look else self.burn) / self.step)):
                drive = W @ self.phi(h) + b
                guess = decay * h + (1 - decay) * drive + rng.normal(0.0, size, h.shape)
                h = guess + bend * (W @ self.phi(guess) + b - drive)
            found += [*self._scatter(h), self._scatter(self.phi(h))[1]]
        return found / self.looks

    def _scatter(self, h: np.ndarray) -> tuple[float, float]:
        """Differences of two histories, over √2, have the covariances of one and no average, as h of an odd φ without
        bias has of itself; products of two that have no history in common are free of the noise of either.
        """
        units = len(h)
        d = (h[:, ::2] - h[:, 1::2]) / np.sqrt(2) if self.sigma_b else h
        off = ~np.eye(d.shape[1], dtype=bool)
        whole, own = (d.T @ d) ** 2, (d**2).T @ d**2
        return float((d**2).mean()), float((whole - own)[off].mean() / (units - 1))


def averaged(system: Histories, networks: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Averages over networks, and their covariance."""
    rng = np.random.default_rng([seed, system.N])
    values = np.array([system.network(rng) for _ in range(networks)])
    return values.mean(axis=0), np.cov(values.T) / networks


def at_infinite_width(
    widths: list[int], found: list[tuple[np.ndarray, np.ndarray]], degree: int
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted fits of each average by a polynomial in 1/N: its constant and the error of it."""
    powers = np.vander(1 / np.array(widths, float), degree + 1, increasing=True)
    means, errors = np.array([m for m, _ in found]), np.sqrt([np.diagonal(cov) for _, cov in found])
    best, sdev = [], []
    for mean, error in zip(means.T, errors.T, strict=True):
        cov = np.linalg.inv(powers.T @ (powers / error[:, None] ** 2))
        best.append((cov @ (powers.T @ (mean / error**2)))[0])
        sdev.append(np.sqrt(cov[0, 0]))
    return np.array(best), np.array(sdev)
