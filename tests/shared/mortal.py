"""What a worker process may do that is not work; it imports nothing that takes long."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any


class AwkwardError(Exception):
    """An exception that does not survive pickling."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one + two)


def nap(seconds: float) -> int:
    """The number of the process that has slept."""
    time.sleep(seconds)
    return os.getpid()


def die(item: Any) -> None:
    """End the process that runs this, as the kernel does when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


def apply(call: tuple[Callable[..., Any], list[Any]]) -> Any:
    """Any function at all."""
    function, arguments = call
    return function(*arguments)


def travels_badly(n: int) -> Any:
    """An error that cannot be read where it arrives, a result that cannot be sent, and others that can."""
    if n == 1:
        raise AwkwardError("no ", "value")
    return threading.Lock() if n == 2 else n
