"""The pool of one: this very process, without start-up and easiest to debug."""

from __future__ import annotations

from collections import deque
from typing import Any

from nnqft_workers.pool import AbstractPool, Lost, Parcel, run_parcel


class LocalPool(AbstractPool):
    """One worker, the caller itself: a parcel runs when its results are collected."""

    ahead = 1
    idles = False

    def __init__(self) -> None:
        self._waiting: deque[Parcel] = deque()

    def slots(self, device: str) -> int:
        """One slot for ``"cpu"``, none for any other device."""
        return int(device == "cpu")

    def submit(self, parcel: Parcel) -> None:
        """Queue the parcel; it runs when results are collected."""
        self._waiting.append(parcel)

    def collect(self, timeout: float) -> list[tuple[Parcel, list[Any] | Lost]]:
        """Run the parcel that has waited longest, and hand over its results."""
        if not self._waiting:
            return []
        parcel = self._waiting.popleft()
        return [(parcel, run_parcel(parcel.function, parcel.items))]

    def forget(self) -> None:
        """Drop the parcels that wait."""
        self._waiting.clear()
