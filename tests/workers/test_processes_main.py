"""Processes from wherever people compute: scripts without a guard, stdin, -c, notebooks; and nothing stays behind."""

from __future__ import annotations

import contextlib
import gc
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import broken_kernels
import mortal
import pytest

import nnqft
from nnqft.host import open_executor
from nnqft_workers.ledger_list import contents
from nnqft_workers.pool import Failed, Lost, Parcel
from nnqft_workers.processes import ProcessPool

REQUEST = {"order": 1, "tau": [0.0, 0.7], "integrator": "vegas", "neval": 20_000, "seed": 3}

COMPUTE = f"""
import nnqft
print("once")
theory = nnqft.theory("linear", N=3, sigma_w=0.6)
result = nnqft.compute(theory, "two_point", executor="processes", workers=2, **{REQUEST})
print(*(x.hex() for x in result.mean.tolist()))
"""

MAP = """
from nnqft.host import open_executor
twice = lambda n: 2 * n
executor = open_executor("processes", 1, None)
print("once", *executor.map(twice, [1, 2]))
executor.close()
"""

NOTEBOOK = f"""
import sys, types
kernel = types.ModuleType("__main__")  # as IPython has it: a main module without a file
sys.modules["__main__"] = kernel
for cell in {MAP.strip().splitlines()}:
    exec(compile(cell, "<cell>", "exec"), kernel.__dict__)
"""


@pytest.fixture(scope="module")
def expected() -> list[str]:
    result = nnqft.compute(nnqft.theory("linear", N=3, sigma_w=0.6), "two_point", **REQUEST)
    return [x.hex() for x in result.mean.tolist()]


def in_session(session: int) -> list[str]:
    """Command lines of the processes of a session that have not ended."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, _, _, of = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            if int(of) == session and state != "Z":
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found


def workers_in(session: int) -> list[str]:
    return [command for command in in_session(session) if "nnqft_workers/worker.py" in command]


def wait_until(condition: Callable[[], object], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


class Driver:
    """A program in a session of its own, and its temporary folder."""

    def __init__(self, folder: Path, *arguments: str | Path, text: str = "") -> None:
        self.temporary = Path(tempfile.mkdtemp(dir=folder))
        self.process = subprocess.Popen(
            [sys.executable, *arguments], start_new_session=True, env=os.environ | {"TMPDIR": str(self.temporary)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdin
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def end(self, status: int = 0) -> list[str]:
        """Its lines; when it has ended, nothing of it is left."""
        output, errors = self.process.communicate(timeout=120)
        assert self.process.returncode == status, errors
        assert status or not re.search("Traceback|ignored|Warning", errors)
        wait_until(lambda: not in_session(self.process.pid))
        assert not list(self.temporary.iterdir())
        return output.splitlines()


def run_script(folder: Path, code: str, *arguments: str, status: int = 0) -> list[str]:
    (folder / "script.py").write_text(code)
    return Driver(folder, folder / "script.py", *arguments).end(status)


# Every way to start Python


def test_a_script_without_a_guard(tmp_path, expected):
    assert run_script(tmp_path, COMPUTE) == ["once", " ".join(expected)]


def test_no_script_at_all(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a_module.py").write_text(MAP)
    ways = {"-c": ["-c", MAP], "-m": ["-m", "a_module"], "-": ["-"], "-i": ["-iq"], "notebook": ["-c", NOTEBOOK]}
    drivers = {
        way: Driver(tmp_path, *arguments, text=MAP if way in ("-", "-i") else "") for way, arguments in ways.items()
    }
    assert {way: driver.end() for way, driver in drivers.items()} == {way: ["once 2 4"] for way in ways}


KERNELS = """
import dataclasses, nnqft
import helper
from nnqft.host import open_executor

half = 0.5

def by_name(t, s, params, xp):
    return helper.decay(xp, half * 2, t - s) * half

def closure(amplitude):
    return lambda t, s, params, xp: amplitude * xp.exp(-xp.abs(t - s))

class Kernel:
    def __call__(self, t, s, params, xp):
        return half * xp.exp(-xp.abs(t - s))

linear = nnqft.theory("linear", N=3, sigma_w=0.6)
processes = open_executor("processes", 2, None)
for kernel in (by_name, lambda t, s, params, xp: half * xp.exp(-xp.abs(t - s)), closure(0.5), Kernel()):
    lines = [dataclasses.replace(p, terms=(), kernel=kernel) if p.name == "C" else p for p in linear.propagators]
    theory = dataclasses.replace(linear, propagators=tuple(lines))
    means = [
        nnqft.compute(theory, "two_point", order=1, tau=[0.0, 0.7], integrator="vegas", neval=20_000, seed=3,
                      executor=executor).mean.tolist()
        for executor in ("local", processes)
    ]
    print(means[0] == means[1])
