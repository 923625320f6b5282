"""Mean-field theory: against closed forms, series, quadrature in two dimensions, mpmath, and published properties."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace

import mpmath as mp
import numpy as np
import oracles
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.integrate import dblquad, quad, solve_ivp
from scipy.linalg import eigh_tridiagonal
from theories import bare_theory

import nnqft
from nnqft.cli.main import main
from nnqft.host import default_host
from nnqft_plugins.models.parameters.activations import NAMED
from nnqft_plugins.networks.meanfield import edge_of_chaos, phase_diagram, solve
from nnqft_plugins.networks.meanfield.gaussian import hermite
from nnqft_plugins.networks.meanfield.pairs import overlap
from nnqft_plugins.networks.simulation import simulate


def tanh(**values) -> nnqft.Theory:
    return bare_theory("taylor", activation="tanh", **values)


# Activations


@pytest.mark.parametrize("name", [*NAMED, "h", "h − h³/3", "polynomial"])
def test_an_activation_has_its_slope_and_can_be_sent_away(name):
    models = {"h": ("linear", {}), "h − h³/3": ("cubic_tanh", {})}
    models["polynomial"] = "taylor", {"coefficients": {0: 0.2, 1: 1.0, 4: -0.3}}
    model, values = models.get(name, ("taylor", {"activation": name, "degree": 3}))
    if name in NAMED and NAMED[name].kinks:
        pytest.skip("has no Taylor series")
    theory = bare_theory(model, **values)
    phi = pickle.loads(pickle.dumps(default_host().get("model", model).activation(theory.parameters)))
    h = np.linspace(-3, 3, 13).reshape(1, 13)
    assert_allclose((phi.value(h + 1e-5) - phi.value(h - 1e-5)) / 2e-5, phi.slope(h), rtol=1e-8, atol=1e-9)
    # The rules know its Taylor series: the function agrees with it near 0.
    small = np.array([[0.0, 1e-2]])
    series = nnqft_plugins_series(model, theory)
    assert_allclose(phi.value(small), np.polynomial.polynomial.polyval(small, series), atol=2e-8)


def nnqft_plugins_series(model: str, theory: nnqft.Theory) -> list[float]:
    from nnqft_plugins.models.taylor import phi_of

    known = {"linear": [0.0, 1.0], "cubic_tanh": [0.0, 1.0, 0.0, -1 / 3]}
    if model in known:
        return known[model]
    phi = phi_of(theory.parameters)
    return [phi.get(p, 0.0) for p in range(max(phi) + 1)]


def test_models_that_are_no_networks_have_none():
    for model in ("quintic", "langevin", "toy"):
        theory = bare_theory(model)
        assert default_host().get("model", model).activation(theory.parameters) is None
        with pytest.raises(nnqft.InputError, match="gives no activation"):
            solve(theory)
    layers = default_host().get("model", "feedforward")
    assert layers.activation(nnqft.theory("feedforward").parameters).name == "h"
    assert layers.activation(nnqft.theory("feedforward", activation="erf").parameters).name == "erf"


def test_a_model_that_is_not_installed_takes_an_activation():
    class Mine(nnqft.AbstractModel):
        name, parameters, starts = (
            "mine",
            {"gamma": nnqft.Parameter(1.0), "sigma_w": nnqft.Parameter(0.5)},
            ("stationary",),
        )

        def theory(self, start, values):
            return replace(bare_theory("linear", N=3), model="mine", parameters=dict(values) | {"kappa": 1.0, "N": 3})

    with pytest.raises(nnqft.InputError, match="'mine' is not installed as a plugin; write activation="):
        solve(nnqft.theory(Mine()))
    assert_allclose(solve(nnqft.theory(Mine()), activation=NAMED["tanh"]).C, solve(tanh(sigma_w=0.5)).C, rtol=1e-12)
    assert simulate(nnqft.theory(Mine()), activation=NAMED["tanh"], networks=4, burn=1.0, window=1.0).networks == 4


# Gaussian averages


@pytest.mark.parametrize("name", ["tanh", "gelu"])
def test_gaussian_averages_are_those_of_a_double_integral(name):
    f, variances, rho = NAMED[name].value, np.array([0.7, 2.5]), 0.6
    b, left = hermite(f, variances)
    assert left < 1e-12

    def density(y: float, x: float, r: float) -> float:
        return np.exp(-(x * x - 2 * r * x * y + y * y) / (2 * (1 - r * r))) / (2 * np.pi * np.sqrt(1 - r * r))

    x, y = np.sqrt(variances)
    wanted, _ = dblquad(lambda v, u: density(v, u, rho) * f(x * u) * f(y * v), -9, 9, -9, 9, epsabs=1e-9)
    found = overlap(b, np.array([[1.0, rho], [rho, 1.0]]))
    assert_allclose(found[0, 1], wanted, atol=1e-8)
    alone, _ = quad(lambda u: np.exp(-u * u / 2) / np.sqrt(2 * np.pi) * f(x * u) ** 2, -12, 12, epsabs=1e-12)
    assert_allclose(found[0, 0], alone, atol=1e-11)


# The stationary correlator


@pytest.mark.parametrize("sigma_b", [0.0, 0.4])
def test_linear_is_the_closed_form(sigma_b):
    theory = nnqft.theory("linear", gamma=1.3, kappa=0.8, sigma_w=0.9, sigma_b=sigma_b, N=7)
    solution = solve(theory)
    xi = (1.3**2 - 0.9**2) ** -0.5
    tau = np.array([[0.0, 0.3], [-2.0, 40.0]])
    wanted = 0.4 * xi * np.exp(-np.abs(tau) / xi) + sigma_b**2 * xi**2
    assert_allclose(solution.correlator(tau), wanted, rtol=1e-12, atol=1e-14)
    assert_allclose([solution.correlation_length, 1 / solution.decay_rate], xi, rtol=1e-7)
    assert_allclose(solution.plateau, sigma_b**2 * xi**2, atol=1e-14)
    assert_allclose(solution.lyapunov, 0.9 - 1.3, rtol=1e-10)  # the edge of the spectrum of W
    assert solution.error < 1e-11


def test_linear_with_a_moving_input_is_the_closed_form():
    theory = bare_theory("linear", kappa=0.7, sigma_w=0.6, sigma_u=0.8, q={0.3: 1.0, 0.0: 0.5})
    solution, m, weight = solve(theory), 0.8, 0.64
    tau = np.linspace(0, 12, 25)
    wanted = 0.35 / m * np.exp(-m * tau) + weight * 0.5 / m**2
    wanted += weight * (np.exp(-0.3 * tau) - 0.3 / m * np.exp(-m * tau)) / (m**2 - 0.09)
    assert_allclose(solution.correlator(tau), wanted, atol=1e-8)
    assert np.abs(solution.correlator(solution.tau) - solution.C).max() == 0


@pytest.mark.parametrize(
    "phi", [{1: 1.0, 3: -1 / 3}, {0: 0.3, 1: 1.0, 2: -0.4, 3: 0.1}], ids=["cubic", "with even powers"]
)
def test_polynomials_are_the_sum_of_the_cacti(phi):
    values = {"gamma": 1.2, "kappa": 0.9, "sigma_b": 0.3}
    tau, coupling = np.linspace(0, 4, 5), 0.0144
    series = oracles.infinite_width(phi, tau, order=5, **values)
    wanted = np.polynomial.polynomial.polyval(coupling, series)
    assert abs(series[-1] * coupling**5).max() < 3e-9
    solution = solve(bare_theory("taylor", coefficients=phi, sigma_w=0.12, **values))
    assert_allclose(solution.correlator(tau), wanted, atol=2e-10)


@pytest.mark.parametrize("values", [{"sigma_w": 0.9, "sigma_b": 0.2}, {"sigma_w": 1.8, "kappa": 0.0}])
def test_tanh_solves_its_integral_equation(values):
    """C = ∫ e^{−γ|τ−u|}/2γ [κδ(u) + σ_w² ⟨φφ⟩ + σ_b²] du, the average by quadrature in two dimensions."""
    theory = tanh(**values)
    solution, p = solve(theory), theory.parameters
    z, w = np.polynomial.hermite_e.hermegauss(80)
    w = w / w.sum()
    u = np.linspace(0, 30, 1201)
    C = solution.correlator(u)
    rho = (C / C[0])[:, None, None]
    other = rho * z[:, None] + np.sqrt(np.maximum(1 - rho**2, 0)) * z
    phi_phi = np.einsum("a,b,a,uab->u", w, w, np.tanh(np.sqrt(C[0]) * z), np.tanh(np.sqrt(C[0]) * other))
    source = p["sigma_w"] ** 2 * phi_phi + p["sigma_b"] ** 2
    both, whole = np.concatenate([-u[:0:-1], u]), np.concatenate([source[:0:-1], source])
    for tau in (0.0, 0.7, 3.0):
        weight = np.exp(-np.abs(tau - both)) / 2
        weight[[0, -1]] /= 2
        step = both[1] - both[0]
        beyond = source[-1] * np.exp(-30) * np.cosh(tau)
        found = step * (weight * whole).sum() + beyond + p["kappa"] / 2 * np.exp(-tau)
        assert_allclose(found, solution.correlator(tau), rtol=2e-4)  # the trapezoidal rule at the cusp of the kernel


def test_white_noise_fixes_the_first_slope():
    solution, h = solve(tanh(sigma_w=1.4, kappa=0.6)), 1e-4
    C = solution.correlator(np.array([0.0, h, 2 * h]))
    assert_allclose((-1.5 * C[0] + 2 * C[1] - 0.5 * C[2]) / h, -0.3, rtol=1e-6)


def test_the_error_is_not_too_small():
    for values in ({"sigma_w": 1.7}, {"sigma_w": 0.9, "sigma_u": 0.5, "q": {0.4: 1.0}}):
        rough, fine = solve(tanh(**values), rtol=1e-4), solve(tanh(**values))
        true = np.abs(rough.C - fine.correlator(rough.tau)).max()
        assert true <= max(2 * rough.error, 1e-12)


# Chaos


@pytest.mark.parametrize("gamma", [1.0, 1.7])
def test_the_noiseless_transition_is_at_gamma(gamma):
    below, above = (solve(tanh(kappa=0.0, gamma=gamma, sigma_w=x * gamma)) for x in (0.99, 1.01))
    assert below.variance == 0.0
    assert_allclose(below.lyapunov, -0.01 * gamma, rtol=1e-12)
    assert not below.chaotic
    # Sompolinsky, Crisanti & Sommers: C(0) → ε and λ → γ ε²/2 just above.
    assert_allclose(above.variance, 0.01, rtol=0.03)
    assert_allclose(above.lyapunov, gamma * 0.01**2 / 2, rtol=0.05)
    assert above.correlator(above.tau[-1]) < 1e-4 * above.variance
    assert_allclose(edge_of_chaos(tanh(kappa=0.0, gamma=gamma)), gamma, rtol=1e-12)


def test_far_beyond_it_the_network_of_signs_is_reached():
    # φ → sign: C(0)/σ_w² → 2(1 − 2/π).
    assert_allclose(solve(tanh(kappa=0.0, sigma_w=8.0), rtol=1e-6).variance / 64, 2 * (1 - 2 / np.pi), rtol=0.03)


@pytest.mark.parametrize("values", [{"kappa": 0.0, "sigma_w": 1.5}, {"kappa": 0.0, "sigma_w": 1.5, "sigma_b": 0.2}])
def test_time_translation_is_the_zero_mode_of_chaos(values):
    """C'(τ) is odd and solves the Schrödinger equation at E = 0; the ground state lies below, λ > 0."""
    energies = energies_by_differences(solve(tanh(**values)), length=150.0, points=12_000)
    assert abs(energies[1]) < 1e-5
    assert energies[0] < -1e-3


