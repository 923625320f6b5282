"""What a progress bar says: what is being done, and how much of it is done, in every stage that takes time."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nnqft
from nnqft.host import open_executor
from nnqft.stages.jobs import make_job

PROGRAM = str(Path(sys.executable).parent / "nnqft")


def states_of(integrator: str) -> list[dict[str, Any]]:
    theory = nnqft.theory("linear", N=10, sigma_w=0.5)
    job = make_job(nnqft.diagrams(theory, "two_point", order=2), np.zeros((1, 2)), integrator)
    seen: list[dict[str, Any]] = []
    open_executor("local").evaluate(job.work, nnqft.Target(rtol=0.1), lambda state: seen.append(dict(state)))
    return seen


def test_exact_integrals_are_counted():
    seen = states_of("exact")
    assert {state["stage"] for state in seen} == {"settling exact integrals"}
    assert seen[0]["samples"] == 0
    assert seen[-1]["samples"] == seen[-1]["expected"] > 0


def test_maps_then_samples_are_counted():
    seen = states_of("vegas")
    stages = list(dict.fromkeys(state.get("stage", "sampling") for state in seen))
    assert stages == ["adapting maps", "sampling"]
    assert all(state["samples"] <= state["expected"] for state in seen)


def on_a_terminal(words: list[str]) -> str:
    """What a command writes to a standard error that is a terminal."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    done = subprocess.Popen([PROGRAM, *words], stdout=subprocess.DEVNULL, stderr=theirs, env=env)
    os.close(theirs)
    text = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        text += part
    os.close(ours)
    assert done.wait(60) == 0, text.decode()
    return text.decode()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["compute", "linear", "-n", "5"], "exact integrals"),
        (["compute", "linear", "-n", "2", "--integrator", "vegas"], "samples"),
        (["dyson", "linear", "-n", "2", "-p", "sigma_w=0.5"], "exact integrals"),
        (["simulate", "linear", "-p", "N=10", "-p", "sigma_w=0.5", "--networks", "50"], "networks"),
        (["meanfield", "taylor", "-p", "activation=tanh"], "solving at infinite width"),
        (["phase-diagram", "taylor", "-p", "activation=tanh", "--sigma-w", "1", "--sigma-b", "0"], "rows"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_every_long_command_shows_a_bar_on_a_terminal(words, said):
    shown = on_a_terminal(words)
    assert said in shown
    assert "adapting maps" not in shown or "vegas" in words
