"""The talk's closed forms: that they are what the talk writes, agree with each other, and are not what networks do."""

from __future__ import annotations

import json

import numpy as np
import oracles
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import quad
from theories import bare_theory

import nnqft
from nnqft.cli.main import main
from nnqft_plugins.networks.published.forms import published

RATES = {"gamma": 1.3, "kappa": 0.8}


def forms(horizon: float = 10.0, **extra):
    return published(bare_theory("linear", **(RATES | {"sigma_w": 0.7, "sigma_b": 0.4, "N": 30} | extra)), horizon)


@pytest.mark.parametrize("horizon", [0.0, 10.0])
def test_formulas_as_printed(horizon):
    gamma, kappa, sigma_w, N, bias = 1.3, 0.8, 0.7, 30, 0.4**2 + 0.5**2 * 0.6
    found = forms(horizon, sigma_u=0.5, q=0.6)
    xi_0 = (gamma**2 - sigma_w**2) ** -0.5
    xi = xi_0 / 2 * (
        1 + gamma**2 * xi_0**2 + gamma * horizon / (8 * N) * (1 + 3 * gamma**2 * xi_0**2) * xi_0**2 * sigma_w**2
    )  # fmt: skip
    plateau = gamma**2 / 2 * xi_0**4 * (2 + gamma * (horizon / N) * xi_0**2 * sigma_w**2) * bias
    assert_allclose([found.xi_0, found.xi, found.bias, found.plateau], [xi_0, xi, bias, plateau], rtol=1e-14)
    tau = np.array([0.0, 0.3, -2.0])
    assert_allclose(found.correlator(tau), kappa / 2 * xi * np.exp(-abs(tau) / xi) + plateau, rtol=1e-14)


@pytest.mark.parametrize("horizon", [0.0, 10.0, 300.0])
def test_all_follows_from_the_spectrum(horizon):
    found = forms(horizon)
    for tau in (0.0, 0.8, 3.0):
        # By quadrature on the whole line; the oscillating tail by its own rule.
        if tau:
            integral, _ = quad(found.spectrum, 0, np.inf, weight="cos", wvar=tau, epsabs=1e-10)
        else:
            integral, _ = quad(found.spectrum, 0, np.inf, epsabs=1e-11)
        assert_allclose(integral / np.pi + found.plateau, found.transform(tau), rtol=1e-7)
    # The talk's form: value and slope at 0+ are those of the spectrum, at every T/N.
    assert_allclose(found.correlator(0.0), found.transform(0.0), rtol=1e-14)
    step = 1e-5
    for line in (found.correlator, found.transform, found.infinite_width):
        assert (line(step) - line(0.0)) / step == pytest.approx(-RATES["kappa"] / 2, rel=1e-4)
    # The plateau is that of κ → 2πδ(ω) σ_b² in the spectrum.
    assert found.plateau == pytest.approx(found.bias * found.spectrum(0.0) / RATES["kappa"], rel=1e-14)


def test_finite_width_is_linear_in_depth_over_width():
    one, two, three = (forms(depth).xi for depth in (0.0, 5.0, 10.0))
    assert three - two == pytest.approx(two - one)
    assert forms(10.0, N=30).xi == pytest.approx(forms(20.0, N=60).xi)


def test_infinite_width_is_exact():
    tau = np.array([0.0, 0.5, 2.0])
    exact = np.einsum(
        "nm,n->m", oracles.infinite_width({1: 1.0}, tau, order=24, sigma_b=0.4, **RATES), 0.3 ** (2 * np.arange(25))
    )
    assert_allclose(forms(sigma_w=0.3).infinite_width(tau), exact, rtol=1e-12)


def test_what_is_known_of_them():
    """γ = κ = 1, σ_w² = 1/2: networks tend to C(0) = κξ_0/2 = 0.7071 as N → ∞, the published X(0) is 1.0607."""
    theory = nnqft.theory("linear", sigma_w=np.sqrt(0.5), N=10**6)
    found = published(theory, 0.0)
    assert found.infinite_width(0.0) == pytest.approx(0.70711, abs=1e-5)
    assert found.correlator(0.0) == pytest.approx(1.06066, abs=1e-5)


@pytest.mark.parametrize(
    ("model", "parameters", "horizon", "message"),
    [
        ("linear", {"sigma_w": 1.0}, 1.0, "sigma_w=1: the published forms need sigma_w < gamma=1"),
        ("linear", {"sigma_w": 0.5}, -1.0, "horizon=-1: wanted a time ≥ 0, write for example horizon=10"),
        ("linear", {"sigma_w": 0.5}, "x", "horizon='x': wanted a number"),
        ("feedforward", {}, 1.0, "model 'feedforward' is no network with static weights"),
        ("langevin", {}, 1.0, "model 'langevin' is no network with static weights"),
        ("linear", {"sigma_w": 0.5, "sigma_u": 1.0, "q": {0.5: 1.0}}, 1.0, "need an input that does not change"),
    ],
)
def test_what_makes_no_sense(model, parameters, horizon, message):
    with pytest.raises(nnqft.InputError) as caught:
        published(bare_theory(model, **parameters), horizon)
    assert message in str(caught.value)


def test_a_theory_is_wanted():
    with pytest.raises(nnqft.InputError, match="wanted a Theory"):
        published("linear", 1.0)


def test_command_line(tmp_path, capsys):
    words = ["published", "linear", "-p", "N=50", "-p", "sigma_w=0.5", "-p", "sigma_b=0.3", "--horizon", "10"]
    files = ["--json", str(tmp_path / "p.json"), "--plot", str(tmp_path / "p.png")]
    assert main([*words, "--tau", "0,1", *files]) == 0
    printed = capsys.readouterr().out
    assert "ξ = 1.371206889" in printed
    data = json.loads((tmp_path / "p.json").read_text())
    theory = nnqft.theory("linear", N=50, sigma_w=0.5, sigma_b=0.3)
    assert_allclose(data["correlator"], published(theory, 10).correlator([0.0, 1.0]))
    assert data["xi"] == published(theory, 10).xi
    assert (tmp_path / "p.png").stat().st_size > 1000
    assert main(words[:-2]) == 2
