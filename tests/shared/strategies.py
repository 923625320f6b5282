"""Hypothesis strategies shared by all tests: theories, external legs, coloured graphs, permutations."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import theories
from hypothesis import strategies as st

from nnqft import Leg, Theory, Vertex

COEFFICIENTS = st.builds(Fraction, st.integers(-6, 6).filter(bool), st.integers(1, 6))
"""Exact, so that sums over diagrams can be compared without tolerance; never 0."""

PAIRS = [(p, q) for p in range(1, 4) for q in range(p, 4)]
"""Bilocal vertices: powers p ≤ q of the hidden state at the two times."""


@st.composite
def networks(draw: st.DrawFn, max_vertices: int = 2, local: bool = True) -> Theory:
    """Random networks with up to `max_vertices` bilocal vertices, and sometimes a local one with an index."""
    phi_phi = draw(st.dictionaries(st.sampled_from(PAIRS), COEFFICIENTS, min_size=1, max_size=max_vertices))
    drift = draw(st.dictionaries(st.integers(0, 3), COEFFICIENTS, max_size=1)) if local else {}
    return theories.network(phi_phi, local=drift, N=draw(st.integers(1, 7)), sigma_w=draw(st.sampled_from([0.5, 1.0])))


def langevins() -> st.SearchStrategy[Theory]:
    """One site, vertices z̃ h^p without index."""
    return st.dictionaries(st.integers(0, 4), COEFFICIENTS, min_size=1, max_size=2).map(theories.langevin)


def scalars() -> st.SearchStrategy[Theory]:
    """No time and no response field: vertices φ^p."""
    return st.dictionaries(st.integers(3, 5), COEFFICIENTS, min_size=1, max_size=2).map(theories.scalar)


def response_theories() -> st.SearchStrategy[Theory]:
    """Theories with a response field."""
    return st.one_of(networks(), langevins())


def any_theory() -> st.SearchStrategy[Theory]:
    """Theories of every sort."""
    return st.one_of(networks(), langevins(), scalars())


@st.composite
def externals(draw: st.DrawFn, theory: Theory, most: int = 3) -> tuple[Leg, ...]:
    """One to `most` external legs of the theory, at most one of them a response leg."""
    if "phi" in theory.field_named:
        return (theories.PHI,) * draw(st.integers(1, most))
    tails = draw(st.integers(0, 1))
    legs = [theories.H] * draw(st.integers(1, most - tails)) + [theories.Z] * tails
    return tuple(draw(st.permutations(legs)))


@st.composite
def rewritten(draw: st.DrawFn, theory: Theory) -> Theory:
    """The same theory, written differently.

    The vertices, the legs of each and the times of each are permuted, the indices renamed, equal legs split.
    """
    vertices = [draw(_rewritten_vertex(vertex)) for vertex in theory.vertices]
    return replace(theory, vertices=tuple(draw(st.permutations(vertices))))


@st.composite
def _rewritten_vertex(draw: st.DrawFn, vertex: Vertex) -> Vertex:
    points = draw(st.permutations(range(vertex.points)))
    names = dict(zip("ij", draw(st.permutations("jkl")), strict=False))
    legs = []
    for leg in vertex.legs:
        moved = tuple(points[p] for p in leg.point) if isinstance(leg.point, tuple) else points[leg.point]
        split = draw(st.integers(1, leg.power))
        powers = [split, leg.power - split] if split < leg.power else [split]
        index = leg.index and names[leg.index]
        legs += [Leg(leg.field, moved, index, power) for power in powers]
    return replace(vertex, legs=tuple(draw(st.permutations(legs))))


def permutations(size: int) -> st.SearchStrategy[np.ndarray]:
    """Permutations of range(size) as arrays."""
    return st.permutations(range(size)).map(np.array)


@st.composite
def coloured_graphs(
    draw: st.DrawFn, min_nodes: int = 1, max_nodes: int = 8, most_colours: int = 3
) -> tuple[np.ndarray, np.ndarray]:
    """Colours (S,) uint64 and symmetric codes (S, S) uint8, loops included.

    Few different codes and often a rotation that leaves the codes alone, so that symmetric graphs are common.
    """
    size = draw(st.integers(min_nodes, max_nodes))
    palette = draw(st.lists(st.integers(0, 2**33), min_size=1, max_size=most_colours))
    colours = np.array(draw(st.lists(st.sampled_from(palette), min_size=size, max_size=size)), np.uint64)
    values = st.sampled_from([0, 0, *draw(st.lists(st.integers(1, 255), min_size=1, max_size=3))])
    codes = np.zeros((size, size), np.uint8)
    if draw(st.booleans()):
        row = draw(st.lists(values, min_size=size, max_size=size))
        for i in range(size):
            for j in range(size):
                gap = abs(i - j)
                codes[i, j] = row[min(gap, size - gap)]
    else:
        upper = iter(draw(st.lists(values, min_size=size * (size + 1) // 2, max_size=size * (size + 1) // 2)))
        for i in range(size):
            for j in range(i, size):
                codes[i, j] = codes[j, i] = next(upper)
    return colours, codes
