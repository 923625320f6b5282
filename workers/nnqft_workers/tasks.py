"""The pieces of work that travel to workers: learn a map, sample a chunk, settle exact integrals."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nnqft import AbstractIntegrator, Estimate, NnqftError, PluginError, TimeIntegral, Work, WorkError
from nnqft.errors import DiagramError, one_line, raised, short
from nnqft.host import plugin_errors
from nnqft_workers.pool import Failed


@dataclass(frozen=True)
class Prepare:
    """The task to learn the state of one integral."""

    work: Work
    seed: int

    def run(self) -> Any:
        """The state that the integrator learns, for `Chunk`."""
        seed = np.random.SeedSequence((self.seed, *self.work.state_words))
        with _only_this_diagram(), plugin_errors(f"integrator {self.work.integrator.name!r}"):
            return self.work.integrator.prepare(self.work.integral, seed)

    @property
    def label(self) -> str:
        """What an error message calls the work."""
        return self.work.label


@dataclass(frozen=True)
class Chunk:
    """The task to sample one integral once. Its seed is (request, diagram, chunk number), and nothing else."""

    work: Work
    integrator: AbstractIntegrator
    state: Any
    samples: int
    number: int
    seed: int

    def run(self) -> Estimate:
        """An estimate independent of every other chunk."""
        entropy = (self.seed, *self.work.seed_words, self.number)
        seed = np.random.SeedSequence(entropy)
        with _only_this_diagram(), plugin_errors(f"integrator {self.integrator.name!r}"):
            estimate = self.integrator.sample(self.work.integral, self.state, self.samples, seed)
            _check_estimate(self, estimate)
        return estimate

    @property
    def label(self) -> str:
        """What an error message calls the work."""
        return self.work.label


@dataclass(frozen=True)
class Settle:
    """The task to compute many integrals exactly, by one call of their integrator."""

    integrator: AbstractIntegrator
    integrals: Sequence[TimeIntegral]
    labels: Sequence[str]

    def run(self) -> list[Estimate | Failed]:
        """One estimate for each integral, with its rounding bound and its share of the processor seconds.

        If the call fails they are computed one by one, so that what fails costs the others nothing.
        """
        if len(self.integrals) == 1:
            try:
                return list(self._together())
            except PluginError as error:
                return [Failed(DiagramError(f"{self.label}: {error}"))]
        try:
            return list(self._together())
        except PluginError:
            each = zip(self.integrals, self.labels, strict=True)
            return [replace(self, integrals=[one], labels=[label]).run()[0] for one, label in each]

    def _together(self) -> list[Estimate]:
        began = time.process_time()
        who = f"integrator {self.integrator.name!r}"
        with plugin_errors(who):
            values, bounds = self.integrator.settle(self.integrals)
        wanted = len(self.integrals), len(self.integrals[0].times)
        for name, table in (("values", values), ("bounds", bounds)):
            if np.shape(table) != wanted or not np.isfinite(table).all():
                raise PluginError(f"{who} settled {name} of shape {np.shape(table)} or not finite; wanted {wanted}")
        seconds = (time.process_time() - began) / len(self.integrals)
        return [Estimate.exact(value, seconds, bound) for value, bound in zip(values, bounds, strict=True)]

    @property
    def label(self) -> str:
        """What an error message calls the work."""
        more = len(self.labels) - 1
        return self.labels[0] + (f" or one of the {more} after it" if more else "")


Task = Prepare | Chunk | Settle


@contextmanager
def _only_this_diagram() -> Iterator[None]:
    """What a plugin does wrong costs the diagram that it is done for."""
    try:
        yield
    except DiagramError:
        raise
    except PluginError as error:
        raise DiagramError(str(error)) from error


def _check_estimate(chunk: Chunk, estimate: Estimate) -> None:
    """PluginError on what an integrator must not hand back: a wrong type or shape, nan, a negative variance."""
    times = len(chunk.work.integral.times)
    who = f"integrator {chunk.integrator.name!r}"
    if not isinstance(estimate, Estimate):
        raise PluginError(f"{who} returned {short(estimate)}, wanted an Estimate")
    if estimate.mean.shape != (times,) or estimate.cov.shape != (times, times):
        raise PluginError(f"{who} returned shapes {estimate.mean.shape} and {estimate.cov.shape} for {times} times")
    if not (np.isfinite(estimate.mean).all() and np.isfinite(estimate.cov).all()):
        raise PluginError(f"{who} returned an estimate that is not finite")
    if (np.diagonal(estimate.cov) < 0).any() or not 0 <= estimate.samples <= max(chunk.samples, 1):
        raise PluginError(
            f"{who} returned a negative variance or {estimate.samples} samples, asked for {chunk.samples}"
        )


def run_task(task: Task) -> Any:
    """The result of a task; this is the function that a pool runs on its workers.

    Raises
    ------
    DiagramError
        If a kernel gives no number, or an integrator none for this integral: other tasks may well succeed.
    WorkError
        Instead of whatever else a plugin's code raised: that may not survive the way back from a worker.
    """
    try:
        return task.run()
    except DiagramError as error:
        raise type(error)(f"{task.label}: {error}") from None
    except Exception as error:
        cause = str(error) if isinstance(error, NnqftError) else raised(error)
        raise WorkError(f"{task.label}: {one_line(cause)}") from None