processes.close()
"""


def test_kernels_of_the_script_and_of_a_module_beside_it(tmp_path):
    (tmp_path / "helper.py").write_text("def decay(xp, rate, lag):\n    return xp.exp(-rate * xp.abs(lag))\n")
    assert run_script(tmp_path, KERNELS) == ["True"] * 4


CLASSES = """
import numpy as np, nnqft
from dataclasses import dataclass
from nnqft.host import open_executor

@dataclass(frozen=True)
class State:
    value: float

class Trouble(Exception):
    pass

class Constant(nnqft.AbstractIntegrator):
    name = "constant"
    def supports(self, integral):
        return True
    def prepare(self, integral, seed):
        return State(0.25)
    def sample(self, integral, state, neval, seed):
        assert isinstance(state, State)
        return nnqft.Estimate.of_chunk(neval, np.array([state.value]), np.array([[1.0 / neval]]))

def square(state):
    print("seen", flush=True)
    if state.value > 2:
        raise Trouble(state)
    return State(state.value ** 2)

executor = open_executor("processes", 2, None)
integral = nnqft.diagrams(nnqft.theory("linear"), "two_point", order=1)[1]
integral = nnqft.time_integral(integral, nnqft.theory("linear"), np.array([[0.0, 0.0]]))
work = [nnqft.Work("a", integral, Constant(), 1.0, (0,), (0,))]
print(executor.evaluate(work, nnqft.Target(neval=512), lambda state: None).estimates[0].mean)
print(list(executor.map(square, [State(1.0), State(2.0)])) == [State(1.0), State(4.0)])
try:
    list(executor.map(square, [State(3.0)]))
except Trouble as trouble:
    print(trouble)
executor.close()
"""


def test_integrators_states_results_and_errors_of_the_script(tmp_path):
    lines = run_script(tmp_path, CLASSES)
    assert lines.count("seen") == 3
    assert [line for line in lines if line != "seen"] == ["[0.25]", "True", "State(value=3.0)"]


def test_what_cannot_travel_is_one_line():
    lock = threading.Lock()

    def kernel(t, s, params, xp):
        with lock:
            return 0.5 * xp.exp(-xp.abs(t - s))

    with pytest.raises(nnqft.NnqftError, match="cannot be sent to another process") as caught:
        nnqft.compute(broken_kernels.theory(kernel), "two_point", executor="processes", **REQUEST)
    assert "lock" in str(caught.value)
    assert "\n" not in str(caught.value)


# Callers of every kind

CALLERS = """
import multiprocessing, signal, sys, threading
from nnqft.host import open_executor
multiprocessing.set_start_method(sys.argv[1])

def state():
    masks = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)]
    return masks, handlers, sys.modules["__main__"], list(sys.path), multiprocessing.get_start_method()

twice = lambda n: 2 * n

def compute():
    executor = open_executor("processes", 1, None)
    print(*executor.map(twice, [1, 2]))
    executor.close()

before = state()
thread = threading.Thread(target=compute)
thread.start()
thread.join()
assert state() == before
if sys.argv[1] == "fork":
    sys.stdout.flush()
    daemon = multiprocessing.Process(target=compute, daemon=True)
    daemon.start()
    daemon.join()
"""


SPAWNED = (
    KERNELS.partition("linear =")[0]
    + """
import multiprocessing

def map_in_processes():
    executor = open_executor("processes", 1, None)
    print([(kind is Kernel, value) for kind, value in executor.map(triple, [1, 2])])
    executor.close()

def triple(n):
    return Kernel, 3 * n

if __name__ == "__main__":
    child = multiprocessing.get_context("spawn").Process(target=map_in_processes, daemon=True)
    child.start()
    child.join()
"""
)


def test_functions_of_the_main_module_in_a_child_that_was_spawned(tmp_path):
    (tmp_path / "helper.py").touch()
    assert run_script(tmp_path, SPAWNED) == ["[(True, 3), (True, 6)]"]


def test_threads_daemons_and_start_methods(tmp_path):
    (tmp_path / "script.py").write_text(CALLERS)
    drivers = {method: Driver(tmp_path, tmp_path / "script.py", method) for method in ("fork", "spawn")}
    assert {method: driver.end() for method, driver in drivers.items()} == {"fork": ["2 4"] * 2, "spawn": ["2 4"]}


def test_a_caller_whose_standard_files_are_closed(tmp_path):
    script, found = tmp_path / "script.py", tmp_path / "found"
    script.write_text(MAP.replace("2]))", f"2]), file=open({str(found)!r}, 'w'))"))
    subprocess.run(["sh", "-c", '"$0" "$1" <&- >&- 2>&-', sys.executable, script], check=True, timeout=120)
    assert found.read_text() == "once 2 4\n"


# Ends

LONG = """
import sys, time, nnqft
from nnqft.host import open_executor
"""
ENDLESS = LONG + "list(open_executor('processes', 2, None).map(time.sleep, [600.0] * 4))\n"


def test_a_killed_driver_leaves_no_process(tmp_path):
    driver = Driver(tmp_path, "-c", ENDLESS)
    session = driver.process.pid
    wait_until(lambda: len(workers_in(session)) == 2)
    driver.process.kill()  # while they are starting
    wait_until(lambda: not in_session(session))
    driver.end(-signal.SIGKILL)


STOPPED = (
    LONG
    + """
