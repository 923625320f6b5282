"""The exact integrator against answers that contain no diagrams, and what it leaves to others."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations, pairwise, permutations, product
from math import factorial, inf, perm, prod

import harness
import mpmath as mp
import numpy as np
import oracles
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.linalg import expm
from theories import bare_theory

import nnqft
from nnqft import Leg, Line, Memory, Propagator, Term, Theory, TimeIntegral, Vertex
from nnqft.host import default_host
from nnqft.integrals.distinct import distinct_integrals
from nnqft.integrals.integral import Branch
from nnqft_plugins.integrators.exact.states import count_upper_sets, upper_sets

EXACT = default_host().get("integrator", "exact")
VEGAS = default_host().get("integrator", "vegas")
RATES = {"gamma": 1.3, "kappa": 0.8}
PHI_CUBIC = {1: 1.0, 3: -1 / 3}
PAIRS = [(0.0, 0.0), (0.7, 0.0), (0.0, 0.7), (-2.0, 0.5), (3.0, 2.5)]
REST = [(0.0, 0.0), (1.2, 0.5), (0.5, 1.2), (0.0, 0.8), (0.9, 0.9), (4.0, 3.0)]
CLOSE = 1e-11


def exactly(theory: Theory, observable: str, **options) -> nnqft.Result:
    """A result that no diagram of which was sampled."""
    result = nnqft.compute(theory, observable, integrator="exact", rtol=1e-3, **options)
    assert result.converged
    assert result.integrators() == {"exact": len(result.diagrams)}
    assert result.total.samples == 0
    assert (result.sdev == 0).all()
    return result


def parts(result: nnqft.Result, order: int) -> np.ndarray:
    """(k, M): every width order of one order, as a coefficient of σ_w^{2n} N^{−k} if σ_w = N = 1."""
    return np.array([result.contribution(order, k).mean for k in range(result.request.order + 1)])


def assert_sum(found: np.ndarray, wanted: np.ndarray) -> None:
    """Σ_k found[k] = wanted at each time, to CLOSE of the largest part; a difference of larger things may round."""
    allowed = CLOSE * np.maximum(np.abs(found).max(axis=0), np.abs(wanted)) + 1e-15
    gap = np.abs(found.sum(axis=0) - wanted)
    assert (gap <= allowed).all(), f"{gap / allowed} times what is allowed; found {found}, wanted {wanted}"


# A Markov process with polynomial coefficients: moments at any times as power series in ε, without diagrams


@dataclass(frozen=True)
class Process:
    """Variables x with generator Σ c ε^j x^a ∂^b, `terms` = (c, j, a, b); what starts at 0 is named in `resets`."""

    terms: tuple[tuple[float, int, tuple[int, ...], tuple[int, ...]], ...]
    order: int
    resets: tuple[int, ...] = (0,)

    @property
    def variables(self) -> int:
        return len(self.terms[0][2])

    def act(self, monomial: tuple[int, ...]) -> dict[tuple[int, ...], float]:
        """The generator on ε^j x^e."""
        image: dict[tuple[int, ...], float] = defaultdict(float)
        j, e = monomial[0], monomial[1:]
        for c, power, a, b in self.terms:
            if j + power <= self.order and all(n >= d for n, d in zip(e, b, strict=True)):
                moved = tuple(n - d + m for n, d, m in zip(e, b, a, strict=True))
                image[j + power, *moved] += c * prod(perm(n, d) for n, d in zip(e, b, strict=True))
        return image

    def propagate(self, f: dict[tuple[int, ...], float], span: float) -> dict[tuple[int, ...], float]:
        """E[f(x(span)) | x(0) = x] as a polynomial in x."""
        images, waiting = {}, list(f)
        while waiting:
            if (monomial := waiting.pop()) not in images:
                images[monomial] = self.act(monomial)
                waiting += images[monomial]
        basis = sorted(images)
        place = {monomial: n for n, monomial in enumerate(basis)}
        matrix = np.zeros((len(basis), len(basis)))
        for monomial, image in images.items():
            for other, value in image.items():
                matrix[place[other], place[monomial]] += value
        vector = np.array([f.get(monomial, 0.0) for monomial in basis])
        if span < inf:
            return dict(zip(basis, expm(matrix * span) @ vector, strict=True))
        # What moves decays and feeds the constants on the way.
        moving = np.array([any(monomial[1:]) for monomial in basis], dtype=bool)
        decayed = np.linalg.solve(matrix[np.ix_(moving, moving)], vector[moving])
        final = vector[~moving] - matrix[np.ix_(~moving, moving)] @ decayed
        return dict(zip([m for m in basis if not any(m[1:])], final, strict=True))

    def moment(self, times: Sequence[float], start: str = "stationary") -> np.ndarray:
        """⟨Π x_0(t)⟩, (order + 1,) coefficients of ε^j."""
        f, now = {(0,) * (1 + self.variables): 1.0}, max(times)
        for t in sorted(times, reverse=True):
            f = {(j, i + 1, *e): value for (j, i, *e), value in self.propagate(f, now - t).items()}
            now = t
        if start == "rest":
            f = self.propagate(f, now)
            f = {m: value for m, value in f.items() if not any(m[1 + n] for n in self.resets)}
        series = np.zeros(self.order + 1)
        for monomial, value in self.propagate(f, inf).items():
            series[monomial[0]] += value
        return series

    def cumulant(self, times: Sequence[float], start: str = "stationary") -> np.ndarray:
        """The connected moment."""
        return connect(lambda part: self.moment([times[n] for n in part], start), len(times), self.order)


def connect(moment, count: int, order: int) -> np.ndarray:
    """Cumulant of `count` things from their moments: κ(S) = m(S) − Σ κ(T) m(S∖T) over T ⊂ S that hold the first."""
    moment = cache(moment)

    @cache
    def cumulant(members: tuple[int, ...]) -> np.ndarray:
        total, (first, *others) = moment(members), members
        for size in range(len(others)):
            for chosen in combinations(others, size):
                left = tuple(n for n in others if n not in chosen)
                total = total - np.convolve(cumulant((first, *chosen)), moment(left))[: order + 1]
        return total

    return cumulant(tuple(range(count)))


def diffusion(drift: dict[int, float], noise: float, order: int, mu: float = 1.0) -> Process:
    """dx = −(μx + ε Σ drift[p] x^p) dt + √noise dB."""
    pull = [(-c, 1, (p,), (1,)) for p, c in drift.items()]
    return Process(((-mu, 0, (1,), (1,)), (noise / 2, 0, (0,), (2,)), *pull), order)


MU, LAM, STRENGTH = 1.1, 0.7, 1.9


def coloured(drift: dict[int, float]) -> Theory:
    """dx = −(μx + Σ drift[p] x^p) dt + η dt, ⟨ηη⟩ = strength·e^{−λ|τ|}: C is a sum of two exponentials."""
    site = nnqft.theory("langevin", drift={1: MU} | drift)
    size = STRENGTH * LAM / (LAM**2 - MU**2)
    line = Propagator("C", "h", "h", terms=(Term(size / MU, MU), Term(-size / LAM, LAM)))
    return replace(site, propagators=(line, *site.propagators[1:]))


def coloured_process(drift: dict[int, float], order: int) -> Process:
    pull = [(-c, 1, (p, 0), (1, 0)) for p, c in drift.items()]
    noise = [(1.0, 0, (0, 1), (1, 0)), (-LAM, 0, (0, 1), (0, 1)), (LAM * STRENGTH, 0, (0, 0), (0, 2))]
    return Process(((-MU, 0, (1, 0), (1, 0)), *noise, *pull), order)


SLOW, FAST = 0.8, 2.1


def oscillator(drift: dict[int, float]) -> Theory:
    """ẍ + (a+b)ẋ + abx + Σ drift[p] x^p = ξ, overdamped: both lines are differences of e^{−aτ} and e^{−bτ}."""
    site = nnqft.theory("langevin", drift={1: 1.0} | drift)
    gap = FAST**2 - SLOW**2
    lines = (
        Propagator("C", "h", "h", terms=(Term(1 / (2 * SLOW * gap), SLOW), Term(-1 / (2 * FAST * gap), FAST))),
        Propagator("G", "h", "z", terms=(Term(1 / (FAST - SLOW), SLOW), Term(-1 / (FAST - SLOW), FAST))),
    )
    return replace(site, propagators=lines)


def oscillator_process(drift: dict[int, float], order: int) -> Process:
    free = [(1.0, 0, (0, 1), (1, 0)), (-(SLOW + FAST), 0, (0, 1), (0, 1)), (-SLOW * FAST, 0, (1, 0), (0, 1))]
    pull = [(-c, 1, (p, 0), (0, 1)) for p, c in drift.items()]
    return Process((*free, (0.5, 0, (0, 0), (0, 2)), *pull), order)


MEMORY = ((0.6, 0.5), (0.3, 2.3))


def shaken(start: str = "stationary", *, kernel: bool = False) -> Theory:
    """dx = −μx dt + ζ x dt + √2 dB with ⟨ζζ⟩ = Σ a e^{−λ|τ|} averaged over: a vertex of two points with a memory."""
    site = nnqft.theory("langevin", start=start, drift={1: MU})
    legs = (Leg("z", 0), Leg("h", 0), Leg("z", 1), Leg("h", 1))
    vertex = Vertex("zx zx", legs, 0.5, memory=(Memory(0, 1, tuple(Term(a, rate) for a, rate in MEMORY)),))
    if kernel:
        vertex = replace(vertex, memory=(), kernel=shaken_kernel)
    return replace(site, vertices=(vertex,))


def shaken_kernel(times, params, xp):
    return sum(a * xp.exp(-rate * xp.abs(times[0] - times[1])) for a, rate in MEMORY)


def shaken_process(order: int) -> Process:
    """ζ is a sum of two Ornstein–Uhlenbeck processes; ε is its amplitude, so diagrams of order n are at ε^{2n}."""
    (a, one), (b, two) = MEMORY
    shake = [(a**0.5, 1, (1, 1, 0), (1, 0, 0)), (b**0.5, 1, (1, 0, 1), (1, 0, 0))]
    relax = [(-one, 0, (0, 1, 0), (0, 1, 0)), (-two, 0, (0, 0, 1), (0, 0, 1))]
    noise = [(1.0, 0, (0, 0, 0), (2, 0, 0)), (one, 0, (0, 0, 0), (0, 2, 0)), (two, 0, (0, 0, 0), (0, 0, 2))]
    return Process(((-MU, 0, (1, 0, 0), (1, 0, 0)), *noise, *shake, *relax), 2 * order)


def test_the_process_knows_the_boltzmann_distribution():
    process = diffusion({3: 1.0}, 2.0, 3)
    for count in (2, 4):
        wanted = [float(c) for c in oracles.langevin_cumulants(1, {3: 1}, 2, 3, count)]
        assert_allclose(process.cumulant([0.0] * count), wanted, rtol=1e-12, atol=1e-12)


# Networks


@pytest.mark.parametrize("start", ["stationary", "rest"])
@pytest.mark.parametrize(
    ("extra", "order"),
    [({}, 5), ({"sigma_b": 0.5, "sigma_u": 0.7, "q": 0.6}, 4), ({"sigma_b": 0.5}, 3)],
    ids=["noise", "bias and input", "bias"],
)
def test_linear_two_point(start, extra, order):
    times = PAIRS if start == "stationary" else REST
    result = exactly(bare_theory("linear", start=start, **RATES, **extra), "two_point", order=order, times=times)
    wanted = oracles.linear_two_point(times, order=order, start=start, **RATES, **extra)
    for n in range(order + 1):
        assert_allclose(parts(result, n), wanted[n], rtol=CLOSE, atol=1e-14 * np.abs(wanted[n]).max())


@pytest.mark.parametrize("start", ["stationary", "rest"])
def test_linear_response(start):
    times = [(0.7, 0.0), (1.2, 0.5), (6.0, 1.0), (0.5, 0.5), (0.5, 1.2)]
    result = exactly(bare_theory("linear", start=start, **RATES), "response", order=4, times=times)
    wanted = oracles.linear_response(times, order=4, gamma=RATES["gamma"])
    for n in range(5):
        assert_allclose(parts(result, n), wanted[n], rtol=CLOSE, atol=0)


def test_width_and_coupling_multiply_each_part():
    bare = exactly(bare_theory("quintic"), "two_point", order=2, tau=[0.7])
    dressed = exactly(bare_theory("quintic", N=5, sigma_w=0.3), "two_point", order=2, tau=[0.7])
    for (n, k), part in bare.series.items():
        assert_allclose(dressed.contribution(n, k).mean, part.mean * 0.3 ** (2 * n) / 5**k, 1e-12, 1e-15)


@pytest.mark.parametrize("start", ["stationary", "rest"])
@pytest.mark.parametrize("sigma_b", [0.0, 0.4])
def test_cubic_tanh_at_one_site(start, sigma_b):
    times = PAIRS if start == "stationary" else REST[1:5]
    theory = bare_theory("cubic_tanh", start=start, sigma_b=sigma_b, **RATES)
    # From rest with a bias C has five terms: second order has 625 products, and is left to Monte Carlo.
    order = 1 if start == "rest" and sigma_b else 2
    result = exactly(theory, "two_point", order=order, times=times)
    wanted = oracles.one_site(PHI_CUBIC, times, order=order, sigma_b=sigma_b, start=start, **RATES)
    for n in range(order + 1):
        assert_sum(parts(result, n), wanted[n])


@pytest.mark.parametrize("sigma_b", [0.0, 0.4])
def test_cubic_tanh_at_infinite_width(sigma_b):
    tau = [0.0, 0.3, 2.0] if sigma_b else [0.0, 0.3, 0.7, 2.0, 9.0]
    theory = bare_theory("cubic_tanh", sigma_b=sigma_b, **RATES)
    result = exactly(theory, "two_point", order=3, width_order=0, tau=tau)
    wanted = oracles.infinite_width(PHI_CUBIC, tau, order=3, sigma_b=sigma_b, **RATES)
    for n in range(4):
        assert_allclose(result.contribution(n, 0).mean, wanted[n], rtol=CLOSE)


@pytest.mark.parametrize("sigma_b", [0.0, 0.4])
def test_quintic_at_infinite_width(sigma_b):
    tau = [0.0, 0.3, 0.7, 2.0, 9.0]
    theory = bare_theory("quintic", sigma_b=sigma_b, **RATES)
    result = exactly(theory, "two_point", order=3, width_order=0, tau=tau)
    wanted = oracles.infinite_width(None, tau, order=3, quintic_truncation=True, sigma_b=sigma_b, **RATES)
    for n in range(4):
        assert_allclose(result.contribution(n, 0).mean, wanted[n], rtol=CLOSE)


# Values on record from before this code, to twelve digits: coefficients of σ_w^{2n} N^{−k} at γ = 1.3, κ = 0.8
SAMPLES = {
    ("linear", 2, 0.7): [0.035548665254, 0.125032176763, 0.161819894147],
    ("cubic_tanh", 1, 0.0): [0.046504153503, 0.013466453717],
    ("cubic_tanh", 2, 0.0): [0.005549583576, -0.002082920896, -0.000628873524],
    ("cubic_tanh", 2, 0.7): [0.005066122233, 0.001528947344, -0.000775292436],
    ("quintic", 1, 0.7): [0.026918569655, -0.004480321096],
    ("quintic", 2, 0.7): [0.000357709761, 0.002395751500, 0.129282598008],
}


@pytest.mark.parametrize(("model", "order", "tau"), SAMPLES)
def test_sample_values(model, order, tau):
    result = exactly(bare_theory(model, **RATES), "two_point", order=order, tau=[tau])
    for k, wanted in enumerate(SAMPLES[model, order, tau]):
        assert_allclose(result.contribution(order, k).mean, wanted, atol=6e-13, rtol=0)


def test_white_noise_fixes_the_slope_at_every_width():
    """C'(0+) = −κ/2 from the lines alone, at third order, by small lags and by fractions."""
    small = 2.0**-12
    theory = bare_theory("cubic_tanh", kappa=1.0, gamma=1.0)
    result = exactly(theory, "two_point", order=3, width_order=1, tau=[0.0, small, 2 * small])
    for n, k in [(1, 0), (1, 1), (2, 0), (2, 1), (3, 0), (3, 1)]:
        at = result.contribution(n, k).mean
        curvature = abs(at[0] - 2 * at[1] + at[2]) / small**2
        assert abs((-3 * at[0] + 4 * at[1] - at[2]) / (2 * small)) < 20 * small**2 * max(curvature, abs(at[0]))
    free = result.contribution(0, 0).mean
    assert_allclose((-3 * free[0] + 4 * free[1] - free[2]) / (2 * small), -0.5, rtol=1e-6)


