"""External times as a user writes them: pairs, tuples, or lags τ."""

from __future__ import annotations

import numpy as np

from nnqft.checks import finite_number
from nnqft.errors import InputError, short
from nnqft.rules.theory import Theory

MAX_TIMES = 2000
"""Time tuples in one request: their covariance is kept for every diagram."""


def check_times(theory: Theory, arity: int | None, times: object, tau: object) -> tuple[tuple[float, ...], ...]:
    """External times as M tuples of floats, from `times` or from `tau`, all that can be wrong with them checked.

    Tuples, not an array: they are part of a request, which is hashed and written as JSON.

    Parameters
    ----------
    theory
        Times from rest are bounded by the start and by the theory's horizon; `tau` needs a stationary one.
    arity
        Columns; None for any number.
    times : (M, arity) array, or None
    tau : (M,) array, or None
        Stands for the pairs (τ, 0). With neither, a stationary process of known arity is taken at one time, 0.

    Raises
    ------
    InputError
        If both are given, or neither where one is needed, or if the numbers make no sense.
    """
    if times is not None and tau is not None:
        raise InputError("both times and tau were given; write one of them")
    if times is None and tau is None and (theory.stationary and arity is not None):
        grid = np.zeros((1, arity))
    elif times is not None:
        grid = _array("times", times)
    elif tau is None:
        raise InputError(f"times are missing, write times of shape {_shape(arity)}, such as {_example(arity)}")
    else:
        grid = _lags(theory, arity, tau)
    if grid.ndim != 2 or not grid.size or (arity is not None and grid.shape[1] != arity):
        raise InputError(f"times have shape {grid.shape}, wanted {_shape(arity)}, such as {_example(arity)}")
    if len(grid) > MAX_TIMES:
        raise InputError(f"{len(grid)} times, wanted at most {MAX_TIMES}; split the request")
    if not theory.stationary and (grid < 0).any():
        raise InputError(f"times={short(float(grid.min()))} lies before the start; from rest write times ≥ 0")
    if not theory.stationary and (grid > theory.horizon).any():
        late = short(float(grid.max()))
        raise InputError(f"times={late} lies beyond the theory's horizon T={theory.horizon:g}; write a larger T")
    return tuple(tuple(row) for row in grid.tolist())


def _lags(theory: Theory, arity: int | None, tau: object) -> np.ndarray:
    """The pairs (τ, 0) of some lags, (M, 2)."""
    if not theory.stationary:
        raise InputError("tau needs a stationary start; from rest write times=[(t, s), …]")
    if arity not in (2, None):
        raise InputError(f"tau is for observables of two times, this one has {arity}; write times={_example(arity)}")
    lags = _array("tau", tau)
    if lags.ndim > 1 or not lags.size:
        raise InputError(f"tau has shape {lags.shape}, wanted (M,), write for example tau=[0.0, 0.5, 1.0]")
    return np.stack([np.atleast_1d(lags), np.zeros(lags.size)], axis=1)


def _shape(arity: int | None) -> str:
    """The shape of times in a message."""
    return f"(M, {'k' if arity is None else arity})"


def _example(arity: int | None) -> str:
    """Times to write instead, in a message."""
    return str([(1.0,) * (2 if arity is None else arity)])


def _array(name: str, value: object) -> np.ndarray:
    """Finite real numbers that a user gave, as a float array of their shape."""
    try:
        array = np.asarray(value)
        if array.dtype == object:
            # Fractions and the like, but not text or None, which float() or numpy would take or make nan.
            array = np.array([finite_number(name, item) for item in array.flat]).reshape(array.shape)
        # float(True) and float("1") would pass: only what numpy calls a number is one.
        if array.dtype.kind not in "iuf":
            raise TypeError
        array = array.astype(float)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{name}={short(value)}: wanted numbers in a regular array") from None
    if not np.isfinite(array).all():
        raise InputError(f"{name}={short(value)}: wanted finite numbers")
    return array
