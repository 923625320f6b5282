"""Deep networks with new weights in every layer: exact moments, closed equations of the linear case, simulation.

    dh_i = −γ h_i dt + (σ_w/√N) Σ_j dW_ij φ(h_j) + σ_b db_i + √κ dB_i

Given h, the increments of different sites are independent, of variance κ + σ_b² + (σ_w²/N) Σ_j φ(h_j)² each. So h is
a diffusion without memory, and its generator takes polynomials to polynomials.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import factorial

import numpy as np
import oracles
import pytest
import simulate
import strategies as own
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import ArrayLike
from scipy.integrate import solve_ivp
from scipy.linalg import expm
from scipy.sparse import csc_array
from scipy.sparse.linalg import expm_multiply

import nnqft
from nnqft.host import default_host
from nnqft_plugins.models.parameters.activations import NAMED
from nnqft_plugins.networks.simulation import simulate as drawn

RATES = {"gamma": 1.3, "kappa": 0.8}
BARE = {"expansion": "bare", "sigma_w": 1.0, "N": 1}
LINEAR = {1: 1.0}
CUBIC = {1: 1.0, 3: -1 / 3}
EVEN = {0: 0.3, 1: 1.0, 2: -0.4}
STATIONARY = [(0.0, 0.0), (0.7, 0.0), (-1.0, 0.5)]
REST = [(0.9, 0.9), (1.2, 0.5), (0.5, 1.2), (0.8, 0.0), (0.0, 0.0)]
STARTS = {"stationary": STATIONARY, "rest": REST}


def feedforward(phi: Mapping[int, float], start: str = "stationary", **parameters) -> nnqft.Theory:
    """About no weights, σ_w = N = 1 unless told otherwise, so that contributions are bare coefficients."""
    return nnqft.theory("feedforward", start=start, coefficients=dict(phi), **(RATES | BARE | parameters))


def exact(theory: nnqft.Theory, observable: str = "two_point", **options) -> nnqft.Result:
    result = nnqft.compute(theory, observable, integrator="exact", neval=1, **options)
    assert result.converged
    assert not result.sdev.any()
    return result


def table_of(result: nnqft.Result) -> np.ndarray:
    """Contributions [n, k, m], as far as they were asked for."""
    orders, asked = range(result.request.order + 1), result.request.width_order
    widths = orders if asked is None else range(asked + 1)
    return np.array([[result.contribution(n, k).mean for k in widths] for n in orders])


# Moments of different sites, ⟨Π_i h_i^{a_i}⟩, as coefficients [n, k] of σ_w^{2n} N^{−k}, without diagrams.

Exponents = tuple[int, ...]
"""Powers of different sites, sorted; sites that do not occur are left out."""
State = tuple[Exponents, int, int]
"""Exponents, n, k."""


class Layers:
    """The moments of a feedforward network, exact in 1/N, to an order in σ_w²."""

    def __init__(
        self,
        phi: Mapping[int, float],
        order: int,
        *,
        gamma: float,
        kappa: float,
        sigma_b: float = 0.0,
        C_0: float = 0.0,
    ) -> None:
        self.order, self.gamma, self.noise, self.C_0 = order, gamma, kappa + sigma_b**2, C_0
        self.square: dict[int, float] = defaultdict(float)
        for (p, a), (q, b) in product(phi.items(), repeat=2):
            self.square[p + q] += a * b
        self.known: dict[State, np.ndarray] = {}

    def gains(self, state: State) -> Iterator[tuple[State, float]]:
        """What the generator makes of a moment, but for its decay.

        Two powers of a site are replaced by its noise, and that of the weights sums φ² over all sites: those in the
        moment, and N less their number of others.
        """
        exponents, n, k = state
        for site, a in enumerate(exponents):
            pairs = a * (a - 1) / 2
            if not pairs:
                continue
            low = (*exponents[:site], a - 2, *exponents[site + 1 :])
            low = tuple(b for b in low if b)
            yield (low, n, k), pairs * self.noise
            if n == self.order:
                continue
            for p, c in self.square.items():
                if p == 0:
                    yield (low, n + 1, k), pairs * c
                    continue
                other = tuple(sorted((*low, p)))
                yield (other, n + 1, k), pairs * c
                yield (other, n + 1, k + 1), -len(low) * pairs * c
                for j, b in enumerate(low):
                    yield (tuple(sorted((*low[:j], b + p, *low[j + 1 :]))), n + 1, k + 1), pairs * c

    def stationary(self, state: State) -> np.ndarray:
        """Rate of decay × moment = gains; [n, k]."""
        if state not in self.known:
            exponents, n, k = state
            total = np.zeros((self.order + 1, self.order + 1))
            if not exponents:
                total[n, k] = 1.0
            else:
                for image, value in self.gains(state):
                    total += value * self.stationary(image)
                total /= self.gamma * sum(exponents)
            self.known[state] = total
        return self.known[state]

    def at(self, exponents: Exponents, depth: float) -> np.ndarray:
        """From independent Gaussians of variance C_0 at depth 0; [n, k]."""
        first = (tuple(sorted(exponents)), 0, 0)
        place: dict[State, int] = {}
        waiting, entries = [first], []
        while waiting:
            state = waiting.pop()
            if state not in place:
                place[state] = len(place)
                found = list(self.gains(state))
                entries += [(state, image, value) for image, value in found]
                entries.append((state, state, -self.gamma * sum(state[0])))
                waiting += [image for image, _ in found]
        rows, columns = [place[image] for _, image, _ in entries], [place[state] for state, *_ in entries]
        matrix = csc_array(([value for *_, value in entries], (rows, columns)), shape=(len(place),) * 2)
        unit = np.zeros(len(place))
        unit[place[first]] = 1.0
        later = expm_multiply(matrix * depth, unit, traceA=matrix.trace() * depth) if depth else unit
        total = np.zeros((self.order + 1, self.order + 1))
        for (powers, n, k), number in place.items():
            start = np.prod([oracles.gaussian_moment(a) * self.C_0 ** (a / 2) for a in powers])
            total[n, k] += later[number] * start
        return total

    def moment(self, exponents: Exponents, depth: float | None = None) -> np.ndarray:
        """[n, k], stationary if no depth is given."""
        return self.stationary((tuple(sorted(exponents)), 0, 0)) if depth is None else self.at(exponents, depth)

    def two_point(self, t: float, s: float, start: str) -> np.ndarray:
        """⟨h(t) h(s)⟩: the drift is linear, so what is later only decays."""
        early = None if start == "stationary" else min(t, s)
        return np.exp(-self.gamma * abs(t - s)) * self.moment((2,), early)

    def variance_of_square(self, depth: float | None = None) -> np.ndarray:
        """Var[(1/N) Σ h_j²] = (1/N)(⟨h_i⁴⟩ − ⟨h_i²⟩²) + (1 − 1/N) Cov(h_i², h_j²), [n, k] with k up to order + 1."""
        mean = self.moment((2,), depth)
        squared = times(mean, mean)
        own, cross = self.moment((4,), depth) - squared, self.moment((2, 2), depth) - squared
        return np.pad(own - cross, ((0, 0), (1, 0))) + np.pad(cross, ((0, 0), (0, 1)))


def times(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Product of two series in σ_w² and 1/N, cut as they are."""
    out = np.zeros_like(one)
    size = len(one)
    for (n, k), x in np.ndenumerate(one):
        out[n:, k:] += x * other[: size - n, : size - k]
    return out


