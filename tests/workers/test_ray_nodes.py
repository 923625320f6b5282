"""Nodes and workers of a Ray cluster die, join and run out of memory; results keep every bit."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import broken_kernels
import numpy as np
import pytest
from faults import LONG, REQUEST, assert_nothing_lost, children, compute, small_chunks, wait_for
from pools import Gaussian, Held, meet, pieces

import nnqft
from nnqft.host import running
from nnqft_workers import PoolExecutor, make_local
from nnqft_workers.pool import Lost, Parcel

STORE = {"object_store_memory": 100 * 1024**2}


@pytest.fixture(scope="module")
def undisturbed() -> nnqft.Result:
    with small_chunks():
        return compute(**LONG)


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


@pytest.fixture(scope="module")
def cluster() -> Iterator[object]:
    """A cluster of two nodes on this machine, to which nodes can be added, and from which they can be taken."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.setenv("PYTHONPATH", str(Path(broken_kernels.__file__).parent))
        # Ray is polite: on a busy machine its workers, of niceness 15, would take minutes to start.
        patch.setenv("RAY_worker_niceness", "0")
        one = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, **STORE})
        one.add_node(num_cpus=1, **STORE)
        environment = {"env_vars": {"NNQFT_MARK": "of the caller"}}
        ray.init(address=one.address, log_to_driver=False, logging_level="ERROR", runtime_env=environment)
        yield one
        ray.shutdown()
        one.shutdown()


@contextlib.contextmanager
def joined(cluster, **more: object) -> Iterator[object]:
    """A further node, waited for until it takes work; it goes without a farewell."""
    import ray

    def is_there() -> bool:
        return any(each["NodeID"] == node.node_id and each["Alive"] for each in ray.nodes())

    node = cluster.add_node(wait=False, **({"num_cpus": 1} | STORE | more))
    try:
        wait_for(is_there)
        yield node
    finally:
        cluster.remove_node(node, allow_graceful=False)


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


def raylets(cluster) -> set[int]:
    return {node.all_processes["raylet"][0].process.pid for node in cluster.list_all_nodes()}


def test_random_kills_of_workers(cluster, on_cluster, undisturbed, patient):
    def workers() -> list[int]:
        return children(raylets(cluster), b"ray::run_parcel")

    with small_chunks(), Background(kill_one_of(workers, random.Random(1)), 8, 0.05) as killer:
        while killer.done < 8:
            assert_nothing_lost(compute(executor=on_cluster, **LONG), undisturbed)


def test_nodes_leave_and_others_join(cluster, on_cluster, tmp_path):
    """Each node goes while it holds a chunk; the work of the others goes on, and all of it is done."""
    target = nnqft.Target(neval=12 * 512, seed=5)
    wanted = make_local().evaluate(pieces([Gaussian()] * 12), target, lambda state: None)
    for _ in range(2):
        outcomes = []
        with joined(cluster) as node:
            (tmp_path / "doomed").write_text(node.node_id)
            work = pieces([Held(folder=str(tmp_path))] * 12)
            # Nodes are started and ended by the main thread alone, so the computation has a thread of its own.
            compute = threading.Thread(
                target=lambda work=work, outcomes=outcomes: outcomes.append(
                    on_cluster.evaluate(work, target, lambda state: None)
                )
            )
            compute.start()
            wait_for((tmp_path / "at_work").exists)
            (tmp_path / "released").touch()
        compute.join()
        for name in ("at_work", "released"):
            (tmp_path / name).unlink()
        [found] = outcomes
        assert found.failure is None
        assert [e.mean.tolist() for e in found.estimates] == [e.mean.tolist() for e in wanted.estimates]
        assert any("lost and done again" in note for note in found.notes)


def test_a_node_that_joins_late_gets_work(cluster, on_cluster, tmp_path):
    """Of what was there when it came: none of that ends before."""
    nodes = on_cluster.map(meet, [str(tmp_path)] * 8)
    found = []
    computation = threading.Thread(target=lambda: found.extend(nodes))
    computation.start()
    wait_for(lambda: len(list(tmp_path.iterdir())) == 2)
    with joined(cluster):
        computation.join()
    assert len(set(found)) == 3


def test_a_worker_whose_node_runs_out_of_memory(cluster, on_cluster, patient, tmp_path, monkeypatch):
    """One node takes any memory for too much, whatever the machine has, so that Ray ends whoever works there."""
    starving = {"RAY_memory_usage_threshold": "0", "RAY_memory_monitor_refresh_ms": "250"}
    collect = on_cluster.pool.collect

    def collect_and_let_go(timeout: float) -> list[tuple[Parcel, list[object] | Lost]]:
        done = collect(timeout)
        if any(isinstance(results, Lost) for _, results in done):
            (tmp_path / "released").touch()  # for which all other nodes wait
        return done

    monkeypatch.setattr(on_cluster.pool, "collect", collect_and_let_go)
    target = nnqft.Target(neval=12 * 512, seed=5)
    wanted = make_local().evaluate(pieces([Gaussian()] * 12), target, lambda state: None)
    with joined(cluster, env_vars=starving) as node:
        (tmp_path / "doomed").write_text(node.node_id)
        found = on_cluster.evaluate(pieces([Held(folder=str(tmp_path))] * 12), target, lambda state: None)
    assert found.failure is None
    assert [e.mean.tolist() for e in found.estimates] == [e.mean.tolist() for e in wanted.estimates]
    assert any("Ray ended it because the node ran out of memory" in note for note in found.notes)


GPU_REQUEST = REQUEST | {"order": 1, "neval": 1_000_000}


def test_large_chunks_go_to_a_gpu_worker_and_small_ones_to_cores(cluster, on_cluster, monkeypatch):
    """Ray is told of a GPU; JAX, which finds none, samples on the CPU backend there."""
    monkeypatch.setattr("nnqft_workers.rounds.CHUNK_COST", 2e6)
    with joined(cluster, num_cpus=0, num_gpus=1):
        wait_for(lambda: on_cluster.pool.slots("gpu"))
        found = compute(executor=on_cluster, **GPU_REQUEST)
    wait_for(lambda: not on_cluster.pool.slots("gpu"))
    assert any("GPU" in note for note in found.notes)
    exact = compute(**(GPU_REQUEST | {"integrator": "exact", "neval": None}))
    assert (np.abs(found.mean - exact.mean) < 4 * found.sdev).all()
    only_cores = compute(executor=on_cluster, **GPU_REQUEST)
    assert not any("GPU" in note for note in only_cores.notes)
    assert (np.abs(found.mean - only_cores.mean) < 4 * np.hypot(found.sdev, only_cores.sdev)).all()
