"""Run in processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from nnqft import ExecutorError
from nnqft_workers.pool import AbstractPool, batches

_DIED = (
    "a worker process died; it may have been out of memory, or this script lacks"
    " `if __name__ == '__main__':` around its computation; write executor='local' to see more"
)


def _ignore_interrupt() -> None:
    """Ctrl-C reaches every process of a terminal; only the caller shall answer it, with the estimate so far."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class ProcessPool(AbstractPool):
    """A pool of fresh interpreters (spawned, so that no lock or thread of the caller is inherited)."""

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or os.cpu_count() or 1
        spawn = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(self.workers, mp_context=spawn, initializer=_ignore_interrupt)

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        """Results in order; several small items travel together."""
        try:
            yield from self._pool.map(function, items, chunksize=batches(len(items), self.workers))
        except BrokenProcessPool as error:
            raise ExecutorError(_DIED) from error

    def close(self) -> None:
        """Stop the processes, without waiting for work that nobody wants any more."""
        self._pool.shutdown(wait=False, cancel_futures=True)
