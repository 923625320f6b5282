"""Numbers and keywords that a user gives, checked: each is returned in its type, or refused in one line."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import wraps
from numbers import Real
from typing import ParamSpec, SupportsInt, TypeVar

import numpy as np

from nnqft.errors import InputError, NnqftError, UnknownNameError, one_line, short

P = ParamSpec("P")
T = TypeVar("T")


def as_number(value: object) -> object:
    """The value as one of Python's or numpy's numbers, if it is a Decimal or an array without axes; else itself."""
    if getattr(value, "ndim", None) == 0 and not isinstance(value, np.generic) and hasattr(value, "item"):
        value = value.item()
    if isinstance(value, Decimal):
        return math.nan if value.is_snan() else float(value)  # a signalling one would raise
    return value


def true_or_false(name: str, value: object) -> bool:
    """A flag that a user gave, as bool; else InputError: a word such as "no" would count as true."""
    given = as_number(value)
    if not isinstance(given, bool | np.bool_):
        raise InputError(f"{name}={short(value)}: wanted True or False, write for example {name}=True")
    return bool(given)


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
    given, smallest = as_number(value), finite_number("least", least, "0")
    write = f"write for example {name}={example or least}"
    try:
        number = finite_number(name, value)
    except InputError:
        number = math.nan
        if isinstance(given, int) and given > 1:  # more digits than a float can have
            raise InputError(f"{name}={short(value)}: wanted a whole number below 1e308, {write}") from None
    if math.isnan(number) or number != math.floor(number) or number < smallest:
        raise InputError(f"{name}={short(value)}: wanted a whole number ≥ {least}, {write}")
    assert isinstance(given, SupportsInt)  # as finite_number found
    return int(given)  # not int(number), which knows no integers beyond 2^53


def finite_array(name: str, value: object) -> np.ndarray:
    """A finite number, or numbers in an array or in lists, as an array of floats of that shape; else InputError."""
    try:
        given = np.asarray(as_number(value))
        array = given.astype(float) if given.dtype.kind in "iufO" else np.array(math.nan)
    except Exception:  # whatever a class that claims to be an array raises
        array = np.array(math.nan)
    if not np.isfinite(array).all() or value is None:
        raise InputError(f"{name}={short(value)}: wanted finite numbers, write for example {name}=[0.0, 0.5, 1.0]")
    return array


def positive_number(name: str, value: object, example: str = "1e-3") -> float:
    """A finite real number > 0 that a user gave, as float; else InputError, whose message suggests `example`."""
    number = finite_number(name, value, example)
    if number <= 0:
        raise InputError(f"{name}={short(value)}: wanted a number > 0, write for example {name}={example}")
    return number


def position(name: str, value: object, size: int) -> int:
    """A number of one of `size` things, from 0 on or from the end, as one from 0 on; IndexError if there is none."""
    at = whole_number(name, value, -(10**9), "0")
    if not -size <= at < size:
        raise IndexError(f"{name} {at} of {size}")
    return at % size


def chosen_of(name: str, value: object, size: int) -> np.ndarray:
    """Numbers of some of `size` things, from those numbers or a mask of that length; else InputError."""
    try:
        given = np.asarray(value)
        known: np.ndarray = np.arange(size)[given if given.size else []]
    except Exception:  # whatever a class that claims to be an array raises
        known = np.zeros((0, 0))
    if known.ndim != 1 or value is None:
        raise InputError(f"{name}={short(value)}: wanted whole numbers below {size}, or {size} times True or False")
    return known


def instance_of(name: str, value: object, kind: type[T], example: str) -> T:
    """The value, which must be of that class; else InputError, whose message says what to write."""
    if not isinstance(value, kind):
        raise InputError(f"{name}={short(value)}: wanted {kind.__name__}, write for example {example}")
    return value


@contextmanager
def saved_data(reader: str, writer: str) -> Iterator[None]:
    """Whatever goes wrong in here becomes an InputError: the data that `reader` was given are not the writer's."""
    try:
        yield
    except NnqftError:
        raise
    except Exception as error:  # which one depends on what is wrong where
        cause = one_line(f"{type(error).__name__} {error}")[:200]
        raise InputError(f"{reader}: {cause}; wanted what {writer} returns") from None


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