def wanted_two_point(phi: Mapping[int, float], order: int, start: str, parameters: Mapping[str, float]) -> np.ndarray:
    layers = Layers(phi, order, **RATES, **parameters)
    return np.stack([layers.two_point(t, s, start) for t, s in STARTS[start]], axis=-1)


# The linear network has closed equations, at any N: another oracle, for the one above as well.


def linear_square(order: int, N: int, depth: float, *, gamma: float, noise: float, C_0: float) -> np.ndarray:
    """⟨Q⟩ and ⟨Q²⟩ of Q = (1/N) Σ h_i², as [2, n] coefficients of σ_w^{2n}.

    Itô: dQ = [−2γQ + noise + σ_w² Q] dt + (2/√N) √(Q (noise + σ_w² Q)) dB.
    """
    bare = np.array([[0, 0, 0], [noise, -2 * gamma, 0], [0, (2 + 4 / N) * noise, -4 * gamma]])
    weights = np.diag([0, 1, 2 + 4 / N])
    matrix = np.kron(np.eye(order + 1), bare) + np.kron(np.eye(order + 1, k=-1), weights)
    start = np.zeros(3 * (order + 1))
    start[:3] = [1, C_0, C_0**2 * (1 + 2 / N)]
    return (expm(matrix * depth) @ start).reshape(order + 1, 3)[:, 1:].T


@pytest.mark.parametrize("N", [1, 2, 5])
@pytest.mark.parametrize("C_0", [0.0, 0.6])
def test_the_oracles_agree_where_both_apply(N, C_0):
    order, depth = 4, 1.4
    layers = Layers(LINEAR, order, **RATES, sigma_b=0.5, C_0=C_0)
    mean, second = linear_square(order, N, depth, gamma=1.3, noise=0.8 + 0.25, C_0=C_0)
    assert_allclose(layers.at((2,), depth) @ float(N) ** -np.arange(order + 1), mean, rtol=1e-12)
    variance = second - np.convolve(mean, mean)[: order + 1]
    found = layers.variance_of_square(depth) @ float(N) ** -np.arange(order + 2)
    assert_allclose(found, variance, rtol=1e-9, atol=1e-13)