@settings(deadline=None, max_examples=12)
@given(
    phi=st.dictionaries(
        st.integers(0, 3), st.integers(-8, 8).filter(bool).map(lambda n: n / 8), min_size=1, max_size=2
    ),
    times=st.tuples(st.floats(0, 4), st.floats(0, 4)),
    start=st.sampled_from(["stationary", "rest"]),
    sigma_b=st.sampled_from([0.0, 0.4]),
)
def test_any_activation_at_one_site(phi, times, start, sigma_b):
    theory = bare_theory("taylor", coefficients=phi, start=start, sigma_b=sigma_b, **RATES)
    result = exactly(theory, "two_point", order=1, times=[times])
    wanted = oracles.one_site(phi, [times], order=1, sigma_b=sigma_b, start=start, **RATES)
    for n in range(2):
        assert_sum(parts(result, n), wanted[n])


def test_mean_of_an_activation_with_even_powers():
    phi, times = {0: 0.3, 1: 1.0, 2: -0.5}, [(0.4,), (2.0,)]
    theory = bare_theory("taylor", coefficients=phi, start="rest", sigma_b=0.4, **RATES)
    result = exactly(theory, "mean", order=2, times=times)
    lone = [t for (t,) in times]
    wanted = oracles.one_site_mean(phi, lone, order=2, sigma_b=0.4, start="rest", **RATES)
    for n in range(3):
        assert_sum(parts(result, n), wanted[n])


