"""What goes on while a computation runs: its progress is told, and its time limit kept."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

_PAUSE = 0.1
"""Seconds between two reports."""


class OutOfTime(BaseException):
    """The time limit has passed. No Exception, so that nobody takes it for a fault of a plugin's code."""


@dataclass
class _Watch:
    deadline: float = math.inf
    report: Callable[[Mapping[str, Any]], None] | None = None
    told: float = 0.0


_watch: ContextVar[_Watch] = ContextVar("_watch")


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Within, `tick` raises OutOfTime once so many seconds are over; a limit around it holds, too.

    None adds no limit.
    """
    now = _watch.get(_Watch())
    deadline = math.inf if seconds is None else time.monotonic() + seconds
    token = _watch.set(replace(now, deadline=min(deadline, now.deadline)))
    try:
        yield
    finally:
        _watch.reset(token)


@contextmanager
def no_time_limit() -> Iterator[None]:
    """Within, no limit holds: for the little that is to be done in any case."""
    token = _watch.set(replace(_watch.get(_Watch()), deadline=math.inf))
    try:
        yield
    finally:
        _watch.reset(token)


@contextmanager
def reporting(report: Callable[[Mapping[str, Any]], None]) -> Iterator[None]:
    """Within, `tick` tells this function what is being done."""
    token = _watch.set(replace(_watch.get(_Watch()), report=report))
    try:
        yield
    finally:
        _watch.reset(token)


def seconds_left() -> float | None:
    """How much of the time limit is left, 0 at least; None without a limit."""
    deadline = _watch.get(_Watch()).deadline
    return None if deadline == math.inf else max(0.0, deadline - time.monotonic())


def limit_line(seconds: float | None) -> str:
    """What is said where a time limit ended something; None if it is the caller's."""
    return "time limit reached" if seconds is None else f"time limit of {seconds:g} s reached"


def tick(stage: str = "", done: int = 0, expected: int | None = None, things: str = "") -> None:
    """To be called many times a second by whatever takes long: looks at the clock, and tells how far it has come.

    Raises
    ------
    OutOfTime
        If the time limit has passed.
    """
    watch = _watch.get(None)
    if watch is None:
        return
    now = time.monotonic()
    if now > watch.deadline:
        raise OutOfTime
    if stage and watch.report is not None and now > watch.told + _PAUSE:
        watch.told = now
        watch.report({"samples": done, "expected": expected, "error": math.inf, "stage": stage, "things": things})
