"""Sharing samples: targets are met where they can be, budgets are kept, and what is finished is never lost."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from pools import THEORY, Gaussian, Known, Recording, pieces, run, spent, summed
from theories import bare_theory

import nnqft
from nnqft_workers import run as workers_run
from nnqft_workers.local import LocalPool
from nnqft_workers.pool import Parcel
from nnqft_workers.rounds import LEAST
from nnqft_workers.scheduler import schedule
from nnqft_workers.tasks import Chunk


@pytest.mark.parametrize(
    "target", [{"rtol": 1e-2}, {"rtol": 1e-3}, {"atol": 3e-3}, {"rtol": 1e-3, "atol": 5e-3}], ids=str
)
@pytest.mark.parametrize("start", ["stationary", "rest"])
def test_target_is_met_at_every_time(target, start):
    theory = nnqft.theory("linear", start=start, N=3, sigma_w=0.6, sigma_b=0.3)
    times = [(1.0, 1.0), (2.5, 1.0), (0.2, 4.0)]
    result = nnqft.compute(theory, "two_point", order=2, times=times, integrator="vegas", seed=1, **target)
    allowed = np.maximum(target.get("rtol", 0.0) * np.abs(result.mean), target.get("atol", 0.0))
    assert result.converged
    assert (result.sdev <= allowed).all()
    assert not any("not reached" in note for note in result.notes)
    # The result is right, too: an exact computation agrees within 4 of these errors.
    exact = nnqft.compute(theory, "two_point", order=2, times=times, integrator="exact", rtol=1e-3)
    assert (np.abs(result.mean - exact.mean) <= 4 * result.sdev).all()


@settings(max_examples=40, deadline=None)
@given(
    spreads=st.lists(st.floats(0.01, 100), min_size=1, max_size=6),
    weights=st.lists(st.floats(0.01, 3) | st.floats(-3, -0.01), min_size=6, max_size=6),
    profile=st.lists(st.floats(0.1, 10), min_size=1, max_size=3),
    atol=st.floats(0.003, 1),
    seed=st.integers(0, 10**6),
)
def test_any_target_within_reach_is_met(spreads, weights, profile, atol, seed):
    work = pieces([Gaussian(spread=s, profile=tuple(profile)) for s in spreads], weights[: len(spreads)])
    atol *= sum(abs(w.weight) * s for w, s in zip(work, spreads, strict=True)) * max(profile)
    outcome = run(work, atol=atol, seed=seed)
    assert outcome.converged
    total = summed(work, outcome)
    assert (total.sdev <= atol).all()
    wanted = sum(w.weight for w in work)
    assert (np.abs(total.mean - wanted) < 6 * total.sdev).all()


def test_a_target_costs_little_more_than_it_must():
    spreads = [5.0, 1.0, 0.2]
    work = pieces([Gaussian(spread=s) for s in spreads])
    outcome = run(work, atol=0.01)
    # Ideally shared, N samples give the variance (Σ spread)²/N.
    assert spent(outcome) < 1.5 * sum(spreads) ** 2 / 0.01**2


def test_targets_at_different_times_are_all_watched():
    """One integral matters at the first time, the other at the second."""
    work = pieces([Gaussian(spread=1.0, profile=(30.0, 0.01)), Gaussian(spread=1.0, profile=(0.01, 30.0))])
    outcome = run(work, atol=0.2)
    assert outcome.converged
    assert (summed(work, outcome).sdev <= 0.2).all()


def test_a_sum_of_zero_never_meets_a_relative_target_by_luck():
    """No error is small against a sum that is zero."""
    work = pieces([Gaussian(mean=0.0, spread=1.0, scatter=0.0)] * 2, [1.0, -1.0])
    outcome = run(work, rtol=1e-3, neval=100_000)
    assert summed(work, outcome).mean[0] == 0.0
    assert not outcome.converged


def test_no_error_meets_every_target():
    theory = bare_theory("linear", kappa=0.0)
    result = nnqft.compute(theory, "two_point", order=2, tau=[0.0, 1.0], integrator="vegas", rtol=1e-6)
    assert result.converged
    assert_array_equal(result.mean, 0)
    assert_array_equal(result.sdev, 0)


@settings(max_examples=40, deadline=None)
@given(
    spreads=st.lists(st.just(0.0) | st.floats(1e-3, 100), min_size=1, max_size=8),
    more=st.integers(0, 200_000),
    target=st.sampled_from([{}, {"rtol": 1e-9}, {"atol": 1e-9}, {"atol": 0.1}]),
)
def test_budget_is_never_exceeded(spreads, more, target):
    neval = LEAST * len(spreads) + more
    outcome = run(pieces([Gaussian(spread=s) for s in spreads]), neval=neval, **target)
    assert spent(outcome) <= neval
    assert min(e.samples for e in outcome.estimates) >= LEAST
    if not target:
        assert outcome.converged
        assert spent(outcome) > neval - LEAST or not any(spreads)


@pytest.mark.parametrize("neval", [3 * LEAST, 2_000, 12_345, 200_000])
def test_budget_of_real_diagrams(neval):
    result = nnqft.compute(THEORY, "two_point", order=1, tau=[0.0, 1.0, 2.0], integrator="vegas", neval=neval)
    samples = sum(row.samples for row in result.diagrams)
    assert 0.8 * neval < samples <= neval
    assert result.converged
    assert result.total.samples == samples


def test_too_small_a_budget_names_one_that_works():
    with pytest.raises(nnqft.InputError, match="neval=100 ") as caught:
        nnqft.compute(THEORY, "two_point", order=2, integrator="vegas", neval=100)
    enough = int(str(caught.value).rpartition("neval=")[2].split()[0])
    assert enough == LEAST * 18  # of 19 diagrams one has no internal time
    assert nnqft.compute(THEORY, "two_point", order=2, integrator="vegas", neval=enough).converged
    with pytest.raises(nnqft.InputError):
        nnqft.compute(THEORY, "two_point", order=2, integrator="vegas", neval=enough - 1)


def test_exact_integrals_need_no_budget():
    work = pieces([Known(mean=2.0), Known(mean=3.0)])
    outcome = run(work, neval=1)
    assert outcome.converged
    assert spent(outcome) == 0
    assert_array_equal(summed(work, outcome).mean, [5.0])


def test_exact_integrals_take_nothing_from_the_budget():
    work = pieces([Known(mean=2.0), Gaussian(spread=1.0), Known(mean=3.0)], [1.0, 2.0, 3.0])
    outcome = run(work, neval=10_000)
    assert [e.samples for e in outcome.estimates] == [0, 10_000, 0]
    total = summed(work, outcome)
    assert abs(total.mean[0] - 13.0) < 4 * total.sdev[0]


def test_target_out_of_reach():
    result = nnqft.compute(THEORY, "two_point", order=2, integrator="vegas", rtol=1e-9, neval=30_000)
    assert not result.converged
    assert sum(row.samples for row in result.diagrams) <= 30_000
    assert any("target not reached" in note for note in result.notes)
    assert "30,000" in result.reason
    assert "NOT met" in result.table()
    # The errors stay honest.
    exact = nnqft.compute(THEORY, "two_point", order=2, integrator="exact", neval=30_000)
    assert abs(result.mean[0] - exact.mean[0]) < 4 * result.sdev[0]


@pytest.mark.parametrize("target", [{"neval": 60_000}, {"neval": 60_000, "atol": 1e-9}], ids=["budget", "target"])
def test_allocation_beats_equal_shares(target):
    spreads, weights = [10.0, 0.1, 0.1, 0.1, 0.1, 0.1], [1.0, 1.0, -0.5, 1.0, 0.1, 2.0]
    work = pieces([Gaussian(spread=s) for s in spreads], weights)
    error = summed(work, run(work, **target)).sdev[0]
    deviations = np.abs(np.multiply(spreads, weights))
    equal = np.sqrt(np.sum(deviations**2) / (60_000 / len(work)))
    ideal = deviations.sum() / np.sqrt(60_000)
    assert error < 0.5 * equal
    assert ideal <= error < 1.15 * ideal


def test_allocation_of_real_diagrams_beats_equal_shares():
    theory = nnqft.theory("linear", N=30, sigma_w=0.7)
    result = nnqft.compute(theory, "two_point", order=3, integrator="vegas", neval=500_000)
    sampled = [row for row in result.diagrams if row.samples]
    deviations = np.array([abs(row.weight) * row.error[0] * np.sqrt(row.samples) for row in sampled])
    equal = np.sqrt((deviations**2).sum() / (500_000 / len(sampled)))
    assert result.sdev[0] < 0.6 * equal


class Interrupted(LocalPool):
    """Hands out so many results one by one, then the user presses Ctrl-C."""

    def __init__(self, results: int) -> None:
        super().__init__()
        self.left = results

    def collect(self, timeout: float) -> list[tuple[Parcel, Any]]:
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        return super().collect(timeout)


@pytest.fixture
def one_by_one(monkeypatch) -> None:
    """No two tasks travel together."""
    monkeypatch.setattr("nnqft_workers.dispatcher.PARCEL_ITEMS", 1)


@pytest.mark.parametrize("results", range(12))
@pytest.mark.usefixtures("one_by_one")
def test_an_interruption_leaves_the_estimate_so_far(results):
    work = pieces([Gaussian(mean=m) for m in (1.0, 2.0, 3.0)])
    outcome = run(work, pool=Interrupted(results), neval=1_000_000)
    assert not outcome.converged
    assert outcome.failure is None
    assert "interrupted" in outcome.reason
    # The first three results are what prepare() returns; then comes a look at each.
    finished = [e is not None for e in outcome.estimates]
    assert finished == [results > 3, results > 4, results > 5]
    for wanted, estimate in zip((1.0, 2.0, 3.0), outcome.estimates, strict=True):
        if estimate is not None:
            assert abs(estimate.mean[0] - wanted) < 5 * estimate.sdev[0]


@dataclass
class InterruptedExecutor(nnqft.AbstractExecutor):
    name = "interrupted"
    results: int = 0

    def evaluate(
        self, work: Sequence[nnqft.Work], target: nnqft.Target, progress: Callable[[Any], None]
    ) -> nnqft.Outcome:
        return schedule(work, target, Interrupted(self.results), progress)


@pytest.mark.parametrize("results", [0, 4, 9])
@pytest.mark.usefixtures("one_by_one")
def test_an_interrupted_computation_is_a_result(results):
    executor = InterruptedExecutor(results=results)
    result = nnqft.compute(THEORY, "two_point", order=1, integrator="vegas", neval=10_000, executor=executor)
    assert not result.converged
    assert result.reason == "interrupted"
    assert any("interrupted" in note for note in result.notes)
    assert (np.isfinite(result.mean) == (len(result.diagrams) > 0)).all()  # of nothing there is no number
    assert (len(result.diagrams) < 4) == any("missing" in note for note in result.notes)
    assert "interrupted" in result.table()


def test_no_two_chunks_share_a_seed():
    pool = Recording()
    run(pieces([Gaussian(spread=s) for s in (10.0, 1.0, 0.1)]), pool=pool, neval=500_000, seed=5)
    chunks = [task for task in pool.tasks if hasattr(task, "number")]
    seeds = [(task.work.seed_words, task.number) for task in chunks]
    assert len(set(seeds)) == len(seeds) > 10


def test_seeds():
    work = pieces([Gaussian(), Gaussian(spread=2.0)])
    one, again, other = (summed(work, run(work, neval=5_000, seed=seed)).mean[0] for seed in (1, 1, 2))
    assert one == again
    assert one != other


def test_a_large_budget_is_the_continuation_of_a_small_one():
    """The first chunks of a diagram are the same whatever else is asked: their seed is (request, diagram, number)."""
    result, longer = (
        nnqft.compute(THEORY, "two_point", order=1, integrator="vegas", atol=atol, seed=3) for atol in (1e-2, 1e-4)
    )
    assert longer.sdev[0] <= 1e-4
    assert abs(result.mean[0] - longer.mean[0]) < 4 * result.sdev[0]


def test_progress_counts_samples():
    seen: list[Any] = []
    work = pieces([Gaussian(), Gaussian(spread=3.0)])
    pool = Recording()
    outcome = schedule(work, nnqft.Target(atol=0.01), pool, seen.append)
    samples = [state["samples"] for state in seen if "stage" not in state]
    assert samples == sorted(samples)
    assert seen[0]["samples"] == 0
    assert samples[-1] == sum(t.samples for t in pool.tasks if isinstance(t, Chunk)) >= spent(outcome)
    assert all(state["expected"] is None or state["samples"] <= state["expected"] for state in seen)


def test_nothing_to_do():
    outcome = run([], neval=10)
    assert outcome.converged
    assert outcome.estimates == []


def test_response_at_equal_times_is_zero_and_costs_nothing_more():
    result = nnqft.compute(THEORY, "response", order=1, times=[(1.0, 1.0)], integrator="vegas", rtol=1e-3)
    assert result.converged
    assert_allclose(result.mean, 0, atol=0)


def test_covariances_take_no_more_than_is_predicted(monkeypatch):
    theory, grid = nnqft.theory("linear", N=100, sigma_w=0.5), 300
    request = {"order": 2, "integrator": "vegas", "neval": 30_000}
    nnqft.compute(theory, "two_point", tau=[0.0, 1.0], **request)  # what is imported on the way counts for itself
    tracemalloc.start()
    try:
        result = nnqft.compute(theory, "two_point", tau=np.linspace(0, 20, grid), **request)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (
        0.3 * workers_run._BESIDE < peak < workers_run._HELD * len(result.diagrams) * 8 * grid**2 + workers_run._BESIDE
    )
    monkeypatch.setattr(workers_run, "MEMORY", 160_000_000)
    with pytest.raises(nnqft.InputError, match=r"300 times for 18 sampled .* split the times, 2\d\d at once"):
        nnqft.compute(theory, "two_point", tau=np.linspace(0, 20, grid), **request)
