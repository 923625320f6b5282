"""The networks with an activation: the values of docs/physics.md, one site, few sites, infinite width.

Where every line is a sum of exponentials the integrator `exact` has no statistical error, so what it gives must agree
with the oracles to rounding; `vegas` is judged by its pulls.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache, lru_cache
from itertools import product
from math import factorial, log, pi, sqrt

import numpy as np
import oracles
import pytest
import strategies as own
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.stats import chi2
from sites import RATES, Coupled, Sites
from theories import bare_theory

import nnqft
from nnqft.host import default_host
from nnqft_plugins.models.parameters.activations import taylor_coefficients

CUBIC = {1: 1.0, 3: -1 / 3}
QUINTIC_TANH = {1: 1.0, 3: -1 / 3, 5: 2 / 15}
EVEN = {0: 0.3, 1: 1.0, 2: -0.4, 3: -1 / 3}
STATIONARY = [(0.0, 0.0), (0.7, 0.0), (-1.0, 0.5)]
REST = [(0.9, 0.9), (1.2, 0.5), (0.5, 1.2), (0.8, 0.0)]
STARTS = {"stationary": STATIONARY, "rest": REST}


def model(name: str, **parameters) -> nnqft.Theory:
    """At σ_w = 1 and N = 1 unless told otherwise, so that contributions are bare coefficients."""
    return bare_theory(name, **(RATES | parameters))


def exact(theory: nnqft.Theory, observable: str = "two_point", **options) -> nnqft.Result:
    result = nnqft.compute(theory, observable, integrator="exact", neval=1, **options)
    assert result.converged
    assert not result.sdev.any()
    return result


def table_of(result: nnqft.Result) -> np.ndarray:
    """Contributions [n, k, m]."""
    orders = range(result.request.order + 1)
    return np.array([[result.contribution(n, k).mean for k in orders] for n in orders])


def pulls(result: nnqft.Result, wanted: np.ndarray) -> np.ndarray:
    """(estimate − wanted)/error of every contribution that is sampled, all times of one in a row; the others agree."""
    rows = []
    for n, k in product(range(result.request.order + 1), repeat=2):
        part = result.contribution(n, k)
        if part.sdev.any():
            rows.append((part.mean - wanted[n, k]) / part.sdev)
        else:
            assert_allclose(part.mean, wanted[n, k], rtol=1e-11, atol=1e-14)
    return np.array(rows)


def assert_honest(found: np.ndarray) -> None:
    """Pulls of a few numbers: none beyond 4, and together of the size that errors of the right size make."""
    print(f"pulls {found.round(2).tolist()}, mean square {np.mean(found**2):.2f}")
    assert (np.abs(found) < 4).all()
    # The times of a row are strongly correlated, so this is the mean square of at least len(found) numbers.
    low, high = chi2.ppf([1e-4, 1 - 1e-4], len(found)) / len(found)
    assert low < np.mean(found**2) < high


# The sample values of docs/physics.md, at γ = 1.3, κ = 0.8: coefficients of σ_w^{2n} N^{−k}.

SAMPLES = [
    ("linear", 2, 0.7, [0.035548665254, 0.125032176763, 0.161819894147], None),
    ("cubic_tanh", 1, 0.0, [0.046504153503, 0.013466453717], 0.059970607220),
    ("cubic_tanh", 2, 0.0, [0.005549583576, -0.002082920896, -0.000628873524], 0.002837789157),
    ("cubic_tanh", 2, 0.7, [0.005066122233, 0.001528947344, -0.000775292436], 0.005819777140),
    ("quintic", 1, 0.7, [0.026918569655, -0.004480321096], None),
    ("quintic", 2, 0.7, [0.000357709761, 0.002395751500, 0.129282598008], None),
]


@cache
def sampled_at(name: str) -> nnqft.Result:
    return exact(model(name), order=2, tau=[0.0, 0.7])


@pytest.mark.parametrize(("name", "n", "tau", "wanted", "total"), SAMPLES)
def test_sample_values(name, n, tau, wanted, total):
    found = table_of(sampled_at(name))[n, : n + 1, [0.0, 0.7].index(tau)]
    # The twelve digits that are printed.
    assert_allclose(found, wanted, rtol=0, atol=5.01e-13)
    if total is not None:
        assert found.sum() == pytest.approx(total, rel=0, abs=5.01e-13)


def test_sample_diagrams():
    counts = {name: [sampled_at(name).count(2, k) for k in range(3)] for name in ("linear", "cubic_tanh", "quintic")}
    assert counts["linear"] == [1, 6, 8]
    # (1,1)², (1,1)(1,3), (1,3)²: 1+6+6, 6+44+80, 8+88+276.
    assert counts["quintic"] == [13, 130, 372]
    assert sum(counts["cubic_tanh"]) == 2742


@pytest.mark.parametrize(
    ("name", "order", "neval", "error"),
    [
        ("linear", 2, 300_000, 2e-4),
        ("cubic_tanh", 1, 300_000, 1e-4),
        ("cubic_tanh", 2, 3_000_000, 2e-3),
        ("quintic", 1, 300_000, 1e-4),
        ("quintic", 2, 1_000_000, 1.2e-3),
    ],
)
def test_sample_values_by_sampling(name, order, neval, error):
    result = nnqft.compute(model(name), "two_point", order=order, tau=[0.0, 0.7], integrator="vegas", neval=neval)
    assert result.integrators() == {"vegas": len(result.diagrams)}
    wanted = table_of(sampled_at(name))[: order + 1, : order + 1]
    assert_honest(pulls(result, wanted))
    assert max(part.sdev.max() for part in result.series.values()) < error


def test_a_target_is_met_in_truth_too():
    result = nnqft.compute(model("cubic_tanh"), "two_point", order=1, tau=[0.0, 0.7], integrator="vegas", rtol=1e-3)
    wanted = table_of(sampled_at("cubic_tanh"))[:2].sum(axis=(0, 1))
    assert (result.sdev <= 1e-3 * np.abs(result.mean)).all()
    assert_allclose(result.mean, wanted, rtol=4e-3)


# One site: the sum over all widths, at unequal times, from rest, with bias.


@pytest.mark.parametrize(
    ("start", "order", "sigma_b"), [("stationary", 2, 0.0), ("stationary", 2, 0.6), ("rest", 2, 0.0), ("rest", 1, 0.6)]
)
def test_cubic_tanh_at_one_site(start, order, sigma_b):
    times = STARTS[start]
    result = exact(model("cubic_tanh", start=start, sigma_b=sigma_b), order=order, times=times)
    wanted = oracles.one_site(CUBIC, times, order=order, start=start, sigma_b=sigma_b, **RATES)
    assert_allclose(table_of(result).sum(axis=1), wanted, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(
    ("phi", "order", "integrator", "neval", "error"),
    [
        (CUBIC, 1, "vegas", 300_000, 1e-3),
        (CUBIC, 2, "auto", 1_100_000, 1e-2),
        (QUINTIC_TANH, 1, "auto", 200_000, 4e-3),
    ],
    ids=["cubic", "cubic, second order", "tanh to h^5"],
)
def test_from_rest_with_bias_by_sampling(phi, order, integrator, neval, error):
    """With five exponentials in every C the largest products of lines are sampled, the others exact."""
    theory = model("taylor", coefficients=phi, start="rest", sigma_b=0.6)
    result = nnqft.compute(theory, "two_point", order=order, times=REST, integrator=integrator, neval=neval)
    found = result.integrators()
    assert found["vegas"] > 0
    assert (found.get("exact", 0) > 0) == (integrator == "auto")
    wanted = oracles.one_site(phi, REST, order=order, start="rest", sigma_b=0.6, **RATES)
    assert_allclose(result.contribution(0, 0).mean, wanted[0], rtol=1e-11, atol=1e-14)
    rows = []
    for n in range(1, order + 1):
        parts = [result.contribution(n, k) for k in range(n + 1)]
        total, sdev = sum(p.mean for p in parts), np.sqrt(sum(p.sdev**2 for p in parts))
        assert abs(total[-1] - wanted[n, -1]) < 1e-12  # h(0) = 0
        assert (sdev < error * np.abs(wanted).max()).all()
        if sdev.any():
            rows.append(((total - wanted[n]) / sdev)[:-1])
        else:
            assert_allclose(total, wanted[n], rtol=1e-11, atol=1e-14)
    assert_honest(np.array(rows))


@pytest.mark.parametrize(("start", "sigma_b"), [("stationary", 0.0), ("stationary", 0.6), ("rest", 0.0)])
def test_tanh_to_fifth_power_at_one_site(start, sigma_b):
    times = STARTS[start]
    theory = model("taylor", activation="tanh", degree=5, start=start, sigma_b=sigma_b)
    wanted = oracles.one_site(QUINTIC_TANH, times, order=1, start=start, sigma_b=sigma_b, **RATES)
    assert_allclose(table_of(exact(theory, order=1, times=times)).sum(axis=1), wanted, rtol=1e-11, atol=1e-13)


def test_powers_one_and_five_at_one_site():
    phi = {1: 1.0, 5: 2 / 15}
    result = exact(model("taylor", coefficients=phi), order=2, tau=[0.7])
    wanted = oracles.one_site(phi, [(0.7, 0.0)], order=2, **RATES)
    assert_allclose(table_of(result).sum(axis=1), wanted, rtol=1e-11)


@pytest.mark.parametrize(
    ("start", "order", "sigma_b"), [("stationary", 2, 0.0), ("stationary", 1, 0.6), ("rest", 1, 0.0)]
)
def test_even_powers_and_a_constant_at_one_site(start, order, sigma_b):
    times = STARTS[start]
    theory = model("taylor", coefficients=EVEN, start=start, sigma_b=sigma_b)
    settings_of = {"order": order, "start": start, "sigma_b": sigma_b, **RATES}
    pair = table_of(exact(theory, order=order, times=times)).sum(axis=1)
    assert_allclose(pair, oracles.one_site(EVEN, times, **settings_of), rtol=1e-11, atol=1e-13)
    late = [t for t, _ in times]
    mean = table_of(exact(theory, "mean", order=order, times=[(t,) for t in late])).sum(axis=1)
    assert_allclose(mean, oracles.one_site_mean(EVEN, late, **settings_of), rtol=1e-11, atol=1e-13)
    assert mean[1, 0] != 0


def test_the_mean_by_sampling():
    theory = model("taylor", coefficients=EVEN)
    result = nnqft.compute(theory, "mean", order=1, integrator="vegas", neval=100_000)
    wanted = oracles.one_site_mean(EVEN, [0.0], order=1, **RATES)[1]
    assert 0 < result.sdev[0] < 1e-3 * abs(wanted[0])
    assert abs(result.mean - wanted) < 4 * result.sdev


@pytest.mark.parametrize("start", STARTS)
def test_quintic_to_first_order_in_the_cubic_coefficient(start):
    """φ = h + c h³: the part linear in c is that of the diagrams with one (1,3), times c_3 = −1/3."""
    times, order = STARTS[start], 2
    # A polynomial in c of degree 2n, through as many points; symmetric ones keep the fit well conditioned.
    points = np.arange(-order, order + 1) / 4
    values = [oracles.one_site({1: 1.0, 3: c}, times, order=order, start=start, **RATES) for c in points]
    fit = np.polynomial.polynomial.polyfit(points, np.reshape(values, (len(points), -1)), 2 * order)
    wanted = fit[1].reshape(order + 1, len(times)) / -3
    theory = model("quintic", start=start)
    result = exact(theory, order=order, times=times)
    found = np.zeros_like(wanted)
    diagrams = nnqft.diagrams(theory, "two_point", order=order)
    for diagram, row in zip(diagrams, result.diagrams, strict=True):
        if diagram.vertices.count("(1,3)") == 1:
            found[diagram.order] += row.weight * row.integral
    assert found[2].any()
    assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("N", [2, 3])
@pytest.mark.parametrize("order", [2])
@pytest.mark.parametrize(
    ("name", "phi", "extra"),
    [
        ("cubic_tanh", CUBIC, {}),
        ("cubic_tanh", CUBIC, {"sigma_b": 0.6}),
        ("taylor", EVEN, {"coefficients": EVEN}),
    ],
    ids=["cubic", "cubic with bias", "even powers"],
)
def test_equal_times_at_few_sites(name, phi, extra, order, N):
    sites = Sites(phi, N, order, extra.get("sigma_b", 0.0))
    result = exact(model(name, N=N, **extra), order=order)
    assert_allclose(table_of(result).sum(axis=1)[:, 0], sites.two_point(0.0, 0.0, "stationary"), rtol=1e-11)


@pytest.mark.parametrize("N", [1, 2, 3])
def test_quintic_at_few_sites(N):
    result = exact(model("quintic", N=N), order=2, tau=[0.0, 0.7])
    sites = Sites(Coupled.quintic(), N, 2)
    wanted = np.transpose([sites.two_point(tau, 0.0, "stationary") for tau in (0.0, 0.7)])
    assert_allclose(table_of(result).sum(axis=1), wanted, rtol=1e-11)


@pytest.mark.parametrize("name", ["cubic_tanh", "quintic"])
def test_mushrooms_of_third_order(name):
    """Three numbers of sites tell the widths of third order apart, once k = 0 is known from infinite width."""
    phi = Coupled.network(CUBIC) if name == "cubic_tanh" else Coupled.quintic()
    cactus = oracles.infinite_width(CUBIC, [0.0], order=3, quintic_truncation=name == "quintic", **RATES)[3, 0]
    sizes = np.array([1.0, 2.0, 3.0])
    values = [Sites(phi, int(N), 3).two_point(0.0, 0.0, "stationary")[3] - cactus for N in sizes]
    mushroom, _, _ = np.linalg.solve(sizes[:, None] ** -np.arange(1, 4), values)
    result = exact(model(name), order=3, width_order=1)
    assert_allclose(result.contribution(3, 0).mean, cactus, rtol=1e-10)
    assert_allclose(result.contribution(3, 1).mean, mushroom, rtol=1e-9)


@pytest.mark.parametrize("N", [2, 4])
def test_the_mean_at_few_sites(N):
    result = exact(model("taylor", coefficients=EVEN, N=N), "mean", order=2)
    assert_allclose(table_of(result).sum(axis=1)[:, 0], Sites(EVEN, N, 2).mean(), rtol=1e-11)


class CrossSquares(nnqft.AbstractObservable):
    """⟨h_i(t)² h_j(t)²⟩ of two different sites."""

    name = "cross_squares"
    arity = 1

    def legs(self, theory: nnqft.Theory, arity: int) -> tuple[nnqft.Leg, ...]:
        return (nnqft.Leg("h", 0, "i"),) * 2 + (nnqft.Leg("h", 0, "j"),) * 2


@pytest.mark.parametrize("N", [2, 3])
@pytest.mark.parametrize(("phi", "order"), [({1: 1.0}, 2), (CUBIC, 1), (EVEN, 1)], ids=["linear", "cubic", "even"])
def test_squares_of_two_sites(phi, order, N, monkeypatch):
    monkeypatch.setitem(default_host().found["observable"], "cross_squares", (CrossSquares(), "test"))
    sites = Sites(phi, N, order)
    powers = (2, 2, *[0] * (N - 2))
    wanted = sites.average({(powers, ())}, {(powers, ()): 1.0})
    result = exact(model("taylor", coefficients=phi, N=N), "cross_squares", order=order)
    assert_allclose(table_of(result).sum(axis=1)[:, 0], wanted, rtol=1e-11)


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize(("order", "sigma_b"), [(2, 0.0), (1, 0.6)])
def test_unequal_times_at_two_sites(start, order, sigma_b):
    times = STARTS[start]
    result = exact(model("cubic_tanh", N=2, start=start, sigma_b=sigma_b), order=order, times=times)
    sites = Sites(CUBIC, 2, order, sigma_b)
    wanted = np.transpose([sites.two_point(t, s, start) for t, s in times])
    assert_allclose(table_of(result).sum(axis=1), wanted, rtol=1e-11, atol=1e-13)


@given(
    st.dictionaries(st.integers(0, 4), own.COEFFICIENTS, min_size=1, max_size=3),
    st.integers(1, 3),
    st.sampled_from(sorted(STARTS)),
)
@settings(deadline=None, max_examples=15)
def test_any_polynomial_at_few_sites(fractions, N, start):
    phi = {p: float(c) for p, c in fractions.items()}
    t, s = (0.7, 0.0) if start == "stationary" else (1.2, 0.5)
    result = exact(model("taylor", coefficients=phi, N=N, start=start), order=1, times=[(t, s)])
    wanted = Sites(phi, N, 1).two_point(t, s, start)
    assert_allclose(table_of(result).sum(axis=1)[:, 0], wanted, rtol=1e-10, atol=1e-12 * np.abs(wanted).max())


def test_the_oracle_of_few_sites_is_that_of_one_site():
    for start, times in STARTS.items():
        wanted = oracles.one_site(EVEN, times, order=2, sigma_b=0.4, start=start, **RATES)
        found = np.transpose([Sites(EVEN, 1, 2, 0.4).two_point(t, s, start) for t, s in times])
        assert_allclose(found, wanted, rtol=1e-11, atol=1e-13)


# Infinite width: k = 0.


@pytest.mark.parametrize(
    ("name", "phi", "order", "sigma_b"),
    [
        ("cubic_tanh", CUBIC, 3, 0.0),
        ("cubic_tanh", CUBIC, 2, 0.6),
        ("quintic", None, 4, 0.0),
        ("quintic", None, 3, 0.6),
        ("taylor", QUINTIC_TANH, 2, 0.0),
        ("taylor", QUINTIC_TANH, 1, 0.6),
        ("taylor", EVEN, 1, 0.6),  # the mean is of order 1: only so far is φφ that of a centred Gaussian
    ],
)
def test_infinite_width(name, phi, order, sigma_b):
    tau = [0.0, 0.7, -1.9]
    extra = {"coefficients": phi} if name == "taylor" else {}
    result = exact(model(name, sigma_b=sigma_b, **extra), order=order, width_order=0, tau=tau)
    wanted = oracles.infinite_width(phi, tau, order=order, sigma_b=sigma_b, quintic_truncation=phi is None, **RATES)
    found = np.array([result.contribution(n, 0).mean for n in range(order + 1)])
    assert_allclose(found, wanted, rtol=1e-10, atol=1e-14)


# Models that are the same.


def assert_same(one: nnqft.Theory, other: nnqft.Theory, order: int = 1) -> None:
    """Equal diagrams, one by one, and equal contributions."""
    first, second = (nnqft.diagrams(theory, "two_point", order=order + 1, width_order=1) for theory in (one, other))
    assert [d.digest for d in first] == [d.digest for d in second]
    assert_allclose(first.weights, second.weights, rtol=1e-13)
    results = [exact(theory, order=order, tau=[0.0, 0.7]) for theory in (one, other)]
    assert_allclose(table_of(results[0]), table_of(results[1]), rtol=1e-11)


def test_taylor_of_the_identity_is_the_linear_network():
    assert_same(model("taylor", coefficients={1: 1}, sigma_b=0.3), model("linear", sigma_b=0.3), order=3)


@pytest.mark.parametrize("given", [{"activation": "tanh", "degree": 3}, {"coefficients": CUBIC}], ids=str)
def test_taylor_of_tanh_to_third_power_is_cubic_tanh(given):
    assert_same(model("taylor", **given), model("cubic_tanh"))


def test_tanh_is_what_taylor_takes_by_itself():
    assert model("taylor").interactions == model("taylor", activation="tanh", degree=5).interactions
    assert_allclose([v.coefficient for v in model("taylor").interactions][:3], [1 / 2, -1 / 3, 2 / 15], rtol=1e-15)


def test_coefficients_that_vanish_make_no_vertex():
    assert_same(model("taylor", coefficients={0: 0, 1: 1, 3: 0.0}), model("linear"), order=2)
    nothing = exact(model("taylor", coefficients={1: 0.0}), order=2, tau=[0.0, 0.7])
    assert_allclose(nothing.mean, 0.8 / 2.6 * np.exp([0.0, -1.3 * 0.7]), rtol=1e-14)


def test_an_amplitude_of_phi_is_an_amplitude_of_the_weights():
    halved = {p: c / 2 for p, c in CUBIC.items()}
    assert_same(model("taylor", coefficients=halved, sigma_w=1.2), model("cubic_tanh", sigma_w=0.6))


def test_a_constant_input_is_a_bias():
    times = [(1.2, 0.5), (2.0, 2.0)]
    results = [
        exact(model("cubic_tanh", start="rest", **extra), order=1, times=times)
        for extra in ({"sigma_b": 0.6}, {"sigma_u": 1.2, "q": 0.25})
    ]
    assert_allclose(table_of(results[0]), table_of(results[1]), rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "extra"), [("cubic_tanh", {"sigma_b": 0.4}), ("quintic", {"sigma_b": 0.4}), ("taylor", {})]
)
def test_the_memory_of_the_start_fades(name, extra):
    late = exact(model(name, start="rest", **extra), order=1, times=[(30.7, 30.0)])
    stationary = exact(model(name, **extra), order=1, tau=[0.7])
    assert_allclose(table_of(late), table_of(stationary), rtol=1e-10)


@pytest.mark.parametrize("name", ["linear", "cubic_tanh", "quintic", "taylor"])
def test_powers_of_the_couplings(name):
    """contribution(n, k) ∝ σ_w^{2n} N^{−k}."""
    order = 1 if name == "taylor" else 2
    bare, scaled = (exact(model(name, **p), order=order, tau=[0.0, 0.7]) for p in ({}, {"sigma_w": 0.3, "N": 50}))
    for n, k in product(range(order + 1), repeat=2):
        wanted = 0.3 ** (2 * n) * 50.0**-k * bare.contribution(n, k).mean
        assert_allclose(scaled.contribution(n, k).mean, wanted, rtol=1e-11, atol=0)
        assert wanted.all() == (k <= n)
    names = {"1"} | {f"sigma_w^{2 * n}" + (f" N^-{k}" if k else "") for n in range(1, order + 1) for k in range(n + 1)}
    assert set(scaled.by_coupling) == names
    assert scaled.series.coupling == pytest.approx(0.09)
    assert_allclose(scaled.mean, sum(table_of(scaled).reshape(-1, 2)), rtol=1e-13)


@pytest.mark.parametrize("name", ["cubic_tanh", "quintic", "taylor"])
def test_a_diverging_series_is_said_to(name):
    assert not any("diverges" in remark for remark in model(name, sigma_w=1.2).remarks)
    remark, which = model(name, sigma_w=1.3).remarks
    assert which.startswith("bare expansion about 𝔚 = 0")
    assert remark.startswith("σ_w² = 1.69 ≥ γ² = 1.69: the series in σ_w² diverges")


# Activations by name.

SERIES: dict[str, dict[int, float]] = {
    "tanh": {1: 1, 3: -1 / 3, 5: 2 / 15, 7: -17 / 315},
    "erf": {p: 2 / sqrt(pi) * c for p, c in {1: 1, 3: -1 / 3, 5: 1 / 10, 7: -1 / 42}.items()},
    "sin": {1: 1, 3: -1 / 6, 5: 1 / 120, 7: -1 / 5040},
    "arctan": {1: 1, 3: -1 / 3, 5: 1 / 5, 7: -1 / 7},
    "softplus": {0: log(2), 1: 1 / 2, 2: 1 / 8, 4: -1 / 192, 6: 1 / 2880},
    "sigmoid": {0: 1 / 2, 1: 1 / 4, 3: -1 / 48, 5: 1 / 480, 7: -17 / 80640},
    "gelu": {1: 1 / 2} | {p: c / sqrt(2 * pi) for p, c in {2: 1, 4: -1 / 6, 6: 1 / 40}.items()},
    "swish": {1: 1 / 2, 2: 1 / 4, 4: -1 / 48, 6: 1 / 480},
    "exp": {p: 1 / factorial(p) for p in range(8)},
}


@pytest.mark.parametrize("activation", SERIES)
def test_known_series(activation):
    found = taylor_coefficients(activation, 7)
    assert found == pytest.approx(SERIES[activation], rel=1e-14)
    assert set(taylor_coefficients(activation, 14)) >= set(found)


@pytest.mark.parametrize("activation", SERIES)
def test_a_name_stands_for_its_series(activation):
    named = model("taylor", activation=activation, degree=4)
    listed = model("taylor", coefficients={p: c for p, c in SERIES[activation].items() if p <= 4})
    assert [v.name for v in named.vertices] == [v.name for v in listed.vertices]
    assert [v.coefficient for v in named.vertices] == pytest.approx([v.coefficient for v in listed.vertices])


def test_odd_activations_have_no_mean_and_even_ones_do():
    for activation in ("tanh", "gelu"):
        theory = model("taylor", activation=activation, degree=2)
        assert bool(len(nnqft.diagrams(theory, "mean", order=1))) == (activation == "gelu")


def test_the_vertices_of_a_polynomial():
    vertices = {v.name: v for v in model("taylor", coefficients=EVEN).interactions}
    assert set(vertices) == {f"({p},{q})" for p, q in product(range(4), repeat=2) if p <= q}
    for (p, a), (q, b) in product(EVEN.items(), repeat=2):
        if p <= q:
            vertex = vertices[f"({p},{q})"]
            assert float(vertex.coefficient) == pytest.approx(a * b * (0.5 if p == q else 1.0))
            assert vertex.width == (0 if q == 0 else 1)
            assert dict(vertex.couplings) == {"sigma_w": 2}


def test_the_vertices_of_the_talk():
    found = {name: {v.name: v.coefficient for v in model(name).interactions} for name in ("cubic_tanh", "quintic")}
    half, third = Fraction(1, 2), Fraction(-1, 3)
    assert found["quintic"] == {"(1,1)": half, "(1,3)": third}
    assert found["cubic_tanh"] == {"(1,1)": half, "(1,3)": third, "(3,3)": half * third**2}


# What makes no sense.


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"activation": "tanhh"},
            r"^unknown activation 'tanhh'; did you mean 'tanh'\? \(known: abs, arctan, cos, .*\)$",
        ),
        ({"activation": 3}, r"activation=3: wanted a function of arrays or a name"),
        ({"activation": ["tanh"]}, r"^activation=\['tanh'\]: wanted a function of arrays or a name"),
        ({"activation": "tanh", "coefficients": {1: 1.0}}, "both activation and coefficients were given"),
        ({"coefficients": {}}, r"coefficients={}: wanted powers from 0 to 14, write coefficients={1: 1.0, 3: -0.3}"),
        ({"coefficients": {15: 1.0}}, "wanted powers from 0 to 14, write coefficients="),
        ({"coefficients": {-1: 1.0}}, "coefficients has the power -1, wanted a whole number ≥ 0"),
        ({"coefficients": {1.5: 1.0}}, "coefficients has the power 1.5, wanted a whole number ≥ 0"),
        ({"coefficients": {"1": 1.0}}, "coefficients has the power '1', wanted a whole number ≥ 0"),
        ({"coefficients": {1: "one"}}, r"coefficients\[1\]='one': wanted a number"),
        ({"coefficients": {1: float("nan")}}, r"coefficients\[1\]=nan: wanted a finite number"),
        ({"coefficients": {1: True}}, r"coefficients\[1\]=True: wanted a number"),
        ({"coefficients": {1: 1e10}}, "wanted coefficients up to 1e9 in size"),
        ({"coefficients": "tanh"}, r"coefficients='tanh': wanted powers and coefficients, write coefficients="),
        ({"coefficients": 1.0}, r"coefficients=1.0: wanted powers and coefficients"),
        ({"coefficients": [1.0, -0.3]}, r"coefficients=\[1.0, -0.3\]: wanted powers and coefficients"),
        ({"coefficients": [(1, 1.0), (1, 2.0)]}, r"^coefficients="),
        ({"degree": 0}, "degree=0: wanted a whole number ≥ 1"),
        ({"degree": 2.5}, "degree=2.5: wanted a whole number ≥ 1"),
        ({"degree": 15}, "degree=15: wanted at most 14"),
        ({"degree": "3"}, "degree='3': wanted a whole number ≥ 1"),
        ({"sigma_w": -1.0}, "sigma_w=-1.0: wanted a number ≥ 0"),
        (
            {"coefficient": {1: 1.0}},
            r"unknown parameter 'coefficient' of model 'taylor'; did you mean 'coefficients'\?",
        ),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused_in_one_line(given, message):
    with pytest.raises(nnqft.InputError, match=message) as caught:
        model("taylor", **given)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 280


@lru_cache(1)
def shortest() -> nnqft.Result:
    return exact(model("taylor", coefficients=((1, 1.0), (3, -1 / 3))), order=1)


def test_parameters_survive_a_request():
    request = shortest().request
    assert nnqft.Request.from_json(request.to_json()) == request
    again = bare_theory(request.model, **dict(request.parameters))
    assert_allclose(exact(again, order=1).mean, shortest().mean, rtol=0)


def nan_in_a_slice(h):
    return np.where((h > 4.0) & (h < 5.0), np.nan, np.tanh(h))


def complex_far_out(h):
    return np.tanh(h) + 1j * (h > 4.0) if (h > 4.0).any() else np.tanh(h)


@pytest.mark.parametrize(
    ("function", "why"), [(nan_in_a_slice, r"returned nan at h = 4\.\d+"), (complex_far_out, "complex numbers")]
)
@pytest.mark.parametrize("model", ["taylor", "feedforward"])
def test_an_activation_without_a_value_somewhere_is_one_line(model, function, why):
    with pytest.raises(nnqft.InputError, match=f"{function.__name__}' .*{why}"):
        nnqft.compute(nnqft.theory(model, activation=function), "two_point", order=1)
