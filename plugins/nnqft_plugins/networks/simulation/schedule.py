"""When a path is looked at: at the times themselves, or again and again along a stationary path."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nnqft_plugins.networks.simulation.measurement import Ensemble
from nnqft_plugins.networks.simulation.moments import averaged

RUN_AWAY = 1e6
"""A path that comes this far has run away: nothing that stays bounded does."""


@dataclass(frozen=True)
class Schedule:
    """Moments of a path, and which of them make each measurement.

    Attributes
    ----------
    moments : (R,) array, increasing
    places : tuple of (legs, K) arrays
        Positions in `moments`, for each of M rows of times and each of K repetitions.
    """

    moments: np.ndarray
    places: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, ensemble: Ensemble) -> Schedule:
        """The schedule for the times of an ensemble."""
        bases: np.ndarray = np.zeros(1)
        if ensemble.network.stationary:
            bases = ensemble.burn + np.arange(max(1, round(ensemble.window / ensemble.spacing))) * ensemble.spacing
        legs = [_offsets(ensemble, times) for times in ensemble.times]
        every = np.concatenate(legs)[:, None] + bases
        # Moments that differ by rounding only are one.
        grain = 1e-9 * max(1.0, float(every.max()))
        ticks, places = np.unique(np.rint(every / grain), return_inverse=True)
        ends = np.cumsum([len(each) for each in legs])[:-1]
        return cls(ticks * grain, tuple(np.split(places.reshape(every.shape), ends)))


def _offsets(ensemble: Ensemble, times: tuple[float, ...]) -> np.ndarray:
    """Times of a row, from rest as they are, else from the first of them on; the two points of C may change places."""
    row = np.array(times)
    if not ensemble.network.stationary:
        return row
    if ensemble.moments or ensemble.tangent:
        return row - row.min()
    return np.array([abs(row[0] - row[1]), 0.0])


def spacing_for(lags: np.ndarray, wanted: float) -> float:
    """A spacing of repetitions near the one wanted, so that lags on a regular grid fall on other repetitions."""
    gaps = np.diff(np.unique(np.append(np.abs(lags), 0.0)))
    if not gaps.size:
        return wanted
    unit = float(gaps.min())
    regular = np.allclose(lags / unit, np.rint(lags / unit), atol=1e-6)
    if not regular or unit < 0.02 * wanted:
        return wanted
    return unit * math.ceil(wanted / unit - 1e-9)


def kernels(schedule: Schedule, records: np.ndarray, units: slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
    """K = (1/N) Σ_i h_i(t) h_i(s) of networks at the moments of a schedule, over all units or some of them.

    Parameters
    ----------
    records : (walks, R, U, N) array
        States of U networks, by each of several walks of theirs; the third, if there is one, is a control.

    Returns
    -------
    kept : (U,) array of bool
        Networks that stayed within bounds on all walks.
    K : (walks, M, K, U) array
        For each pair of times and repetition; 0 on the first two walks of networks that ran away.
    """
    kept = bounded(records)
    records = records[..., units]
    sums = [[np.einsum("kun,kun->ku", walk[t], walk[s]) for t, s in schedule.places] for walk in records]
    return kept, np.array(sums) / records.shape[3]


def moment_averages(ensemble: Ensemble, schedule: Schedule, records: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As `kernels`, of each moment of the ensemble instead; (2, M, K, U)."""
    kept = bounded(records)
    rows = zip(ensemble.moments, schedule.places, strict=True)
    walks = records[:2, ..., ensemble.network.units]
    sums = [[averaged(moment, [walk[place] for place in places]) for walk in walks] for moment, places in rows]
    return kept, np.array(sums).swapaxes(0, 1)


def bounded(records: np.ndarray) -> np.ndarray:
    """(U,) networks that stayed within bounds on both walks; the others are set to 0 there."""
    kept = (np.abs(records[:2]) < RUN_AWAY).all(axis=(0, 1, 3))  # False for nan
    records[:2, :, ~kept] = 0.0
    return kept


def drift(K: np.ndarray) -> np.ndarray | None:
    """Second half minus first half of the repetitions of the first pair, (U,); None if there are none."""
    half = K.shape[1] // 2
    return K[0, half:].mean(axis=0) - K[0, :half].mean(axis=0) if half else None
