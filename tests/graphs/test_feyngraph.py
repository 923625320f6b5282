"""Generation against FeynGraph (J. Braun, https://github.com/Jens-Braun/FeynGraph), which shares no code with this.

FeynGraph generates topologies of relativistic theories: φ³, φ⁴ and both together are the part that it and the model
`toy` have in common. Response fields, causality, points in time and indices are beyond it. Its conventions:

* A model is made in memory, of particles and vertices; a real scalar is its own antiparticle.
* Diagrams are asked for by number of loops, not of vertices. With E external legs, V3 and V4 vertices of three and
  four legs, the number of loops is (V3 + 2·V4 − E)/2 + 1.
* Legs are incoming or outgoing. For a real scalar both are the same, and all external legs are told apart, as here.
* All diagrams are connected. A DiagramSelector without any choice keeps tadpoles, loops of one line, and diagrams that
  fall apart when one line is cut; the short form `generate_diagrams` would keep only the others.
* `symmetry_factor` is what the diagram is divided by, as here.
* Its diagram of no vertices has one leg where others have two, and zero loops with one leg never end: both left out.
"""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from functools import cache
from itertools import combinations_with_replacement

import networkx as nx
import oracles
import pytest
from networkx.algorithms.isomorphism import categorical_edge_match, categorical_node_match

import nnqft

feyngraph = pytest.importorskip("feyngraph", reason="the package feyngraph is not installed")
feyngraph.set_threads(1)