@pytest.mark.parametrize("values", [{"sigma_w": 1.5}, {"sigma_w": 0.6}, {"sigma_w": 1.5, "kappa": 0.0, "sigma_b": 0.2}])
def test_the_exponent_is_the_ground_state_on_a_fine_grid(values):
    solution = solve(tanh(**values))
    E = energies_by_differences(solution, length=300.0, points=30_000)[0]
    assert_allclose(solution.lyapunov, -1 + np.sqrt(1 - E), atol=3e-6)
    assert solution.lyapunov_error < 1e-8


def energies_by_differences(solution, length: float, points: int) -> list[float]:
    """Lowest even and odd energy of −∂² + γ² − σ_w² ⟨φ'φ'⟩ by finite differences on a long half-line."""
    p = solution.parameters
    h = length / points
    tau = (np.arange(points) + 0.5) * h
    z, w = np.polynomial.hermite_e.hermegauss(80)
    w = w / w.sum()
    # ⟨φ'φ'⟩ as a function of ρ, by quadrature on a grid of ρ and a spline.
    from scipy.interpolate import CubicSpline

    rho = np.linspace(0, 1, 201)[:, None, None]
    scale = np.sqrt(solution.variance)
    one, other = scale * z[:, None], scale * (rho * z[:, None] + np.sqrt(1 - rho**2) * z)
    slope = np.einsum("a,b,a,rab->r", w, w, np.cosh(one[:, 0]) ** -2, np.cosh(other) ** -2)
    potential = p["gamma"] ** 2 - p["sigma_w"] ** 2 * CubicSpline(rho.ravel(), slope)(
        solution.correlator(tau) / solution.variance
    )
    found = []
    for first in (-1.0, 1.0):
        diagonal = potential + 2 / h**2
        diagonal[0] += first / h**2
        found.append(
            eigh_tridiagonal(
                diagonal, np.full(points - 1, -1 / h**2), eigvals_only=True, select="i", select_range=(0, 0)
            )[0]
        )
    return found


