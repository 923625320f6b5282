"""From a theory to the average over an ensemble of simulated networks."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nnqft import AbstractExecutor, Activation, InputError, IntegrationError, Theory
from nnqft.checks import one_line_keywords, true_or_false
from nnqft.host import running
from nnqft.show import watch
from nnqft.show.progress import progress_bar
from nnqft_plugins.networks.network import network_of
from nnqft_plugins.networks.simulation.asked import Asked, ask
from nnqft_plugins.networks.simulation.batches import run_batch
from nnqft_plugins.networks.simulation.choices import choose
from nnqft_plugins.networks.simulation.findings import findings
from nnqft_plugins.networks.simulation.goal import Goal
from nnqft_plugins.networks.simulation.measurement import Ensemble, Measured, NetworkBatch, concatenate
from nnqft_plugins.networks.simulation.paths import ORDER
from nnqft_plugins.networks.simulation.pilot import Pilot, pilot_of
from nnqft_plugins.networks.simulation.result import Simulation
from nnqft_plugins.networks.simulation.schedule import Schedule
from nnqft_plugins.networks.simulation.statistics import Numbers, Summary, of_numbers, summarise

_FIRST = 64
"""Units before the first look at the error, at least."""

Report = Callable[[dict[str, Any]], None]
"""Takes how far a run has come, for a progress bar."""


@one_line_keywords
def simulate(
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
    executor: str | AbstractExecutor = "local",
    workers: int | None = None,
    address: str | None = None,
    seed: int = 0,
    progress: bool = False,
    activation: Activation | None = None,
    time_limit: float | None = None,
) -> Simulation:
    """Average (1/N) Σ_i h_i(t) h_i(s), or another correlation function, over simulated networks of a theory.

    Parameters
    ----------
    theory
        Its model must have an activation; the true function is used, not its Taylor series.
    observable
        ``"two_point"``, ``"mean"``, ``"cumulant"``, ``"four_point"`` or any other with legs h, of up to six; and
        ``"response"`` and ``"gradient"``, (1/N) Σ_i J_ii and (1/N) Σ_ij J_ij² with J_ij = ∂h_i(t)/∂h_j(s).
    times : (M, legs) array, or tau : (M,) array
        Times of the legs, or lags of a stationary process; τ = 0 if neither is given.
    indices
        Units of the legs, a letter for each, such as ``"iijj"``; all one if not given.
    networks
        How many to draw; the most, if `rtol` is given, too.
    rtol
        Stop when the error, statistical and of the step, is at most that times |mean| at every time.
    method
        ``"exact"`` (linear networks: covariances, no paths), ``"heun"`` (paths, means converge as step²),
        ``"euler"`` (Euler–Maruyama), ``"layers"`` (feedforward); ``"auto"`` chooses.
    step
        Longest step of a path, in units of time. Paths are also followed by steps twice as long under the same noise,
        and the mean is extrapolated. With `rtol` a step that is too long is halved.
    layer
        Depth η of one layer of a stack as it stands; without it thin layers are meant, extrapolated to η → 0.
    burn, window
        Stationary paths: time that passes before the measurement, and time over which it is repeated. Chosen from
        the mean-field solution if not given.
    kernel
        Measure the variance of (1/N) Σ_i h_i(t) h_i(s) over the ensemble, too, or that of the gradient.
    executor, workers, address
        As for `nnqft.compute`; the numbers are the same on each.
    seed
        All randomness follows from it.
    progress
        Show a progress bar on stderr.
    activation
        Instead of the model's own.
    time_limit
        Stop after so many seconds with the networks that were drawn.

    Returns
    -------
    Simulation
        Ctrl-C and the time limit end it early, with what there is.

    Raises
    ------
    InputError
        If something makes no sense, or fewer than two networks could be used.
    ExecutorError, IntegrationError
        If the executor cannot be reached, or the time limit leaves no two networks.
    """
    began = time.monotonic()
    network = network_of(theory, activation, structured=True)
    goal = Goal.checked(networks, rtol, time_limit)
    asked = ask(theory, observable, times, tau, indices)
    ensemble = choose(theory, network, asked, method, step, layer, burn, window, kernel, seed)
    bar = progress_bar(true_or_false("progress", progress), "first networks", "networks")
    with running(executor, workers, address) as opened, bar as report:
        run = run_to(opened, ensemble, goal, report, asked.numbers, fixed=step is not None or layer is not None)
    return _simulation(theory, asked, run, run.found, time.monotonic() - began)


def _simulation(theory: Theory, asked: Asked, run: Run, summary: Summary, seconds: float) -> Simulation:
    """What is handed back of a run that has a summary."""
    measured = run.measured
    return Simulation(
        model=theory.model,
        start=theory.start,
        observable=asked.observable,
        parameters=dict(theory.parameters),
        times=np.array(asked.times),
        mean=summary.mean,
        cov=summary.total,
        discretisation=np.abs(summary.change),
        networks=int(measured.members.sum()),
        discarded=measured.discarded,
        method=run.ensemble.scheme,
        step=run.ensemble.step,
        seed=run.ensemble.seed,
        converged=run.converged,
        reason=run.reason,
        notes=tuple(findings(run.ensemble, measured, summary, run.pilot)),
        kernel=summary.kernel,
        kernel_error=summary.kernel_sdev,
        seconds=seconds,
        units=summary.units,
        indices=asked.indices,
    )


@dataclass
class Run:
    """How far a simulation has come."""

    ensemble: Ensemble
    pilot: Pilot
    measured: Measured
    summary: Summary | None
    converged: bool
    reason: str

    @property
    def discarded(self) -> int:
        """The number of networks that had to be left out."""
        return self.measured.discarded

    @property
    def found(self) -> Summary:
        """The summary; InputError if there is none."""
        if self.summary is None and not self.discarded:
            raise InputError("networks=2 are too few for an error; write networks=4 or more")
        if self.summary is None:
            raise InputError(
                f"{self.discarded} of {self.discarded} networks had no stationary state or ran away, wanted at least"
                " 2; write a smaller sigma_w, or start='rest'"
            )
        return self.summary


def run_to(
    executor: AbstractExecutor, ensemble: Ensemble, goal: Goal, report: Report, numbers: Numbers, *, fixed: bool
) -> Run:
    """Draw networks in growing rounds until the goal is met, or its time is over; halve a step that spoils it."""
    with watch.time_limit(goal.seconds):
        return _halving(executor, ensemble, goal, report, numbers, fixed)


def _halving(
    executor: AbstractExecutor, ensemble: Ensemble, goal: Goal, report: Report, numbers: Numbers, fixed: bool
) -> Run:
    run: Run | None = None
    while True:
        try:
            run = rounds(executor, ensemble, goal, report, numbers)
        except watch.OutOfTime:
            if run is None:
                raise IntegrationError(f"{watch.limit_line(goal.seconds)} before there were two networks") from None
            return replace(run, reason=watch.limit_line(goal.seconds))  # steps are too long, as their error says
        if run.reason != "step too long" or fixed or ensemble.step < 1e-4 / ensemble.network.gamma:
            return run
        ensemble = replace(ensemble, step=ensemble.step / 2)


def rounds(executor: AbstractExecutor, ensemble: Ensemble, goal: Goal, report: Report, numbers: Numbers) -> Run:
    """Draw batches until the goal is met, the most is drawn, or the step turns out too long."""
    size = _batch_size(ensemble, goal.networks)
    members = 2 if ensemble.scheme == "exact" else 1
    most = math.ceil(goal.networks / members)
    pilot = pilot_of(ensemble)
    parts: list[Measured] = []
    done, number, wanted = 0, 0, most if goal.rtol is None else min(most, first_round(ensemble, goal) // members)
    summary, excess, ended = None, math.inf, ""
    while done < wanted and not ended:
        batches = []
        while done < wanted:
            units = min(size, most - done)
            batches.append(NetworkBatch(ensemble, number, units))
            done, number = done + units, number + 1
        try:
            for part in executor.map(run_batch, batches):
                parts.append(part)
                seen = sum(len(p.members) for p in parts) * members
                report({"samples": seen, "expected": wanted * members, "error": excess})
                watch.tick()
        except KeyboardInterrupt:
            ended = "interrupted"
        except watch.OutOfTime:
            ended = watch.limit_line(goal.seconds)
        summary = _summary(ensemble, parts, pilot, numbers)
        if goal.rtol is None or summary is None:
            continue
        excess = goal.excess(summary)
        if excess <= 1.0:
            break
        allowed = goal.allowed(summary)
        if not ended and ensemble.step and ensemble.refined and (np.abs(summary.change) > 0.7 * allowed).any():
            return Run(ensemble, pilot, concatenate(parts), summary, False, "step too long")
        noise = np.diagonal(summary.cov) / np.maximum(allowed**2 - summary.change**2, 1e-300)
        wanted = min(most, max(done + 1, math.ceil(done * min(8.0, 1.1 * float(noise.max())))))
    if not parts or (ended and summary is None):
        raise KeyboardInterrupt if ended == "interrupted" else watch.OutOfTime
    if goal.rtol is None:
        converged, reason = not ended, "all networks done"
    else:
        converged, reason = excess <= 1.0, f"error {excess:.2g} of what rtol={goal.rtol:g} allows"
    return Run(ensemble, pilot, concatenate(parts), summary, converged, reason if converged else ended or reason)


def first_round(ensemble: Ensemble, goal: Goal) -> int:
    """Networks before the first look at the error."""
    return max(_FIRST, _batch_size(ensemble, goal.networks)) * (2 if ensemble.scheme == "exact" else 1)


def _summary(ensemble: Ensemble, parts: list[Measured], pilot: Pilot, numbers: Numbers) -> Summary | None:
    if sum(p.members.sum() for p in parts) < 2 or sum(len(p.members) for p in parts) < 2:
        return None
    measured, N = concatenate(parts), ensemble.network.N
    return of_numbers(summarise(measured, ORDER[ensemble.scheme], ensemble.kernel, N, pilot.scatter), numbers)


def _batch_size(ensemble: Ensemble, networks: int) -> int:
    """Units a batch: a few megabytes of weights, and several batches even of a small ensemble."""
    N = ensemble.network.N
    fits = 400_000 // N ** (1 if ensemble.scheme == "layers" else 2)
    if ensemble.scheme != "exact":  # paths are kept at every moment of their schedule
        fits = min(fits, 4_000_000 // (N * len(Schedule.of(ensemble).moments)))
    return max(1, min(fits, 1000, math.ceil(networks / 16)))
