"""Generation: the known counts, a Wick counter written without the generator, exact sums, and the limits.

The counts are those of docs/physics.md.
"""

from __future__ import annotations

import time
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import combinations_with_replacement, permutations, product
from math import factorial, prod

import networkx as nx
import numpy as np
import oracles
import pytest
import strategies as own
from hypothesis import given, settings
from hypothesis import strategies as st
from merging import partial_diagrams
from theories import PHI, TWO_POINT, H, Z, bare_theory, langevin, layered, linear, network, scalar, with_kernel

import nnqft
from nnqft import Diagram, DiagramSet, InputError, Leg, Theory, Vertex
from nnqft.graphs.census import Census, take_census
from nnqft.graphs.generate import generate
from nnqft.graphs.layout import lay_out
from nnqft.graphs.wick import contract

ONE = Fraction(1)


def make(theory: Theory, externals: tuple[Leg, ...], order: int, **options) -> DiagramSet:
    return generate(theory, "test", externals, order=order, **options)


@cache
def linear_diagrams() -> DiagramSet:
    return make(linear(), TWO_POINT, 4)


@cache
def mixed_diagrams() -> DiagramSet:
    """Two types of vertices: (1,1) and (1,3)."""
    return make(network({(1, 1): ONE, (1, 3): ONE}), TWO_POINT, 3)


# Known counts.


@pytest.mark.parametrize(("n", "counts"), [(0, [1]), (1, [1, 2]), (2, [1, 6, 8]), (3, [1, 12, 44, 48]),
                                           (4, [1, 20, 140, 400, 384])])  # fmt: skip
def test_linear_counts(n, counts):
    assert [linear_diagrams().counts[n, k] for k in range(n + 1)] == counts
    assert sum(counts) == oracles.gaussian_moment(2 * n + 2)


def test_linear_counts_of_order_five():
    counts = make(linear(), TWO_POINT, 5).counts
    assert sum(count for (n, _), count in counts.items() if n == 5) == 10395


def test_one_vertex_with_three_legs_at_both_times():
    assert make(network({(3, 3): ONE}), TWO_POINT, 1).counts == {(0, 0): 1, (1, 0): 2, (1, 1): 6}


@pytest.mark.parametrize(
    ("vertices", "counts"),
    [
        ({"(1,3)": 1}, [2, 6]),
        ({"(1,3)": 2}, [6, 80, 276]),
        ({"(1,3)": 3}, [22, 686, 7980, 34488]),
        ({"(1,1)": 1, "(1,3)": 1}, [6, 44, 88]),
        ({"(1,1)": 2, "(1,3)": 1}, [12, 158, 774, 1300]),
        ({"(1,1)": 1, "(1,3)": 2}, [30, 604, 4400, 11456]),
    ],
    ids=str,
)
def test_mixed_counts(vertices, counts):
    diagrams = mixed_diagrams()
    chosen = diagrams.orders == sum(vertices.values())
    for vertex in diagrams.layout.vertices:
        sockets = (diagrams.kinds == vertex.kinds[0]).sum(axis=1)
        chosen &= sockets == vertex.kinds.count(vertex.kinds[0]) * vertices.get(vertex.rule.name, 0)
    assert np.bincount(diagrams.widths[chosen]).tolist() == counts


def test_a_type_of_vertex_makes_the_same_diagrams_alone_and_among_others():
    assert make(network({(1, 3): ONE}), TWO_POINT, 2).counts == {
        (0, 0): 1, (1, 0): 2, (1, 1): 6, (2, 0): 6, (2, 1): 80, (2, 2): 276,
    }  # fmt: skip


def test_cacti_and_mushrooms_of_high_order():
    diagrams = make(linear(), TWO_POINT, 8, width_order=1)
    assert diagrams.counts[8, 0] == 1
    assert diagrams.counts[8, 1] == 72
    assert Counter(d.family for d in diagrams if d.order == 8) == {"cactus": 1, "mushroom": 72}


@pytest.mark.parametrize("width_order", [0, 1, 2])
def test_width_order_gives_exactly_the_narrow_part_of_all(width_order):
    narrow = make(linear(), TWO_POINT, 4, width_order=width_order)
    assert [d.digest for d in narrow] == [d.digest for d in linear_diagrams() if d.width <= width_order]