def test_a_fixed_point_that_is_stable_does_not_move():
    solution = solve(tanh(kappa=0.0, sigma_w=0.9, sigma_b=0.5))
    q = solution.plateau
    phi2, _ = quad(lambda z: np.exp(-z * z / 2) / np.sqrt(2 * np.pi) * np.tanh(np.sqrt(q) * z) ** 2, -12, 12)
    assert_allclose(q, 0.81 * phi2 + 0.25, rtol=1e-9)
    assert_array_equal(solution.correlator([0.0, 5.0]), [q, q])
    assert solution.lyapunov < 0
    assert solution.correlation_length == 0.0


def test_noise_and_input_delay_chaos():
    quiet, noisy = edge_of_chaos(tanh(kappa=0.0)), edge_of_chaos(tanh(kappa=1.0))
    assert quiet[0] == pytest.approx(1.0)
    assert noisy[0] > 1.5
    before, after = (solve(tanh(kappa=1.0, sigma_w=noisy[0] * x)).lyapunov for x in (0.999, 1.001))
    assert before < 0 < after
    driven = solve(tanh(kappa=0.0, sigma_w=1.5, sigma_u=1.0, q={0.5: 1.0}))
    assert driven.lyapunov < solve(tanh(kappa=0.0, sigma_w=1.5)).lyapunov


