"""Dyson's equation: against differential equations, mean-field theory without diagrams, and the plain series."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from oracles import infinite_width
from scipy.linalg import expm, solve_continuous_lyapunov
from scipy.optimize import brentq
from theories import bare_theory

import nnqft
from nnqft.cli.main import main
from nnqft.self_energies.self_energy import kernels_of
from nnqft.self_energies.volterra import Kernels, solve

# The equation itself


def test_against_a_differential_equation():
    """Σ_R = a e^{−τ} + mass δ and Σ_K = 0.4 e^{−decay τ} + white δ are two more variables of a linear process:

    dh = ((mass−1) h + a y + n) dt + dB, dy = (h − y) dt, dn = −decay n dt + dB'. Plateaus are static drives.
    """
    reach, a, mass, white, decay = 60.0, 0.3, 0.1, 0.2, 1.5
    drift = np.array([[mass - 1, a, 1], [1, -1, 0], [0, 0, -decay]])
    covariance = solve_continuous_lyapunov(drift, -np.diag([1 + white, 0, 0.8 * decay]))
    plateau = (0.3 + 0.1) * np.linalg.inv(drift)[0, 0] ** 2
    for intervals in (128, 512):
        tau = np.linspace(0, reach, intervals + 1)
        bare = np.exp(-tau)
        kernels = Kernels(
            tau[1], bare, bare / 2, a * bare, 0.4 * np.exp(-decay * tau), mass, white, plateau=0.3, noise_plateau=0.1
        )
        found = solve(kernels)
        chain = np.array([expm(drift * t) for t in tau])
        assert (np.abs(found.response - chain[:, 0, 0]) <= found.response_error + 1e-13).all()
        wanted = (chain @ covariance)[:, 0, 0] + plateau
        assert (np.abs(found.correlator - wanted) <= found.correlator_error + 1e-13).all()
    assert found.correlator_error.max() < 1e-4
    assert found.response_error.max() < 1e-5


@pytest.mark.parametrize(
    ("model", "order", "options"),
    [
        ("linear", 3, {"N": 3, "sigma_w": 0.5}),
        ("linear", 2, {"N": 5, "sigma_b": 0.5, "gamma": 1.3, "kappa": 0.8}),
        ("cubic_tanh", 2, {"N": 3}),
        ("langevin", 3, {"drift": {1: 1.0, 3: 0.1}}),
        ("feedforward", 2, {"N": 3, "sigma_w": 1.0}),
        ("taylor", 1, {"N": 2, "coefficients": {0: 0.5, 1: 1.0, 2: 0.5}}),
    ],
)
def test_expanded_again_it_is_the_plain_series(model, order, options):
    """Coefficients of g^n of the solution with Σ_n → g^n Σ_n, all widths together, by interpolation in g."""
    theory = bare_theory(model, **options)
    found = nnqft.dyson(theory, order=order, reach=40.0, intervals=512)
    nodes = 0.03 * np.cos(np.pi * (np.arange(9) + 0.5) / 9)
    solutions = []
    for g in nodes:
        values = {}
        for name, parts in found.self_energy.parts.items():
            size = len(found.tau) if name in ("retarded", "noise") else 1
            values[name] = np.zeros(size) + sum(g**n * part.mean for (n, _), part in parts.items())
        solutions.append(solve(kernels_of(theory, found.self_energy, values)))
    at = np.array([4, 16, 60])
    for name, read in (("response", "response"), ("cumulant", "correlator")):
        plain = nnqft.compute(
            theory, name, order=order, times=[(found.tau[m], 0.0) for m in at], rtol=1.0, integrator="exact"
        )
        rows = np.array([getattr(each, read)[at] for each in solutions])
        coefficients = np.linalg.solve(np.vander(nodes / 0.03, increasing=True), rows)
        for n in range(order + 1):
            wanted = sum(part.mean for (m, _), part in plain.series.items() if m == n) * np.ones(len(at))
            scale = np.abs(plain.contribution(0, 0).mean)
            assert_allclose(coefficients[n] / 0.03**n, wanted, rtol=2e-5, atol=2e-5 * scale.max() * 10 ** (n - 1))


# Infinite width


@pytest.mark.parametrize("coupling", [0.3, 0.8])
def test_linear_at_infinite_width(coupling):
    """All cacti: C = κ/(2m) e^{−mτ}, m² = γ² − σ_w², with a plateau σ_b²/m²; R is bare."""
    theory = bare_theory("linear", gamma=1.0, kappa=0.8, sigma_b=0.5, sigma_w=np.sqrt(coupling))
    found = nnqft.dyson(theory, order=1, width_order=0, self_consistent=True)
    m = np.sqrt(1 - coupling)
    wanted = 0.4 / m * np.exp(-m * found.tau) + 0.25 / m**2
    # An error of one step is handed on to all later ones.
    assert (np.abs(found.two_point - wanted) <= found.two_point_bound / (1 - coupling)).all()
    assert_allclose(found.two_point, wanted, rtol=2e-6)
    assert_allclose(found.response, np.exp(-found.tau), atol=1e-14)
    assert found.correlator(1.234) == pytest.approx(0.4 / m * np.exp(-m * 1.234) + 0.25 / m**2, rel=2e-6)
    assert found.responder([0.0, -1.0]).tolist() == [0.0, 0.0]
    assert found.responder(0.5) == pytest.approx(np.exp(-0.5), rel=1e-6)


@pytest.mark.parametrize("coupling", [0.5, 1.5])
def test_mean_field_theory_of_the_cubic_network(coupling):
    """κ²/8 = ∫_0^{C(0)} (γ²C − σ_w² ⟨φφ⟩) dC: the energy of the mean-field equation, beyond σ_w = γ, too."""
    theory = bare_theory("cubic_tanh", sigma_w=np.sqrt(coupling))
    found = nnqft.dyson(theory, order=1, width_order=0, self_consistent=True)

    def energy(c: float) -> float:
        return (1 - coupling * (1 - c) ** 2) * c**2 / 2 - coupling * c**4 / 6 - 1 / 8

    assert found.two_point[0] == pytest.approx(brentq(energy, 0.2, 1.0, xtol=1e-14), rel=1e-6)


def test_mean_field_theory_at_every_time():
    theory = bare_theory("cubic_tanh", sigma_w=0.3, sigma_b=0.4)
    found = nnqft.dyson(theory, order=1, width_order=0, self_consistent=True)
    wanted = infinite_width({1: 1.0, 3: -1 / 3}, found.tau[:60], order=7, gamma=1.0, kappa=1.0, sigma_b=0.4)
    assert_allclose(found.two_point[:60], sum(0.09**n * wanted[n] for n in range(8)), rtol=1e-6)


def test_feedforward_at_infinite_width():
    """A noise of strength σ_w² C(0): C(0) = κ/(2γ − σ_w²)."""
    found = nnqft.dyson(nnqft.theory("feedforward", sigma_w=0.9, N=1), order=1, width_order=0, self_consistent=True)
    assert found.two_point[0] == pytest.approx(1 / (2 - 0.81), rel=1e-6)
    assert found.self_energy.total("white").mean[0] == pytest.approx(0.81 / (2 - 0.81), rel=1e-6)


# Errors


def test_sampled_self_energies():
    """Pulls against the exact solution, over seeds: each τ of a run shares its samples."""
    theory = bare_theory("cubic_tanh", N=5, sigma_w=0.8)
    options = {"order": 1, "reach": 30.0, "intervals": 128}
    exact = nnqft.dyson(theory, **options)
    pulls = []
    for seed in range(10):
        found = nnqft.dyson(theory, **options, integrator="vegas", neval=2000, seed=seed)
        assert found.two_point_sdev[0] > 0
        pulls.append([
            (found.two_point[0] - exact.two_point[0]) / found.two_point_sdev[0],
            (found.response[20] - exact.response[20]) / found.response_sdev[20],
        ])  # fmt: skip
    square = np.mean(np.square(pulls), axis=0)
    # Ten runs: χ²/10 lies within these with probability 0.998 each.
    assert ((square > 0.14) & (square < 3.0)).all(), square


def test_the_grid_is_prolonged_for_slow_decay():
    """At σ_w² = 0.75, N = 1 to first order R decays at 0.134/time only, like e^{−τ}cosh(0.866τ)."""
    found = nnqft.dyson(bare_theory("linear", sigma_w=np.sqrt(0.75)), order=1)
    assert found.tau[-1] == 120
    assert_allclose(found.response, np.exp(-found.tau) * np.cosh(np.sqrt(0.75) * found.tau), atol=1e-4)
    wanted = np.exp(-found.tau) * np.cosh(np.sqrt(0.75) * found.tau)
    assert (np.abs(found.response - wanted) <= found.response_bound + 1e-14).all()


STATIONARY = bare_theory("linear", sigma_w=0.5)
REFUSED = {
    "write start='stationary'": (bare_theory("linear", start="rest"), {}),
    "has no pair of response and correlator": (nnqft.theory("toy", action={4: 1.0}), {}),
    "wanted a multiple of 4": (STATIONARY, {"intervals": 50}),
    "reach=-1: wanted a number > 0": (STATIONARY, {"reach": -1}),
    "rtol=0: wanted a number > 0": (STATIONARY, {"rtol": 0}),
    "no stationary state with this self-energy": (bare_theory("linear", sigma_w=2.0), {}),
    "no self-consistent solution after": (
        bare_theory("linear", sigma_w=1.1), {"width_order": 0, "self_consistent": True}
    ),
    "needs skeletons without internal times": (bare_theory("cubic_tanh"), {"order": 1, "self_consistent": True}),
    "this theory has a mean": (
        bare_theory("taylor", coefficients={0: 0.5, 1: 1.0, 2: 0.5}), {"self_consistent": True}
    ),
}  # fmt: skip


@pytest.mark.parametrize("message", REFUSED)
def test_refusals(message):
    theory, options = REFUSED[message]
    with pytest.raises(nnqft.InputError, match=message):
        nnqft.dyson(theory, **({"order": 1, "intervals": 64} | options))


def test_lines_that_are_functions_need_a_reach():

    def with_functions(*names: str) -> nnqft.Theory:
        own = {"terms": (), "kernel": exponential, "params": (("gamma", 1.0),)}
        lines = tuple(replace(p, **own) if p.name in names else p for p in STATIONARY.propagators)
        return replace(STATIONARY, propagators=lines)

    with pytest.raises(nnqft.InputError, match="write reach=30"):
        nnqft.dyson(with_functions("C", "G"), order=1)
    theory = with_functions("G")
    grid = {"reach": 30.0, "intervals": 64}
    found = nnqft.dyson(theory, order=1, neval=2000, integrator="vegas", **grid)
    assert_allclose(found.two_point, nnqft.dyson(STATIONARY, order=1, **grid).two_point, rtol=1e-9)
    with pytest.raises(nnqft.InputError, match="lies beyond the grid"):
        found.correlator(31.0)


def exponential(t, s, params, xp):
    return xp.exp(-params["gamma"] * xp.abs(t - s))


def test_table_plot_and_file(tmp_path, capsys):
    words = ["dyson", "linear", "-p", "N=10", "-p", "sigma_w=0.5", "-n", "2", "-k", "1"]
    assert main([*words, "--json", str(tmp_path / "d.json"), "--plot", str(tmp_path / "d.png")]) == 0
    said = capsys.readouterr().out
    assert said.startswith("Dyson's equation of linear: self-energy of order ≤ 2, width order ≤ 1, bare lines")
    data = json.loads((tmp_path / "d.json").read_text())
    assert len(data["tau"]) == len(data["two_point"]) == 513
    assert (tmp_path / "d.png").stat().st_size > 1000
    assert main(["dyson", "linear", "-p", "sigma_w=0.5", "-n", "1", "-k", "0", "--self-consistent"]) == 0
    assert "self-consistent after" in capsys.readouterr().out
    assert main([*words, "--reach", "-3"]) == 2
    sampled = ["--integrator", "vegas", "--neval", "2000", "--rtol", "1e-9", "--intervals", "64"]
    assert main(["dyson", "cubic_tanh", "-p", "sigma_w=0.5", "-p", "expansion=bare", "-n", "1", *sampled]) == 3
    assert "target NOT met" in capsys.readouterr().out
    found = nnqft.dyson(STATIONARY, order=1)
    labels = [text.get_text() for text in found.plot().get_legend().get_texts()]
    assert labels == ["C", "C, bare", "R", "R, bare"]


COARSE: dict[str, tuple[nnqft.Theory, dict[str, Any]]] = {
    "linear": (nnqft.theory("linear", N=100, sigma_w=0.5), {"order": 1, "width_order": 0}),
    "faster": (nnqft.theory("linear", N=100, sigma_w=1.0, gamma=2.0), {"order": 1, "width_order": 0}),
    "saddle": (nnqft.theory("linear", N=20, sigma_w=0.5, expansion="saddle"), {"order": 2}),
    "cubic": (bare_theory("cubic_tanh", N=20, sigma_w=0.6), {"order": 2, "width_order": 0}),
    "mean field": (
        bare_theory("cubic_tanh", N=20, sigma_w=0.8), {"order": 1, "width_order": 0, "self_consistent": True},
    ),
    "mean": (bare_theory("taylor", N=20, sigma_w=0.5, coefficients={0: 0.5, 1: 1.0, 2: 0.5}), {"order": 1}),
    "particle": (nnqft.theory("langevin", drift={1: 1.0, 3: 0.1}), {"order": 2}),
    "layers": (nnqft.theory("feedforward", N=10, sigma_w=0.6), {"order": 2}),
}  # fmt: skip


@pytest.mark.parametrize("name", COARSE)
def test_a_coarse_grid_is_within_its_bound_or_refused(name):
    """One once said 7e+02 and was off by 4e+05, with a warning about a logarithm; another 2e-04 for 0.5."""
    theory, asked = COARSE[name]
    gamma, fine = theory.parameters.get("gamma", 1.0), nnqft.dyson(theory, **asked)
    steps = []
    for intervals, step in product((64, 512), (0.05, 0.1, 0.2, 0.35, 0.47, 0.6, 1.0, 4.0, 1e4, 1e7)):
        try:
            found = nnqft.dyson(theory, **asked, reach=step * intervals / gamma, intervals=intervals)
        except nnqft.InputError as refused:
            said = str(refused)
            hint = said.rpartition("write ")[2].split("=")
            grid = {"intervals": intervals, "reach": step * intervals / gamma, hint[0]: float(hint[1])}
            grid["intervals"] = int(grid["intervals"])
            if name == "linear":
                nnqft.dyson(theory, **asked, **grid)
            continue
        steps.append(step)
        here = found.tau <= fine.tau[-1]
        off = np.abs(found.two_point[here] - fine.correlator(found.tau[here]))
        assert (off <= found.two_point_bound[here] + 1e-7).all()
        off = np.abs(found.response[here] - fine.responder(found.tau[here]))[1:]
        assert (off <= found.response_bound[here][1:] + 1e-8).all()
    assert max(steps) == 0.47
    assert np.count_nonzero(np.array(steps) == 0.47) == 2
