"""What is finished stays finished: for the same request and for others, whatever happens to the file or the run."""

from __future__ import annotations

import json
import os
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_array_equal
from pools import Gaussian, pieces, tasks_computed
from theories import bare_theory

import nnqft
import nnqft_workers.dispatcher
from nnqft.cli.main import main
from nnqft_workers import ledger_file as module
from nnqft_workers.fingerprint import Fingerprints
from nnqft_workers.ledger import _pack, _unpack
from nnqft_workers.ledger_list import contents
from nnqft_workers.ledger_rows import FORMAT, REQUESTS
from nnqft_workers.local import LocalPool
from nnqft_workers.scheduler import schedule
from nnqft_workers.tasks import Chunk

THEORY = nnqft.theory("linear", N=3, sigma_w=0.6)


def compute(theory: nnqft.Theory = THEORY, **more) -> nnqft.Result:
    wanted = {"order": 2, "tau": [0.0, 0.7], "integrator": "vegas", "seed": 3} | more
    return nnqft.compute(theory, wanted.pop("observable", "two_point"), **wanted)


def assert_same_bits(one: nnqft.Result, two: nnqft.Result) -> None:
    assert_array_equal(one.mean, two.mean)
    assert_array_equal(one.cov, two.cov)
    assert (one.converged, one.reason) == (two.converged, two.reason)
    for row, other in zip(one.diagrams, two.diagrams, strict=True):
        assert (row.samples, row.chi2) == (other.samples, other.chi2) or np.isnan(row.chi2)
        assert_array_equal(row.integral, other.integral)


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "run.ledger"


@pytest.fixture
def tasks(monkeypatch) -> list[object]:
    """Every task that is really computed."""
    return tasks_computed(monkeypatch)


def bytes_of(path: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in path.parent.glob(path.name + "*")}


# Going on


@pytest.mark.parametrize("target", [{"rtol": 1e-3}, {"neval": 200_000}, {"atol": 1e-4, "neval": 100_000}], ids=str)
@pytest.mark.parametrize("integrator", ["vegas", "auto"])
def test_the_same_request_again_computes_nothing(path, tasks, target, integrator):
    theory = nnqft.theory("linear", N=3, sigma_w=0.6, sigma_b=0.4, start="rest")
    request = {"theory": theory, "tau": None, "times": [(1.0, 0.5)], "integrator": integrator} | target
    plain = compute(**request)
    del tasks[:]
    first = compute(ledger=path, **request)
    assert tasks
    del tasks[:]
    assert_same_bits(compute(ledger=path, **request), first)
    assert not tasks
    assert_same_bits(first, plain)


def test_a_more_precise_request_goes_on_from_what_is_there(path, tasks):
    compute(ledger=path, rtol=3e-3)
    known = contents(path).records["chunk"][1]
    del tasks[:]
    finer = compute(ledger=path, rtol=3e-4)
    assert tasks
    assert all(isinstance(task, Chunk) for task in tasks)  # no map is learnt again
    # The stages before the last, which the estimate is not made of, are all that it has not.
    assert finer.total.samples < contents(path).records["chunk"][1] < 1.5 * finer.total.samples
    assert known > 10_000
    assert_same_bits(finer, compute(rtol=3e-4))


def test_requests_that_differ_in_width_and_coupling_share_chunks(path, tasks):
    compute(ledger=path, neval=100_000)
    del tasks[:]
    other = nnqft.theory("linear", N=77, sigma_w=0.3)
    compute(other, ledger=path, neval=100_000)
    samples = sum(task.samples for task in tasks)
    assert samples < 80_000
    del tasks[:]
    compute(nnqft.theory("linear", N=3, sigma_w=0.6, gamma=1.1), ledger=path, neval=100_000)
    assert sum(isinstance(task, Chunk) for task in tasks) > 30  # another integrand shares nothing
    assert [row["status"] for row in contents(path).requests] == ["done"] * 3


