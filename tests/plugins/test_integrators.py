"""Every installed integrator against the diagrams of the linear model, whose integrals are known in closed form."""

from __future__ import annotations

import pickle

import harness
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from oracles import linear_response
from theories import bare_theory

import nnqft
from nnqft_plugins.integrators.strata import covariance, with_fourth_powers

SAMPLING, EXACT = harness.installed(exact=False), harness.installed(exact=True)
SETTINGS = {
    "stationary": {"times": [(0.7, 0.0)]},
    "stationary with bias": {"times": [(0.4, 1.0)], "sigma_b": 0.6},
    "rest": {"times": [(1.2, 0.5)], "start": "rest"},
    "rest with bias": {"times": [(0.5, 1.2)], "start": "rest", "sigma_b": 0.6},
}
CASES = {name: harness.linear_cases(**setting) for name, setting in SETTINGS.items()}
GRID = [(0.0, 0.0), (0.3, 0.0), (0.0, 0.3), (0.7, 0.0), (1.5, 0.0), (3.0, 1.0)]
TAMPERED = {
    "mean shifted by 3 sigma": ({"tamper": harness.shifted}, {"exact", "means"}),
    "mean shifted by half a sigma": ({"tamper": lambda e: harness.shifted(e, 0.5)}, {"means"}),
    "errors halved": ({"tamper": harness.rescaled(0.5)}, {"exact", "repeats", "means"}),
    "errors doubled": ({"tamper": harness.rescaled(2.0)}, {"exact", "repeats", "means"}),
    "same seed for every repeat": ({"same_seed": True}, {"repeats"}),
}

sampling = pytest.mark.parametrize("integrator", [pytest.param(i, id=name) for name, i in SAMPLING.items()])
exact = pytest.mark.parametrize("integrator", [pytest.param(i, id=name) for name, i in EXACT.items()])
anyone = pytest.mark.parametrize("integrator", [pytest.param(i, id=n) for n, i in (SAMPLING | EXACT).items()])


def test_vegas_is_installed_and_samples():
    assert "vegas" in SAMPLING


def test_cases_are_all_the_diagrams():
    for cases in CASES.values():
        assert len(cases) == 105
        assert sorted({case.label[:3] for case in cases}) == [f"{a}+{6 - a}" for a in range(7)]


def supported(integrator: nnqft.AbstractIntegrator, cases: list[harness.Case]) -> list[harness.Case]:
    answers = [integrator.supports(case.integral) for case in cases]
    for answer in answers:
        assert answer is True or (isinstance(answer, str) and answer)
    return [case for case, answer in zip(cases, answers, strict=True) if answer is True]


# Sampling


@sampling
@pytest.mark.parametrize("setting", CASES)
def test_errors_are_honest(integrator, setting):
    cases = supported(integrator, CASES[setting])
    assert cases or integrator.name != "vegas"
    if cases:
        pulls = harness.measure(integrator, cases)
        print(setting, pulls)
        assert not pulls.complaints, pulls.complaints


@sampling
@pytest.mark.parametrize("spoilt", TAMPERED)
def test_harness_rejects_a_dishonest_integrator(integrator, spoilt):
    how, wanted = TAMPERED[spoilt]
    cases = supported(integrator, CASES["stationary"])
    pulls = harness.measure(harness.Spoilt(integrator, **how), cases)
    print(spoilt, pulls)
    assert wanted <= {complaint.split(":")[0] for complaint in pulls.complaints}


@sampling
@pytest.mark.parametrize("setting", ["stationary", "rest"])
def test_error_falls_at_least_as_one_over_root_of_samples(integrator, setting):
    cases = supported(integrator, harness.distinct(CASES[setting]))
    claimed, actual = [], []
    for neval in (1024, 16 * 1024):
        rows = harness.draw(integrator, cases, repeats=20, neval=neval, seed=3)
        # Relative to the value, so that every integral counts.
        error = [[e.sdev[0] / case.exact[0] for e in row] for case, row in zip(cases, rows, strict=True)]
        gap = [[e.mean[0] / case.exact[0] - 1 for e in row] for case, row in zip(cases, rows, strict=True)]
        claimed.append(np.sqrt(np.mean(np.square(error))))
        actual.append(np.sqrt(np.mean(np.square(gap))))
    print(setting, "error at 1024 and 16384 samples:", claimed, actual)
    assert claimed[1] < 1.1 / 4 * claimed[0]
    assert actual[1] < 1.3 / 4 * actual[0]  # from 140 numbers each, known to 6 %


