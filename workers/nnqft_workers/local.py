"""Run in this very process: no start-up, easiest to debug."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from nnqft_workers.pool import AbstractPool


class LocalPool(AbstractPool):
    """One worker, the caller itself."""

    def __init__(self) -> None:
        self.workers = 1

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        """Each result when it is asked for."""
        return map(function, items)
