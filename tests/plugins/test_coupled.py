"""Lines between different fields: which end is which, against processes of coupled fields solved without diagrams.

Two populations dx = −A x dt + noise: a part of A is in the lines, the rest in vertices of two legs, so that the orders
of the diagrams are those of the exact solution (Lyapunov's equation and exponentials of matrices). With a drift that is
no line the generator on polynomials of both variables takes its place.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import exp

import numpy as np
import pytest
from coupled import Coupled, legs
from exact_cases import Process
from numpy.testing import assert_allclose

import nnqft
from nnqft import Field, Leg, Memory, Propagator, Term, Theory, Vertex
from nnqft.graphs.irreducible import amputate

A1 = np.array([[0.0, 0.4], [-0.5, 0.3]])
NOISE = np.array([[0.4, 0.3], [0.3, 1.6]])
DECAYING = Coupled(np.array([[1.0, -1.6], [0.3, 2.5]]), NOISE, A1)
RINGING = Coupled(np.array([[1.0, 2.0], [-1.5, 0.6]]), NOISE, A1)
SYSTEMS = {"two real rates": DECAYING, "a complex pair": RINGING}
TIMES = [(2.0, 0.8), (0.8, 2.0), (0.7, 0.7), (1.5, 0.0), (0.4, 3.0), (6.0, 0.5)]
BOTH = [(0, 0), (0, 1), (1, 0), (1, 1)]


def orders(theory: Theory, observable: str, order: int, times, integrator: str = "exact", **options) -> np.ndarray:
    """(order + 1, M): each order by itself, exact where it is said to be."""
    result = nnqft.compute(theory, observable, order=order, times=times, integrator=integrator, **options)
    assert integrator != "exact" or not result.sdev.any()
    return np.array([result.contribution(n, 0).mean for n in range(order + 1)])


def covariances(system: Coupled, order: int, start: str, a: int, b: int) -> np.ndarray:
    return np.array([system.correlator(t, s, order, start)[:, a, b] for t, s in TIMES]).T


# Exact sums.


@pytest.mark.parametrize("start", ["stationary", "rest"])
@pytest.mark.parametrize("turned", [False, True], ids=["C_01", "C_10"])
@pytest.mark.parametrize("system", SYSTEMS.values(), ids=SYSTEMS)
def test_correlators_of_two_fields(system, turned, start):
    theory = system.theory(start, turned=turned)
    for a, b in BOTH:
        wanted = covariances(system, 2, start, a, b)
        assert_allclose(orders(theory, legs(f"x{a}", f"x{b}"), 2, TIMES), wanted, rtol=1e-11, atol=1e-13)
    # Not the mirror image: otherwise this would prove nothing.
    assert np.abs(covariances(system, 0, start, 0, 1) - covariances(system, 0, start, 1, 0)).max() > 0.05


@pytest.mark.parametrize("system", SYSTEMS.values(), ids=SYSTEMS)
def test_the_response_matrix(system):
    for start, (a, b) in product(("stationary", "rest"), BOTH):
        wanted = np.array([system.response(t, s, 3)[:, a, b] for t, s in TIMES]).T
        found = orders(system.theory(start), legs(f"x{a}", f"z{b}"), 3, TIMES)
        assert_allclose(found, wanted, rtol=1e-11, atol=1e-13)


def test_rounding_of_an_oscillation_is_within_its_bound():
    """At long times and from rest an oscillating sum cancels on the way; the bound says by how much."""
    times = [(t, 0.0) for t in (0.0, 5.0, 20.0, 40.0)]
    result = nnqft.compute(RINGING.theory(), legs("x0", "x1"), order=2, times=times, integrator="exact")
    for n in range(3):
        part = result.contribution(n, 0)
        wanted = np.array([RINGING.correlator(t, s, 2)[n, 0, 1] for t, s in times])
        assert (np.abs(part.mean - wanted) <= part.rounding + 1e-15).all()


# Sampled ones.


@pytest.mark.parametrize("start", ["stationary", "rest"])
@pytest.mark.parametrize("kernels", [False, True], ids=["terms", "functions"])
@pytest.mark.parametrize("system", SYSTEMS.values(), ids=SYSTEMS)
def test_sampled_correlators(system, kernels, start):
    """As exponentials and as functions; a mirrored line would be off by many standard deviations."""
    theory = system.theory(start, kernels=kernels)
    for a, b in ((0, 1), (1, 0)):
        result = nnqft.compute(
            theory, legs(f"x{a}", f"x{b}"), order=2, times=TIMES[:4], integrator="vegas", neval=40_000, seed=a
        )
        wanted = covariances(system, 2, start, a, b)[:, :4]
        for n in range(3):
            part = result.contribution(n, 0)
            assert (np.abs(part.mean - wanted[n]) <= 4.5 * part.sdev + 1e-9).all()
            assert n == 0 or (part.sdev < 0.02).all()


def cross(t, s, params, xp):
    return xp.where(t >= s, 2 * xp.exp(s - t), xp.exp(t - s))


H, Z = Field("h", "h"), Field("z", "z̃", response=True)
A, B = Field("a", "a"), Field("b", "b")
G = Propagator("G", "h", "z", terms=(Term(1.0, 1.0),))
SIDES = (Term(2.0, 1.0, left="later"), Term(1.0, 1.0, left="earlier"))


def pair(line: Propagator, start: str = "stationary", *vertices: Vertex) -> Theory:
    return Theory("pair", start, {}, (A, B, H, Z), (line, G), vertices)


@pytest.mark.parametrize("value", [{"kernel": cross}, {"terms": SIDES}], ids=["function", "terms"])
@pytest.mark.parametrize("left", ["a", "b"])
def test_a_line_alone(value, left):
    """The line is 2 e^{−1} where its left field is later by 1, and e^{−1} where it is earlier."""
    right = "b" if left == "a" else "a"
    theory = pair(Propagator("C", left, right, **value))
    for first, second in ((left, right), (right, left)):
        later, earlier = (2.0, 1.0) if first == left else (1.0, 2.0)
        result = nnqft.compute(theory, legs(first, second), order=0, times=[(1.0, 0.0), (0.0, 1.0), (0.5, 0.5)])
        assert_allclose(result.mean, [later * exp(-1), earlier * exp(-1), 2.0], rtol=1e-14)


def test_two_lines_of_one_kind_and_of_both_directions():
    """Lines C_ab between two vertices one way, the other way, and one each way: exact = sampled."""
    vertices = (Vertex("z a", (Leg("z"), Leg("a")), 0.7), Vertex("z b b", (Leg("z"), Leg("b", power=2)), 0.4))
    square = Vertex("z a b", (Leg("z"), Leg("a"), Leg("b")), 0.3)
    theory = pair(Propagator("C", "a", "b", terms=SIDES), "stationary", *vertices, square)
    times = [(0.8, 0.0), (0.0, 0.8), (0.3, 0.3)]
    exact = nnqft.compute(theory, legs("h", "h"), order=2, times=times, integrator="exact")
    # C = 2 e^{−τ} for τ ≥ 0, e^{τ} below; a function has the same values.
    sampled = nnqft.compute(
        pair(Propagator("C", "a", "b", kernel=cross), "stationary", *vertices, square), legs("h", "h"),
        order=2, times=times, integrator="vegas", neval=100_000,
    )  # fmt: skip
    assert exact.series.keys() == sampled.series.keys()
    assert (np.abs(sampled.mean - exact.mean) <= 4.5 * sampled.sdev).all()
    assert (sampled.sdev < 0.01 * np.abs(exact.mean)).all()
    # ⟨(ab)(t) (ab)(s)⟩ = C(t,s) C(s,t) + C(0)²: the two lines run against each other, 2 e^{−2|τ|} by value.
    one = nnqft.compute(pair(Propagator("C", "a", "b", terms=SIDES)), legs("a", "b", "a", "b", connected=False),
                        order=0, times=[(1.0, 1.0, 0.0, 0.0)])  # fmt: skip
    assert_allclose(one.mean, 4.0 + 2 * exp(-2), rtol=1e-13)


# A drift that is no line.


def drifting(start: str) -> Theory:
    """dx_0 gains −ε x_0² x_1 · 0.3, dx_1 gains −ε x_0² · 0.5."""
    vertices = (
        Vertex("z0 x0 x0 x1", (Leg("z0"), Leg("x0", power=2), Leg("x1")), -0.3),
        Vertex("z1 x0 x0", (Leg("z1"), Leg("x0", power=2)), -0.5),
    )
    return replace(DECAYING.theory(start), vertices=vertices)


def drifting_process(order: int) -> Process:
    flow = [(-DECAYING.A0[a, b], 0, (1 - b, b), (1 - a, a)) for a, b in BOTH]
    noise = [(0.2, 0, (0, 0), (2, 0)), (0.3, 0, (0, 0), (1, 1)), (0.8, 0, (0, 0), (0, 2))]
    return Process((*flow, *noise, (-0.3, 1, (2, 1), (1, 0)), (-0.5, 1, (2, 0), (0, 1))), order, resets=(0, 1))


@pytest.mark.parametrize("start", ["stationary", "rest"])
@pytest.mark.parametrize(
    ("which", "times", "order"),
    [
        ((0, 1), [(1.1, 0.2), (0.2, 1.1)], 2),
        ((1, 0, 0), [(1.4, 0.9, 0.3), (0.3, 1.4, 0.9)], 1),
        ((0, 1, 1, 0), [(1.4, 0.9, 0.3, 0.6)], 1),
    ],
    ids=["two", "three", "four"],
)
def test_a_drift_of_both_variables(which, times, order, start):
    order = 1 if start == "rest" else order
    observable = legs(*(f"x{n}" for n in which))
    result = nnqft.compute(drifting(start), observable, order=order, times=times, rtol=1e-2)
    process = drifting_process(order)
    wanted = np.array([process.cumulant(row, start, which) for row in times]).T
    for n in range(order + 1):
        part = result.contribution(n, 0)
        assert (np.abs(part.mean - wanted[n]) <= 4.5 * part.sdev + 1e-10 * np.abs(wanted[n]).max() + 1e-14).all()
    # From rest some lines have more terms than an exact sum takes, and are sampled.
    assert start == "rest" or not result.sdev.any()


# Memories of a vertex.


def one_sided(t, s, params, xp):
    return xp.where(t >= s, xp.exp(2.0 * (s - t)), 0.0)


@pytest.mark.parametrize("points", [(0, 1), (1, 0)])
def test_a_memory_that_knows_which_point_is_later(points):
    """z(t1) h(t1) z(t2) h(t2)² f(t1, t2): f on one side and on the other make the whole, each by itself less."""
    site = nnqft.theory("langevin", drift={1: 1.1})
    vertex = Vertex("v", (Leg("z", 0), Leg("h", 0), Leg("z", 1), Leg("h", 1, power=2)), 0.5)
    both = (Memory(*points, (Term(1.0, 2.0),)),)
    later = (Memory(*points, (Term(1.0, 2.0, left="later"),), symmetric=False),)
    earlier = (Memory(*points[::-1], (Term(1.0, 2.0, left="later"),), symmetric=False),)
    function = (Memory(*points, kernel=one_sided, symmetric=False),)
    times = [(0.7, 0.0, 0.3), (0.0, 0.7, 0.3)]

    def value(memory, **options):
        theory = replace(site, vertices=(replace(vertex, memory=memory),))
        return nnqft.compute(theory, "cumulant", order=1, times=times, **options)

    one, two, whole = (value(memory, integrator="exact").mean for memory in (later, earlier, both))
    assert_allclose(one + two, whole, rtol=1e-12)
    assert (np.abs(one - two) > 0.1 * np.abs(whole)).all()
    sampled = value(function, integrator="vegas", neval=50_000)
    assert (np.abs(sampled.mean - one) <= 4.5 * sampled.sdev).all()
    assert (sampled.sdev < 0.02 * np.abs(one)).all()


@pytest.mark.parametrize("on", ["weights", "activation"])
def test_bilocal_vertices_with_a_memory_on_either_side(on):
    """W z(0) z(1) f(0,1) with W~ h(0) h²(1): the two ways to match the times differ unless f is symmetric."""
    bilocal = Field("W", "W", bilocal=True), Field("W~", "W~", bilocal=True)
    site = nnqft.theory("langevin", drift={1: 1.1})
    f = (Memory(0, 1, (Term(1.0, 2.0, left="later"),), symmetric=False),)
    weights = Vertex("W z z", (Leg("W", (0, 1)), Leg("z", 0), Leg("z", 1)), 0.5, order=1, memory=f * (on == "weights"))
    activation = Vertex("h h2", (Leg("W~", (0, 1)), Leg("h", 0), Leg("h", 1, power=2)), 1.0, order=1,
                        memory=f * (on == "activation"))  # fmt: skip
    line = Propagator("G_w", "W", "W~", delta=True)
    theory = replace(site, fields=(*site.fields, *bilocal), propagators=(*site.propagators, line),
                     vertices=(weights, activation))  # fmt: skip
    ways = []
    for one, two in ((0, 1), (1, 0)):
        memory = f if on == "weights" else (replace(f[0], one=one, two=two),)
        fields = Leg("z", 0), Leg("z", 1), Leg("h", one), Leg("h", two, power=2)
        ways.append(Vertex(f"way {one}", fields, 0.5, order=2, memory=memory))
    by_hand = replace(site, vertices=tuple(ways))
    times = [(0.7, 0.0, 0.3), (0.0, 0.7, 0.3)]
    found, wanted = (
        nnqft.compute(each, "cumulant", order=2, times=times, integrator="exact") for each in (theory, by_hand)
    )
    assert_allclose(found.mean, wanted.mean, rtol=1e-12)
    assert len(theory.interactions) == (2 if on == "weights" else 1)


# What is refused.


@pytest.mark.parametrize(
    ("line", "start", "message"),
    [
        (Propagator("C", "h", "h", terms=(Term(0.5, 1.0, 2.0),)), "stationary",
         "propagator 'C': early=2 depends on the time itself, and nothing stationary does; leave early out, or write"
         " start='rest'"),
        (Propagator("G", "h", "z", terms=(Term(0.5, 1.0, 2.0),)), "stationary", "early=2 depends on the time itself"),
        (Propagator("C", "a", "b", terms=(Term(0.5, 1.0, 2.0, "later"),)), "stationary", "early=2 depends on the time"),
        (Propagator("C", "h", "h", terms=(Term(0.5, 1.0, left="later"),)), "rest",
         "a correlator of a field with itself is symmetric; leave left out"),
        (Propagator("G", "h", "z", terms=(Term(0.5, 1.0, left="later"),)), "rest",
         "a response is there for t > s alone; leave left out"),
        (Propagator("C", "a", "b", terms=(Term(0.5, 1.0, left="after"),)), "rest",
         "left='after'; wanted 'either', 'later' or 'earlier'"),
        (Propagator("C", "h", "h", terms=(Term(0.5, -1j),)), "rest", None),
        (Propagator("C", "h", "h", terms=(Term(0.5, -1 + 1j),)), "rest", "grows or never decays; wanted rates ≥ 0"),
        (Propagator("C", "h", "h", terms=(Term(0.5, "1"),)), "rest", "wanted Terms of numbers, such as Term(0.5, 1.0)"),
        (Propagator("C", "h", "h", terms=(0.5,)), "rest", "wanted Terms of numbers, such as Term(0.5, 1.0)"),
        (Propagator("C", "h", "h", kernel=cross), "stationary",
         "with the times exchanged; a correlator of a field with itself is symmetric"),
        (Propagator("C", "a", "b", kernel=cross, terms=(Term(2.0, 1.0),)), "stationary",
         "its kernel is 0.99005 and the sum of its terms 1.9801; give one of them"),
        (Propagator("C", "a", "b", kernel=cross, terms=SIDES), "stationary", None),
        (Propagator("C", "a", "b", kernel=lambda t, s, p, xp: xp.exp(-abs(t) - abs(s))), "stationary",
         "in a stationary theory it depends on t − s alone"),
        (Propagator("C", "a", "b", kernel=lambda t, s, p, xp: xp.exp(-abs(t) - 2 * abs(s))), "rest", None),
    ],
    ids=range(15),
)  # fmt: skip
def test_lines_that_contradict_themselves(line, start, message):
    propagators = (line,) if line.name == "G" else (line, G)

    def made() -> Theory:
        return Theory("pair", start, {}, (A, B, H, Z), propagators, ())

    if message is None:
        made()
        return
    with pytest.raises(nnqft.TheoryError) as refused:
        made()
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("memory", "message"),
    [
        (Memory(0, 1, (Term(1.0, 1.0, 0.5),)), "early=0.5 depends on the time itself"),
        (Memory(0, 1, (Term(1.0, -1.0),)), "grows or never decays; wanted rates ≥ 0"),
        (Memory(0, 1, (Term(1.0, 1.0, left="later"),)), "its terms differ for t ≥ s and t < s; write symmetric=False"),
        (Memory(0, 1, kernel=cross), "with the times exchanged; write symmetric=False, as a memory"),
        (Memory(0, 1, kernel=cross, symmetric=False), None),
    ],
    ids=range(5),
)
def test_memories_that_contradict_themselves(memory, message):
    site = nnqft.theory("langevin")
    vertex = Vertex("v", (Leg("z", 0), Leg("h", 0), Leg("z", 1), Leg("h", 1)), 0.5, memory=(memory,))
    if message is None:
        replace(site, vertices=(vertex,))
        return
    with pytest.raises(nnqft.TheoryError) as refused:
        replace(site, vertices=(vertex,))
    assert "vertex 'v': memory of points 0 and 1" in str(refused.value)
    assert message in str(refused.value)


def sampled_as_summed(theory: Theory, times: tuple[float, float]) -> None:
    """The order ≤ 1 of ⟨x x⟩ by samples is what exact sums give."""
    exact, sampled = (
        nnqft.compute(theory, "two_point", order=1, times=[times], integrator=name, neval=20_000)
        for name in ("exact", "vegas")
    )
    assert abs(sampled.mean[0] - exact.mean[0]) <= 4.5 * sampled.sdev[0]
    assert sampled.sdev[0] < 0.01 * abs(exact.mean[0])


def test_a_response_that_remembers_the_start_is_sampled_as_it_is_summed():
    """From rest G may have `early`; its samples once left that out."""
    site = nnqft.theory("langevin", drift={1: 1.1, 3: 0.3}, start="rest")
    response = Propagator("G", "h", "z", terms=(Term(1.0, 1.1, 0.6),))
    sampled_as_summed(replace(site, propagators=(site.propagators[0], response)), (1.5, 0.7))


def test_a_response_whose_first_term_is_the_fastest():
    """Its delays are drawn with the slowest rate: otherwise the weights of long ones have no variance."""
    site = nnqft.theory("langevin", drift={1: 1.0, 3: 0.2})
    response = Propagator("G", "h", "z", terms=(Term(-0.5, 5.0), Term(1.5, 1.0)))
    sampled_as_summed(replace(site, propagators=(site.propagators[0], response)), (0.5, 0.0))


# What is written, and what stands apart.


def test_text_says_which_line_and_which_end():
    theory = DECAYING.theory()
    zero = nnqft.diagrams(theory, legs("x0", "x1"), order=0)[0]
    assert str(zero) == "t s t~s:C01"
    mirrored = nnqft.diagrams(theory, legs("x1", "x0"), order=0)[0]
    assert str(mirrored) == "t s s~t:C01"
    first = {str(diagram) for diagram in nnqft.diagrams(theory, legs("x0", "x1"), order=1)}
    assert "t(a:R00) s a~s:C11 {a}" in first
    assert len(first) == len(nnqft.diagrams(theory, legs("x0", "x1"), order=1))


def test_dyson_needs_lines_of_one_field():
    theory = pair(Propagator("C", "h", "a", terms=(Term(0.5, 1.0),)))
    with pytest.raises(nnqft.InputError, match="model 'pair'"):
        nnqft.dyson(theory, order=1)
    correlator = Propagator("C_h", "h", "h", terms=(Term(0.5, 1.0),))
    theory = replace(theory, propagators=(*theory.propagators, correlator))
    with pytest.raises(nnqft.InputError, match="line 'C' ends on another, 'a'"):
        nnqft.dyson(theory, order=1)


def test_amputation_keeps_the_direction():
    theory = DECAYING.theory()
    again, stubs = amputate(theory, (Leg("x0", 0), Leg("x1", 1)))
    assert {leg.field for leg in stubs} == {"x0|", "x1|"}
    assert again.lines["x0", "x1"].left == "x0"
