"""What was saved, read back."""

from __future__ import annotations

import os
from typing import TypeVar, overload

from nnqft.checks import one_line_keywords
from nnqft.errors import InputError, one_line, short
from nnqft.files import FORMAT, parse_json
from nnqft.results.derived import Derived
from nnqft.results.result import Result
from nnqft.self_energies.solution import Dyson

Saved = Result | Derived | Dyson
Kind = TypeVar("Kind", Result, Derived, Dyson)


@overload
def load(path: str | os.PathLike[str]) -> Saved: ...
@overload
def load(path: str | os.PathLike[str], kind: type[Kind]) -> Kind: ...
@one_line_keywords
def load(path: str | os.PathLike[str], kind: type[Kind] | None = None) -> Saved | Kind:
    """Read what `save` of a `Result`, a `Derived` or a `Dyson` wrote.

    Parameters
    ----------
    path
        Of a JSON file. Nothing in it is run.
    kind
        The class that is wanted, for type checkers and as a check; any of the three if not given.

    Raises
    ------
    InputError
        If the file cannot be read or is not such a file.

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
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise InputError(f"{str(path)!r} is not a result of this version; write one with Result.save(path)")
    try:
        made = _read(data)
    except (ArithmeticError, AttributeError, InputError, LookupError, TypeError, ValueError) as error:
        cause = one_line(f"{type(error).__name__} {error}")[:200]
        raise InputError(f"{str(path)!r} is damaged: {cause}") from None
    if kind is not None and not isinstance(made, kind):
        raise InputError(f"{str(path)!r} holds a {type(made).__name__}, wanted a {kind.__name__}; leave kind out")
    return made


def _read(data: dict[str, object]) -> Saved:
    if data.get("kind") == "dyson":
        return Dyson.from_data(data)
    return Derived.from_data(data) if "derived" in data else Result.from_data(data)
