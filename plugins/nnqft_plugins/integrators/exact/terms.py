"""What the lines of an exact integral come down to: single exponentials, here and there on one side only."""

from __future__ import annotations

from typing import NamedTuple

from nnqft import Line, Propagator, Term


class Piece(NamedTuple):
    """amplitude · e^{−rate·(later − earlier)} · e^{−early·earlier} between two points.

    `ordered`: only where the start is no later than the end; `strict`: only where it is earlier.
    """

    amplitude: complex
    rate: complex
    early: complex
    end: int
    start: int
    ordered: bool
    strict: bool


def pieces_of(line: Line, propagator: Propagator) -> list[Piece]:
    """The exponentials of a line whose sum it is; the real part of a complex one is half of it and its conjugate."""
    pieces = []
    for term in propagator.terms:
        end, start, ordered, strict = line.end, line.start, line.response, line.response
        if term.left != "either" and line.end == line.start:
            if term.left == "earlier":
                continue  # of one time: t ≥ s
        elif term.left != "either":
            # Like a response, towards whichever end is the later one; what holds for t = s is with t > s.
            ordered, strict = True, term.left == "earlier"
            end, start = (end, start) if term.left == "later" else (start, end)
        for amplitude, rate, early in _numbers(term):
            pieces.append(Piece(amplitude, rate, early, end, start, ordered, strict))
    return pieces


def count_pieces(propagator: Propagator) -> int:
    """How many exponentials a line has, complex ones counted twice."""
    return sum(len(_numbers(term)) for term in propagator.terms)


def _numbers(term: Term) -> list[tuple[complex, complex, complex]]:
    if not term.oscillates:
        return [(term.amplitude, term.rate, term.early)]
    amplitude, rate, early = (complex(number) for number in (term.amplitude, term.rate, term.early))
    half = amplitude / 2
    return [(half, rate, early), (half.conjugate(), rate.conjugate(), early.conjugate())]
