"""What was saved, read back."""

from __future__ import annotations

import os
from typing import TypeVar, overload

import numpy as np

from nnqft.checks import one_line_keywords
from nnqft.errors import InputError, one_line, short
from nnqft.files import FORMAT, parse_json
from nnqft.results.comparison import Check
from nnqft.results.derived import Derived
from nnqft.results.result import Result
from nnqft.self_energies.solution import Dyson

Saved = Result | Derived | Dyson | Check
Kind = TypeVar("Kind", Result, Derived, Dyson, Check)


@overload
def load(path: str | os.PathLike[str]) -> Saved: ...
@overload
def load(path: str | os.PathLike[str], kind: type[Kind]) -> Kind: ...
@one_line_keywords
def load(path: str | os.PathLike[str], kind: type[Kind] | None = None) -> Saved | Kind:
    """Read what `save` of a `Result`, a `Derived`, a `Dyson` or a `Check` wrote.

    Parameters
    ----------
    path
        Of a JSON file. Nothing in it is run. Its checksum is compared; a file that has none, as earlier versions wrote
        it, or where somebody made it null to edit it, is read with a warning and a note.
    kind
        The class that is wanted, for type checkers and as a check; any of the four if not given.

    Raises
    ------
    InputError
        If the file cannot be read, was changed or damaged after it was written, or is not such a file.

    Examples
    --------
    >>> import nnqft, tempfile, pathlib
    >>> result = nnqft.compute(nnqft.theory("linear"), "two_point", order=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "result.json"
    ...     result.save(path)
    ...     nnqft.load(path).mean == result.mean
    array([ True])
    """
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"path={short(path)}: wanted the path of a file, write nnqft.load('result.json')")
    data = parse_json(path, "result")
    if data.get("format") not in (1, FORMAT):
        raise InputError(f"{str(path)!r} is not a result of this version; write one with Result.save(path)")
    try:
        made = _read(data)
        made.table()  # parts that contradict each other show here at the latest
    except Exception as error:  # which one depends on what is wrong where
        known = error if isinstance(error, InputError) else f"{type(error).__name__} {error}"
        cause = one_line(str(known))[:240]
        raise InputError(f"{str(path)!r} is damaged: {cause}") from None
    if kind is not None and not isinstance(made, kind):
        raise InputError(f"{str(path)!r} holds a {type(made).__name__}, wanted a {kind.__name__}; leave kind out")
    return made


def _read(data: dict[str, object]) -> Saved:
    if data.get("kind") == "dyson":
        return Dyson.from_data(data)
    if data.get("kind") == "check":
        return Check.from_data(data)
    if "derived" in data:
        return Derived.from_data(data)
    result = Result.from_data(data)
    # Written for other readers, and made of the series: somebody who edits a copy must hear that it counts for nothing.
    size = 1e-12 * np.nan_to_num(sum(np.abs(part.mean) for part in result.series.values()))
    for name in ("mean", "sdev"):
        written = np.array(data.get(name, getattr(result, name)), float)
        if not np.allclose(written, getattr(result, name), 1e-9, size, equal_nan=True):
            raise ValueError(f"{name} is not that of the series, of which it is made")
    return result
