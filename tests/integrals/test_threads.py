"""Libraries are left as they were, in threads and digits, whatever runs beside a computation and however it ends."""

from __future__ import annotations

import contextlib
import linecache
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import mpmath
import pytest
from theories import bare_theory
from threadpoolctl import threadpool_info, threadpool_limits

import nnqft
import nnqft.threads
from nnqft.threads import digits, one_thread

THEORY = nnqft.theory("linear", N=3, sigma_w=0.6)
REQUEST = {"order": 1, "tau": [0.0, 0.7], "integrator": "vegas", "neval": 20_000}


FILES = (contextlib.__file__, nnqft.threads.__file__)


def counts() -> list[int]:
    return [library["num_threads"] for library in threadpool_info()]


@pytest.fixture(autouse=True)
def two_threads():
    with threadpool_limits(2):
        if counts() != [2] * len(counts()):
            pytest.skip("these libraries have no threads")
        yield
        assert counts() == [2] * len(counts())


def test_scopes_that_overlap_in_any_order():
    first, second = one_thread(), one_thread()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert set(counts()) == {1}
    second.__exit__(None, None, None)


def in_a_thread(function: Callable[[], object]) -> None:
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


def test_scopes_of_several_threads():
    """Also while a thread lives that has set the libraries before, whom alone threadpoolctl would heed."""
    first, second = one_thread(), one_thread()
    in_a_thread(second.__enter__)
    assert set(counts()) == {1}
    first.__enter__()
    first.__exit__(None, None, None)
    assert set(counts()) == {1}
    in_a_thread(lambda: second.__exit__(None, None, None))
    assert set(counts()) == {2}


def test_computations_in_many_threads_and_one_that_fails():
    def kernel(t, s, params, xp):
        raise ValueError("no value")

    linear = bare_theory("linear")
    broken = replace(
        linear,
        propagators=tuple(replace(p, terms=(), kernel=kernel) if p.name == "C" else p for p in linear.propagators),
    )

    def compute(n: int) -> object:
        try:
            return nnqft.compute(broken if n % 4 == 3 else THEORY, "two_point", seed=n % 4, **REQUEST).mean.tolist()
        except nnqft.NnqftError as error:
            return str(error)

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(compute, range(16)))
    assert found == [compute(n) for n in range(16)]


@pytest.mark.parametrize("where", ["enter", "leave"])
def test_an_interrupt_at_every_line(where):
    """Ctrl-C comes as Python lets it: as a function begins or a generator goes on, and before a line with a call."""

    def struck_at(strike: int) -> bool:
        seen = 0

        def trace(frame, event, argument):
            nonlocal seen
            line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
            inner = event == "line" and "self" in frame.f_locals and "with " not in line  # a lock is given back whole
            if frame.f_code.co_filename in FILES and (event == "call" or inner):
                seen += 1
                if seen == strike:
                    raise KeyboardInterrupt
            return trace

        try:
            sys.settrace(trace)
            with one_thread():
                sys.settrace(None if where == "leave" else trace)
                sys.settrace(None if where == "enter" else trace)
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(None)
        return seen >= strike

    strike = 1
    while struck_at(strike):
        assert counts() == [2] * len(counts()), strike
        strike += 1
    assert strike > 10


def test_a_fork_has_the_scopes_of_its_own_thread_alone():
    entered, over = threading.Event(), threading.Event()

    def hold() -> None:
        with one_thread():
            entered.set()
            over.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait()
    child = os.fork()
    if not child:
        os._exit(set(counts()) != {2})
    over.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0


def test_digits_that_two_threads_want_at_once():
    before, inside, release = mpmath.mp.dps, threading.Event(), threading.Event()

    def hold() -> None:
        with digits(40):
            inside.set()
            release.wait()
            assert mpmath.mp.dps == 40

    def precision() -> int:
        with digits(60):
            return mpmath.mp.dps

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(hold)
        inside.wait()
        second = threads.submit(precision)
        release.set()
        first.result()
        assert second.result() == 60
    assert mpmath.mp.dps == before