# Layers


def published_edge(q: mp.mpf) -> tuple[float, float]:
    """(σ_b², σ_w²) of the perceptron with tanh on the critical line at variance q, in 30 digits."""
    with mp.workdps(30):

        def average(f):
            # The integrand is even, and its poles are at a distance from the axis: split the range.
            return 2 * mp.quad(
                lambda z: f(mp.sqrt(q) * z) * mp.exp(-z * z / 2) / mp.sqrt(2 * mp.pi), [0, 1, 2, 4, 8, 16]
            )

        weights = 1 / average(lambda h: mp.sech(h) ** 4)
        return float(q - weights * average(lambda h: mp.tanh(h) ** 2)), float(weights)


@pytest.mark.parametrize("q", ["0.01", "0.3", "2.0"])
def test_the_critical_line_of_layers_is_that_of_mpmath(q):
    bias, weights = published_edge(mp.mpf(q))
    theory = nnqft.theory("feedforward", activation="tanh", kappa=0.0)
    assert_allclose(edge_of_chaos(theory, bias**0.5, layer=1.0) ** 2, weights, rtol=1e-7)
    recurrent = edge_of_chaos(tanh(kappa=0.0), [bias**0.5]) ** 2
    assert_allclose(recurrent, weights, rtol=1e-7)  # without noise the same fixed point loses its stability