@given(own.response_theories(), st.data(), st.integers(0, 1), st.booleans())
@settings(deadline=None, max_examples=40)
def test_width_order_loses_nothing_in_any_theory(theory, data, width_order, connected):
    externals = data.draw(own.externals(theory))
    full = make(theory, externals, 2, connected=connected)
    narrow = make(theory, externals, 2, connected=connected, width_order=width_order)
    assert [d.digest for d in narrow] == [d.digest for d in full if d.width <= width_order]


# Weights.


def test_every_linear_weight_is_one():
    assert {(d.coefficient, d.weight) for d in linear_diagrams()} == {(1, 1.0)}


def test_linear_weights_are_powers_of_the_parameters():
    for d in make(linear(sigma_w=0.5, N=10), TWO_POINT, 3):
        assert d.weight == pytest.approx(0.5 ** (2 * d.order) / 10**d.width, rel=1e-14)
        assert dict(d.couplings).get("sigma_w", 0) == 2 * d.order


# Every single diagram, against all contractions of labelled vertices.

Contraction = tuple[int, ...]
"""Partner of each leg."""


@dataclass(frozen=True)
class LabelledLeg:
    """One leg of one of the labelled vertices; external legs are vertices of their own, numbered below 0."""

    vertex: int
    point: int
    field: str
    index: str | None


@dataclass(frozen=True)
class Labelled:
    """All external legs and labelled vertices that are to be contracted."""

    theory: Theory
    vertices: tuple[Vertex, ...]
    legs: tuple[LabelledLeg, ...]

    def contractions(self, connected: bool) -> set[Contraction]:
        """All that are causal and without vacuum parts."""
        allowed = [
            [j for j, other in enumerate(self.legs) if (one.field, other.field) in self.theory.lines]
            for one in self.legs
        ]
        partner = [-1] * len(self.legs)
        found = set()

        def extend() -> None:
            if -1 not in partner:
                if self.is_causal(partner) and self.is_anchored(partner, connected):
                    found.add(tuple(partner))
                return
            free = [n for n, other in enumerate(partner) if other < 0]
            # Response legs first: they have the fewest choices.
            one = min(free, key=lambda n: (not self.is_response(n), n))
            for two in allowed[one]:
                if partner[two] < 0 and two != one:
                    partner[one], partner[two] = two, one
                    extend()
                    partner[one] = partner[two] = -1

        extend()
        return found

    def is_response(self, leg: int) -> bool:
        return self.theory.field_named[self.legs[leg].field].response

    def is_causal(self, partner: list[int]) -> bool:
        point = [(leg.vertex, leg.point) for leg in self.legs]
        arrows = [(point[a], point[b]) for a, b in enumerate(partner) if self.is_response(a)]
        return nx.is_directed_acyclic_graph(nx.DiGraph(arrows))

    def is_anchored(self, partner: list[int], connected: bool) -> bool:
        graph = nx.Graph((self.legs[a].vertex, self.legs[b].vertex) for a, b in enumerate(partner))
        parts = list(nx.connected_components(graph))
        return all(min(part) < 0 for part in parts) and (not connected or len(parts) == 1)

    def width(self, contraction: Contraction) -> int:
        """Powers of 1/N: those of the vertices less the index sums that no external leg ties."""
        graph = nx.Graph()
        for one, two in zip(self.legs, (self.legs[n] for n in contraction), strict=True):
            if one.index is not None:
                # External legs all carry the same index.
                graph.add_edge((max(one.vertex, -1), one.index), (max(two.vertex, -1), two.index))
        loops = sum(all(vertex >= 0 for vertex, _ in part) for part in nx.connected_components(graph))
        return int(sum(vertex.width for vertex in self.vertices)) - loops

    def relabellings(self) -> list[tuple[int, ...]]:
        """Permutations of the legs by exchanging equal vertices and equal legs of a vertex."""
        own_legs = [[n for n, leg in enumerate(self.legs) if leg.vertex == v] for v in range(len(self.vertices))]
        inner = [leg_symmetries(vertex) for vertex in self.vertices]
        fixed = [n for n, leg in enumerate(self.legs) if leg.vertex < 0]
        group = []
        for exchange in permutations(range(len(self.vertices))):
            if any(self.vertices[v] != self.vertices[w] for v, w in enumerate(exchange)):
                continue
            for choice in product(*inner):
                image = {n: n for n in fixed}
                for v, moved in enumerate(choice):
                    image |= {own_legs[v][a]: own_legs[exchange[v]][b] for a, b in enumerate(moved)}
                group.append(tuple(image[n] for n in range(len(self.legs))))
        return group

    def contraction_of(self, diagram: Diagram) -> Contraction:
        """One contraction that gives a generated diagram."""
        names = [vertex.name for vertex in self.vertices]
        place: dict[int, tuple[int, int]] = {e: (e - diagram.externals, 0) for e in range(diagram.externals)}
        field_at = {p.name: (p.left, p.right) for p in self.theory.propagators}
        ends = [(line.end, field_at[line.propagator][0]) for line in diagram.lines]
        ends += [(line.start, field_at[line.propagator][1]) for line in diagram.lines]
        used = Counter(ends)
        for v, name in enumerate(diagram.vertices):
            copy = names.index(name)
            names[copy] = ""
            times = [n for n, point in enumerate(diagram.points) if point.vertex == v]
            times.sort(key=lambda n: diagram.points[n].number)
            orders = list(permutations(range(len(times))))
            # With a kernel over its times each point of a vertex is the one it is numbered as.
            for order in orders[:1] if self.vertices[copy].kernel else orders:
                wanted = Counter((times[order[leg.point]], leg.field) for leg in self.legs if leg.vertex == copy)
                if all(used[end] == count for end, count in wanted.items()):
                    place |= {times[order[n]]: (copy, n) for n in range(len(times))}
                    break
        assert len(place) == len(diagram.points)
        legs: dict[tuple[tuple[int, int], str], list[int]] = {}
        for n, leg in enumerate(self.legs):
            legs.setdefault(((leg.vertex, leg.point), leg.field), []).append(n)
        partner = [-1] * len(self.legs)
        half = len(ends) // 2
        for (end, left), (start, right) in zip(ends[:half], ends[half:], strict=True):
            one, two = legs[place[end], left].pop(), legs[place[start], right].pop()
            partner[one], partner[two] = two, one
        return tuple(partner)


