"""Cases that run in fresh processes, so that each has its own imports, its own core and its own peak of memory."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple


class Timed(NamedTuple):
    """What a call returned, and the seconds it took by the clock and of the processor."""

    value: Any
    wall: float
    processor: float


def timed(call: Callable[[], Any]) -> Timed:
    """A call in this process."""
    wall, processor = time.perf_counter(), time.process_time()
    value = call()
    return Timed(value, time.perf_counter() - wall, time.process_time() - processor)


def fresh(command: Sequence[str]) -> Timed:
    """A program in a process of its own, imports and all; the value is what it printed."""
    before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    wall, after = time.perf_counter() - wall, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Timed(done.stdout, wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def run_case(*words: object) -> dict[str, Any]:
    """What this script prints for ``--case WORDS``, in a process of its own."""
    return json.loads(fresh([sys.executable, sys.argv[0], "--case", *map(str, words)]).value)


def print_case(measure: Callable[[], dict[str, Any]]) -> int:
    """The other end of `run_case`: one case, on one core, and its peak memory in kB."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    print(json.dumps(measure() | {"peak": peak()}))
    return 0


def peak() -> int:
    """The most memory that this process had so far, in kB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
