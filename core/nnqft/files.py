"""Write files whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nnqft.errors import InputError


def write_json(path: str | os.PathLike[str], data: Mapping[str, Any]) -> None:
    """Write JSON without nan; a reader sees the old file or the whole new one.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    target = Path(path)
    partial = target.with_name(target.name + f".{os.getpid()}.part")
    try:
        partial.write_text(json.dumps(data, allow_nan=False) + "\n", encoding="utf-8")
        partial.replace(target)
    except OSError as error:
        raise InputError(f"cannot write {str(target)!r}: {error.strerror or error}") from None
    finally:
        partial.unlink(missing_ok=True)
