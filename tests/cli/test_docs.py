"""Every command that a document shows is run, and no document shows one that the program refuses."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest
from commands import run_smaller, said

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NOT_HERE = {
    "--address auto": "needs a Ray cluster of several machines",
    "study test-it": "takes minutes; tests/cli/test_help.py runs a small one",
    "sine": "is a model of the plugin that is shown as an example; tests/house/test_third_party.py runs it",
}
"""What is not run, by a part of the command, and why."""


def commands() -> list[str]:
    """The lines of indented and fenced blocks that begin with the program's name, each once."""
    lines = [line.strip() for page in PAGES for line in page.read_text(encoding="utf-8").splitlines()]
    lines = [line.partition("  # ")[0].rstrip() for line in lines]
    return list(dict.fromkeys(line for line in lines if re.match(r"(\$ )?nnqft [a-z-]+( |$)", line)))


def is_run_here(line: str) -> bool:
    return not any(part in line for part in NOT_HERE)


def test_the_documents_show_commands():
    assert len(commands()) > 25
    assert all(any(part in line for line in commands()) for part in NOT_HERE)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("line", [line for line in commands() if is_run_here(line)])
def test_every_command_runs(line, folder):
    assert run_smaller(line.removeprefix("$ ")).strip()


@pytest.mark.parametrize("line", commands())
def test_every_command_is_read_as_it_stands(line):
    said([*shlex.split(line.removeprefix("$ "), comments=True)[1:], "--help"])


def diagrams_of(line: str) -> list[str] | None:
    """The command that lists the diagrams of a computation at the order that a document names, if it names one."""
    words = shlex.split(line, comments=True)[1:]
    if words[0] != "compute" or "resummed" in words or "-O" in words:
        return None
    wanted = {"-p": "-p", "--order": "-n", "-n": "-n", "--width-order": "-k", "-k": "-k", "--start": "--start"}
    found = ["diagrams", words[1]]
    for option, value in pairwise(words):
        found += [wanted[option], value] if option in wanted else []
    return found if "-n" in found else None


@pytest.mark.parametrize("line", [line for line in commands() if is_run_here(line) and diagrams_of(line)])
def test_no_computation_has_too_many_diagrams(line):
    words = diagrams_of(line)
    assert words is not None
    assert re.match(r"\d+ diagrams of ", said(words))
