"""A computation leaves the process that it is called from as it was, however it ends."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Callable, Iterator

import broken_kernels
import numpy as np
import pytest
from faults import LONG, Watched, changes, compute, state_of_the_process

import nnqft
from nnqft import interrupts
from nnqft.host import open_executor

ENDLESS = LONG | {"neval": 10**10}


@pytest.fixture(params=["local", "processes"])
def executor(request) -> Iterator[nnqft.AbstractExecutor]:
    one = open_executor(request.param, 2 if request.param == "processes" else None)
    yield one
    one.close()


def succeed(executor: nnqft.AbstractExecutor) -> None:
    assert compute(executor=executor, **LONG | {"neval": 50_000}).reason


def fail(executor: nnqft.AbstractExecutor) -> None:
    theory = broken_kernels.theory(broken_kernels.raises, low=0.3, high=0.6)
    with pytest.raises(nnqft.IntegrationError):
        nnqft.compute(theory, "two_point", executor=executor, order=1, tau=[2.0], integrator="vegas", neval=20_000)


def be_refused(executor: nnqft.AbstractExecutor) -> None:
    with pytest.raises(nnqft.InputError):
        compute(executor=executor, **LONG | {"neval": -1})


def be_interrupted(executor: nnqft.AbstractExecutor) -> None:
    watched = Watched(executor, lambda: signal.raise_signal(signal.SIGINT))
    assert compute(executor=watched, **ENDLESS).reason == "interrupted"


def run_out_of_time(executor: nnqft.AbstractExecutor) -> None:
    assert "time" in compute(executor=executor, **ENDLESS | {"time_limit": 0.5}).reason


def sum_exactly(executor: nnqft.AbstractExecutor) -> None:
    assert compute(executor=executor, order=2, tau=[0.0, 0.5], integrator="exact").converged


@pytest.mark.parametrize("end", [succeed, fail, be_refused, be_interrupted, run_out_of_time, sum_exactly])
def test_nothing_of_the_caller_is_changed(executor, end: Callable[[nnqft.AbstractExecutor], None]):
    succeed(executor)  # what is imported for the first time may change things, too
    random.seed(1)
    with np.errstate(under="raise", over="ignore"):
        before = state_of_the_process()
        end(executor)
        assert not changes(before)


def test_threads_that_fail_and_threads_that_succeed_leave_nothing(executor):
    succeed(executor)
    before, errors = state_of_the_process(), []

    def run(end: Callable[[nnqft.AbstractExecutor], None]) -> None:
        own = open_executor("local")
        try:
            end(own)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(end,)) for end in (succeed, fail, be_refused, sum_exactly) * 2]
    for thread in threads:
        thread.start()
    succeed(executor)
    for thread in threads:
        thread.join()
    assert not errors
    assert not changes(before)


@pytest.mark.parametrize("end", [succeed, fail, be_interrupted])
def test_a_handler_of_the_caller_is_his(executor, end):
    """Also where it is no function of Python's, and where he ignores the signal."""
    before = signal.getsignal(signal.SIGINT)
    seen: list[int] = []

    def answer(number: int, frame: object) -> None:
        seen.append(number)
        raise KeyboardInterrupt

    try:
        for handler in (answer, signal.SIG_IGN) if end is not be_interrupted else (answer,):
            signal.signal(signal.SIGINT, handler)
            end(executor)
            assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)
        interrupts.forget()
    assert seen == [signal.SIGINT] * (end is be_interrupted)
