"""Ensembles of networks as what diagrams are checked with."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from nnqft import AbstractSimulator, InputError, Need, Sampling, Simulated, Theory
from nnqft.show.progress import progress_bar
from nnqft_plugins.networks.network import network_of
from nnqft_plugins.networks.simulation.asked import Asked, ask_all
from nnqft_plugins.networks.simulation.choices import choose
from nnqft_plugins.networks.simulation.ensemble import run_to
from nnqft_plugins.networks.simulation.findings import findings
from nnqft_plugins.networks.simulation.goal import Goal
from nnqft_plugins.networks.simulation.measurement import Ensemble
from nnqft_plugins.networks.simulation.statistics import Numbers


class NetworkSimulator(AbstractSimulator):
    """Networks with weights, bias and input drawn at random, of the true activation; see docs/simulation.md."""

    name = "networks"
    summary = "ensembles of random networks, for every model with an activation"

    def supports(self, theory: Theory, needs: Sequence[Need], sampling: Sampling) -> bool | str:
        """True where there is a network behind the theory, and it can be asked for these."""
        try:
            _ensemble(theory, needs, sampling)
        except InputError as error:
            return str(error)
        return True

    def simulate(self, theory: Theory, needs: Sequence[Need], numbers: Numbers, sampling: Sampling) -> Simulated:
        """The numbers that follow from correlation functions of the same networks."""
        began = time.monotonic()
        goal = Goal.checked(sampling.samples, sampling.rtol, sampling.time_limit)
        asked, ensemble = _ensemble(theory, needs, sampling)

        def of_averages(mean: np.ndarray, cov: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            values, inner = asked.numbers(mean, cov)
            found, outer = numbers(values, inner @ cov @ inner.T)
            return found, outer @ inner

        with progress_bar(sampling.progress, "first networks", "networks") as report:
            run = run_to(sampling.executor, ensemble, goal, report, of_averages, fixed=sampling.step is not None)
        found = run.found
        return Simulated(
            mean=found.mean,
            cov=found.total,
            samples=int(run.measured.members.sum()),
            converged=run.converged,
            reason=run.reason,
            notes=tuple(findings(run.ensemble, run.measured, found, run.pilot)),
            seconds=time.monotonic() - began,
            method=ensemble.scheme,
        )


def _ensemble(theory: Theory, needs: Sequence[Need], sampling: Sampling) -> tuple[Asked, Ensemble]:
    """What is asked, and of which networks; InputError if something of it makes no sense."""
    network = network_of(theory, sampling.activation, structured=True)
    asked = ask_all(theory, needs)
    steps = {"step": sampling.step, "layer": None, "burn": None, "window": None}
    return asked, choose(theory, network, asked, "auto", **steps, kernel=False, seed=sampling.seed)
