"""Canonical form and automorphisms of coloured graphs, judged by networkx and by brute force."""

from __future__ import annotations

from itertools import permutations

import networkx as nx
import numpy as np
import pytest
import strategies as own
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from nnqft.graphs.canonical import apply_order, automorphism_orbits, canonical_order

Graph = tuple[np.ndarray, np.ndarray]


def canonical(colours: np.ndarray, codes: np.ndarray) -> tuple[bytes, bytes]:
    order = canonical_order(colours[None], codes[None])
    new_colours, new_codes = apply_order(colours[None], codes[None], order)
    return new_colours.tobytes(), new_codes.tobytes()


def relabelled(colours: np.ndarray, codes: np.ndarray, order: np.ndarray) -> Graph:
    return colours[order], codes[np.ix_(order, order)]


def as_networkx(colours: np.ndarray, codes: np.ndarray) -> nx.Graph:
    graph = nx.Graph()
    graph.add_nodes_from((n, {"look": (int(colours[n]), int(codes[n, n]))}) for n in range(len(colours)))
    graph.add_edges_from(
        (i, j, {"code": int(codes[i, j])}) for i, j in zip(*np.nonzero(np.triu(codes, 1)), strict=True)
    )
    return graph


def isomorphic(one: Graph, two: Graph) -> bool:
    return nx.is_isomorphic(
        as_networkx(*one),
        as_networkx(*two),
        node_match=lambda a, b: a["look"] == b["look"],
        edge_match=lambda a, b: a["code"] == b["code"],
    )


def automorphisms(colours: np.ndarray, codes: np.ndarray) -> list[tuple[int, ...]]:
    """By trying every permutation."""
    return [
        order
        for order in permutations(range(len(colours)))
        if (colours[list(order)] == colours).all() and (codes[np.ix_(order, order)] == codes).all()
    ]


def uncoloured(graph: nx.Graph, code: int = 1) -> Graph:
    adjacency = nx.to_numpy_array(graph, dtype=np.uint8) * np.uint8(code)
    return np.zeros(len(adjacency), np.uint64), adjacency


def rook() -> nx.Graph:
    """Squares of a 4 × 4 board, joined along rows and columns."""
    return nx.line_graph(nx.complete_bipartite_graph(4, 4))


def shrikhande() -> nx.Graph:
    """The other strongly regular graph with parameters (16, 6, 2, 2)."""
    squares = [(a, b) for a in range(4) for b in range(4)]
    steps = [(0, 1), (0, 3), (1, 0), (3, 0), (1, 1), (3, 3)]
    return nx.Graph(((a, b), ((a + c) % 4, (b + d) % 4)) for a, b in squares for c, d in steps)


SYMMETRIC = {
    "cycle": (nx.cycle_graph(9), 18),
    "two triangles": (nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(3)), 72),
    "hexagon": (nx.cycle_graph(6), 12),
    "complete": (nx.complete_graph(7), 5040),
    "empty": (nx.empty_graph(5), 120),
    "bipartite": (nx.complete_bipartite_graph(4, 4), 1152),
    "cube": (nx.hypercube_graph(3), 48),
    "Petersen": (nx.petersen_graph(), 120),
    "rook": (rook(), 1152),
    "Shrikhande": (shrikhande(), 192),
}


@given(own.coloured_graphs(), st.data())
def test_relabelled_graphs_have_the_same_form(graph, data):
    order = data.draw(own.permutations(len(graph[0])))
    assert canonical(*relabelled(*graph, order)) == canonical(*graph)


@given(own.coloured_graphs())
def test_the_form_is_a_relabelling_sorted_by_colour(graph):
    colours, codes = graph
    order = canonical_order(colours[None], codes[None])
    assert sorted(order[0]) == list(range(len(colours)))
    new_colours, new_codes = apply_order(colours[None], codes[None], order)
    assert_array_equal(new_colours[0], np.sort(colours))
    assert_array_equal(new_codes[0], codes[np.ix_(order[0], order[0])])


@given(own.coloured_graphs(max_nodes=7), st.data())
def test_a_changed_graph_has_the_same_form_only_if_it_is_isomorphic(graph, data):
    colours, codes = graph
    assume(len(colours) > 1)
    i, j, k, m = data.draw(st.lists(st.integers(0, len(colours) - 1), min_size=4, max_size=4))
    changed = codes.copy()
    changed[[i, j], [j, i]], changed[[k, m], [m, k]] = codes[k, m], codes[i, j]
    other = relabelled(colours, changed, data.draw(own.permutations(len(colours))))
    assert (canonical(*other) == canonical(*graph)) == isomorphic(graph, other)


@given(own.coloured_graphs(max_nodes=5, most_colours=2), own.coloured_graphs(max_nodes=5, most_colours=1))
@example(uncoloured(nx.cycle_graph(6)), uncoloured(SYMMETRIC["two triangles"][0]))
def test_two_graphs_have_the_same_form_only_if_they_are_isomorphic(one, two):
    assert (canonical(*one) == canonical(*two)) == isomorphic(one, two)


@given(own.coloured_graphs(max_nodes=6))
@settings(max_examples=60)
def test_automorphisms_match_brute_force(graph):
    group = automorphisms(*graph)
    size, orbits = automorphism_orbits(*graph)
    assert size == len(group)
    assert orbits == [min(g[n] for g in group) for n in range(len(graph[0]))]


@pytest.mark.parametrize("name", SYMMETRIC)
def test_symmetric_graphs_are_recognised_in_any_labelling(name):
    graph, _ = SYMMETRIC[name]
    plain = uncoloured(graph)
    rng = np.random.default_rng(0)
    forms = {canonical(*relabelled(*plain, rng.permutation(len(graph)))) for _ in range(20)}
    assert forms == {canonical(*plain)}


@pytest.mark.parametrize("code", [1, 2, 0x71, 255])
@pytest.mark.parametrize("name", SYMMETRIC)
def test_symmetric_graphs_have_the_known_group_whatever_the_code(name, code):
    graph, group = SYMMETRIC[name]
    assert automorphism_orbits(*uncoloured(graph, code))[0] == group


@pytest.mark.parametrize("name", SYMMETRIC)
def test_vertex_transitive_graphs_have_one_orbit(name):
    graph, _ = SYMMETRIC[name]
    assert set(automorphism_orbits(*uncoloured(graph))[1]) == {0}


def test_strongly_regular_graphs_that_refinement_confuses_are_told_apart():
    one, two = uncoloured(rook()), uncoloured(shrikhande())
    assert (one[1].sum(axis=0) == 6).all()
    assert (two[1].sum(axis=0) == 6).all()
    assert canonical(*one) != canonical(*two)


def test_a_batch_gives_what_its_graphs_give_alone():
    rng = np.random.default_rng(1)
    colours = rng.integers(0, 2, (300, 7)).astype(np.uint64)
    codes = rng.choice([0, 0, 0, 1, 0x71], (300, 7, 7)).astype(np.uint8)
    codes = np.maximum(codes, codes.transpose(0, 2, 1))
    together = apply_order(colours, codes, canonical_order(colours, codes))
    for b in range(300):
        assert canonical(colours[b], codes[b]) == (together[0][b].tobytes(), together[1][b].tobytes())


def test_an_empty_batch_is_an_empty_answer():
    assert canonical_order(np.zeros((0, 4), np.uint64), np.zeros((0, 4, 4), np.uint8)).shape == (0, 4)
