"""Excitatory and inhibitory units: diagrams, infinite width and drawn networks side by side."""

import nnqft
from nnqft_plugins.networks.meanfield import solve
from nnqft_plugins.networks.simulation import simulate

weights = {"fractions": [0.8, 0.2], "gains": [[1.0, 2.0], [1.0, 0.5]], "means": [[0.2, -0.8], [0.4, -0.4]]}
for population in (1, 2):
    theory = nnqft.theory("taylor", activation="tanh", N=50, sigma_w=0.8, population=population, **weights)
    wide = solve(theory).variance
    result = nnqft.compute(theory, "two_point", order=1, width_order=1, rtol=1e-3)
    drawn = simulate(theory, networks=200)
    print(f"population {population}: N → ∞ {wide:.5f}, to 1/N {result.mean[0]:.5f}, drawn {drawn.mean[0]:.4f}", end=" ")
    print(f"± {drawn.sdev[0]:.4f}")
