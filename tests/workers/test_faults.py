"""Nothing that dies costs more than the chunk it held: workers, nodes, drivers; results keep every bit."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import broken_kernels
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from pools import Gaussian, Held, Unreliable, pieces

import nnqft
from nnqft.host import running
from nnqft_workers import PoolExecutor, make_local
from nnqft_workers.dispatcher import MAX_LOSSES, Dispatcher, Item, map_in_order
from nnqft_workers.ledger_list import contents
from nnqft_workers.local import LocalPool
from nnqft_workers.pool import Failed, Lost, Parcel, run_parcel
from nnqft_workers.processes import ProcessPool

PATH = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1] / "shared")])
REQUEST = {"order": 2, "tau": [0.0, 0.5, 2.0], "integrator": "vegas", "seed": 11}
LONG = REQUEST | {"neval": 12_000_000}


def compute(**more) -> nnqft.Result:
    return nnqft.compute(
        nnqft.theory("cubic_tanh", N=5, sigma_w=0.5, expansion="bare"), "two_point", width_order=0, **more
    )


@pytest.fixture(scope="module")
def undisturbed() -> nnqft.Result:
    return compute(**LONG)


def assert_same_bits(one: nnqft.Result, two: nnqft.Result) -> None:
    assert_array_equal(one.mean, two.mean)
    assert_array_equal(one.cov, two.cov)
    assert one.reason == two.reason
    assert [row.samples for row in one.diagrams] == [row.samples for row in two.diagrams]


class Background(threading.Thread):
    """Runs a function again and again until the computation ends or it has succeeded so often."""

    def __init__(self, strike: Callable[[], bool], wanted: int, pause: float) -> None:
        super().__init__(daemon=True)
        self.strike, self.wanted, self.pause = strike, wanted, pause
        self.done, self.over = 0, threading.Event()

    def run(self) -> None:
        while self.done < self.wanted and not self.over.wait(self.pause):
            self.done += self.strike()

    def __enter__(self) -> Background:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.join()


@pytest.fixture
def patient(monkeypatch) -> None:
    """However slow the machine, no chunk is killed too often to be tried again."""
    monkeypatch.setattr("nnqft_workers.dispatcher.MAX_LOSSES", 1000)


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
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def kill_one_of(find: Callable[[], list[int]], rng: random.Random) -> Callable[[], bool]:
    def strike() -> bool:
        alive = find()
        if not alive:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(rng.choice(alive), signal.SIGKILL)
            return True
        return False

    return strike


# A pool on which everything that can happen does, without processes


@pytest.mark.parametrize("seed", range(10))
def test_losses_reorderings_and_work_on_guesses_change_no_bit(seed):
    small = REQUEST | {"rtol": 1e-3}
    pool = Unreliable(seed)
    found = compute(executor=PoolExecutor("unreliable", pool), **small)
    assert_same_bits(found, compute(**small))
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

    fatal = frozenset({1, 4, 5, 9, 30})

    def submit(self, parcel: Parcel) -> None:
        super().submit(replace(parcel, function=broken_kernels.die) if parcel.number in self.fatal else parcel)


def test_killed_processes_cost_only_what_they_held(undisturbed):
    pool = Mortal(2)
    try:
        found = compute(executor=PoolExecutor("processes", pool), **LONG)
    finally:
        pool.close()
    assert_same_bits(found, undisturbed)
    reason = "a worker process was ended by SIGKILL; memory may have run out"
    assert f"5 parcels of work lost and done again: {reason}" in found.notes


# Ray


@pytest.fixture(scope="module")
def cluster() -> Iterator[object]:
    """A cluster of two nodes on this machine, to which nodes can be added, and from which they can be taken."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        # Functions of this file travel by its name, and it imports what the tests share.
        patch.setenv("PYTHONPATH", PATH)
        # Ray is polite: on a busy machine its workers, of niceness 15, would take minutes to start.
        patch.setenv("RAY_worker_niceness", "0")
        one = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, **STORE})
        one.add_node(num_cpus=1, **STORE)
        environment = {"env_vars": {"NNQFT_MARK": "of the caller"}}
        ray.init(address=one.address, log_to_driver=False, logging_level="ERROR", runtime_env=environment)
        yield one
        ray.shutdown()
        one.shutdown()


@pytest.fixture(scope="module")
def on_cluster(cluster) -> Iterator[PoolExecutor]:
    """An executor on the cluster that this process is connected to."""
    with running("ray") as executor:
        yield executor


def test_the_callers_own_cluster_and_runtime_environment_are_used(cluster, on_cluster):
    import ray

    assert list(on_cluster.map(os.getenv, ["NNQFT_MARK"])) == ["of the caller"]
    assert on_cluster.parallel == 2
    assert ray.is_initialized()


STORE = {"object_store_memory": 100 * 1024**2}


def raylets(cluster) -> set[int]:
    return {node.all_processes["raylet"][0].process.pid for node in cluster.list_all_nodes()}


def test_twenty_random_kills_of_workers(cluster, on_cluster, undisturbed, patient):
    def workers() -> list[int]:
        return children(raylets(cluster), b"ray::run_parcel")

    with Background(kill_one_of(workers, random.Random(1)), 20, 0.15) as killer:
        while killer.done < 20:
            assert_same_bits(compute(executor=on_cluster, **LONG), undisturbed)