@pytest.mark.parametrize("times", [(0.0, 0.0, 0.0, 0.0), (1.5, 0.9, 0.4, 0.0), (0.2, 1.1, 1.1, 0.2)], ids=str)
def test_four_point_cumulant_of_a_network_at_one_site(times):
    """The weight w of one site is the ε of a diffusion, averaged over at the end."""
    order = 2
    process = Process(
        (
            (-1.3, 0, (1,), (1,)),
            (0.4, 0, (0,), (2,)),
            *((c, 1, (p,), (1,)) for p, c in {1: 1.0, 3: -1 / 3}.items()),
        ),
        2 * order,
    )

    def averaged(part: tuple[int, ...]) -> np.ndarray:
        series = process.moment([times[n] for n in part])
        return np.array([series[2 * n] * oracles.gaussian_moment(2 * n) for n in range(order + 1)])

    wanted = connect(averaged, 4, order)
    theory = bare_theory("cubic_tanh", **RATES)
    result = exactly(theory, "cumulant", order=1, times=[times])
    assert_sum(parts(result, 1), wanted[[1]])
    linear = exactly(bare_theory("linear", **RATES), "cumulant", order=3, times=[times])
    process = replace(process, terms=process.terms[:3], order=6)
    order = 3
    wanted = connect(averaged, 4, order)
    for n in range(4):
        assert_sum(parts(linear, n), wanted[[n]])


