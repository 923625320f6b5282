"""The pool of processes of this machine."""

from __future__ import annotations

import _thread
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import weakref
from contextlib import suppress
from multiprocessing.connection import Pipe
from multiprocessing.spawn import get_executable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from nnqft import ExecutorError
from nnqft.errors import one_line
from nnqft_workers.letters import Post
from nnqft_workers.pool import AbstractPool, Lost, Parcel

_PROGRAM = Path(__file__).with_name("worker.py")
_GRACE = 1.0
"""Seconds that a process gets to end by itself."""
PATIENCE = 20
"""Times that a pool which waits for results finds a process stopped before it does its work elsewhere."""
_ANSWERED = {signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])}
"""Signals that a terminal or a supervisor sends to all processes of a computation, and that the caller answers."""
Reply = bytes | Lost | ExecutorError
"""What comes of a letter: an answer, the news that its process was lost, or an error of the whole computation."""


class ProcessPool(AbstractPool):
    """Fresh interpreters that share nothing with the caller: no lock, no thread, and not its main module.

    Each is looked after by a thread of the caller, which hands it the parcel that has waited longest whenever it is
    free. If a process dies, only the parcel it held is lost, and the next parcel starts another one. All end with the
    pool, and with the caller, however that ends.
    """

    def __init__(self, workers: int | None = None) -> None:
        self._workers = workers or os.cpu_count() or 1
        self._flying: dict[int, Parcel] = {}
        self._post = Post()
        self._crew = _Crew()
        # Also if nobody closes it: when it is forgotten, or Python ends.
        self._end = weakref.finalize(self, self._crew.close)

    def slots(self, device: str) -> int:
        """The number of processes for ``"cpu"``, 0 for any other device."""
        return self._workers if device == "cpu" else 0

    def submit(self, parcel: Parcel) -> None:
        """Hand a parcel to the next free process, packed here, so that what cannot travel is an error of the call."""
        self._crew.check_open()
        try:
            letter = self._post.write(parcel)
        except Exception as error:
            raise ExecutorError(
                f"{parcel.label} cannot be sent to another process ({one_line(str(error))});"
                " take out of its functions what cannot be pickled, or write executor='local'"
            ) from error
        self._flying[id(parcel)] = parcel
        self._crew.letters.put((parcel, letter))
        if self._crew.threads < min(self._workers, len(self._flying)):
            self._crew.grow()

    def collect(self, timeout: float) -> list[tuple[Parcel, list[Any] | Lost]]:
        """The parcels that have finished, in the order in which they did."""
        if not self._flying:
            return []
        finished: list[tuple[Parcel, list[Any] | Lost]] = []
        with suppress(Empty):
            finished += self._opened(*self._crew.replies.get(timeout=timeout))
            while True:
                finished += self._opened(*self._crew.replies.get_nowait())
        if not finished:
            self._crew.look_for_stopped_ones()
        return finished

    def forget(self) -> None:
        """Take back the parcels that have not begun, and drop the others."""
        self._flying.clear()
        self._post.forget()
        self._crew.take_back()

    def close(self) -> None:
        """End the processes, without waiting for work that nobody wants any more; none is left afterwards."""
        self._flying.clear()
        self._crew.close()
        self._end.detach()

    def _opened(self, parcel: Parcel, reply: Reply) -> list[tuple[Parcel, list[Any] | Lost]]:
        """The parcel and its results, unless it was forgotten or is sent once more."""
        if self._flying.pop(id(parcel), None) is None:
            return []
        if isinstance(reply, ExecutorError):
            raise reply
        results = self._post.read(reply, len(parcel.items))
        if results is None:
            self.submit(parcel)
            return []
        return [(parcel, results)]