@pytest.mark.parametrize("after", [1, 3, 8, 20])
def test_interrupted_and_resumed(path, tasks, monkeypatch, after):
    monkeypatch.setattr(nnqft_workers.dispatcher, "PARCEL_ITEMS", 8)
    collect, left = LocalPool.collect, [after]

    def interrupted(pool: LocalPool, timeout: float) -> object:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        return collect(pool, timeout)

    request = {"neval": 150_000}
    wanted = compute(**request)
    monkeypatch.setattr(LocalPool, "collect", interrupted)
    stopped = compute(ledger=path, **request)
    assert stopped.reason == "interrupted"
    assert contents(path).requests[0]["status"] == "open"
    del tasks[:]
    assert_same_bits(compute(ledger=path, **request), wanted)
    known = contents(path).records["chunk"][1]
    assert wanted.total.samples < known < 1.25 * wanted.total.samples  # with the looks
    del tasks[:]
    compute(ledger=path, **request)
    assert not tasks


def test_a_time_limit_ends_and_the_ledger_goes_on(path):
    stopped = compute(order=3, ledger=path, rtol=1e-5, neval=10**9, time_limit=0.5)
    assert not stopped.converged
    assert stopped.reason == "time limit of 0.5 s reached"
    assert any("target not reached" in note for note in stopped.notes)
    exact = compute(order=3, integrator="exact", rtol=1e-3)
    assert len(stopped.diagrams) == len(exact.diagrams) or any("missing" in note for note in stopped.notes)
    finished = {row.drawing: row for row in exact.diagrams}
    for row in stopped.diagrams:
        assert (np.abs(row.integral - finished[row.drawing].integral) <= 6 * row.error + 1e-12).all()
    again = compute(order=3, ledger=path, rtol=1e-5, neval=10**9, time_limit=0.5)
    assert again.total.samples >= stopped.total.samples


def test_a_time_limit_alone_is_a_budget():
    done = compute(time_limit=0.7, order=1)
    assert done.converged
    assert done.total.samples > 0
    assert done.request.rtol is None
    with pytest.raises(nnqft.InputError, match="time_limit"):
        compute(time_limit=-1.0)


def test_a_state_that_is_no_array_is_learnt_again(path, tasks):
    """Nothing in a file is ever unpickled."""

    class Stateful(Gaussian):
        name = "stateful"

        def prepare(self, integral: nnqft.TimeIntegral, seed: np.random.SeedSequence) -> object:
            return {"any": "thing"}

    keep = nnqft.Keep(str(path), "{}")
    work = pieces([Stateful(spread=2.0)])
    for _ in range(2):
        del tasks[:]
        outcome = schedule(work, nnqft.Target(neval=10_000, keep=keep), LocalPool(), lambda state: None)
    assert [type(task).__name__ for task in tasks] == ["Prepare"]
    assert outcome.converged


# What is in a record


@given(
    times=st.integers(1, 4),
    data=st.data(),
    samples=st.integers(0, 10**12),
    seconds=st.floats(0, 1e6),
)
def test_estimates_survive_the_file(times, data, samples, seconds):
    numbers = st.floats(allow_nan=False, allow_infinity=False)
    mean = data.draw(hnp.arrays(float, times, elements=numbers))
    cov = data.draw(hnp.arrays(float, (times, times), elements=numbers))
    moments = {"size": np.abs(mean), "square": np.abs(mean) / 7} if samples else {}
    cov = cov if samples else 0 * mean[:, None] * mean
    estimate = nnqft.Estimate(mean, cov, samples, 3, 1.5, 2, seconds, **moments)
    back = _unpack(_pack(estimate))
    assert_array_equal(back.mean, mean)
    assert_array_equal(back.cov, cov)
    assert_array_equal(back.size, estimate.size)
    assert_array_equal(back.square, estimate.square)
    assert (back.samples, back.chunks, back.chi2_sum, back.dof, back.seconds) == (samples, 3, 1.5, 2, seconds)


def edited(t, s, params, xp):
    return 0.5 * xp.exp(-xp.abs(t - s))


def edited_since(t, s, params, xp):
    return 0.6 * xp.exp(-xp.abs(t - s))


def with_correlator(**changes) -> nnqft.Theory:
    theory = bare_theory("linear")
    return replace(theory, propagators=tuple(replace(p, **changes) if p.name == "C" else p for p in theory.propagators))


