"""What runs on Ray neither ends nor changes the process that calls it, listens to nobody else, and leaves nothing."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import grpc
import pytest
from faults import Watched, changes, state_of_the_process, wait_for

import nnqft
from nnqft.host import open_executor
from nnqft_workers import PoolExecutor, ray_keeper
from nnqft_workers.ray_keeper import family, look_up

LONG = {"order": 2, "width_order": 0, "tau": [0.5], "integrator": "vegas", "seed": 1, "neval": 10**12}


def folder_of(keeper: int) -> str:
    """The folder in the keeper's command line; empty while it is no keeper yet, and when it has ended."""
    with contextlib.suppress(OSError):
        found = re.search(rf"{ray_keeper.PREFIX}\w+", Path(f"/proc/{keeper}/cmdline").read_text())
        return found[0] if found else ""
    return ""


def keepers_of(caller: int) -> list[int]:
    return [pid for pid in family(caller) if folder_of(pid) and look_up(pid).parent == caller]


def nothing_left(keeper: int, folder: str) -> bool:
    return not family(keeper) and look_up(keeper) is None and not Path(folder).exists()


@pytest.fixture(scope="module")
def embedded(tmp_path_factory) -> Iterator[tuple[PoolExecutor, dict[str, object]]]:
    """One for many tests, and what the caller was like before it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        place = tmp_path_factory.mktemp("modules")
        (place / "only_here.py").write_text("def twice(n):\n    return 2 * n\n")
        patch.syspath_prepend(place)
        theory = nnqft.theory("linear", N=10, sigma_w=0.5)
        # What is imported for any computation may change things, too.
        nnqft.compute(theory, "two_point", order=1, integrator="vegas", neval=4000)
        before = state_of_the_process()
        del before["warnings"]  # which pytest sets anew for each test
        executor = open_executor("ray", 2)
        yield executor, before
        executor.close()


@pytest.fixture
def keeper(embedded) -> int:
    [found] = keepers_of(os.getpid())
    return found


def test_the_caller_stays_as_it_was(embedded):
    executor, before = embedded
    assert list(executor.map(abs, [-1, -2])) == [1, 2]
    assert not changes(before)


def test_workers_find_what_the_caller_finds(embedded):
    import only_here

    assert list(embedded[0].map(only_here.twice, range(9))) == list(range(0, 18, 2))


def slowly(n: int) -> int:
    time.sleep(0.05)
    return n


def test_results_of_what_was_given_up_are_not_those_of_what_follows(embedded):
    given_up = embedded[0].map(slowly, range(100, 120))
    assert next(given_up) == 100
    given_up.close()
    assert list(embedded[0].map(slowly, range(8))) == list(range(8))


def test_large_letters_and_large_answers(embedded):
    assert list(embedded[0].map(bytes, [3_000_000] * 8)) == [bytes(3_000_000)] * 8
    assert list(embedded[0].map(len, [bytes(3_000_000)] * 8)) == [3_000_000] * 8


def sockets_of(pids: Iterable[int]) -> set[str]:
    found = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").glob("*"):
            with contextlib.suppress(OSError):
                found.add(os.readlink(link).removeprefix("socket:[").removesuffix("]"))
    return found


def listening(pids: Iterable[int]) -> list[str]:
    """Local addresses, in the kernel's hexadecimal, of the sockets that listen, and of those for datagrams."""
    sockets, found = sockets_of(pids), []
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, local, _, status, *_ = fields = line.split()
            if fields[9] in sockets and (status == "0A" or table.startswith("udp")):
                found.append(local.partition(":")[0])
    return found


def test_an_embedded_cluster_listens_to_this_machine_only(keeper):
    found = listening(family(keeper))
    assert len(found) >= 4
    # 127.0.0.1, as such and within IPv6, and ::1
    loopback = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
    assert set(found) <= loopback


def test_an_embedded_cluster_wants_a_token(keeper):
    commands = {pid: Path(f"/proc/{pid}/cmdline").read_text() for pid in family(keeper)}
    [address] = {found[1] for text in commands.values() if (found := re.search(r"--gcs-address=(127[.:\d]+)", text))}
    [gcs] = [pid for pid in commands if look_up(pid).name == "gcs_server"]
    environment = Path(f"/proc/{gcs}/environ").read_text().split("\0")
    [token] = [line.partition("=")[2] for line in environment if line.startswith("RAY_AUTH_TOKEN=")]
    assert len(token) == 64
    assert token not in "".join(commands.values())
    with grpc.insecure_channel(address) as channel:
        list_nodes = channel.unary_unary("/ray.rpc.NodeInfoGcsService/GetAllNodeInfo")
        with pytest.raises(grpc.RpcError) as caught:
            list_nodes(b"", timeout=60)
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert list_nodes(b"", timeout=60, metadata=[("authorization", f"Bearer {token}")])


def test_the_folder_of_an_embedded_cluster_is_closed_to_others(keeper):
    folder = Path(folder_of(keeper))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    inside = [path.lstat().st_mode for path in folder.rglob("*") if not path.is_symlink()]
    assert len(inside) > 10
    assert not any(mode & 0o022 for mode in inside)


# Last of those that share a cluster: it ends.