def test_the_critical_line_is_the_published_one():
    theory = nnqft.theory("feedforward", activation="tanh", kappa=0.0)
    # χ_1 = 1 at (σ_b², σ_w²) = (0, 1), and at (2.01e-5, 1.05), used by Pennington et al., arXiv:1711.04735.
    assert_allclose(edge_of_chaos(theory, [0.0, 2.01e-5**0.5], layer=1.0) ** 2, [1.0, 1.05], rtol=2e-5)


@pytest.mark.parametrize(("sigma_w", "sigma_b"), [(1.3, 0.3), (1.8, 0.3)])
def test_depth_scales_are_those_of_the_maps(sigma_w, sigma_b):
    theory = nnqft.theory("feedforward", activation="tanh", kappa=0.0, sigma_w=sigma_w, sigma_b=sigma_b)
    fixed = solve(theory).layers(1.0)
    z, w = np.polynomial.hermite_e.hermegauss(120)
    w = w / w.sum()

    def cover(q, rho):
        other = rho * z[:, None] + np.sqrt(max(1 - rho**2, 0)) * z
        return sigma_w**2 * (w[:, None] * w * np.tanh(np.sqrt(q) * z)[:, None] * np.tanh(np.sqrt(q) * other)).sum()

    def rate(step, start, end):
        """e-folds a layer, once the beginning is forgotten."""
        distances = []
        for _ in range(12):
            start = step(start)
            distances.append(abs(start - end))
        return np.log(distances[6] / distances[11]) / 5

    q = fixed.variance
    assert_allclose(cover(q, 1.0) + sigma_b**2, q, rtol=1e-6)
    assert_allclose((cover(q, fixed.overlap) + sigma_b**2) / q, fixed.overlap, rtol=1e-6)
    close = rate(
        lambda c: (cover(q, c) + sigma_b**2) / q, fixed.overlap + (1e-3 if sigma_w > 1.5 else -1e-3), fixed.overlap
    )
    assert_allclose(1 / fixed.overlap_depth, close, rtol=2e-2)
    size = rate(lambda x: cover(x, 1.0) + sigma_b**2, q * 1.01, q)
    assert_allclose(1 / fixed.variance_depth, size, rtol=2e-2)
    assert fixed.ordered == (sigma_w < 1.5)


def test_thin_layers():
    theory = nnqft.theory("feedforward", activation="tanh", gamma=1.4, kappa=0.5, sigma_w=1.1, sigma_b=0.6)
    solution = solve(theory)
    q = solution.variance
    phi2, _ = quad(lambda z: np.exp(-z * z / 2) / np.sqrt(2 * np.pi) * np.tanh(np.sqrt(q) * z) ** 2, -12, 12)
    assert_allclose(2 * 1.4 * q, 0.5 + 0.36 + 1.21 * phi2, rtol=1e-10)
    assert_allclose(solution.correlator([0.0, 2.0]), [q, q * np.exp(-2.8)], rtol=1e-12)
    start = solve(nnqft.theory("feedforward", start="rest", C_0=0.3, kappa=0.5, sigma_w=1.1), horizon=4.0)
    rate = 2 - 1.21  # φ = h: C' = −(2γ − σ_w²) C + κ
    grown = 0.5 / rate + (0.3 - 0.5 / rate) * np.exp(-rate * np.array([0.0, 1.5, 4.0]))
    assert_allclose(start.correlator([0.0, 1.5, 4.0], [0.0, 1.5, 4.0]), grown, rtol=1e-5)
    assert_allclose(start.correlator(3.0, 1.5), grown[1] * np.exp(-1.5), rtol=1e-5)


# From rest


def test_from_rest_linear_is_the_sum_of_the_cacti():
    values = {"gamma": 1.3, "kappa": 0.8, "sigma_b": 0.4}
    times = [(1.0, 1.0), (4.0, 4.0), (2.3, 0.7), (3.9, 4.0), (0.0, 2.0)]
    series = oracles.linear_two_point(times, order=5, start="rest", **values)[:, 0]
    wanted = np.polynomial.polynomial.polyval(0.16, series)
    solution = solve(bare_theory("linear", start="rest", sigma_w=0.4, **values), horizon=4.0, rtol=1e-6)
    t, s = np.transpose(times)
    assert_allclose(solution.correlator(t, s), wanted, atol=1e-6)
    assert np.abs(solution.correlator(t, s) - wanted).max() < max(3 * solution.error, 1e-9)
    assert solution.C.shape == (len(solution.times),) * 2
    assert_array_equal(solution.C[0], 0.0)


