"""Replicas: diagrams over noise histories on one network, against averages over its weights without diagrams."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest

import nnqft
from nnqft import AbstractObservable, Field, Leg, Propagator, Shared, Term, Theory, Vertex
from nnqft.stages.request import Request
from nnqft_plugins.observables.cumulant import Cumulant

FOUR = [(0.0, 0.0, 0.0, 0.0)]


def moments(N: int, legs: str, replicas: str, bias: float, orders: int) -> np.ndarray:
    """Coefficients of σ_w^0, σ_w^2, … of ⟨h h h h⟩ at equal times, of a linear network with γ = κ = 1.

    Of one W histories have covariance δ_ab P + M, P from Lyapunov's equation and M = σ_b² A⁻¹A⁻ᵀ; W is averaged over
    by Gauss's rule, exact for its powers, and orders are told apart on a circle of complex couplings.
    """
    x, w = np.polynomial.hermite_e.hermegauss(orders * 2 + 1)
    W = np.array(list(itertools.product(x, repeat=N * N))).reshape(-1, N, N) / np.sqrt(N)
    weight = np.array([np.prod(each) for each in itertools.product(w / w.sum(), repeat=N * N)])
    circle = 0.05 * np.exp(2j * np.pi * np.arange(16) / 16)
    one, values = np.eye(N), []
    for coupling in circle:
        A = coupling * W - one
        lyapunov = np.einsum("uij,kl->uikjl", A, one) + np.einsum("ij,ukl->uikjl", one, A)
        P = -np.linalg.solve(lyapunov.reshape(-1, N * N, N * N), one.reshape(-1, 1).astype(complex)).reshape(-1, N, N)
        inverse = np.linalg.inv(A)
        M = bias**2 * inverse @ np.swapaxes(inverse, 1, 2)
        unit = ["ij".index(letter) for letter in legs]

        def joined(a: int, b: int, P=P, M=M, unit=unit) -> np.ndarray:
            return M[:, unit[a], unit[b]] + (replicas[a] == replicas[b]) * P[:, unit[a], unit[b]]

        pairs = [joined(0, 1) * joined(2, 3), joined(0, 2) * joined(1, 3), joined(0, 3) * joined(1, 2)]
        values.append(weight @ sum(pairs))
    return (np.fft.fft(values).real / 16 / 0.05 ** np.arange(16))[: 2 * orders + 1 : 2]


@pytest.mark.parametrize(
    ("N", "legs", "replicas", "bias"),
    [
        (2, "ijij", "aabb", 0.0),
        (2, "ijij", "aabb", 0.7),
        (2, "ijij", "abcc", 0.7),
        (2, "iijj", "abab", 0.7),
        (2, "ijij", "abcd", 0.7),
        (2, "iiij", "abba", 0.7),
        (1, "iiii", "aabb", 0.0),
        (1, "iiii", "aabc", 0.7),
    ],
)
def test_every_order_at_finite_width(N, legs, replicas, bias):
    theory = nnqft.theory("linear", N=N, sigma_w=1.0, sigma_b=bias)
    asked = {"times": FOUR, "replicas": replicas, "indices": legs if N > 1 else None}
    found = nnqft.compute(theory, "four_point", order=2, **asked)
    sums = [sum(e.mean[0] for (n, _), e in found.series.items() if n == order) for order in range(3)]
    np.testing.assert_allclose(sums, moments(N, legs, replicas, bias, 2), rtol=1e-9, atol=1e-10)


def history_of(diagram: nnqft.Diagram, external: str) -> list[str]:
    """The history of each point: that of the external point its responses lead to."""
    after = {line.start: line.end for line in diagram.lines if line.response}
    found = []
    for point in range(len(diagram.points)):
        while point in after:
            point = after[point]
        found.append(external[point])
    return found


@pytest.mark.parametrize("bias", [0.0, 0.3])
def test_replicas_label_ordinary_diagrams(bias):
    theory = nnqft.theory("cubic_tanh", N=10, sigma_w=0.5, sigma_b=bias, expansion="bare")
    plain = nnqft.diagrams(theory, "cumulant", order=2, width_order=1, indices="ijij")
    kept = []
    for diagram in plain:
        own = history_of(diagram, "aabb")
        kept.append(bias or not any(not line.response and own[line.start] != own[line.end] for line in diagram.lines))
    labelled = nnqft.diagrams(theory, "cumulant", order=2, width_order=1, indices="ijij", replicas="aabb")
    assert len(labelled) == sum(map(bool, kept)) > 20
    weights = sorted(weight for weight, keep in zip(plain.weights, kept, strict=True) if keep)
    np.testing.assert_allclose(sorted(labelled.weights), weights)
    assert {name for diagram in labelled for name in history_of(diagram, "aabb")} == {"a", "b"}


def test_how_they_are_written():
    theory = nnqft.theory("linear", N=100, sigma_w=0.5)
    one, two = nnqft.diagrams(theory, "cumulant", order=1, indices="ijij", replicas="aabb")
    assert str(one) == "t1(a) t2 t3@b(b) t4@b t2~a t4@b~b {a,b}"
    assert one.replicas == ("a", "a", "b", "b")
    assert one.vertices == ("(1,1)@ab",)
    assert two.digest != one.digest
    assert str(nnqft.diagrams(theory, "two_point", order=0, replicas="xx")[0]) == "t s t~s"
    renamed = nnqft.diagrams(theory, "cumulant", order=1, indices="ijij", replicas="yyxx")
    assert [each.digest for each in renamed] == [one.digest, two.digest]


def test_responses_do_not_cross():
    theory = nnqft.theory("linear", N=100, sigma_w=0.5, sigma_b=0.5)
    assert len(nnqft.diagrams(theory, "response", order=3, replicas="ab")) == 0


def test_langevin_histories_share_nothing():
    theory = nnqft.theory("langevin", drift={1: 1.0, 3: 0.1})
    assert len(nnqft.diagrams(theory, "cumulant", order=1, replicas="aabb")) == 0
    product = nnqft.compute(theory, "four_point", order=1, times=FOUR, replicas="aabb")
    variance = nnqft.compute(theory, "two_point", order=1)
    expected = 2 * variance.contribution(order=0, width=0).mean * variance.contribution(order=1, width=0).mean
    np.testing.assert_allclose(product.contribution(order=1, width=0).mean, expected)


def test_sampled_and_exact():
    theory = nnqft.theory("linear", N=20, sigma_w=0.5, sigma_b=0.3)
    asked = {"order": 1, "times": [(1.0, 0.0, 0.5, 0.0)], "indices": "ijij", "replicas": "aabb"}
    exact = nnqft.compute(theory, "cumulant", **asked, integrator="exact")
    sampled = nnqft.compute(theory, "cumulant", **asked, integrator="vegas", neval=20_000)
    assert 0 < sampled.sdev[0] < 0.02 * exact.mean[0]
    assert abs(sampled.mean[0] - exact.mean[0]) < 4 * sampled.sdev[0]


def test_two_histories_of_layers():
    """x·y of two histories x, y in one stack, and |x|²|y|², close among themselves by Itô's rule."""
    N = 5

    def expected(s: complex) -> complex:  # γ = κ = 1
        gain = 2 - s
        M = np.array([[2 * s / N - 2 * gain, 2 * s / N], [4 * s / N, -2 * gain]])
        dot, both = np.linalg.solve(M, [-2 * N / gain, -2 * N**2 / gain])
        return np.linalg.solve([[N * N, 2 * N], [N, N * N + N]], [both, dot])[1]

    circle = 0.2 * np.exp(2j * np.pi * np.arange(16) / 16)
    series = np.fft.fft([expected(s) for s in circle]).real / 16 / 0.2 ** np.arange(16)
    asked = {"order": 3, "times": FOUR, "indices": "ijij", "replicas": "aabb"}
    found = nnqft.compute(nnqft.theory("feedforward", N=N, sigma_w=1.0), "four_point", **asked)
    sums = [sum(e.mean[0] for (n, _), e in found.series.items() if n == order) for order in range(4)]
    np.testing.assert_allclose(sums, series[:4], rtol=1e-8, atol=1e-10)


