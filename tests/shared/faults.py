"""Faults, made where a test wants them, and what waits for their consequences without a clock."""

from __future__ import annotations

import contextlib
import decimal
import gc
import logging
import multiprocessing
import os
import random
import resource
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import mpmath
import numpy as np
import pytest
import threadpoolctl
from numpy.testing import assert_array_equal

import nnqft

REQUEST = {"order": 2, "tau": [0.0, 0.5, 2.0], "integrator": "vegas", "seed": 11}
CHUNK_COST = 5e7
"""Operations of a chunk where a test is to have hundreds of them in a second."""
LONG = REQUEST | {"neval": 1_200_000}


def compute(**more) -> nnqft.Result:
    return nnqft.compute(
        nnqft.theory("cubic_tanh", N=5, sigma_w=0.5, expansion="bare"), "two_point", width_order=0, **more
    )


@contextlib.contextmanager
def small_chunks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nnqft_workers.rounds.CHUNK_COST", CHUNK_COST)
        yield


def assert_nothing_lost(one: nnqft.Result, two: nnqft.Result) -> None:
    """The same numbers bit by bit, whatever their notes tell of the way there."""
    assert_array_equal(one.mean, two.mean)
    assert_array_equal(one.cov, two.cov)
    assert one.reason == two.reason
    assert [row.samples for row in one.diagrams] == [row.samples for row in two.diagrams]


def state_of_the_process() -> dict[str, object]:
    """What a caller could find changed."""
    return {
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "mask": signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        "wakeup": _wakeup(),
        "timer": signal.getitimer(signal.ITIMER_REAL),
        "environment": {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"},
        "folder": os.getcwd(),
        "umask": _umask(),
        "path": list(sys.path),
        "main module": sys.modules["__main__"],
        "hooks": (sys.excepthook, sys.unraisablehook, threading.excepthook, sys.displayhook),
        "streams": (sys.stdin, sys.stdout, sys.stderr),
        "warnings": list(warnings.filters),
        "numpy errors": (np.geterr(), np.geterrcall()),
        "numpy printing": np.get_printoptions(),
        "numpy random": repr(np.random.get_state()),  # noqa: NPY002
        "random": random.getstate(),
        "decimals": str(decimal.getcontext()),
        "digits": mpmath.mp.prec,
        "logging": (logging.root.level, list(logging.root.handlers)),
        "threads of libraries": {each["filepath"]: each["num_threads"] for each in threadpoolctl.threadpool_info()},
        "collector": (gc.isenabled(), gc.get_threshold()),
        "recursion": sys.getrecursionlimit(),
        "switching": sys.getswitchinterval(),
        "processes": multiprocessing.get_start_method(allow_none=True),
        "limits": resource.getrlimit(resource.RLIMIT_NOFILE),
    }


def _wakeup() -> int:
    number = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(number)
    return number


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def changes(before: dict[str, object]) -> list[str]:
    """What is not as it was."""
    now = state_of_the_process()
    return [f"{name}: {before[name]} → {now[name]}" for name in before if now[name] != before[name]]


class Watched(nnqft.AbstractExecutor):
    """Does something as soon as there are samples."""

    name = "watched"

    def __init__(self, inner: nnqft.AbstractExecutor, then: Callable[[], object]) -> None:
        self.inner, self.then = inner, then

    def evaluate(
        self, work: Sequence[nnqft.Work], target: nnqft.Target, progress: Callable[[Mapping[str, object]], None]
    ) -> nnqft.Outcome:
        def report(state: Mapping[str, object]) -> None:
            if "stage" not in state and self.then:
                self.then()
                self.then = None

        return self.inner.evaluate(work, target, report)


def children(parents: set[int], mark: bytes = b"") -> list[int]:
    """Processes of these parents whose command line holds the mark: nobody else's are touched."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent in parents and mark in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return sorted(found)


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until it holds; a test that waits for ever has failed, however slow the machine."""
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
