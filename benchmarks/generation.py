"""How long generating diagrams takes on one core, and how much memory; a plain enumeration for scale.

Each case runs in a process of its own, so that its peak memory is its own. The plain way writes down every Wick
contraction of labelled vertices, throws out those with a closed response loop, and keeps one of each class of
isomorphic graphs, by networkx (Weisfeiler-Lehman hash, then VF2 against all with the same hash).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import permutations
from typing import Any, NamedTuple

from _cases import peak, print_case, run_case, timed
from _report import Report, choose, parser, verdict


class Case(NamedTuple):
    """What is generated, how many diagrams of the highest order it must give by width, and the seconds asked."""

    title: str
    counts: list[int]
    seconds: float | None
    generate: Callable[[], list[int]]


def linear(order: int, width_order: int | None = None) -> list[int]:
    """⟨h h⟩ of the linear network through all orders up to this one."""
    import nnqft

    return top_counts(
        nnqft.diagrams(nnqft.theory("linear", N=1, sigma_w=1.0), "two_point", order=order, width_order=width_order)
    )


def one_three(order: int) -> list[int]:
    """⟨h h⟩ of a network that has vertices (1,3) only."""
    from fractions import Fraction

    import nnqft
    from nnqft_plugins.models.network.rules import PARAMETERS, network_theory

    values = {name: parameter.default for name, parameter in PARAMETERS.items()} | {"N": 1, "sigma_w": 1.0}
    theory = network_theory("only (1,3)", "stationary", values, {(1, 3): Fraction(-1, 3)})
    return top_counts(nnqft.diagrams(theory, "two_point", order=order))


def top_counts(found: Any) -> list[int]:
    """Number of diagrams of the highest order, by width."""
    highest = int(found.orders.max())
    return [count for (order, _), count in found.counts.items() if order == highest]


def plain(order: int) -> list[int]:
    """The linear network the obvious way, this order alone."""
    import networkx as nx

    def same(one: dict[str, str], other: dict[str, str]) -> bool:
        return one["look"] == other["look"]

    kept: dict[str, list[Any]] = {}
    for graph in contractions(order):
        key = nx.weisfeiler_lehman_graph_hash(graph, node_attr="look", edge_attr="look", iterations=3)
        alike = kept.setdefault(key, [])
        if not any(nx.is_isomorphic(graph, other, node_match=same, edge_match=same) for other in alike):
            alike.append(graph)
    widths = [width_of(graph, order) for graphs in kept.values() for graph in graphs]
    return [widths.count(k) for k in range(order + 1)]


def contractions(order: int) -> Iterator[Any]:
    """Every causal Wick contraction as a graph of legs, with edges for lines and for a shared point or index."""
    import networkx as nx

    vertices = nx.Graph()
    vertices.add_nodes_from([("h", "t"), ("h", "s")])
    nx.set_node_attributes(vertices, {("h", "t"): "t", ("h", "s"): "s"}, "look")
    for v in range(order):
        for n in (1, 2):
            vertices.add_node(("z", (v, n)), look="z")
            vertices.add_node(("h", (v, n)), look="h")
            vertices.add_edge(("z", (v, n)), ("h", (v, n)), look="point")
        vertices.add_edge(("z", (v, 1)), ("z", (v, 2)), look="index")
        vertices.add_edge(("h", (v, 1)), ("h", (v, 2)), look="index")
    responses = [leg for leg in vertices if leg[0] == "z"]
    states = [leg for leg in vertices if leg[0] == "h"]
    for chosen in permutations(states, len(responses)):
        parent = {z[1]: h[1] for z, h in zip(responses, chosen, strict=True)}
        if all(ends(point, parent) for point in parent):
            graph = vertices.copy()
            left = [leg for leg in states if leg not in chosen]
            for one, other in [*zip(responses, chosen, strict=True), left]:
                shared = graph.edges[one, other]["look"] if graph.has_edge(one, other) else ""
                graph.add_edge(one, other, look=f"line {shared}")
            yield graph


def ends(point: Any, parent: dict[Any, Any]) -> bool:
    """Whether the response lines from a point lead to an external leg; otherwise they close in a loop."""
    for _ in parent:
        if point not in parent:
            return True
        point = parent[point]
    return point not in parent


def width_of(graph: Any, order: int) -> int:
    """Order less the index classes that hold no external leg."""
    import networkx as nx

    joined = nx.Graph((a, b) for a, b, look in graph.edges(data="look") if look != "point")
    free = [legs for legs in nx.connected_components(joined) if ("h", "t") not in legs]
    return order - len(free)


def known(order: int) -> list[int]:
    """Diagrams of the linear network by width: the coefficients of (1+2x)(1+4x)…(1+2nx), (2n+1)!! together."""
    counts = [1]
    for j in range(1, order + 1):
        counts = [a + 2 * j * b for a, b in zip([*counts, 0], [0, *counts], strict=True)]
    return counts


CASES = {
    "linear-4": Case("linear n ≤ 4", known(4), 1.0, lambda: linear(4)),
    "linear-5": Case("linear n ≤ 5", known(5), 10.0, lambda: linear(5)),
    "linear-8-1": Case("linear n ≤ 8, width ≤ 1", known(8)[:2], 5.0, lambda: linear(8, 1)),
    "one-three-3": Case("three (1,3)", [22, 686, 7980, 34488], 5.0, lambda: one_three(3)),
    "linear-2": Case("linear n ≤ 2", known(2), None, lambda: linear(2)),
    "plain-2": Case("plain, linear n = 2", known(2), None, lambda: plain(2)),
    "linear-3": Case("linear n ≤ 3", known(3), None, lambda: linear(3)),
    "plain-3": Case("plain, linear n = 3", known(3), None, lambda: plain(3)),
}
SMOKE = {
    "linear-1": Case("linear n ≤ 1", known(1), 1.0, lambda: linear(1)),
    "one-three-1": Case("one (1,3)", [2, 6], 1.0, lambda: one_three(1)),
    "plain-1": Case("plain, linear n = 1", known(1), None, lambda: plain(1)),
}


def measure(name: str) -> dict[str, Any]:
    """One case, in this process."""
    import networkx  # noqa: F401  # importing is not what is measured

    import nnqft

    nnqft.diagrams(nnqft.theory("linear", N=1, sigma_w=1.0), "two_point", order=1)  # finds the plugins
    before = peak()
    counts, wall, processor = timed((CASES | SMOKE)[name].generate)
    return {"counts": counts, "wall": wall, "processor": processor, "before": before}


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--case", choices=CASES | SMOKE, help="run one case and print JSON")
    chosen = choose(options)
    if chosen.case:
        return print_case(lambda: measure(chosen.case))
    cases = SMOKE if chosen.smoke else CASES
    asked = [f"{case.title} in ≤ {case.seconds:g} s on one core" for case in cases.values() if case.seconds]
    report = Report("generation", asked, chosen)
    rows: list[list[object]] = [["case", "diagrams of top order", "as known", "wall s", "CPU s", "MB", "of it new"]]
    seconds: dict[str, float] = {}
    right = True
    for name, case in cases.items():
        got = run_case(name)
        seconds[name] = got["wall"]
        right &= got["counts"] == case.counts
        rows.append([
            case.title, f"{sum(got['counts']):,}", verdict(got["counts"] == case.counts),
            f"{got['wall']:.3f}", f"{got['processor']:.3f}",
            f"{got['peak'] / 1024:.0f}", f"{(got['peak'] - got['before']) / 1024:.0f}",
        ])  # fmt: skip
    report.table(*rows)
    limits = [(case.title, case.seconds, seconds[name]) for name, case in cases.items() if case.seconds]
    report.table(
        ["asked", "≤ s", "wall s", "kept"],
        *([title, f"{most:g}", f"{took:.3f}", verdict(took <= most)] for title, most, took in limits),
    )
    for order in (1,) if chosen.smoke else (2, 3):
        ratio = seconds[f"plain-{order}"] / seconds[f"linear-{order}"]
        report.say(f"plain enumeration over nnqft at n = {order}: {ratio:.0f} times the seconds")
    report.say("The plain way grows as (2n+2)!/2 contractions; nnqft merges partial diagrams on the way.")
    return report.close(right, all(took <= most for _, most, took in limits))


if __name__ == "__main__":
    sys.exit(main())