class Overlap(AbstractObservable):
    """⟨h_i^a h_i^b⟩ at one time, by letters of its own legs."""

    name, arity = "overlap", 1

    def legs(self, theory, arity):
        return Leg("h", 0, "i"), Leg("h", 0, "i", replica="b")


def test_an_observable_of_a_stranger(monkeypatch):
    host = nnqft.host.default_host()
    monkeypatch.setitem(host.found["observable"], "overlap", (Overlap(), "test"))
    theory = nnqft.theory("linear", N=10, sigma_w=0.5, sigma_b=0.3)
    found = nnqft.compute(theory, "overlap", order=1, width_order=0, times=[(0.0,)])
    np.testing.assert_allclose(found.mean, 0.09 * (1 + 0.25))
    assert [str(diagram) for diagram in nnqft.diagrams(theory, "overlap", order=0)] == ["t s@b s@b~t"]


def test_a_result_keeps_them(tmp_path):
    theory = nnqft.theory("linear", N=100, sigma_w=0.5)
    asked = {"order": 1, "times": FOUR, "indices": "ijij", "replicas": "aabb"}
    found = nnqft.compute(theory, "cumulant", **asked)
    assert "cumulant (ijij, aabb)" in found.table()
    found.save(tmp_path / "found.json")
    assert nnqft.load(tmp_path / "found.json").request == found.request
    assert Request.from_json(found.request.to_json()).replicas == "aabb"
    assert "replicas" not in nnqft.compute(theory, "two_point", order=0).request.to_json()