def test_fingerprints_see_what_changes_numbers_and_nothing_else():
    def of(theory: nnqft.Theory, tau: float = 0.7, n: int = -1) -> bytes:
        integral = nnqft.time_integral(nnqft.diagrams(theory, "two_point", order=1)[n], theory, [(tau, 0.0)])
        found = Fingerprints().integral(integral)
        assert found is not None
        return found

    same = [of(nnqft.theory("linear", N=n, sigma_w=w)) for n, w in ((1, 1.0), (50, 0.3))]
    assert same[0] == same[1]
    renamed = replace(edited_code := with_correlator(terms=(), kernel=edited), model="other")
    assert of(edited_code) == of(renamed)
    different = [
        same[0],
        of(THEORY, tau=0.8),
        of(bare_theory("linear", gamma=1.1)),
        of(bare_theory("linear", kappa=1.1)),
        of(bare_theory("linear", sigma_b=0.1)),
        of(edited_code),
        of(with_correlator(terms=(), kernel=edited_since)),
        of(with_correlator(terms=(), kernel=edited, params=(("a", 1.0),))),
        of(with_correlator(terms=(), kernel=edited, params=(("a", np.ones(3)),))),
    ]
    assert len(set(different)) == len(different)


# Files that are no good


def damaged(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[5000:9000] = b"\xff" * 4000
    path.write_bytes(data)


def foreign_database(path: Path) -> None:
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE songs (title TEXT)")
    connection.commit()
    connection.close()


def newer(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {FORMAT + 1}")
    connection.close()


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:6000])


BAD = {
    "text": (lambda path: path.write_text("dear diary, " * 50), "not a ledger"),
    "short": (lambda path: path.write_text("hello"), "not a ledger"),
    "foreign": (foreign_database, "something else"),
    "newer": (newer, f"format {FORMAT + 1}"),
    "damaged": (damaged, "damaged"),
    "truncated": (truncated, "damaged"),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_file_is_refused_and_stays_as_it_was(path, bad):
    spoil, said = BAD[bad]
    compute(ledger=path, neval=20_000)
    spoil(path)
    before = path.read_bytes()
    with pytest.raises(nnqft.LedgerError, match=said) as caught:
        compute(ledger=path, neval=20_000)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == before
    with pytest.raises(nnqft.LedgerError, match=said):
        contents(path)


@pytest.mark.parametrize(
    "where", [lambda p: p / "no" / "x.ledger", lambda p: p, lambda p: Path("/proc/x")], ids=["folder", "dir", "proc"]
)
def test_a_path_that_cannot_be_written(tmp_path, where):
    with pytest.raises(nnqft.LedgerError, match="ledger"):
        compute(ledger=where(tmp_path), neval=20_000)


@pytest.mark.parametrize("ledger", ["", 3, True, ["x"]], ids=repr)
def test_a_ledger_that_makes_no_sense(ledger):
    with pytest.raises(nnqft.InputError, match="ledger"):
        compute(ledger=ledger, neval=20_000)


def test_an_empty_file_becomes_a_ledger(path):
    path.touch()
    compute(ledger=path, neval=20_000)
    assert len(contents(path).requests) == 1


def test_a_locked_file(path, monkeypatch):
    compute(ledger=path, neval=20_000)
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.2)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(nnqft.LedgerError, match="another process"):
            compute(ledger=path, neval=30_000)
    finally:
        other.execute("ROLLBACK")
        other.close()
    assert compute(ledger=path, neval=30_000).converged


def test_an_executor_without_a_ledger_says_so(path):
    class Plain(nnqft.AbstractExecutor):
        name = "plain"

        def evaluate(self, work: object, target: object, progress: object) -> nnqft.Outcome:
            raise AssertionError

    with pytest.raises(nnqft.InputError, match="'plain' keeps none"):
        compute(ledger=path, neval=20_000, executor=Plain())
    assert not path.exists()


