"""Infinite sums of the linear network: term by term against the exact series, and against networks without diagrams."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import mpmath as mp
import numpy as np
import oracles
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import quad
from scipy.linalg import expm, solve_continuous_lyapunov
from theories import bare_theory
from threadpoolctl import threadpool_limits

import nnqft
from nnqft.cli.main import main
from nnqft_plugins.models.linear import Linear
from nnqft_plugins.models.linear_sums import sums as linear_sums

RATES = {"gamma": 1.3, "kappa": 0.8}
STATIC = {"sigma_b": 0.5, "sigma_u": 0.7, "q": 0.6}
STATIONARY = [(0.0, 0.0), (0.7, 0.0), (0.0, 2.0), (5.0, 0.5)]
REST = [(0.0, 0.0), (1.2, 0.5), (0.5, 1.2), (0.9, 0.9), (3.0, 2.0)]


def summed(observable: str = "two_point", *, start: str = "stationary", width_order: int = 1, **options):
    asked = {name: options.pop(name) for name in ("tau", "times", "rtol", "atol") if name in options}
    theory = bare_theory("linear", start=start, **options)
    return nnqft.compute(theory, observable, order="resummed", width_order=width_order, **asked)


# The closed forms of docs/physics.md at γ = κ = 1, written again


def cacti(sigma, tau):
    m = mp.sqrt(1 - sigma**2)
    return mp.exp(-m * tau) / (2 * m)


def mushrooms(sigma, tau):
    m = mp.sqrt(1 - sigma**2)
    poles = [(2 - s) / (8 * (1 - s) ** 2) * mp.exp(-(1 - s) * tau) for s in (sigma, -sigma)]
    return sum(poles) - mp.exp(-m * tau) * (1 / (2 * m**3) + sigma**2 * tau / (4 * m**2))


KERNELS = {0: cacti, 1: mushrooms}
SECOND = [0, 0, "3/4", "13/4", "137/16", "9111/512", "131441/4096", "215539/4096", "1320423/16384"]
"""Of width order 2 at τ = 0, by the exact integrator in fractions; benchmarks/resummed.py computes them again."""


def even_taylor(function: Callable, count: int) -> list:
    """Coefficients of σ^{2n} by Cauchy's integral over a circle of radius 1/4, to more than 60 digits."""
    points, radius = 128, mp.mpf(1) / 4
    circle = [radius * mp.expjpi(mp.mpf(2) * j / points) for j in range(points)]
    values = [function(z) for z in circle]
    return [mp.re(sum(v / z ** (2 * n) for v, z in zip(values, circle, strict=True)) / points) for n in range(count)]


def in_mpmath(form: nnqft.ClosedForm, x):
    return sum(
        mp.mpf(c.numerator) / c.denominator * x**power * mp.exp(-mp.mpf(rate.numerator) / rate.denominator * x)
        for rate, polynomial in form.terms.items()
        for power, c in enumerate(polynomial)
    )


def test_every_term_through_eighth_order():
    """The σ_w^{2n} N^{−k} parts of the closed forms are those that the diagrams give in fractions, at several τ."""
    exact = nnqft.compute(bare_theory("linear"), "two_point", order=8, width_order=1, rtol=1.0)
    with mp.workdps(70):
        for k, kernel in KERNELS.items():
            for tau in map(mp.mpf, ("0", "0.3", "1", "4.5")):
                terms = even_taylor(lambda sigma, tau=tau, kernel=kernel: kernel(sigma, tau), 9)
                for n, term in enumerate(terms):
                    assert abs(term - in_mpmath(exact.closed_form(n, k), tau)) < mp.mpf(10) ** -40, (k, tau, n)


@pytest.mark.parametrize("sigma", [0.0, 1e-4, 0.3, 0.9, 0.999])
def test_two_point_is_the_closed_form(sigma):
    taus = [0.0, 0.3, 1.0, 4.5, 30.0]
    found = summed(sigma_w=sigma, tau=taus, N=7)
    with mp.workdps(50):
        for k, kernel in KERNELS.items():
            part = found.contribution("resummed", k)
            wanted = [float(kernel(mp.mpf(sigma), mp.mpf(tau)) / 7**k) for tau in taus]
            assert (np.abs(part.mean - wanted) <= part.rounding).all()
            assert (part.rounding < 1e-8 * max(wanted) + 1e-14).all()