def leg_symmetries(vertex: Vertex) -> list[tuple[int, ...]]:
    """Permutations of the single legs of a vertex that leave its term of the action as it is."""
    legs = [leg for leg in vertex.legs for _ in range(leg.power)]
    groups = [[n for n, leg in enumerate(legs) if leg.field == field] for field in {leg.field for leg in legs}]
    symmetries = []
    for images in product(*(permutations(group) for group in groups)):
        image = {a: b for group, moved in zip(groups, images, strict=True) for a, b in zip(group, moved, strict=True)}
        moved = [legs[image[n]] for n in range(len(legs))]
        same_point = all((a.point == b.point) == (c.point == d.point) for (a, c), (b, d) in pairs(legs, moved))
        same_index = all((a.index == b.index) == (c.index == d.index) for (a, c), (b, d) in pairs(legs, moved))
        if vertex.kernel:
            same_point = all(a.point == b.point for a, b in zip(legs, moved, strict=True))
        if same_point and same_index:
            symmetries.append(tuple(image[n] for n in range(len(legs))))
    return symmetries


def pairs(legs: list[Leg], moved: list[Leg]) -> Iterator[tuple[tuple[Leg, Leg], tuple[Leg, Leg]]]:
    return product(list(zip(legs, moved, strict=True)), repeat=2)


def label(theory: Theory, externals: tuple[Leg, ...], vertices: tuple[Vertex, ...]) -> Labelled:
    legs = [LabelledLeg(e - len(externals), 0, leg.field, leg.index) for e, leg in enumerate(externals)]
    for v, vertex in enumerate(vertices):
        legs += [LabelledLeg(v, leg.point, leg.field, leg.index) for leg in vertex.legs for _ in range(leg.power)]
    return Labelled(theory, vertices, tuple(legs))