def test_a_theory_travels_without_what_makes_it_shared():
    theory = nnqft.theory("taylor", activation="tanh", N=10)
    assert callable(theory.shared)
    there = pickle.loads(pickle.dumps(theory))
    assert there == theory
    assert there.shared is None


def hand_made(shared: Shared | None) -> Theory:
    fields = Field("h", "h_i(t)"), Field("z", "z̃_i(t)", response=True)
    lines = Propagator("C", "h", "h", terms=(Term(0.5, 1.0),)), Propagator("G", "h", "z", terms=(Term(1.0, 1.0),))
    legs = Leg("z", 0, "i"), Leg("z", 1, "i"), Leg("h", 0, "j"), Leg("h", 1, "j")
    vertex = Vertex("w", legs, 0.5, (("g", 2),), width=1)
    return Theory("mine", "stationary", {"g": 0.5, "N": 10}, fields, lines, (vertex,), shared=shared)


def test_a_theory_made_by_hand():
    theory = hand_made(Shared(vertices=hand_made(None).vertices))
    asked = {"order": 2, "indices": "ijij", "replicas": "aabb"}
    ours = nnqft.diagrams(nnqft.theory("linear", N=10, sigma_w=0.5), "cumulant", **asked)
    assert [str(each) for each in nnqft.diagrams(theory, "cumulant", **asked)] == [str(each) for each in ours]


@pytest.mark.parametrize(
    ("shared", "replicas", "message"),
    [
        (None, "aabb", "does not say what noise histories on one network share"),
        (Shared(), "aab", "replicas='aab' has 3 letters, 'four_point' has 4 legs; write one for each"),
        (Shared(), 7, r"replicas=7: wanted a letter for each leg, write for example replicas='ab'"),
        (Shared(), "a1bb", "wanted a letter for each leg"),
        (Shared((Propagator("D", "h", "h", terms=(Term(1.0, 0.0),)),)), "aabb", "shared line 'D' joins 'h' and 'h'"),
        (Shared((Propagator("G", "h", "z", terms=(Term(1.0, 1.0),)),)), "aabb", "'G' is a response; leave it out"),
        (Shared(vertices=(3,)), "aabb", "shared.vertices: 3: wanted a tuple of Vertex"),
        ("all", "aabb", "shared='all': wanted an nnqft.Shared"),
    ],
)
def test_bad_input(shared, replicas, message):
    with pytest.raises((nnqft.InputError, nnqft.TheoryError), match=message):
        nnqft.diagrams(hand_made(shared), "four_point", order=1, replicas=replicas)


def test_what_has_no_sum_and_chooses_its_own():
    theory = nnqft.theory("linear", N=10, sigma_w=0.5)
    with pytest.raises(nnqft.InputError, match="replicas='ab' have no sum of all orders"):
        nnqft.compute(theory, "two_point", order="resummed", width_order=0, replicas="ab")
    with pytest.raises(nnqft.InputError, match="'kernel_variance' chooses those of its legs; leave replicas out"):
        nnqft.compute(theory, "kernel_variance", order=1, replicas="ab")
    assert Cumulant().legs(theory, 2)[0].replica == "a"


def test_amputated_legs_are_of_their_histories():
    theory = nnqft.theory("linear", N=100, sigma_w=0.5, sigma_b=0.1)
    (found,) = nnqft.diagrams(theory, "two_point", order=1, replicas="ab", irreducible=True)
    assert str(found) == "t|a s@b|b b~a {a,b}"