def test_second_order_in_width_is_the_series():
    """C(τ) of width 2 through σ_w^10 in fractions, and the eight orders of C(0): a sum of few terms at small σ_w."""
    exact = nnqft.compute(bare_theory("linear"), "two_point", order=5, width_order=2, rtol=1.0)
    taus = [0.0, 0.3, 1.0, 4.5]
    for sigma in (0.01, 0.05):
        found = summed(sigma_w=sigma, width_order=2, tau=taus).contribution("resummed", 2).mean
        for m, tau in enumerate(taus):
            terms = sum(exact.closed_form(n, 2)(tau) * sigma ** (2 * n) for n in range(6))
            assert found[m] == pytest.approx(terms, rel=100 * sigma**8)
    for sigma in (1e-12, 1e-3, 0.05, 0.2):
        found = summed(sigma_w=sigma, width_order=2).contribution("resummed", 2).mean[0]
        terms = sum(float(Fraction(c)) * sigma ** (2 * n) for n, c in enumerate(SECOND))
        assert found == pytest.approx(terms, rel=1e3 * sigma**14 + 1e-14)


def test_every_pairing_of_second_order():
    """The moments themselves against the pairings, counted one by one."""
    for width in (0, 1, 2):
        found = linear_sums.moments(width, 11)
        for a in range(11):
            for b in range(11 - a):
                counts = oracles.trace_moment(a, b) if (a + b) % 2 == 0 else ()
                assert found[a, b] == (counts[width] if width < len(counts) else 0), (width, a, b)


def test_correlation_length():
    """2C(0)/κ = 1/m + γ²(γ−m)/(N m⁴)."""
    gamma, kappa, sigma, N = 1.3, 0.8, 0.9, 50
    m = np.sqrt(gamma**2 - sigma**2)
    found = summed(gamma=gamma, kappa=kappa, sigma_w=sigma, N=N).mean[0]
    assert 2 * found / kappa == pytest.approx(1 / m + gamma**2 * (gamma - m) / (N * m**4), rel=1e-13)


@pytest.mark.parametrize("start", ["stationary", "rest"])
@pytest.mark.parametrize("extra", [{}, STATIC], ids=["noise", "bias and input"])
def test_two_point_is_the_series(start, extra):
    """At a small coupling, where what the oracle's sixth order leaves out is a few percent of its last term."""
    times, sigma, N = (STATIONARY if start == "stationary" else REST), 0.2, 7
    found = summed(start=start, times=times, sigma_w=sigma, N=N, width_order=2, **RATES, **extra)
    wanted = oracles.linear_two_point(times, order=6, start=start, **RATES, **extra)
    for k in (0, 1, 2):
        terms = [wanted[n, k] * sigma ** (2 * n) / N**k for n in range(7)]
        gap = found.contribution("resummed", k).mean - sum(terms)
        assert (gap >= -1e-14).all()
        assert (gap <= 0.1 * terms[6] + 1e-14).all()


def test_response_is_the_series():
    times = [(0.0, 0.0), (0.7, 0.0), (1.0, 2.0), (3.0, 0.5)]
    wanted = oracles.linear_response(times, order=6, gamma=1.3)
    for start in ("stationary", "rest"):
        found = summed("response", start=start, times=times, sigma_w=0.2, N=3, gamma=1.3, width_order=2)
        for k in (0, 1, 2):
            terms = sum(wanted[n, k] * 0.2 ** (2 * n) / 3**k for n in range(7))
            assert_allclose(found.contribution("resummed", k).mean, terms, rtol=1e-9, atol=1e-16)


def spectrum(omega: float, gamma: float, sigma: float, k: int) -> float:
    """Of unit white noise through all diagrams of width k: |G|² times the sum over both chains."""
    m2 = gamma**2 - sigma**2
    if k == 0:
        return 1 / (omega**2 + m2)
    z, w = sigma**2 / (omega**2 + gamma**2), sigma**2 / (gamma - 1j * omega) ** 2
    if k == 1:
        chains = 2 * (w / (1 - w)).real / (1 - z) ** 2
    else:
        chains = 2 * z**2 * (1 + z - z**2) / ((1 - z) ** 5 * (1 + z))
        chains += 2 * (w * (1 + w) / (1 - w) ** 3).real / (1 - z) ** 2
        chains -= 2 * (w / (1 - w) ** 2).real * (1 - 3 * z) / (1 - z) ** 3
        chains += 2 * (w / (1 - w)).real * z * (3 * z**2 + z - 1) / ((1 - z) ** 4 * (1 + z))
    return chains / (omega**2 + gamma**2)


