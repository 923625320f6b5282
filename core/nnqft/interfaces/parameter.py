"""Parameters of a model: defaults, and what values make sense."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from nnqft.checks import finite_number, whole_number
from nnqft.errors import InputError, short


@dataclass(frozen=True, repr=False)
class Parameter:
    """One parameter of a model: its default and what values make sense.

    Parameters
    ----------
    default
        Value when the user gives none.
    meaning
        A few words with the unit.
    low, high
        Smallest value, which `open_low` excludes, and largest. The largest is far beyond any sensible unit, where
        floating point would overflow.
    integer
        Only whole numbers.
    check
        ``check(name, value)`` → value, for anything that is not a number; raises InputError.

    Examples
    --------
    >>> from nnqft import Parameter
    >>> width = Parameter(100, "width", low=1, integer=True)
    >>> width.validate("N", 50)
    50
    >>> width.validate("N", 0.5)
    Traceback (most recent call last):
        ...
    nnqft.errors.InputError: N=0.5: wanted a whole number ≥ 1, write for example N=100
    """

    default: object
    meaning: str = ""
    low: float = -math.inf
    high: float = 1e9
    open_low: bool = False
    integer: bool = False
    check: Callable[[str, Any], Any] | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        return f"Parameter({short(self.default)}, {short(self.meaning)})"

    @property
    def _example(self) -> str:
        """What to write instead: the default, where it is a number."""
        usual = isinstance(self.default, int | float) and not isinstance(self.default, bool)
        return f"{self.default}" if usual else str(max(int(self.low), 1)) if self.integer else "1.0"

    def validate(self, name: str, value: object) -> Any:
        """The value in its proper type: float, int if `integer`, or what `check` makes of it.

        Raises
        ------
        InputError
            If it makes no sense; the message says what came under this name and what was wanted.
        """
        if self.check is not None:
            return self.check(name, value)
        if self.integer:
            whole = whole_number(name, value, int(self.low), self._example)
            if whole > self.high:
                raise InputError(f"{name}={short(value)}: wanted a whole number ≤ {self.high:g}")
            return whole
        number = finite_number(name, value, self._example)
        if number > self.high:
            raise InputError(f"{name}={short(value)}: wanted a number ≤ {self.high:g}; choose another unit of time")
        if number < self.low or (self.open_low and number == self.low):
            sign = ">" if self.open_low else "≥"
            raise InputError(
                f"{name}={short(value)}: wanted a number {sign} {self.low:g}, write for example {name}={self._example}"
            )
        return number
