"""From diagrams to pieces of work: the time integral of each, who computes it, and its seeds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from nnqft.diagram import DiagramSet
from nnqft.errors import InputError
from nnqft.host import default_host
from nnqft.integral import TimeIntegral, time_integral
from nnqft.interfaces import AbstractIntegrator, Work


def make_work(diagrams: DiagramSet, times: np.ndarray, integrator: str) -> list[Work]:
    """One piece of work for each diagram, in their order.

    Raises
    ------
    InputError
        If no integrator supports one of the integrals, with the reasons.
    """
    candidates = _candidates(integrator)
    times = times[:, [leg.point for leg in diagrams.plan.externals]]
    work = []
    for number, diagram in enumerate(diagrams):
        integral = time_integral(diagram, diagrams.theory, times)
        chosen = _choose(candidates, integral, number)
        map_key = hashlib.blake2b(integral.key.encode(), digest_size=16).digest()
        work.append(
            Work(
                label=f"diagram {number} (order {diagram.order}, width {diagram.width})",
                integral=integral,
                integrator=chosen,
                weight=diagram.weight,
                key=(int(diagram.digest, 16),),
                map_key=(int.from_bytes(map_key),),
            )
        )
    return work


def _candidates(integrator: str) -> list[AbstractIntegrator]:
    """The one that was named, or for "auto" all, exact ones first."""
    host = default_host()
    if integrator != "auto":
        return [host.get("integrator", integrator)]
    everyone: list[AbstractIntegrator] = [thing for thing, _ in host.found["integrator"].values()]
    return sorted(everyone, key=lambda i: not i.exact)


def _choose(candidates: Sequence[AbstractIntegrator], integral: TimeIntegral, number: int) -> AbstractIntegrator:
    reasons = []
    for candidate in candidates:
        answer = candidate.supports(integral)
        if answer is True:
            return candidate
        reasons.append(f"{candidate.name}: {answer}")
    raise InputError(f"no integrator for diagram {number} ({'; '.join(reasons) or 'none is installed'})")
