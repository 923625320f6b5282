"""A pilot ensemble of small networks, from which the errors of others come.

Small networks have heavy tails. In an ensemble that lacks the rare large ones the mean is small, and so is the error
that its own scatter tells, more so where control variates leave nothing but the tail. Networks so small cost next to
nothing, so the scatter is that of hundreds or thousands more, the same ones whatever the seed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from nnqft_plugins.networks.meanfield.remembering import remembered
from nnqft_plugins.networks.simulation.batches import run_batch
from nnqft_plugins.networks.simulation.measurement import Ensemble, Measured, NetworkBatch, concatenate
from nnqft_plugins.networks.simulation.paths import ORDER
from nnqft_plugins.networks.simulation.schedule import Schedule
from nnqft_plugins.networks.simulation.statistics import WIDE, Scatter, scatter_of

FAR = 5.0
"""Standard deviations between an ensemble and the edge of stationarity beyond which nobody will meet a case."""
_SEED = 0x70696C6F74
"""Of all pilots. It spells their name, which nobody gives a simulation."""
_MOST, _FEWEST, _ENTRIES, _VALUES = 40_000, 500, 400_000, 200_000
"""Units of a pilot at most and at least; entries of their matrices, and values at all times together."""
_MOST_PATHS, _MOVES = 10_000, 6_000_000
"""Where paths are followed, and steps of all neurons, half a second; where the fewest units take more there is none."""
_BATCH = 500


@dataclass(frozen=True, eq=False)
class Pilot:
    """What a pilot ensemble tells of all others like it.

    Attributes
    ----------
    scatter : Scatter or None
        None where there was no pilot, or where the average over all networks has no limit.
    away : float
        How far they are from the edge; see `away_from_the_edge`.
    discarded, networks : int
        How many did not count, and how many there were.
    """

    scatter: Scatter | None = None
    away: float = math.inf
    discarded: int = 0
    networks: int = 0


def pilot_of(ensemble: Ensemble) -> Pilot:
    """The pilot of an ensemble; an empty one for wide networks, which have mild tails, and for long paths."""
    mine = replace(ensemble, seed=_SEED)
    units = _units(mine)
    return _pilot(mine, units) if units else Pilot()


def _units(ensemble: Ensemble) -> int:
    """Units of its pilot; 0 for none."""
    N = ensemble.network.N
    if N >= WIDE:
        return 0
    units = min(_MOST, _ENTRIES // N**2, _VALUES // len(ensemble.times))
    if ensemble.scheme == "exact":
        return max(_FEWEST, units)
    steps = float(Schedule.of(ensemble).moments[-1]) / ensemble.step
    units = min(units, _MOST_PATHS, int(_MOVES / (N * max(steps, 1.0))))
    return units if units >= _FEWEST else 0


@remembered(4)
def _pilot(ensemble: Ensemble, units: int) -> Pilot:
    sizes = [min(_BATCH, units - first) for first in range(0, units, _BATCH)]
    measured = concatenate([run_batch(NetworkBatch(ensemble, n, size)) for n, size in enumerate(sizes)])
    away = away_from_the_edge(measured)
    networks = measured.discarded + int(measured.members.sum())
    if measured.discarded or away < FAR:
        return Pilot(None, away, measured.discarded, networks)
    scatter = scatter_of(measured, ORDER[ensemble.scheme], ensemble.kernel, ensemble.network.N)
    return Pilot(scatter, away, 0, networks)


def away_from_the_edge(measured: Measured) -> float:
    """Of stationary linear networks: mean over standard deviation of what separates them from the edge; else inf."""
    if measured.margin is None or len(measured.margin) < 2:
        return math.inf
    return float(measured.margin.mean() / max(float(measured.margin.std()), 1e-300))
