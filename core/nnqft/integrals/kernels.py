"""Functions of plugins over arrays of times, called and checked."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np

from nnqft.errors import PluginError, raised
from nnqft.rules.term import Array


def call_kernel(what: str, call: Callable[[], Array], shape: tuple[int, ...], xp: ModuleType) -> Array:
    """The kernel's value, or PluginError if it raises, has another shape than its times, or is not finite."""
    try:
        value = xp.asarray(call())
    except Exception as error:  # a plugin's code may raise anything
        raise PluginError(f"{what} raised {raised(error)}") from error
    if value.shape not in ((), shape):
        raise PluginError(f"{what} returned shape {tuple(value.shape)} for times of shape {shape}")
    if xp is np and not np.isfinite(value).all():
        raise PluginError(f"{what} returned a value that is not finite")
    return value
