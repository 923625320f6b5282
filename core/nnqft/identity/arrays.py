"""How numpy's arrays, their types, and its functions of them are put into a walk."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from nnqft.identity.abstract import AbstractWalk


def put_array(walk: AbstractWalk, array: np.ndarray) -> None:
    """Type, shape, order in memory (sums depend on it) and all bytes; of objects and fields each by itself."""
    kind, flags = array.dtype.kind, array.flags
    walk.put("array", array.shape, flags.c_contiguous, flags.f_contiguous)
    put_dtype(walk, array.dtype)
    if array.dtype.names is not None:
        for name in array.dtype.names:  # what lies between fields is no value
            put_array(walk, array[name])
    elif kind in "OT":
        for item in array.ravel().tolist():
            walk.visit(item)
    elif kind in "fc" and array.dtype.itemsize > 8 * (1 + (kind == "c")):
        for part in (array.real, array.imag) if kind == "c" else (array,):
            high = part.astype(float)  # what fills up a long double is no value either
            walk.put(high.tobytes(), (part - high).astype(float).tobytes())
    else:
        walk.put(array.tobytes())


def put_dtype(walk: AbstractWalk, dtype: Any) -> None:
    """Put what an array's items are."""
    walk.put("dtype", repr(dtype), dtype.str)
    for key, value in sorted((dtype.metadata or {}).items()):
        walk.put("metadata", key)
        walk.visit(value)


def put_ufunc(walk: AbstractWalk, ufunc: np.ufunc) -> None:
    """Put a function of numpy or scipy by its name.

    Raises
    ------
    UnseenError
        If it is neither's.
    """
    for module in (np, sys.modules.get("scipy.special")):
        if module is not None and getattr(module, ufunc.__name__, None) is ufunc:
            walk.put_library(module.__name__, ufunc.__name__)
            return
    raise walk.refuse(f"the ufunc {ufunc.__name__!r}, whose inside cannot be seen")
