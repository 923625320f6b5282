"""Structured weights without diagrams: mean-field theory and drawn networks, against closed forms and statistics."""

from __future__ import annotations

import doctest
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oracles import linear_two_point, structured_moment
from scipy.integrate import quad
from scipy.linalg import sqrtm

import nnqft
from nnqft import InputError
from nnqft_plugins.networks.meanfield import solve
from nnqft_plugins.networks.meanfield.edge import edge_of_chaos
from nnqft_plugins.networks.published.forms import published
from nnqft_plugins.networks.simulation import simulate
from nnqft_plugins.networks.weights import Weights

LAGS = np.array([0.0, 0.7, 3.0])
EI: dict[str, Any] = {"fractions": [0.8, 0.2], "gains": [[1.0, 1.5], [0.8, 0.5]]}


@pytest.mark.parametrize("eta", [-0.9, -0.3, 0.4, 1.0])
def test_elliptic_mean_field_is_the_words_of_w_at_infinite_width(eta: float) -> None:
    """Order by order in σ_w² C is that of the pairings that a planar trace leaves, stationary and from rest."""
    sigma, order = 0.07, 3
    powers = sigma ** (2 * np.arange(order + 1))
    for start, times in (("stationary", [(lag, 0.0) for lag in LAGS]), ("rest", [(3.0, 3.0), (2.0, 0.5)])):
        moment = partial(structured_moment, eta=eta)
        series = linear_two_point(times, order=order, gamma=1.2, kappa=0.7, sigma_b=0.4, start=start, moment=moment)
        theory = nnqft.theory("linear", gamma=1.2, kappa=0.7, sigma_b=0.4, sigma_w=sigma, eta=eta, start=start)
        found = solve(theory).correlator(*np.transpose(times))
        # What is left is σ_w^8 and a grid from rest.
        assert found == pytest.approx(powers @ series[:, 0], abs=2e-8)


def test_symmetric_weights_are_wigners_semicircle() -> None:
    """η = 1: each eigenvalue x of W is a mode of rate γ − x; C ∝ ∫ ρ(x) e^{−(γ−x)τ}/(γ−x) dx."""
    sigma = 0.49  # the edge of the semicircle is 2 σ_w
    theory = nnqft.theory("linear", sigma_w=sigma, eta=1.0)

    def mode(angle: float, lag: float) -> float:
        rate = 1 - 2 * sigma * np.cos(angle)
        return 2 / np.pi * np.sin(angle) ** 2 * np.exp(-rate * lag) / (2 * rate)

    wanted = [quad(mode, 0, np.pi, args=(lag,), epsabs=1e-13, limit=400)[0] for lag in LAGS]
    field = solve(theory)
    assert field.correlator(LAGS) == pytest.approx(wanted, abs=1e-10)
    assert field.decay_rate == pytest.approx(1 - 2 * sigma)
    assert field.lyapunov == pytest.approx(2 * sigma - 1)


def test_antisymmetric_weights_keep_the_variance_of_a_unit_alone() -> None:
    """η = −1: A + Aᵀ = −2γ, so that Lyapunov's equation has the solution κ/2γ, for any σ_w."""
    assert solve(nnqft.theory("linear", sigma_w=3.0, gamma=1.5, eta=-1.0)).variance == pytest.approx(1 / 3, rel=1e-10)


@pytest.mark.parametrize(("eta", "sigma"), [(-0.3, 1.35), (0.2, 0.8)])
def test_decay_of_an_elliptic_network(eta: float, sigma: float) -> None:
    """Close to the edge a pole is slower than the branch point, and C an exponential in the end."""
    field = solve(nnqft.theory("linear", sigma_w=sigma, eta=eta))
    late = field.correlator(np.array([24.0, 25.0]))
    assert field.decay_rate < 0.7
    assert np.log(late[0] / late[1]) == pytest.approx(field.decay_rate, rel=5e-3)


def test_e_and_i_populations_of_linear_units() -> None:
    """(γ² − ∂²) C = κδ + σ_w² f g² C + σ_b² is solved by roots of a 2 × 2 matrix."""
    field = solve(nnqft.theory("linear", sigma_w=0.6, sigma_b=0.3, population=2, **EI))
    A = np.eye(2) - 0.36 * np.array(EI["gains"]) ** 2 * EI["fractions"]
    root, one = sqrtm(A), np.ones(2)
    plateau = 0.09 * np.linalg.solve(A, one)
    assert [curve.variance for curve in field.populations] == pytest.approx(
        0.5 * np.linalg.solve(root, one) + plateau, rel=1e-9
    )
    assert field.plateau == pytest.approx(plateau[1], rel=1e-9)
    assert field.decay_rate == pytest.approx(np.sqrt(np.linalg.eigvals(A).min()), rel=1e-6)


