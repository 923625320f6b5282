"""Estimates: merging chunks of one integral, adding different integrals."""

from __future__ import annotations

import math
from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from nnqft import Estimate, Series
from nnqft.integrals.estimate import add_all, collect, merge_all
from nnqft.integrals.estimate_data import parts_from, parts_to_data

TIMES = 3
numbers = st.floats(-1e6, 1e6, allow_subnormal=False)


@st.composite
def estimates(draw: st.DrawFn, fewest: int = 1) -> Estimate:
    """A chunk: any mean, a covariance that is one, any number of samples."""
    mean = np.array(draw(st.lists(numbers, min_size=TIMES, max_size=TIMES)))
    root = np.array(draw(st.lists(st.floats(-1e3, 1e3, allow_subnormal=False), min_size=9, max_size=9))).reshape(3, 3)
    return Estimate.of_chunk(draw(st.integers(fewest, 10**7)), mean, root @ root.T, draw(st.floats(0, 10)))


def assert_same(one: Estimate, two: Estimate) -> None:
    assert (one.samples, one.chunks, one.dof) == (two.samples, two.chunks, two.dof)
    scale = max(1.0, float(np.abs(one.mean).max()))
    assert_allclose(one.mean, two.mean, rtol=1e-12, atol=1e-12 * scale)
    assert_allclose(one.cov, two.cov, rtol=1e-9, atol=1e-12 * max(1.0, float(np.abs(one.cov).max())))
    assert_allclose(one.seconds, two.seconds, rtol=1e-12)


def chunk(samples: int, mean: list[float], sdev: list[float]) -> Estimate:
    return Estimate.of_chunk(samples, np.array(mean), np.diag(np.square(sdev)))


# Merging


@given(estimates(), estimates(), estimates())
def test_merge_is_associative(a, b, c):
    assert_same(a.merge(b).merge(c), a.merge(b.merge(c)))


@given(estimates(), estimates())
def test_merge_is_commutative(a, b):
    assert_same(a.merge(b), b.merge(a))
    assert a.merge(b).chi2_sum == b.merge(a).chi2_sum


@given(st.lists(estimates(), min_size=1, max_size=6))
def test_merged_mean_is_weighted_by_samples_alone(parts):
    samples = np.array([float(e.samples) for e in parts])
    weights = samples / samples.sum()
    merged = merge_all(parts)
    scale = max(float(np.abs(e.mean).max()) for e in parts)
    assert_allclose(merged.mean, sum(w * e.mean for w, e in zip(weights, parts, strict=True)), atol=1e-12 * scale)
    wanted = sum(w**2 * e.cov for w, e in zip(weights, parts, strict=True))
    assert_allclose(merged.cov, wanted, rtol=1e-9, atol=1e-12 * np.abs(wanted).max())
    assert merged.samples == sum(e.samples for e in parts)
    assert merged.chunks == len(parts)
    assert merged.dof <= len(parts) - 1
    assert_allclose(merged.seconds, sum(e.seconds for e in parts))


@given(estimates(), estimates())
def test_merged_covariance_stays_a_covariance(a, b):
    cov = a.merge(b).cov
    assert_array_equal(cov, cov.T)
    assert np.linalg.eigvalsh(cov).min() >= -1e-9 * max(np.abs(cov).max(), 1e-300)


def test_two_equal_halves():
    merged = chunk(100, [1.0, 2.0], [0.2, 0.0]).merge(chunk(100, [3.0, 2.0], [0.2, 0.0]))
    assert_array_equal(merged.mean, [2.0, 2.0])
    assert_allclose(merged.sdev, [0.2 / math.sqrt(2), 0.0])
    # (3 − 1)²/(0.2² + 0.2²) at the one time that has an error.
    assert (merged.samples, merged.chunks, merged.dof) == (200, 2, 1)
    assert merged.chi2 == pytest.approx(50.0)


def test_chi2_of_a_single_chunk_is_not_a_number():
    assert math.isnan(chunk(10, [1.0], [0.1]).chi2)


def test_a_merge_of_small_and_large_errors_is_not_biased_towards_small_ones():
    rng = np.random.default_rng(1)
    # Exponential variates: small values come with small errors, so weighting by errors would give about 0.8.
    samples = rng.exponential(size=(2000, 10))
    parts = [
        Estimate.of_chunk(10, np.array([x.mean()]), np.array([[x.var(ddof=1) / 10]])) for x in samples
    ]  # fmt: skip
    merged = merge_all(parts)
    assert abs(merged.mean[0] - 1.0) < 4 * merged.sdev[0]
    assert merged.sdev[0] == pytest.approx(1 / math.sqrt(20_000), rel=0.05)


# Exact values


