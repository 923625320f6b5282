"""The keeper of a Ray driver: a small process between the caller and Ray that leaves nothing of Ray behind.

    caller ── socket ── keeper ── driver ── gcs_server, raylet ── agents, workers

Ray may end the process that it runs in, and what it has started outlives that for a while, so it gets a driver of its
own. Its keeper watches the caller and the driver. When either ends, however it was killed, the keeper kills all that
the driver has started and removes the folder of the cluster. If the keeper itself is killed, the driver does the same,
and the caller for both.

This file is run as a program of its own and needs nothing but the standard library.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import pickle
import select
import shutil
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple, NoReturn

PREFIX = "/tmp/nnqft-ray-"
"""Where embedded clusters have their folders: Ray's sockets need a short path."""
_LOCK = "lock"
_STALE_SECONDS = 60.0
"""Age from which a folder that nobody has locked is one that a lost machine or container has left."""
_LOOK_AGAIN = 1.0
"""Seconds after which the keeper makes sure that the caller lives, whoever else may hold the socket's other end."""
_MOMENT = 0.1
"""Seconds between two looks of a driver for its keeper."""
_GRACE = 2.0
"""Seconds in which a driver takes its leave of a cluster that is not ours."""
_PATIENCE = 10.0
"""Seconds after which a process that SIGKILL does not end is left to the system."""
_STOPPED_SECONDS = 5.0
"""Seconds between looks for processes that are stopped; one that is so twice in a row is killed."""
_PARTS = ("gcs_server", "raylet")
"""Without these a cluster is no cluster."""
_SET_DEATH_SIGNAL, _SET_SUBREAPER = 1, 36
_NO_END = {
    getattr(signal, f"SIG{name}") for name in ("CHLD", "CONT", "WINCH", "URG", "PIPE", "TSTP", "TTIN", "TTOU")
}  # fmt: skip
_NOT_OURS = {getattr(signal, f"SIG{name}") for name in ("KILL", "STOP", "SEGV", "BUS", "FPE", "ILL")}


class Process(NamedTuple):
    """A line of the table of processes."""

    name: str
    state: str
    parent: int
    session: int


def look_up(pid: int) -> Process | None:
    """What the system says of a process that lives, zombies not counted; None also where there is no /proc."""
    with suppress(OSError):
        head, _, tail = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")
        state, parent, _, session = tail.split()[:4]
        if state not in "ZX":
            return Process(head.partition("(")[2], state, int(parent), int(session))
    return None


def processes() -> dict[int, Process]:
    """All processes that live, by their numbers."""
    found = ((pid, look_up(pid)) for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))))
    return {pid: process for pid, process in found if process is not None}


def family(keeper: int) -> dict[int, Process]:
    """Processes that descend from a keeper, and those of its session that have lost their parents."""
    known = processes()
    found = {keeper}
    while more := {pid for pid, p in known.items() if p.parent in found or p.session == keeper} - found:
        found |= more
    return {pid: known[pid] for pid in found - {keeper}}


def clear(keeper: int, folder: str | None) -> None:
    """Kill the family of a keeper but the one who asks for it, and remove the folder of its cluster."""
    deadline = time.monotonic() + _PATIENCE
    while (left := family(keeper).keys() - {os.getpid()}) and time.monotonic() < deadline:
        for pid in left:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    """Start the driver, wait for its end or the caller's, and clear up; the driver's status is returned."""
    socket, caller, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] or None
    wake = _listen_to_signals()
    _prctl(_SET_SUBREAPER, 1)
    if folder is not None:
        _sweep()
        _make(folder)
    keeper = os.getpid()
    driver = os.fork()
    if not driver:
        _drive(socket, keeper, folder)
    status = _watch(socket, wake, caller, driver, embedded=folder is not None)
    with suppress(OSError):
        os.killpg(driver, signal.SIGKILL)
    clear(keeper, folder)
    while True:
        try:
            pid, ended = os.waitpid(-1, 0)
        except ChildProcessError:
            return 0 if status is None else status
        if pid == driver:
            status = status or _exit_code(ended)