def test_populations_of_erf_units_against_plain_substitution() -> None:
    """⟨erf erf⟩ = (2/π) asin(2C/(1 + 2C(0))): folded by Fourier sums on a grid that has nothing of the solver's."""
    gains, fractions, coupling, kappa = np.array([[1.0, 2.0], [0.5, 1.5]]), np.array([0.6, 0.4]), 1.0, 0.5
    step, count = 0.01, 1 << 14
    lag = step * np.minimum(np.arange(count), count - np.arange(count))
    line = np.fft.fft(step * np.exp(-lag) / 2).real
    line *= 1 / line[0]  # its sum is 1/γ² = 1
    C = np.array([kappa / 2 * np.exp(-lag)] * 2)
    for _ in range(60):
        average = 2 / np.pi * np.arcsin(2 * C / (1 + 2 * C[:, :1]))
        C = kappa / 2 * np.exp(-lag) + np.fft.ifft(np.fft.fft(coupling * (fractions * gains**2) @ average) * line).real
    theory = nnqft.theory(
        "taylor", activation="erf", sigma_w=1.0, kappa=kappa,
        fractions=fractions.tolist(), gains=gains.tolist(),
    )  # fmt: skip
    field = solve(theory)
    for curve, wanted in zip(field.populations, C, strict=True):
        assert curve.C(np.array([0.0, 1.0, 4.0])) == pytest.approx(wanted[[0, 100, 400]], abs=2e-5)


@pytest.mark.parametrize(
    "given",
    [
        {"sigma_w": 1.1, "sigma_b": 0.2, "expansion": "bare"},
        {"sigma_w": 2.0, "sigma_b": 0.5, "kappa": 0.0, "expansion": "bare"},  # chaotic without noise
        {"sigma_w": 0.8, "sigma_b": 0.5, "kappa": 0.0, "expansion": "bare"},  # at rest
        {"sigma_w": 1.2, "sigma_u": 0.5, "q": {0.3: 1.0}, "expansion": "bare"},
    ],
    ids=str,
)
def test_equal_populations_have_the_mean_field_of_one(given: dict[str, Any]) -> None:
    one = solve(nnqft.theory("taylor", **given), rtol=1e-7)
    two = solve(nnqft.theory("taylor", fractions=[0.3, 0.7], **given), rtol=1e-7)
    assert two.correlator(one.tau) == pytest.approx(one.C, abs=1e-6)
    assert two.decay_rate == pytest.approx(one.decay_rate, rel=1e-4)


def test_populations_from_rest() -> None:
    """Linear: order by order the words of W with sums over blocks, at infinite width; tanh: one population is two."""
    sigma, order, times = 0.07, 3, [(3.0, 3.0), (2.0, 0.5)]
    moment = partial(structured_moment, fractions=EI["fractions"], gains=EI["gains"], observed=1)
    series = linear_two_point(times, order=order, gamma=1.0, kappa=1.0, sigma_b=0.4, start="rest", moment=moment)
    theory = nnqft.theory("linear", sigma_w=sigma, sigma_b=0.4, start="rest", population=2, **EI)
    field = solve(theory, horizon=3.0, rtol=1e-5)
    wanted = sigma ** (2 * np.arange(order + 1)) @ series[:, 0]
    assert field.correlator(*np.transpose(times)) == pytest.approx(wanted, abs=1e-5)
    given: dict[str, Any] = {"sigma_w": 1.5, "sigma_b": 0.2, "start": "rest", "expansion": "bare"}
    one = solve(nnqft.theory("taylor", **given), horizon=3.0, rtol=1e-3)
    two = solve(nnqft.theory("taylor", fractions=[0.3, 0.7], **given), horizon=3.0, rtol=1e-3)
    assert two.correlator(3.0, [3.0, 1.0]) == pytest.approx(one.correlator(3.0, [3.0, 1.0]), abs=1e-3)


def test_low_rank_weights_are_nothing_until_their_overlap_is_felt() -> None:
    """σ_w = 0 and φ = erf: κ_r ≠ 0 for Cov(m, n) ⟨φ'⟩ > γ, with C(0) from 2/(π (1 + 2 C(0)))^½ = γ/Cov(m, n)."""
    given: dict[str, Any] = {"activation": "erf", "sigma_w": 0.0, "kappa": 0.4}
    quiet = solve(nnqft.theory("taylor", low_rank={"m": 1.0, "n": 4.0, "overlap": 1.0}, **given))
    assert (quiet.variance, quiet.plateau) == pytest.approx((0.2, 0.0), abs=1e-12)
    active = solve(nnqft.theory("taylor", low_rank={"m": 1.0, "n": 4.0, "overlap": 1.6}, **given))
    variance = ((2 * 1.6) ** 2 / np.pi - 1) / 2
    assert active.variance == pytest.approx(variance, rel=1e-8)
    assert active.plateau == pytest.approx(variance - 0.2, rel=1e-8)