import os, signal, mortal
executor = open_executor("processes", 2, None)
pids = set(executor.map(mortal.nap, [0.5] * 4))
for pid in pids:
    os.kill(pid, signal.SIGSTOP)
os.kill(os.getpid(), signal.SIGKILL)
"""
)


def test_even_stopped_workers_end_with_a_killed_driver(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(mortal.__file__).parent))
    driver = Driver(tmp_path, "-c", STOPPED)
    driver.end(-signal.SIGKILL)


FORKS = (
    LONG
    + """
import os
executor = open_executor("processes", 2, None)
list(executor.map(abs, [1, 2]))
if os.fork():
    list(executor.map(time.sleep, [600.0] * 4))
time.sleep(600)
"""
)


def test_workers_end_even_if_a_fork_of_the_killed_driver_lives_on(tmp_path):
    driver = Driver(tmp_path, "-c", FORKS)
    session = driver.process.pid
    wait_until(lambda: len(in_session(session)) == 4)
    driver.process.kill()
    wait_until(lambda: not workers_in(session) and len(in_session(session)) == 1)
    os.killpg(session, signal.SIGKILL)
    driver.end(-signal.SIGKILL)


ORPHANED = (
    LONG
    + """
import multiprocessing

def work(_):
    list(open_executor("processes", 1, None).map(time.sleep, [600.0] * 2))

multiprocessing.get_context("fork").Pool(2).map(work, [1, 2])
"""
)


def test_a_pool_of_the_caller_ends_with_him(tmp_path):
    driver = Driver(tmp_path, "-c", ORPHANED)
    wait_until(lambda: len(workers_in(driver.process.pid)) == 2)
    driver.process.kill()
    driver.end(-signal.SIGKILL)


RAISES = (
    LONG
    + """
executor = open_executor("processes", 2, None)
print(list(executor.map(abs, [-1, -2])))
if sys.argv[1] == "inside":
    nnqft.compute(nnqft.theory("linear"), "two_point", order=1, tau=[0.0], neval=-1, executor=executor)
raise RuntimeError("of the script")
"""
)


@pytest.mark.parametrize("where", ["outside", "inside"])
def test_an_exception_leaves_no_process(tmp_path, where):
    assert run_script(tmp_path, RAISES, where, status=1) == ["[1, 2]"]


INTERRUPTED = """
import nnqft, numpy as np
result = nnqft.compute(nnqft.theory("cubic_tanh", N=5, sigma_w=0.5, expansion="bare"), "two_point", order=2,
                       tau=[0.0, 0.5], seed=1, integrator="vegas", neval=2_000_000_000, executor="processes", workers=2,
                       ledger="run.ledger")