def test_the_oracle_of_moments_at_zero_and_late_depth():
    layers = Layers(CUBIC, 2, **RATES, C_0=0.7)
    assert_allclose(layers.at((2, 4), 0.0)[0, 0], 0.7 * 3 * 0.49, rtol=1e-14)
    assert_allclose(layers.at((2, 2), 40.0), layers.moment((2, 2)), rtol=1e-11, atol=1e-14)


# The two-point function.


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize(
    ("phi", "order"), [(LINEAR, 4), (CUBIC, 3), (EVEN, 3), ({2: 0.7}, 3)], ids=["linear", "cubic", "even", "square"]
)
@pytest.mark.parametrize("extra", [{}, {"sigma_b": 0.5}, {"C_0": 0.6}], ids=str)
def test_two_point(start, phi, order, extra):
    result = exact(feedforward(phi, start, **extra), order=order, times=STARTS[start])
    wanted = wanted_two_point(phi, order, start, extra)
    assert_allclose(table_of(result), wanted, rtol=1e-11, atol=1e-13 * np.abs(wanted).max())


def test_the_variance_of_the_first_layer_means_nothing_to_a_stationary_network():
    one, other = (exact(feedforward(CUBIC, C_0=C_0), order=2, times=STATIONARY) for C_0 in (0.0, 0.6))
    assert_array_equal(one.mean, other.mean)


@pytest.mark.parametrize("start", STARTS)
def test_the_linear_network_has_one_diagram_for_each_order(start):
    """C(t,s) = e^{−γ|t−s|} C(s,s), C' = (σ_w² − 2γ) C + κ, at any N."""
    theory = nnqft.theory("feedforward", start=start, sigma_w=0.6, N=7, C_0=0.6, **RATES)
    result = exact(theory, order=5, times=STARTS[start])
    assert {key: result.count(*key) for key in result.series} == {(n, 0): 1 for n in range(6)}
    rate = 2 * 1.3 - 0.36
    for (t, s), value in zip(STARTS[start], result.mean, strict=True):
        late = 0.8 / rate
        memory = np.exp(-rate * min(t, s)) * (0.6 - late) if start == "rest" else 0.0
        assert value == pytest.approx(np.exp(-1.3 * abs(t - s)) * (late + memory), rel=1e-5)


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize(
    ("phi", "order", "neval"), [(LINEAR, 3, 100_000), (CUBIC, 2, 300_000)], ids=["linear", "cubic"]
)
def test_two_point_by_sampling(start, phi, order, neval):
    result = nnqft.compute(
        feedforward(phi, start, C_0=0.6), "two_point", order=order, times=STARTS[start], integrator="vegas", neval=neval
    )
    assert set(result.integrators()) == {"vegas"}
    wanted = wanted_two_point(phi, order, start, {"C_0": 0.6})
    rows = []
    for (n, k), part in result.series.items():
        # Chains of responses have no variance in the forest; what is left then is rounding.
        error = np.hypot(part.sdev, 1e-10 * np.abs(wanted[n, k]).max())
        assert (np.abs(part.mean - wanted[n, k]) <= 4 * error + 1e-13).all()
        if (part.sdev > 1e-9).any():
            assert part.sdev.max() < 0.02 * np.abs(wanted[n, k]).max()
            rows.append(np.mean(((part.mean - wanted[n, k]) / error) ** 2))
    print("mean squares of pulls:", np.round(rows, 2))
    assert not rows or np.mean(rows) < 4


@pytest.mark.parametrize(
    ("start", "t", "s"),
    [
        ("stationary", 0.7, 0.0),
        ("stationary", 3.0, 0.0),
        ("stationary", 0.0, 3.0),
        ("rest", 1.2, 0.5),
        ("rest", 0.5, 5.0),
    ],
)
def test_sampling_is_honest_where_both_times_lie_above_a_vertex(start, t, s):
    """z̃_i² hangs from t and from s: its time is below the earlier one, and whichever it is, errors must say so."""
    theory = feedforward(LINEAR, start, C_0=0.6)
    wanted = Layers(LINEAR, 1, **RATES, C_0=0.6).two_point(t, s, start)[1, 0]
    pulls = []
    for seed in range(8):
        result = nnqft.compute(theory, "two_point", order=1, times=[(t, s)], integrator="vegas", neval=4000, seed=seed)
        part = result.contribution(1, 0)
        pulls.append((part.mean[0] - wanted) / np.hypot(part.sdev[0], 1e-10 * wanted))
    print("pulls", np.round(pulls, 2))
    assert np.mean(np.square(pulls)) < 4