def test_drawn_weights_have_their_statistics() -> None:
    N, size = 20, 4000
    weights = Weights(eta=-0.6, fractions=(0.75, 0.25), gains=((1.0, 2.0), (0.5, 1.5)), means=((1.0, -2.0), (0.0, 3.0)))
    X, rest = weights.draw(np.random.default_rng(5), 0.7, N, size)
    W = X + rest

    def close(values: np.ndarray, wanted: float) -> None:
        assert abs(values.mean() - wanted) < 4.5 * values.std() / np.sqrt(values.size / 2)

    close((X * X.swapaxes(1, 2))[:, :15, 15:], -0.6 * 0.49 * 2.0 * 0.5 / N)
    close(X[:, :15, 15:] ** 2, 0.49 * 4 / N)
    close(X[:, 15:, :15] ** 2, 0.49 * 0.25 / N)
    close(np.diagonal(X, axis1=1, axis2=2)[:, :15] ** 2, 0.4 * 0.49 / N)
    close(W[:, :15, 15:], -2.0 / N)
    m_n = Weights(low_rank=((1.2, 0.8, 0.5),)).draw(np.random.default_rng(6), 0.0, N, size)[1] * N
    close(np.diagonal(m_n, axis1=1, axis2=2), 0.5)
    close(m_n[:, 0, 1:] ** 2, 1.2 * 0.8)
    antisymmetric = Weights(eta=-1.0).draw(np.random.default_rng(7), 1.0, 5, 1)[0]
    assert np.abs(antisymmetric + antisymmetric.swapaxes(1, 2)).max() < 1e-15


SIMULATED: dict[str, dict[str, Any]] = {
    "symmetric": {"eta": 0.8},
    "antisymmetric": {"eta": -1.0},
    "populations": {"fractions": [0.75, 0.25], "gains": [[1.0, 2.0], [0.5, 1.5]], "population": 2},
    "means": {"fractions": [0.5, 0.5], "means": [[0.2, -0.3], [0.3, 0.1]], "eta": 0.5},
    "low rank": {"low_rank": (0.3, 0.3, 0.2)},
}


@pytest.mark.parametrize("given", SIMULATED.values(), ids=SIMULATED)
def test_exact_networks_meet_their_series(given: dict[str, Any]) -> None:
    """At weak coupling the series to order 3 is the average to 10⁻⁶, and so are many drawn networks of 8 units."""
    theory = nnqft.theory("linear", N=8, sigma_w=0.12, sigma_b=0.3, **given)
    series = nnqft.compute(theory, "two_point", order=3, tau=[0.0, 1.0])
    drawn = simulate(theory, tau=[0.0, 1.0], networks=600)
    plain = nnqft.compute(nnqft.theory("linear", N=8, sigma_w=0.12, sigma_b=0.3), "two_point", order=3, tau=[0.0, 1.0])
    left_out = 1e-4 if "low_rank" in given else 2e-5 if "means" in given else 3e-6
    assert (np.abs(drawn.mean - series.mean) < 4 * drawn.sdev + left_out).all()
    assert (np.abs(plain.mean - series.mean) > 5 * left_out).any(), "structure that nobody sees"
    answers = (
        nnqft.compute(theory, "response", order=3, tau=[1.0]),
        simulate(theory, observable="response", tau=[1.0], networks=200),
    )
    assert abs(answers[0].mean[0] - answers[1].mean[0]) < 4 * answers[1].sdev[0] + left_out


def test_paths_meet_the_mean_field_of_their_population() -> None:
    theory = nnqft.theory(
        "taylor", sigma_w=1.2, sigma_b=0.3, N=200, population=2, fractions=[0.5, 0.5],
        gains=[[1.0, 1.5], [0.5, 0.8]], means=[[0.5, -1.0], [1.0, -0.5]],
    )  # fmt: skip
    drawn = simulate(theory, networks=8, seed=3)
    first, second = solve(theory).populations
    assert abs(drawn.mean[0] - second.variance) < 4 * drawn.sdev[0] + 0.02
    assert first.variance - second.variance > 0.3


