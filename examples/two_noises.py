"""Two noises on one network: in how many directions its activity fluctuates, by diagrams, summed, and simulated."""

import numpy as np
from scipy.linalg import solve_continuous_lyapunov

import nnqft
from nnqft_plugins.networks.finite_width.dimension import dimensions
from nnqft_plugins.networks.network import network_of

N, sigma_w = 100, 0.5
theory = nnqft.theory("linear", N=N, sigma_w=sigma_w)

# ⟨h_i^a h_j^a h_i^b h_j^b⟩ with two noise histories a, b and units i ≠ j: its average over networks is that of Σ_ij².
four = {"indices": "ijij", "replicas": "aabb"}
for diagram in nnqft.diagrams(theory, "cumulant", order=1, **four):
    print(diagram)
square = nnqft.compute(theory, "cumulant", order=4, times=[(0.0, 0.0, 0.0, 0.0)], width_order=1, **four)
print("N E[Σ_ij²] to order 4:", N * square.mean[0])

dimension = nnqft.compute(theory, "dimension", order=3)
summed = dimensions(network_of(theory))
for name, value in zip(dimension.names, dimension.mean, strict=True):
    print(f"D/N, {name}: {value:.6f} to order 3, {summed[name].value:.6f} to all orders")

rng, ratios = np.random.default_rng(1), []
for _ in range(20):
    drift = rng.normal(0.0, sigma_w / np.sqrt(N), (N, N)) - np.eye(N)
    covariance = solve_continuous_lyapunov(drift, -np.eye(N))
    ratios.append(np.trace(covariance) ** 2 / N / np.sum(covariance**2))
print(f"D/N of 20 networks, N = {N}: {np.mean(ratios):.4f} ± {np.std(ratios) / 20**0.5:.4f}")
