"""Dynamic mean-field theory: the network at infinite width, for any activation."""

from nnqft_plugins.networks.meanfield.edge import edge_of_chaos
from nnqft_plugins.networks.meanfield.phases import PhaseDiagram, phase_diagram
from nnqft_plugins.networks.meanfield.solution import MeanField
from nnqft_plugins.networks.meanfield.solver import solve

__all__ = ["MeanField", "PhaseDiagram", "edge_of_chaos", "phase_diagram", "solve"]
