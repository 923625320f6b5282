"""What a diagram is made of: its times and the lines between them."""

from __future__ import annotations

from typing import NamedTuple

STUB = "|"
"""Ends the names of the lines on which amputated external legs end."""


class Point(NamedTuple):
    """One time of a diagram: which of the diagram's vertices it belongs to, and which point of that vertex it is.

    External legs have vertex −1. Points of a vertex that are equivalent are numbered as they come.
    """

    vertex: int
    number: int


class Line(NamedTuple):
    """A propagator between two points; a response runs from `start` (z̃, earlier) to `end` (h, later)."""

    propagator: str
    end: int
    start: int
    response: bool

    @property
    def stub(self) -> bool:
        """Is it the end of an amputated leg, a δ of its two times?"""
        return self.propagator.endswith(STUB)
