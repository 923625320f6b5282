"""One width of a check: what theory says beside what was simulated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnqft.checks import whole_number
from nnqft.files import to_plain
from nnqft.integrals.estimate import Estimate, add_all
from nnqft.integrals.estimate_data import cov_from, cov_to_data
from nnqft.interfaces.simulator import Simulated
from nnqft.results.derivation import derive
from nnqft.results.derived import Derived
from nnqft.results.result import Result
from nnqft.results.tables import time_label
from nnqft.stages.request import Request

ROUNDING = 1e-12
"""Relative; of numbers that are the same but for the order of a sum."""


@dataclass(frozen=True, eq=False)
class Compared:
    """One width: what theory says, and what was simulated.

    Attributes
    ----------
    N : int
    theory : Result or Derived
    infinite : (K,) array
        Theory at width order 0, which is N → ∞ but for factors 1/N that the observable has by itself.
    simulated : Simulated
    """

    N: int
    theory: Result | Derived
    infinite: np.ndarray
    simulated: Simulated

    @property
    def labels(self) -> tuple[str, ...]:
        """What each of the K numbers is."""
        if isinstance(self.theory, Derived):
            return self.theory.names
        request = self.theory.request
        return tuple(time_label(request, m).removeprefix("τ = ") for m in range(len(request.times)))

    @property
    def theory_error(self) -> np.ndarray:
        """(K,) what sampling, rounding and the method leave uncertain of the theory."""
        theory = self.theory
        if isinstance(theory, Derived):
            return theory.error
        return np.hypot(theory.sdev, np.broadcast_to(theory.total.rounding, len(theory.mean)))

    @property
    def left_out(self) -> np.ndarray:
        """(K,) what the theory leaves out, as it says itself; nan where it does not know."""
        return np.broadcast_to(self.theory.truncation, len(self.theory.mean))

    @property
    def combined(self) -> np.ndarray:
        """(K,) all errors together: of the simulation, of the theory, and what the theory leaves out."""
        size = ROUNDING * np.abs(self.theory.mean)
        squares = self.simulated.sdev**2 + self.theory_error**2 + self.left_out**2 + size**2
        return np.sqrt(squares)

    def pulls(self, values: np.ndarray) -> np.ndarray:
        """(K,) what was simulated minus these values, in combined errors; nan where something is not known."""
        gap, error = self.simulated.mean - values, self.combined
        with np.errstate(all="ignore"):
            return np.where((gap == 0) & (error == 0), 0.0, gap / error)

    @property
    def request(self) -> Request:
        """What was asked of the theory, the first of several requests."""
        return self.theory.request if isinstance(self.theory, Result) else self.theory.first.request

    @property
    def observable(self) -> str:
        """The name of what is compared."""
        return self.theory.request.observable if isinstance(self.theory, Result) else self.theory.observable

    def to_data(self) -> dict[str, object]:
        """Everything as JSON values."""
        simulated = to_plain(vars(self.simulated) | {"cov": cov_to_data(self.simulated.cov)})
        infinite = to_plain(self.infinite)
        return {"N": self.N, "theory": self.theory.to_data(), "infinite": infinite, "simulated": simulated}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Compared:
        """What `to_data` wrote; KeyError, TypeError or ValueError if the data are something else."""
        theory = (Derived if "derived" in data["theory"] else Result).from_data(data["theory"])
        given = dict(data["simulated"])
        size = len(theory.mean)
        given["mean"] = np.array(given["mean"], float).reshape(size)
        given["cov"] = np.array(cov_from(given["cov"], size))
        given["notes"] = tuple(str(note) for note in given["notes"])
        infinite = np.array(data["infinite"], float).reshape(size)
        return cls(whole_number("N", data["N"], 1), theory, infinite, Simulated(**given))


def at_width_zero(theory: Result | Derived) -> np.ndarray:
    """(K,) the numbers from the contributions of width order 0 alone."""
    if isinstance(theory, Result):
        return sum((part.mean for (_, k), part in theory.series.items() if k == 0), np.zeros(len(theory.mean)))
    totals = {}
    for label, result in theory.bases.items():
        zero = Estimate.exact(np.zeros(len(result.request.times)))
        totals[label] = add_all([zero, *(part for (_, k), part in result.series.items() if k == 0)])
    return derive(theory.plugin, theory.rules, theory.times, theory.bases, totals)[1]
