"""Nothing that dies costs more than the chunk it held: workers and drivers; results keep every bit."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import mortal
import pytest
from faults import LONG, REQUEST, assert_nothing_lost, compute, small_chunks
from pools import Unreliable

import nnqft
from nnqft_workers import PoolExecutor
from nnqft_workers.dispatcher import MAX_LOSSES, Dispatcher, Item, map_in_order
from nnqft_workers.ledger_list import contents
from nnqft_workers.local import LocalPool
from nnqft_workers.pool import Failed, Lost, Parcel, run_parcel
from nnqft_workers.processes import ProcessPool

SHARED = str(Path(__file__).parents[1] / "shared")


@pytest.fixture(scope="module")
def undisturbed() -> nnqft.Result:
    with small_chunks():
        return compute(**LONG)


# A pool on which everything that can happen does, without processes


@pytest.mark.parametrize("seed", range(10))
def test_losses_reorderings_and_work_on_guesses_change_no_bit(seed):
    small = REQUEST | {"rtol": 1e-3}
    pool = Unreliable(seed)
    found = compute(executor=PoolExecutor("unreliable", pool), **small)
    assert_nothing_lost(found, compute(**small))
    assert any("lost and done again: bad luck" in note for note in found.notes)


def double(n: int) -> int:
    if n == 13:
        raise ValueError("thirteen")
    return 2 * n


@pytest.mark.parametrize("seed", range(5))
def test_a_map_keeps_its_order(seed):
    assert list(map_in_order(Unreliable(seed), double, range(13))) == [2 * n for n in range(13)]
    results = map_in_order(Unreliable(seed), double, range(20))
    assert [next(results) for _ in range(13)] == [2 * n for n in range(13)]
    with pytest.raises(ValueError, match="thirteen"):
        next(results)


def test_few_parcels_are_in_flight_however_many_wait():
    pool = Unreliable(1, loss=0.0)
    dispatcher = Dispatcher(pool, double)
    count = sum(len(results) for results in dispatcher.stream(Item(n, 14, 1e9) for n in range(3000)))
    assert count == 3000
    assert pool.most <= 3 * pool.ahead


def test_work_for_gpus_that_are_gone_goes_to_cores_a_few_parcels_at_a_time():
    pool = Unreliable(2, loss=0.0)
    items = [Item(n, 1, 1e9, "gpu") for n in range(200)]
    count = sum(len(results) for results in Dispatcher(pool, double).stream(items))
    assert count == 200
    assert {parcel.device for parcel in pool.ran} == {"cpu"}
    assert pool.most <= 3 * pool.ahead


def test_small_items_travel_together_and_large_ones_do_not():
    pool = LocalPool()
    sizes = []

    class Watched(LocalPool):
        def submit(self, parcel: Parcel) -> None:
            sizes.append(len(parcel.items))
            super().submit(parcel)

    pool = Watched()
    list(map(len, Dispatcher(pool, double).stream(Item(n, 1, 1e3) for n in range(1000))))
    assert max(sizes) == 64
    assert sizes[-1] == 1  # the last ones one by one, so that all workers end together
    sizes.clear()
    list(map(len, Dispatcher(pool, double).stream(Item(n, 1, 1e8) for n in range(10))))
    assert sizes == [1] * 10


class Deadly(Unreliable):
    """Every parcel that holds a 7 kills its worker."""

    def collect(self, timeout: float) -> list[tuple[Parcel, list[object] | Lost]]:
        flying, self.flying = self.flying, []
        return [
            (p, Lost("killed") if 7 in p.items else run_parcel(p.function, p.items)) for p in flying
        ]  # fmt: skip


def test_an_item_that_kills_its_workers_is_found_among_those_it_travels_with():
    dispatcher = Dispatcher(Deadly(1), double)
    finished: set[int] = set()

    def run() -> None:
        for results in dispatcher.stream(Item(n, n, 1.0) for n in range(10)):
            finished.update(item.key for item, _ in results)

    with pytest.raises(nnqft.ExecutorError, match=f"died {MAX_LOSSES} times: killed"):
        run()
    assert finished == set(range(10)) - {7}


def test_an_exception_spoils_its_own_item_only():
    results = run_parcel(double, [12, 13, 14])
    assert (results[0], results[2]) == (24, 28)
    assert isinstance(results[1], Failed)


# Processes


class Mortal(ProcessPool):
    """Some parcels kill the process that takes them, by number: nothing depends on who is faster."""

    fatal = frozenset({1, 4, 30})

    def submit(self, parcel: Parcel) -> None:
        super().submit(replace(parcel, function=mortal.die) if parcel.number in self.fatal else parcel)


def test_killed_processes_cost_only_what_they_held(undisturbed):
    pool = Mortal(2)
    try:
        with small_chunks():
            found = compute(executor=PoolExecutor("processes", pool), **LONG)
    finally:
        pool.close()
    assert_nothing_lost(found, undisturbed)
    reason = "a worker process was ended by SIGKILL; memory may have run out"
    assert f"3 parcels of work lost and done again: {reason}" in found.notes


# Drivers

DRIVER = """
import os, signal, sys, threading
import faults
from nnqft_workers.ledger import Ledger

ledger, last, delay = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
add, written = Ledger.add, []

def add_and_die(self, chunks):
    add(self, chunks)
    written.append(1)
    if len(written) == last:
        threading.Timer(delay, os.kill, (os.getpid(), signal.SIGKILL)).start()

Ledger.add = add_and_die
with faults.small_chunks():
    faults.compute(ledger=ledger, **faults.LONG)
signal.pause()
"""


def test_kills_of_the_driver(tmp_path, undisturbed):
    """Each dies within some moments after it has written so many times, wherever it is then."""
    ledger, rng, chunks = tmp_path / "run.ledger", random.Random(3), 0
    for last in (1, 5, 25):
        driver = subprocess.run(
            [sys.executable, "-c", DRIVER, ledger, str(last), str(0.02 * rng.random())],
            env=os.environ | {"PYTHONPATH": SHARED}, check=False,
        )  # fmt: skip
        assert driver.returncode == -signal.SIGKILL
        before, chunks = chunks, contents(ledger).records["chunk"][0]
        assert chunks > before
    with small_chunks():
        found = compute(ledger=ledger, **LONG)
    assert_nothing_lost(found, undisturbed)
    assert found.total.chunks > chunks
