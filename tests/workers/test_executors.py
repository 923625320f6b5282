"""One contract for every executor: same numbers, same order, same errors, wherever the work runs."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import broken_kernels
import numpy as np
import pytest
from pools import assert_same_bits
from theories import bare_theory

import nnqft
from nnqft.host import default_host, open_executor
from nnqft.integrals.integral import Branch

PLACES = [("local", None), ("processes", 1), ("processes", 2), ("ray", 2), ("ray", 1)]
places = pytest.mark.parametrize("place", [pytest.param(p, id=p[0] + (f"-{p[1]}" if p[1] else "")) for p in PLACES])
GRID = [(0.0, 0.0), (0.7, 0.0), (0.2, 1.1)]
Open = Callable[[tuple[str, int | None]], nnqft.AbstractExecutor]


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of `ray start --head` on loopback; workers that are no children of ours, and know their token."""
    with socket.socket() as one, socket.socket() as two:
        for free in (one, two):
            free.bind(("127.0.0.1", 0))
        port, client_port = one.getsockname()[1], two.getsockname()[1]
    settings = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(16),
        "PYTHONPATH": str(Path(__file__).parents[1] / "shared"),
    }
    with tempfile.TemporaryDirectory(prefix="r", dir="/tmp") as folder, pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        patch.delenv("RAY_ADDRESS", raising=False)
        command = [str(Path(sys.executable).parent / "ray"), "start", "--head", "--block"]
        command += [f"--port={port}", "--node-ip-address=127.0.0.1", "--include-dashboard=false", "--num-cpus=2"]
        command += [f"--ray-client-server-port={client_port}"]
        command += [f"--temp-dir={folder}", "--object-store-memory=100000000"]  # sockets need short paths
        with open(Path(folder) / "output", "wb") as output:
            head = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
        try:
            end = time.monotonic() + 120
            while b"Ray runtime started" not in (Path(folder) / "output").read_bytes() and time.monotonic() < end:
                assert head.poll() is None, (Path(folder) / "output").read_text()
                time.sleep(0.1)
            yield f"127.0.0.1:{port}"
        finally:
            head.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                head.wait(10)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(head.pid, signal.SIGKILL)  # whatever of it is left


@pytest.fixture(scope="module")
def executor(cluster) -> Iterator[Open]:
    """Opens each place once: Ray with two workers is an embedded cluster, with one it is at an address."""
    opened: dict[tuple[str, int | None], nnqft.AbstractExecutor] = {}

    def get(place: tuple[str, int | None]) -> nnqft.AbstractExecutor:
        if place not in opened:
            opened[place] = open_executor(*place, cluster if place == ("ray", 1) else None)
        return opened[place]

    yield get
    for one in opened.values():
        one.close()


def compute(executor: nnqft.AbstractExecutor | str, **request) -> nnqft.Result:
    wanted = {"order": 2, "times": GRID, "integrator": "vegas", "neval": 150_000, "seed": 3} | request
    theory = wanted.pop("theory", None) or nnqft.theory("linear", N=3, sigma_w=0.6, sigma_b=0.4)
    return nnqft.compute(theory, "two_point", executor=executor, **wanted)


def one_line(error: BaseException) -> str:
    assert "\n" not in str(error)
    assert str(error).strip()
    return str(error)


# Nobody there. First in this file, while this process is connected to no cluster.


def ray_runs_here() -> bool:
    """Whether some cluster runs on this machine, which "auto" would find."""
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"gcs_server" in command.read_bytes():
                return True
        except OSError:
            continue
    return False


@pytest.mark.parametrize("address", ["auto", "127.0.0.1:1", "garbage", "ray://127.0.0.1:1", "two words"])
def test_unreachable_ray_address(address, monkeypatch, tmp_path):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))  # where "auto" looks for the cluster started last
    if address == "auto" and ray_runs_here():
        pytest.skip("a Ray cluster runs on this machine, and auto would find it")
    began = time.monotonic()
    with pytest.raises(nnqft.ExecutorError) as caught:
        compute("ray", address=address)
    assert time.monotonic() - began < 60  # not the minutes that Ray may take
    assert address in one_line(caught.value)