@pytest.mark.parametrize("connected", [True, False])
@pytest.mark.parametrize(
    ("theory", "externals", "order"),
    [
        pytest.param(linear(), (H, H), 2, id="linear"),
        pytest.param(linear(), (H, Z), 2, id="linear response"),
        pytest.param(linear(), (H, H, H, H), 1, id="linear four-point"),
        pytest.param(network({(1, 3): ONE}), (H, H), 1, id="(1,3)"),
        pytest.param(network({(3, 3): ONE}), (H, H), 1, id="(3,3)"),
        pytest.param(network({(1, 1): ONE, (1, 2): Fraction(2, 3)}), (H, H), 2, id="(1,1) and (1,2)"),
        pytest.param(network({(1, 2): ONE, (0, 2): ONE}), (H,), 1, id="mean"),
        pytest.param(network({(1, 1): ONE}, local={3: -ONE}), (H, H), 2, id="linear and local cubic"),
        pytest.param(layered({2: ONE}), (H, H), 2, id="two response legs at one time"),
        pytest.param(with_kernel(), (H, H), 2, id="distinct times"),
        pytest.param(scalar({4: 1}), (PHI, PHI), 2, id="phi^4"),
        pytest.param(scalar({3: 1}), (PHI, PHI), 2, id="phi^3"),
        pytest.param(scalar({3: 1, 4: -2}), (PHI, PHI, PHI), 2, id="phi^3 and phi^4"),
        pytest.param(langevin({3: ONE}), (H, H), 2, id="cubic drift"),
        pytest.param(langevin({0: ONE, 2: ONE}), (H, H), 2, id="quadratic drift"),
    ],
)
def test_every_diagram_has_the_contractions_its_symmetry_factor_says(theory, externals, order, connected):
    generated: dict[tuple[str, ...], list[Diagram]] = {}
    for d in make(theory, externals, order, connected=connected):
        generated.setdefault(tuple(sorted(d.vertices)), []).append(d)
    choices = [c for n in range(order + 1) for c in combinations_with_replacement(theory.interactions, n)]
    for vertices in choices:
        labelled = label(theory, externals, vertices)
        left = labelled.contractions(connected)
        relabellings = labelled.relabellings()
        diagrams = generated.pop(tuple(sorted(v.name for v in vertices)), [])
        for d in diagrams:
            one = labelled.contraction_of(d)
            assert one in left  # possible, and not equal to an earlier diagram
            orbit = set()
            for image in relabellings:
                moved = dict(zip(image, (image[n] for n in one), strict=True))
                orbit.add(tuple(moved[n] for n in range(len(one))))
            left -= orbit
            assert d.symmetry_factor == len(relabellings) // len(orbit)
            copies = prod(factorial(count) for count in Counter(vertices).values())
            assert d.coefficient == Fraction(len(orbit), copies) * prod(v.coefficient for v in vertices)
            assert d.width == labelled.width(one)
        assert not left  # no contraction without a diagram
    assert not generated


# Exact sums over all diagrams of an order.


def sums(diagrams: DiagramSet, order: int) -> list[Fraction]:
    """Sum of the coefficients, order by order: the value with all lines, couplings and N equal to 1."""
    totals = [Fraction(0)] * (order + 1)
    for d in diagrams:
        totals[d.order] += d.coefficient
    return totals


def by_order(series: list[Fraction] | dict, order: int) -> list[Fraction]:
    """A series of an oracle, which has one power for each coupling, by the sum of the powers."""
    items = series.items() if isinstance(series, dict) else [((n,), x) for n, x in enumerate(series)]
    totals = [Fraction(0)] * (order + 1)
    for powers, value in items:
        totals[sum(powers)] += value
    return totals


def test_quartic_two_point_series():
    wanted = [1, Fraction(-1, 2), Fraction(2, 3), Fraction(-11, 8), Fraction(34, 9)]
    assert sums(make(scalar({4: 1}), (PHI, PHI), 4, connected=False), 4) == wanted


