"""How much a generator of diagrams makes on its way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from nnqft.graphs import wick


@contextmanager
def partial_diagrams() -> Iterator[list[int]]:
    """The sizes of all batches of partial diagrams that are merged inside, in their order."""
    sizes: list[int] = []
    merge = wick._merge

    def counted(batch: Any) -> Any:
        sizes.append(len(batch))
        return merge(batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wick, "_merge", counted)
        yield sizes