def test_a_cluster_that_dies_costs_no_more_than_the_computation(embedded, keeper):
    folder, kin = folder_of(keeper), family(keeper)
    [gcs] = [pid for pid in kin if look_up(pid).name == "gcs_server"]
    executor = Watched(embedded[0], lambda: os.kill(gcs, signal.SIGKILL))
    theory = nnqft.theory("cubic_tanh", N=5, sigma_w=0.5, expansion="bare")
    with pytest.raises(nnqft.IntegrationError, match="Ray cluster is gone: its gcs_server process has died") as caught:
        nnqft.compute(theory, "two_point", executor=executor, **LONG)
    assert "\n" not in str(caught.value)
    assert sum(row.samples for row in caught.value.result.diagrams) > 0
    assert not changes(embedded[1])
    wait_for(lambda: nothing_left(keeper, folder) and not any(map(look_up, kin)))
    with pytest.raises(nnqft.ExecutorError, match="gone"):
        list(embedded[0].map(abs, [1]))


# Killed


START = "from nnqft.host import open_executor; open_executor('ray', 2); import time; time.sleep(600)"


def has_started(keeper: int, part: str) -> bool:
    return any(process and process.name == part for process in map(look_up, family(keeper)))


@pytest.mark.parametrize(
    ("number", "moment"),
    [(signal.SIGKILL, lambda keeper: Path(folder_of(keeper)).exists()),
     (signal.SIGTERM, lambda keeper: has_started(keeper, "gcs_server")),
     (signal.SIGINT, lambda keeper: has_started(keeper, "raylet"))],
    ids=["killed at once", "terminated with the first server", "interrupted with the second"],
)  # fmt: skip
def test_a_caller_that_is_killed_leaves_nothing(number, moment):
    with subprocess.Popen([sys.executable, "-c", START], stderr=subprocess.DEVNULL) as caller:
        wait_for(lambda: keepers_of(caller.pid) and moment(keepers_of(caller.pid)[0]))
        [keeper] = keepers_of(caller.pid)
        folder, kin = folder_of(keeper), family(keeper)
        caller.send_signal(number)
    wait_for(lambda: nothing_left(keeper, folder) and not any(map(look_up, kin)))


def test_a_caller_and_a_keeper_that_are_killed_at_once_leave_nothing():
    with subprocess.Popen([sys.executable, "-c", START], stderr=subprocess.DEVNULL) as caller:
        wait_for(lambda: keepers_of(caller.pid) and has_started(keepers_of(caller.pid)[0], "raylet"))
        [keeper] = keepers_of(caller.pid)
        folder, kin = folder_of(keeper), family(keeper)
        for pid in (keeper, caller.pid):
            os.kill(pid, signal.SIGSTOP)  # neither does anything between the two ends
        for pid in (keeper, caller.pid):
            os.kill(pid, signal.SIGKILL)
    wait_for(lambda: nothing_left(keeper, folder) and not any(map(look_up, kin)))


def test_what_a_killed_keeper_has_left_is_cleared_by_the_caller():
    errors = []

    def start() -> None:
        try:
            open_executor("ray", 2)
        except nnqft.ExecutorError as error:
            errors.append(str(error))

    thread = threading.Thread(target=start)
    thread.start()
    wait_for(lambda: keepers_of(os.getpid()) and has_started(keepers_of(os.getpid())[0], "gcs_server"))
    [keeper] = keepers_of(os.getpid())
    folder, kin = folder_of(keeper), family(keeper)
    os.kill(keeper, signal.SIGKILL)
    thread.join()
    assert errors == ["cannot start an embedded Ray cluster: its driver was ended by SIGKILL"]
    assert nothing_left(keeper, folder)
    assert not any(map(look_up, kin))


def test_what_stays_stopped_is_killed_since_ray_would_wait_for_it():
    with subprocess.Popen(["sleep", "600"]) as process:
        assert process.pid not in ray_keeper._end_stopped({process.pid})
        process.send_signal(signal.SIGSTOP)
        wait_for(lambda: look_up(process.pid).state == "T")
        stopped = ray_keeper._end_stopped(set())
        assert process.pid in stopped
        assert process.poll() is None
        ray_keeper._end_stopped(stopped)
    assert process.returncode == -signal.SIGKILL


def test_folders_whose_keepers_were_lost_with_their_callers_are_removed_by_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr(ray_keeper, "PREFIX", str(tmp_path / "r-"))
    folders = {name: tmp_path / f"r-{name}" for name in ("lost", "young", "locked", "not ours")}
    for name, folder in folders.items():
        folder.mkdir()
        (folder / "file").touch()
        if name != "not ours":
            (folder / "lock").touch()
            os.utime(folder / "lock", None if name == "young" else (0, 0))
    (tmp_path / "r-link").symlink_to(folders["lost"])
    with open(folders["locked"] / "lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ray_keeper._sweep()
    assert {name for name, folder in folders.items() if folder.exists()} == {"young", "locked", "not ours"}


def test_the_command_line_prints_the_result_and_nothing_of_ray():
    command = [str(Path(sys.executable).with_name("nnqft")), "compute", "linear", "-p", "N=10", "-p", "sigma_w=0.5"]
    command += ["--integrator", "vegas", "--neval", "20000", "--executor", "ray", "--workers", "2", "--json", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["converged"]
    assert "ray" not in done.stderr.lower()
