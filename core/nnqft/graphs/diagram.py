"""A diagram as frozen data: its points, lines and weight."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

from nnqft.graphs.parts import Line, Point
from nnqft.graphs.text import one_line
from nnqft.show.numbers import clipped

if TYPE_CHECKING:
    import networkx as nx

FAMILIES = {0: "cactus", 1: "mushroom"}
"""The talk's names by width order; further orders are called ``"width-k"``."""


def family_name(width: int) -> str:
    """The name of the diagrams of one width order, as `Diagram.family` gives it."""
    return FAMILIES.get(width, f"width-{width}")


@dataclass(frozen=True, repr=False)
class Diagram:
    """One Feynman diagram; ``str`` writes it on a line, such as ``t(a(b)) s s~b {a,b}``.

    t and s (t1, t2, … if there are more) are the external times, other letters internal ones. ``a(b,c)``: responses
    run from b and from c to a; ``a>b``: a response from a to b, which would be a second one of a; ``a>a``: one
    closed on its own time; ``a~b``: a correlator; ``t|a``: the amputated leg t ends on a; ``{a,b}``: the times of
    one vertex; ``[a]``: a source; ``s@b``: the time s in another noise history, that b of `replicas`. Of several
    responses or correlators each has its name, ``a~b:C`` with the line's left field at a.

    Attributes
    ----------
    vertices : tuple of str
        Name of each vertex.
    points : tuple of Point
        The external points first, in the order of the observable's legs.
    lines : tuple of Line
    order, width : int
        Powers of the coupling (n) and of 1/N (k, the width order).
    symmetry_factor : int
        |Aut|: permutations of legs and vertices that leave the diagram as it is. The weight is divided by it.
    coefficient : Fraction or float
        Product of the vertices' coefficients and symmetries, divided by |Aut|, and of the shares of its index loops.
    couplings : tuple of (name, power)
        The parameters that multiply it, with their powers.
    weight : float
        What multiplies the time integral: coefficient × couplings × N^{−width}.
    digest : str
        Equal for isomorphic diagrams of theories with the same vertices, and only for those.
    named : tuple of str
        The lines that are written with their names, as the theory has several of their kind.
    sources : tuple of str
        The vertices that only end lines, and have no time of their own.
    replicas : tuple of str
        The noise history of each external point, a letter, if there are several; see `Shared`.

    Examples
    --------
    >>> import nnqft
    >>> theory = nnqft.theory("linear", N=100, sigma_w=0.5)
    >>> mushroom = nnqft.diagrams(theory, "two_point", order=1)[2]
    >>> print(mushroom)
    t(a(b)) s s~b {a,b}
    >>> mushroom.family, mushroom.order, mushroom.width, mushroom.weight
    ('mushroom', 1, 1, 0.0025)
    """

    vertices: tuple[str, ...]
    points: tuple[Point, ...]
    lines: tuple[Line, ...]
    order: int
    width: int
    symmetry_factor: int
    coefficient: Fraction | float
    couplings: tuple[tuple[str, int], ...]
    weight: float
    digest: str = field(repr=False)
    named: tuple[str, ...] = field(default=(), repr=False)
    sources: tuple[str, ...] = field(default=(), repr=False)
    replicas: tuple[str, ...] = field(default=(), repr=False)

    @property
    def family(self) -> str:
        """``"cactus"`` (k = 0), ``"mushroom"`` (k = 1), ``"width-k"`` beyond."""
        return family_name(self.width)

    @property
    def externals(self) -> int:
        """The number of external points; they come first in `points`."""
        return sum(point.vertex < 0 for point in self.points)

    @cached_property
    def graph(self) -> nx.MultiDiGraph:
        """The diagram as a networkx multigraph.

        Nodes are points, with attributes ``vertex`` (index, None for external points), ``name`` (of the vertex)
        and ``external``. Edges are lines from start to end, with ``propagator`` and ``response``; a response runs
        forward in time, a correlator of two fields from its right to its left one, and of a correlator of one field
        with itself the direction means nothing.

        Examples
        --------
        >>> import nnqft
        >>> theory = nnqft.theory("linear", N=100, sigma_w=0.5)
        >>> graph = nnqft.diagrams(theory, "two_point", order=1)[1].graph
        >>> graph.number_of_nodes(), sorted(name for _, _, name in graph.edges(data="propagator"))
        (4, ['C', 'G', 'G'])
        """
        import networkx as nx  # it is slow to import, and only those who look at graphs need it

        graph = nx.MultiDiGraph(order=self.order, width=self.width, family=self.family, weight=self.weight)
        for n, point in enumerate(self.points):
            external = point.vertex < 0
            name = "external" if external else self.vertices[point.vertex]
            graph.add_node(n, vertex=None if external else point.vertex, name=name, external=external)
        for line in self.lines:
            graph.add_edge(line.start, line.end, propagator=line.propagator, response=line.response)
        return graph

    def __str__(self) -> str:
        ends = [n for n, name in enumerate(self.vertices) if name in self.sources]
        return one_line(self.points, self.lines, self.named, ends, self.replicas)

    def __repr__(self) -> str:
        numbers = f"order={self.order}, width={self.width}, weight={self.weight:g}"
        return f"Diagram({clipped(str(self), 120)}, {numbers})"
