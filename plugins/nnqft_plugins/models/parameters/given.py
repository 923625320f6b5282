"""A function of the user's as an activation: checked, named, and made into an `Activation`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnqft import Activation, InputError, short
from nnqft.errors import raised
from nnqft_plugins.networks.meanfield.panels import find_kinks

_PROBE = np.array([[-2.5, -0.3, 0.0], [0.7, 1.0, 3.0]])


class GivenFunction(str):
    """A function as the value of a parameter: text ``"module:qualname"`` that remembers the function.

    The text is what a file gets. What is read back from a file is the text alone: nothing is imported for it.
    """

    __slots__ = ("function",)
    function: Callable[[np.ndarray], np.ndarray]

    def __new__(cls, function: Callable[[np.ndarray], np.ndarray]) -> GivenFunction:
        """The text for a function, which may be a ufunc or an instance that can be called."""
        name = getattr(function, "__qualname__", None) or getattr(function, "__name__", None)
        module = getattr(function, "__module__", None)
        kind = type(function)
        value = super().__new__(cls, f"{module or kind.__module__}:{name or kind.__qualname__}")
        value.function = function
        return value

    def __reduce__(self) -> tuple[Any, ...]:
        return GivenFunction, (self.function,)


@dataclass(frozen=True)
class FloatFunction:
    """The function with its values as floats, checked at each call: it was tried at a few places only.

    It may overflow to inf far out, where averages say that they diverge.
    """

    function: Callable[[np.ndarray], np.ndarray]

    def __call__(self, h: np.ndarray) -> np.ndarray:
        """Value at h, of the same shape.

        Raises
        ------
        InputError
            If the function has no number at some h.
        """
        what = f"activation={short(str(GivenFunction(self.function)))}"
        try:
            values = np.asarray(self.function(h))
        except Exception as error:
            raise InputError(f"{what} raised {raised(error, outer=1)}; wanted a function of all arrays") from error
        if values.dtype.kind not in "biuf" or values.shape != np.shape(h):
            came = "complex numbers" if values.dtype.kind == "c" else f"{values.dtype} of shape {values.shape}"
            raise InputError(f"{what} returned {came} for an array of shape {np.shape(h)}; wanted as many real numbers")
        values = values.astype(float, copy=False)
        if (bad := np.isnan(values)).any():
            first = float(np.asarray(h)[bad][0])
            raise InputError(f"{what} returned nan at h = {first!r}; wanted a number for every h")
        return values


def check_function(name: str, function: Callable[[np.ndarray], np.ndarray]) -> GivenFunction:
    """The function as a value of the parameter, after it was tried on a small array.

    Raises
    ------
    InputError
        If it does not take arrays of any shape to finite floats of that shape.
    """
    given = GivenFunction(function)
    asked = f"{name}={short(str(given))}"
    try:
        with np.errstate(all="ignore"):
            values = np.asarray(function(_PROBE.copy()))
    except Exception as error:
        raise InputError(
            f"{asked} raised {type(error).__name__} for an array ({short(str(error))}); wanted a function of arrays,"
            f" write {name}=np.vectorize(f) for one of numbers"
        ) from None
    if values.shape != _PROBE.shape:
        raise InputError(
            f"{asked} returned shape {values.shape} for an array of shape {_PROBE.shape}; wanted the same, write"
            f" {name}=np.vectorize(f) for a function of numbers"
        )
    if values.dtype.kind not in "biuf" or not np.isfinite(values.astype(float)).all():
        raise InputError(f"{asked} returned {short(values.ravel().tolist())}; wanted finite real numbers")
    return given


def given_activation(value: GivenFunction) -> Activation:
    """The activation of a function: its kinks are looked for, its slope is left to averages.

    Raises
    ------
    InputError
        If the function is smooth nowhere.
    """
    function = FloatFunction(value.function)
    return Activation(str(value), function, None, find_kinks(function))
