"""A tanh network beyond the edge of chaos, from rest: all orders to 1/N, beside simulated networks."""

import nnqft
from nnqft_plugins.networks.simulation import simulate

theory = nnqft.theory("taylor", activation="tanh", sigma_w=1.6, N=50, start="rest", T=2)
times = [(2.0, 2.0)]

found = nnqft.compute(theory, ["two_point", "kernel_variance"], order="resummed", width_order=1, times=times)
print(found["two_point"].table())
print(found["kernel_variance"].table())

simulated = simulate(theory, times=times, networks=400, kernel=True, seed=1)
print(simulated.table())
print("kernel variance of the simulated networks:", simulated.kernel_variance())
