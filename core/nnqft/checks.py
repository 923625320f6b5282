"""Numbers and keywords that a user gives, checked: each is returned in its type, or refused in one line."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, SupportsInt, TypeVar

import numpy as np

from nnqft.errors import InputError, UnknownNameError, short


def finite_number(name: str, value: object) -> float:
    """A finite real number that a user gave, as float.

    Parameters
    ----------
    name
        What the message calls it.
    value
        Whatever came; bool, text and complex numbers are refused.

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
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.number):
        raise InputError(f"{name}={short(value)}: wanted a number, write for example {name}=1.0")
    try:
        number = float(value)
    except (TypeError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{name}={short(value)}: wanted a finite number, write for example {name}=1.0")
    return number


def whole_number(name: str, value: object, least: int) -> int:
    """A whole number that a user gave, as int; a float such as 3.0 is one.

    Parameters
    ----------
    name, value
        As for `finite_number`.
    least
        The smallest that makes sense.

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
    nnqft.errors.InputError: order=-1: wanted a whole number ≥ 0
    """
    number = finite_number(name, value)
    if number != math.floor(number) or number < least:
        raise InputError(f"{name}={short(value)}: wanted a whole number ≥ {least}")
    assert isinstance(value, SupportsInt)  # as finite_number found
    return int(value)  # not int(number), which knows no integers beyond 2^53


def positive_number(name: str, value: object, example: str = "1e-3") -> float:
    """A finite real number > 0 that a user gave, as float; else InputError, whose message suggests `example`."""
    number = finite_number(name, value)
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