def test_exact():
    value = Estimate.exact(np.array([1.0, -2.0]), seconds=0.5)
    assert (value.samples, value.chunks, value.dof, value.seconds) == (0, 0, 0, 0.5)
    assert_array_equal(value.sdev, 0)
    assert_array_equal(value.cov, np.zeros((2, 2)))
    assert_array_equal(value.variance_per_sample, 0)
    assert math.isnan(value.chi2)


def test_merging_exact_values_changes_nothing():
    value = Estimate.exact(np.array([1.0, -2.0]))
    merged = value.merge(value)
    assert_array_equal(merged.mean, value.mean)
    assert_array_equal(merged.cov, 0)
    assert merged.samples == 0


# Scaling and adding


@given(estimates(), st.floats(-1e3, 1e3, allow_subnormal=False))
def test_scaled(estimate, weight):
    scaled = estimate.scaled(weight)
    assert_array_equal(scaled.mean, weight * estimate.mean)
    assert_allclose(scaled.sdev, abs(weight) * estimate.sdev, rtol=1e-12, atol=1e-150)
    assert (scaled.samples, scaled.chunks) == (estimate.samples, estimate.chunks)


@given(estimates(), estimates(), st.floats(0.01, 1e3))
def test_scaling_goes_through_a_merge(a, b, weight):
    assert_same(a.merge(b).scaled(weight), a.scaled(weight).merge(b.scaled(weight)))


@given(st.lists(estimates(), min_size=1, max_size=6))
def test_add_all(parts):
    total = add_all(parts)
    assert_allclose(total.mean, np.sum([e.mean for e in parts], axis=0))
    assert_allclose(total.cov, np.sum([e.cov for e in parts], axis=0))
    assert total.samples == sum(e.samples for e in parts)
    assert total.chunks == len(parts)


def test_add_all_keeps_chi2_and_exact_parts():
    merged = chunk(100, [1.0], [0.2]).merge(chunk(100, [3.0], [0.2]))
    total = add_all([merged, Estimate.exact(np.array([5.0]))])
    assert_array_equal(total.mean, [7.0])
    assert_array_equal(total.sdev, merged.sdev)
    assert (total.chi2, total.dof, total.samples) == (merged.chi2, 1, 200)


def test_collect_adds_what_shares_a_key_in_the_order_of_keys():
    estimates = {n: chunk(10, [float(n)], [1.0]) for n in range(5)}
    found = collect([(1, 1), (0, 0), (1, 1), (1, 0)], [1.0, 2.0, -3.0, 1.0], [0, 1, 2, 4], estimates)
    assert list(found) == [(0, 0), (1, 0), (1, 1)]
    assert [e.mean[0] for e in found.values()] == [2.0, 4.0, -6.0]
    assert_allclose([e.sdev[0] for e in found.values()], [2.0, 1.0, math.sqrt(10)])


def test_diagrams_that_share_an_estimate_share_its_error():
    estimates = {7: chunk(10, [2.0], [0.1]), 8: chunk(10, [1.0], [0.1])}
    found = collect(["a", "a", "a", "b"], [1.0, 2.0, 1.0, -2.0], [7, 7, 8, 7], estimates)
    assert_allclose(found["a"].mean, [7.0])
    assert_allclose(found["a"].sdev, [0.1 * math.hypot(3, 1)])  # not hypot(1, 2, 1): the first two err together
    assert_allclose(found["b"].sdev, [0.2])
    assert found["a"].samples == 20


def test_exact_parts_carry_bounds_of_their_rounding():
    parts = [Estimate.exact(np.array([1.0, 2.0]), rounding=np.array([1e-16, 2e-16])) for _ in range(2)]
    total = add_all([part.scaled(-3.0) for part in parts])
    assert_allclose(total.mean, [-6.0, -12.0])
    assert_allclose(total.rounding, [6e-16, 12e-16])
    assert_array_equal(total.sdev, 0)


def test_series_is_a_mapping_with_a_total():
    series = Series({(0, 0): chunk(10, [1.0], [3.0]), (1, 1): chunk(20, [2.0], [4.0])})
    assert list(series) == [(0, 0), (1, 1)]
    assert len(series) == 2
    assert (2, 0) not in series
    assert_array_equal(series.total.mean, [3.0])
    assert_allclose(series.total.sdev, [5.0])
    assert series.total.samples == 30


# χ²


def gaussian_chunks(rng: np.random.Generator, sizes: list[int], error: float = 1.0) -> list[Estimate]:
    """Chunks of a correlated Gaussian integrand, their covariances scaled by error²."""
    root = np.array([[1.0, 0.0, 0.0], [0.9, 0.3, 0.0], [0.1, 0.2, 2.0]])
    cov = root @ root.T
    return [
        Estimate.of_chunk(n, root @ rng.normal(size=3) / math.sqrt(n), error**2 * cov / n) for n in sizes
    ]  # fmt: skip


