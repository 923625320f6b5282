"""Signals end the program with what there is: estimate, file and status; and disturb nothing that is being written."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import nnqft
from nnqft import interrupts
from nnqft.cli.main import main
from nnqft.cli.signals import Answers, Interrupted

ENDS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
PROGRAM = str(Path(sys.executable).parent / "nnqft")
LONG = [
    PROGRAM, "compute", "cubic_tanh", "-p", "N=5", "-p", "sigma_w=0.5", "-p", "expansion=bare", "-n", "2", "-k", "0",
    "--integrator", "vegas", "--neval", "2000000000", "--executor", "processes", "--workers", "1",
    "--ledger", "run.ledger", "--json", "out.json",
]  # fmt: skip


def samples_in(ledger: Path) -> bool:
    from nnqft_workers.ledger_list import contents

    with contextlib.suppress(nnqft.LedgerError):  # while it is being made
        return contents(ledger).records.get("chunk", (0, 0))[0] > 4
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_the_estimate_so_far_is_printed_and_written(tmp_path, number):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    driver = subprocess.Popen(
        LONG, cwd=tmp_path, start_new_session=True, env=os.environ | {"TMPDIR": str(temporary)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    end = time.monotonic() + 60
    while not samples_in(tmp_path / "run.ledger"):
        assert time.monotonic() < end
        time.sleep(0.05)
    os.killpg(driver.pid, number)
    os.killpg(driver.pid, number)  # as timeout and terminals do
    output, errors = driver.communicate(timeout=60)
    assert (driver.returncode, errors) == (3, "")
    assert "interrupted" in output
    assert json.loads((tmp_path / "out.json").read_text())["reason"] == "interrupted"
    assert not list(temporary.iterdir())
    with pytest.raises(ProcessLookupError):
        os.killpg(driver.pid, 0)


STRUCK = """
import os, sys
module, number = sys.argv[1], int(sys.argv[2])
class Strike:
    def find_spec(self, name, path, target=None):
        if name == module:
            os.kill(os.getpid(), number)
sys.meta_path.insert(0, Strike())
from nnqft.cli.entry import main
sys.argv = ["nnqft", "compute", "linear", "-n", "1", "--integrator", "vegas", "--neval", "1000"]
sys.exit(main())
"""


@pytest.mark.parametrize(
    ("module", "number"),
    [("cyclopts", signal.SIGINT), ("cyclopts", signal.SIGHUP), ("nnqft.pipeline.compute", signal.SIGTERM)],
)
def test_a_signal_during_imports_is_one_line(module, number):
    command = [sys.executable, "-c", STRUCK, module, str(int(number))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (128 + number, "")
    assert done.stderr == "nnqft: interrupted before anything was computed\n"


def test_what_answers_a_signal_is_there_before_it_may_come():
    code = (
        "import sys; from nnqft.cli.signals import Answers; Answers().start(); print('nnqft.interrupts' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "True\n"


@pytest.fixture
def answers():
    before = {number: signal.getsignal(number) for number in ENDS}
    hook, interrupts._State.worked = sys.unraisablehook, True
    one = Answers()
    one.install()
    one.start()
    yield one
    interrupts.forget()
    sys.unraisablehook = hook
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", ENDS, ids=lambda number: number.name)
def test_the_first_is_raised_the_second_waits_and_the_third_ends(answers, number):
    with pytest.raises(Interrupted) as caught:
        signal.raise_signal(number)
    assert caught.value.status == 128 + number
    signal.raise_signal(number)
    with pytest.raises(Interrupted, match="at once"):
        signal.raise_signal(number)


def test_what_is_being_written_is_not_disturbed(answers):
    with interrupts.kept_back():
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Interrupted):
            signal.raise_signal(signal.SIGTERM)


class Destroyed:
    def __del__(self) -> None:
        signal.raise_signal(signal.SIGTERM)


def test_an_interrupt_in_a_destructor_comes_again(answers):
    def wait() -> None:
        Destroyed()
        time.sleep(30)

    with pytest.raises(Interrupted):
        wait()


def test_what_is_ignored_stays_ignored(answers):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    Answers().install()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_the_library_answers_no_signals():
    before = [signal.getsignal(number) for number in ENDS]
    with interrupts.kept_back():
        signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        interrupts.raise_noted()
    nnqft.compute(nnqft.theory("linear"), "two_point", order=1)
    assert [signal.getsignal(number) for number in ENDS] == before


def test_several_names_end_with_what_was_computed(monkeypatch, capsys):
    from nnqft.interfaces.executor import Outcome
    from nnqft_workers import PoolExecutor

    evaluate = PoolExecutor.evaluate

    def interrupted(self, work, target, progress) -> Outcome:
        outcome = evaluate(self, work, target, progress)
        outcome.converged, outcome.reason = False, "interrupted"
        return outcome

    monkeypatch.setattr(PoolExecutor, "evaluate", interrupted)
    assert main(["compute", "linear", "-n", "1", "-O", "two_point,response"]) == 3
    output = capsys.readouterr()
    assert output.err == "nnqft: interrupted before response was computed\n"
    assert "interrupted" in output.out


def test_a_terminal_that_is_closed_costs_no_estimate(tmp_path):
    import pty

    controller, terminal = pty.openpty()
    command = [PROGRAM, "compute", "cubic_tanh", "-p", "expansion=bare", "-p", "sigma_w=0.5", "-n", "2", "-k", "1"]
    command += ["--integrator", "vegas", "--rtol", "1e-7", "--json", str(tmp_path / "r.json")]
    shell = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
    process = subprocess.Popen(
        [sys.executable, "-c", shell, *command],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    seen = b""
    while b"sampling" not in seen:
        seen += os.read(controller, 4096)
    os.close(controller)
    assert process.wait(60) == 3
    assert not nnqft.load(tmp_path / "r.json").converged