def test_a_listener_that_is_not_ray():
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(nnqft.ExecutorError) as caught:
            compute("ray", address=address)
        assert time.monotonic() - began < 60  # not the minutes that Ray may take
        assert address in one_line(caught.value)


@pytest.mark.parametrize("name", ["local", "processes"])
def test_address_where_there_is_none(name):
    with pytest.raises(nnqft.InputError, match="address") as caught:
        compute(name, address="127.0.0.1:6379")
    assert "ray" in one_line(caught.value)


@pytest.mark.parametrize("workers", [0, -1, 1.5, "two", float("nan"), True])
@pytest.mark.parametrize("name", ["local", "processes", "ray"])
def test_workers_that_make_no_sense(name, workers):
    with pytest.raises(nnqft.InputError, match="workers"):
        compute(name, workers=workers)


def test_local_has_one_worker():
    with pytest.raises(nnqft.InputError, match="processes"):
        compute("local", workers=2)
    assert compute("local", workers=1, order=1, neval=2_000).converged


# The contract


def test_every_installed_executor_is_under_contract():
    assert {name for name, _ in PLACES} == set(default_host().found["executor"])


@pytest.fixture(scope="module")
def reference() -> dict[str, nnqft.Result]:
    return {name: compute("local", **request) for name, request in REQUESTS.items()}


REQUESTS = {
    "budget": {"neval": 150_000},
    "target": {"neval": None, "rtol": 1e-3},
    "rest": {"theory": nnqft.theory("linear", start="rest", N=3, sigma_w=0.6), "neval": 40_000},
    "missed target": {"neval": 30_000, "atol": 1e-9},
    "response": {"neval": 2_000, "order": 1},
    "automatic": {"integrator": "auto", "neval": 20_000},
}


@places
@pytest.mark.parametrize("request_name", REQUESTS)
def test_same_bits_everywhere(executor, reference, place, request_name):
    found = compute(executor(place), **REQUESTS[request_name])
    assert_same_bits(found, reference[request_name])


def piece_of_work(n: int, integrator: nnqft.AbstractIntegrator) -> nnqft.Work:
    integral = nnqft.TimeIntegral(bare_theory("linear"), np.array([[float(n), 0.0]]), (Branch(0, "G"),), ())
    return nnqft.Work(f"work {n}", integral, integrator, 1.0, (n,), (n,))


@places
def test_estimates_come_in_the_order_of_the_work(executor, place):
    integrator = broken_kernels.Numbered(delay=0.05)
    work = []
    for n in range(24):
        work.append(piece_of_work(n, integrator))
    seen = []
    outcome = executor(place).evaluate(work, nnqft.Target(neval=24 * 512), seen.append)
    assert [estimate.mean[0] for estimate in outcome.estimates] == list(range(24))
    assert [estimate.samples for estimate in outcome.estimates] == [512] * 24
    assert outcome.converged
    assert outcome.failure is None
    spent = [state["samples"] for state in seen if "stage" not in state]
    assert spent == sorted(spent)
    assert spent[-1] == 24 * 512
    assert all({"samples", "expected", "error"} <= set(state) for state in seen)


@places
def test_a_given_executor_stays_open(executor, place):
    one = executor(place)
    first, again = (compute(one, order=1, neval=2_000) for _ in range(2))
    assert_same_bits(first, again)


def diagram_named_in(message: str, theory: nnqft.Theory) -> nnqft.Diagram:
    named = re.search(r"diagram (\d+)", message)
    assert named, message
    return nnqft.diagrams(theory, "two_point", order=1)[int(named[1])]


BROKEN = ["raises", "raises_awkwardly", "raises_on_several_lines", "returns_nan", "returns_inf"]