def _watch(socket: int, wake: int, caller: int, driver: int, embedded: bool) -> int | None:
    """The status of a driver that has ended or lost its cluster, or None if the caller or a signal wants the end."""
    poll = select.poll()
    poll.register(socket, 0)  # no event but the end, which is always reported
    poll.register(wake, select.POLLIN)
    parts: dict[int, str] = {}
    stopped: set[int] = set()
    look, deadline = time.monotonic(), None
    while deadline is None or time.monotonic() < deadline:
        events = dict(poll.poll(1000 * _LOOK_AGAIN if deadline is None else 20))
        if wake in events and not set(os.read(wake, 4096)) <= _NO_END:
            return None
        with suppress(ChildProcessError):
            while (reaped := os.waitpid(-1, os.WNOHANG))[0]:
                if reaped[0] == driver:
                    return _exit_code(reaped[1])
        if embedded and (lost := _lost_part(driver, parts)):
            print(f"its {lost} process has died")
            return 1
        if time.monotonic() > look:
            stopped = _end_stopped(stopped)
            look = time.monotonic() + _STOPPED_SECONDS
        if deadline is None and (socket in events or os.getppid() != caller):
            deadline = time.monotonic() + (0.0 if embedded else _GRACE)
            poll.unregister(socket)
    return None


def _end_stopped(before: set[int]) -> set[int]:
    """Kill what is still stopped, for which Ray would wait for ever; what is stopped now is returned."""
    now = {pid for pid, process in family(os.getpid()).items() if process.state == "T"}
    for pid in now & before:
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    return now


def _lost_part(driver: int, parts: dict[int, str]) -> str | None:
    """What an embedded cluster was seen with and is without, for which Ray would wait in vain."""
    for pid, name in parts.items():
        if look_up(pid) is None:
            return name
    if len(parts) < len(_PARTS):
        parts |= {pid: p.name for pid, p in processes().items() if p.parent == driver and p.name in _PARTS}
    return None


def _drive(socket: int, keeper: int, folder: str | None) -> NoReturn:
    """Be the driver, until the caller is gone."""
    status = 1
    try:
        if folder is None:
            _prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
        else:
            threading.Thread(target=_clear_for_the_keeper, args=(keeper, folder), daemon=True).start()
        signal.set_wakeup_fd(-1)
        for number in signal.valid_signals() - _NOT_OURS:
            signal.signal(number, signal.SIG_DFL)
        os.setpgid(0, 0)
        if os.getppid() != keeper:
            raise EOFError  # before it could be heard of
        line = Connection(socket)
        hello = pickle.loads(line.recv_bytes())
        sys.path[:], sys.argv[:] = hello.pop("path"), hello.pop("argv")
        # Only now is it certain to be found, and to be the caller's.
        from nnqft_workers.ray_driver import drive

        drive(line, folder, **hello)
        status = 0
    except (EOFError, ConnectionError):
        status = 0  # the caller is gone
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _clear_for_the_keeper(keeper: int, folder: str) -> NoReturn:
    """Clear up from the driver if its keeper is killed, be it together with the caller."""
    while os.getppid() == keeper:
        time.sleep(_MOMENT)
    clear(keeper, folder)
    os._exit(1)


def _listen_to_signals() -> int:
    """A pipe that holds the numbers of the signals that have arrived: none ends the keeper before it has cleared up."""
    wake, into = os.pipe()
    os.set_blocking(into, False)
    signal.set_wakeup_fd(into, warn_on_full_buffer=False)
    for number in signal.valid_signals() - _NOT_OURS:
        signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    return wake


def _make(folder: str) -> None:
    """Make the folder, for nobody else, and lock it while the keeper or its driver lives."""
    os.mkdir(folder, 0o700)
    lock = os.open(Path(folder) / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)


def _sweep() -> None:
    """Remove folders whose caller and keeper were lost together, as in a power cut."""
    place = Path(PREFIX)
    for folder in place.parent.glob(place.name + "*"):
        with suppress(OSError):
            if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
                continue
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if time.time() - os.fstat(lock).st_mtime > _STALE_SECONDS:
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


def _prctl(option: int, value: int) -> None:
    """Ask Linux for a favour that other systems do not know: all still ends, if a second later."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _exit_code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    result = main()
    sys.stdout.flush()
    os._exit(result)
