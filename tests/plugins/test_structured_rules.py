"""Structured weights in diagrams: against pairings of W with its transposes, and networks of one and two units."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pytest
from oracles import (
    linear_two_point,
    noise_integral,
    one_site,
    propagate,
    site_generator,
    structured_moment,
)

import nnqft
from nnqft import InputError, Leg, Vertex

TIMES = [(2.0, 2.0), (2.0, 1.3), (0.4, 1.5)]
POPULATIONS: dict[str, Any] = {"fractions": [0.75, 0.25], "gains": [[1.0, 2.0], [0.5, 1.5]]}
BENT = {0: 0.3, 1: 1.0, 2: 0.4}


def contributions(theory: nnqft.Theory, order: int) -> np.ndarray:
    """(order + 1, order + 1, M) numbers without powers of N."""
    result = nnqft.compute(theory, "two_point", order=order, times=TIMES)
    found = np.zeros((order + 1, order + 1, len(TIMES)))
    for (n, k), part in result.series.contributions.items():
        found[n, k] = part.mean * theory.N**k
    return found


def by_order(theory: nnqft.Theory, order: int) -> np.ndarray:
    """(order + 1, M) numbers, all width orders together."""
    parts = contributions(theory, order)
    return np.einsum("nkm,k->nm", parts, float(theory.N) ** -np.arange(order + 1.0))


@pytest.mark.parametrize("start", ["stationary", "rest"])
@pytest.mark.parametrize("eta", [-1.0, -0.4, 0.7, 1.0])
def test_partial_symmetry_is_pairings_of_w_with_its_transpose(eta: float, start: str) -> None:
    theory = nnqft.theory("linear", N=7, gamma=1.3, kappa=0.8, sigma_w=1.0, sigma_b=0.6, eta=eta, start=start)
    wanted = linear_two_point(
        TIMES, order=2, gamma=1.3, kappa=0.8, sigma_b=0.6, start=start, moment=partial(structured_moment, eta=eta)
    )
    assert contributions(theory, 2) == pytest.approx(wanted, abs=1e-11)


@pytest.mark.parametrize("population", [1, 2])
@pytest.mark.parametrize("eta", [None, 0.5])
def test_populations_are_pairings_with_sums_over_blocks(population: int, eta: float | None) -> None:
    theory = nnqft.theory("linear", N=8, sigma_w=1.0, sigma_b=0.3, eta=eta, population=population, **POPULATIONS)
    moment = partial(structured_moment, eta=eta or 0.0, observed=population - 1, **POPULATIONS)
    wanted = linear_two_point(TIMES, order=2, gamma=1.0, kappa=1.0, sigma_b=0.3, moment=moment)
    assert contributions(theory, 2) == pytest.approx(wanted, abs=1e-11)


def test_words_of_the_semicircle_and_of_antisymmetric_matrices() -> None:
    """The oracle itself: ⟨tr W⁴⟩/N of a symmetric Gaussian matrix is 2 + 1·5/N + …, and W² = −W Wᵀ for η = −1."""
    assert structured_moment(4, 0, eta=1.0) == [2.0, 5.0, 5.0]
    assert structured_moment(2, 0, eta=-1.0) == [-1.0, 1.0]
    assert structured_moment(4, 0, eta=-1.0) == pytest.approx(structured_moment(2, 2, eta=-1.0))


def test_one_unit_hears_itself_with_variance_one_plus_eta() -> None:
    """At N = 1 W is one Gaussian of variance (1 + η) σ_w²."""
    given: dict[str, Any] = {"gamma": 1.3, "kappa": 0.8, "sigma_b": 0.5}
    wanted = one_site(BENT, TIMES, order=2, **given)
    theory = nnqft.theory("taylor", coefficients=BENT, N=1, sigma_w=1.0, eta=-0.4, expansion="bare", **given)
    assert by_order(theory, 2) == pytest.approx(wanted * 0.6 ** np.arange(3)[:, None], abs=1e-10)


@pytest.mark.parametrize("phi", [{1: 1.0, 3: -0.3}, BENT])
def test_one_unit_of_low_rank(phi: dict[int, float]) -> None:
    """At N = 1 and σ_w = 0 the weight is m n: order n brings ⟨(m n)ⁿ⟩."""
    variances, order = (1.2, 0.8, 0.5), 2
    x, weight = np.polynomial.hermite_e.hermegauss(8)
    m = np.sqrt(variances[0]) * x[:, None]
    slope = variances[2] / variances[0]
    n = slope * m + np.sqrt(variances[1] - slope**2 * variances[0]) * x
    moments = [float((np.outer(weight, weight) * (m * n) ** j).sum() / weight.sum() ** 2) for j in range(order + 1)]
    generator = site_generator(phi, 1.0, 1.0, order, False)
    wanted = np.zeros((order + 1, len(TIMES)))
    for column, (t, s) in enumerate(TIMES):
        later = propagate({(0, 1, 0): 1.0}, generator, abs(t - s))
        both = {(j, i + 1, q): value for (j, i, q), value in later.items()}
        for (j, i, _), value in propagate(both, generator, np.inf).items():
            if not i and j <= order:
                wanted[j, column] += value * moments[j]
    theory = nnqft.theory(
        "taylor", coefficients=phi, N=1, sigma_w=0.0, low_rank=variances, expansion="bare", averages=None
    )
    assert by_order(theory, order) == pytest.approx(wanted, abs=1e-10)


TWO_UNITS: dict[str, dict[str, Any]] = {
    "low rank": {"low_rank": [{"m": 1.2, "n": 0.8, "overlap": 0.5}]},
    "low rank and partial symmetry": {"low_rank": (1.0, 1.0, -0.3), "eta": 0.6},
    "means": {"fractions": [0.5, 0.5], "means": [[0.5, -1.0], [2.0, 0.3]]},
    "all of two populations": {
        "fractions": [0.5, 0.5],
        "means": [[0.5, -1.0], [2.0, 0.3]],
        "gains": [[1.0, 1.5], [0.7, 0.2]],
        "eta": -0.5,
        "population": 2,
    },
}


@pytest.mark.parametrize("given", TWO_UNITS.values(), ids=TWO_UNITS)
def test_two_linear_units_are_averages_over_all_their_gaussians(given: dict[str, Any]) -> None:
    """At N = 2 all orders in 1/N count: ⟨W^a Wᵀ^b⟩ by Gauss–Hermite quadrature, without pairings."""
    order = 2
    theory = nnqft.theory("linear", N=2, sigma_w=1.0, **given)
    words = two_unit_words(given, order)
    wanted = np.zeros((order + 1, len(TIMES)))
    for (n, a, b), value in words.items():
        wanted[n] += [value * noise_integral(a, b, t, s, 1.0, np.inf) for t, s in TIMES]
    assert by_order(theory, order) == pytest.approx(wanted, abs=1e-10)


def two_unit_words(given: dict[str, Any], order: int) -> dict[tuple[int, int, int], float]:
    """⟨(W^a Wᵀ^b)_ii⟩ by order, a and b, for W = λ X + λ² (J + m nᵀ)/2: order n is that of λ^{2n}."""
    rank = given.get("low_rank")
    triple = tuple(rank[0].values()) if isinstance(rank, list) else rank
    dimensions = 8 if triple else 4
    x, weight = np.polynomial.hermite_e.hermegauss(order + 1)
    x, weight = np.array(list(product(x, repeat=dimensions))), np.array(list(product(weight, repeat=dimensions)))
    weights = weight.prod(axis=1) / weight.prod(axis=1).sum()
    Y, eta = x[:, :4].reshape(-1, 2, 2), given.get("eta", 0.0)
    up, down = np.sqrt(1 + eta), np.sqrt(1 - eta)
    X = ((up + down) / 2 * Y + (up - down) / 2 * Y.swapaxes(1, 2)) * np.array(given.get("gains", 1.0)) / np.sqrt(2)
    rest = np.broadcast_to(np.array(given.get("means", np.zeros((2, 2)))) / 2, X.shape)
    if triple:
        m = np.sqrt(triple[0]) * x[:, 4:6]
        slope = triple[2] / triple[0]
        n = slope * m + np.sqrt(triple[1] - slope**2 * triple[0]) * x[:, 6:8]
        rest = rest + m[:, :, None] * n[:, None, :] / 2

    def times(left: list[np.ndarray], right: list[np.ndarray]) -> list[np.ndarray]:
        return [sum((left[i] @ right[p - i] for i in range(p + 1)), 0.0 * X) for p in range(2 * order + 1)]

    nothing = 0.0 * X
    W = [nothing, X, rest, *[nothing] * (2 * order - 2)]
    unit = [nothing + np.eye(2), *[nothing] * (2 * order)]
    powers = [unit]
    for _ in range(2 * order):
        powers.append(times(powers[-1], W))
    turned = [[matrix.swapaxes(1, 2) for matrix in power] for power in powers]
    i = given.get("population", 1) - 1
    found = {}
    for a, b in product(range(2 * order + 1), repeat=2):
        if a + b <= 2 * order:
            both = times(powers[a], turned[b])
            found |= {(n, a, b): float((weights * both[2 * n][:, i, i]).sum()) for n in range(order + 1)}
    return found


SADDLES: dict[str, dict[str, Any]] = {
    "eta": {"eta": 0.6},
    "low rank": {"low_rank": (0.01, 0.01, 0.01)},
    "populations": {
        "fractions": [0.6, 0.4],
        "gains": [[1.0, 2.0], [0.5, 1.5]],
        "means": [[0.002, -0.005], [0.005, 0.001]],
        "population": 2,
    },
}


@pytest.mark.parametrize("given", SADDLES.values(), ids=SADDLES)
def test_both_expansions_are_one_at_weak_coupling(given: dict[str, Any]) -> None:
    """About mean-field theory order 1 is right to σ_w², whatever its lines hold beyond that."""
    s = 0.005
    weak: dict[str, Any] = {"N": 5, "sigma_w": s**0.5, "sigma_b": 0.5}
    bare = nnqft.compute(nnqft.theory("cubic_tanh", expansion="bare", **weak, **given), "two_point", order=2)
    saddle = nnqft.compute(nnqft.theory("cubic_tanh", **weak, **given), "two_point", order=1, rtol=1e-4)
    first = nnqft.compute(nnqft.theory("cubic_tanh", **weak), "two_point", order=1, rtol=1e-4)
    assert abs(saddle.mean[0] - bare.mean[0]) < 8 * s**2 + 4 * saddle.sdev[0]
    assert abs(first.mean[0] - bare.mean[0]) > 16 * s**2, "structure that nobody sees"


def test_equal_populations_are_one() -> None:
    """Every contribution of a network that is called two populations is that of one."""
    one = nnqft.theory("cubic_tanh", N=10, sigma_w=0.9, eta=0.3, expansion="bare")
    two = nnqft.theory("cubic_tanh", N=10, sigma_w=0.9, eta=0.3, expansion="bare", fractions=[0.3, 0.7], population=2)
    assert contributions(two, 1) == pytest.approx(contributions(one, 1), rel=1e-12)


def test_loops_of_a_population_bring_its_share() -> None:
    theory = nnqft.theory("linear", N=8, sigma_w=1.0, **POPULATIONS)
    cacti = nnqft.diagrams(theory, "two_point", order=1, width_order=0)
    assert sorted(diagram.coefficient for diagram in cacti) == [0.75, 1.0, 1.0]
    assert [diagram.weight for diagram in cacti] == pytest.approx(cacti.weights.tolist())


BAD: list[tuple[dict[str, Any], str]] = [
    ({"eta": 1.5}, "eta=1.5: wanted a correlation from -1 to 1, write for example eta=0.5"),
    ({"eta": "x"}, "eta='x': wanted a number, write for example eta=0.5"),
    ({"fractions": [0.5, 0.6]}, r"fractions=\[0.5, 0.6\]: wanted numbers > 0 that add up to 1, not 1.1"),
    ({"fractions": [1.0]}, r"fractions=\[1.0\]: wanted 2 to 6 of them"),
    ({"fractions": 0.5}, "fractions: 0.5: wanted a list of numbers"),
    ({"gains": [[1.0]]}, "gains belongs to populations; write fractions"),
    ({"population": 2}, "population belongs to populations"),
    ({"fractions": [0.5, 0.5], "gains": [[1, 2], [1]]}, "wanted as many columns as rows"),
    ({"fractions": [0.5, 0.5], "gains": [[1, 2, 3]] * 3}, "gains has 3 rows and columns for 2 populations"),
    ({"fractions": [0.5, 0.5], "gains": [[1, -2], [1, 1]]}, "wanted numbers from 0 to 1e"),
    ({"fractions": [0.5, 0.5], "means": 3}, "means=3: wanted a row for each population"),
    ({"fractions": [0.5, 0.5], "population": 3}, "population=3: there are 2; write a number from 1 to 2"),
    ({"fractions": [0.5, 0.5], "low_rank": (1, 1, 0)}, "low_rank and fractions"),
    ({"low_rank": (1, 1, 2)}, "wanted an overlap from -1 to 1"),
    ({"low_rank": {"k": 1}}, "low_rank has no 'k'; wanted m, n and overlap"),
    ({"low_rank": (-1, 1, 0)}, "wanted variances of m and n > 0"),
    ({"low_rank": 0.5}, "low_rank=0.5: wanted variances and overlap"),
]


@pytest.mark.parametrize(("given", "message"), BAD)
def test_structure_that_makes_no_sense(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        nnqft.theory("linear", **given)


def test_no_structure_is_no_parameter() -> None:
    """η = 0 is the theory without it, so that its diagrams, seeds and files are those of always."""
    assert nnqft.theory("linear", eta=0.0, low_rank=[]) == nnqft.theory("linear")
    assert "gains" not in nnqft.theory("cubic_tanh").parameters


def test_shares_of_the_units_fit_together() -> None:
    """Lines and index slots join fields of one population alone, and a share is a part of the whole."""
    theory = nnqft.theory("linear", **POPULATIONS)
    h, z, *others = theory.fields
    for fields, message in (
        ((replace(h, share=0.5), z, *others), "propagator 'G' joins fields of different shares"),
        ((replace(h, share=0.0), z, *others), "share=0.0: wanted a number > 0, at most 1"),
    ):
        with pytest.raises(nnqft.TheoryError, match=message):
            replace(theory, fields=fields)
    strange = Vertex("strange", (Leg("z", 0, "i"), Leg("h2", 0, "i")), 1.0)
    with pytest.raises(nnqft.TheoryError, match="index 'i' joins fields of different shares"):
        replace(theory, vertices=(*theory.vertices, strange))
