"""Which integral gets how many samples: at least cost, none starved, for one target over many times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pools import Gaussian, Recording, Unreliable, pieces, run, spent, summed
from scipy.optimize import minimize
from scipy.stats import chi2, kstest

import nnqft
from nnqft_workers.allocation import FLOOR, chunk_size, ideal_shares, samples_to_reach
from nnqft_workers.scheduler import schedule
from nnqft_workers.tasks import Chunk

positive = st.floats(1e-3, 1e3)


@st.composite
def problems(draw) -> tuple[np.ndarray, np.ndarray]:
    """(D, T) variances over the square of what is allowed, and (D,) costs."""
    integrals, times = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    variance = [[draw(st.just(0.0) | positive) for _ in range(times)] for _ in range(integrals)]
    return np.array(variance), np.array([draw(st.floats(1, 100)) for _ in range(integrals)])


def price(variance: np.ndarray, cost: np.ndarray, shares: np.ndarray) -> float:
    """Operations that bring every error to the one allowed."""
    return float((variance / shares[:, None]).sum(axis=0).max() * (shares @ cost))


@given(problems())
def test_shares_are_shares_and_nobody_is_left_out(problem):
    variance, cost = problem
    shares = ideal_shares(variance, cost)
    assert shares.sum() == pytest.approx(1.0)
    assert (shares >= FLOOR / len(shares) * (1 - 1e-12)).all()


@given(st.lists(positive, min_size=1, max_size=8), st.data())
def test_one_time_is_neymans_rule(variances, data):
    variance = np.array(variances)[:, None]
    cost = np.array([data.draw(st.floats(1, 100)) for _ in variances])
    best = np.sqrt(variance[:, 0] * cost).sum() ** 2  # by Cauchy and Schwarz
    # A share of FLOOR given away equally costs at most so much in the number of samples; each may cost more or less.
    even = ideal_shares(variance, np.ones(len(cost)))
    samples = (variance[:, 0] / even).sum()
    assert np.sqrt(variance).sum() ** 2 <= samples * (1 + 1e-12)
    assert samples <= np.sqrt(variance).sum() ** 2 / (1 - FLOOR) * (1 + 1e-12)
    assert price(variance, cost, ideal_shares(variance, cost)) >= best * (1 - 1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_many_times_come_near_the_minimax_optimum(seed):
    """A general optimiser finds the same price, but for the floor."""
    rng = np.random.default_rng(seed)
    variance, cost = rng.lognormal(sigma=2, size=(5, 4)), rng.uniform(1, 10, 5)

    def soft(logs: np.ndarray) -> float:
        shares = np.exp(logs - logs.max())
        errors = (variance / shares[:, None]).sum(axis=0)
        return float(np.log(np.sum(errors**40)) / 40 + np.log(shares @ cost))

    found = min((minimize(soft, rng.normal(size=5), method="Nelder-Mead", options={"maxiter": 20_000, "fatol": 1e-10})
                 for _ in range(3)), key=lambda one: one.fun)  # fmt: skip
    best = np.exp(found.x - found.x.max())
    assert price(variance, cost, ideal_shares(variance, cost)) < 1.1 * price(variance, cost, best)


@given(problems(), st.data())
def test_samples_to_reach_is_the_least_that_is_enough(problem, data):
    variance, cost = problem
    shares = ideal_shares(variance, cost)
    have = np.array([data.draw(st.integers(64, 10_000)) for _ in cost], float)
    counts = samples_to_reach(variance, shares, have, have.sum() + 1e9)
    assert (counts >= have).all()
    if variance.any():
        assert (variance / counts[:, None]).sum(axis=0).max() <= 1.0
        less = np.maximum(have, 0.99 * counts)
        if (less < counts).any() and counts.sum() > have.sum() + len(cost):
            assert (variance / less[:, None]).sum(axis=0).max() >= 0.97
    limited = samples_to_reach(np.full_like(variance, np.inf), shares, have, have.sum() + 1000)
    assert limited.sum() == pytest.approx(have.sum() + 1000, abs=2)


def test_chunk_sizes_depend_on_what_is_there_alone():
    have, sizes = 0, []
    while have < 10**6:
        sizes.append(chunk_size(have, 1024, 30_000))
        have += sizes[-1]
    assert sizes[:4] == [1024] * 4
    assert sizes == sorted(sizes)
    assert sizes[-1] == 30_000
    assert all(size % 1024 == 0 for size in sizes if size < 30_000)


# In a computation


@dataclass(frozen=True)
class Deceptive(Gaussian):
    """Its first chunks claim an error a thousand times too small, and lie as close to the mean."""

    name = "deceptive"

    def sample(self, integral, state, neval, seed):
        early = seed.entropy[-1] < 2
        honest = Gaussian(self.mean, self.spread / (1000 if early else 1), self.profile)
        return honest.sample(integral, state, neval, seed)


def test_a_wrong_early_variance_starves_nobody():
    work = pieces([Gaussian(spread=1.0)] * 9 + [Deceptive(spread=10.0)])
    outcome = run(work, neval=2_000_000, seed=1)
    samples = np.array([e.samples for e in outcome.estimates])
    assert samples[-1] > 0.7 * 10 / 19 * samples.sum()
    total = summed(work, outcome)
    assert total.sdev[0] < 1.1 * 19 / np.sqrt(samples.sum())
    assert abs(total.mean[0] - 10) < 4 * total.sdev[0]


def test_a_wrong_early_variance_does_not_end_a_computation_early():
    """With a target, too: over many runs the errors are honest."""
    pulls = []
    for seed in range(40):
        work = pieces([Gaussian(spread=3.0)] * 4 + [Deceptive(spread=10.0)])
        total = summed(work, run(work, atol=0.02, seed=seed))
        assert total.sdev[0] <= 0.02
        pulls.append((total.mean[0] - 5) / total.sdev[0])
    assert np.mean(np.square(pulls)) < 1.6


def test_cost_is_counted():
    """Of two integrals that differ in cost alone the cheap one gets more samples, as the root of the ratio."""
    work = pieces([Gaussian(spread=1.0), Gaussian(spread=1.0)])
    cheap = work[0].integral
    lines = (nnqft.Line("C", 2, 0, False),) * 60
    dear = nnqft.TimeIntegral(cheap.theory, cheap.times, cheap.branches, lines)
    work[1] = nnqft.Work("dear", dear, work[1].integrator, 1.0, (1,), (1,))
    outcome = run(work, neval=1_000_000)
    one, two = (e.samples for e in outcome.estimates)
    assert one / two == pytest.approx(np.sqrt(dear.cost / cheap.cost), rel=0.15)


@pytest.mark.parametrize("target", [{"neval": 400_000}, {"rtol": 1e-3}], ids=str)
def test_the_error_comes_near_that_of_the_ideal_allocation(target):
    """Of real diagrams; the ideal one is computed afterwards, from the variances found and equal costs a sample."""
    theory = nnqft.theory("linear", N=2, sigma_w=0.8)
    result = nnqft.compute(theory, "two_point", order=3, integrator="vegas", **target)
    rows = [row for row in result.diagrams if row.samples]
    deviation = np.array([abs(row.weight) * row.error[0] * np.sqrt(row.samples) for row in rows])
    total = sum(row.samples for row in rows)
    ideal, equal = deviation.sum() / np.sqrt(total), np.sqrt((deviation**2).sum() * len(rows) / total)
    assert ideal <= result.sdev[0] * (1 + 1e-9)
    if "neval" in target:
        assert result.sdev[0] < 1.1 * ideal
    assert result.sdev[0] < equal


def test_workers_that_would_idle_take_chunks_of_the_next_round():
    """With workers to spare more is handed out than a round needs, and the numbers are those of one worker."""
    spreads = [10.0, 1.0, 0.1, 3.0]
    alone, many = Recording(), Unreliable(3, loss=0.0)
    outcomes = [
        schedule(pieces([Gaussian(spread=s) for s in spreads]), nnqft.Target(atol=0.02, seed=2), pool, lambda _: None)
        for pool in (alone, many)
    ]
    for one, two in zip(*(outcome.estimates for outcome in outcomes), strict=True):
        assert (one.mean[0], one.samples, one.chunks) == (two.mean[0], two.samples, two.chunks)
    needed = {(t.label, t.number, t.samples) for t in alone.tasks if isinstance(t, Chunk)}
    taken = {(t.label, t.number, t.samples) for p in many.ran for t in p.items if isinstance(t, Chunk)}
    assert needed <= taken
    assert len(needed) > sum(e.chunks for e in outcomes[0].estimates)  # the looks before are not among these


def test_a_budget_is_spent_whatever_the_guesses():
    work = pieces([Gaussian(spread=s) for s in (1.0, 5.0)])
    for seed in range(5):
        outcome = schedule(work, nnqft.Target(neval=50_000), Unreliable(seed), lambda _: None)
        assert spent(outcome) == 50_000


@pytest.mark.parametrize("integrator", ["vegas", "jax"])
def test_pulls_of_whole_computations_are_standard_normal(integrator):
    """200 repeats of a small request whose answer is known, with a target that ends them at different samples."""
    theory = nnqft.theory("linear", N=2, sigma_w=0.8)
    request = {"order": 1, "tau": [0.7]}
    known = nnqft.compute(theory, "two_point", integrator="exact", rtol=1e-3, **request).mean[0]
    results = [
        nnqft.compute(theory, "two_point", integrator=integrator, rtol=1.5e-3, seed=seed, **request)
        for seed in range(200)
    ]
    pulls = np.array([(r.mean[0] - known) / r.sdev[0] for r in results])
    assert chi2.sf(np.sum(pulls**2), 200) > 1e-3
    assert chi2.cdf(np.sum(pulls**2), 200) > 1e-3
    assert kstest(pulls, "norm").pvalue > 1e-3


@dataclass(frozen=True)
class Skewed(Gaussian):
    """The mean of squares of exponential variates, 2, with the error that the sample tells."""

    name = "skewed"

    def sample(self, integral, state, neval, seed):
        values = np.random.default_rng(seed).exponential(size=neval) ** 2
        return nnqft.Estimate.of_chunk(neval, np.array([values.mean()]), np.array([[values.var(ddof=1) / neval]]))


@pytest.mark.parametrize("target", [{"neval": 60 * 512}, {"neval": 60 * 1500}, {"rtol": 0.02}], ids=str)
def test_how_samples_are_shared_does_not_bias_the_sum(target):
    """Where variances are high because values are, samples that share themselves make every integral too small."""
    work = pieces([Skewed()] * 60)
    totals = [summed(work, run(work, seed=seed, **target)) for seed in range(60)]
    pulls = np.array([(total.mean[0] - 120) / total.sdev[0] for total in totals])
    assert abs(pulls.mean()) < 3.5 / np.sqrt(60)
    assert chi2.sf(np.sum(pulls**2), 60) > 1e-3
    assert chi2.cdf(np.sum(pulls**2), 60) > 1e-3
