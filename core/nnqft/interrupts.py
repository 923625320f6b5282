"""Ctrl-C, kept back where a result is put together, so that it costs no result that is there."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class _State:
    """Of the main thread, the only one in which Python answers signals."""

    kept_back = 0
    """How many scopes keep interrupts back now."""
    worked = False
    """An executor was opened at some time: there may be workers, and results."""
    noted = False
    """An interrupt has come, and what runs has been ended by it or runs to its near end."""


def are_kept_back() -> bool:
    """Whether an interrupt is to be noted now, rather than raised."""
    return _State.kept_back > 0


def work_begins() -> None:
    """Take down that there are workers or results, from now on."""
    _State.worked = True


def nothing_to_lose() -> bool:
    """Whether there were neither workers nor results yet."""
    return not _State.worked


def note(number: int = signal.SIGINT, frame: FrameType | None = None) -> None:
    """Take down that there was an interrupt; a handler of signals by its arguments, which make no difference."""
    _State.noted = True


def was_noted() -> bool:
    """Whether there was an interrupt that nothing has answered yet."""
    return _State.noted


def forget() -> None:
    """Forget interrupts that were noted: something new begins."""
    if _in_main_thread():
        _State.noted = False


def raise_noted() -> None:
    """Raise KeyboardInterrupt if one was noted: what comes next is not begun."""
    if _in_main_thread() and _State.noted:
        _State.noted = False
        raise KeyboardInterrupt


@contextmanager
def kept_back() -> Iterator[None]:
    """Give a context in which Ctrl-C is noted, and nothing raised.

    Python's own handler is replaced meanwhile; one that the caller has set stays, as nobody knows what it means.

    Examples
    --------
    >>> import signal
    >>> from nnqft.interrupts import forget, kept_back
    >>> with kept_back():
    ...     signal.raise_signal(signal.SIGINT)
    >>> forget()
    """
    if not _in_main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    _State.kept_back += 1
    try:
        if before is signal.default_int_handler:
            signal.signal(signal.SIGINT, note)
        yield
    finally:
        _State.kept_back -= 1
        if before is signal.default_int_handler:
            signal.signal(signal.SIGINT, before)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