print(result.reason, result.converged, np.isfinite(result.mean).all())
"""


def samples_in(ledger: Path) -> bool:
    with contextlib.suppress(nnqft.LedgerError):  # while it is being made
        return contents(ledger).records.get("chunk", (0, 0))[0] > 4
    return False


@pytest.mark.parametrize("sampling", [False, True])
def test_interrupts_are_answered_by_the_caller_alone(tmp_path, sampling, monkeypatch):
    monkeypatch.chdir(tmp_path)
    driver = Driver(tmp_path, "-c", INTERRUPTED)
    wait_until(lambda: workers_in(driver.process.pid))
    if sampling:
        wait_until(lambda: samples_in(tmp_path / "run.ledger"))
    os.killpg(driver.process.pid, signal.SIGINT)  # as a terminal does
    if sampling:
        assert driver.end() == ["interrupted False True"]
    else:  # before the first estimates there may be nothing to report
        assert len(driver.end()) == 1


# The pool itself


def collect(pool: ProcessPool, count: int) -> dict[int, list[object] | Lost]:
    found: dict[int, list[object] | Lost] = {}
    end = time.monotonic() + 120
    while len(found) < count and time.monotonic() < end:
        found |= {parcel.number: results for parcel, results in pool.collect(0.25)}
    return found


@pytest.fixture
def pool():
    one = ProcessPool(2)
    yield one
    processes = {process._process.pid for process in one._crew._processes}
    one.close()
    for pid in processes:
        assert not Path(f"/proc/{pid}").exists()


def test_a_killed_worker_costs_its_own_parcel_alone(pool):
    for number in range(2):
        pool.submit(Parcel(number, mortal.nap, [0.3]))
    first = collect(pool, 2)
    pids = {results[0] for results in first.values()}
    assert len(pids) == 2
    pool.submit(Parcel(0, mortal.die, [None]))
    for number in range(1, 4):
        pool.submit(Parcel(number, mortal.nap, [0.3]))
    found = collect(pool, 4)
    assert found.pop(0) == Lost("a worker process was ended by SIGKILL; memory may have run out")
    alive = {results[0] for results in found.values()}
    assert len(pids & alive) == 1  # the other one lives on


def test_a_stopped_worker_is_given_up(pool, monkeypatch):
    monkeypatch.setattr("nnqft_workers.processes.PATIENCE", 1)
    pool.submit(Parcel(0, mortal.apply, [(signal.raise_signal, [signal.SIGSTOP])]))
    assert collect(pool, 1) == {0: Lost("a worker process was stopped", blame=False)}


def test_a_fork_does_not_touch_the_processes(pool):
    pool.submit(Parcel(0, mortal.nap, [0.0]))
    [(pid,)] = collect(pool, 1).values()
    child = os.fork()
    if not child:
        pool.close()
        try:
            pool.submit(Parcel(1, mortal.nap, [0.0]))
        except nnqft.ExecutorError:
            os._exit(0)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    pool.submit(Parcel(2, mortal.nap, [0.0]))
    assert collect(pool, 1) == {2: [pid]}


def test_a_pool_that_is_forgotten_ends_its_processes():
    one = ProcessPool(1)
    one.submit(Parcel(0, mortal.nap, [0.0]))
    [(pid,)] = collect(one, 1).values()
    del one
    gc.collect()
    assert not Path(f"/proc/{pid}").exists()


def test_how_a_worker_died(pool):
    ways = [(os._exit, [3], "status 3"), (sys.exit, [4], "status 4"), (os.abort, [], "SIGABRT"),
            (signal.raise_signal, [40], "40")]  # fmt: skip
    for number, (function, arguments, _) in enumerate(ways):
        pool.submit(Parcel(number, mortal.apply, [(function, arguments)]))
    found = collect(pool, len(ways))
    for number, (_, _, words) in enumerate(ways):
        assert isinstance(found[number], Lost)
        assert words in found[number].reason


def test_what_is_forgotten_is_not_collected(pool):
    for number in range(6):
        pool.submit(Parcel(number, mortal.nap, [0.3]))
    pool.forget()
    assert pool.collect(0.0) == []
    pool.submit(Parcel(7, mortal.nap, [0.0]))
    assert list(collect(pool, 1)) == [7]


def test_closing_does_not_wait_for_work():
    pool = ProcessPool(2)
    for number in range(4):
        pool.submit(Parcel(number, mortal.nap, [0.0 if number < 2 else 600.0]))
    collect(pool, 2)
    began = time.monotonic()
    pool.close()
    pool.close()
    assert time.monotonic() - began < 60  # of the 600 seconds that they would sleep


def test_results_and_errors_that_cannot_travel_spoil_only_themselves(pool):
    pool.submit(Parcel(0, mortal.travels_badly, [0, 1, 2, 3]))
    good, error, lock, last = collect(pool, 1)[0]
    assert (good, last) == (0, 3)
    assert isinstance(error, Failed)
    assert isinstance(lock, Failed)
    assert "AwkwardError: no value" in str(error.error)
    assert "lock" in str(lock.error)


def test_a_module_that_the_workers_cannot_import_goes_by_value(pool, monkeypatch):
    module = type(sys)("only_here")
    exec("def double(n): return 2 * n", module.__dict__)
    monkeypatch.setitem(sys.modules, "only_here", module)
    pool.submit(Parcel(0, module.double, [1]))
    assert collect(pool, 1) == {0: [2]}


@pytest.mark.parametrize("program", ["/bin/false", "/no/such/python"])
def test_workers_that_cannot_start(monkeypatch, program):
    monkeypatch.setattr("nnqft_workers.processes.get_executable", lambda: program)
    executor = open_executor("processes", 2, None)
    with pytest.raises(nnqft.ExecutorError, match="worker process") as caught:
        list(executor.map(abs, [1]))
    executor.close()
    assert "\n" not in str(caught.value)
