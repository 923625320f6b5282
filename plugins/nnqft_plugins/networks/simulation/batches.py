"""A batch of networks, drawn by the method that its ensemble asks for."""

from __future__ import annotations

from nnqft.threads import one_thread
from nnqft_plugins.networks.simulation.adapting import adapting_batch
from nnqft_plugins.networks.simulation.layers import layer_batch
from nnqft_plugins.networks.simulation.linear import linear_batch
from nnqft_plugins.networks.simulation.measurement import Measured, NetworkBatch
from nnqft_plugins.networks.simulation.paths import path_batch
from nnqft_plugins.networks.simulation.tangent import tangent_batch


def run_batch(batch: NetworkBatch) -> Measured:
    """One item of work, on one thread, so that its bits do not depend on the machine's cores."""
    with one_thread():
        if batch.ensemble.scheme == "exact":
            return linear_batch(batch)
        if batch.ensemble.tangent:
            return tangent_batch(batch)
        if batch.ensemble.network.adaptation is not None:
            return adapting_batch(batch)
        return layer_batch(batch) if batch.ensemble.scheme == "layers" else path_batch(batch)