@pytest.mark.parametrize("rate", [0.4, 0.8, 1.2, 1.2000001, 7.0])
def test_input_with_memory(rate):
    """By its spectrum; 0.8 and 1.2 are rates of the network itself."""
    gamma, sigma, taus = 1.3, 0.5, [0.0, 0.4, 2.5]
    found = summed(gamma=gamma, sigma_w=sigma, kappa=0.0, sigma_u=0.7, q={rate: 0.6}, tau=taus, width_order=2)
    for k in (0, 1, 2):
        for m, tau in enumerate(taus):

            def density(omega: float, k: int = k) -> float:
                return 0.49 * 0.6 * 2 * rate / (omega**2 + rate**2) * spectrum(omega, gamma, sigma, k) / np.pi

            options = {"weight": "cos", "wvar": tau} if tau else {}
            wanted, error = quad(density, 0, np.inf, epsabs=1e-11, limlst=200, limit=400, **options)
            assert abs(found.contribution("resummed", k).mean[m] - wanted) < 1e-9 + error


# Networks, without diagrams


@pytest.fixture(autouse=True)
def one_thread():
    """Small matrices gain nothing from more threads and lose much where other work runs."""
    with threadpool_limits(1):
        yield


def test_stationary_networks():
    """At N = 30 the mushrooms are many standard errors, and what is beyond them a fraction of one."""
    N, sigma = 30, 0.5
    mean, sdev = oracles.simulate_linear(N, sigma, gamma=1.0, kappa=1.0, tau=[0.0, 1.5], samples=600, seed=11)
    found = summed(sigma_w=sigma, N=N, tau=[0.0, 1.5])
    assert (np.abs(found.mean - mean) < 4 * sdev).all()
    assert (np.abs(found.contribution("resummed", 0).mean - mean) > 4 * sdev)[0]


def test_networks_from_rest_beyond_the_stationary_limit():
    """σ_w > γ: no stationary state, but a growth from rest; each network exact by Lyapunov's equation."""
    N, sigma, samples = 40, 1.2, 250
    rng = np.random.default_rng(5)
    values = []
    for _ in range(samples):
        drift = rng.normal(0, sigma / np.sqrt(N), (N, N)) - np.eye(N)
        whole = solve_continuous_lyapunov(drift, -np.eye(N))
        half = expm(drift / 2)
        one, two = half @ half, half @ half @ half @ half
        early = [whole - chain @ whole @ chain.T for chain in (one, two)]
        values.append([np.trace(early[0]) / N, np.trace(half @ early[1]) / N])
    mean, sdev = np.mean(values, axis=0), np.std(values, axis=0, ddof=1) / np.sqrt(samples)
    found = summed(start="rest", sigma_w=sigma, N=N, times=[(1.0, 1.0), (2.5, 2.0)], width_order=2)
    assert (np.abs(found.mean - mean) < 4 * sdev).all()
    assert (np.abs(found.contribution("resummed", 0).mean - mean) > 4 * sdev).all()


# Its result


def test_result(tmp_path):
    found = summed(sigma_w=0.5, N=10, tau=[0.0, 1.0], rtol=1e-9)
    assert found.converged
    assert list(found.series) == [("resummed", 0), ("resummed", 1)]
    assert list(found.by_coupling) == ["1", "N^-1"]
    assert_allclose(found.mean, found.contribution("resummed", 0).mean + found.contribution("resummed", 1).mean)
    assert (found.sdev == 0).all()
    assert (found.total.rounding > 0).all()
    table = found.table()
    for words in ("all orders", "mushroom", "N^-2"):
        assert words in table
    labels = [text.get_text() for text in found.plot().get_legend().get_texts()]
    assert labels == ["N → ∞", "left out", "all orders, width order ≤ 1"]
    found.save(tmp_path / "r.json")
    again = nnqft.load(tmp_path / "r.json")
    assert again.request == found.request
    assert again.table() == table
    assert_allclose(again.contribution("resummed", 1).mean, found.contribution("resummed", 1).mean, rtol=0)


