"""What the program answers to Ctrl-C, SIGTERM and SIGHUP: the estimate so far, its files, and a status.

The first one ends what is computed. What is printed and written then, or at the end in any case, is not disturbed by
the next one; whoever sends yet another ends the program at once. Signals that are ignored when the program starts, as
nohup has it, stay ignored.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from contextlib import suppress
from types import FrameType

TYPE_CHECKING = False  # for type checkers it is True
if TYPE_CHECKING:
    from typing import NoReturn

_ENDS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_NOTHING = "interrupted before anything was computed"
_AGAIN = 0.02
"""Seconds after which an interrupt is tried again that came where Python cannot be interrupted well."""


class Interrupted(KeyboardInterrupt):
    """A signal that asks the program to end."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.status = 128 + number


class Answers:
    """The handlers of one run of the program.

    Attributes
    ----------
    status : int or None
        What the program ends with, once that is known: from then on a signal ends it there and then.
    """

    def __init__(self) -> None:
        self.status: int | None = None
        self._started = self._asked = self._noted = False

    def install(self) -> None:
        """Answer signals from now on; until `start` they end the program, of which little is there yet."""
        for number in _ENDS:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                signal.signal(number, self._answer)
                # Python takes its handlers back before it has ended: the status would then be that of the signal.
                atexit.register(signal.signal, number, signal.SIG_IGN)

    def start(self) -> None:
        """From now on signals end what is computed."""
        # Here, since a signal may come at any line of a module that is being imported, of that one, too.
        import nnqft.interrupts  # noqa: F401

        sys.unraisablehook = self._raised_in_vain
        self._started = True

    def _answer(self, number: int, frame: FrameType | None) -> None:
        if self.status is not None:
            os._exit(self.status)
        if not self._started:
            _end_at_once(number)
        from nnqft import interrupts

        if not (self._asked or interrupts.are_kept_back()):
            if not _imports(frame):
                self._asked = True
                raise Interrupted(number, _NOTHING)
            if interrupts.nothing_to_lose():
                _end_at_once(number)
            self._try_again(number)
            return
        if self._noted:
            raise Interrupted(number, "ended at once, as it was asked for again")
        self._noted = True
        interrupts.note()

    def _try_again(self, number: int) -> None:
        import threading

        main = threading.main_thread().ident
        assert main is not None  # it has begun
        timer = threading.Timer(_AGAIN, signal.pthread_kill, (main, number))
        timer.daemon = True
        timer.start()

    def _raised_in_vain(self, what: sys.UnraisableHookArgs) -> None:
        """A destructor cannot be left by an exception: Python would print the interrupt, and go on."""
        if isinstance(what.exc_value, Interrupted):
            self._asked = False
            self._try_again(what.exc_value.status - 128)
        else:
            sys.__unraisablehook__(what)


def _end_at_once(number: int) -> NoReturn:
    with suppress(OSError):
        os.write(2, f"nnqft: {_NOTHING}\n".encode())
    os._exit(128 + number)


def _imports(frame: FrameType | None) -> bool:
    """Whether a module is being imported: what is interrupted there may stay broken, or hide it from the caller."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
