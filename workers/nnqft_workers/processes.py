"""Run in processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from nnqft import ExecutorError
from nnqft.errors import one_line
from nnqft_workers.pool import AbstractPool, Lost, Parcel, run_parcel

_DIED = (
    "a worker process died; it may have been out of memory, or this script lacks"
    " `if __name__ == '__main__':` around its computation; write executor='local' to see more"
)


class ProcessPool(AbstractPool):
    """A pool of fresh interpreters (spawned, so that no lock or thread of the caller is inherited).

    A process that dies breaks the whole pool; a new one takes its place, and what was in flight is lost.
    """

    def __init__(self, workers: int | None = None) -> None:
        self._workers = workers or os.cpu_count() or 1
        self._flying: dict[Future[list[Any]], Parcel] = {}
        self._pool = self._fresh()

    def slots(self, device: str) -> int:
        """The processes."""
        return self._workers if device == "cpu" else 0

    def submit(self, parcel: Parcel) -> None:
        """Pickled here, because a failure in the pool's own feeder thread may leave the pool waiting for ever."""
        try:
            letter = pickle.dumps((parcel.function, parcel.items))
        except Exception as error:
            raise ExecutorError(
                f"{parcel.label} cannot be sent to another process ({one_line(str(error))});"
                " define its functions at the top of an importable module, or write executor='local'"
            ) from error
        try:
            future = self._pool.submit(_run_letter, letter)
        except BrokenProcessPool:
            # What is in flight is reported lost when it is collected.
            self._pool = self._fresh()
            future = self._pool.submit(_run_letter, letter)
        self._flying[future] = parcel

    def collect(self, timeout: float) -> list[tuple[Parcel, list[Any] | Lost]]:
        """What has finished."""
        done, _ = wait(self._flying, timeout, FIRST_COMPLETED)
        # In the order of submission: a set has none.
        return [(self._flying.pop(future), self._result(future)) for future in list(self._flying) if future in done]

    def forget(self) -> None:
        """Cancel what has not begun."""
        for future in self._flying:
            future.cancel()
        self._flying.clear()

    def close(self) -> None:
        """Stop the processes, without waiting for work that nobody wants any more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _fresh(self) -> ProcessPoolExecutor:
        spawn = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self._workers, mp_context=spawn, initializer=_ignore_interrupt)

    @staticmethod
    def _result(future: Future[list[Any]]) -> list[Any] | Lost:
        try:
            return future.result()
        except (BrokenProcessPool, CancelledError):
            return Lost(_DIED)


def _ignore_interrupt() -> None:
    """Ctrl-C reaches every process of a terminal; only the caller shall answer it, with the estimate so far."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _run_letter(letter: bytes) -> list[Any]:
    function: Callable[[Any], Any]
    function, items = pickle.loads(letter)
    return run_parcel(function, items)
