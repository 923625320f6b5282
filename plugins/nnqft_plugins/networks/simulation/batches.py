"""A batch of networks of any kind, drawn and measured."""

from __future__ import annotations

from nnqft.threads import one_thread
from nnqft_plugins.networks.simulation.adapting import adapting_batch
from nnqft_plugins.networks.simulation.layers import layer_batch
from nnqft_plugins.networks.simulation.linear import linear_batch
from nnqft_plugins.networks.simulation.measurement import Measured, NetworkBatch
from nnqft_plugins.networks.simulation.paths import path_batch


def run_batch(batch: NetworkBatch) -> Measured:
    """One item of work, on one thread, so that its bits do not depend on the machine's cores."""
    with one_thread():
        if batch.ensemble.scheme == "exact":
            return linear_batch(batch)
        if batch.ensemble.network.adaptation is not None:
            return adapting_batch(batch)
        return layer_batch(batch) if batch.ensemble.scheme == "layers" else path_batch(batch)