@given(
    st.dictionaries(st.integers(0, 4), own.COEFFICIENTS, min_size=1, max_size=3),
    st.sampled_from(sorted(STARTS)),
)
@settings(deadline=None, max_examples=15)
def test_any_polynomial(fractions, start):
    phi = {p: float(c) for p, c in fractions.items()}
    result = exact(feedforward(phi, start, C_0=0.6), order=2, times=STARTS[start])
    wanted = wanted_two_point(phi, 2, start, {"C_0": 0.6})
    assert_allclose(table_of(result), wanted, rtol=1e-10, atol=1e-12 * max(1.0, np.abs(wanted).max()))


def test_activations_by_name():
    for given_, phi in (
        ({}, LINEAR),
        ({"activation": "tanh"}, CUBIC),
        ({"activation": "sin", "degree": 3}, {1: 1.0, 3: -1 / 6}),
        ({"activation": "exp", "degree": 2}, {0: 1.0, 1: 1.0, 2: 0.5}),
    ):
        named = exact(nnqft.theory("feedforward", **RATES, **BARE, **given_), order=2, times=STATIONARY)
        listed = exact(feedforward(phi), order=2, times=STATIONARY)
        assert_allclose(table_of(named), table_of(listed), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("start", STARTS)
def test_powers_of_the_couplings(start):
    bare, scaled = (
        exact(feedforward(CUBIC, start, **p), order=2, times=STARTS[start]) for p in ({}, {"sigma_w": 0.3, "N": 50})
    )
    for n, k in product(range(3), repeat=2):
        wanted = 0.3 ** (2 * n) * 50.0**-k * bare.contribution(n, k).mean
        assert_allclose(scaled.contribution(n, k).mean, wanted, rtol=1e-11, atol=1e-18)
    assert scaled.series.coupling == pytest.approx(0.09)


@pytest.mark.parametrize("start", STARTS)
def test_nothing_corrects_the_response(start):
    """Fresh weights cannot correlate with a kick, and the drift is linear: R = e^{−γτ}, one diagram."""
    pairs = [(0.9, 0.2), (3.0, 0.5), (0.5, 0.5)]
    result = exact(feedforward(CUBIC, start), "response", order=3, times=pairs)
    assert len(result.diagrams) == 1
    assert_allclose(result.mean, [np.exp(-1.3 * 0.7), np.exp(-1.3 * 2.5), 0.0], rtol=1e-13)


def test_the_mean_vanishes():
    assert len(nnqft.diagrams(feedforward(EVEN), "mean", order=3)) == 0


# Four points.


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize(("phi", "order"), [(LINEAR, 3), (CUBIC, 2), (EVEN, 2)], ids=["linear", "cubic", "even"])
def test_fourth_cumulant_of_one_site(start, phi, order):
    depth = None if start == "stationary" else 1.1
    layers = Layers(phi, order, **RATES, C_0=0.6)
    second = layers.moment((2,), depth)
    wanted = layers.moment((4,), depth) - 3 * times(second, second)
    result = exact(feedforward(phi, start, C_0=0.6), "cumulant", order=order, times=[(depth or 0.0,) * 4])
    assert_allclose(table_of(result)[..., 0], wanted, rtol=1e-10, atol=1e-12)


@dataclass(frozen=True)
class CrossSquares(nnqft.AbstractObservable):
    """⟨h_i(t)² h_j(s)²⟩ of two different sites; connected, it is the covariance of h_i² and h_j²."""

    name: str
    connected: bool

    def legs(self, theory: nnqft.Theory, arity: int) -> tuple[nnqft.Leg, ...]:
        return (nnqft.Leg("h", 0, "i"),) * 2 + (nnqft.Leg("h", 1, "j"),) * 2


@pytest.fixture(autouse=True)
def _cross_squares(monkeypatch):
    """Both observables, known by name for the time of a test."""
    for observable in (CrossSquares("cross_squares", connected=False), CrossSquares("covariance", connected=True)):
        monkeypatch.setitem(default_host().found["observable"], observable.name, (observable, "test"))


def has_two_sites(diagram: nnqft.Diagram) -> bool:
    """Whether the indices of the first two external legs and of the last two run apart."""
    root: dict[tuple[int, str], tuple[int, str]] = {}

    def find(slot: tuple[int, str]) -> tuple[int, str]:
        while root.setdefault(slot, slot) != slot:
            slot = root[slot]
        return slot

    # Each point has one index for its response legs and one for its h legs.
    joins = [((0, "h"), (1, "h")), ((2, "h"), (3, "h"))]
    joins += [((line.end, "h"), (line.start, "z" if line.response else "h")) for line in diagram.lines]
    for one, other in joins:
        root[find(one)] = find(other)
    return find((0, "h")) != find((2, "h"))


@pytest.mark.parametrize("phi", [LINEAR, CUBIC], ids=["linear", "cubic"])
def test_diagrams_of_two_sites_do_not_join_their_indices(phi):
    for observable in ("cross_squares", "covariance"):
        diagrams = nnqft.diagrams(feedforward(phi), observable, order=2)
        assert len(diagrams) > 10
        assert all(has_two_sites(diagram) for diagram in diagrams)


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize(("phi", "order"), [(LINEAR, 4), (CUBIC, 2), (EVEN, 2)], ids=["linear", "cubic", "even"])
def test_squares_of_two_sites(start, phi, order):
    depth = None if start == "stationary" else 1.1
    layers = Layers(phi, order, **RATES, C_0=0.6)
    moment, second = layers.moment((2, 2), depth), layers.moment((2,), depth)
    at = {"order": order, "times": [(depth or 0.0,) * 2]}
    theory = feedforward(phi, start, C_0=0.6)
    assert_allclose(table_of(exact(theory, "cross_squares", **at))[..., 0], moment, rtol=1e-10, atol=1e-12)
    covariance = moment - times(second, second)
    assert_allclose(table_of(exact(theory, "covariance", **at))[..., 0], covariance, rtol=1e-10, atol=1e-12)
    assert covariance[1, 1] > 0


def test_squares_of_two_sites_at_unequal_depths():
    """h_i² − Q, Q = (1/N) Σ h², decays with 2γ alone; Q itself with 2γ − σ_w²."""
    order, depth, gap = 3, 1.1, 0.5
    found = table_of(
        exact(feedforward(LINEAR, "rest", C_0=0.6), "covariance", order=order, times=[(depth + gap, depth)])
    )
    layers = Layers(LINEAR, order, **RATES, C_0=0.6)
    second = layers.moment((2,), depth)
    squared = times(second, second)
    cross, own_site = (layers.moment(powers, depth) - squared for powers in ((2, 2), (4,)))
    # Cov(Q, h_j²) = (1 − 1/N) cross + own/N.
    with_mean = cross + np.pad(own_site - cross, ((0, 0), (1, 0)))[:, :-1]
    growth = np.zeros_like(cross)
    growth[:, 0] = [gap**n / factorial(n) for n in range(order + 1)]
    wanted = np.exp(-2 * 1.3 * gap) * (times(growth, with_mean) + cross - with_mean)
    assert_allclose(found[..., 0], wanted, rtol=1e-10, atol=1e-13)


def test_squares_of_two_sites_by_sampling():
    at = {"order": 2, "times": [(1.6, 1.1), (1.1, 1.1)]}
    theory = feedforward(LINEAR, "rest", C_0=0.6)
    wanted = table_of(exact(theory, "covariance", **at))
    result = nnqft.compute(theory, "covariance", integrator="vegas", neval=200_000, **at)
    for (n, k), part in result.series.items():
        assert part.sdev.max() < 1e-3 * np.abs(wanted[n, k]).max()
        assert (np.abs(part.mean - wanted[n, k]) < 4 * part.sdev + 1e-10).all()


# The variance of the mean square activity, at leading order in 1/N.


def leading_variance(phi: Mapping[int, float], order: int, depths: ArrayLike, **parameters: float) -> np.ndarray:
    """N Var[(1/N) Σ h_j²] for N → ∞, [n, depth], from diagrams: ⟨h_i⁴⟩ − ⟨h_i²⟩² of Gaussians plus N Cov."""
    theory = feedforward(phi, "rest", **parameters)
    pairs = [(t, t) for t in depths]
    two_point = table_of(exact(theory, order=order, times=pairs))[:, 0]
    own_ = np.transpose([2 * np.convolve(column, column)[: order + 1] for column in two_point.T])
    cross = table_of(exact(theory, "covariance", order=order, times=pairs, width_order=1))[:, 1]
    return own_ + cross


@pytest.mark.parametrize(("phi", "order"), [(LINEAR, 4), (CUBIC, 2)], ids=["linear", "cubic"])
def test_variance_of_the_mean_square(phi, order):
    depths = [0.0, 0.3, 1.0, 2.5]
    found = leading_variance(phi, order, depths, C_0=0.6)
    layers = Layers(phi, order, **RATES, C_0=0.6)
    wanted = np.transpose([layers.variance_of_square(depth)[:, 1] for depth in depths])
    assert_allclose(found, wanted, rtol=1e-10, atol=1e-13)


def test_fluctuations_grow_as_depth_over_width():
    """Linear, without noise: Var Q / ⟨Q⟩² = (1 + 2/N) e^{4σ_w²T/N} − 1 = (2 + 4 σ_w² T)/N + O(1/N²), however σ_w and γ.

    Order by order: N Var Q = (2 + 4 σ_w² T) C_0² e^{−4γT} e^{2σ_w²T}.
    """
    depths = np.array([0.0, 0.5, 1.0, 2.0, 4.0])
    order, gamma, C_0 = 4, 0.5, 0.6
    found = leading_variance(LINEAR, order, depths, gamma=gamma, kappa=0.0, C_0=C_0)
    series = np.array([2 * (2 * depths) ** n / factorial(n) for n in range(order + 1)])
    series[1:] += np.array([4 * depths * (2 * depths) ** n / factorial(n) for n in range(order)])
    assert_allclose(found, C_0**2 * np.exp(-4 * gamma * depths) * series, rtol=1e-10, atol=1e-14)
    # Small enough a coupling for four orders: what is left grows with depth, by 4 σ_w² for each unit of it.
    coupling = 0.1
    mean = C_0 * np.exp((coupling - 2 * gamma) * depths)
    relative = (coupling ** np.arange(order + 1) @ found) / mean**2
    assert_allclose(relative, 2 + 4 * coupling * depths, rtol=5e-3)
    assert (np.diff(relative) > 0).all()


# Simulation.


def test_simulated_layers_follow_their_own_recursion():
    """⟨h²⟩ of discrete linear layers: m → [(1 − γη)² + η σ_w²] m + η (κ + σ_b²)."""
    setting = {"gamma": 1.0, "kappa": 0.5, "sigma_w": 0.9, "sigma_b": 0.4, "C_0": 0.8}
    for step in (0.25, 0.125):
        h = simulate.layers(LINEAR, N=4, depths=[1.0], step=step, networks=20_000, seed=1, **setting)
        m = 0.8
        for _ in range(round(1 / step)):
            m = ((1 - step) ** 2 + step * 0.81) * m + step * (0.5 + 0.16)
        assert abs(simulate.two_point(h[0], h[0]).pull(m)) < 4


SETTING = {"gamma": 1.0, "kappa": 0.1, "sigma_b": 0.2, "C_0": 0.15}
"""States so small that h − h³/3 is monotonic; networks of much larger ones run away."""


@pytest.mark.parametrize(("phi", "order"), [(LINEAR, 5), (CUBIC, 3)], ids=["linear", "cubic"])
def test_simulation(phi, order):
    """Two step sizes, extrapolated to 0, against the diagrams: C(t,t), C(t,s) and the variance of the mean square."""
    N, sigma_w, s, t = 8, 0.8, 0.5, 1.0
    coarse, fine = (
        simulate.layers(
            phi, N=N, sigma_w=sigma_w, depths=[s, t], step=step, networks=40_000, seed=order, **SETTING
        )
        for step in (1 / 16, 1 / 32)
    )  # fmt: skip
    result = exact(feedforward(phi, "rest", N=N, sigma_w=sigma_w, **SETTING), order=order, times=[(t, t), (t, s)])
    left_out = np.abs(sum(result.contribution(order, k).mean for k in range(order + 1)))
    for states, wanted, rest in zip(((1, 1), (1, 0)), result.mean, left_out, strict=True):
        pair = [simulate.two_point(h[states[0]], h[states[1]]) for h in (coarse, fine)]
        found = simulate.extrapolated(*pair)
        print(f"{found.mean:.5f}({found.sdev:.5f}) against {wanted:.5f}, last order {rest:.5f}")
        assert rest < found.sdev < 0.01 * wanted
        assert abs(found.pull(wanted)) < 4
    # The step can be seen, so that a wrong dependence on it would be, too.
    assert simulate.two_point(coarse[1], coarse[1]).pull(result.mean[0]) > 6
    found = simulate.extrapolated(*(simulate.variance_of_square(h[1]) for h in (coarse, fine)))
    layers = Layers(phi, order, **SETTING)
    variance = sigma_w ** (2 * np.arange(order + 1)) @ layers.variance_of_square(t) @ float(N) ** -np.arange(order + 2)
    print(f"{found.mean:.6f}({found.sdev:.6f}) against {variance:.6f}")
    assert found.sdev < 0.05 * variance
    assert abs(found.pull(variance)) < 4
    # At leading order in 1/N from diagrams; what is missing is of relative order 1/N.
    last = min(order, 3) if phi is LINEAR else 2
    parts = leading_variance(phi, last, [t], **SETTING)[:, 0]
    leading = sigma_w ** (2 * np.arange(last + 1)) @ parts / N
    print(f"leading order in 1/N {leading:.6f}, of it Gaussian {2 * result.mean[0] ** 2 / N:.6f}")
    assert abs(leading / found.mean - 1) < 0.25
    assert leading > 1.2 * 2 * result.mean[0] ** 2 / N


# About mean-field theory, with averages of the activation itself.


def averaged(name: str, **parameters) -> nnqft.Theory:
    return nnqft.theory("feedforward", activation=name, **({"sigma_w": 1.0, "N": 1} | parameters))


def hermite_of_square(phi, v: float, count: int) -> np.ndarray:
    """Normalised Hermite coefficients of φ(√v x)², by Gauss–Legendre on both sides of 0 and of ±1/√v."""
    x, w = np.polynomial.legendre.leggauss(400)
    cuts = np.unique([-13, 0, 13, -1 / np.sqrt(v), 1 / np.sqrt(v)])
    half = np.diff(cuts)[:, None] / 2
    z = (cuts[:-1, None] + half * (x + 1)).ravel()
    weight = (half * w).ravel() * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    waves = [np.ones_like(z), z]
    for k in range(2, count):
        waves.append((z * waves[-1] - np.sqrt(k - 1) * waves[-2]) / np.sqrt(k))
    return np.array([(weight * phi(np.sqrt(v) * z) ** 2 * wave).sum() for wave in waves[:count]])


@pytest.mark.parametrize(("name", "sigma_w"), [("tanh", 1.2), ("relu", 0.9), ("step", 1.4), ("hard_tanh", 1.0)])
def test_leading_fluctuations_of_any_activation_order_by_order(name, sigma_w):
    """N Cov(h_i², h_j²) = 2√2 v a₂σ_w²/(2γ+λ) + σ_w⁴ Σ_k a_k²/(λ(λ+kγ)), λ = 2γ − σ_w²a₂/(√2 v), at N → ∞.

    An order counts the σ_w² of the vertices at fixed v: those of λ and those in front.
    """
    gamma, degree, order = 1.3, 6, 3
    theory = averaged(name, sigma_w=sigma_w, gamma=gamma, kappa=0.8, sigma_b=0.3, degree=degree)
    result = exact(theory, "cumulant", order=order, width_order=1, times=[(0.0,) * 4], indices="iijj")
    v = float(nnqft.compute(theory, "two_point", order=0, tau=[0.0], rtol=1.0).mean[0])
    a = hermite_of_square(NAMED[name].value, v, degree + 1)
    assert 2 * gamma * v == pytest.approx(0.8 + 0.09 + sigma_w**2 * a[0], rel=1e-10)
    k = np.arange(1, degree + 1)
    gap, g = sigma_w**2 * a[2] / (np.sqrt(2) * v), np.polynomial.Polynomial([0.0, 1.0])

    def inverse(rate):  # 1/(rate − gap g) as a series in g
        return np.polynomial.Polynomial([gap**n / rate ** (n + 1) for n in range(order + 1)])

    wanted = 2 * np.sqrt(2) * v * a[2] * sigma_w**2 * g * inverse(4 * gamma)
    for n, each in zip(k, a[1:], strict=True):
        wanted = wanted + sigma_w**4 * each**2 * g**2 * inverse(2 * gamma) * inverse((2 + n) * gamma)
    for n in range(1, order + 1):
        assert result.contribution(n, 1).mean[0] == pytest.approx(wanted.coef[n], rel=1e-9, abs=1e-12)


def test_coefficients_do_not_depend_on_the_cut():
    low, high = averaged("tanh", degree=4), averaged("tanh")
    assert {v.name: v.coefficient for v in low.vertices}.items() <= {
        v.name: v.coefficient for v in high.vertices
    }.items()
    assert (low.degree, low.adaptive, high.degree, high.adaptive) == (4, False, 14, True)
    assert high.up_to(4).vertices == low.vertices
    whole = feedforward(CUBIC, expansion="saddle", averages="activation", sigma_w=0.3)
    assert (whole.degree, whole.adaptive) == (None, False)
    assert max(vertex.degree for vertex in whole.vertices) == 6


@pytest.mark.parametrize("start", STARTS)
def test_for_a_polynomial_it_is_the_expansion_about_the_same_line(start):
    """Wick-ordered powers and averages of the polynomial: one theory, fewer diagrams."""
    phi = {1: 1.0, 2: 0.2, 3: -0.1}
    values = {"expansion": "saddle", "sigma_w": 0.4, "C_0": 0.3}
    new = nnqft.compute(
        feedforward(phi, start, averages="activation", **values), "two_point", order=2, times=STARTS[start], rtol=1e-4
    )
    if start == "stationary":
        old = exact(feedforward(phi, averages="polynomial", **values), order=2, times=STATIONARY)
        assert len(new.diagrams) < len(old.diagrams)
        assert_allclose(table_of(new), table_of(old), rtol=1e-9, atol=1e-13)
        return
    bare = wanted_two_point(phi, 4, start, {"C_0": 0.3})
    coupling = 0.16 ** np.arange(5)
    assert_allclose(new.contribution(0, 0).mean, coupling @ bare[:, 0], rtol=2e-3, atol=1e-9)
    first = sum(new.contribution(n, 1).mean for n in (1, 2))
    assert_allclose(first, coupling @ bare[:, 1], rtol=0.1, atol=1e-5)


@pytest.mark.parametrize("name", ["tanh", "relu"])
def test_the_variance_from_rest_follows_its_own_equation(name):
    theory = averaged(name, start="rest", C_0=0.4, sigma_w=1.1, kappa=0.3, sigma_b=0.2, gamma=1.2)
    x, w = np.polynomial.hermite_e.hermegauss(300)
    w = w / w.sum()

    def slope(_, v):
        square = v / 2 if name == "relu" else w @ np.tanh(np.sqrt(v) * x[:, None]) ** 2
        return -2.4 * v + 0.3 + 0.04 + 1.21 * square

    depths = np.array([0.0, 0.05, 0.5, 2.0, 9.0])
    grown = solve_ivp(slope, (0, 9), [0.4], t_eval=depths, rtol=1e-11, atol=1e-13).y[0]
    line = theory.lines["h", "h"]
    assert_allclose(line(depths, depths), grown, rtol=1e-6)
    assert_allclose(line(depths + 0.5, depths), grown * np.exp(-0.6), rtol=1e-6)
    late = averaged(name, C_0=0.4, sigma_w=1.1, kappa=0.3, sigma_b=0.2, gamma=1.2)
    assert line(60.0, 60.0) == pytest.approx(late.lines["h", "h"](0.0, 0.0), rel=1e-8)


def test_a_variance_that_grows_for_ever_needs_an_end():
    with pytest.raises(nnqft.InputError, match="grows for ever, so its table needs an end; write for example T=10"):
        averaged("relu", start="rest", sigma_w=2.5)
    theory = averaged("relu", start="rest", sigma_w=2.5, C_0=1.0, T=2.0, kappa=0.0)
    assert theory.lines["h", "h"](2.0, 2.0) == pytest.approx(np.exp((2.5**2 / 2 - 2) * 2.0), rel=1e-5)
    with pytest.raises(nnqft.InputError, match="beyond the theory's horizon T=2"):
        nnqft.compute(theory, "two_point", order=0, times=[(3.0, 3.0)], rtol=1.0)
    with pytest.raises(nnqft.InputError, match=r"σ_w=2\.5, γ=1 and φ = relu drive the variance of the layers"):
        averaged("relu", sigma_w=2.5)


@pytest.mark.parametrize(("name", "sigma_w"), [("tanh", 1.2), ("relu", 0.9), ("step", 1.4), ("sign", 1.0)])
def test_simulated_layers_of_any_activation(name, sigma_w):
    """C and the variance of the mean square at depth 2 from rest; what is left out is of relative order 1/N."""
    N = 100
    theory = averaged(name, start="rest", N=N, C_0=0.5, sigma_w=sigma_w, degree=6)
    found = drawn(theory, times=[(2.0, 2.0)], networks=12_000, kernel=True, seed=1)
    own = nnqft.compute(theory, "two_point", order=2, width_order=1, times=[(2.0, 2.0)], neval=20_000)
    assert abs(own.mean[0] - found.mean[0]) < 4 * found.sdev[0]
    cross = nnqft.compute(
        theory, "cumulant", order=3 if name == "relu" else 2, width_order=1, indices="iijj", times=[(2.0,) * 4],
        neval=60_000,
    )  # fmt: skip
    wanted = 2 * own.contribution(0, 0).mean[0] ** 2 / N + cross.mean[0]
    variance, error = found.kernel_variance()
    print(f"{variance[0] * N:.3f}({error[0] * N:.3f}) against {wanted * N:.3f}, Gaussian {2 * own.mean[0] ** 2:.3f}")
    assert abs(wanted - variance[0]) < 4 * error[0] + 2 * wanted / N
    assert (name == "sign") == (cross.mean[0] == 0.0)


# What makes no sense.


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"activation": "tanh", "coefficients": {1: 1.0}}, "both activation and coefficients were given"),
        ({"activation": "tanhh"}, "unknown activation 'tanhh'; did you mean 'tanh'"),
        ({"C_0": -1.0}, "C_0=-1.0: wanted a number ≥ 0"),
        ({"gamma": 0.0}, "gamma=0.0: wanted a number"),
        ({"N": 0}, "N=0: wanted a whole number ≥ 1"),
        ({"sigma_u": 1.0}, "unknown parameter 'sigma_u' of model 'feedforward'"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(given_, message):
    with pytest.raises(nnqft.InputError, match=message) as caught:
        nnqft.theory("feedforward", **given_)
    assert "\n" not in str(caught.value)


def test_a_diverging_series_is_said_to():
    assert not feedforward(LINEAR, sigma_w=1.6).remarks
    (remark,) = feedforward(LINEAR, sigma_w=1.7).remarks
    assert "the series in σ_w² diverges" in remark
    assert remark.startswith("σ_w² φ'(0)² = 2.89 ≥ 2γ = 2.6")
