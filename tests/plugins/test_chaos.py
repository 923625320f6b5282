"""Networks about the saddle by averages of the activation itself: degrees, kinks and jumps, starts from rest."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, factorial, pi, sqrt

import mpmath
import numpy as np
import pytest
from scipy.integrate import quad
from theories import bare_theory

import nnqft
from nnqft import Activation, InputError
from nnqft_plugins.models.network.derivatives import DerivativeAverages
from nnqft_plugins.models.network.edges_at_zero import bent_of
from nnqft_plugins.models.network.rules import AVERAGES, NONLINEAR, wick_theory
from nnqft_plugins.models.parameters.activations import NAMED
from nnqft_plugins.networks.meanfield import solve
from nnqft_plugins.networks.simulation import simulate

GAMMA, KAPPA = 1.3, 0.8


@dataclass(frozen=True)
class Edged(Activation):
    """An activation that says where its kinks and jumps are."""

    kinks: tuple[float, ...] = ()


def relu(h):
    return np.maximum(h, 0.0)


def leaky(h):
    return np.where(h > 0, h, 0.2 * h)


def step(h):
    return (h > 0) + 0.5 * (h == 0)


def heaviside(h):
    return 1.0 * (h > 0)


def clipped(h):
    return np.clip(h, -1.0, 1.0)


EDGED = {
    "relu": Edged("relu", relu, heaviside, (0.0,)),
    "leaky": Edged("leaky", leaky, heaviside, (0.0,)),
    "sign": Edged("sign", np.sign, heaviside, (0.0,)),
    "step": Edged("step", step, heaviside, (0.0,)),
}


def edged(name: str, start: str = "stationary", **values) -> nnqft.Theory:
    """A model of its own with that activation about the saddle."""
    known = {parameter: spec.default for parameter, spec in (NONLINEAR | AVERAGES).items()}
    return wick_theory("edged", start, known | {"averages": "activation"} | values, EDGED[name])


# Closed forms of ⟨φ(x) φ(y)⟩ at ⟨xy⟩ = c, ⟨x²⟩ = v, ⟨y²⟩ = w: for the angle of x and y (Sheppard; Cho & Saul, 2009).


def two_signs(c, v, w):
    return 2 / mpmath.pi * mpmath.asin(c / mpmath.sqrt(v * w))


def two_steps(c, v, w):
    return (1 + two_signs(c, v, w)) / 4


def two_relus(c, v, w):
    rho = c / mpmath.sqrt(v * w)
    return mpmath.sqrt(v * w) / (2 * mpmath.pi) * (mpmath.sqrt(1 - rho**2) + rho * (mpmath.pi / 2 + mpmath.asin(rho)))


def two_leakys(c, v, w):
    """leaky(h) = relu(h) − relu(−h)/5."""
    return (1 + 0.04) * two_relus(c, v, w) - 0.4 * two_relus(-c, v, w)


PAIRS = {"sign": two_signs, "step": two_steps, "relu": two_relus, "leaky": two_leakys}


@pytest.mark.parametrize("name", EDGED)
@pytest.mark.parametrize("rho", [-0.6, 0.3, 0.95, 0.9999])
def test_averages_of_derivatives_are_derivatives_of_averages(name, rho):
    """∂_c ⟨φφ⟩ = ⟨φ'φ'⟩ (Price) and ∂_w ⟨φφ⟩ = ½⟨φφ''⟩ (heat equation)."""
    v = 0.7
    averages = DerivativeAverages(EDGED[name], v)
    below = {(0, 0): 1, (1, 1): 1, (0, 2): 1, (2, 2): 4, (1, 3): 3, (0, 4): 6}
    with mpmath.workdps(40):
        for (p, q), factor in below.items():
            by = (p, 0, (q - p) // 2)  # how often by c, v and w
            exact = mpmath.diff(PAIRS[name], (mpmath.mpf(rho) * v, mpmath.mpf(v), mpmath.mpf(v)), by) / factor
            found = averages.at(p, q, np.array([rho * v]))
            assert (0.0 if found is None else found[0]) == pytest.approx(float(exact), rel=2e-8, abs=1e-11)


def test_kinks_anywhere_are_as_good_as_none():
    """clip(h) at ±1: ⟨φ'φ'⟩, ⟨φφ''⟩ and ⟨φ''φ''⟩ by quadrature over the plane, and densities at the kinks."""
    v, rho = 0.7, 0.6
    averages = DerivativeAverages(Edged("clip", clipped, None, (-1.0, 1.0)), v)
    s = sqrt(v * (1 - rho**2))

    def inner(y):
        return quad(lambda x: exp(-((x - rho * y) ** 2) / (2 * s * s)) / sqrt(2 * pi) / s, -1, 1)[0]

    def density(y):
        return exp(-y * y / (2 * v)) / sqrt(2 * pi * v)

    def clip_given(y):
        def clip(x):
            return max(-1, min(1, x)) * exp(-((x - rho * y) ** 2) / (2 * s * s)) / (sqrt(2 * pi) * s)

        return quad(clip, -8, 8, points=[-1, 1])[0]

    both = quad(lambda y: density(y) * inner(y), -1, 1)[0]
    second = (density(-1) * clip_given(-1) - density(1) * clip_given(1)) / 2
    near, far = (exp(-((1 - r) ** 2) / (2 * s * s)) for r in (rho, -rho))
    corner = density(1) / sqrt(2 * pi) / s * (near - far)
    for p, q, exact in ((1, 1, both), (0, 2, second), (2, 2, corner / 2)):
        found = averages.at(p, q, np.array([rho * v]))
        assert found is not None
        assert found[0] == pytest.approx(exact, rel=1e-8)


@pytest.mark.parametrize(("name", "sharp"), [("relu", 4), ("leaky", 4), ("sign", 2), ("step", 2)])
def test_the_degree_ends_where_averages_cease_to_be_integrable(name, sharp):
    theory = edged(name, N=50)
    assert theory.degree == sharp
    assert theory.adaptive
    assert max(vertex.degree for vertex in theory.vertices) == sharp
    assert any(f"beyond degree {sharp} are not integrable" in remark for remark in theory.remarks)


# At N = 1 the density is e^{−γh²/κ + 2wΦ(h)/κ}, Φ' = φ: to first order in σ_w² ⟨h²⟩ is a cumulant.

POTENTIALS = {
    "relu": lambda h: np.maximum(h, 0.0) ** 2 / 2,
    "leaky": lambda h: np.where(h > 0, 1.0, 0.2) * h**2 / 2,
    "sign": np.abs,
    "step": relu,
}


@pytest.mark.parametrize("name", EDGED)
def test_order_1_of_kinks_and_jumps_on_one_site(name):
    nodes, weights = np.polynomial.legendre.leggauss(200)
    z = 5 * np.concatenate([nodes - 1, nodes + 1])
    weights = np.concatenate([weights, weights]) * np.exp(-(z**2) / 2)
    weights /= weights.sum()
    v = KAPPA / (2 * GAMMA)
    square, potential = v * z**2, 2 / KAPPA * POTENTIALS[name](sqrt(v) * z)

    def mean(x):
        return weights @ x

    cumulant = mean(square * potential**2) - v * mean(potential**2) - 2 * mean(square * potential) * mean(potential)
    exact = 0.5 * (cumulant + 2 * v * mean(potential) ** 2)
    line = quad(lambda lag: exp(-GAMMA * lag) * float(PAIRS[name](v * exp(-GAMMA * lag), v, v)), 0, 30)[0] / GAMMA
    g = 1e-8
    theory = edged(name, sigma_w=sqrt(g), N=1, gamma=GAMMA, kappa=KAPPA)
    part = nnqft.compute(theory, "two_point", order=1, tau=[0.0], rtol=None, neval=200_000).contribution(1, 1)
    print(name, line + part.mean[0] / g, exact, part.sdev[0] / g)
    assert abs(line + part.mean[0] / g - exact) < 4 * part.sdev[0] / g + 1e-5 * abs(exact)
    assert part.sdev[0] / g < 2e-3 * abs(exact)


# What the degree does.


def at_degree(theory: nnqft.Theory, degree: int, order: int, neval: int) -> nnqft.Estimate:
    """The part of that order at 1/N, of C(0)."""
    options = {"order": order, "width_order": 1, "tau": [0.0], "rtol": None, "neval": neval}
    return nnqft.compute(theory.up_to(degree), "two_point", **options).contribution(order, 1)


def test_at_order_1_no_degree_beyond_the_number_of_legs_matters():
    """One z̃ of the vertex ends on an external leg, or they close a cycle: its h have k − 1 legs and one z̃ to end on."""
    theory = nnqft.theory("taylor", activation="gelu", N=50)
    assert theory.adaptive
    for legs in (2, 3, 4):
        count = [
            len(nnqft.diagrams(theory.up_to(degree), "cumulant", order=1, width_order=legs, arity=legs))
            for degree in (legs - 1, legs, legs + 1, 8)
        ]
        assert count[0] < count[1] == count[2] == count[3]


@pytest.mark.parametrize("sigma_w", [0.5, 0.9, 1.5])
def test_degrees_converge(sigma_w):
    """Order 2, k = 1 of C(0) of tanh: each two degrees more change it by less; at σ_w = 0.5 and N = 50

    5.79e-5, 3.34e-5, 3.02e-5, 2.97e-5 at degree 2, 4, 6, 8.
    """
    theory = nnqft.theory("taylor", activation="tanh", N=50, sigma_w=sigma_w)
    parts = [at_degree(theory, degree, 2, neval) for degree, neval in ((2, 50_000), (4, 100_000), (6, 200_000))]
    means, errors = [part.mean[0] for part in parts], [part.sdev[0] for part in parts]
    steps = np.abs(np.diff(means))
    assert steps[1] < 0.4 * steps[0] + 4 * errors[2]
    if sigma_w == 0.5:
        assert means == pytest.approx([5.794e-5, 3.338e-5, 3.017e-5], rel=0.03)


def test_tanh_by_default_is_what_networks_do():
    """The bare polynomial of degree 5 gives 0.634 here."""
    theory = nnqft.theory("taylor", N=50)
    assert theory.parameters["activation"] == "tanh"
    result = nnqft.compute(theory.up_to(6), "two_point", order=2, width_order=1, tau=[0.0], rtol=1e-4)
    assert result.mean[0] == pytest.approx(0.536577, abs=1e-5)
    measured = simulate(theory, tau=[0.0], networks=400, seed=3)
    assert abs(result.mean[0] - measured.mean[0]) < 4 * measured.sdev[0]


# From rest.


@pytest.mark.parametrize("phi", [{1: 1.0, 3: -1 / 3}, {0: 0.3, 1: 1.0, 2: -0.4}], ids=str)
def test_from_rest_order_1_at_small_sigma_w_is_the_bare_series(phi):
    g, times = 1e-6, [(1.0, 1.0), (1.2, 2.0), (0.3, 0.3)]
    parameters = {"coefficients": phi, "sigma_w": sqrt(g), "sigma_b": 0.4, "start": "rest"}
    theory = bare_theory("taylor", expansion="saddle", T=2.0, **parameters)
    saddle = nnqft.compute(theory, "two_point", order=1, times=times, rtol=None, neval=300_000)
    bare = nnqft.compute(bare_theory("taylor", **parameters), "two_point", order=1, times=times, rtol=1e-3)
    cacti = (saddle.contribution(0, 0).mean - bare.contribution(0, 0).mean) / g
    assert cacti == pytest.approx(bare.contribution(1, 0).mean / g, rel=1e-4)
    found, wanted = saddle.contribution(1, 1), bare.contribution(1, 1).mean
    assert (np.abs(found.mean - wanted) < 4 * found.sdev + 1e-5 * np.abs(wanted)).all()
    assert (found.sdev < 3e-3 * np.abs(wanted)).all()


def test_tables_from_rest_are_the_averages():
    """⟨φφ''⟩/2 of φ = h − h³/3 is C(t,s) [C(t,t) − 1] where t is the time of φ: not symmetric."""
    theory = nnqft.theory("cubic_tanh", start="rest", sigma_b=0.4)
    line = theory.lines["h", "h"]
    t, s = np.random.default_rng(0).uniform(0.0, 10.0, (2, 3000))
    c, v, w = line(t, s), line(t, t), line(s, s)
    exact = {":0,2:": -c * (1 - v), ":1,1:": (1 - v) * (1 - w) + 2 * c * c, ":1,3:": -(1 - v) / 3}
    for vertex in theory.vertices[1:]:
        if vertex.name in exact:
            (memory,) = vertex.memory
            assert memory.symmetric == (vertex.name == ":1,1:")
            assert memory.kernel(t, s, dict(memory.params), np) == pytest.approx(exact[vertex.name], abs=2e-6)


def test_from_rest_it_forgets_its_start():
    late = nnqft.theory("taylor", start="rest", N=20, sigma_w=0.8)
    stationary = nnqft.theory("taylor", N=20, sigma_w=0.8)
    options = {"order": 1, "width_order": 1, "rtol": None, "neval": 100_000}
    one = nnqft.compute(late.up_to(4), "two_point", times=[(9.7, 9.0)], **options)
    two = nnqft.compute(stationary.up_to(4), "two_point", tau=[0.7], **options)
    assert one.contribution(0, 0).mean == pytest.approx(two.contribution(0, 0).mean, rel=1e-4)
    error = sqrt(one.sdev[0] ** 2 + two.sdev[0] ** 2)
    assert abs(one.mean[0] - two.mean[0]) < 4 * error + 4e-5
    assert error < 0.01 * two.contribution(1, 1).mean[0]


def test_from_rest_it_is_what_networks_do():
    theory = nnqft.theory("taylor", start="rest", N=20, sigma_w=0.9, sigma_b=0.3)
    times = [(1.0, 1.0), (3.0, 2.0), (3.0, 3.0)]
    result = nnqft.compute(theory.up_to(4), "two_point", order=2, width_order=1, times=times, rtol=3e-4)
    measured = simulate(theory, times=times, networks=60_000, seed=5)
    print(result.mean, result.sdev, measured.mean, measured.sdev, result.contribution(0, 0).mean)
    error = np.sqrt(measured.sdev**2 + result.sdev**2)
    assert (np.abs(result.mean - measured.mean) < 4 * error).all()
    # The finite width is seen.
    assert (np.abs(result.contribution(0, 0).mean - measured.mean) > 4 * error).any()


@pytest.mark.parametrize("name", EDGED)
def test_kinks_and_jumps_from_rest_average_as_stationary_ones(name):
    """At equal variances; at others ⟨φ^(p)(ax) φ^(q)(by)⟩ follows from homogeneity where φ is nothing but its edge."""
    bent = bent_of(EDGED[name])
    rho, v, w = 0.6, 0.7, 1.9
    averages = DerivativeAverages(EDGED[name], v)
    for p, q in ((0, 0), (0, 1), (1, 1), (0, 2), (1, 2), (2, 2), (1, 3), (3, 1), (0, 4)):
        found = averages.at(p, q, np.array([rho * v]))
        wanted = 0.0 if found is None else found[0] * factorial(p) * factorial(q)
        assert bent.average(p, q, rho * v, v, v, np) == pytest.approx(wanted, rel=1e-9, abs=1e-12)
        if name in ("relu", "step"):
            power = 1 if name == "relu" else 0
            scaled = wanted * (w / v) ** ((power - q) / 2)
            assert bent.average(p, q, rho * sqrt(v * w), v, w, np) == pytest.approx(scaled, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", EDGED)
def test_kinks_and_jumps_forget_their_start(name):
    late, always = (edged(name, start, N=20, sigma_w=0.6) for start in ("rest", "stationary"))
    options = {"order": 1, "width_order": 1, "rtol": None, "neval": 100_000}
    one = nnqft.compute(late.up_to(2), "two_point", times=[(9.7, 9.0)], **options).contribution(1, 1)
    two = nnqft.compute(always.up_to(2), "two_point", tau=[0.7], **options).contribution(1, 1)
    error = sqrt(one.sdev[0] ** 2 + two.sdev[0] ** 2)
    print(name, one.mean[0], two.mean[0], error)
    assert abs(one.mean[0] - two.mean[0]) < 4 * error + 2e-3 * abs(two.mean[0])


@pytest.mark.parametrize("name", ["relu", "sign"])
def test_kinks_and_jumps_from_rest_are_what_networks_do(name):
    theory, times = edged(name, "rest", N=20, sigma_w=0.7), [(2.0, 2.0), (3.0, 1.5)]
    result = nnqft.compute(theory, "two_point", order=2, width_order=1, times=times, rtol=1e-3)
    measured = simulate(theory, activation=EDGED[name], times=times, networks=40_000, seed=7)
    print(name, result.mean, result.sdev, measured.mean, measured.sdev, result.contribution(0, 0).mean)
    error = np.sqrt(measured.sdev**2 + result.sdev**2)
    assert (np.abs(result.mean - measured.mean) < 4 * error).all()
    assert (error < 5e-3 * result.mean).all()


def test_times_from_rest_reach_to_ten_leak_times():
    theory = nnqft.theory("taylor", start="rest", gamma=2.0)
    assert theory.parameters["T"] == theory.horizon == 5.0
    with pytest.raises(InputError, match=r"times=5\.5 lies beyond the theory's horizon T=5; write a larger T"):
        nnqft.compute(theory, "two_point", order=1, times=[(5.5, 1.0)], rtol=1e-2)


def test_tables_are_compiled_by_jax():
    jax = pytest.importorskip("jax")
    t, s = np.array([0.3, 2.0, 1.1]), np.array([[0.2], [2.4]])
    rest = nnqft.theory("taylor", start="rest", T=3.0, activation="gelu").vertices[1:4]
    for vertex in (*rest, *edged("sign").vertices[1:]):
        (memory,) = vertex.memory
        compiled = jax.jit(lambda t, s, memory=memory: memory.kernel(t, s, dict(memory.params), jax.numpy))
        assert np.asarray(compiled(t, s)) == pytest.approx(memory.kernel(t, s, dict(memory.params), np), rel=1e-4)


def test_short_delays_are_sampled_as_they_are_weighed():
    """∫ du response/density is what the response's own integral is, with a singular factor or without."""
    line = edged("sign", gamma=GAMMA).lines["h", "z"]
    nodes, weights = np.polynomial.legendre.leggauss(60)
    u, weights = (1 + nodes) / 2, weights / 2
    for room in (np.inf, 0.7):
        delay, density = line.delay(u, room, dict(line.params), np)
        value = np.exp(-GAMMA * delay) / density
        exact = quad(lambda x: 2 * exp(-GAMMA * x * x), 0, min(sqrt(room), 6))[0]  # Δ = x²
        assert weights @ value == pytest.approx((1 - exp(-GAMMA * room)) / GAMMA, rel=1e-10)
        assert weights @ (value / np.sqrt(delay)) == pytest.approx(exact, rel=1e-4)