REFUSED: list[tuple[Any, str]] = [
    (lambda: solve(nnqft.theory("taylor", eta=0.5)), "eta=0.5: a unit hears itself"),
    (
        lambda: solve(nnqft.theory("linear", sigma_w=0.7, eta=0.5)),
        r"sigma_w \(1 \+ eta\) = 1.05 is not below gamma = 1",
    ),
    (lambda: solve(nnqft.theory("linear", eta=0.5, **EI)), "eta and fractions: mean-field theory knows one"),
    (
        lambda: solve(nnqft.theory("linear", sigma_w=1.5, **EI)),
        "no stationary mean-field solution of these populations",
    ),
    (lambda: solve(nnqft.theory("linear", low_rank=(4, 4, 2))), "low_rank: overlap 2 beyond gamma drives"),
    (
        lambda: solve(nnqft.theory("linear", fractions=[0.5, 0.5], means=[[4.0, 0.0], [0.0, 0.0]])),
        "means: the state with mean 0 is unstable",
    ),
    (
        lambda: solve(nnqft.theory("taylor", activation="relu", sigma_w=0.2, means=[[0.1, 0.0], [0.0, 0.0]], **EI)),
        "means with φ = relu, whose average is not 0",
    ),
    (lambda: solve(nnqft.theory("adaptation", eta=0.5, activation="tanh")), "units with adaptation is not known"),
    (
        lambda: nnqft.compute(nnqft.theory("linear", eta=0.5), "two_point", order="resummed", width_order=0),
        "eta: order='resummed'",
    ),
    (
        lambda: edge_of_chaos(nnqft.theory("taylor", eta=0.5), [0.0]),
        "eta: this calculation with structured weights is not derived",
    ),
    (lambda: published(nnqft.theory("linear", eta=0.5), 1.0), "eta: a published form with"),
    (
        lambda: nnqft.compute(nnqft.theory("taylor", eta=0.5, **EI), "two_point", order=1),
        "fractions with eta: populations are expanded about",
    ),
    (
        lambda: nnqft.diagrams(nnqft.theory("taylor", eta=0.5, start="rest"), "mean", order=1),
        "expansion='saddle' from rest",
    ),
    (lambda: nnqft.dyson(nnqft.theory("linear", **EI), order=1), "has 2 responses at these parameters"),
    (lambda: nnqft.theory("quintic", low_rank=(1, 1, 0), expansion="bare"), "low_rank needs φ itself"),
    (lambda: simulate(nnqft.theory("linear", N=7, **EI), networks=4), "N=7 makes populations of 5.6, 1.4 units"),
    (lambda: nnqft.theory("feedforward", eta=0.5), "eta"),
]


@pytest.mark.parametrize(("call", "message"), REFUSED, ids=[message[:40] for _, message in REFUSED])
def test_what_structured_weights_are_refused(call: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_the_page_says_what_is_so() -> None:
    page = Path(__file__).parents[2] / "docs/structured.md"
    assert doctest.testfile(str(page), module_relative=False, encoding="utf-8") == (0, 9)


@pytest.mark.parametrize(
    ("model", "structure", "observable"),
    [
        ("taylor", {"fractions": [0.5, 0.5], "expansion": "bare"}, "mean"),
        ("taylor", {"low_rank": (0.5, 0.5, 0.1), "expansion": "bare"}, "mean"),
        ("adaptation", {"low_rank": (0.5, 0.5, 0.1)}, "two_point"),
    ],
)
def test_simulations_do_without_controls_where_none_is_known(
    model: str, structure: dict[str, Any], observable: str
) -> None:
    """Neither traces of these weights nor free paths are there: the mean over networks is what is left."""
    theory = nnqft.theory(model, activation="tanh", N=10, sigma_w=0.4, start="rest", **structure)
    times = [(1.0,)] if observable == "mean" else [(1.0, 1.0)]
    found = simulate(theory, observable=observable, times=times, networks=40, seed=2)
    assert np.isfinite(found.mean).all()
    assert 0 < found.sdev[0] < 0.2
    assert observable == "mean" or found.mean[0] > 0.2


@pytest.mark.parametrize("observable", ["response", "gradient"])
def test_tangents_are_those_of_the_population(observable: str) -> None:
    """By steps as by eigenvectors, in populations that differ: one hears, the other does not."""
    structure = {"fractions": [0.5, 0.5], "gains": [[0.0, 0.0], [1.4, 1.4]], "sigma_w": 0.7, "N": 20}
    for population in (1, 2):
        theory = nnqft.theory("linear", population=population, start="rest", **structure)
        ask = {"observable": observable, "times": [(1.5, 0.0)], "seed": 4}
        stepped, exact = (simulate(theory, method=m, networks=n, **ask) for m, n in (("heun", 60), ("exact", 400)))
        error = float(np.hypot(stepped.sdev[0], exact.sdev[0]))
        assert abs(stepped.mean[0] - exact.mean[0]) < 4 * error + 2e-4
        if population == 1:
            assert exact.mean[0] == pytest.approx(np.exp(-1.5 if observable == "response" else -3.0), rel=1e-6)