def test_from_rest_it_becomes_stationary():
    values = {"sigma_w": 1.2, "sigma_b": 0.3, "sigma_u": 0.5, "q": {0.7: 1.0}}
    late, stationary = solve(tanh(start="rest", **values), horizon=12.0, rtol=1e-3), solve(tanh(**values))
    assert_allclose(late.correlator(12.0, [12.0, 11.0, 10.0]), stationary.correlator([0.0, 1.0, 2.0]), rtol=4e-3)


def test_from_rest_the_noiseless_bias_grows_as_its_own_equation_says():
    """Without coupling and noise h = b(1−e^{−t}); with weak coupling the first order in σ_w² is an integral."""
    theory = tanh(start="rest", kappa=0.0, sigma_w=0.1, sigma_b=1.0)
    z, w = np.polynomial.hermite_e.hermegauss(80)
    w = w / w.sum()

    def activity(t):
        return np.tanh(z * (1 - np.exp(-t)))

    def driven(t, y):
        return -y + activity(t)

    h = solve_ivp(driven, (0, 3), np.zeros(80), rtol=1e-10, atol=1e-12).y[:, -1]
    # ∬ G G ⟨φφ⟩ with h0 = b(1−e^{−t}) of one Gaussian b: the average of the square of a single integral.
    first = (w * h**2).sum()
    found = solve(theory, horizon=3.0, rtol=1e-6).correlator(3.0, 3.0) - (1 - np.exp(-3)) ** 2
    assert_allclose(found, 0.01 * first, rtol=2e-2)  # the next order is σ_w⁴


# Phase diagram, commands, messages


def test_a_phase_diagram_is_the_same_on_every_executor(tmp_path):
    theory = tanh(kappa=0.3)
    grid = {"sigma_w": [0.5, 1.5, 2.5], "sigma_b": [0.0, 0.8]}
    one, two = phase_diagram(theory, **grid), phase_diagram(theory, **grid, executor="processes", workers=2)
    for name in ("lyapunov", "variance", "plateau", "edge"):
        assert_array_equal(getattr(one, name), getattr(two, name))
    cell = solve(tanh(kappa=0.3, sigma_w=2.5, sigma_b=0.8))
    assert_allclose(one.lyapunov[1, 2], cell.lyapunov, atol=1e-6)
    assert_allclose(one.variance[1, 2], cell.variance, rtol=1e-6)
    assert_allclose(one.plateau[1, 2], cell.plateau, rtol=1e-6)
    for n, edge in enumerate(one.edge):
        assert ((one.lyapunov[n] > 0) == (one.sigma_w > edge)).all()
    one.save(tmp_path / "phases.json")
    assert json.loads((tmp_path / "phases.json").read_text())["edge"] == one.edge.tolist()


def test_where_c_diverges_there_is_no_edge():
    found = phase_diagram(bare_theory("linear"), sigma_w=[0.5, 1.5], sigma_b=[0.0])
    assert_array_equal(np.isnan(found.lyapunov), [[False, True]])
    assert np.isnan(found.edge).all()
    assert "none" in found.table()
    assert "1 of 2 cells have no stationary state" in found.table()


def test_commands(tmp_path, capsys):
    plot, data = tmp_path / "mf.png", tmp_path / "mf.json"
    asked = ["meanfield", "taylor", "-p", "sigma_w=1.5", "-p", "kappa=0", "--plot", str(plot), "--json", str(data)]
    assert main(asked) == 0
    assert "Lyapunov exponent   0.0467" in capsys.readouterr().out
    saved = json.loads(data.read_text())
    assert saved["C"][0] == saved["variance"] == pytest.approx(0.7476864, rel=1e-6)
    assert plot.stat().st_size > 5000
    assert main(["meanfield", "linear", "--start", "rest", "-p", "sigma_w=0.5", "--horizon", "2"]) == 0
    assert "C(t,t)" in capsys.readouterr().out
    layers = ["meanfield", "feedforward", "-p", "activation=tanh", "-p", "kappa=0", "-p", "sigma_w=2", "--layer", "1"]
    assert main(layers) == 0
    assert "(chaotic)" in capsys.readouterr().out.splitlines()[-2]
    diagram = ["phase-diagram", "taylor", "-p", "kappa=0", "--sigma-w", "0.5,1.5", "--sigma-b", "0,0.5"]
    assert main([*diagram, "--plot", str(plot)]) == 0
    assert "edge of chaos" in capsys.readouterr().out


