"""Numbers and keywords that a user gives, checked: each is returned in its type, or refused in one line."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np

from nnqft.errors import InputError, UnknownNameError, short


def finite_number(name: str, value: Any) -> float:
    """float(value), or InputError when it is not a finite real number."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.number):
        raise InputError(f"{name}={short(value)}: wanted a number, write for example {name}=1.0")
    try:
        number = float(value)
    except (TypeError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{name}={short(value)}: wanted a finite number, write for example {name}=1.0")
    return number


def whole_number(name: str, value: Any, least: int) -> int:
    """The value as int, or InputError unless it is a whole number ≥ least."""
    number = finite_number(name, value)
    if number != math.floor(number) or number < least:
        raise InputError(f"{name}={short(value)}: wanted a whole number ≥ {least}")
    return int(value)


def positive_number(name: str, value: Any, example: str = "1e-3") -> float:
    """The value as float, or InputError unless it is a finite real number > 0."""
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