@pytest.mark.parametrize(
    ("action", "k", "order"),
    [
        ({4: 1}, 2, 6),
        ({3: 1}, 2, 8),
        ({3: 1}, 1, 7),
        ({3: 1}, 3, 5),
        ({4: 1}, 4, 4),
        ({6: 1}, 2, 4),
        ({3: 2, 4: 3}, 2, 4),
    ],
    ids=str,
)
def test_weights_sum_to_the_gaussian_moment(action, k, order):
    """Vacuum parts never occur, hence the moment that is normalised by Z."""
    diagrams = make(scalar(action), (PHI,) * k, order, connected=False)
    assert sums(diagrams, order) == by_order(oracles.toy_moment(action, order, k), order)


@given(own.scalars(), st.integers(1, 4), st.integers(0, 3))
@settings(deadline=None, max_examples=40)
def test_weights_sum_to_the_gaussian_moment_for_any_action(theory, k, order):
    action = {v.legs[0].power: -v.coefficient * factorial(v.legs[0].power) for v in theory.vertices}
    diagrams = make(theory, (PHI,) * k, order, connected=False)
    assert sums(diagrams, order) == by_order(oracles.toy_moment(action, order, k), order)


@pytest.mark.parametrize("k", [1, 2, 3, 4])
@pytest.mark.parametrize("action", [{3: 1}, {4: 1}, {3: 2, 4: -3}], ids=str)
def test_connected_weights_sum_to_the_cumulant(action, k):
    couplings = {p - 1: Fraction(g, factorial(p - 1)) for p, g in action.items()}
    diagrams = make(scalar(action), (PHI,) * k, 4)
    assert sums(diagrams, 4) == by_order(oracles.langevin_cumulants(1, couplings, 2, 4, k), 4)


def forest_sum(theory: Theory, externals: tuple[Leg, ...], order: int) -> Fraction:
    """Sum of the coefficients of one order in closed form, for theories with a response field.

    The response lines join z response legs to z of the h other legs, and every point but the external ones carries
    exactly one response leg. Without cycles these lines are a forest rooted at the r external legs: as in
    Cayley's formula there are r (h−1)! / (h−z)! of them. The h−z legs that are left pair up in (h−z−1)!! ways.
    """
    heads = sum(not theory.field_named[leg.field].response for leg in externals)
    total = Fraction(0)
    for vertices in combinations_with_replacement(theory.interactions, order):
        legs = [*externals, *(leg for vertex in vertices for leg in vertex.legs)]
        z = sum(leg.power for leg in legs if theory.field_named[leg.field].response)
        h = sum(leg.power for leg in legs) - z
        if h >= z:
            forests = Fraction(heads * factorial(h - 1), factorial(h - z))
            copies = prod(factorial(count) for count in Counter(vertices).values())
            weight = forests * oracles.gaussian_moment(h - z) / copies
            total += weight * prod(vertex.coefficient for vertex in vertices)
    return total


@given(own.response_theories(), st.data(), st.integers(0, 2))
@settings(deadline=None, max_examples=50)
def test_weights_sum_to_the_number_of_causal_contractions(theory, data, order):
    externals = data.draw(own.externals(theory))
    found = sums(make(theory, externals, order, connected=False), order)
    assert found == [forest_sum(theory, externals, n) for n in range(order + 1)]


@pytest.mark.parametrize(
    ("theory", "order"),
    [(langevin({3: ONE}), 4), (langevin({2: ONE}), 5), (network({(1, 3): ONE}), 2), (linear(), 4)],
    ids=["cubic drift", "quadratic drift", "(1,3)", "linear"],
)
def test_weights_sum_to_the_number_of_causal_contractions_at_higher_order(theory, order):
    found = sums(make(theory, TWO_POINT, order, connected=False), order)
    assert found == [forest_sum(theory, TWO_POINT, n) for n in range(order + 1)]


# What a set of diagrams does not depend on.


@given(own.any_theory(), st.data(), st.booleans())
@settings(deadline=None, max_examples=40)
def test_writing_the_theory_differently_changes_nothing(theory, data, connected):
    externals = data.draw(own.externals(theory))

    def features(written: Theory) -> Counter:
        diagrams = make(written, externals, 2, connected=connected)
        return Counter((d.order, d.width, d.weight, d.symmetry_factor) for d in diagrams)

    assert features(data.draw(own.rewritten(theory))) == features(theory)