def test_five_nodes_leave_and_others_join(cluster, on_cluster, tmp_path):
    """Each node goes while it holds a chunk; the work of the others goes on, and all of it is done."""
    target = nnqft.Target(neval=12 * 128, seed=5)
    wanted = make_local().evaluate(pieces([Gaussian()] * 12), target, lambda state: None)
    for _ in range(5):
        node, outcomes = cluster.add_node(num_cpus=1, **STORE), []
        (tmp_path / "doomed").write_text(node.node_id)
        work = pieces([Held(folder=str(tmp_path))] * 12)
        # Nodes are started and ended by the main thread alone, so the computation has a thread of its own.
        thread = threading.Thread(target=lambda: outcomes.append(on_cluster.evaluate(work, target, lambda state: None)))  # noqa: B023
        thread.start()
        wait_for((tmp_path / "held").exists)
        cluster.remove_node(node, allow_graceful=False)
        thread.join()
        (tmp_path / "held").unlink()
        [found] = outcomes
        assert found.failure is None
        assert [e.mean.tolist() for e in found.estimates] == [e.mean.tolist() for e in wanted.estimates]
        assert any("lost and done again" in note for note in found.notes)


def where(n: int) -> str:
    import ray

    time.sleep(0.3)
    return str(ray.get_runtime_context().get_node_id())


def test_a_node_that_joins_late_gets_work(cluster, on_cluster):
    seen: set[str] = set()
    for n, node in enumerate(on_cluster.map(where, range(2000))):
        if n == 2:
            late = cluster.add_node(num_cpus=1, **STORE)
        seen.add(node)
        if len(seen) == 3:
            break
    cluster.remove_node(late)
    assert len(seen) == 3


def greedy(item: tuple[int, str]) -> int:
    """The third one takes all the memory it gets, the first time."""
    n, marker = item
    if n == 3 and not Path(marker).exists():
        Path(marker).touch()
        hog = []
        for _ in range(100):
            hog.append(np.ones(100_000_000 // 8))
            time.sleep(0.05)
        time.sleep(120)
    return n


OUT_OF_MEMORY = """
import sys, test_faults
from nnqft.host import open_executor
executor = open_executor("ray", 2, None)
print(list(executor.map(test_faults.greedy, [(n, sys.argv[1]) for n in range(6)])))
executor.close()
"""


def memory_in_gib() -> dict[str, float]:
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    return {words[0].rstrip(":"): int(words[1]) / 2**20 for words in lines}


@pytest.mark.skipif(not Path("/proc/meminfo").exists() or memory_in_gib()["MemAvailable"] < 12, reason="needs 12 GiB")
def test_a_worker_that_runs_out_of_memory(tmp_path):
    """Ray ends a worker when the node has less than some memory left: here 3 GiB less than it has now."""
    memory = memory_in_gib()
    share = (memory["MemTotal"] - memory["MemAvailable"] + 3) / memory["MemTotal"]
    environment = os.environ | {
        "RAY_memory_usage_threshold": str(share),
        "RAY_memory_monitor_refresh_ms": "100",
        "PYTHONPATH": PATH,
    }
    command = [sys.executable, "-c", OUT_OF_MEMORY, str(tmp_path / "marker")]
    began = time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[0] == str(list(range(6)))
    assert (tmp_path / "marker").exists()
    assert time.monotonic() - began < 100  # it did not wait for the greedy one to wake up


GPU_REQUEST = REQUEST | {"neval": 3_000_000}


def test_large_chunks_go_to_a_gpu_worker_and_small_ones_to_cores(cluster, on_cluster, monkeypatch):
    """Ray is told of a GPU; JAX, which finds none, samples on the CPU backend there."""
    monkeypatch.setattr("nnqft_workers.rounds.CHUNK_COST", 2e6)
    node = cluster.add_node(num_cpus=0, num_gpus=1, **STORE)
    try:
        wait_for(lambda: on_cluster.pool.slots("gpu"))
        found = compute(executor=on_cluster, **GPU_REQUEST)
    finally:
        cluster.remove_node(node)
        wait_for(lambda: not on_cluster.pool.slots("gpu"))
    assert any("GPU" in note for note in found.notes)
    exact = compute(**(REQUEST | {"integrator": "exact", "rtol": 1e-3}))
    assert (np.abs(found.mean - exact.mean) < 4 * found.sdev).all()
    only_cores = compute(executor=on_cluster, **GPU_REQUEST)
    assert not any("GPU" in note for note in only_cores.notes)
    assert (np.abs(found.mean - only_cores.mean) < 4 * np.hypot(found.sdev, only_cores.sdev)).all()


# Drivers

DRIVER = """
import sys, nnqft
if __name__ == "__main__":
    theory = nnqft.theory("cubic_tanh", N=5, sigma_w=0.5, expansion="bare")
    nnqft.compute(theory, "two_point", width_order=0, order=2, tau=[0.0, 0.5, 2.0], integrator="vegas", seed=11,
                  neval=12_000_000, ledger=sys.argv[1])
"""


def test_five_kills_of_the_driver(tmp_path, undisturbed):
    ledger, script, rng = tmp_path / "run.ledger", tmp_path / "driver.py", random.Random(3)
    script.write_text(DRIVER)
    chunks = 0

    def finished() -> int:
        with contextlib.suppress(nnqft.LedgerError):  # while it is being made
            return contents(ledger).records.get("chunk", (0, 0))[0]
        return 0

    for _ in range(5):
        driver = subprocess.Popen([sys.executable, script, ledger], start_new_session=True)
        while driver.poll() is None and finished() == chunks:
            time.sleep(0.02)
        time.sleep(0.3 * rng.random())
        with contextlib.suppress(ProcessLookupError):
            os.killpg(driver.pid, signal.SIGKILL)
        driver.wait()
        before, chunks = chunks, finished()
        assert chunks >= before
    assert chunks > 0
    found = compute(ledger=ledger, **LONG)
    assert_same_bits(found, undisturbed)
