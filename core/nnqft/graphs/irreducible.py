"""Irreducible diagrams: external legs amputated, and nothing that falls apart when one line is cut.

An observable's leg ends on a stub in place of its line: a stub joins an h to a z̃ at one time, so that what used to
be the far end of the leg's response line becomes an external point itself. Legs h leave an amputated z̃, legs z̃ an
amputated h: the irreducible diagrams of ⟨h h⟩ and ⟨h z̃⟩ are the self-energies Σ(z̃,z̃) and Σ(z̃,h).
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, combinations_with_replacement

import numpy as np

from nnqft.graphs.diagram_set import DiagramSet
from nnqft.graphs.layout import LINES
from nnqft.graphs.parts import STUB
from nnqft.rules.parts import Field, Leg, Propagator
from nnqft.rules.theory import Theory


def amputate(theory: Theory, legs: tuple[Leg, ...]) -> tuple[Theory, tuple[Leg, ...]]:
    """The theory with a stub for each field of the legs, and legs that end on stubs."""
    fields, stubs = list(theory.fields), []
    for name in sorted({leg.field for leg in legs}):
        own = theory.field_named.get(name)
        if own is None:
            return theory, legs  # the generator says what is wrong with such a leg
        far = _far_end(theory, name)
        stub = Field(name + STUB, own.symbol + STUB, f"end of an amputated {own.symbol}", response=own.response)
        fields.append(stub)
        left, right = (far, stub.name) if own.response else (stub.name, far)
        stubs.append(Propagator(name + STUB, left, right, "δ(t−s)", stub=True))
    amputated = replace(theory, fields=tuple(fields), propagators=(*theory.propagators, *stubs))
    return amputated, tuple(replace(leg, field=leg.field + STUB) for leg in legs)


def _far_end(theory: Theory, name: str) -> str:
    """The field at the other end of a field's response line; itself where no response exists."""
    for propagator in theory.propagators:
        ends = (propagator.left, propagator.right)
        if name in ends and any(theory.field_named[end].response for end in ends):
            return ends[1 - ends.index(name)]
    return name


def irreducible(diagrams: DiagramSet) -> DiagramSet:
    """The diagrams in which no single line separates external legs from each other.

    A tadpole, which hangs on the rest by one line and holds no external leg, stays: with it Dyson's equation is that
    of the connected function whether or not there is a mean.
    """
    lines, externals = _node_lines(diagrams), len(diagrams.layout.externals)
    good = np.ones(len(diagrams), bool)
    for u, v in combinations(range(externals, lines.shape[1]), 2):
        rows = np.flatnonzero(good & (lines[:, u, v] == 1))
        joined = lines[rows] > 0
        joined[:, u, v] = joined[:, v, u] = False
        good[rows] = _reached(joined, [0])[:, :externals].all(axis=1)
    return diagrams.subset(np.flatnonzero(good))


def skeletons(diagrams: DiagramSet) -> DiagramSet:
    """Those without self-energy insertions: no two lines cut off a part that holds no external leg."""
    lines, externals = _node_lines(diagrams), len(diagrams.layout.externals)
    nodes = lines.shape[1]
    used = np.asarray(lines.any(axis=2))
    good = np.ones(len(diagrams), bool)
    pairs = list(combinations(range(externals, nodes), 2))
    for one, two in combinations_with_replacement(pairs, 2):
        rows = np.flatnonzero(good & (lines[:, *one] > 0) & (lines[:, *two] > 0))
        left = lines[rows].copy()
        for u, v in (one, two):
            left[:, u, v] -= 1
            left[:, v, u] -= 1
        # Taking one line twice, where there is but one, is taking it once: a tadpole is an insertion, too.
        reached = _reached(left > 0, list(range(externals)))
        good[rows] = (reached | ~used[rows]).all(axis=1)
    return diagrams.subset(np.flatnonzero(good))


def _node_lines(diagrams: DiagramSet) -> np.ndarray:
    """(D, V, V): lines between nodes, the external legs first, then the vertices, all points of a vertex as one."""
    first = diagrams.vertex_of
    own = (first == np.arange(first.shape[1])) & (diagrams.kinds > 0)
    number = np.cumsum(own, axis=1) - 1
    node = np.take_along_axis(number, first, axis=1)
    rows, a, b = np.nonzero(diagrams.codes & LINES)
    size = int(own.sum(axis=1).max(initial=0))
    lines = np.zeros((len(diagrams), size, size), np.int64)
    p, q = node[rows, a], node[rows, b]
    between = p != q
    np.add.at(lines, (rows[between], p[between], q[between]), (diagrams.codes[rows, a, b] & LINES)[between])
    return lines


def _reached(joined: np.ndarray, start: list[int]) -> np.ndarray:
    """(D, V): the nodes that lines lead to from any of the nodes `start`."""
    reached = np.zeros(joined.shape[:2], bool)
    reached[:, start] = True
    for _ in range(joined.shape[1]):
        reached |= np.einsum("du,duv->dv", reached, joined, dtype=np.int64) > 0
    return reached


def on_one_point(diagrams: DiagramSet) -> np.ndarray:
    """(D,) bool: all stubs end on one point, so that the diagram is a δ of the external times."""
    externals = len(diagrams.layout.externals)
    partner = ((diagrams.codes[:, :externals] & LINES) > 0).argmax(axis=2)
    points = np.take_along_axis(diagrams.point_of, partner, axis=1)
    return (points == points[:, :1]).all(axis=1)
