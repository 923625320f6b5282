"""Any model against its own simulation."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from nnqft import interrupts
from nnqft.checks import one_line_keywords, positive_number, true_or_false, whole_number
from nnqft.errors import InputError, IntegrationError, PluginError, short
from nnqft.host import default_host, plugin_errors, running
from nnqft.interfaces.activation import Activation
from nnqft.interfaces.executor import AbstractExecutor
from nnqft.interfaces.observable import Need
from nnqft.interfaces.simulator import AbstractSimulator, Sampling, Simulated
from nnqft.pipeline.expected import expected, needs_for, of_width, orders_to_try, wanted, widths_of
from nnqft.results.compared import Compared, at_width_zero
from nnqft.results.comparison import Check
from nnqft.results.result import Result
from nnqft.rules.theory import Theory
from nnqft.stages.theories import as_theory

_SAMPLES = 400
"""Realisations if nothing is said of how many, or how well."""
_SHARE = 0.5
"""Of the time that is left, which the theory may take."""
RTOL = 1e-3
"""Of the theory, unless the simulation is to be better."""


@one_line_keywords
def check(
    theory: Theory,
    observable: str = "two_point",
    *,
    times: ArrayLike | None = None,
    tau: ArrayLike | None = None,
    N: int | Sequence[int] | None = None,
    indices: str | None = None,
    order: int | str | None = None,
    width_order: int = 1,
    samples: int | None = None,
    rtol: float | None = None,
    step: float | None = None,
    executor: str | AbstractExecutor = "local",
    workers: int | None = None,
    address: str | None = None,
    seed: int = 0,
    progress: bool = False,
    time_limit: float | None = None,
    activation: Activation | None = None,
) -> Check:
    """Compare what a theory says with a simulation of the same model, for the same question.

    Parameters
    ----------
    theory
        Of a model that a simulator knows; every model with an activation is one.
    observable
        With legs, or derived; one.
    times, tau, indices
        As for `compute`.
    N
        A width, or several; that of the theory if not given.
    order
        Of the diagrams, or ``"resummed"``. Not given: the sum of all orders where it is known to this width order, else
        the highest order up to 3 that has no more than 500 diagrams.
    width_order
        Of the theory; what it leaves out counts as an error.
    samples
        How many networks to draw, 400 if nothing else is said; the most, if `rtol` is given, too.
    rtol
        Stop when the relative error of each simulated number is at most that.
    step
        Longest step of simulated paths; chosen by the simulator if not given.
    executor, workers, address, seed, progress
        As for `compute`, for both.
    time_limit
        In seconds, for everything; the widths that were reached by then are handed back.
    activation
        The true φ of a model that is not installed as a plugin.

    Returns
    -------
    Check
        ``print(found)`` prints one table and a verdict; `Check.agreement` has the differences in errors.

    Raises
    ------
    InputError
        If something makes no sense, or no simulator knows the model.
    IntegrationError
        If time ran out before anything was compared.

    Examples
    --------
    >>> import nnqft
    >>> theory = nnqft.theory("linear", sigma_w=0.4)
    >>> found = nnqft.check(theory, "kernel_variance", N=[20, 40], order=4, samples=200)
    >>> found.agrees
    True
    >>> print(found.verdict.partition(":")[0])
    theory and simulation agree
    """
    interrupts.forget()
    clock = _Clock(None if time_limit is None else positive_number("time_limit", time_limit, "60"), time.monotonic())
    theories = [of_width(as_theory(theory), n) for n in widths_of(theory, N)]
    asked = {"times": times, "tau": tau, "indices": indices}
    orders = orders_to_try(order, whole_number("width_order", width_order, 0))
    seed, progress = whole_number("seed", seed, 0), true_or_false("progress", progress)
    step = None if step is None else positive_number("step", step)
    rtol = None if rtol is None else positive_number("rtol", rtol)
    if samples is not None or rtol is None:
        samples = whole_number("samples", _SAMPLES if samples is None else samples, 2, "1000")
    with running(executor, workers, address) as place:
        sampling = Sampling(samples, rtol, seed, step, None, place, progress, activation)
        simulators = [simulator_of(each, needs_for(each, observable, **asked), sampling) for each in theories]
        pairs = zip(theories, simulators, strict=True)
        compared, reason = _compare_all(
            (_Question(observable, asked, orders, sampling, clock), *pair) for pair in pairs
        )
    return Check(compared, tuple(each.N for each in theories), seed, reason, time.monotonic() - clock.began)


@dataclass(frozen=True)
class _Clock:
    """What is left of a time limit."""

    seconds: float | None
    began: float

    @property
    def left(self) -> float | None:
        """Seconds, None without a limit; IntegrationError once it is over."""
        if self.seconds is None:
            return None
        if (left := self.began + self.seconds - time.monotonic()) <= 0:
            raise IntegrationError(f"time limit of {self.seconds:g} s reached before anything was compared")
        return left


@dataclass(frozen=True)
class _Question:
    """What is compared at every width."""

    observable: str
    asked: Mapping[str, Any]
    orders: Sequence[dict[str, Any]]
    sampling: Sampling
    clock: _Clock


def _compare_all(
    items: Iterable[tuple[_Question, Theory, AbstractSimulator]],
) -> tuple[tuple[Compared, ...], str]:
    """As many widths as there is time for, and why it was not all."""
    compared: list[Compared] = []
    for item in items:
        try:
            compared.append(_compare(*item))
        except (KeyboardInterrupt, IntegrationError) as error:
            if not compared:
                raise
            return tuple(compared), str(error) or "interrupted"
        if compared[-1].simulated.reason == "interrupted":
            return tuple(compared), "interrupted"
    return tuple(compared), ""


def _compare(question: _Question, theory: Theory, simulator: AbstractSimulator) -> Compared:
    """One width."""
    sampling, left = question.sampling, question.clock.left
    here: dict[str, Any] = {
        "executor": sampling.executor,
        "progress": sampling.progress,
        "seed": sampling.seed,
        "rtol": RTOL if sampling.rtol is None else min(RTOL, sampling.rtol / 3),
        "time_limit": None if left is None else _SHARE * left,
    }
    found = expected(theory, question.observable, question.orders, {**question.asked, **here})
    interrupts.raise_noted()
    if isinstance(found, Result) and found.reason == "interrupted":
        raise KeyboardInterrupt
    needs, numbers = wanted(theory, found)
    with plugin_errors(f"simulator {simulator.name!r}"):
        simulated = simulator.simulate(theory, needs, numbers, replace(sampling, time_limit=question.clock.left))
    return Compared(theory.N, found, at_width_zero(found), _checked(simulator, simulated, len(found.mean)))


def _checked(simulator: AbstractSimulator, found: Any, size: int) -> Simulated:
    """What a simulator handed back, or PluginError if it is something else."""
    if not isinstance(found, Simulated) or np.shape(found.mean) != (size,) or np.shape(found.cov) != (size, size):
        raise PluginError(f"simulator {simulator.name!r} returned {short(found)}, wanted a Simulated of {size} numbers")
    return found


def simulator_of(theory: Theory, needs: Sequence[Need], sampling: Sampling) -> AbstractSimulator:
    """The first simulator that knows what is asked."""
    reasons = []
    for simulator in default_host().simulators():
        with plugin_errors(f"simulator {simulator.name!r}"):
            answer = simulator.supports(theory, needs, sampling)
        if answer is True:
            return simulator
        reasons.append(str(answer))
    raise InputError(f"no simulation to check with: {'; '.join(reasons) or 'no simulator is installed'}")