# Feedforward: weights drawn anew at every depth


@pytest.mark.parametrize("start", ["stationary", "rest"])
def test_feedforward_linear_obeys_its_closed_equation(start):
    """d⟨h²⟩/dt = (σ_w² − 2γ) ⟨h²⟩ + κ + σ_b², and C(t,s) = e^{−γ(t−s)} C(s,s), at any width."""
    gamma, noise, first, order = 1.3, 0.8 + 0.5**2, 0.9, 4
    times = PAIRS if start == "stationary" else REST
    theory = nnqft.theory("feedforward", start=start, sigma_b=0.5, C_0=first, N=7, **RATES)
    result = exactly(theory, "two_point", order=order, times=times)
    matrix = np.diag([-2 * gamma] * (order + 1) + [0.0]) + np.diag([1.0] * order + [0.0], -1)
    matrix[0, -1], matrix[-1, order] = noise, 0.0
    begin = np.zeros(order + 2)
    begin[0], begin[-1] = first, 1.0
    for m, (t, s) in enumerate(times):
        equal = noise / (2 * gamma) ** np.arange(1, order + 2)
        if start == "rest":
            equal = (expm(matrix * min(t, s)) @ begin)[:-1]
        for n in range(order + 1):
            assert_allclose(result.contribution(n, 0).mean[m], equal[n] * np.exp(-gamma * abs(t - s)), rtol=CLOSE)
            assert all(result.contribution(n, k).mean[m] == 0 for k in range(1, order + 1))


@pytest.mark.parametrize("start", ["stationary", "rest"])
@pytest.mark.parametrize("phi", [{1: 1.0}, PHI_CUBIC], ids=["linear", "cubic"])
def test_feedforward_at_one_site(phi, start):
    """dh = −γh dt + σ_w φ(h) dW + √κ dB: the generator has ½(κ + σ_w² φ²) ∂²."""
    square: dict[int, float] = defaultdict(float)
    for (p, a), (q, b) in product(phi.items(), repeat=2):
        square[p + q] += a * b
    order = 3 if len(phi) == 1 else 1
    push = [(c / 2, 1, (p,), (2,)) for p, c in square.items()]
    process = Process(((-1.3, 0, (1,), (1,)), (0.4, 0, (0,), (2,)), *push), order)
    theory = nnqft.theory("feedforward", start=start, coefficients=phi, **RATES)
    for times in [(0.9, 0.9, 0.9, 0.9), (1.7, 0.9, 0.5, 0.5), (1.7, 1.1)]:
        result = exactly(theory, "cumulant", order=order, times=[times])
        wanted = process.cumulant(times, start)
        for n in range(order + 1):
            assert_sum(parts(result, n), wanted[[n]])


# One site: several times, several exponentials


@pytest.mark.parametrize("start", ["stationary", "rest"])
def test_langevin_two_point(start):
    drift, order = {3: 1.0}, 3
    times = [(0.0, 0.0), (0.25, 0.0), (0.0, 1.0), (2.0, 1.5), (6.0, 1.0)]
    theory = nnqft.theory("langevin", start=start, drift={1: 1.2, **drift}, noise=1.4)
    result = exactly(theory, "two_point", order=order, times=times)
    process = diffusion(drift, 1.4, order, mu=1.2)
    for m, pair in enumerate(times):
        wanted = process.moment(pair, start)
        for n in range(order + 1):
            assert_allclose(result.contribution(n, 0).mean[m], wanted[n], rtol=CLOSE, atol=1e-15)


@pytest.mark.parametrize("count", [2, 4])
def test_langevin_equal_times_are_those_of_boltzmann(count):
    theory = nnqft.theory("langevin", drift={1: 1.0, 3: 1.0}, noise=2.0)
    result = exactly(theory, "cumulant", order=3, times=[(0.0,) * count])
    for n, wanted in enumerate(oracles.langevin_cumulants(1, {3: 1}, 2, 3, count)):
        assert_allclose(result.contribution(n, 0).mean, float(wanted), rtol=1e-12)


MANY_TIMES = [
    (0.0, 0.5, 1.3),
    (1.3, 0.5, 0.5),
    (0.8, 0.8, 0.8),
    (0.3, 2.0, 0.9, 1.4),
    (0.3, 0.3, 0.9, 1.4),
    (1.4, 0.3, 0.9, 1.4),
    (0.9, 0.2, 0.2, 0.9),
    (0.2, 0.9, 0.9, 0.9),
]


@pytest.mark.parametrize("start", ["stationary", "rest"])
@pytest.mark.parametrize("times", MANY_TIMES, ids=str)
def test_cumulants_at_several_times(times, start):
    drift = {2: 0.6, 3: 1.0}
    theory = nnqft.theory("langevin", start=start, drift={1: 1.0, **drift})
    result = exactly(theory, "cumulant", order=2, times=[times])
    wanted = diffusion(drift, 2.0, 2).cumulant(times, start)
    for n in range(3):
        assert_allclose(
            result.contribution(n, 0).mean[0], wanted[n], rtol=CLOSE, atol=1e-13 * max(1, abs(wanted).max())
        )


@pytest.mark.parametrize("start", ["stationary", "rest"])
def test_the_order_of_the_columns_does_not_matter(start):
    theory = nnqft.theory("langevin", start=start, drift={1: 1.0, 2: 0.6, 3: 1.0})
    shuffled = [*permutations((0.3, 2.0, 0.9, 0.3)), *permutations((1.1, 1.1, 1.1, 0.1))]
    result = exactly(theory, "cumulant", order=2, times=shuffled)
    for half in np.split(result.mean, 2):
        assert_allclose(half, half[0], rtol=1e-13)


def test_tuples_of_one_request_do_not_mix():
    """A grid of tuples in all orders gives what each gives alone."""
    theory = nnqft.theory("langevin", drift={1: 1.0, 2: 0.6, 3: 1.0})
    times = [t for t in MANY_TIMES if len(t) == 4]
    together = exactly(theory, "cumulant", order=2, times=times)
    for m, each in enumerate(times):
        assert_allclose(together.mean[m], exactly(theory, "cumulant", order=2, times=[each]).mean[0], rtol=1e-13)