@given(own.any_theory(), st.data())
@settings(deadline=None, max_examples=30)
def test_digests_are_unique(theory, data):
    diagrams = make(theory, data.draw(own.externals(theory)), 2, connected=False)
    assert len({d.digest for d in diagrams}) == len(diagrams)


def test_lower_orders_are_the_same_diagrams():
    lower = make(linear(), TWO_POINT, 2)
    assert [d.digest for d in lower] == [d.digest for d in linear_diagrams() if d.order <= 2]


# The views of a diagram and of a set.


@given(own.any_theory(), st.data())
@settings(deadline=None, max_examples=20)
def test_graph_has_the_points_and_lines_of_the_diagram(theory, data):
    for d in make(theory, data.draw(own.externals(theory)), 1, connected=False):
        assert list(d.graph) == list(range(len(d.points)))
        assert d.graph.number_of_edges() == len(d.lines)
        legs = {v.name: sum(leg.power for leg in v.legs) for v in theory.interactions}
        ends = Counter(d.graph.nodes[n]["vertex"] for line in d.lines for n in (line.start, line.end))
        assert ends.pop(None) == d.externals
        assert ends == {v: legs[name] for v, name in enumerate(d.vertices)}


@given(own.response_theories(), st.data())
@settings(deadline=None, max_examples=30)
def test_response_lines_are_a_forest_rooted_at_the_external_points(theory, data):
    for d in make(theory, data.draw(own.externals(theory)), 2, connected=False):
        forest = nx.DiGraph()
        forest.add_nodes_from(d.graph)
        forest.add_edges_from((start, end) for start, end, is_response in d.graph.edges(data="response") if is_response)
        assert nx.is_forest(forest)
        assert all(forest.out_degree(n) == 1 for n in forest if not d.graph.nodes[n]["external"])
        for tree in nx.weakly_connected_components(forest):
            root = [n for n in tree if forest.out_degree(n) == 0]
            assert len(root) == 1
            assert d.graph.nodes[root[0]]["external"]


def test_a_set_is_a_sequence():
    diagrams = linear_diagrams()
    everything = list(diagrams)
    assert len(everything) == len(diagrams) == 1069
    assert diagrams[0] == everything[0]
    assert diagrams[-1] == everything[-1] == diagrams[len(diagrams) - 1]
    assert diagrams[2:9:3] == tuple(everything[2:9:3])
    assert diagrams[::-400] == tuple(everything[::-400])
    assert everything[5] in diagrams
    assert diagrams.index(everything[5]) == 5


@pytest.mark.parametrize("at", [1069, -1070])
def test_a_set_ends(at):
    with pytest.raises(IndexError, match=f"diagram {at} of 1069"):
        linear_diagrams()[at]


def test_a_set_is_sorted_by_order_and_width():
    keys = [(d.order, d.width) for d in linear_diagrams()]
    assert keys == sorted(keys)


def test_an_observable_without_diagrams_is_an_empty_set():
    diagrams = make(linear(), (H,), 2)
    assert (len(diagrams), list(diagrams), diagrams[:], diagrams.counts) == (0, [], (), {})


def test_an_empty_set_may_be_narrow():
    assert len(make(linear(), (H,), 2, width_order=0)) == 0


# The limit.


def test_a_generation_that_would_not_end_is_refused_in_seconds():
    began = time.monotonic()
    message = r"^order=9 makes about 7\d0,000,000 ± \d0,000,000 diagrams, the limit is 250,000; .* raise max_diagrams$"
    with pytest.raises(InputError, match=message):
        nnqft.diagrams(bare_theory("linear"), "two_point", order=9)
    assert time.monotonic() - began < 30


def test_a_small_generation_is_counted():
    theory = bare_theory("linear")
    message = "order=3 makes 124 diagrams, the limit is 10; lower order, .* or raise max_diagrams"
    with pytest.raises(InputError, match=message):
        nnqft.diagrams(theory, "two_point", order=3, max_diagrams=10)
    assert len(nnqft.diagrams(theory, "two_point", order=3, max_diagrams=1000)) == 124


