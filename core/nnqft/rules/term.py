"""One exponential of the sum that a line, or the memory of a vertex, is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from types import ModuleType
from typing import Any

Array = Any
"""An array of whichever array-API namespace `xp` the caller works in (numpy, jax.numpy, …)."""

NUMBERS = ("amplitude", "rate", "early")
"""What a `Term` has of numbers."""
SIDES = ("either", "later", "earlier")
"""What `Term.left` may be."""


@dataclass(frozen=True)
class Term:
    """amplitude · e^{−rate·(later − earlier)} · e^{−early·earlier}, one term of a sum of exponentials.

    Complex numbers stand for an oscillation: the real part of the product is meant.

    Parameters
    ----------
    amplitude
        In the unit of the line.
    rate
        In 1/time; its real part is at least 0, and for a response greater.
    early
        In 1/time; zero in a stationary theory, from rest it carries the memory of the start at time 0.
    left
        Where the line has this term: ``"either"`` everywhere, ``"later"`` only where the left field is not earlier than
        the right one (t ≥ s), ``"earlier"`` only where it is (t < s). In a `Memory` its point `one` is the left one.

    Examples
    --------
    >>> from nnqft import Propagator, Term
    >>> decay = Propagator("C", "h", "h", terms=(Term(0.5, 2.0),))
    >>> round(float(decay(1.0, 0.0)), 4)  # 0.5 e^{−2}
    0.0677
    >>> cross = Propagator("C_ab", "a", "b", terms=(Term(2.0, 1.0, left="later"), Term(2.0, 3.0, left="earlier")))
    >>> round(float(cross(1.0, 0.0)), 4), round(float(cross(0.0, 1.0)), 4)  # 2 e^{−1} and 2 e^{−3}
    (0.7358, 0.0996)
    >>> ringing = Propagator("C", "h", "h", terms=(Term(1.0, 0.5 + 2j),))
    >>> round(float(ringing(1.0, 0.0)), 4)  # e^{−1/2} cos 2
    -0.2524
    """

    amplitude: complex
    rate: complex
    early: complex = 0.0
    left: str = "either"

    def __post_init__(self) -> None:
        for name in NUMBERS:
            object.__setattr__(self, name, _python_number(getattr(self, name)))

    @property
    def oscillates(self) -> bool:
        """Is one of its numbers complex?"""
        return any(isinstance(getattr(self, name), complex) for name in NUMBERS)

    def __call__(self, t: Array, s: Array, xp: ModuleType) -> Array:
        """Its value at times t of the left and s of the right field, arrays that broadcast."""
        value = self._oscillation(t, s, xp) if self.oscillates else self._decay(t, s, xp)
        if self.left == "either":
            return value
        return xp.where((t >= s) == (self.left == "later"), value, 0.0)

    def _decay(self, t: Array, s: Array, xp: ModuleType) -> Array:
        value = self.amplitude * xp.exp(-self.rate * xp.abs(t - s)) if self.rate else self.amplitude
        return value * xp.exp(-self.early * xp.minimum(t, s)) if self.early else value

    def _oscillation(self, t: Array, s: Array, xp: ModuleType) -> Array:
        """In real arithmetic, which every array namespace has."""
        amplitude, rate, early = complex(self.amplitude), complex(self.rate), complex(self.early)
        gap, first = xp.abs(t - s), xp.minimum(t, s)
        angle = rate.imag * gap + early.imag * first
        wave = amplitude.real * xp.cos(angle) + amplitude.imag * xp.sin(angle)
        return wave * xp.exp(-rate.real * gap - early.real * first)


def as_tuple(parts: Any) -> Any:
    """The parts of a rule as a tuple, whatever collection they come in; what is none is left for a check to refuse."""
    scalar = isinstance(parts, str) or getattr(parts, "ndim", None) == 0
    return tuple(parts) if isinstance(parts, Iterable) and not scalar else parts


def _python_number(number: Any) -> Any:
    """A fraction, a number of numpy or an array of one number as Python's own, which every namespace can work with."""
    if isinstance(number, Fraction):
        return float(number)
    return number.item() if getattr(number, "shape", None) == () and hasattr(number, "item") else number
