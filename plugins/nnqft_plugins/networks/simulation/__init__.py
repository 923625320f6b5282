"""Ensembles of networks with the parameters of a theory, simulated."""

from nnqft_plugins.networks.simulation.ensemble import simulate
from nnqft_plugins.networks.simulation.result import Simulation, load

__all__ = ["Simulation", "load", "simulate"]
