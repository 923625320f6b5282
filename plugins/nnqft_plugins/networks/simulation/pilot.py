"""A pilot ensemble of small networks, from which the errors of others come.

Small networks have heavy tails. In an ensemble that lacks the rare large ones the mean is small, and so is the error
that its own scatter tells, more so where control variates leave nothing but the tail. Exact networks so small cost next
to nothing, so the scatter is that of thousands more, the same ones whatever the seed.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache

from nnqft.threads import one_thread
from nnqft_plugins.networks.simulation.linear import linear_batch
from nnqft_plugins.networks.simulation.measurement import Ensemble, Measured, NetworkBatch, concatenate
from nnqft_plugins.networks.simulation.statistics import WIDE, Scatter, scatter_of

FAR = 5.0
"""Standard deviations between an ensemble and the edge of stationarity beyond which nobody will meet a case."""
_SEED = 0x70696C6F74
"""Of all pilots. It spells their name, which nobody gives a simulation."""
_MOST, _FEWEST, _ENTRIES, _VALUES = 40_000, 500, 400_000, 200_000
"""Units of a pilot at most and at least; entries of their matrices, and values at all times together."""
_BATCH = 1000


def pilot_of(ensemble: Ensemble) -> tuple[Scatter | None, float]:
    """The scatter of a pilot ensemble, and how far it is from the edge; see `away_from_the_edge`.

    No scatter where it would be that of nothing: for wide networks and for paths, which are dear and have mild tails or
    do not run away, and where the average over all networks has no limit.
    """
    if ensemble.scheme != "exact" or ensemble.network.N >= WIDE:
        return None, math.inf
    return _pilot(replace(ensemble, seed=_SEED))


@lru_cache(maxsize=4)
def _pilot(ensemble: Ensemble) -> tuple[Scatter | None, float]:
    units = max(_FEWEST, min(_MOST, _ENTRIES // ensemble.network.N**2, _VALUES // len(ensemble.times)))
    sizes = [min(_BATCH, units - first) for first in range(0, units, _BATCH)]
    with one_thread():
        measured = concatenate([linear_batch(NetworkBatch(ensemble, n, size)) for n, size in enumerate(sizes)])
    away = away_from_the_edge(measured)
    if measured.discarded or away < FAR:
        return None, away
    return scatter_of(measured, 1, ensemble.kernel, ensemble.network.N), away


def away_from_the_edge(measured: Measured) -> float:
    """Of stationary linear networks: mean over standard deviation of what separates them from the edge; else inf."""
    if measured.margin is None or len(measured.margin) < 2:
        return math.inf
    return float(measured.margin.mean() / max(float(measured.margin.std()), 1e-300))
