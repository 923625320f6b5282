"""Units that adapt: lines, diagrams, mean-field theory and simulation, against matrices and generators of (h, a)."""

from __future__ import annotations

import numpy as np
import pytest
from coupled import Coupled
from exact_cases import Process
from numpy.testing import assert_allclose
from scipy.linalg import expm, solve_continuous_lyapunov

import nnqft
from nnqft_plugins.networks.adaptation import Adaptation
from nnqft_plugins.networks.meanfield import edge_of_chaos, phase_diagram, solve
from nnqft_plugins.networks.meanfield.kernel import kernel
from nnqft_plugins.networks.simulation import simulate
from nnqft_plugins.networks.simulation.adapting import pair_step

GAMMA, KAPPA, RATE = 1.1, 0.8, 0.3
UNITS = {
    "real rates": Adaptation(RATE, 0.3),
    "a complex pair": Adaptation(RATE, 2.0),
    "merged rates": Adaptation(RATE, (GAMMA - RATE) ** 2 / (4 * RATE)),
    "almost merged": Adaptation(RATE, (GAMMA - RATE) ** 2 / (4 * RATE) + 1e-6),
    "none": Adaptation(RATE, 0.0),
}
LAGS = np.array([0.0, 0.3, 1.0, 4.0, 12.0])


def network(unit: Adaptation, start: str = "stationary", **values) -> nnqft.Theory:
    plain = {"expansion": "bare", "N": 1, "sigma_w": 1.0, "gamma": GAMMA, "kappa": KAPPA}
    return nnqft.theory("adaptation", start=start, gamma_a=unit.rate, beta=unit.strength, **plain | values)


def with_source(unit: Adaptation, rate: float, weight: float) -> tuple[np.ndarray, np.ndarray]:
    """Drift and noise of (h, a, ζ), ζ an Ornstein–Uhlenbeck process that drives h."""
    A = np.zeros((3, 3))
    A[:2, :2], A[0, 2], A[2, 2] = unit.matrix(GAMMA), 1.0, -rate
    return A, np.diag([KAPPA, 0.0, 2 * rate * weight])


# Lines.


@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)
def test_the_lines_of_one_unit(unit):
    """Against exponentials of matrices: noise, an input that moves (also at a rate of the unit's own), a static one."""
    slow = min(np.linalg.eigvals(-unit.matrix(GAMMA)).real)
    for rate in (0.7, float(slow), 1e-9):
        A, noise = with_source(unit, rate, 0.36)
        theory = network(unit, sigma_u=0.6, q={rate if rate > 1e-6 else 0.0: 1.0})
        start = solve_continuous_lyapunov(A, -noise)
        C, G = theory.lines["h", "h"], theory.lines["h", "z"]
        wanted = [(expm(A * lag) @ start)[0, 0] for lag in LAGS]
        assert_allclose(C(LAGS, 0 * LAGS), wanted, atol=3e-9)
        assert_allclose(G(LAGS, 0 * LAGS), [expm(A * lag)[0, 0] for lag in LAGS], atol=1e-10)
        rest = network(unit, "rest", sigma_u=0.6, q={rate if rate > 1e-6 else 0.0: 1.0}).lines["h", "h"]
        # From h = a = 0 with ζ stationary.
        E = expm(1.3 * A)
        grown = start + E @ (np.diag([0.0, 0.0, 0.36]) - start) @ E.T
        assert_allclose(float(rest(2.1, 1.3)), (expm(0.8 * A) @ grown)[0, 0], atol=3e-9)


# Diagrams.


