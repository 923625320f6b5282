"""Legs of equal and of different indices, against few sites, one site and simulated networks without diagrams."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.linalg import solve_continuous_lyapunov
from sites import RATES, Sites
from theories import bare_theory

import nnqft
from nnqft.cli.main import main

CUBIC = {1: 1.0, 3: -1 / 3}
EVEN = {0: 0.3, 1: 1.0, 2: -0.4}
TIMES = (0.9, 0.4, 0.4, 0.0)


def model(phi: dict[int, float], **extra) -> nnqft.Theory:
    return bare_theory("taylor", coefficients=phi, **(RATES | extra))


def by_order(theory: nnqft.Theory, observable: str, *, order: int, **options) -> np.ndarray:
    """[n, m]: contributions with all widths added."""
    result = nnqft.compute(theory, observable, order=order, integrator="exact", neval=1, **options)
    widths = range(2 * order + 4)
    return np.array([sum(result.contribution(n, k).mean for k in widths) for n in range(order + 1)])


def partitions(items: tuple[int, ...]) -> list[list[tuple[int, ...]]]:
    if not items:
        return [[]]
    first, *rest = items
    found = []
    for smaller in partitions(tuple(rest)):
        found.append([(first,), *smaller])
        found += [[*smaller[:n], (first, *block), *smaller[n + 1 :]] for n, block in enumerate(smaller)]
    return found


def cumulant(sites: Sites, legs: list[tuple[int, float]], start: str) -> np.ndarray:
    """Connected part by moments, order by order."""
    total = np.zeros(sites.order + 1)
    for blocks in partitions(tuple(range(len(legs)))):
        term = np.array([(-1.0) ** (len(blocks) - 1)] + [0.0] * sites.order)
        for number in range(1, len(blocks)):
            term = term * number
        for block in blocks:
            moment = sites.moment([legs[n] for n in block], start)
            term = np.convolve(term, moment)[: sites.order + 1]
        total += term
    return total


@pytest.mark.parametrize("indices", ["iiii", "iijj", "ijij"])
@pytest.mark.parametrize(
    ("phi", "order", "N", "start", "sigma_b"),
    [
        ({1: 1.0}, 2, 2, "stationary", 0.0),
        ({1: 1.0}, 2, 3, "stationary", 0.0),
        (CUBIC, 1, 2, "stationary", 0.5),
        (CUBIC, 1, 3, "rest", 0.0),
        (EVEN, 1, 2, "stationary", 0.0),
    ],
    ids=["linear 2", "linear 3", "cubic with bias", "cubic from rest", "even powers"],
)
def test_four_legs_at_few_sites(phi, order, N, start, sigma_b, indices):
    theory = model(phi, N=N, start=start, sigma_b=sigma_b)
    sites = Sites(phi, N, order, sigma_b)
    legs = [("ij".index(letter), t) for letter, t in zip(indices, TIMES, strict=True)]
    options = {"order": order, "times": [TIMES], "indices": indices}
    assert_allclose(by_order(theory, "four_point", **options)[:, 0], sites.moment(legs, start), rtol=1e-9, atol=1e-13)
    found = by_order(theory, "cumulant", **options)[:, 0]
    assert_allclose(found, cumulant(sites, legs, start), rtol=1e-9, atol=1e-13)


def test_three_different_units():
    sites = Sites({1: 1.0}, 3, 2)
    legs = [(0, 0.0), (0, 0.0), (1, 0.0), (1, 0.0), (2, 0.0), (2, 0.0)]
    found = by_order(model({1: 1.0}, N=3), "cumulant", order=2, times=[(0.0,) * 6], indices="iijjkk")[:, 0]
    assert found[2] != 0
    assert_allclose(found, cumulant(sites, legs, "stationary"), rtol=1e-9, atol=1e-13)


def test_different_units_begin_at_first_width_order():
    found = nnqft.diagrams(model({1: 1.0}), "cumulant", order=2, arity=4, indices="iijj")
    assert min(k for _, k in found.counts) == 1
    # Width order limits what is generated and changes nothing else.
    narrow = nnqft.diagrams(model({1: 1.0}), "cumulant", order=2, arity=4, indices="iijj", width_order=1)
    assert narrow.counts == {key: count for key, count in found.counts.items() if key[1] <= 1}
    # ⟨iiii⟩ of one unit has all diagrams of ⟨iijj⟩ and more.
    whole = nnqft.diagrams(model({1: 1.0}), "cumulant", order=2, arity=4)
    assert all(whole.counts[key] >= count for key, count in found.counts.items())


def test_two_units_are_uncorrelated_and_respond_to_nothing():
    theory = model(CUBIC, sigma_b=0.5)
    for observable in ("two_point", "response"):
        assert len(nnqft.diagrams(theory, observable, order=1, indices="ij")) == 0
    result = nnqft.compute(theory, "two_point", order=1, indices="ij", neval=1)
    assert result.mean.tolist() == [0.0]


def test_linear_networks_simulated():
    """⟨h_1² h_2²⟩ of Gaussian states, averaged over networks whose covariance is exact."""
    N, sigma_w, networks = 6, 0.4, 4000
    rng = np.random.default_rng(7)
    values = []
    for _ in range(networks):
        drift = rng.normal(0, sigma_w / np.sqrt(N), (N, N)) - RATES["gamma"] * np.eye(N)
        C = solve_continuous_lyapunov(drift, -RATES["kappa"] * np.eye(N))
        apart = ~np.eye(N, dtype=bool)
        values.append((np.outer(C.diagonal(), C.diagonal()) + 2 * C**2)[apart].mean())
    mean, sdev = np.mean(values), np.std(values, ddof=1) / np.sqrt(networks)
    theory = nnqft.theory("linear", N=N, sigma_w=sigma_w, **RATES)
    result = nnqft.compute(theory, "four_point", order=3, times=[(0,) * 4], indices="iijj", neval=1)
    last = sum(abs(result.contribution(3, k).mean[0]) for k in range(4))
    assert abs(result.mean[0] - mean) < 3 * sdev + last
    # The difference to independent units is a thing of 1/N that is seen.
    two = nnqft.compute(theory, "two_point", order=3, neval=1).mean[0]
    assert mean - two**2 > 3 * (sdev + last)


def test_samples_of_other_indices_are_other_samples():
    theory = nnqft.theory("linear", N=5, sigma_w=0.5)
    options = {"order": 1, "times": [(0.0,) * 4], "integrator": "vegas", "neval": 10_000}
    same, apart = (nnqft.compute(theory, "cumulant", indices=pattern, **options) for pattern in ("iiii", "iijj"))
    found = {row.drawing: row.integral[0] for row in apart.diagrams}
    common = [row.integral[0] - found[row.drawing] for row in same.diagrams if row.drawing in found]
    assert common
    assert all(common)


@pytest.mark.parametrize(("given", "kept"), [("aabb", "iijj"), ("jiij", "ijji"), ("xxxx", None), (" iijj ", "iijj")])
def test_a_pattern_has_one_way_to_be_written(given, kept):
    result = nnqft.compute(bare_theory("linear"), "cumulant", order=0, times=[(0.0,) * 4], indices=given, neval=1)
    assert result.request.indices == kept
    assert nnqft.Request.from_json(result.request.to_json()) == result.request


def test_a_result_remembers_its_indices(tmp_path):
    theory = nnqft.theory("linear", N=2, sigma_w=0.5)
    result = nnqft.compute(theory, "cumulant", order=1, times=[(1.0, 1.0, 0.0, 0.0)], indices="iijj", neval=1)
    assert "cumulant (iijj) of linear" in result.table()
    result.save(tmp_path / "r.json")
    again = nnqft.load(tmp_path / "r.json")
    assert again.request == result.request
    assert str(again.closed_form(1, 1)) == str(result.closed_form(1, 1))


def test_too_few_units_are_mentioned():
    result = nnqft.compute(bare_theory("linear"), "cumulant", order=1, times=[(0.0,) * 4], indices="iijj", neval=1)
    assert any("N=1 has no 2 different units" in note for note in result.notes)


@pytest.mark.parametrize(
    ("model_name", "indices", "message"),
    [
        ("linear", "iij", "indices='iij' has 3 letters, 'cumulant' has 4 legs; write one for each"),
        ("linear", "", "indices='': wanted a letter for each leg, write for example indices='ij' for two legs"),
        ("linear", 12, "indices=12: wanted a letter for each leg, write for example indices='ij' for two legs"),
        ("linear", "1122", "indices='1122': wanted a letter for each leg"),
        ("langevin", "iijj", "indices='iijj': model 'langevin' has one unit only; leave indices out"),
    ],
)
def test_patterns_that_make_no_sense(model_name, indices, message):
    with pytest.raises(nnqft.InputError) as caught:
        nnqft.compute(bare_theory(model_name), "cumulant", order=1, times=[(0.0,) * 4], indices=indices, neval=1)
    assert message in str(caught.value)


def test_command_line(capsys):
    common = ["linear", "-O", "cumulant", "-n", "1", "--indices", "iijj"]
    assert main(["diagrams", *common]) == 0
    assert "order 1, width order 1: 4" in capsys.readouterr().out
    assert main(["compute", *common, "-p", "N=2", "--times", "0,0,0,0", "--neval", "1"]) == 0
    assert "cumulant (iijj)" in capsys.readouterr().out


def test_every_pattern_adds_up_to_the_square():
    """(1/N²) Σ_ij ⟨h_i² h_j²⟩ is the second moment of (1/N) Σ_i h_i², at order σ_w² and N = 2."""
    theory, N = bare_theory("linear", N=2, **RATES), 2
    whole = sum(
        by_order(theory, "four_point", order=1, times=[(0.0,) * 4], indices="iiii" if i == j else "iijj")[:, 0]
        for i, j in product(range(N), repeat=2)
    )
    sites = Sites({1: 1.0}, N, 1)
    wanted = sum(sites.moment([(i, 0.0)] * 2 + [(j, 0.0)] * 2) for i, j in product(range(N), repeat=2))
    assert_allclose(whole, wanted, rtol=1e-10)