def test_what_is_left_out_is_said():
    """Where the model knows the next width order, how large it is."""
    sizes = [summed(sigma_w=0.7, N=20, width_order=k).contribution("resummed", k).mean[0] for k in range(3)]
    for k in (0, 1):
        (note,) = summed(sigma_w=0.7, N=20, width_order=k).notes
        assert note.endswith(
            f"N^-{k + 1} is left out, it would change this by up to {sizes[k + 1] / sum(sizes[: k + 1]):.1%}"
        )
    (note,) = summed(sigma_w=0.7, N=20, width_order=2).notes
    assert note.endswith("order N^-3 is left out")


def test_a_target_beyond_the_rounding_is_missed():
    found = summed(sigma_w=0.5, rtol=1e-17)
    assert not found.converged
    assert "larger than asked" in found.reason


def test_command_line(tmp_path, capsys):
    words = ["compute", "linear", "-p", "N=10", "-p", "sigma_w=0.5", "--order", "resummed", "-k", "1"]
    assert main([*words, "--tau", "0,1", "--json", str(tmp_path / "c.json")]) == 0
    assert "all orders" in capsys.readouterr().out
    assert json.loads((tmp_path / "c.json").read_text())["request"]["order"] == "resummed"
    assert main(words[:-2]) == 2
    assert "width_order is missing" in capsys.readouterr().err
    assert main(["compute", "linear", "--order", "all", "--rtol", "1"]) == 2
    assert "--order all: wanted a whole number ≥ 0 or 'resummed'" in capsys.readouterr().err


LINEAR = bare_theory("linear", sigma_w=0.5)
REFUSED = {
    "width_order is missing": {"width_order": None},
    "summed for width_order=0, 1 or 2": {"width_order": 3},
    "wanted a whole number ≥ 0 or 'resummed'": {"order": "resumed"},
    "diverges for σ_w² ≥ γ²": {"theory": bare_theory("linear", sigma_w=1.0)},
    "model 'quintic' has no resummed form: it gives no activation": {"theory": bare_theory("quintic", sigma_w=0.5)},
    "networks are summed for width_order=0 and 1": {"theory": bare_theory("cubic_tanh"), "width_order": 2},
    "these rules are not those of model 'linear'": {"theory": replace(LINEAR, vertices=LINEAR.vertices[:1])},
    "model 'stranger' is not installed": {"theory": replace(LINEAR, model="stranger")},
    "write a number for q": {
        "theory": bare_theory("linear", start="rest", sigma_u=1.0, q={1.0: 1.0}, sigma_w=0.5),
        "width_order": 2,
    },
    "from rest the sum reaches to t = 1000": {"theory": bare_theory("linear", start="rest", sigma_w=0.5)},
}


@pytest.mark.parametrize("message", REFUSED)
def test_refusals(message):
    case = {"theory": LINEAR, "observable": "two_point", "order": "resummed", "width_order": 1} | REFUSED[message]
    theory, observable = case.pop("theory"), case.pop("observable")
    times = [(1.0 if "for q" in message else 3000.0,) * 2] if theory.start == "rest" else None
    with pytest.raises(nnqft.InputError, match=message.replace("²", ".")):
        nnqft.compute(theory, observable, times=times, **case)


def test_what_needs_the_single_orders_says_so():
    found = summed(sigma_w=0.5)
    for ask in (lambda: found.contribution(1, 0), lambda: found.closed_form("resummed", 0), lambda: found.series.order):
        with pytest.raises(nnqft.InputError, match=r"compute (again )?with a whole number for order"):
            ask()
    with pytest.raises(nnqft.InputError, match="wanted a whole number"):
        nnqft.diagrams(LINEAR, "two_point", order="resummed")


def test_another_expansion_is_another_sum():
    theory = replace(LINEAR, parameters={**LINEAR.parameters, "expansion": "saddle"})
    with pytest.raises(nnqft.InputError, match="write expansion='bare'"):
        Linear().resummed(theory, "two_point", 0, np.zeros((1, 2)))
