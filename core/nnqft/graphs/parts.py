"""What a diagram is made of: its times and the lines between them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

STUB = "|"
"""Ends the names of the lines on which amputated external legs end."""
REPLICA = "@"
"""Stands before the letter of a noise history in names of what belongs to it, but for the first."""


def replicas_of(fields: Iterable[str]) -> str:
    """The letters of the histories that fields of a replicated theory belong to, in order."""
    return "".join(sorted({name.removesuffix(STUB).partition(REPLICA)[2] or "a" for name in fields}))


class Point(NamedTuple):
    """One time of a diagram: which of the diagram's vertices it belongs to, and which point of that vertex it is.

    External legs have vertex −1. Points of a vertex that are equivalent are numbered as they come.

    Examples
    --------
    >>> import nnqft
    >>> theory = nnqft.theory("linear", N=100, sigma_w=0.5)
    >>> diagram = nnqft.diagrams(theory, "two_point", order=1)[1]
    >>> diagram.points[0], diagram.points[2]
    (Point(vertex=-1, number=0), Point(vertex=0, number=0))
    """

    vertex: int
    number: int


class Line(NamedTuple):
    """A propagator between two points of a diagram, which are given by number.

    The propagator's right field is at `start` and its left one at `end`: a response runs from z̃, earlier, to h, later.
    Of a correlator of one field with itself the direction means nothing.

    Examples
    --------
    >>> import nnqft
    >>> theory = nnqft.theory("linear", N=100, sigma_w=0.5)
    >>> diagram = nnqft.diagrams(theory, "two_point", order=0)[0]
    >>> diagram.lines[0]
    Line(propagator='C', end=1, start=0, response=False)
    """

    propagator: str
    end: int
    start: int
    response: bool

    @property
    def stub(self) -> bool:
        """Is it the end of an amputated leg, a δ of its two times?"""
        return self.propagator.endswith(STUB)
