"""When a simulation stops."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnqft import InputError, finite_number, short, whole_number
from nnqft.checks import positive_number
from nnqft_plugins.networks.simulation.statistics import Summary

MOST_NETWORKS = 10_000_000


@dataclass(frozen=True)
class Goal:
    """When a simulation stops: so many networks, an error small enough, or so many seconds."""

    networks: int
    rtol: float | None
    seconds: float | None = None

    @classmethod
    def checked(cls, networks: Any, rtol: Any, time_limit: Any = None) -> Goal:
        """The goal that the user's arguments stand for; InputError if they make no sense."""
        if networks is None and rtol is None:
            raise InputError("no target: wanted networks or rtol, write for example networks=1000 or rtol=1e-2")
        if rtol is not None and not 0.0 < finite_number("rtol", rtol) < 1.0:
            raise InputError(f"rtol={short(rtol)}: wanted a number between 0 and 1, write for example rtol=1e-2")
        most = MOST_NETWORKS if networks is None else whole_number("networks", networks, 2, "1000")
        seconds = None if time_limit is None else positive_number("time_limit", time_limit)
        return cls(most, None if rtol is None else float(rtol), seconds)

    def excess(self, summary: Summary) -> float:
        """Largest error over what is allowed; inf without a relative target."""
        if self.rtol is None:
            return math.inf
        return float((np.sqrt(np.diagonal(summary.total)) / self.allowed(summary)).max())

    def allowed(self, summary: Summary) -> np.ndarray:
        """The error that `rtol` allows for each number."""
        return np.maximum((self.rtol or 0.0) * np.abs(summary.mean), 1e-300)