@pytest.mark.parametrize("sizes", [[100] * 8, [64, 64, 1 << 15, 1 << 15, 500, 3], [10**6, 10], [2048, 8192, 32768]])
def test_chi2_of_gaussian_chunks_of_any_size_is_one(sizes):
    rng = np.random.default_rng(5)
    repeats = 3000 // (len(sizes) - 1)
    in_order = [merge_all(gaussian_chunks(rng, sizes)).chi2 for _ in range(repeats)]
    # A degree of freedom scatters by √2 at most (the times are correlated): 3000 of them know their mean to 2.6 %.
    assert abs(np.mean(in_order) - 1.0) < 0.1

    def as_a_tree(parts: list[Estimate]) -> Estimate:
        half = len(parts) // 2
        return as_a_tree(parts[:half]).merge(as_a_tree(parts[half:])) if half else parts[0]

    trees = [as_a_tree(gaussian_chunks(rng, sizes)) for _ in range(repeats)]
    assert {tree.dof for tree in trees} == {len(sizes) - 1}
    assert abs(np.mean([tree.chi2 for tree in trees]) - 1.0) < 0.1


@pytest.mark.parametrize(("error", "wanted"), [(0.5, 4.0), (2.0, 0.25)])
def test_chi2_sees_dishonest_errors(error, wanted):
    rng = np.random.default_rng(6)
    merged = [reduce(Estimate.merge, gaussian_chunks(rng, [100, 300, 1000], error)) for _ in range(1500)]
    assert np.mean([e.chi2 for e in merged]) == pytest.approx(wanted, rel=0.1)


def from_values(rng, sizes) -> list[Estimate]:
    """Chunks of values with a tail, moments included."""
    chunks = []
    for size in sizes:
        v = rng.pareto(3.0, (size, 2)) * np.array([1.0, 1e-87])
        cov = np.cov(v.T) / size
        moments = {"size": np.abs(v).mean(axis=0), "square": (v**2).sum(axis=0) / size**2}
        chunks.append((v, Estimate.of_chunk(size, v.mean(axis=0), cov, **moments)))
    return chunks


def test_moments_of_merged_chunks_are_those_of_all_values():
    chunks = from_values(np.random.default_rng(1), (100, 700, 50))
    merged = merge_all(estimate for _, estimate in chunks)
    v = np.concatenate([values for values, _ in chunks])
    assert_allclose(merged.effective, v.sum(axis=0) ** 2 / (v**2).sum(axis=0), rtol=1e-12)
    assert_allclose(merged.scaled(-3.0).effective, merged.effective, rtol=1e-12)
    assert_allclose(merged.scaled(-3.0).size, 3.0 * merged.size)


def test_one_value_that_carries_all_is_not_trusted():
    good, bad = np.ones(10_000), np.ones(10_000)
    bad[17] = 1e4
    moments = [np.array([m(good), m(bad)]) for m in (np.mean, lambda v: (v**2).sum() / v.size**2)]
    estimate = Estimate.of_chunk(10_000, np.array([1.0, 2.0]), np.diag([1e-4, 1.0]), 0.0, *moments)
    assert estimate.trusted.tolist() == [True, False]
    # In a sum it counts by the variance that it brings.
    constant = Estimate.of_chunk(
        64, np.array([5.0, 5.0]), np.zeros((2, 2)), 0.0, np.full(2, 5.0), np.full(2, 25.0 / 64)
    )
    assert add_all([estimate, constant]).trusted.tolist() == [True, False]
    assert add_all([estimate.scaled(1e-4), chunk(10**4, [1.0, 1.0], [1.0, 1.0])]).trusted.all()


def test_errors_that_vanish_in_floating_point_or_contradict_each_other_are_not_trusted():
    tiny = Estimate.of_chunk(1000, np.array([1e-170, 0.0]), np.zeros((2, 2)))
    assert tiny.trusted.tolist() == [False, True]
    apart = merge_all(chunk(100, [float(n % 2)], [0.01]) for n in range(20))
    assert not apart.trusted.any()
    assert Estimate.exact(np.array([1.0])).trusted.all()


def test_moments_survive_json():
    (_, estimate), *_ = from_values(np.random.default_rng(2), (100,))
    data = parts_to_data({(1, 0): estimate})
    again = parts_from(data, 2)[1, 0]
    assert_array_equal(again.square, estimate.square)
    assert_array_equal(again.size, estimate.size)
    for each in data:
        del each["size"], each["square"]  # written before there were any
    assert parts_from(data, 2)[1, 0].trusted.all()