@cache
def foreign(powers: tuple[int, ...], legs: int, loops: int) -> list:
    """FeynGraph's diagrams of vertices φ^p."""
    model = feyngraph.Model.empty()
    model.add_particle(
        name="phi", anti_name="phi", spin=1, color=1, pdg_code=25, texname="phi", antitexname="phi",
        linestyle="dashed", fermi=False,
    )  # fmt: skip
    for p in powers:
        model.add_vertex(f"phi^{p}", ["phi"] * p, list(range(p)), {f"g{p}": 1})
    incoming, outgoing = ["phi"] * ((legs + 1) // 2), ["phi"] * (legs // 2)
    selector = feyngraph.DiagramSelector()
    return list(feyngraph.DiagramGenerator(incoming, outgoing, loops, model, selector).generate())


@cache
def ours(powers: tuple[int, ...], legs: int, loops: int) -> list[nnqft.Diagram]:
    """The diagrams of the toy model with as many loops."""
    # Each cubic vertex adds half a loop, each quartic a whole one.
    order = 2 * (loops - 1) + legs if 3 in powers else loops - 1 + legs // 2
    theory = nnqft.theory("toy", action=dict.fromkeys(powers, 1.0))
    diagrams = nnqft.diagrams(theory, "cumulant", order=order, arity=legs)
    return [d for d in diagrams if len(d.lines) - len(d.vertices) - legs + 1 == loops]


def vertices_of(diagram) -> tuple[int, ...]:
    """Powers of the vertices, sorted, of a diagram of either package."""
    if isinstance(diagram, nnqft.Diagram):
        return tuple(sorted(int(name.removeprefix("z^")) for name in diagram.vertices))
    return tuple(sorted(vertex.degree() for vertex in diagram.vertices()))


CASES = [
    *[((3,), 2, loops) for loops in range(5)],
    *[((4,), 2, loops) for loops in range(7)],
    *[((3, 4), 2, loops) for loops in range(1, 4)],
    *[((3,), 1, loops) for loops in range(1, 4)],
    *[((3,), 3, loops) for loops in range(3)],
    *[((4,), 4, loops) for loops in range(4)],
]


@pytest.mark.parametrize(("powers", "legs", "loops"), CASES)
def test_equal_numbers_of_diagrams_with_equal_symmetry_factors(powers, legs, loops):
    """By the vertices they are made of."""
    found, wanted = ours(powers, legs, loops), foreign(powers, legs, loops)
    assert len(found) == len(wanted)

    def features(diagrams) -> Counter:
        return Counter(
            (vertices_of(d), d.symmetry_factor if isinstance(d, nnqft.Diagram) else d.symmetry_factor())
            for d in diagrams
        )

    assert features(found) == features(wanted)


def test_known_numbers():
    """Not only equal: these are the numbers."""
    assert [len(ours((3,), 2, loops)) for loops in range(5)] == [1, 2, 10, 66, 511]
    assert [len(ours((4,), 2, loops)) for loops in range(7)] == [1, 1, 3, 10, 39, 174, 853]
    assert [len(ours((4,), 4, loops)) for loops in range(3)] == [1, 7, 42]


# One by one.


def simple(edges, externals: int) -> nx.Graph:
    """A multigraph as a graph with numbers of lines; external points, the first ones, are all different."""
    graph = nx.Graph()
    for (a, b), count in Counter(tuple(sorted(edge)) for edge in edges).items():
        graph.add_edge(a, b, lines=str(count))
    for node in graph:
        graph.nodes[node]["look"] = str(node) if node < externals else "vertex"
    return graph


def graph_of(diagram, legs: int) -> nx.Graph:
    if isinstance(diagram, nnqft.Diagram):
        return simple([(line.start, line.end) for line in diagram.lines], legs)
    edges = [[legs + vertex.id() for vertex in line.vertices()] for line in diagram.propagators()]
    external = [*diagram.incoming(), *diagram.outgoing()]
    edges += [[n, legs + leg.vertex().id()] for n, leg in enumerate(external)]
    return simple(edges, legs)


@pytest.mark.parametrize(
    ("powers", "legs", "loops"),
    [((3,), 2, 1), ((3,), 2, 2), ((3,), 2, 3), ((4,), 2, 5), ((3, 4), 2, 2), ((3,), 3, 2), ((4,), 4, 2)],
)
def test_the_same_diagrams_one_by_one(powers, legs, loops):
    left: dict[str, list] = {}
    for diagram in foreign(powers, legs, loops):
        graph = graph_of(diagram, legs)
        key = nx.weisfeiler_lehman_graph_hash(graph, node_attr="look", edge_attr="lines")
        left.setdefault(key, []).append((graph, diagram.symmetry_factor()))
    node_match, edge_match = categorical_node_match("look", ""), categorical_edge_match("lines", "")
    for diagram in ours(powers, legs, loops):
        graph = graph_of(diagram, legs)
        alike = left[nx.weisfeiler_lehman_graph_hash(graph, node_attr="look", edge_attr="lines")]
        same = [n for n, (other, _) in enumerate(alike) if nx.is_isomorphic(graph, other, node_match, edge_match)]
        assert len(same) == 1
        assert alike.pop(same[0])[1] == diagram.symmetry_factor
    assert not any(left.values())


# Both against the integral.


@pytest.mark.parametrize("p", [3, 4])
@pytest.mark.parametrize("package", [ours, foreign])
def test_symmetry_factors_add_up_to_the_connected_two_point_function(p, package):
    """Σ 1/symmetry, signs (−1)^V: ∫ z² e^{−z²/2 − g z^p/p!}, connected."""
    loops = 4 if p == 3 else 5
    order = 2 * loops if p == 3 else loops
    series = [oracles.toy_moment({p: 1}, order, k) for k in (1, 2)]
    mean, second = ([Fraction(x) for x in each] for each in series)
    connected = [second[n] - sum(mean[i] * mean[n - i] for i in range(n + 1)) for n in range(order + 1)]
    for loop in range(loops + 1):
        vertices = 2 * loop if p == 3 else loop
        factors = [
            d.symmetry_factor if isinstance(d, nnqft.Diagram) else d.symmetry_factor() for d in package((p,), 2, loop)
        ]
        assert (-1) ** vertices * sum(Fraction(1, factor) for factor in factors) == connected[vertices]


def test_weights_are_inverse_symmetry_factors():
    for powers in combinations_with_replacement((3, 4), 2):
        for diagram in ours(tuple(sorted(set(powers))), 2, 2):
            assert diagram.coefficient == Fraction((-1) ** len(diagram.vertices), diagram.symmetry_factor)
