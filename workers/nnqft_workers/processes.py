"""The pool of processes of this machine."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from multiprocessing.connection import Pipe
from multiprocessing.spawn import get_executable
from pathlib import Path
from typing import Any

from nnqft import ExecutorError
from nnqft.errors import one_line
from nnqft_workers.letters import pack, results_in
from nnqft_workers.pool import AbstractPool, Lost, Parcel

_PROGRAM = Path(__file__).with_name("worker.py")
_GRACE = 1.0
"""Seconds that a process gets to end by itself."""


class ProcessPool(AbstractPool):
    """Fresh interpreters that share nothing with the caller: no lock, no thread, and not its main module.

    Each is looked after by a thread of the caller, which hands it the parcel that has waited longest whenever it is
    free. If a process dies, only the parcel it held is lost, and the next parcel starts another one.
    """

    def __init__(self, workers: int | None = None) -> None:
        self._workers = workers or os.cpu_count() or 1
        self._flying: dict[Future[bytes | Lost], Parcel] = {}
        self._lock = threading.Lock()
        self._processes: set[_Process] = set()
        self._idle: list[_Process] = []
        self._closed = False
        self._threads = ThreadPoolExecutor(self._workers, "nnqft-process", _leave_interrupts_to_the_main_thread)

    def slots(self, device: str) -> int:
        """The number of processes for ``"cpu"``, 0 for any other device."""
        return self._workers if device == "cpu" else 0

    def submit(self, parcel: Parcel) -> None:
        """Hand a parcel to the next free process, packed here, so that what cannot travel is an error of the call."""
        if self._closed:
            raise ExecutorError("this executor is closed; open another one")
        try:
            letter = pack((parcel.function, parcel.items))
        except Exception as error:
            raise ExecutorError(
                f"{parcel.label} cannot be sent to another process ({one_line(str(error))});"
                " take out of its functions what cannot be pickled, or write executor='local'"
            ) from error
        self._flying[self._threads.submit(self._deliver, letter)] = parcel

    def collect(self, timeout: float) -> list[tuple[Parcel, list[Any] | Lost]]:
        """The parcels that have finished, in the order of their submission."""
        done, _ = wait(self._flying, timeout, FIRST_COMPLETED)
        # In the order of submission: a set has none.
        finished = [(future, self._flying.pop(future)) for future in list(self._flying) if future in done]
        return [(parcel, results_in(future.result(), len(parcel.items))) for future, parcel in finished]

    def forget(self) -> None:
        """Cancel the parcels that have not begun, and drop the others."""
        for future in self._flying:
            future.cancel()
        self._flying.clear()

    def close(self) -> None:
        """End the processes, without waiting for work that nobody wants any more; none is left afterwards."""
        with self._lock:
            self._closed = True
            processes = list(self._processes)
        for process in processes:
            process.terminate()
        self._threads.shutdown(wait=False, cancel_futures=True)
        deadline = time.monotonic() + _GRACE
        for process in processes:
            process.end(deadline)
        # Sockets are closed only when no thread listens any more: their numbers are soon those of other files.
        self._threads.shutdown()
        self._processes.clear()
        self._idle.clear()

    def _deliver(self, letter: bytes) -> bytes | Lost:
        """The reply of a process that is free; runs in a thread of the pool."""
        process = self._free_process()
        try:
            reply = process.answer(letter)
        except (EOFError, OSError):
            status = process.end(time.monotonic() + _GRACE)
            with self._lock:
                self._processes.discard(process)
            if status >= 0 and not process.ready:
                raise ExecutorError(
                    f"a worker process ended with status {status} before any work; what it wrote says why"
                ) from None
            return Lost(_epitaph(status))
        self._idle.append(process)
        return reply

    def _free_process(self) -> _Process:
        with self._lock:
            if self._idle:
                return self._idle.pop()
            if self._closed:
                raise ExecutorError("this executor is closed; open another one")
            process = _Process()
            self._processes.add(process)
            return process


class _Process:
    """A worker process and the socket to it, for one thread at a time.

    Raises
    ------
    ExecutorError
        If this machine cannot start one.
    """

    def __init__(self) -> None:
        self._socket, theirs = Pipe()
        self.ready = False
        # The interpreter's own options; -P and -u: neither the caller's folder nor a buffer that nobody flushes.
        options = [*subprocess._args_from_interpreter_flags(), "-P", "-u"]  # type: ignore[attr-defined]
        command = [get_executable(), *options, _PROGRAM, str(theirs.fileno()), str(os.getpid())]
        try:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
        except OSError as error:
            raise ExecutorError(f"cannot start a worker process: {error}; write executor='local'") from error
        finally:
            theirs.close()

    def answer(self, letter: bytes) -> bytes:
        """The letter that the process answers with; EOFError or OSError if it dies before."""
        if not self.ready:
            self._socket.send_bytes(pickle.dumps(sys.path))
            self._socket.recv_bytes()
            self.ready = True
        self._socket.send_bytes(letter)
        return self._socket.recv_bytes()

    def terminate(self) -> None:
        """Ask the process to end."""
        self._process.terminate()

    def end(self, deadline: float) -> int:
        """End the process, by force if it still runs at the deadline; its exit status is returned."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, deadline - time.monotonic()))
        self._process.kill()
        return self._process.wait()


def _epitaph(status: int) -> str:
    if status >= 0:
        return f"a worker process ended with status {status}"
    memory = "; memory may have run out" if -status == signal.SIGKILL else ""
    with suppress(ValueError):
        return f"a worker process was ended by {signal.Signals(-status).name}{memory}"
    return f"a worker process was ended by signal {-status}"


def _leave_interrupts_to_the_main_thread() -> None:
    """Ctrl-C reaches every process of a terminal; only the caller shall answer it, with the estimate so far.

    A signal that is blocked in a thread is blocked in the processes that it starts, from their first instruction.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
