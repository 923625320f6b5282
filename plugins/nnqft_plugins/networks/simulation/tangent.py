"""How paths of networks depend on what happened before: J_ij(t, s) = ∂h_i(t)/∂h_j(s), by tangents of their steps.

Each tangent begins at s as a vector v of random signs, of which E v_i v_j = δ_ij, so that v·Jv has the average tr J, and
|Jv|² the average Σ_ij J_ij². M. F. Hutchinson, Commun. Stat. Simul. 19, 433 (1990). The variance of Σ_ij J_ij² over
networks takes the product of two vectors' values, whose average has no share of their own scatter.
"""

from __future__ import annotations

import math

import numpy as np

from nnqft_plugins.networks.simulation.measurement import Measured, NetworkBatch
from nnqft_plugins.networks.simulation.paths import Drive, Walk, follow, traces_of
from nnqft_plugins.networks.simulation.schedule import RUN_AWAY, Schedule, drift

VECTORS = 2
"""Tangents of each network and moment of beginning."""


def tangent_batch(batch: NetworkBatch) -> Measured:
    """What tangents of paths of a batch of networks, one a unit, give."""
    ensemble, rng = batch.ensemble, batch.generator()
    network, shape = ensemble.network, (batch.size, ensemble.network.N)
    schedule = Schedule.of(ensemble)
    W = rng.normal(0.0, network.sigma_w / np.sqrt(network.N), (*shape, network.N))
    drive = Drive(network, rng, shape)
    begin = math.sqrt(ensemble.begin) * rng.standard_normal(shape)
    walks = [Walk(network, W, begin) for _ in range(2)]
    rows = [(m, k) for m, (later, _) in enumerate(schedule.places) for k in range(len(later))]
    found = np.zeros((2, len(schedule.places), len(schedule.places[0][0]), batch.size, VECTORS))
    started: dict[int, np.ndarray] = {}
    begun = {int(schedule.places[m][1][k]) for m, k in rows}
    last = {start: max(int(l[k]) for l, s in schedule.places for k in range(len(s)) if s[k] == start) for start in begun}
    with np.errstate(all="ignore"):
        for column in follow(ensemble, schedule, drive, *walks):
            if column in begun:
                started[column] = rng.choice((-1.0, 1.0), (*shape, VECTORS))
                for walk in walks:
                    walk.tangents[column] = started[column]
            for m, k in rows:
                later, first = (int(place[k]) for place in schedule.places[m])
                if later == column and first in started:
                    for n, walk in enumerate(walks if ensemble.refined else walks[:1] * 2):
                        found[n, m, k] = _value(ensemble.gradient, started[first], walk.tangents[first], later > first)
            for start in [start for start in started if last[start] <= column]:
                del started[start]
                for walk in walks:
                    del walk.tangents[start]
    kept = np.logical_and.reduce([(np.abs(walk.h) < RUN_AWAY).all(axis=1) for walk in walks])
    kept &= np.isfinite(found).all(axis=(0, 1, 2, 4))
    found[:, :, :, ~kept] = 0.0
    pairs = found[0].prod(axis=-1).mean(axis=1).T
    K = found.mean(axis=-1)
    fine, coarse = K.mean(axis=2).swapaxes(1, 2)
    known = [np.broadcast_to(trace[:, None], fine.shape) for trace in traces_of(network, W)]
    return Measured(
        members=kept.astype(float),
        values=fine,
        squares=pairs,
        coarse=coarse,
        controls=np.stack(known, axis=-1),
        discarded=int((~kept).sum()),
        drift=drift(K[0]),
    )


def _value(gradient: bool, start: np.ndarray, now: np.ndarray, later: bool) -> np.ndarray:
    """(U, P): |Jv|²/N or v·Jv/N; a response begins after its kick."""
    if gradient:
        return (now**2).mean(axis=1)
    return (start * now).mean(axis=1) if later else np.zeros((len(now), now.shape[2]))