# Parameters.


def test_what_is_chosen_is_said():
    theory = nnqft.theory("taylor")
    assert theory.parameters["expansion"] == "saddle"
    assert theory.parameters["averages"] == "activation"
    assert (theory.N, theory.parameters["sigma_w"], theory.degree, theory.adaptive) == (100, 0.5, 12, True)
    assert any("Gaussian averages of φ = tanh itself" in remark for remark in theory.remarks)
    bare = nnqft.theory("taylor", expansion="bare")
    assert (bare.parameters["expansion"], bare.parameters["degree"], bare.degree) == ("bare", 5, 5)
    assert not bare.adaptive
    assert {vertex.name: vertex.degree for vertex in bare.vertices} == {
        "W z z": 0, "(1,1)": 1, "(1,3)": 3, "(1,5)": 5, "(3,3)": 3, "(3,5)": 5, "(5,5)": 5,
    }  # fmt: skip
    assert [vertex.name for vertex in bare.up_to(3).vertices] == ["W z z", "(1,1)", "(1,3)", "(3,3)"]
    given = nnqft.theory("taylor", activation="tanh", degree=6)
    assert (given.degree, given.adaptive) == (6, False)
    for polynomial in (nnqft.theory("cubic_tanh"), nnqft.theory("quintic"), nnqft.theory("cubic_tanh", start="rest")):
        assert polynomial.degree is None
        assert not polynomial.adaptive
        assert polynomial.parameters["expansion"] == "saddle"
    assert "expansion" not in nnqft.theory("linear").parameters


