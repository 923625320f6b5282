"""Sets of diagrams, held as arrays and built one by one as they are looked at."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from typing import overload

import numpy as np

from nnqft.checks import chosen_of, position
from nnqft.graphs.diagram import Diagram
from nnqft.graphs.drawn import histories_from, lines_from, points_from
from nnqft.graphs.layout import SAME_POINT, SAME_VERTEX, Layout
from nnqft.graphs.parts import REPLICA, replicas_of
from nnqft.rules.theory import Theory


@dataclass(frozen=True, eq=False, repr=False)
class DiagramSet(Sequence[Diagram]):
    """All diagrams of an observable up to an order, sorted by order, width and canonical form.

    A sequence of `Diagram`; each is built from the arrays when it is asked for.

    Attributes
    ----------
    theory : Theory
    observable : str
        Name of what was asked for.
    layout : Layout
        What kinds and codes mean.
    orders, widths : (D,) integers
        Order and width order of each diagram.
    kinds : (D, S) unsigned integers
        Kind of each socket, 0 for none.
    codes : (D, S, S) bytes
        Lines between sockets, and what they share.
    ways : (D,) integers
        Wick contractions that give each diagram, vertices of a type taken as equal.
    shares : (D,) floats
        Product over the index loops of each diagram of their shares of the N units.

    Examples
    --------
    >>> import nnqft
    >>> theory = nnqft.theory("linear", N=100, sigma_w=0.5)
    >>> diagrams = nnqft.diagrams(theory, "two_point", order=2)
    >>> diagrams.counts
    {(0, 0): 1, (1, 0): 1, (1, 1): 2, (2, 0): 1, (2, 1): 6, (2, 2): 8}
    >>> len(diagrams), diagrams[3].family
    (19, 'mushroom')
    """

    theory: Theory
    observable: str
    layout: Layout = field(repr=False)
    orders: np.ndarray = field(repr=False)
    widths: np.ndarray = field(repr=False)
    kinds: np.ndarray = field(repr=False)
    codes: np.ndarray = field(repr=False)
    ways: np.ndarray = field(repr=False)
    shares: np.ndarray = field(repr=False)

    def __len__(self) -> int:
        return len(self.orders)

    @overload
    def __getitem__(self, at: int) -> Diagram: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Diagram, ...]: ...
    def __getitem__(self, at: int | slice) -> Diagram | tuple[Diagram, ...]:
        if isinstance(at, slice):
            return tuple(self[n] for n in range(*at.indices(len(self))))
        return _build(self, position("diagram", at, len(self)))

    def __iter__(self) -> Iterator[Diagram]:
        return (_build(self, n) for n in range(len(self)))

    def subset(self, chosen: np.ndarray) -> DiagramSet:
        """The diagrams of these numbers, or where a (D,) mask is True, as a set in the same order.

        Examples
        --------
        >>> import nnqft
        >>> theory = nnqft.theory("linear", N=100, sigma_w=0.5)
        >>> diagrams = nnqft.diagrams(theory, "two_point", order=2)
        >>> len(diagrams.subset(diagrams.widths == 1))
        8
        """
        at = chosen_of("chosen", chosen, len(self))
        names = ("orders", "widths", "kinds", "codes", "ways", "shares")
        arrays = {name: getattr(self, name)[at] for name in names}
        return replace(self, **arrays)

    @property
    def counts(self) -> dict[tuple[int, int], int]:
        """Number of diagrams by (order, width)."""
        return dict(sorted(Counter(zip(self.orders.tolist(), self.widths.tolist(), strict=True)).items()))

    def __repr__(self) -> str:
        return f"DiagramSet({len(self)} diagrams of {self.observable} in {self.theory.model})"

    def __str__(self) -> str:
        table = ", ".join(f"({n}, {k}): {c}" for (n, k), c in self.counts.items())
        return f"{len(self)} diagrams of {self.observable} in {self.theory.model} by (order, width order): {table}"

    @cached_property
    def vertex_counts(self) -> np.ndarray:
        """(D, V): how many vertices of each of the layout's types a diagram has."""
        types = np.array(self._vertex_of_kind)[self.kinds]
        sockets = [len(vertex.sockets) for vertex in self.layout.vertices]
        counts = [(types == n).sum(axis=1) // size for n, size in enumerate(sockets)]
        return np.stack(counts, axis=1) if counts else np.zeros((len(self), 0), np.int64)

    @cached_property
    def weights(self) -> np.ndarray:
        """(D,): the weight of each diagram.

        Examples
        --------
        >>> import nnqft
        >>> theory = nnqft.theory("linear", N=100, sigma_w=0.5)
        >>> nnqft.diagrams(theory, "two_point", order=1).weights.tolist()
        [1.0, 0.25, 0.0025, 0.0025]
        """
        theory = self.theory
        values = [float(v.rule.coefficient) * theory.coupling_value(v.rule.couplings) for v in self.layout.vertices]
        product = np.prod(np.array(values) ** self.vertex_counts, axis=1)
        return self.ways * self.shares * product * float(theory.N) ** -self.widths.astype(float)

    @cached_property
    def monomials(self) -> list[str]:
        """For each diagram the couplings and powers of 1/N that multiply it, as text.

        Examples
        --------
        >>> import nnqft
        >>> theory = nnqft.theory("linear", N=100, sigma_w=0.5)
        >>> nnqft.diagrams(theory, "two_point", order=1).monomials
        ['1', 'sigma_w^2', 'sigma_w^2 N^-1', 'sigma_w^2 N^-1']
        """
        rows, inverse = np.unique(np.column_stack([self.vertex_counts, self.widths]), axis=0, return_inverse=True)
        names = [_monomial(self.layout, row[:-1].tolist(), int(row[-1])) for row in rows]
        return [names[n] for n in inverse.ravel().tolist()]

    @cached_property
    def degrees(self) -> np.ndarray:
        """(D,): the highest `Vertex.degree` among the vertices of each diagram, 0 without vertices."""
        degree = np.array([v.rule.degree for v in self.layout.vertices], dtype=np.int64)
        return ((self.vertex_counts > 0) * degree).max(axis=1, initial=0)

    def digest(self, n: int) -> str:
        """128 bits of the canonical form of diagram n; the seeds of its samples come from it."""
        n = position("diagram", n, len(self))
        used = int((self.kinds[n] > 0).sum())
        names = [v.rule.name for v in self.layout.vertices]
        digest = hashlib.blake2b(digest_size=16)
        digest.update(repr((self.observable, [names[t] for t in self._types(n)], *self._pattern)).encode())
        digest.update(np.ascontiguousarray(self.codes[n, :used, :used]).tobytes())
        return digest.hexdigest()

    @cached_property
    def _pattern(self) -> tuple[str | None, ...]:
        """Indices and histories of the external legs where they differ: samples of ⟨iijj⟩ are not those of ⟨iiii⟩."""
        indices = tuple(leg.index for leg in self.layout.externals)
        histories = tuple(replicas_of([leg.field]) for leg in self.layout.externals)
        return (*(indices if len(set(indices)) > 1 else ()), *(histories if set(histories) != {"a"} else ()))

    @cached_property
    def _named(self) -> tuple[str, ...]:
        """The lines that need their names: responses if there are several, correlators likewise."""
        fields = self.theory.field_named
        kinds: dict[bool, list[str]] = {True: [], False: []}
        for line in self.theory.propagators:
            if not (line.delta or line.stub):
                kinds[fields[line.right].response].append(line.name)
        several = [names for names in kinds.values() if len({name.partition(REPLICA)[0] for name in names}) > 1]
        return tuple(name for names in several for name in names)

    def _types(self, n: int) -> list[int]:
        """The layout's number of each vertex of diagram n, in the order in which `Diagram.vertices` names them."""
        first = np.flatnonzero((self.vertex_of[n] == np.arange(self.kinds.shape[1])) & (self.kinds[n] > 0))
        types = [self._vertex_of_kind[kind] for kind in self.kinds[n, first].tolist()]
        return [t for t in types if t >= 0]

    @cached_property
    def vertex_of(self) -> np.ndarray:
        """(D, S): the first socket of the vertex of each socket."""
        eye = np.eye(self.kinds.shape[1], dtype=bool)
        return (((self.codes & SAME_VERTEX) > 0) | eye).argmax(axis=2)

    @cached_property
    def point_of(self) -> np.ndarray:
        """(D, S): the first socket of the point of each socket."""
        eye = np.eye(self.kinds.shape[1], dtype=bool)
        return (((self.codes & SAME_POINT) > 0) | eye).argmax(axis=2)

    @cached_property
    def _vertex_of_kind(self) -> list[int]:
        """For each kind the vertex it belongs to in the layout, −1 for external legs and none."""
        table = [-1] * len(self.layout.free)
        for n, vertex in enumerate(self.layout.vertices):
            for kind in vertex.kinds:
                table[kind] = n
        return table


def _build(diagrams: DiagramSet, n: int) -> Diagram:
    layout = diagrams.layout
    kinds = diagrams.kinds[n]
    used = int((kinds > 0).sum())
    sockets = kinds[:used].tolist()
    type_of = [diagrams._vertex_of_kind[kind] for kind in sockets]
    first_of_vertex = diagrams.vertex_of[n, :used].tolist()
    first_of_point = diagrams.point_of[n, :used].tolist()
    inner = {first for first, t in zip(first_of_vertex, type_of, strict=True) if t >= 0}
    vertex_number = {s: v for v, s in enumerate(sorted(inner))}
    point_number = {s: p for p, s in enumerate(sorted(set(first_of_point)))}
    types = diagrams._types(n)
    points = points_from(layout, sockets, first_of_vertex, list(point_number), vertex_number, types)
    lines = lines_from(layout, sockets, [point_number[f] for f in first_of_point], diagrams.codes[n])
    vertices = [layout.vertices[t] for t in types]
    coefficient: Fraction | float = Fraction(int(diagrams.ways[n]))
    couplings: Counter[str] = Counter()
    symmetry = 1
    for vertex in vertices:
        coefficient *= vertex.rule.coefficient
        couplings.update(dict(vertex.rule.couplings))
        symmetry *= vertex.symmetry
    if (share := float(diagrams.shares[n])) != 1.0:
        coefficient = float(coefficient) * share
    powers = tuple(sorted(couplings.items()))
    width = int(diagrams.widths[n])
    theory = diagrams.theory
    return Diagram(
        vertices=tuple(v.rule.name for v in vertices),
        points=points,
        lines=lines,
        order=int(diagrams.orders[n]),
        width=width,
        symmetry_factor=symmetry // int(diagrams.ways[n]),
        coefficient=coefficient,
        couplings=powers,
        weight=float(coefficient) * theory.coupling_value(powers) * float(theory.N) ** -width,
        digest=diagrams.digest(n),
        named=diagrams._named,
        sources=tuple(v.rule.name for v in layout.vertices if v.rule.source),
        replicas=histories_from(layout, sockets, first_of_point),
    )


def _monomial(layout: Layout, counts: list[int], width: int) -> str:
    powers: Counter[str] = Counter()
    for vertex, count in zip(layout.vertices, counts, strict=True):
        powers.update({name: power * count for name, power in vertex.rule.couplings})
    factors = [name if power == 1 else f"{name}^{power}" for name, power in sorted(powers.items()) if power]
    return " ".join(factors + ([f"N^{-width}"] if width else [])) or "1"