@sampling
@pytest.mark.parametrize("start", ["stationary", "rest"])
def test_covariance_over_times_is_honest(integrator, start):
    times = GRID if start == "stationary" else [(t + 0.5, s + 0.5) for t, s in GRID]
    cases = supported(integrator, harness.distinct(harness.linear_cases(times, start=start, order=2)))
    rows = harness.draw(integrator, cases, repeats=150, neval=1024, seed=5)
    chances = [harness.covariance_p_value(row, case.exact) for case, row in zip(cases, rows, strict=True)]
    print(start, chances)
    assert min(min(pair) for pair in chances) > 1e-3
    # Negative controls: correlations left out, and errors a quarter too small.
    for tamper in (harness.uncorrelated, harness.rescaled(0.75)):
        for case, row in zip(cases, rows, strict=True):
            spoilt = [tamper(estimate) for estimate in row]
            assert harness.covariance_p_value(spoilt, case.exact)[0] < 1e-3, case.label


@sampling
def test_estimates_are_well_formed(integrator):
    for start in ("stationary", "rest"):
        times = [(0.7, 0.0), (0.0, 0.0), (0.2, 1.1)]
        for case in supported(integrator, harness.distinct(harness.linear_cases(times, start=start, order=2))):
            state = integrator.prepare(case.integral, np.random.SeedSequence(1))
            for neval in (64, 65, 1000):
                estimate = integrator.sample(case.integral, state, neval, np.random.SeedSequence(2))
                assert 0 < estimate.samples <= neval
                assert (estimate.chunks, estimate.dof, estimate.chi2_sum) == (1, 0, 0.0)
                assert estimate.mean.shape == (3,)
                assert estimate.cov.shape == (3, 3)
                assert estimate.seconds >= 0
                assert_array_equal(estimate.cov, estimate.cov.T)
                eigenvalues = np.linalg.eigvalsh(estimate.cov)
                assert eigenvalues.min() >= -1e-12 * eigenvalues.max()


@sampling
def test_seeds_decide_everything(integrator):
    case = supported(integrator, CASES["rest"])[0]
    first, again = (integrator.prepare(case.integral, np.random.SeedSequence(1)) for _ in range(2))
    travelled, integral = pickle.loads(pickle.dumps((again, case.integral)))
    one = integrator.sample(case.integral, first, 500, np.random.SeedSequence(2))
    two = integrator.sample(integral, travelled, 500, np.random.SeedSequence(2))
    other = integrator.sample(case.integral, first, 500, np.random.SeedSequence(3))
    assert_array_equal(one.mean, two.mean)
    assert_array_equal(one.cov, two.cov)
    assert one.mean[0] != other.mean[0]


@sampling
def test_response_has_no_variance_on_the_trunk(integrator):
    theory = bare_theory("linear", gamma=harness.GAMMA, kappa=harness.KAPPA)
    times = np.array([(0.3, 0.0), (0.7, 0.2), (2.5, 0.0), (6.0, -1.0), (0.0, 0.0), (0.0, 0.5)])
    # Every pairing of the W's gives the same integral: divide by their number, (2n−1)!!.
    wanted = linear_response(times, order=3, gamma=harness.GAMMA).sum(axis=1) / [[1], [1], [3], [15]]
    for diagram in nnqft.diagrams(theory, "response", order=3):
        integral = nnqft.time_integral(diagram, theory, times)
        if diagram.order and integrator.supports(integral) is True:
            state = integrator.prepare(integral, np.random.SeedSequence(1))
            estimate = integrator.sample(integral, state, 200, np.random.SeedSequence(2))
            assert_allclose(estimate.mean, wanted[diagram.order], rtol=1e-10, atol=0, err_msg=str(diagram))
            assert (estimate.sdev <= 1e-10 * np.abs(estimate.mean)).all()


# Without statistical error


