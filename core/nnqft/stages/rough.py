"""A rough look at sums of diagrams, before anything is computed in earnest."""

from __future__ import annotations

import numpy as np

from nnqft.errors import DiagramError
from nnqft.graphs.diagram_set import DiagramSet
from nnqft.integrals.distinct import column_of
from nnqft.integrals.estimate import Estimate, add_all
from nnqft.integrals.forest import time_integral
from nnqft.show.watch import tick

_SAMPLES = 512
"""Points of each integral's cube: a sum is then known to some per cent."""


def rough_sum(diagrams: DiagramSet, times: np.ndarray, seed: int) -> Estimate:
    """The weighted sum of these diagrams with its error, from a few points of each integral's cube."""
    legs = times[:, [column_of(leg) for leg in diagrams.layout.externals]]
    parts = [Estimate.exact(np.zeros(len(times)))]
    for number, weight in enumerate(diagrams.weights.tolist()):
        tick("choosing a degree", number, len(diagrams), "diagrams")
        integral = time_integral(diagrams[number], diagrams.theory, legs)
        if not integral.dim:
            parts.append(Estimate.exact(weight * np.asarray(integral(np.empty((1, 0)))[0])))
            continue
        rng = np.random.default_rng(np.random.SeedSequence((seed, int(diagrams.digest(number), 16))))
        try:
            values = np.asarray(integral(rng.random((_SAMPLES, integral.dim))))
        except DiagramError:
            continue  # the computation itself says which one it is
        cov = np.atleast_2d(np.cov(values, rowvar=False)) / _SAMPLES
        parts.append(Estimate.of_chunk(_SAMPLES, values.mean(axis=0), cov).scaled(weight))
    return add_all(parts)
