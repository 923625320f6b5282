"""What a message says to write is what works: the hint of each refusal is followed as it stands."""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys

import pytest

from nnqft.cli.main import main
from nnqft.show.page import word

HINTS = {
    "compute": "compute linear -p N=100",
    "simulate linear -p N=5": "--networks 1000",
    "compute linear --order -1": "--order 0",
    "compute linear --neval 0": "--neval 100000",
    "compute linear --max-diagrams 0": "--max-diagrams 250000",
    "compute linear --time-limit 0": "--time-limit 60",
    "compute linear --workers 0": "--workers 1",
    "compute linear --indices 7": "--indices ij",
    "compute linear --executor lcal": "did you mean 'local'",
    "simulate linear networks=50": "--networks 50",
    "simulate linear -p N=5 --networks -1": "--networks 1000",
    "compute linear N=3": "-p N=3",
    "compute linear --oder 2": "--order",
    "meanfield taylor --tau nan": "--tau 0.0,0.5,1.0",
    "phase-diagram taylor --sigma-w inf --sigma-b 0.3": "--sigma-w 1.0",
    "dyson linear --intervals 0": "--intervals 512",
    "dyson linear --intervals 8": "--intervals 64",
    "dyson linear --reach 1e9": "--reach 236",
    "meanfield taylor --layer 1": "wanted a stack of them, model 'feedforward'",
    "published linear": "write for example nnqft published linear -p N=100 -p sigma_w=0.5 --horizon 10",
}
"""Command lines that are refused, and what their line says to write."""


def line_of(arguments: list[str], capsys) -> str:
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    return said.err.strip()


@pytest.mark.parametrize("words", HINTS)
def test_a_hint_is_written_as_the_command_line_has_it(words, capsys):
    assert HINTS[words] in line_of(shlex.split(words), capsys)


@pytest.mark.parametrize("words", [words for words, hint in HINTS.items() if hint.startswith(("--", "-p"))])
def test_a_hint_that_is_followed_works(words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = line_of(shlex.split(words), capsys)
    hint = re.search(r"(?:Did you mean|write(?: for example)?|is written) (--?[-\w]+)(?: ([^\s,?]+))?", line)
    assert hint is not None, line
    option, value = hint[1], hint[2]
    kept = [w for w in shlex.split(words) if "=" not in w or w == "N=5"]
    if option in kept:
        kept[kept.index(option) + 1] = value
    elif "oder" in words:
        kept[kept.index("--oder")] = option
    else:
        kept += [option, value]
    small = ["--rtol", "0.5"] if kept[0] == "simulate" else []
    assert main([*kept, *small, *(["-n", "1"] if kept[0] == "compute" and "--order" not in kept else [])]) in (0, 3)


def test_an_option_that_is_no_other_is_not_suggested(capsys):
    assert "order" not in line_of(["diagrams", "linear", "--workers", "2"], capsys)
    assert "-p name=value" not in line_of(["plugins", "--oder"], capsys)


def test_a_result_is_no_ledger(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["compute", "linear", "-n", "1", "--json", "r.json"]) == 0
    capsys.readouterr()
    assert "nnqft.load('" in line_of(["resume", "r.json"], capsys)


@pytest.mark.parametrize("name", ["my run", "a\tb", "it's", "\x1b[31m", "ä", "\udcff'\\"])
def test_a_word_of_a_command_line_is_the_path(name, tmp_path):
    (tmp_path / name).touch()
    assert word(os.fspath(name)).isprintable()
    said = subprocess.run(["bash", "-c", f"test -e {word(os.fspath(name))}"], cwd=tmp_path, check=False)
    assert said.returncode == 0


@pytest.mark.parametrize("command", ["repair", "ledger", "resume"])
def test_paths_that_the_system_refuses(command, tmp_path, monkeypatch, capsys):
    assert "too long" in line_of([command, "x" * 300], capsys)
    (gone := tmp_path / "gone").mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert "No such file" in line_of([command, "run.ledger"], capsys)


def test_a_terminal_without_greek_letters(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    assert main(["rules", "linear"]) == 0
    assert b"h" in raw.getvalue()


@pytest.mark.parametrize("words", [["meanfield", "linear"], ["compute", "linear", "-n", "1", "--json", "-"]])
def test_a_closed_standard_error_leaves_standard_output_alone(words, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", None)
    assert main(words) == 0
    assert words[-1] != "-" or capsys.readouterr().out.count("\n") == 1
