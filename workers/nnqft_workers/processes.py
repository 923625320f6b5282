"""Run in processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import Any

from nnqft import ExecutorError
from nnqft.errors import one_line
from nnqft_workers.pool import AbstractPool, in_order, run_batch

_DIED = (
    "a worker process died; it may have been out of memory, or this script lacks"
    " `if __name__ == '__main__':` around its computation; write executor='local' to see more"
)


class ProcessPool(AbstractPool):
    """A pool of fresh interpreters (spawned, so that no lock or thread of the caller is inherited)."""

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or os.cpu_count() or 1
        spawn = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(self.workers, mp_context=spawn, initializer=_ignore_interrupt)

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        """Results in order."""
        return in_order(items, self.workers, partial(self._submit, function), self._fetch, Future.cancel)

    def close(self) -> None:
        """Stop the processes, without waiting for work that nobody wants any more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _submit(self, function: Callable[[Any], Any], batch: Sequence[Any]) -> Future[list[Any]]:
        # Pickled here, because a failure in the pool's own feeder thread may leave the pool waiting for ever.
        try:
            parcel = pickle.dumps((function, batch))
        except Exception as error:
            label = getattr(batch[0], "label", "work")
            raise ExecutorError(
                f"{label} cannot be sent to another process ({one_line(str(error))});"
                " define its functions at the top of an importable module, or write executor='local'"
            ) from error
        try:
            return self._pool.submit(_run_parcel, parcel)
        except BrokenProcessPool as error:
            raise ExecutorError(_DIED) from error

    @staticmethod
    def _fetch(future: Future[list[Any]]) -> list[Any]:
        try:
            return future.result()
        except BrokenProcessPool as error:
            raise ExecutorError(_DIED) from error


def _ignore_interrupt() -> None:
    """Ctrl-C reaches every process of a terminal; only the caller shall answer it, with the estimate so far."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _run_parcel(parcel: bytes) -> list[Any]:
    return run_batch(*pickle.loads(parcel))
