"""Work of known answers, pools that record or lose it, and results compared bit by bit."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faults import wait_for
from numpy.testing import assert_array_equal

import nnqft
from nnqft.integrals.estimate import add_all
from nnqft.integrals.integral import Branch
from nnqft_workers.local import LocalPool
from nnqft_workers.pool import AbstractPool, Lost, Parcel, run_parcel
from nnqft_workers.scheduler import schedule

THEORY = nnqft.theory("linear", N=3, sigma_w=0.6)


@dataclass(frozen=True)
class Gaussian(nnqft.AbstractIntegrator):
    """The mean of Gaussian variates of known mean and spread, the same at M times but for a factor at each."""

    name = "gaussian"
    mean: float = 1.0
    spread: float = 1.0
    profile: tuple[float, ...] = (1.0,)
    scatter: float = 1.0

    def supports(self, integral: nnqft.TimeIntegral) -> bool | str:
        return True

    def prepare(self, integral: nnqft.TimeIntegral, seed: np.random.SeedSequence) -> None:
        return None

    def sample(
        self, integral: nnqft.TimeIntegral, state: None, neval: int, seed: np.random.SeedSequence
    ) -> nnqft.Estimate:
        noise = np.random.default_rng(seed).normal(size=len(self.profile))
        error = self.spread * np.array(self.profile) / np.sqrt(neval)
        return nnqft.Estimate.of_chunk(neval, self.mean + self.scatter * error * noise, np.diag(error**2))


@dataclass(frozen=True)
class Known(Gaussian):
    """The exact mean."""

    name = "known"
    exact = True

    def sample(
        self, integral: nnqft.TimeIntegral, state: None, neval: int, seed: np.random.SeedSequence
    ) -> nnqft.Estimate:
        return nnqft.Estimate.exact(np.full(len(self.profile), self.mean))


@dataclass(frozen=True)
class Held(Gaussian):
    """On a doomed node of Ray a chunk never ends; elsewhere none does before it is released."""

    name = "held"
    folder: str = ""

    def sample(
        self, integral: nnqft.TimeIntegral, state: None, neval: int, seed: np.random.SeedSequence
    ) -> nnqft.Estimate:
        import ray

        doomed = Path(self.folder) / "doomed"
        if doomed.read_text() == ray.get_runtime_context().get_node_id():
            (Path(self.folder) / "at_work").touch()
            time.sleep(600)
        wait_for((Path(self.folder) / "released").exists)
        return super().sample(integral, state, neval, seed)


def meet(folder: str) -> str:
    """The node of Ray that a task was on, which ends when tasks have met on three."""
    import ray

    node = str(ray.get_runtime_context().get_node_id())
    (Path(folder) / node).touch()
    wait_for(lambda: len(list(Path(folder).iterdir())) >= 3)
    return node


class Recording(LocalPool):
    """Runs tasks when their results are asked for, and remembers them."""

    def __init__(self) -> None:
        super().__init__()
        self.tasks: list[Any] = []

    def submit(self, parcel: Parcel) -> None:
        self.tasks += parcel.items
        super().submit(parcel)


def pieces(integrators: Sequence[Gaussian], weights: Sequence[float] | None = None) -> list[nnqft.Work]:
    work = []
    for n, integrator in enumerate(integrators):
        times = np.arange(2.0 * len(integrator.profile)).reshape(-1, 2)
        integral = nnqft.TimeIntegral(THEORY, times, (Branch(0, "G"),), ())
        weight = 1.0 if weights is None else weights[n]
        work.append(nnqft.Work(f"work {n}", integral, integrator, weight, (n,), (n,)))
    return work


def run(work: Sequence[nnqft.Work], pool: AbstractPool | None = None, **target: Any) -> nnqft.Outcome:
    return schedule(work, nnqft.Target(**target), pool or Recording(), lambda state: None)


def summed(work: Sequence[nnqft.Work], outcome: nnqft.Outcome) -> nnqft.Estimate:
    return add_all(e.scaled(w.weight) for w, e in zip(work, outcome.estimates, strict=True))


def spent(outcome: nnqft.Outcome) -> int:
    return sum(e.samples for e in outcome.estimates if e is not None)


class Unreliable(AbstractPool):
    """Loses parcels at random, finishes the others in any order, and its number of workers changes."""

    def __init__(self, seed: int, loss: float = 0.1) -> None:
        self.rng, self.loss = random.Random(seed), loss
        self.flying: list[Parcel] = []
        self.most = 0
        self.ran: list[Parcel] = []

    def slots(self, device: str) -> int:
        return self.rng.randint(0, 3) if device == "cpu" else 0

    def submit(self, parcel: Parcel) -> None:
        self.flying.append(parcel)
        self.most = max(self.most, len(self.flying))

    def collect(self, timeout: float) -> list[tuple[Parcel, list[object] | Lost]]:
        done = []
        for _ in range(self.rng.randint(0, len(self.flying))):
            parcel = self.flying.pop(self.rng.randrange(len(self.flying)))
            lost = self.rng.random() < self.loss
            self.ran += [] if lost else [parcel]
            done.append((parcel, Lost("bad luck") if lost else run_parcel(parcel.function, parcel.items)))
        return done

    def forget(self) -> None:
        self.flying.clear()


def assert_same_bits(one: nnqft.Result, two: nnqft.Result) -> None:
    assert_array_equal(one.mean, two.mean)
    assert_array_equal(one.cov, two.cov)
    assert (one.converged, one.reason, one.notes) == (two.converged, two.reason, two.notes)
    assert list(one.series) == list(two.series)
    for row, other in zip(one.diagrams, two.diagrams, strict=True):
        assert (row.drawing, row.samples) == (other.drawing, other.samples)
        assert_array_equal(row.integral, other.integral)
        assert_array_equal(row.error, other.error)
        assert_array_equal(row.chi2, other.chi2)  # nan equals nan here


def tasks_computed(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The list to which every task that a local pool really computes is added, in this order."""
    found: list[object] = []
    submit = LocalPool.submit

    def watched(pool: LocalPool, parcel: Parcel) -> None:
        found.extend(parcel.items)
        submit(pool, parcel)

    monkeypatch.setattr(LocalPool, "submit", watched)
    return found
