"""Dry runs of simulations: how networks would be followed, how many are needed, and about how long it would take."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np

from nnqft import Activation, Theory
from nnqft.checks import one_line_keywords
from nnqft.host import running
from nnqft.show.numbers import parameter_line
from nnqft.show.page import Page
from nnqft_plugins.networks.network import network_of
from nnqft_plugins.networks.simulation.asked import Asked, ask
from nnqft_plugins.networks.simulation.choices import choose
from nnqft_plugins.networks.simulation.ensemble import Run, first_round, rounds
from nnqft_plugins.networks.simulation.goal import Goal
from nnqft_plugins.networks.simulation.measurement import Ensemble
from nnqft_plugins.networks.simulation.pilot import pilot_of

_PILOT = 64
"""Networks that are drawn to predict the others."""
_LONG = 10.0
"""Seconds, as the pilot predicts them, up to which the first round is drawn instead: large batches are faster."""


@one_line_keywords
def forecast_simulation(
    theory: Theory,
    *,
    observable: str = "two_point",
    times: Any = None,
    tau: Any = None,
    indices: str | None = None,
    networks: int | None = None,
    rtol: float | None = None,
    method: str = "auto",
    step: float | None = None,
    layer: float | None = None,
    burn: float | None = None,
    window: float | None = None,
    kernel: bool = False,
    executor: Any = "local",
    workers: int | None = None,
    address: str | None = None,
    seed: int = 0,
    progress: bool = False,
    activation: Activation | None = None,
    time_limit: float | None = None,
) -> str:
    """What `simulate` would do with these arguments, as plain text: method, steps, networks, seconds.

    A few networks are drawn and timed to predict the others. A step that turns out too long for `rtol` would be halved
    and everything begun again, which is not predicted.

    Raises
    ------
    InputError
        As `simulate` would.
    """
    network, goal = network_of(theory, activation, structured=True), Goal.checked(networks, rtol, time_limit)
    asked = ask(theory, observable, times, tau, indices)
    ensemble = choose(theory, network, asked, method, step, layer, burn, window, kernel, seed)
    with running(executor, workers, address) as place:
        name, at_once = place.name, place.parallel
    first = min(goal.networks, first_round(ensemble, goal))
    few = min(first, _PILOT)
    run, seconds = _timed(ensemble, few, asked)
    if few < first and seconds / few * first < _LONG:
        few = first
        run, seconds = _timed(ensemble, few, asked)
    count = max(_needed(goal, run, few), first)
    seconds = seconds / few * count / min(at_once, max(1.0, math.ceil(count / few)))
    many = f"{len(asked.times)} time{'s' * (len(asked.times) > 1)}"
    heading = (
        "dry run: nothing was simulated but a few networks",
        f"{observable} of simulated {theory.model} ({theory.start}) at {many}, seed {ensemble.seed}",
        parameter_line(theory.parameters),
    )
    where = f"on {name} with {at_once} worker{'s' * (at_once > 1)}"
    last = (
        f"about {count:,.0f} networks, about {seconds:.2g} s {where}"
        f" (predicted from {few} networks; right within a factor of about 3)"
    )
    return Page(heading, (_how(ensemble),), last=last).text()


def _needed(goal: Goal, run: Run, few: int) -> float:
    """How many networks meet the goal, as the error of a few of them predicts."""
    if goal.rtol is None or run.summary is None:
        return float(goal.networks)
    allowed = goal.rtol * np.abs(run.summary.mean)
    with np.errstate(divide="ignore"):
        return min(float(goal.networks), float(np.max(few * np.diagonal(run.summary.cov) / allowed**2)))


def _timed(ensemble: Ensemble, networks: int, asked: Asked) -> tuple[Run, float]:
    """So many networks in this process, and the seconds that they took."""
    pilot_of(ensemble)  # the same few whatever the number of networks: known from here on
    with running("local") as here:
        began = time.perf_counter()
        run = rounds(here, ensemble, Goal(networks, None), lambda state: None, asked.numbers)
    return run, time.perf_counter() - began


def _how(ensemble: Ensemble) -> str:
    if ensemble.scheme == "exact":
        return "method exact: covariances from the eigenvectors of each W, no paths"
    stationary = f", burn {ensemble.burn:.3g}, window {ensemble.window:.3g}" if ensemble.network.stationary else ""
    return f"method {ensemble.scheme}: paths with step ≤ {ensemble.step:.3g}{stationary}"
