"""Gaussian averages of any activation, against closed forms, mpmath and scipy; activations as functions."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Callable
from itertools import pairwise

import mpmath as mp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import quad

import nnqft
from nnqft import Activation, InputError
from nnqft.host import default_host
from nnqft_plugins.models.parameters.activations import NAMED
from nnqft_plugins.networks.meanfield import edge_of_chaos, solve
from nnqft_plugins.networks.meanfield.gaussian import average_of_square, hermite, moment, slope_square
from nnqft_plugins.networks.meanfield.kernel import Table, kernel
from nnqft_plugins.networks.meanfield.panels import find_kinks
from nnqft_plugins.networks.network import network_of

RHO = np.array([-1.0, -0.999, -0.6, 0.0, 0.3, 0.9, 0.99, 0.9999, 1 - 1e-9, 1.0])


def by_quad(f, v: float, kinks=()) -> float:
    """⟨f(x)⟩ by adaptive quadrature, its range cut where the integrand changes on scales of h or of the Gaussian."""
    root = math.sqrt(v)
    cuts = sorted({0.0, *(s * 2.0**n for n in range(-4, 40) for s in (-1, 1)), *kinks})
    cuts = [-13.0, *(c / root for c in cuts if abs(c / root) < 13), 13.0]
    total = 0.0
    for low, high in pairwise(cuts):
        part = quad(
            lambda z: float(f(np.array([root * z]))[0]) * math.exp(-z * z / 2),
            low,
            high,
            epsabs=0,
            epsrel=1e-11,
            limit=400,
        )
        total += part[0]
    return total / math.sqrt(2 * math.pi)


# One Gaussian


@pytest.mark.parametrize("name", [name for name in NAMED if name not in ("exp", "sin", "cos")])
@pytest.mark.parametrize("v", [1e-6, 0.3, 40.0, 1e4, 1e6])
@pytest.mark.filterwarnings("ignore::scipy.integrate.IntegrationWarning")
def test_averages_over_twelve_decades_of_variance(name, v):
    phi = NAMED[name]
    wanted = by_quad(lambda h: phi.value(h) ** 2, v, phi.kinks)
    assert_allclose(average_of_square(phi.value, np.array(v), phi.kinks), wanted, rtol=1e-10)
    found = moment(phi, v, 0, 2)
    assert abs(found.value - wanted) <= found.error + 1e-11 * wanted  # what quad itself was asked for
    if name not in ("sign", "step"):
        slopes = by_quad(lambda h: phi.slope(h) ** 2, v, phi.kinks)
        assert_allclose(slope_square(phi, v), slopes, rtol=1e-10)
        stranger = Activation("stranger", phi.value, None, phi.kinks)
        assert_allclose(slope_square(stranger, v), slopes, rtol=1e-8)


@pytest.mark.parametrize("v", [1e-6, 0.3, 40.0, 1e4, 1e6])
def test_averages_with_closed_forms(v):
    # ⟨sin²⟩ = (1 − e^{−2v})/2, with a wave many times shorter than the Gaussian at the largest v.
    assert_allclose(average_of_square(np.sin, np.array(v)), -math.expm1(-2 * v) / 2, rtol=1e-10)
    assert_allclose(average_of_square(np.cos, np.array(v)), (1 + math.exp(-2 * v)) / 2, rtol=1e-10)
    if v <= 100:
        assert_allclose(average_of_square(np.exp, np.array(v)), math.exp(2 * v), rtol=1e-10)
    elif v > 1e3:
        assert average_of_square(np.exp, np.array(v)) == np.inf


@pytest.mark.parametrize("name", ["tanh", "relu", "step", "softsign", "gelu"])
def test_hermite_coefficients_are_those_of_quadrature(name):
    phi = NAMED[name]
    for v in (0.5, 1e4):
        b, _ = hermite(phi.value, np.array([v]), kinks=phi.kinks)
        for r in (0, 1, 2, 5, 8):
            he = np.polynomial.hermite_e.HermiteE.basis(r)
            wanted = by_quad(lambda h, he=he, v=v: phi.value(h) * he(h / math.sqrt(v)), v, phi.kinks) / math.sqrt(
                math.factorial(r)
            )
            size = math.sqrt(float(average_of_square(phi.value, np.array(v), phi.kinks)))
            assert abs(b[0, r] - wanted) < 1e-10 * size
            assert abs(moment(phi, v, r).value - wanted) < 1e-10 * size


# Two Gaussians


def arc(power: int, rho: np.ndarray) -> np.ndarray:
    """⟨x^p y^p⟩ over x, y > 0 of unit variance, p = 0, 1: Cho & Saul, arXiv:1112.3712."""
    theta = np.arccos(rho)
    return (math.pi - theta if power == 0 else np.sin(theta) + (math.pi - theta) * np.cos(theta)) / (2 * math.pi)


CLOSED = {
    "step": lambda rho, v: arc(0, rho),
    "sign": lambda rho, v: 2 / math.pi * np.arcsin(rho),
    "relu": lambda rho, v: v * arc(1, rho),
    "abs": lambda rho, v: 2 * v / math.pi * (np.sqrt(1 - rho**2) + rho * np.arcsin(rho)),
    "leaky_relu": lambda rho, v: v * ((1 + 1e-4) * arc(1, rho) - 0.02 * arc(1, -rho)),
    "erf": lambda rho, v: 2 / math.pi * np.arcsin(2 * v * rho / (1 + 2 * v)),
}


@pytest.mark.parametrize("name", CLOSED)
@pytest.mark.parametrize("v", [1e-6, 1.0, 200.0])
def test_at_every_correlation_it_is_the_closed_form(name, v):
    average, wanted = kernel(NAMED[name], v), CLOSED[name](RHO, v)
    assert np.abs(average(RHO) - wanted).max() <= max(1e-10, average.error) * average.square
    rho, step = np.array([0.1, 0.5, 0.8, 0.95]), 1e-5
    slopes = (CLOSED[name](rho + step, v) - CLOSED[name](rho - step, v)) / (2 * step)
    assert_allclose(average.slope(rho), slopes, atol=1e-7 * np.abs(slopes).max())
    area, _ = quad(lambda r: float(CLOSED[name](np.array(r), v)), 0.3, 1.0, epsabs=0, epsrel=1e-11)
    assert_allclose(float(average.above(np.array(0.3))), area, rtol=1e-9)


def even_root(a: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda h: np.abs(h) ** a


def odd_root(a: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda h: np.sign(h) * np.abs(h) ** a


def two_roots(a: float, odd: bool, rho: mp.mpf) -> mp.mpf:
    """⟨f f⟩ of |x|^a, or of sign(x)|x|^a if `odd`, at unit variance."""
    half = mp.mpf(a) / 2
    if odd:
        ends = 2 ** (mp.mpf(a) + 1) / mp.pi * mp.gamma(1 + half) ** 2
        return ends * rho * mp.hyp2f1(mp.mpf(1) / 2 - half, mp.mpf(1) / 2 - half, 1.5, rho**2)
    return 2 ** mp.mpf(a) / mp.pi * mp.gamma(half + 0.5) ** 2 * mp.hyp2f1(-half, -half, 0.5, rho**2)


@pytest.mark.parametrize("a", [0.05, 0.3, 1 / 3, 0.5, 0.9])
@pytest.mark.parametrize("odd", [True, False])
def test_roots_are_averaged_as_their_closed_form_says(a, odd):
    """Infinitely steep at 0: ⟨φφ⟩ ~ (1 − ρ)^{a + 1/2}; the quoted error is a bound, slopes are right up to ρ → 1."""
    root = np.cbrt if a == 1 / 3 and odd else (odd_root if odd else even_root)(a)
    phi = network_of(nnqft.theory("feedforward", activation=root)).activation
    assert phi.kinks == (0.0,)
    for v in (1.0, 1e-6):
        average = kernel(phi, v)
        assert average.error < 1e-11
        for rho in (-1.0, -0.99, -0.3, 0.0, 0.6, 0.999, 1 - 1e-7, 1.0):
            wanted = v**a * float(two_roots(a, odd, mp.mpf(rho)))
            assert abs(float(average(np.array(rho))) - wanted) <= average.error * average.square
        for rho in (-0.6, 0.3, 0.999, 1 - 1e-7):
            slope = v**a * float(mp.diff(lambda r: two_roots(a, odd, r), rho, h=mp.mpf("1e-12")))
            assert_allclose(float(average.slope(np.array(rho))), slope, rtol=1e-6)


def xlog(h):
    size = np.abs(h)
    return h * np.log(np.where(size > 0, size, 1.0))


@pytest.mark.parametrize("v", [1e-6, 1.0, 1e6])
def test_a_logarithm_at_its_kink(v):
    """φ = x ln|x| is odd, and with its derivative in a ∂/∂a of sign(x)|x|^a at a = 1, ⟨φφ⟩ is a mixed derivative."""
    phi = network_of(nnqft.theory("feedforward", activation=xlog)).activation
    average = kernel(phi, v)

    def two(a: float, b: float, rho: float) -> float:
        """⟨sign(x)|x|^a sign(y)|y|^b⟩ at unit variance."""
        factor = 2 ** ((a + b) / 2 + 1) / mp.pi * mp.gamma(1 + a / 2) * mp.gamma(1 + b / 2)
        return factor * rho * mp.hyp2f1((1 - a) / 2, (1 - b) / 2, 1.5, rho**2)

    with mp.workdps(30):
        for rho in (-0.7, 0.4, 0.999):
            L = mp.log(v) / 2
            parts = [mp.diff(lambda a, b, r=rho: two(a, b, mp.mpf(r)), (1, 1), by) for by in ((1, 1), (1, 0), (0, 0))]
            wanted = float(v * (parts[0] + 2 * L * parts[1] + L**2 * parts[2]))
            assert abs(float(average(np.array(rho))) - wanted) <= (average.error + 1e-13) * average.square


def slow(h):
    return np.tanh(200 * (h - 1))


def waves(h):
    return np.exp(-(h**2)) * np.sin(30 * h)


@pytest.mark.parametrize(
    ("given", "v"),
    [(np.cbrt, 3.0), (np.sin, 1e6), (slow, 1.0), (NAMED["gelu"].value, 1e6), (waves, 1e3)],
    ids=["cbrt", "sin", "steep", "gelu", "waves"],
)
def test_no_average_asks_for_the_activation_very_often(given, v):
    """A table takes its values at 10⁸ places at most, seconds; by one average for each correlation it took minutes."""
    calls = 0

    def counted(h):
        nonlocal calls
        calls += np.size(h)
        return given(h)

    kernel(Activation("counted", given if given is np.sin else counted, None, find_kinks(given)), v)
    assert calls < 1e8


def test_what_turns_too_often_is_refused():
    def ripple(h):
        return np.sin(3 * h) + 0.1 * h

    with pytest.raises(InputError, match=r"turns too often at variance 1e\+06 for averages; write a smaller sigma_w"):
        kernel(Activation("ripple", ripple, None), 1e6)


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_waves_have_their_closed_form(name):
    phi = NAMED[name]
    for v in (40.0, 60.0, 1e4, 1e12):
        average, series = kernel(phi, v), kernel(Activation("same", lambda h, f=phi.value: f(h), None), min(v, 60.0))
        wanted = [(math.exp(-v * (1 - r)) + (1 if name == "cos" else -1) * math.exp(-v * (1 + r))) / 2 for r in RHO]
        assert_allclose(average(RHO), wanted, rtol=1e-9, atol=1e-12)
        if v <= 60:
            assert_allclose(average.slope(RHO), series.slope(RHO), atol=1e-9 * v)
            assert_allclose(average.above(RHO), series.above(RHO), atol=1e-12)


def test_two_kinks_against_mpmath():
    """⟨φφ⟩ of hard_tanh at ρ = 0.9 by an integral over x of φ(x) times the average of φ(y) given x, in closed form."""
    v, rho = 3.0, 0.9
    with mp.workdps(30):
        root, width = mp.sqrt(v), mp.sqrt(v * (1 - mp.mpf(rho) ** 2))

        def given(x):
            low, high = ((b - rho * x) / width for b in (-1, 1))
            middle = rho * x * (mp.ncdf(high) - mp.ncdf(low)) - width * (mp.npdf(high) - mp.npdf(low))
            return middle - mp.ncdf(low) + 1 - mp.ncdf(high)

        cuts = [-12 * root, -6, -1, 0, 1, 6, 12 * root]
        wanted = mp.quad(lambda x: max(-1, min(1, x)) * given(x) * mp.npdf(x / root) / root, cuts)
    assert_allclose(float(kernel(NAMED["hard_tanh"], v)(np.array(rho))), float(wanted), rtol=1e-10)


def test_series_and_table_are_one_function():
    phi = NAMED["gelu"]
    series, table = kernel(phi, 2.0), Table(phi, 2.0)
    assert type(series) is not type(table)
    assert_allclose(table(RHO), series(RHO), atol=1e-10 * series.square)
    assert_allclose(table.slope(RHO[3:]), series.slope(RHO[3:]), rtol=1e-7)


# Mean-field theory where it is steep


@pytest.mark.parametrize(("sigma_w", "variance", "chi"), [(100.0, 9919.893, 53.40578), (1000.0, 999201.80, 532.1354)])
def test_steep_layers(sigma_w, variance, chi):
    theory = nnqft.theory("feedforward", activation="tanh", kappa=0.0, sigma_w=sigma_w)
    fixed = solve(theory).layers(1.0)
    q = fixed.variance
    assert_allclose([q, fixed.chi], [variance, chi], rtol=1e-6)
    assert_allclose(q, sigma_w**2 * by_quad(lambda h: np.tanh(h) ** 2, q), rtol=1e-10)
    assert_allclose(
        fixed.chi, sigma_w**2 * by_quad(lambda h: np.cosh(np.minimum(np.abs(h), 300)) ** -4.0, q), rtol=1e-9
    )


def test_a_network_of_signs():
    """κ = 0: C(0) = 2(1 − 2/π) σ_w²/γ², Crisanti & Sompolinsky; a jump is chaotic at any σ_w."""
    theory = nnqft.theory("taylor", activation="tanh", kappa=0.0, sigma_w=1.3)
    solution = solve(theory, activation=NAMED["sign"])
    assert_allclose(solution.variance, 1.69 * 2 * (1 - 2 / math.pi), rtol=1e-9)
    assert solution.lyapunov == math.inf
    with pytest.warns(UserWarning, match="φ = sign jumps, so that any σ_w > 0 is chaotic"):
        assert np.isnan(edge_of_chaos(theory, activation=NAMED["sign"])).all()


def test_relu_solves_its_integral_equation():
    """γ = 1: C(τ) = ½ ∫ e^{−|τ−u|} [κδ(u) + σ_w² ⟨φφ⟩(u) + σ_b²] du, ⟨φφ⟩ in closed form."""
    solution = solve(nnqft.theory("taylor", activation="tanh", sigma_w=0.8, sigma_b=0.3), activation=NAMED["relu"])

    def source(u: float) -> float:
        rho = min(float(solution.correlator(u)) / solution.variance, 1.0)
        return 0.64 * solution.variance * float(arc(1, np.array(rho))) + 0.09

    def at(tau: float) -> float:
        points = [(0.0, tau), (tau, tau + 2), (tau + 2, tau + 40)] if tau else [(0.0, 2.0), (2.0, 40.0)]
        parts = [
            quad(lambda u: (math.exp(-abs(tau - u)) + math.exp(-tau - u)) * source(u) / 2, a, b, epsabs=1e-11)[0]
            for a, b in points
        ]
        return sum(parts) + math.exp(-tau) / 2

    for tau in (0.0, 0.7, 3.0):
        assert_allclose(at(tau), float(solution.correlator(tau)), rtol=3e-9)


@pytest.mark.parametrize("name", ["relu", "sign"])
def test_from_rest_it_becomes_stationary_within_its_error(name):
    values = {"activation": "tanh", "sigma_w": 0.8}
    late = solve(nnqft.theory("taylor", start="rest", **values), horizon=14.0, activation=NAMED[name])
    stationary = solve(nnqft.theory("taylor", **values), activation=NAMED[name])
    gap = np.abs(late.correlator(14.0, [14.0, 13.0]) - stationary.correlator([0.0, 1.0])).max()
    assert gap <= late.error + 1e-5  # it has not quite settled
    assert late.error < 4e-4


def test_the_critical_weights_of_relu_are_known():
    theory = nnqft.theory("feedforward", activation="relu", kappa=0.0)
    assert_allclose(edge_of_chaos(theory, layer=1.0) ** 2, 2.0, rtol=1e-10)


# Activations by name and as functions


def leaky(h):
    """At the top of a module, so that it can be sent away."""
    return np.where(h > 0.3, h - 0.3, 0.2 * (h - 0.3))


class Steep:
    def __call__(self, h):
        return np.tanh(3 * h)


@pytest.mark.parametrize("name", NAMED)
def test_kinks_are_found_where_they_are_known(name):
    assert_allclose(find_kinks(NAMED[name].value), NAMED[name].kinks, atol=1e-9)


@pytest.mark.parametrize("name", NAMED)
def test_a_slope_is_that_of_its_function(name):
    h = np.linspace(-4.05, 4.05, 28)  # beside all kinks
    phi = pickle.loads(pickle.dumps(NAMED[name]))
    assert_allclose((phi.value(h + 1e-6) - phi.value(h - 1e-6)) / 2e-6, phi.slope(h), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize(
    ("given", "text"),
    [(np.tanh, "numpy:tanh"), (leaky, "test_averages:leaky"), (Steep(), "test_averages:Steep")],
)
def test_a_function_is_an_activation(given, text, tmp_path):
    theory = nnqft.theory("feedforward", activation=given, N=50)
    assert theory.parameters["activation"].rpartition(".")[2] == text or theory.parameters["activation"] == text
    result = nnqft.compute(theory, "two_point", order=1, width_order=1, times=[(0.0, 0.0)], rtol=1e-2)
    result.save(tmp_path / "r.json")
    assert text in (tmp_path / "r.json").read_text()
    again = nnqft.load(tmp_path / "r.json")
    assert_allclose(again.mean, result.mean)
    with pytest.raises(InputError, match="nothing is imported for it; write activation= with the function itself"):
        nnqft.theory("feedforward", activation=dict(again.request.parameters)["activation"])


def test_a_given_function_is_the_named_one():
    for values in ({"sigma_w": 0.7}, {"sigma_w": 60.0, "kappa": 0.0}):
        named, given = (solve(nnqft.theory("feedforward", activation=phi, **values)) for phi in ("tanh", np.tanh))
        assert_allclose(given.variance, named.variance, rtol=1e-12)
        assert_allclose(given.lyapunov, named.lyapunov, rtol=1e-8)
    one, other = (nnqft.theory("feedforward", activation=phi) for phi in ("tanh", np.tanh))
    assert [v.coefficient for v in one.vertices] == [v.coefficient for v in other.vertices]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (math.tanh, r"raised TypeError for an array .*write activation=np.vectorize\(f\)"),
        (lambda h: h[0], r"returned shape \(3,\) for an array of shape \(2, 3\)"),
        (np.sqrt, "wanted finite real numbers"),
        (np.round, "more than 32 places"),
        ("reluu", "unknown activation 'reluu'; did you mean 'relu'"),
        (3.0, "wanted a function of arrays or a name"),
        (np.heaviside, "raised TypeError"),
    ],
)
def test_what_is_no_activation_is_refused(given, message):
    with pytest.raises(InputError, match=message) as caught:
        nnqft.theory("feedforward", activation=given)
    assert "\n" not in str(caught.value)


def test_without_a_taylor_series_the_bare_expansion_is_refused():
    for given in ("relu", leaky):
        with pytest.raises(InputError, match=r"no Taylor series.*averages='activation'.*coefficients="):
            nnqft.theory("feedforward", activation=given, expansion="bare")


def test_the_list_of_names_is_shown():
    meaning = default_host().get("model", "taylor").parameters["activation"].meaning
    for name in (*NAMED, "silu", "heaviside"):
        assert name in meaning
    assert nnqft.theory("feedforward", activation="silu").parameters["activation"] == "swish"


def test_parameters_survive_json():
    theory = nnqft.theory("feedforward", activation=leaky)
    assert json.loads(json.dumps(dict(theory.parameters)))["activation"].endswith(":leaky")
    assert hash(theory.parameters["activation"]) == hash(pickle.loads(pickle.dumps(theory.parameters["activation"])))