@places
@pytest.mark.parametrize("kernel", BROKEN)
def test_a_failing_integrand_leaves_what_was_finished(executor, place, kernel):
    # The free theory is at lag 1000 exactly; an internal time brings a line's lag below that.
    theory = broken_kernels.theory(getattr(broken_kernels, kernel), broken_kernels.LATE / 2, broken_kernels.LATE - 1e-9)
    times = broken_kernels.late_times()
    with pytest.raises(nnqft.IntegrationError) as caught:
        compute(executor(place), theory=theory, order=1, times=times, neval=60_000)
    message, result = one_line(caught.value), caught.value.result
    assert diagram_named_in(message, theory).order == 1
    if kernel.startswith("raises"):
        assert "no value at this lag" in message
    assert not result.converged
    assert result.contribution(0, 0).mean[0] == 0.5
    assert np.isfinite(result.mean).all()
    assert any("missing" in note for note in result.notes)
    assert len(result.diagrams) < 4 or any(row.failure for row in result.diagrams)


@places
@pytest.mark.parametrize("kernel", BROKEN)
def test_an_integrand_that_always_fails(executor, place, kernel):
    theory = broken_kernels.theory(getattr(broken_kernels, kernel), low=0.3, high=0.6)
    with pytest.raises(nnqft.IntegrationError) as caught:
        compute(executor(place), theory=theory, order=1, times=[(0.0, 0.0), (2.0, 0.0)], neval=60_000)
    assert diagram_named_in(one_line(caught.value), theory).order == 1
    assert not caught.value.result.converged
    assert np.isfinite(caught.value.result.mean).all()


@places
def test_a_custom_line_that_works(executor, place):
    theory = broken_kernels.theory(broken_kernels.raises)
    found = compute(executor(place), theory=theory, order=1, neval=50_000)
    wanted = compute("local", theory=broken_kernels.theory(None), order=1, neval=50_000)
    assert (np.abs(found.mean - wanted.mean) < 5 * np.hypot(found.sdev, wanted.sdev)).all()
    assert found.contribution(0, 0).mean[0] == 0.5


@pytest.mark.parametrize("awkward", [False, True], ids=["plain", "that cannot be pickled"])
@pytest.mark.parametrize("name", ["local", "processes", "ray"])
def test_an_integrator_that_raises_an_error(cluster, name, awkward):
    # Its own executor, as an awkward error may break it.
    one = open_executor(name, None if name == "local" else 1, cluster if name == "ray" else None)
    work = [piece_of_work(n, broken_kernels.Numbered(fails=n == 3, awkward=awkward)) for n in range(6)]
    try:
        outcome = one.evaluate(work, nnqft.Target(neval=6 * 512), lambda state: None)
    finally:
        one.close()
    assert outcome.failure is not None
    assert not outcome.converged
    assert "work 3" in one_line(outcome.failure)
    assert "no value" in str(outcome.failure)
    assert [e.mean[0] for e in outcome.estimates[:3] if e] == [0, 1, 2]


@pytest.mark.parametrize("name", ["processes", "ray"])
def test_a_worker_that_dies(cluster, name):
    theory = broken_kernels.theory(broken_kernels.dies, low=0.3, high=0.6)
    place = {"workers": 1, "address": cluster if name == "ray" else None}
    with pytest.raises(nnqft.NnqftError) as caught:
        compute(name, **place, theory=theory, order=1, times=[(0.0, 0.0)], neval=2_000)
    message = one_line(caught.value)
    assert "worker" in message or "died" in message or "lost" in message


# Opened by name


def children() -> set[int]:
    """Processes that this one has started, also those that have died and nobody has asked about."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == os.getpid():
                found.add(int(folder.name))
    return found


def test_named_processes_end_with_the_computation():
    before = children()
    assert compute("processes", workers=2, order=1, neval=2_000).converged
    assert children() <= before


def test_a_closed_executor_says_so():
    one = open_executor("processes", 1, None)
    one.close()
    with pytest.raises(nnqft.ExecutorError, match="closed"):
        list(one.map(abs, [1]))