@pytest.mark.parametrize("start", ["stationary", "rest"])
@pytest.mark.parametrize("name", ["real rates", "a complex pair"])
def test_the_linear_network_of_one_unit(name, start):
    """w is Gaussian: its order 2n is (2n − 1)!! times that of dh = −(γ − w) h dt …, by Lyapunov's equation."""
    unit, times = UNITS[name], [(0.9, 0.9), (2.0, 0.4), (0.4, 2.0)]
    theory = network(unit, start, coefficients={1: 1.0})
    system = Coupled(-unit.matrix(GAMMA), np.diag([KAPPA, 0.0]), np.array([[-1.0, 0.0], [0.0, 0.0]]))
    result = nnqft.compute(theory, "two_point", order=2, times=times, integrator="exact")
    exact = np.array([system.correlator(t, s, 4, start)[:, 0, 0] for t, s in times])
    response = nnqft.compute(theory, "response", order=2, times=times, integrator="exact")
    for n, pairings in enumerate((1, 1, 3)):
        found = sum(result.contribution(n, k).mean for k in range(n + 1))
        assert_allclose(found, pairings * exact[:, 2 * n], rtol=1e-11, atol=1e-13)
        found = sum(response.contribution(n, k).mean for k in range(n + 1))
        wanted = [pairings * system.response(t, s, 4)[2 * n, 0, 0] for t, s in times]
        assert_allclose(found, wanted, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(("name", "integrator"), [("real rates", "exact"), ("a complex pair", "exact"),
                                                  ("a complex pair", "vegas")])  # fmt: skip
def test_a_nonlinear_unit(name, integrator):
    """φ = h − h²/2 at N = 1, order σ_w²: the generator of (h, a) to second order in w."""
    unit, times = UNITS[name], [(0.0, 0.0), (1.3, 0.2)]
    theory = network(unit, coefficients={1: 1.0, 2: -0.5})
    M = unit.matrix(GAMMA)
    flow = [(M[a, b], 0, (1 - b, b), (1 - a, a)) for a in (0, 1) for b in (0, 1)]
    pull = [(1.0, 1, (1, 0), (1, 0)), (-0.5, 1, (2, 0), (1, 0))]
    process = Process((*flow, (KAPPA / 2, 0, (0, 0), (2, 0)), *pull), 2, resets=(0, 1))
    result = nnqft.compute(theory, "two_point", order=1, times=times, integrator=integrator, neval=200_000)
    part = [result.contribution(1, k) for k in (0, 1)]
    found, error = sum(p.mean for p in part), np.sqrt(sum(p.sdev**2 for p in part))
    wanted = np.array([process.moment(row)[2] for row in times])
    assert (np.abs(found - wanted) <= 4.5 * error + 1e-11).all()
    assert (error < 0.01 * np.abs(wanted)).all()


# Mean-field theory.


def test_without_adaptation_it_is_the_plain_network():
    plain = {"activation": "tanh", "sigma_w": 1.4, "sigma_b": 0.3}
    ours, theirs = (
        solve(nnqft.theory(model, **plain, **more), tau=LAGS)
        for model, more in (("adaptation", {"beta": 0.0}), ("taylor", {}))
    )
    assert ours.converged
    assert_allclose(ours.C, theirs.C, atol=1e-9)
    assert_allclose(ours.decay_rate, theirs.decay_rate, rtol=1e-6)


@pytest.mark.parametrize("unit", [UNITS["real rates"], UNITS["a complex pair"]], ids=["real rates", "a complex pair"])
def test_mean_field_theory_of_a_linear_network(unit):
    """C(ω) = κ |χ|²/(1 − σ_w² |χ|²), by quadrature."""
    solution = solve(network(unit, coefficients={1: 1.0}, sigma_w=0.6, sigma_b=0.2), tau=LAGS)
    omega = np.linspace(0.0, 500.0, 400_001)
    gain = unit.gain(GAMMA, omega)
    assert_allclose(gain.max(), unit.largest_gain(GAMMA), rtol=1e-5)
    density = KAPPA * gain / (1 - 0.36 * gain)
    static = (GAMMA + unit.strength) ** -2
    plateau = 0.04 * static / (1 - 0.36 * static)
    wanted = np.array([np.trapezoid(density * np.cos(omega * lag), omega) / np.pi for lag in LAGS]) + plateau
    wanted[0] += KAPPA / (np.pi * omega[-1])  # what lies beyond, where the density is κ/ω²
    assert_allclose(solution.C, wanted, atol=1e-5)
    assert_allclose(solution.plateau, plateau, rtol=1e-6)


def test_mean_field_theory_from_rest_becomes_the_stationary_one():
    values = {"activation": "tanh", "sigma_w": 1.2, "gamma_a": 0.8, "beta": 1.5}
    rest = solve(nnqft.theory("adaptation", start="rest", **values), horizon=14.0)
    still = solve(nnqft.theory("adaptation", **values), tau=[0.0, 1.0, 3.0])
    assert_allclose(rest.correlator([13.0] * 3, [13.0, 12.0, 10.0]), still.C, atol=2e-4)


def by_spectrum(unit: Adaptation, sigma_w: float, solution) -> float:
    """Of mean-field theory: the largest of what C differs from κ|χ|² + σ_w²|χ|² ⟨φφ⟩, in the frequencies, over C(0)."""
    tau = np.linspace(-100.0, 100.0, 1 << 17, endpoint=False)
    step = tau[1] - tau[0]
    C = solution.correlator(tau)
    source = kernel(solution.network.activation, solution.variance)(np.clip(C / solution.variance, -1, 1))
    gain = unit.gain(GAMMA, 2 * np.pi * np.fft.fftfreq(len(tau), step))
    wanted = np.fft.ifft(gain * (KAPPA / step + sigma_w**2 * np.fft.fft(np.fft.ifftshift(source)))).real
    return float(np.abs(np.fft.fftshift(wanted) - C).max()) / solution.variance


@pytest.mark.parametrize("sigma_w", [3.0, 8.0])
def test_strong_coupling_has_its_mean_field(sigma_w):
    """Repeated substitution alone does not settle there."""
    unit = UNITS["a complex pair"]
    solution = solve(network(unit, activation="tanh", sigma_w=sigma_w), rtol=1e-5)
    assert solution.converged
    assert by_spectrum(unit, sigma_w, solution) < 2e-3 * GAMMA  # white noise has a step of the grid's size at 0


@pytest.mark.parametrize("bias", [0.0, 0.7])
def test_without_noise_the_edge_is_where_a_mode_grows(bias):
    """In the fixed point W has its eigenvalues in a disc of radius σ_w ⟨φ'²⟩^½: those of all (h, a) lie left of it."""
    values = {"gamma": GAMMA, "gamma_a": RATE, "beta": 2.0, "kappa": 0.0, "sigma_b": bias, "activation": "tanh"}
    (edge,) = edge_of_chaos(nnqft.theory("adaptation", **values))
    z, weight = np.polynomial.hermite_e.hermegauss(80)
    weight = weight / weight.sum()
    q = 0.0
    for _ in range(2000):
        q = (edge**2 * weight @ np.tanh(np.sqrt(q) * z) ** 2 + bias**2) / (GAMMA + 2.0) ** 2
    radius = edge * np.sqrt(weight @ np.cosh(np.sqrt(q) * z) ** -4)
    growth = [
        max(np.linalg.eigvals(UNITS["a complex pair"].matrix(GAMMA) + np.diag([radius * np.exp(1j * angle), 0])).real)
        for angle in np.linspace(0, np.pi, 4001)
    ]
    assert abs(max(growth)) < 1e-6


def test_what_is_not_known_is_refused():
    theory = nnqft.theory("adaptation", activation="tanh")
    with pytest.raises(nnqft.InputError, match=r"is known without noise and moving input alone.*write kappa=0.0"):
        edge_of_chaos(theory)
    for start, rather in (
        ("stationary", "write expansion='saddle'"),
        ("rest", "write start='stationary', expansion='saddle'"),
    ):
        with pytest.raises(nnqft.InputError, match=f"expand in; {rather}, or give a polynomial instead"):
            nnqft.theory("adaptation", start=start, activation="hard_tanh", expansion="bare")
    for model in ("adaptation", "taylor"):
        with pytest.raises(nnqft.InputError, match=r"kappa=.*e-321: wanted 0 or at least 1e-100"):
            nnqft.theory(model, kappa=1e-320)
        assert nnqft.theory(model, kappa=1e-100).degree == 5  # beyond, powers of C(0) are no numbers
    with pytest.raises(nnqft.InputError, match="a phase diagram of units with adaptation is not known"):
        phase_diagram(theory, sigma_w=[1.0], sigma_b=[0.0])
    assert np.isnan(solve(theory).lyapunov)
    assert "Lyapunov" not in str(solve(theory))
    with pytest.raises(nnqft.InputError, match="from rest adaptation has its expansion about 𝔚 = 0 alone"):
        nnqft.theory("adaptation", start="rest", expansion="saddle")
    assert nnqft.theory("adaptation", start="rest").parameters["expansion"] == "bare"
    assert nnqft.theory("adaptation", kappa=0.0).parameters["expansion"] == "bare"
    with pytest.raises(nnqft.InputError, match="needs noise, bias or input"):
        solve(nnqft.theory("adaptation", kappa=0.0))


# Simulation.


def test_steps_are_those_of_the_linear_unit():
    """Heun's linear part and noise are exact for any step: the covariance of (h, a) stays what it is."""
    unit = UNITS["a complex pair"]
    P = solve_continuous_lyapunov(unit.matrix(GAMMA), -np.diag([KAPPA, 0.0]))
    for length in (1e-3, 0.1, 2.0):
        step = pair_step("heun", GAMMA, unit, KAPPA, length)
        assert_allclose(step.decay @ P @ step.decay.T + step.spread @ step.spread.T, P, atol=1e-13)
        # A force that rises from 0 to 1 in a straight line.
        grid = (np.arange(250) + 0.5) / 250
        answer = [expm(unit.matrix(GAMMA) * length * (1 - u))[:, 0] for u in grid]
        assert_allclose(step.gain, length * np.mean(answer, axis=0), rtol=1e-4)
        assert_allclose(step.bend, length * np.mean(grid[:, None] * answer, axis=0), rtol=1e-4)


def test_simulated_networks_agree_with_diagrams():
    """Of a linear network of two units from rest, where both are known well; and of tanh, about its mean field."""
    values = {"gamma_a": 0.6, "beta": 1.5, "N": 4, "sigma_w": 0.6, "coefficients": {1: 1.0}}
    times = [(1.0, 1.0), (2.0, 1.0)]
    linear = nnqft.theory("adaptation", start="rest", **values)
    found = simulate(linear, times=times, networks=3000, seed=1)
    wanted = nnqft.compute(linear, "two_point", order=2, times=times, integrator="exact")
    assert (np.abs(found.mean - wanted.mean) <= 4.5 * found.sdev + np.abs(wanted.truncation)).all()
    assert (found.sdev < 0.02 * found.mean[0]).all()
    theory = nnqft.theory("adaptation", activation="tanh", gamma_a=0.6, beta=1.5, N=10, sigma_w=0.9)
    series = nnqft.compute(theory, "two_point", order=1, tau=[0.0, 1.0], rtol=1e-2)
    simulated = simulate(theory, tau=[0.0, 1.0], networks=400, seed=2)
    assert (np.abs(simulated.mean - series.mean) <= 4.5 * simulated.sdev + 2 * np.abs(series.truncation)).all()
    assert (simulated.sdev < 0.02).all()


@pytest.mark.parametrize(
    ("start", "instead"),
    [("stationary", "write expansion='saddle', or"), ("rest", "write start='stationary', expansion='saddle', or")],
)
def test_an_activation_without_a_taylor_series_says_what_there_is(start, instead):
    with pytest.raises(nnqft.InputError, match=instead):
        nnqft.theory("adaptation", start=start, expansion="bare", activation="relu")
    nnqft.theory("adaptation", start="stationary", expansion="saddle", activation="relu")