def test_a_degree_of_coefficients_cuts_them():
    phi = {1: 1.0, 3: -0.3}
    assert nnqft.theory("taylor", coefficients=phi, degree=6).degree is None
    cut = nnqft.theory("taylor", coefficients=phi, degree=2)
    assert (cut.degree, [vertex.name for vertex in cut.vertices[1:]]) == (2, [":0,2:", ":1,1:"])
    bare = nnqft.theory("taylor", coefficients=phi, degree=2, expansion="bare")
    assert (bare.degree, [vertex.name for vertex in bare.vertices[1:]]) == (2, ["(1,1)"])


@pytest.mark.parametrize("start", ["stationary", "rest"])
def test_parameters_make_the_same_theory_again(start):
    for theory in (nnqft.theory("taylor", start=start), nnqft.theory("taylor", start=start, expansion="bare")):
        again = nnqft.theory("taylor", start=start, **dict(theory.parameters))
        assert again == theory


def test_where_nothing_moves_both_expansions_are_one():
    theory = nnqft.theory("taylor", kappa=0.0)
    assert theory.parameters["expansion"] == "bare"
    assert any("nothing drives this network" in remark for remark in theory.remarks)


def test_by_name_they_have_no_bare_series(monkeypatch):
    monkeypatch.setitem(NAMED, "relu", EDGED["relu"])
    assert nnqft.theory("taylor", activation="relu").degree == 4
    for asked in ({"expansion": "bare"}, {"averages": "polynomial"}, {"tadpoles": "kept"}):
        with pytest.raises(InputError, match=r"activation='relu' is not smooth.*write expansion='saddle', averages="):
            nnqft.theory("taylor", activation="relu", **asked)
    with pytest.raises(
        InputError, match=r"degree=6: averages of relu .* reach to degree 4, for its kinks or jumps; write"
    ):
        nnqft.theory("taylor", activation="relu", degree=6)


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"activation": "relu", "kappa": 0.0}, "the mean-field variance is 0; write kappa > 0 or sigma_b > 0$"),
        (
            {"activation": "tanh", "averages": "activation", "kappa": 0.0},
            "is 0; write kappa > 0 or sigma_b > 0, or exp",
        ),
        ({"activation": "abs", "kappa": 0.0, "sigma_b": 0.5}, "abs has edges, where nothing moves averages diverge"),
        ({"activation": "sign", "kappa": 0.0}, "averages of sign .* cannot be had beyond degree 1; write kappa > 0$"),
        ({"activation": "hard_tanh", "start": "rest"}, "and averages from rest are not known; write"),
    ],
)
def test_without_an_expansion_there_are_no_diagrams_but_a_network(asked, why):
    """What the parameters describe is solved and simulated; only diagrams are refused, by every way to them."""
    theory = nnqft.theory("taylor", **asked)
    times = {} if theory.stationary else {"times": [(1.0, 1.0)]}
    for call in (
        lambda: nnqft.diagrams(theory, "two_point", order=1),
        lambda: nnqft.compute(theory, "two_point", order=1, **times),
    ):
        with pytest.raises(InputError, match=why):
            call()
    assert theory.no_diagrams in theory.rules
    solution = solve(theory) if theory.stationary else solve(theory, horizon=1.0)
    assert np.isfinite(solution.correlator(1.0, 1.0) if not theory.stationary else solution.variance)


@pytest.mark.parametrize("activation", NAMED)
def test_every_activation_has_some_degrees(activation):
    theory = nnqft.theory("taylor", activation=activation, sigma_w=0.3, kappa=0.5)
    assert theory.degree is not None
    assert theory.degree >= (2 if getattr(NAMED[activation], "kinks", ()) else 8)