def test_a_limit_that_is_just_met_is_no_limit():
    assert len(make(linear(), TWO_POINT, 3, max_diagrams=124)) == 124


def test_an_absurd_order_is_refused_at_once():
    began = time.monotonic()
    with pytest.raises(
        InputError, match="order=1000000000 makes diagrams of more than the generator's 250 sockets; lower order"
    ):
        nnqft.diagrams(bare_theory("linear"), "two_point", order=10**9)
    assert time.monotonic() - began < 1


CROWDS = {
    "double factorials": ("linear", {}, "two_point", 2, 8, {"expected": oracles.gaussian_moment(18) * 1.06}),
    "even and odd vertices mixed": ("toy", {"action": {3: 0.1, 4: 0.1}}, "cumulant", 4, 5, {}),
    "even and odd drifts mixed": ("langevin", {"drift": {1: 1.0, 2: 0.2, 3: 0.2}}, "two_point", 2, 4, {}),
    "many legs": ("langevin", {"drift": {1: 1.0, 3: 0.2, 4: 0.2}}, "cumulant", 8, 2, {}),
    "subtracted averages": ("quintic", {}, "two_point", 2, 2, {}),
    "Wick ordering at two times": ("cubic_tanh", {}, "two_point", 2, 2, {}),
    "few widths": ("linear", {}, "two_point", 2, 6, {"width_order": 2}),
}


def _layout(model, parameters, observable, arity):
    theory = nnqft.theory(model, **parameters)
    legs = nnqft.host.default_host().observable(observable).legs(theory, arity)
    return lay_out(theory, tuple(legs))


@pytest.mark.parametrize("crowd", CROWDS)
def test_diagrams_are_counted_without_making_them(crowd, monkeypatch):
    model, parameters, observable, arity, order, more = CROWDS[crowd]
    width_order = more.get("width_order")
    layout = _layout(model, parameters, observable, arity)
    monkeypatch.setattr("nnqft.graphs.census._MOST", 256)  # so few ways that the small sets have to be estimated, too
    census = take_census(layout, order, width_order, connected=True)
    known = more.get("expected")
    if known is None:
        known = sum(len(batch) for batch in contract(layout, order, width_order, True))
    assert census.error > 0
    assert census.number == pytest.approx(known, rel=0.15)
    assert census.least < known


def test_a_count_in_which_nothing_is_left_out_is_exact():
    census = take_census(_layout("linear", {}, "two_point", 2), 3, None, connected=True)
    assert (census.number, census.error, str(census)) == (124, 0.0, "124")


HUGE = [
    ("cubic_tanh", {}, 6),
    ("cubic_tanh", {"expansion": "bare"}, 3),
    ("taylor", {"activation": "softplus", "degree": 5, "expansion": "bare"}, 3),
    ("quintic", {}, 8),
    ("feedforward", {"activation": "tanh"}, 6),
]


@pytest.mark.parametrize(("model", "parameters", "order"), HUGE)
def test_what_would_be_too_much_is_refused_before_it_is_made(model, parameters, order):
    theory = nnqft.theory(model, **parameters)
    tracemalloc.start()
    try:
        refusal = r"makes about .* diagrams, the limit is 250,000; .* raise max_diagrams"
        with partial_diagrams() as sizes, pytest.raises(InputError, match=refusal):
            nnqft.diagrams(theory, "two_point", order=order)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 300 << 20
    assert sum(sizes) < 250_000  # partial diagrams looked at, of the trial and of the count together


def test_a_generation_ends_at_its_limit_though_the_count_was_wrong(monkeypatch):
    wrong = Census(1.0, 0.0, 1.0)
    monkeypatch.setattr("nnqft.graphs.generate.take_census", lambda *_, **__: wrong)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"order=4 makes more than [\d,]+ partial diagrams, the limit is 2,000"):
            nnqft.diagrams(nnqft.theory("quintic"), "two_point", order=4, max_diagrams=2000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 300 << 20


def test_an_unknown_external_field_is_refused():
    with pytest.raises(InputError, match="model 'network' has no field 'phi'"):
        make(linear(), (PHI,), 1)