class _Crew:
    """The processes of a pool and the threads that look after them, which know nothing of the pool itself.

    All that the caller's thread does here survives Ctrl-C at any instruction: simple queues and the start of a thread
    are single calls of C.
    """

    def __init__(self) -> None:
        self.letters: SimpleQueue[tuple[Parcel, bytes] | None] = SimpleQueue()
        self.replies: SimpleQueue[tuple[Parcel, Reply]] = SimpleQueue()
        self.threads = 0
        self._ended: SimpleQueue[None] = SimpleQueue()
        self._owner = os.getpid()
        self._lock = threading.RLock()
        self._processes: set[_Process] = set()
        self._idle: list[_Process] = []
        self._closed = False

    def check_open(self) -> None:
        """ExecutorError if nobody would take a letter."""
        if self._closed:
            raise ExecutorError("this executor is closed; open another one")
        if os.getpid() != self._owner:
            raise ExecutorError("this executor belongs to the process that this one was forked from; open another one")

    def grow(self) -> None:
        """Start one more thread, which ends with the interpreter if nobody ends it."""
        self.threads += 1
        _thread.start_new_thread(self._serve, ())

    def take_back(self) -> None:
        """Take the letters that no thread has taken."""
        with suppress(Empty):
            while True:
                self.letters.get_nowait()

    def look_for_stopped_ones(self) -> None:
        """Give up processes that somebody has stopped and not continued; a stopped caller does not look."""
        with self._lock:
            processes = list(self._processes)
        for process in processes:
            process.stopped = process.stopped + 1 if process.is_stopped() else 0
            if process.stopped > PATIENCE:
                process.kill()

    def close(self) -> None:
        """End the processes and the threads; may be called again, also where a first call was interrupted."""
        if os.getpid() != self._owner:
            return  # in a fork, which has neither
        self.take_back()
        with self._lock:
            self._closed = True
            processes = list(self._processes)
        for process in processes:
            process.terminate()
        for _ in range(self.threads):
            self.letters.put(None)
        deadline = time.monotonic() + _GRACE
        for process in processes:
            process.end(deadline)
        with suppress(Empty):  # one may be interrupted by this very call, and cannot end before it
            while self.threads:
                self._ended.get(timeout=_GRACE)
                self.threads -= 1
        self._processes.clear()
        self._idle.clear()

    def _serve(self) -> None:
        """Deliver letters until there are no more; runs in a thread of its own."""
        # What is blocked in a thread is blocked in the processes that it starts, from their first instruction: Ctrl-C
        # reaches every process of a terminal, but only the caller shall answer it, with the estimate so far.
        signal.pthread_sigmask(signal.SIG_BLOCK, _ANSWERED)
        while (job := self.letters.get()) is not None:
            parcel, letter = job
            self.replies.put((parcel, self._deliver(letter)))
            del job, parcel  # or they would live as long as this thread waits
        self._ended.put(None)

    def _deliver(self, letter: bytes) -> Reply:
        """The reply of a process that is free, or what else is to be said to the caller."""
        try:
            process = self._free_process()
        except ExecutorError as error:
            return error
        try:
            reply = process.answer(letter)
        except (EOFError, OSError):
            status = process.end(time.monotonic() + _GRACE)
            with self._lock:
                self._processes.discard(process)
            if status >= 0 and not process.ready:
                message = f"a worker process ended with status {status} before any work; what it wrote says why"
                return ExecutorError(message)
            if process.stopped > PATIENCE:
                return Lost("a worker process was stopped", blame=False)
            return Lost(_epitaph(status))
        self._idle.append(process)
        return reply

    def _free_process(self) -> _Process:
        with self._lock:
            if self._idle:
                return self._idle.pop()
            self.check_open()
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
        self.stopped = 0
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

    def is_stopped(self) -> bool:
        """Whether somebody has stopped the process, and nobody has continued it."""
        with suppress(OSError):
            flags = os.WSTOPPED | os.WNOHANG | os.WNOWAIT
            return os.waitid(os.P_PID, self._process.pid, flags) is not None
        return False

    def terminate(self) -> None:
        """Ask the process to end."""
        self._process.terminate()

    def kill(self) -> None:
        """Make the process end."""
        self._process.kill()

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