@pytest.mark.parametrize("name", ["coloured noise", "oscillator"])
def test_lines_of_several_exponentials(name):
    drift, order = {2: 0.4, 3: 0.7}, 2
    theory = coloured(drift) if name == "coloured noise" else oscillator(drift)
    process = (coloured_process if name == "coloured noise" else oscillator_process)(drift, order)
    for times in [(0.0, 0.0), (0.9, 0.0), (0.0, 3.0), (1.3, 0.4, 0.0), (1.3, 0.4, 0.4)]:
        result = exactly(theory, "cumulant", order=order, times=[times])
        wanted = process.cumulant(times)
        for n in range(order + 1):
            assert_allclose(result.contribution(n, 0).mean[0], wanted[n], rtol=CLOSE, atol=1e-14)


@pytest.mark.parametrize("start", ["stationary", "rest"])
def test_vertex_with_memory(start):
    order = 2
    times = [(0.4, 0.4), (1.1, 0.3), (0.3, 1.1), (4.0, 1.0)]
    result = exactly(shaken(start), "two_point", order=order, times=times)
    process = shaken_process(order)
    for m, pair in enumerate(times):
        wanted = process.moment(pair, start)
        for n in range(order + 1):
            assert_allclose(result.contribution(n, 0).mean[m], wanted[2 * n], rtol=CLOSE)


def test_memory_of_rate_zero_is_static_disorder():
    """⟨ζζ⟩ = 1 for ever: the linear network at N = 1."""
    theory = shaken()
    (vertex,) = theory.vertices
    theory = replace(theory, vertices=(replace(vertex, memory=(Memory(0, 1, (Term(1.0, 0.0),)),)),))
    result = exactly(theory, "two_point", order=3, times=PAIRS)
    wanted = oracles.one_site({1: 1.0}, PAIRS, order=3, gamma=MU, kappa=2.0)
    for n in range(4):
        assert_allclose(result.contribution(n, 0).mean, wanted[n], rtol=CLOSE)


# Quadrature


def quadrature(integral: TimeIntegral, times: Sequence[float], nodes: int = 14) -> float:
    """The integral from rest by Gauss–Legendre in every cell without kinks: one order of all times, external or not."""
    x, w = np.polynomial.legendre.leggauss(nodes)
    x, w = (x + 1) / 2, w / 2
    marks = sorted({0.0, *times})
    cells = list(pairwise(marks))
    total = 0.0
    for where in product(range(len(cells)), repeat=integral.dim):
        crowd = [[v for v, c in enumerate(where) if c == n] for n in range(len(cells))]
        for orders in product(*(permutations(points) for points in crowd)):
            total += _cell(integral, times, cells, orders, x, w)
    return total


def _cell(integral, times, cells, orders, x, w) -> float:
    axes = np.meshgrid(*[x] * integral.dim, indexing="ij")
    weight = prod(np.meshgrid(*[w] * integral.dim, indexing="ij"))
    point, axis = {}, 0
    for (low, high), order in zip(cells, orders, strict=True):
        top = high
        for v in order:  # latest first, each below the one before it
            point[v], weight = low + (top - low) * axes[axis], weight * (top - low)
            top, axis = point[v], axis + 1
    at = [*times, *(point[v] for v in range(integral.dim))]
    value = weight
    for line in all_lines(integral):
        t, s = at[line.end], at[line.start]
        value = value * integral.propagators[line.propagator](t, s) * ((t > s) if line.response else 1.0)
    return float(np.sum(value))


def all_lines(integral: TimeIntegral) -> list[Line]:
    """The lines of the integrand and those that the forest took out of it."""
    externals = integral.times.shape[1]
    forest = [
        Line(b.propagator, b.parent, externals + n, True)
        for n, b in enumerate(integral.branches)
        if not b.below and not b.others
    ]
    return [*integral.lines, *forest]


def rest_oscillator() -> Theory:
    """Lines with several exponentials, and with a start that is remembered at two rates; not of any real process."""
    theory = oscillator({2: 0.4, 3: 0.7})
    line = Propagator("C", "h", "h", terms=(Term(0.9, 0.6), Term(-0.4, 1.7, 0.8), Term(0.3, 0.0, 2.2)))
    return replace(theory, start="rest", propagators=(line, theory.propagators[1]))


QUADRATURE = {
    "memory": (shaken("rest"), "two_point", 1, (1.1, 0.3)),
    "memory, equal times": (shaken("rest"), "two_point", 1, (0.8, 0.8)),
    "several exponentials": (rest_oscillator(), "two_point", 2, (1.1, 0.3)),
    "three times": (rest_oscillator(), "cumulant", 2, (0.4, 1.1, 0.9)),
    "response": (rest_oscillator(), "response", 2, (1.4, 0.3)),
    "cubic": (bare_theory("cubic_tanh", start="rest", sigma_b=0.3), "two_point", 1, (0.5, 1.2)),
    "feedforward": (nnqft.theory("feedforward", start="rest", C_0=0.7), "cumulant", 2, (0.4, 1.1, 0.4, 0.9)),
}


@pytest.mark.parametrize("case", QUADRATURE)
def test_every_integral_against_quadrature(case):
    theory, observable, order, times = QUADRATURE[case]
    found = nnqft.diagrams(theory, observable, order=order, arity=len(times))
    integrals, _ = distinct_integrals(found, np.array([times]))
    for integral in integrals:
        values, bounds = EXACT.settle([integral])
        assert_allclose(values[0, 0], quadrature(integral, times), rtol=1e-10, atol=1e-14)
        assert bounds[0, 0] <= CLOSE * max(abs(values[0, 0]), 1e-2)


# Against Monte Carlo

SAMPLED = {
    "linear": (bare_theory("linear", sigma_b=0.5, **RATES), "two_point", 4, (0.7, 0.0)),
    "cubic": (bare_theory("cubic_tanh", **RATES), "two_point", 2, (0.7, 0.0)),
    "cubic from rest": (bare_theory("cubic_tanh", start="rest", sigma_b=0.5, **RATES), "two_point", 2, (0.5, 1.3)),
    "quintic": (bare_theory("quintic", **RATES), "two_point", 2, (0.0, 0.0)),
    "feedforward": (nnqft.theory("feedforward", coefficients=PHI_CUBIC), "two_point", 2, (0.0, 0.0)),
    "langevin, four times": (nnqft.theory("langevin"), "cumulant", 2, (0.7, 0.2, 1.1, 0.7)),
    "coloured noise": (coloured({3: 0.7}), "cumulant", 2, (0.7, 0.2)),
    "oscillator": (oscillator({2: 0.4, 3: 0.7}), "two_point", 2, (0.7, 0.0)),
    "memory": (shaken(), "two_point", 2, (0.7, 0.0)),
    "memory from rest": (shaken("rest"), "two_point", 2, (0.5, 1.3)),
    "response": (nnqft.theory("langevin", drift={1: 1.0, 2: 0.4, 3: 1.0}), "response", 2, (1.3, 0.2)),
}


