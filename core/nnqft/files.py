"""JSON files, written whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nnqft.errors import InputError

FORMAT = 1
"""Version of the JSON files of results."""


def write_json(path: str | os.PathLike[str], data: Mapping[str, Any]) -> None:
    """Write the data; arrays become lists, nan and inf become null.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    target = Path(path)
    partial = target.with_name(target.name + f".{os.getpid()}.part")
    try:
        partial.write_text(json.dumps(to_plain(data), allow_nan=False) + "\n", encoding="utf-8")
        partial.replace(target)
    except OSError as error:
        raise InputError(f"cannot write {str(target)!r}: {error.strerror or error}") from None
    finally:
        partial.unlink(missing_ok=True)


def read_json(path: str | os.PathLike[str], kind: str) -> dict[str, Any]:
    """The data of a file whose ``"kind"`` is that.

    Raises
    ------
    InputError
        If it cannot be read or is something else.
    """
    data = parse_json(path, kind)
    if not isinstance(data, dict) or data.get("kind") != kind:
        raise InputError(f"{str(path)!r} holds no {kind}; write one with save(path)")
    return data


def parse_json(path: str | os.PathLike[str], what: str) -> Any:
    """Whatever a JSON file holds.

    Raises
    ------
    InputError
        If it cannot be read or is no JSON; the message says that `what` was wanted.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read a {what} from {str(path)!r}: {error}") from None


def array_from(values: Any, shape: tuple[int, ...]) -> np.ndarray:
    """The finite numbers of a JSON list as an array of that shape; ValueError if they are not that."""
    array = np.array(values, dtype=float)
    if array.shape != shape or not np.isfinite(array).all():
        raise ValueError(f"numbers of shape {array.shape}, wanted {shape}")
    return array


def to_plain(value: Any) -> Any:
    """The value as JSON values: arrays become lists, nan and inf, which JSON lacks, null."""
    if isinstance(value, Mapping):
        return {str(name): to_plain(each) for name, each in value.items()}
    if isinstance(value, np.ndarray):
        if value.dtype.kind in "iub" or (value.dtype.kind == "f" and np.isfinite(value).all()):
            return value.tolist()
        return to_plain(value.tolist())
    if isinstance(value, list | tuple):
        return [to_plain(each) for each in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