@exact
@pytest.mark.parametrize("setting", CASES)
def test_exact_integrators_give_the_known_values(integrator, setting):
    cases = supported(integrator, harness.distinct(CASES[setting]))
    together, bounds = integrator.settle([case.integral for case in cases])
    for case, value, bound in zip(cases, together, bounds, strict=True):
        state = integrator.prepare(case.integral, np.random.SeedSequence(1))
        estimate = integrator.sample(case.integral, state, 64, np.random.SeedSequence(2))
        assert estimate.samples == 0
        assert_array_equal(estimate.sdev, 0)
        for got in (estimate.mean, value):
            assert_allclose(got, case.exact, rtol=1e-10, err_msg=case.label)
            # Within its own bound; the known value itself rounds, too.
            assert (np.abs(got - case.exact) <= bound + 1e-14 * case.exact).all(), case.label
        assert (bound < 1e-9 * case.exact).all()


@exact
@pytest.mark.parametrize("start", ["stationary", "rest"])
def test_exact_integrators_over_a_grid_of_times(integrator, start):
    """Equal, swapped, close and far times; from rest the start itself."""
    times = [*GRID, (1.0, 1.0 + 1e-9), (1e-6, 0.0), (20.0, 0.0), (0.0, 20.0), (25.0, 24.0)]
    cases = supported(integrator, harness.distinct(harness.linear_cases(times, start=start, sigma_b=0.6)))
    values, bounds = integrator.settle([case.integral for case in cases])
    assert values.shape == bounds.shape == (len(cases), len(times))
    for case, value, bound in zip(cases, values, bounds, strict=True):
        assert_allclose(value, case.exact, rtol=1e-9, atol=1e-15, err_msg=case.label)
        assert (np.abs(value - case.exact) <= bound + 1e-13 * np.abs(case.exact)).all(), case.label


@exact
def test_a_response_is_zero_before_its_cause(integrator):
    times = np.array([(0.0, 0.7), (1.0, 1.0), (0.7, 0.0), (2.0, 2.5)])
    for start in ("stationary", "rest"):
        theory = bare_theory("linear", start=start, gamma=harness.GAMMA, kappa=harness.KAPPA)
        wanted = linear_response(times, order=3, gamma=harness.GAMMA).sum(axis=1) / [[1], [1], [3], [15]]
        diagrams = list(nnqft.diagrams(theory, "response", order=3))
        integrals = [nnqft.time_integral(diagram, theory, times) for diagram in diagrams]
        values, bounds = integrator.settle(integrals)
        for diagram, value, bound in zip(diagrams, values, bounds, strict=True):
            assert_allclose(value, wanted[diagram.order], rtol=1e-10, atol=1e-15, err_msg=f"{start}: {diagram}")
            assert (np.abs(value - wanted[diagram.order]) <= bound + 1e-14).all()


@anyone
def test_a_diagram_without_internal_times_is_exact(integrator):
    for case in supported(integrator, harness.linear_cases(GRID, order=0, sigma_b=0.6)):
        state = integrator.prepare(case.integral, np.random.SeedSequence(1))
        estimate = integrator.sample(case.integral, state, 64, np.random.SeedSequence(2))
        assert estimate.samples == 0
        assert_allclose(estimate.mean, case.exact, rtol=1e-13)
        assert_array_equal(estimate.sdev, 0)


@pytest.mark.parametrize("scale", [1.0, 1e-100, 1e100])
def test_variances_grow_where_few_strata_bring_them(scale):
    """By two over the number of strata that do, however small the values are, and blocks do not matter."""
    gaps = scale * np.array([[1.0, 3.0]] + [[-1.0, 0.0]] * 99)
    fourth, largest = np.zeros((2, 2))
    for block in np.split(gaps, 4):
        fourth, largest = with_fourth_powers(fourth, largest, block)
    found = covariance(np.zeros(2), gaps.T @ gaps, fourth, largest, 100) / scale**2 * 100**2
    assert_allclose(found.diagonal(), [100 * (1 + 2 / 100), 9 * (1 + 2)], rtol=1e-12)
    assert_allclose(found[0, 1], 3 * np.sqrt(1.02 * 3), rtol=1e-12)