@cache
def sampled_cases(name: str) -> list[harness.Case]:
    """A few random integrals, with the values of the exact integrator as known."""
    theory, observable, order, times = SAMPLED[name]
    found = nnqft.diagrams(theory, observable, order=order, arity=len(times))
    integrals, _ = distinct_integrals(found, np.array([times]))
    integrals = [i for i in integrals if i.dim > 0]
    chosen = np.random.default_rng(11).permutation(len(integrals))[:8]
    return [harness.Case(f"{name} {n}", integrals[n], EXACT.settle([integrals[n]])[0][0]) for n in chosen]


def test_monte_carlo_agrees():
    cases = [case for name in SAMPLED for case in sampled_cases(name)]
    pulls = harness.measure(VEGAS, cases, repeats=6, neval=2048, seed=2)
    print(len(cases), pulls)
    assert len(cases) > 60
    assert not pulls.complaints, pulls.complaints


def test_monte_carlo_would_see_a_wrong_value():
    cases = [replace(case, exact=1.01 * case.exact) for name in SAMPLED for case in sampled_cases(name)]
    assert harness.measure(VEGAS, cases, repeats=6, neval=2048, seed=2).complaints


def test_memory_equals_the_same_factor_as_a_kernel():
    times = [(0.4, 0.4), (1.1, 0.3)]
    exact = exactly(shaken(), "two_point", order=1, times=times)
    sampled = nnqft.compute(shaken(kernel=True), "two_point", order=1, times=times, neval=200_000, seed=1)
    assert sampled.integrators() == {"exact": 1, "vegas": len(sampled.diagrams) - 1}
    assert (np.abs(sampled.mean - exact.mean) < 4 * sampled.sdev).all()
    assert (sampled.sdev < 1e-2 * sampled.mean).all()


# Rounding


def in_high_precision(form: nnqft.ClosedForm, tau: float) -> mp.mpf:
    x = mp.mpf(form.gamma.numerator) / form.gamma.denominator * mp.mpf(tau)
    total = mp.mpf(0)
    for rate, polynomial in form.terms.items():
        value = sum(mp.mpf(c.numerator) / c.denominator * x**n for n, c in enumerate(polynomial))
        total += value * mp.exp(-mp.mpf(rate.numerator) / rate.denominator * x)
    return total


