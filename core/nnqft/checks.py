"""Numbers and keywords that a user gives, checked: each is returned in its type, or refused in one line."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from decimal import Decimal
from functools import wraps
from numbers import Real
from typing import ParamSpec, SupportsInt, TypeVar

import numpy as np

from nnqft.errors import InputError, UnknownNameError, short


def as_number(value: object) -> object:
    """The value as one of Python's or numpy's numbers, if it is a Decimal or an array without axes; else itself."""
    if getattr(value, "ndim", None) == 0 and not isinstance(value, np.generic) and hasattr(value, "item"):
        value = value.item()
    return float(value) if isinstance(value, Decimal) else value


def finite_number(name: str, value: object, example: str = "1.0") -> float:
    """A finite real number that a user gave, as float.

    Parameters
    ----------
    name
        What the message calls it.
    value
        Whatever came: any real number, a fraction and an array without axes, too. Bool, text and complex numbers are
        refused.
    example
        What the message says to write.

    Raises
    ------
    InputError
        If it is not a finite real number; the message says what came and what to write.

    Examples
    --------
    >>> from nnqft import finite_number
    >>> finite_number("gamma", 1)
    1.0
    >>> finite_number("gamma", "one")
    Traceback (most recent call last):
        ...
    nnqft.errors.InputError: gamma='one': wanted a number, write for example gamma=1.0
    """
    given = as_number(value)
    if isinstance(given, bool | np.bool_) or not isinstance(given, Real | np.number):
        raise InputError(f"{name}={short(value)}: wanted a number, write for example {name}={example}")
    try:
        number = float(given)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{name}={short(value)}: wanted a finite number, write for example {name}={example}")
    return number


def whole_number(name: str, value: object, least: int, example: str = "") -> int:
    """A whole number that a user gave, as int; a float such as 3.0 is one.

    Parameters
    ----------
    name, value
        As for `finite_number`.
    least
        The smallest that makes sense.
    example
        What the message says to write; `least` if nothing is given.

    Raises
    ------
    InputError
        If it is not a whole number ≥ `least`.

    Examples
    --------
    >>> from nnqft import whole_number
    >>> whole_number("order", 3, least=0)
    3
    >>> whole_number("order", -1, least=0)
    Traceback (most recent call last):
        ...
    nnqft.errors.InputError: order=-1: wanted a whole number ≥ 0, write for example order=0
    """
    try:
        number = finite_number(name, value)
    except InputError:
        number = math.nan
    if math.isnan(number) or number != math.floor(number) or number < least:
        write = f"write for example {name}={example or least}"
        raise InputError(f"{name}={short(value)}: wanted a whole number ≥ {least}, {write}")
    given = as_number(value)
    assert isinstance(given, SupportsInt)  # as finite_number found
    return int(given)  # not int(number), which knows no integers beyond 2^53


def positive_number(name: str, value: object, example: str = "1e-3") -> float:
    """A finite real number > 0 that a user gave, as float; else InputError, whose message suggests `example`."""
    number = finite_number(name, value, example)
    if number <= 0:
        raise InputError(f"{name}={short(value)}: wanted a number > 0, write for example {name}={example}")
    return number


P = ParamSpec("P")
T = TypeVar("T")


def one_line_keywords(function: Callable[P, T]) -> Callable[P, T]:
    """The function, its callers told in one line of a keyword that it does not know, or of one that is missing.

    Python's own TypeError would name neither the nearest keyword nor what to write.
    """
    signature = inspect.signature(function)

    @wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        for name in kwargs:
            if name not in signature.parameters:
                raise UnknownNameError("keyword", name, signature.parameters, f" of {function.__name__}()")
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            raise InputError(f"{function.__name__}(): {error}; {_call(function.__name__, signature)}") from None
        return function(*args, **kwargs)

    return checked


def _call(name: str, signature: inspect.Signature) -> str:
    """The line to write: the call with the arguments that have no default."""
    needed = [
        f"{parameter.name}=…" if parameter.kind is parameter.KEYWORD_ONLY else parameter.name
        for parameter in signature.parameters.values()
        if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
    ]
    return f"write {name}({', '.join(needed)})"
