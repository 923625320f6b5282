"""The process that Ray runs in, as its caller sees it."""

from __future__ import annotations

import os
import pickle
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.spawn import get_executable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, Any

from nnqft.errors import one_line
from nnqft_workers.letters import all_in
from nnqft_workers.ray_keeper import PREFIX, clear

_PROGRAM = Path(__file__).with_name("ray_keeper.py")
_END_SECONDS = 20.0
"""How long a keeper may take to clear up before its work is done for it."""
_RECONNECT_SECONDS = "20"
"""How long a driver waits for the head node of a cluster to come back; 60 seconds if it is left to Ray."""


class RayProcess:
    """The process that Ray runs in, a thread that lives as long as that and hears it, and one that writes to it.

    Python interrupts the main thread only, so none of what these threads do is left half done by Ctrl-C.
    """

    def __init__(self, workers: int | None, address: str | None, environment: str) -> None:
        self.resources: dict[str, float] = {}
        self._incoming: SimpleQueue[tuple[Any, ...]] = SimpleQueue()
        self._outgoing: SimpleQueue[tuple[Any, ...] | None] = SimpleQueue()
        self._socket, theirs = socket.socketpair()
        self._line = Connection(os.dup(self._socket.fileno()))
        folder = None if address else PREFIX + secrets.token_hex(4)
        hello = {"path": sys.path, "argv": sys.argv, "workers": workers, "address": address, "environment": environment}
        self._hello = pickle.dumps(hello)
        self._threads = [
            threading.Thread(target=self._live, args=(theirs, folder), name="nnqft-ray", daemon=True),
            threading.Thread(target=self._write, name="nnqft-ray-letters", daemon=True),
        ]
        try:
            for thread in self._threads:
                thread.start()
        except BaseException:
            self.close()
            raise

    def wait(self, seconds: float) -> str:
        """Wait until the driver is connected; why it is not is returned, or nothing."""
        try:
            kind, *content = self._incoming.get(timeout=seconds)
        except Empty:
            return f"no answer within {seconds:.0f} s"
        return "" if kind == "ready" else str(content[0])

    def send(self, *message: Any) -> None:
        """Send a message, without waiting."""
        self._outgoing.put(message)

    def events(self, timeout: float) -> list[tuple[Any, ...]]:
        """What the driver has said, after at most `timeout` seconds if nothing."""
        found = []
        with suppress(Empty):
            found.append(self._incoming.get(timeout=timeout) if timeout > 0 else self._incoming.get_nowait())
            while True:
                found.append(self._incoming.get_nowait())
        return found

    def close(self) -> None:
        """Hang up, upon which the driver and all it has started end, and wait for that."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._outgoing.put(None)
        deadline = time.monotonic() + 2 * _END_SECONDS
        for thread in filter(threading.Thread.is_alive, self._threads):
            thread.join(max(0.0, deadline - time.monotonic()))
        # Sockets are closed only when nobody listens any more: their numbers are soon those of other files.
        if not any(map(threading.Thread.is_alive, self._threads)):
            self._socket.close()
            self._line.close()

    def _live(self, theirs: socket.socket, folder: str | None) -> None:
        """See to the driver from beginning to end, and say why it has ended."""
        try:
            # What Ray writes is read only to say why it has failed.
            with tempfile.TemporaryFile() as log:
                with theirs:
                    keeper = _start_keeper(theirs, folder, log)
                self._listen()
                self._incoming.put(("ended", _epitaph(_bury(keeper, folder), log)))
        except Exception as error:
            self._incoming.put(("ended", f"cannot start a process ({one_line(str(error))})"))

    def _listen(self) -> None:
        with suppress(EOFError, OSError):
            while True:
                for message in pickle.loads(self._line.recv_bytes()):
                    if message[0] in ("ready", "resources"):
                        self.resources = message[1]
                    if message[0] != "resources":
                        self._incoming.put(message)

    def _write(self) -> None:
        # To write to a driver that has died must not end a caller that does not ignore that signal.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGPIPE})
        with suppress(OSError):
            self._line.send_bytes(self._hello)
            while None not in (messages := all_in(self._outgoing)):
                self._line.send_bytes(pickle.dumps(messages))


def _start_keeper(theirs: socket.socket, folder: str | None, log: IO[bytes]) -> subprocess.Popen[bytes]:
    # The interpreter's own options; -P and -u: neither the caller's folder nor a buffer that nobody flushes.
    options = [*subprocess._args_from_interpreter_flags(), "-P", "-u"]  # type: ignore[attr-defined]
    command = [get_executable(), *options, _PROGRAM, str(theirs.fileno()), str(os.getpid()), folder or ""]
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        pass_fds=[theirs.fileno()],
        start_new_session=True,
        env=_environment(embedded=folder is not None),
    )


def _bury(keeper: subprocess.Popen[bytes], folder: str | None) -> int:
    """Wait until nothing is left of a keeper and what it keeps; its status is returned."""
    try:
        status = keeper.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        keeper.kill()
        status = keeper.wait()
    if status < 0:
        clear(keeper.pid, folder)
    return status


def _environment(embedded: bool) -> dict[str, str]:
    """What Ray reads when it is imported; a user's own settings stay where they are no matter of safety."""
    found = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_gcs_rpc_server_reconnect_timeout_s": _RECONNECT_SECONDS,
    }
    found |= os.environ
    if embedded:
        # As in other executors; Ray's own 15 starves its workers on a busy machine.
        found.setdefault("RAY_worker_niceness", "0")
        for name in ("RAY_ADDRESS", "RAY_AUTH_TOKEN_PATH"):
            found.pop(name, None)
        found |= {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            # Where it is off, as it is by default on macOS, Ray binds all its ports to 127.0.0.1.
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        }
    return found


def _epitaph(status: int, log: IO[bytes]) -> str:
    """Why a driver has ended, by its keeper's status and the last line that it wrote."""
    with suppress(ValueError):
        return f"its driver was ended by {signal.Signals(-status if status < 0 else status - 128).name}"
    log.seek(max(0, log.seek(0, os.SEEK_END) - 4096))
    lines = log.read().decode(errors="replace").strip().splitlines()
    if not lines:
        return f"its driver ended with status {status}"
    # Without what Ray's C++ puts in front: "[time, kind, processes] file:line: ".
    return re.sub(r"^\[[^]]*\] \S+: ", "", one_line(lines[-1]))[:300]
