"""Dynamic mean-field theory: the network at infinite width, for any activation."""

from nnqft_plugins.meanfield.solution import MeanField
from nnqft_plugins.meanfield.solver import solve

__all__ = ["MeanField", "solve"]
