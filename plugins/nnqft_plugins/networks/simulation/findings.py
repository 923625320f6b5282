"""What a reader of a simulation should know about its ensemble."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from nnqft_plugins.networks.simulation.measurement import Ensemble, Measured
from nnqft_plugins.networks.simulation.pilot import FAR, Pilot, away_from_the_edge
from nnqft_plugins.networks.simulation.statistics import SKEWED, Summary

_UNCERTAIN = 10.0
"""Degrees of freedom of an error below which a note says so."""


def _largest_share(units: np.ndarray) -> float:
    """Part of the variance that comes from one unit; it would be small if the tails were not heavy."""
    if len(units) < 100:
        return 0.0
    square = (units - units.mean(axis=0)) ** 2
    return float((square.max(axis=0) / np.maximum(square.sum(axis=0), 1e-300)).max())


def findings(ensemble: Ensemble, measured: Measured, summary: Summary, pilot: Pilot) -> Iterator[str]:
    """Notes about an ensemble, a sentence each, if there is something to say."""
    total = measured.discarded + int(measured.members.sum())
    if measured.discarded and ensemble.scheme == "exact":
        yield (
            f"{measured.discarded} of {total} networks have no stationary state (an eigenvalue of W beyond γ) and were"
            " left out; networks close to that edge dominate, and the average over all has no limit"
        )
    elif measured.discarded:
        yield (
            f"{measured.discarded} of {total} networks ran away (|h| > 10⁶) and were left out: the average is over the"
            " others"
        )
    elif (away := min(away_from_the_edge(measured), pilot.away)) < FAR:
        yield (
            f"the largest eigenvalue of W is {away:.1f} of its own standard deviations away from γ: rare networks"
            " beyond it have no stationary state, the average over all has no limit, and errors are not to be trusted"
        )
    elif pilot.discarded:
        yield (
            f"{pilot.discarded} of {pilot.networks} other networks like these ran away (|h| > 10⁶): the average over"
            " all has no limit, and errors are not to be trusted"
        )
    if pilot.scatter is None and (share := _largest_share(summary.units)) > max(0.1, 25 / len(summary.units)):
        yield f"one network brings {share:.0%} of the variance: a heavy tail, errors are not to be trusted"
    elif summary.freedom < _UNCERTAIN:
        yield f"a heavy tail: errors are as uncertain as those of {summary.freedom + 1:.0f} networks would be"
    if summary.skewness > SKEWED:
        members = max(1, round(total / len(measured.members)))
        yield (
            f"a heavy tail: means of {total} networks are skewed (skewness {summary.skewness:.1f}), most are too small;"
            f" write networks={members * summary.least} or more"
        )
    if measured.residual > 1e-8:
        yield f"eigenvectors close to parallel: relative rounding error up to {measured.residual:.1e} in a network"
    if measured.drift is not None and len(measured.drift) > 1:
        drift = measured.drift[measured.members > 0]
        if len(drift) > 1 and (error := drift.std(ddof=1) / math.sqrt(len(drift))) and abs(drift.mean()) > 4 * error:
            yield (
                f"not stationary yet: the second half of the paths differs from the first by {drift.mean():.2g}"
                f" ± {error:.1g}; write a larger burn"
            )
