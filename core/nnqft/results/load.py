"""Read back what was saved."""

from __future__ import annotations

import os
from typing import Any

from nnqft.errors import InputError, one_line
from nnqft.files import parse_json
from nnqft.results.derived import Derived
from nnqft.results.result import FORMAT, Result


def load(path: str | os.PathLike[str]) -> Result | Any:
    """Read a Result that `Result.save` wrote, or a Derived that `Derived.save` wrote.

    Raises
    ------
    InputError
        If the file cannot be read or is not such a file.
    """
    data = parse_json(path, "result")
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise InputError(f"{str(path)!r} is not a result of this version; write one with Result.save(path)")
    try:
        return Derived.from_data(data) if "derived" in data else Result.from_data(data)
    except (ArithmeticError, AttributeError, InputError, LookupError, TypeError, ValueError) as error:
        cause = one_line(f"{type(error).__name__} {error}")[:200]
        raise InputError(f"{str(path)!r} is damaged: {cause}") from None
