"""A worker process: answers letters one by one, and ends with the process that started it.

This file is run as a program of its own, with the number of an open socket and its parent's process id. So nothing of
the caller is imported but what a letter names, least of all its main module.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import pickle
import select
import signal
import sys
import threading
import time
import traceback
from multiprocessing.connection import Connection

_PR_SET_PDEATHSIG = 1
_LOOK_AGAIN = 1.0
"""Seconds after which a worker makes sure that its parent lives, whoever else may hold the socket's other end."""
_MOMENT = 0.1
_GRACE = 1.0
"""Seconds in which a worker without a caller ends by itself, and then is made to, before it is cut off."""


def main() -> int:
    """Take the caller's search path, say so with an empty letter, then answer until the caller is gone."""
    caller = Connection(int(sys.argv[1]))
    _die_with_the_caller()
    watch = threading.Thread(target=_end_with_the_caller, args=(caller.fileno(), int(sys.argv[2])), daemon=True)
    watch.start()
    try:
        sys.path[:] = pickle.loads(caller.recv_bytes())
        # Only now is it certain to be found, and to be the caller's.
        from nnqft_workers.letters import answer

        caller.send_bytes(b"")
        while True:
            caller.send_bytes(answer(caller.recv_bytes()))
    except (EOFError, ConnectionError):
        return 1
    except SystemExit as end:  # the caller's wish, or that of a function it sent
        return end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
        return 1


def _die_with_the_caller() -> None:
    """Have Linux kill this process as soon as its parent dies, even one that is stopped or holds Python's lock.

    It acts when the very thread ends that has started this process, which in a pool lives longer. Who came too late for
    it, or is on another system, is left to `_end_with_the_caller`.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _end_with_the_caller(socket: int, parent: int) -> None:
    """End this process, whatever it computes, once the caller has closed the socket or died."""
    hangup = select.poll()
    hangup.register(socket, 0)  # no event but the end, which is always reported
    while os.getppid() == parent and not hangup.poll(1000 * _LOOK_AGAIN):
        pass
    time.sleep(_MOMENT)  # if it waits for a letter, it ends by itself
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE)
    os._exit(1)


def _end(number: int, frame: object) -> None:
    """Leave what runs as an exception would, so that temporary files are removed."""
    sys.exit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    # Interrupts and hangups, blocked by who has started this process, are the caller's; it asks for the end by SIGTERM.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    result = main()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # What libraries do at the end, but not the tenth of a second in which all modules are taken apart.
    atexit._run_exitfuncs()
    os._exit(result)
