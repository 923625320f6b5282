"""How paths of networks depend on what happened before: J_ij(t, s) = ∂h_i(t)/∂h_j(s), by tangents of their steps.

Each tangent begins at s as a vector v of random signs, of which E v_i v_j = δ_ij, so that v·Jv has the average tr J,
and |Jv|² the average Σ_ij J_ij². M. F. Hutchinson, Commun. Stat. Simul. 19, 433 (1990). The variance of Σ_ij J_ij² over
networks takes the product of two vectors' values, whose average has no share of their own scatter, and that of one
unit's Σ_j J_ij² the product of (Jv)_i² of both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nnqft_plugins.networks.network import Network
from nnqft_plugins.networks.simulation.measurement import Measured, NetworkBatch
from nnqft_plugins.networks.simulation.paths import Walk, controls_of, drawn, follow, traces_of
from nnqft_plugins.networks.simulation.schedule import RUN_AWAY, Schedule, drift

VECTORS = 2
"""Tangents of each network and moment of beginning."""


def tangent_batch(batch: NetworkBatch) -> Measured:
    """What tangents of paths of a batch of networks, one a unit, give."""
    ensemble, rng = batch.ensemble, batch.generator()
    network, shape = ensemble.network, (batch.size, ensemble.network.N)
    schedule, W, drive, begin = drawn(batch, rng)
    fine, coarse = (Walk(network, W, begin) for _ in range(2))
    due = _Due.of(schedule)
    found = np.zeros((2, *due.shape, batch.size, VECTORS))
    started: dict[int, np.ndarray] = {}
    with np.errstate(all="ignore"):
        for column in follow(ensemble, schedule, drive, fine, coarse):
            if column in due.last:
                started[column] = rng.choice((-1.0, 1.0), (*shape, VECTORS))
                fine.tangents[column] = coarse.tangents[column] = started[column]
            for m, k, first in due.at.get(column, ()):
                for n, walk in enumerate((fine, coarse if ensemble.refined else fine)):
                    now = walk.tangents[first][:, network.units]
                    if ensemble.spread and 2 * m >= due.shape[0]:
                        found[n, m, k] = (now**2).prod(axis=-1).mean(axis=1)[:, None]
                        continue
                    start = started[first][:, network.units]
                    found[n, m, k] = _value(ensemble.gradient, start, now, column > first)
            for past in [first for first in started if due.last[first] <= column]:
                del started[past], fine.tangents[past], coarse.tangents[past]
    return _measured(network, W, found, _kept(found, fine, coarse))


@dataclass(frozen=True)
class _Due:
    """What is to be measured when.

    Attributes
    ----------
    at : dict
        Position of a moment → (row, repetition, position of the moment when its tangent began).
    last : dict
        Position where a tangent begins → where it is needed last.
    shape : tuple
        Numbers of rows and repetitions.
    """

    at: dict[int, list[tuple[int, int, int]]]
    last: dict[int, int]
    shape: tuple[int, int]

    @classmethod
    def of(cls, schedule: Schedule) -> _Due:
        """Everything with a tangent that begins before it is measured; before it began there is no answer."""
        at: dict[int, list[tuple[int, int, int]]] = {}
        last: dict[int, int] = {}
        for m, places in enumerate(schedule.places):
            for k, (later, first) in enumerate(places.T.tolist()):
                if later >= first:
                    at.setdefault(later, []).append((m, k, first))
                    last[first] = max(last.get(first, later), later)
        return cls(at, last, (len(schedule.places), schedule.places[0].shape[1]))


def _kept(found: np.ndarray, *walks: Walk) -> np.ndarray:
    """(U,) networks that stayed within bounds."""
    bounded = [(np.abs(walk.h) < RUN_AWAY).all(axis=1) for walk in walks]
    return np.logical_and.reduce([*bounded, np.isfinite(found).all(axis=(0, 1, 2, 4))])


def _measured(network: Network, W: np.ndarray, found: np.ndarray, kept: np.ndarray) -> Measured:
    """What (2, rows, repetitions, U, vectors) values by both steps give."""
    found[:, :, :, ~kept] = 0.0
    K = found.mean(axis=-1)
    fine, coarse = K.mean(axis=2).swapaxes(1, 2)
    known = [np.broadcast_to(trace[:, None], fine.shape) for trace in traces_of(network, W)]
    return Measured(
        members=kept.astype(float),
        values=fine,
        squares=found[0].prod(axis=-1).mean(axis=1).T,
        coarse=coarse,
        controls=controls_of(known, fine.shape),
        discarded=int((~kept).sum()),
        drift=drift(K[0]),
    )


def _value(gradient: bool, start: np.ndarray, now: np.ndarray, later: bool) -> np.ndarray:
    """(U, P): |Jv|²/N or v·Jv/N, over the units that are looked at; a response begins after its kick."""
    if gradient:
        return (now**2).mean(axis=1)
    return (start * now).mean(axis=1) if later else np.zeros((len(now), now.shape[2]))