FULL = """
import resource, sys, nnqft
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    nnqft.compute(nnqft.theory("linear", N=3, sigma_w=0.6), "two_point", order=3, tau=[0.0, 0.7], integrator="vegas",
                  seed=3, neval=1_500_000, ledger=sys.argv[1])
except nnqft.IntegrationError as error:
    print(error, "|", error.result.total.samples)
except nnqft.LedgerError as error:
    print(error, "|", 0)
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="needs a limit on the size of files")
def test_a_full_disk_costs_nothing_that_was_finished(path):
    """Files may not grow beyond a size, as on a disk that is full."""
    compute(ledger=path, neval=20_000)
    known = contents(path).records["chunk"]
    limit = str(path.stat().st_size + 2_000_000)
    done = subprocess.run(
        [sys.executable, "-c", "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)" + FULL, path, limit],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said, _, samples = done.stdout.partition("|")
    assert str(path) in said
    assert "disk" in said
    assert int(samples) > 0, done.stdout
    after = contents(path).records["chunk"]
    assert after >= known
    assert_same_bits(compute(ledger=path, order=3, neval=1_500_000), compute(order=3, neval=1_500_000))


def test_two_processes_share_a_ledger(path):
    code = (
        "import sys, nnqft\n"
        "r = nnqft.compute(nnqft.theory('linear', N=int(sys.argv[2]), sigma_w=0.6), 'two_point', order=2,"
        " tau=[0.0, 0.7], integrator='vegas', seed=3, neval=300_000, ledger=sys.argv[1])\n"
        "print(*(x.hex() for x in r.mean.tolist()))\n"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", code, path, n], stdout=subprocess.PIPE, text=True) for n in ("3", "9")
    ]
    said = [process.communicate(timeout=60)[0].split() for process in both]
    for n, words in zip((3, 9), said, strict=True):
        wanted = compute(nnqft.theory("linear", N=n, sigma_w=0.6), neval=300_000)
        assert words == [x.hex() for x in wanted.mean.tolist()]
    assert [row["status"] for row in contents(path).requests] == ["done", "done"]


# The command line


@pytest.fixture
def run(capsys) -> Callable[..., tuple[int, str, str]]:
    def call(*words: object) -> tuple[int, str, str]:
        status = main([str(word) for word in words])
        out, err = capsys.readouterr()
        return status, out, err

    return call


COMMAND = ("compute", "linear", "-p", "N=3", "-p", "sigma_w=0.6", "--tau", "0,0.7", "--integrator", "vegas")


def test_resume_on_the_command_line(path, run, tmp_path):
    out = tmp_path / "c.json"
    limited = (*COMMAND, "--order", "3", "--rtol", "7e-5", "--seed", "3", "--ledger", path)
    status, _, _ = run(*limited, "--time-limit", "0.1")
    assert status == 3
    status, listing, _ = run("ledger", path)
    assert status == 0
    assert "open" in listing
    assert "two_point of linear (stationary; " in listing
    assert "rtol=7e-05" in listing
    status, said, _ = run("resume", path, "--json", out)
    assert status == 0
    assert said.startswith("request 1: two_point of linear")
    wanted = compute(order=3, rtol=7e-5)
    assert_array_equal(nnqft.load(out).mean, wanted.mean)
    status, listing, _ = run("ledger", path, "--json")
    data = json.loads(listing)
    assert data["requests"][0]["status"] == "done"
    assert data["requests"][0]["request"]["order"] == 3
    assert data["records"]["chunk"]["samples"] >= wanted.total.samples
    assert run("resume", path)[0::2] == (2, f"nnqft: '{path}' has nothing unfinished; write --request N to see a"
                                            " finished result again\n")  # fmt: skip
    status, _, _ = run("resume", path, "--request", 1)
    assert status == 0
    assert run("resume", path, "--request", 7)[0] == 2


def test_resume_asks_which_of_several(path, run):
    for order in (2, 3):
        run(*COMMAND, "--order", order, "--rtol", "1e-6", "--ledger", path, "--time-limit", "0.2")
    status, _, err = run("resume", path)
    assert status == 2
    assert "1, 2" in err


@pytest.mark.parametrize("command", ["resume", "ledger"])
def test_a_ledger_that_is_not_there(path, run, command):
    status, _, err = run(command, path)
    assert status == 2
    assert "does not exist" in err
    assert not path.exists()
    assert len(err.splitlines()) == 1


def test_a_ledger_of_a_model_that_is_gone(path, run):
    compute(ledger=path, neval=20_000)
    row = contents(path).requests[0]
    gone = row | {"request": row["request"].replace("linear", "lineal"), "number": 2, "status": "open"}
    connection = sqlite3.connect(path)
    connection.execute(REQUESTS.replace, REQUESTS.sealed(tuple(gone[name] for name in REQUESTS.columns)))
    connection.commit()
    connection.close()
    status, _, err = run("resume", path)
    assert status == 2
    assert "unknown model 'lineal'; did you mean 'linear'?" in err
    assert os.path.exists(path)
