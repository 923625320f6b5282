"""Irreducible diagrams: what Dyson's equation makes of them are all diagrams, counted with their weights."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from fractions import Fraction
from itertools import combinations

import networkx as nx
import numpy as np
import pytest
from numpy.testing import assert_allclose
from oracles import add, multiply, trace_moment
from theories import bare_theory

import nnqft
from nnqft.cli.main import main
from nnqft.graphs.irreducible import on_one_point, skeletons

ORDER = 4
ONE = {(0, 0): Fraction(1)}
EVEN = {"coefficients": {0: 0.5, 1: 1.0, 2: 0.5}}
"""An activation with a mean: tadpoles."""

Graded = Mapping[tuple[int, int], Fraction]
"""Coefficients of σ_w^{2n} N^{−k}."""


def weights(found: nnqft.DiagramSet, lines: Mapping[str, Graded] | None = None, order: int = ORDER) -> Graded:
    """Sum of all diagrams with every line replaced by a number, 1 or a series."""
    total: dict[tuple[int, int], Fraction] = {}
    powers: dict[tuple[str, int], Graded] = {}
    groups: Counter = Counter()
    for diagram in found:
        names = Counter(line.propagator for line in diagram.lines if not line.stub)
        groups[diagram.order, diagram.width, tuple(sorted(names.items()))] += Fraction(diagram.coefficient)
    for (n, k, names), weight in groups.items():
        term: Graded = {(n, k): weight}
        for name, count in names if lines is not None else ():
            for power in range(1, count + 1):
                before = powers.get((name, power - 1), ONE)
                powers.setdefault((name, power), times(before, lines[name], order))
            term = times(term, powers[name, count], order)
        total = add(total, term)
    return {key: value for key, value in total.items() if value}


def times(one: Graded, two: Graded, order: int = ORDER) -> Graded:
    return multiply(one, two, lambda e: e[0] <= order)


def inverse(series: Graded, order: int = ORDER) -> Graded:
    """1/series for a series that begins with 1."""
    rest, result = add(ONE, series, -1), ONE
    for _ in range(order):
        result = add(ONE, times(rest, result, order))
    return {key: value for key, value in result.items() if value}


def clean(series: Graded) -> dict:
    return {key: value for key, value in series.items() if value}


def self_energies(theory: nnqft.Theory, order: int) -> list[nnqft.DiagramSet]:
    return [nnqft.diagrams(theory, name, order=order, irreducible=True) for name in ("response", "two_point")]


def test_linear_counts_are_those_of_the_inverted_series():
    """Σ(z̃,h) = 1 − 1/R and Σ(z̃,z̃) = C/R² − 1 with all lines 1, R and C from the pairings of W alone."""
    response = {(n, k): Fraction(c) for n in range(ORDER + 1) for k, c in enumerate(trace_moment(2 * n, 0))}
    correlator: Graded = {}
    for n in range(ORDER + 1):
        for a in range(2 * n + 1):
            counts = trace_moment(a, 2 * n - a)
            correlator = add(correlator, {(n, k): Fraction(c) for k, c in enumerate(counts)})
    retarded, noise = self_energies(bare_theory("linear"), ORDER)
    amputated = inverse(response)
    assert retarded.counts == clean(add(ONE, amputated, -1))
    assert noise.counts == clean(add(times(times(correlator, amputated), amputated), ONE, -1))
    assert noise.counts[1, 0] == noise.counts[4, 0] == 1
    assert (4, 0) not in retarded.counts


@pytest.mark.parametrize(
    ("model", "order", "options"),
    [
        ("cubic_tanh", 2, {}),
        ("quintic", 2, {}),
        ("taylor", 2, EVEN),
        ("feedforward", 3, {"sigma_w": 1.0, "N": 1}),
        ("langevin", 4, {}),
    ],
)
def test_dyson_of_the_weights(model, order, options):
    """R = 1/(1 − Σ_R) and C = R² (1 + Σ_K) for any vertices; C the connected function, R that about the mean."""
    theory = bare_theory(model, **options)
    plain = [weights(nnqft.diagrams(theory, name, order=order), order=order) for name in ("response", "cumulant")]
    retarded, noise = (weights(found, order=order) for found in self_energies(theory, order))
    response = inverse(add(ONE, retarded, -1), order)
    correlator = times(times(response, response, order), add(ONE, noise), order)
    assert_same(response, plain[0])
    assert_same(correlator, plain[1])


def assert_same(found: Graded, wanted: Graded) -> None:
    keys = sorted(set(found) | set(wanted))
    values = [[float(series.get(key, 0)) for key in keys] for series in (found, wanted)]
    assert_allclose(*values, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("model", "order", "options"), [("linear", 4, {}), ("cubic_tanh", 2, {}), ("langevin", 4, {})])
def test_skeletons_with_full_lines_are_all_diagrams(model, order, options):
    """The same with skeletons alone, whose lines are the full R and C: a fixed point, reached in `order` steps."""
    theory = bare_theory(model, **options)
    plain = [weights(nnqft.diagrams(theory, name, order=order), order=order) for name in ("response", "two_point")]
    chosen = [skeletons(found) for found in self_energies(theory, order)]
    lines: dict[str, Graded] = {"G": ONE, "C": ONE}
    for _ in range(order):
        retarded, noise = (weights(found, lines, order) for found in chosen)
        response = inverse(add(ONE, retarded, -1), order)
        lines = {"G": response, "C": times(times(response, response, order), add(ONE, noise), order)}
    assert_same(lines["G"], plain[0])
    assert_same(lines["C"], plain[1])
    assert sum(map(len, chosen)) < sum(map(len, self_energies(theory, order)))


@pytest.mark.parametrize(("model", "order", "options"), [("cubic_tanh", 2, {}), ("taylor", 1, EVEN)])
@pytest.mark.parametrize("observable", ["response", "two_point"])
def test_against_cutting_lines_one_by_one(model, order, options, observable):
    """Every connected diagram whose legs are responses is kept or left out as networkx says."""
    theory = bare_theory(model, **options)
    connected = {"response": "response", "two_point": "cumulant"}[observable]
    wanted: Counter = Counter()
    for diagram in nnqft.diagrams(theory, connected, order=order):
        if diagram.order and on_responses(diagram) and not falls_apart(diagram):
            wanted[diagram.order, diagram.width] += 1
    assert nnqft.diagrams(theory, observable, order=order, irreducible=True).counts == dict(sorted(wanted.items()))


def on_responses(diagram: nnqft.Diagram) -> bool:
    lines = [line for line in diagram.lines if min(line.start, line.end) < 2]
    return len(lines) == 2 and all(line.response for line in lines)


def nodes_and_lines(diagram: nnqft.Diagram) -> tuple[nx.MultiGraph, list[tuple]]:
    """Vertices as nodes, and the inner lines."""
    name = [("leg", n) if p.vertex < 0 else ("vertex", p.vertex) for n, p in enumerate(diagram.points)]
    graph = nx.MultiGraph()
    graph.add_nodes_from(name)
    keys = [(name[line.start], name[line.end]) for line in diagram.lines]
    return graph, [(*ends, graph.add_edge(*ends)) for ends in keys]


def falls_apart(diagram: nnqft.Diagram) -> bool:
    graph, edges = nodes_and_lines(diagram)
    for edge in edges:
        if "leg" not in (edge[0][0], edge[1][0]):
            cut = graph.copy()
            cut.remove_edge(*edge)
            if not nx.has_path(cut, ("leg", 0), ("leg", 1)):
                return True
    return False


def test_skeletons_against_cutting_lines_two_by_two():
    found = nnqft.diagrams(bare_theory("cubic_tanh"), "two_point", order=2, width_order=1, irreducible=True)
    kept = {diagram.digest for diagram in skeletons(found)}
    assert 0 < len(kept) < len(found)
    for diagram in found:
        graph, edges = nodes_and_lines(diagram)
        inner = [edge for edge in edges if "leg" not in (edge[0][0], edge[1][0])]
        legs = {node for node in graph if node[0] == "leg"}
        whole = True
        for pair in combinations(inner, 2):
            cut = graph.copy()
            cut.remove_edges_from(pair)
            whole &= all(legs & part for part in nx.connected_components(cut))
        assert whole == (diagram.digest in kept), str(diagram)


# Legs, drawings, limits


def test_legs_of_other_observables():
    """A vertex z̃ h³ has one z̃, so an effective vertex of four z̃ takes four of them, and no point is left inside."""
    theory = nnqft.theory("langevin", drift={1: 1.0, 3: 0.1})
    four = nnqft.diagrams(theory, "cumulant", order=4, arity=4, irreducible=True)
    assert min(n for n, _ in four.counts) == 4
    assert all(len(d.points) == 8 for d in four if d.order == 4)
    mean = nnqft.diagrams(bare_theory("taylor", **EVEN), "mean", order=1, irreducible=True)
    assert mean.counts


def test_toy_has_no_response_and_its_legs_end_on_h():
    """φ⁴: ⟨z²⟩ = 1/(1 − Σ), Σ = −λ/2 + …"""
    theory = nnqft.theory("toy", action={4: 1.0})
    sigma = weights(nnqft.diagrams(theory, "two_point", order=4, irreducible=True))
    full = weights(nnqft.diagrams(theory, "two_point", order=4))
    assert sigma[1, 0] == Fraction(-1, 2)
    assert_same(inverse(add(ONE, sigma, -1)), full)


def test_drawing():
    theory = bare_theory("linear")
    assert [str(d) for d in nnqft.diagrams(theory, "two_point", order=1, irreducible=True)] == ["t|b s|a a~b {a,b}"]
    assert [str(d) for d in nnqft.diagrams(theory, "response", order=1, irreducible=True)] == ["t|a(b) s s|b {a,b}"]


def test_on_one_point():
    """feedforward: both z̃ of its vertex sit on one point, so the noise it makes is white."""
    found = nnqft.diagrams(nnqft.theory("feedforward"), "two_point", order=2, irreducible=True)
    assert on_one_point(found).all()
    found = nnqft.diagrams(bare_theory("cubic_tanh"), "response", order=1, irreducible=True)
    ends = [re.findall(r"[ts]\|(\w)", str(diagram)) for diagram in found]
    assert on_one_point(found).tolist() == [one == other for one, other in ends]
    assert 0 < on_one_point(found).sum() < len(found)


def test_width_order_and_an_unknown_field():
    theory = bare_theory("cubic_tanh")
    whole = nnqft.diagrams(theory, "two_point", order=2, irreducible=True).counts
    narrow = nnqft.diagrams(theory, "two_point", order=2, width_order=1, irreducible=True).counts
    assert narrow == {key: count for key, count in whole.items() if key[1] <= 1}
    with pytest.raises(nnqft.InputError, match="has no field 'z'"):
        nnqft.diagrams(nnqft.theory("toy"), "response", order=1, irreducible=True)
    assert not len(nnqft.diagrams(theory, "two_point", order=0, irreducible=True))


def test_amputated_integrals():
    """Σ(z̃,z̃) at first order is σ_w² C, Σ(z̃,h) is G/N: their integrals have no internal times."""
    theory = bare_theory("linear", gamma=1.3, kappa=0.8)
    times_ = np.array([[0.7, 0.0], [2.0, 0.5]])
    for name, wanted in (("two_point", 0.8 / 2.6), ("response", 1.0)):
        found = nnqft.diagrams(theory, name, order=1, irreducible=True)
        integral = nnqft.time_integral(found[0], found.theory, times_)
        assert integral.dim == 0
        assert_allclose(integral(np.empty((1, 0)))[0], wanted * np.exp(-1.3 * (times_[:, 0] - times_[:, 1])))


def test_command_line(capsys):
    assert main(["diagrams", "linear", "--order", "1", "--irreducible"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("1 diagram of irreducible two_point in linear")
    assert "t|b s|a a~b {a,b}" in said