BAD = [
    (lambda: solve("linear"), "wanted a Theory"),
    (lambda: solve(bare_theory("linear", sigma_w=1.0)), "no stationary state at infinite width.*smaller sigma_w"),
    (lambda: solve(bare_theory("cubic_tanh", sigma_w=2.0)), "no stationary state"),
    (lambda: solve(nnqft.theory("feedforward", sigma_w=1.5)), "no stationary state"),
    (lambda: solve(tanh(), tau=["a"]), "tau=.*wanted finite numbers"),
    (lambda: solve(tanh(), horizon=3.0), "horizon is for start='rest'"),
    (lambda: solve(tanh(start="rest"), tau=[1.0]), "tau needs a stationary start"),
    (lambda: solve(tanh(), rtol=2.0), "rtol=2.0: wanted a number from"),
    (lambda: solve(tanh(start="rest"), horizon=1e5), "horizon=100000: wanted at most"),
    (lambda: solve(bare_theory("linear", start="rest", sigma_w=30.0), horizon=2.0), "beyond all bounds before t=2"),
    (lambda: solve(tanh(start="rest"), horizon=1.0).correlator(0.5), "write correlator\\(t, s\\)"),
    (lambda: solve(tanh(start="rest"), horizon=1.0).correlator(2.0, 0.5), "outside \\[0, 1\\]"),
    (lambda: solve(tanh()).layers(), "has no layers"),
    (lambda: solve(nnqft.theory("feedforward")).layers(3.0), "below 2/γ"),
    (lambda: edge_of_chaos(tanh(), layer=1.0), "layer is for model 'feedforward'"),
    (lambda: edge_of_chaos(nnqft.theory("feedforward"), layer=5.0), "between 0 and 2/γ"),
    (lambda: phase_diagram(tanh(), sigma_w=[1.0, 0.5], sigma_b=[0.0]), "sigma_w=.*increasing numbers"),
    (lambda: phase_diagram(tanh(), sigma_w=["a"], sigma_b=[0.0]), "wanted a number"),
]


@pytest.mark.parametrize(("act", "message"), BAD)
def test_bad_input_is_one_clear_line(act, message):
    with pytest.raises(nnqft.InputError, match=message) as caught:
        act()
    assert "\n" not in str(caught.value)


def test_bad_input_on_the_command_line(capsys):
    for arguments in (
        ["meanfield", "quintic"],
        ["meanfield", "taylor", "--layer", "1"],
        ["meanfield", "linear", "-p", "sigma_w=2"],
    ):
        assert main(arguments) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.count("\n") == 1


def test_an_input_too_strange_for_one_way_is_solved_on_the_other():
    """From uncoupled units this one is lost; the equation itself is the judge of what is found."""
    theory = tanh(sigma_w=3.0, kappa=0.1, sigma_u=0.5, q={0.3: 1.0})
    solution, h = solve(theory, rtol=1e-5), 0.02
    tau = np.array([0.5, 2.0, 6.0])
    C, before, after = (solution.correlator(tau + shift) for shift in (0.0, -h, h))
    z, w = np.polynomial.hermite_e.hermegauss(160)
    w = w / w.sum()
    rho = (C / solution.variance)[:, None, None]
    other = rho * z[:, None] + np.sqrt(1 - rho**2) * z
    one = np.tanh(np.sqrt(solution.variance) * z)
    phi_phi = np.einsum("a,b,a,tab->t", w, w, one, np.tanh(np.sqrt(solution.variance) * other))
    left = C - (after - 2 * C + before) / h**2
    assert_allclose(left, 9 * phi_phi + 0.25 * np.exp(-0.3 * tau), rtol=2e-3)