@pytest.mark.parametrize("tau", [0.0, 1e-9, 0.01, 0.3, 1.0, 3.0, 10.0, 33.0, 100.0, 500.0])
@pytest.mark.parametrize(("model", "order"), [("linear", 3), ("cubic_tanh", 2)])
def test_rounding_stays_within_its_bound(model, order, tau):
    found = nnqft.diagrams(bare_theory(model), "two_point", order=order)
    integrals, _ = distinct_integrals(found, np.array([[tau, 0.0]]))
    integrals = integrals[:: 1 + len(integrals) // 30]
    with mp.workdps(50):
        for integral in integrals:
            values, bounds = EXACT.settle([integral])
            judge = in_high_precision(EXACT.closed_form(integral), tau)
            assert abs(mp.mpf(float(values[0, 0])) - judge) <= bounds[0, 0], (tau, integral.key)
            assert bounds[0, 0] < CLOSE * judge


def exact_chains(a: int, b: int, t: float, s: float) -> mp.mpf:
    """Two chains of responses from t and s, joined by (1/2)(e^{−|t−s|} − e^{−(t+s)}), γ = κ = 1, from 0."""
    if t < s:
        a, b, t, s = b, a, s, t
    gap, upper = mp.mpf(t) - mp.mpf(s), mp.mpf(s)
    total = mp.mpf(0)
    for j in range(a + 1):
        tail = mp.gammainc(b + j + 1, 0, 2 * upper) / mp.mpf(2) ** (b + j + 1)
        total += gap ** (a - j) / (mp.factorial(a - j) * mp.factorial(b) * mp.factorial(j)) * tail
    return mp.exp(-gap) * total


@pytest.mark.parametrize("times", [(0.01, 0.01), (0.5, 0.25), (3.0, 5.0), (40.0, 31.0), (300.0, 299.0)], ids=str)
def test_rounding_stays_within_its_bound_from_rest(times):
    theory = bare_theory("linear", start="rest")
    found = nnqft.diagrams(theory, "two_point", order=3)
    integrals, _ = distinct_integrals(found, np.array([times]))
    with mp.workdps(60):
        for integral in integrals:
            values, bounds = EXACT.settle([integral])
            judge = exact_chains(*harness.chain_lengths(integral), *times)
            assert abs(mp.mpf(float(values[0, 0])) - judge) <= bounds[0, 0], integral.key


def test_bounds_add_up_in_a_result():
    result = exactly(bare_theory("quintic"), "two_point", order=2, width_order=1, tau=[0.0, 0.7, 2.0])
    with mp.workdps(40):
        for (n, k), part in result.series.items():
            form = result.closed_form(n, k)
            for m, tau in enumerate((0.0, 0.7, 2.0)):
                gap = abs(mp.mpf(float(part.mean[m])) - in_high_precision(form, tau))
                assert gap <= part.rounding[m] < 1e-10
    assert (result.total.rounding < CLOSE).all()


def test_small_values_keep_their_digits():
    """Positive terms throughout: e^{−600} times a polynomial is as good as any number."""
    result = exactly(bare_theory("linear"), "two_point", order=2, tau=[600.0])
    wanted = oracles.linear_two_point([(600.0, 0.0)], order=2, gamma=1.0, kappa=1.0)
    for n in range(3):
        assert_allclose(parts(result, n)[: n + 1], wanted[n, : n + 1], rtol=CLOSE)


# What is supported


def first_integral(theory: Theory, observable: str = "two_point", order: int = 1, times=((0.7, 0.0),)) -> TimeIntegral:
    """An integral of the highest order."""
    found = nnqft.diagrams(theory, observable, order=order, arity=len(times[0]))
    return nnqft.time_integral(found[len(found) - 1], theory, np.array(times))


def with_kernel_line(theory: Theory) -> Theory:
    """C given by a function instead of its exponentials."""
    line = next(p for p in theory.propagators if p.name == "C")
    spoilt = replace(line, terms=(), kernel=lambda t, s, params, xp: line(t, s, xp))
    return replace(theory, propagators=tuple(spoilt if p is line else p for p in theory.propagators))


def with_many_terms(theory: Theory, count: int) -> Theory:
    """C split into equal terms."""
    line = next(p for p in theory.propagators if p.name == "C")
    (term,) = line.terms
    spoilt = replace(line, terms=(replace(term, amplitude=term.amplitude / count),) * count)
    return replace(theory, propagators=tuple(spoilt if p is line else p for p in theory.propagators))


def fan(points: int) -> TimeIntegral:
    """One point with many that hang from it, each with a line to itself: 2^{points − 1} + 1 upper sets."""
    theory = bare_theory("linear")
    branches = (Branch(0, "G"), *[Branch(1, "G")] * (points - 1))
    lines = tuple(Line("C", p, p, False) for p in range(1, points + 1))
    return TimeIntegral(theory, np.zeros((1, 1)), branches, lines)


LANGEVIN = nnqft.theory("langevin")


@pytest.mark.parametrize(
    ("integral", "reason"),
    [
        (first_integral(with_kernel_line(LANGEVIN)), "line C is not a sum of exponentials"),
        (first_integral(shaken(kernel=True)), "a vertex has a kernel over its times"),
        (first_integral(with_many_terms(LANGEVIN, 7), order=2), "343 products of exponentials, more than 256"),
        (first_integral(LANGEVIN, times=((1e9, 0.0),)), "times too far apart"),
        (first_integral(nnqft.theory("langevin", start="rest"), times=((1e9, 1e9),)), "times too far apart"),
        (fan(16), "32769 upper sets in 16 dimensions, more than 20000"),
    ],
    ids=["kernel line", "kernel vertex", "products", "span", "span from rest", "upper sets"],
)
def test_refused_with_a_reason(integral, reason):
    began = time.monotonic()
    answer = EXACT.supports(integral)
    assert isinstance(answer, str)
    assert reason in answer
    assert time.monotonic() - began < 1.0


def test_supported_up_to_the_limit():
    assert EXACT.supports(fan(15)) is True
    assert EXACT.supports(first_integral(with_many_terms(LANGEVIN, 6), order=2)) is True
    # Far apart counts, not far away.
    assert EXACT.supports(first_integral(LANGEVIN, times=((1e9, 1e9),))) is True
    assert EXACT.supports(first_integral(LANGEVIN, times=((1e9, 1e9), (0.0, 0.0)))) is True


def test_a_large_fan_has_its_known_value():
    """Each point that hangs from the first one gives ∫ G C = κ/2γ²."""
    values, bounds = EXACT.settle([fan(12)])
    assert_allclose(values[0, 0], 0.5**12, rtol=1e-12)
    assert bounds[0, 0] < 1e-12 * values[0, 0]


def test_splitting_a_line_changes_nothing():
    whole = exactly(LANGEVIN, "two_point", order=2, times=PAIRS)
    split = exactly(with_many_terms(LANGEVIN, 4), "two_point", order=2, times=PAIRS)
    assert_allclose(split.mean, whole.mean, rtol=1e-12)


@pytest.mark.parametrize(
    ("theory", "options", "reason"),
    [
        (with_kernel_line(LANGEVIN), {}, "line C is not a sum of exponentials"),
        (shaken(kernel=True), {}, "a vertex has a kernel over its times"),
        (with_many_terms(LANGEVIN, 7), {"order": 2}, "343 products of exponentials, more than 256"),
        (LANGEVIN, {"tau": [1e9]}, "times too far apart"),
    ],
    ids=["kernel line", "kernel vertex", "products", "span"],
)
def test_exact_by_name_refuses(theory, options, reason):
    began = time.monotonic()
    with pytest.raises(nnqft.InputError, match=reason) as caught:
        nnqft.compute(theory, "two_point", integrator="exact", neval=1000, **({"order": 1} | options))
    assert str(caught.value).startswith("integrator 'exact' does not take ")
    assert "integrator='auto'" in str(caught.value)
    assert "exact: " in str(caught.value)
    assert time.monotonic() - began < 2.0


@pytest.mark.parametrize(
    ("theory", "observable", "order", "reason", "left"),
    [
        # Without interaction a response has no C line.
        (with_kernel_line(LANGEVIN), "response", 1, "line C is not a sum of exponentials", lambda row: row.order == 1),
        (
            with_many_terms(LANGEVIN, 7),
            "two_point",
            2,
            "343 products of exponentials, more than 256",
            lambda row: row.order == 2,
        ),
        (
            replace(LANGEVIN, vertices=(*LANGEVIN.vertices, *shaken(kernel=True).vertices)),
            "two_point",
            1,
            "a vertex has a kernel over its times",
            lambda row: row.dim == 2,
        ),
    ],
    ids=["kernel line", "products", "kernel vertex"],
)
def test_auto_samples_what_cannot_be_exact_and_says_so(theory, observable, order, reason, left):
    result = nnqft.compute(theory, observable, order=order, times=[(0.7, 0.2)], neval=20_000)
    rows = list(result.diagrams)
    sampled = [row for row in rows if row.integrator == "vegas"]
    assert sampled
    assert sampled == [row for row in rows if left(row)]
    assert {row.integrator for row in rows} == {"exact", "vegas"}
    assert all((row.samples > 0) == (row.integrator == "vegas") for row in rows)
    assert result.integrators() == {"exact": len(rows) - len(sampled), "vegas": len(sampled)}
    note, *growing = result.notes
    assert all(each.startswith("terms grow") for each in growing)  # these couplings are strong
    assert note.startswith(f"{len(sampled)} diagram")
    assert note.endswith(f"exact: {reason}")
    if observable != "response":
        plain = replace(theory, propagators=LANGEVIN.propagators)
        plain = replace(plain, vertices=tuple(replace(v, kernel=None, memory=memory_of(v)) for v in plain.vertices))
        known = exactly(plain, observable, order=order, times=[(0.7, 0.2)])
        assert abs(result.mean[0] - known.mean[0]) < 4 * result.sdev[0]


def memory_of(vertex: Vertex) -> tuple[Memory, ...]:
    return shaken().vertices[0].memory if vertex.kernel is not None else ()


def test_auto_is_exact_where_it_can_and_leaves_no_note():
    result = nnqft.compute(bare_theory("cubic_tanh", sigma_w=0.5), "two_point", order=1, tau=[0.0, 1.0], neval=1)
    assert result.integrators() == {"exact": len(result.diagrams)}
    assert [note for note in result.notes if "bare expansion" not in note] == []


def test_times_far_apart_are_sampled_without_delay():
    began = time.monotonic()
    result = nnqft.compute(LANGEVIN, "two_point", order=1, tau=[1e9], neval=5_000)
    assert result.integrators() == {"vegas": len(result.diagrams)}
    assert any("times too far apart" in note for note in result.notes)
    assert time.monotonic() - began < 5.0


def test_vegas_by_name_samples_everything():
    result = nnqft.compute(
        bare_theory("linear", sigma_w=0.5), "two_point", order=2, tau=[0.7], integrator="vegas", neval=50_000
    )
    assert result.integrators() == {"vegas": len(result.diagrams)}
    for row in result.diagrams:
        assert row.integrator == "vegas"
        assert (row.samples > 0) == (row.dim > 0)
    assert result.notes == ()


def test_equal_integrals_are_computed_once():
    """The linear diagrams of order n have 2n + 1 integrals, chains of a and 2n − a responses."""
    theory = bare_theory("linear")
    for tau, most in ((0.7, 4), (0.0, 4)):
        found = nnqft.diagrams(theory, "two_point", order=most)
        integrals, same = distinct_integrals(found, np.array([[tau, 0.0]]))
        assert Counter(i.dim // 2 for i in integrals) == {n: 2 * n + 1 for n in range(most + 1)}
        for number, which in enumerate(same.tolist()):
            alone = nnqft.time_integral(found[number], theory, np.array([[tau, 0.0]]))
            assert harness.chain_lengths(alone) == harness.chain_lengths(integrals[which])


def test_shared_integrals_are_equal():
    """Whatever the diagrams that share an integral, each of their own integrals has the same value."""
    for theory, observable, times in (
        (bare_theory("cubic_tanh"), "two_point", (0.7, 0.0)),
        (nnqft.theory("feedforward", coefficients=PHI_CUBIC), "two_point", (0.7, 0.0)),
        (nnqft.theory("langevin", drift={1: 1.0, 2: 0.4, 3: 1.0}), "cumulant", (0.7, 0.2, 0.2, 1.1)),
    ):
        found = nnqft.diagrams(theory, observable, order=2, arity=len(times))
        integrals, same = distinct_integrals(found, np.array([times]))
        values = [EXACT.settle([integral])[0][0, 0] for integral in integrals]
        for number in np.random.default_rng(3).permutation(len(found))[:60].tolist():
            alone = nnqft.time_integral(found[number], theory, np.array([times]))
            assert_allclose(EXACT.settle([alone])[0][0, 0], values[same[number]], rtol=1e-13)


# Upper sets


def brute_force(integral: TimeIntegral, *, all_parents: bool) -> int:
    """Sets of internal points that hold with each point its parents: by the forest alone, or by all responses."""
    externals = integral.times.shape[1]
    needs = [(n, b.parent - externals) for n, b in enumerate(integral.branches) if b.parent >= externals]
    if all_parents:
        inner = [line for line in integral.lines if line.response and min(line.start, line.end) >= externals]
        needs += [(line.start - externals, line.end - externals) for line in inner]
    masks = range(1 << integral.dim)
    return sum(all(mask >> parent & 1 for child, parent in needs if mask >> child & 1) for mask in masks)


@given(st.lists(st.integers(0, 100), max_size=10), st.integers(1, 3))
def test_upper_sets_of_random_forests(choices, externals):
    branches = tuple(Branch(choice % (externals + n), "G") for n, choice in enumerate(choices))
    integral = TimeIntegral(bare_theory("linear"), np.zeros((1, externals)), branches, ())
    count = brute_force(integral, all_parents=False)
    assert count_upper_sets(integral) == count
    assert upper_sets(integral, count).inside.shape == (len(choices), count)
    assert upper_sets(integral, count - 1) is None or len(choices) == 0


@pytest.mark.parametrize("model", ["linear", "cubic_tanh", "feedforward"])
def test_upper_sets_of_diagrams(model):
    theory = bare_theory(model)
    found = nnqft.diagrams(theory, "cumulant", order=2, arity=2 if model != "feedforward" else 4)
    for n in range(0, len(found), 1 + len(found) // 100):
        integral = nnqft.time_integral(found[n], theory, np.zeros((1, 4 if model == "feedforward" else 2)))
        held = brute_force(integral, all_parents=True)
        assert count_upper_sets(integral) == brute_force(integral, all_parents=False) >= held
        assert upper_sets(integral, 10**6).inside.shape[1] == held


def test_few_and_many_points_take_the_same_value(monkeypatch):
    """All subsets as states, or upper sets alone: two tables, one answer."""
    times = np.array([[0.7, 0.0], [0.0, 0.0], [-1.0, 2.0]])
    for theory in (bare_theory("cubic_tanh"), bare_theory("cubic_tanh", start="rest"), shaken()):
        if not theory.stationary:
            times = np.abs(times)
        integrals, _ = distinct_integrals(nnqft.diagrams(theory, "two_point", order=2), times)
        integrals = integrals[:: 1 + len(integrals) // 30]
        by_subsets, _ = EXACT.settle(integrals)
        with monkeypatch.context() as patch:
            patch.setattr("nnqft_plugins.integrators.exact.integrator.SMALL", -1)
            by_upper_sets, _ = EXACT.settle(integrals)
        assert_allclose(by_upper_sets, by_subsets, rtol=1e-12, atol=1e-18)


def test_toy_has_no_times_and_is_exact():
    result = nnqft.compute(nnqft.theory("toy", action={4: 1.0}), "two_point", order=4, neval=1)
    assert result.integrators() == {"exact": len(result.diagrams)}
    for n, wanted in enumerate(oracles.toy_moment({4: 1}, 4, 2)):
        assert_allclose(result.contribution(n, 0).mean, float(wanted), rtol=1e-13)


def test_factorial_growth_is_in_the_weights():
    """κ_2 of the quartic well at fifth order, a hundred thousand from integrals of order one."""
    result = exactly(nnqft.theory("langevin"), "cumulant", order=4, times=[(0.0, 0.0)])
    wanted = oracles.langevin_cumulants(1, {3: 1}, 2, 4, 2)
    assert_allclose([result.contribution(n, 0).mean[0] for n in range(5)], [float(c) for c in wanted], rtol=1e-12)
    assert float(wanted[4]) == 4896 > factorial(6)
