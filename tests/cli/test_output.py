"""What commands write: JSON to a pipe with the table beside it, and paths that are refused before anything is done."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nnqft.cli.main import main

PROGRAM = str(Path(sys.executable).parent / "nnqft")
LINEAR = ["linear", "-p", "sigma_w=0.5", "-p", "N=10"]
SHOWN = {
    "compute": ["compute", *LINEAR, "-n", "1"],
    "several": ["compute", *LINEAR, "-n", "1", "-O", "two_point,correlation_length"],
    "derived": ["compute", *LINEAR, "-n", "1", "-O", "effective_bias"],
    "resummed": ["compute", *LINEAR, "-n", "resummed", "-k", "1"],
    "dyson": ["dyson", *LINEAR, "-n", "1"],
    "simulate": ["simulate", *LINEAR, "--networks", "40"],
    "meanfield": ["meanfield", "taylor", "-p", "activation=tanh", "--tau", "0:2:3"],
    "layers": ["meanfield", "feedforward", "-p", "activation=tanh", "-p", "sigma_w=1.5", "--layer", "1"],
    "phase-diagram": ["phase-diagram", "taylor", "-p", "activation=tanh", "--sigma-w", "1,2", "--sigma-b", "0"],
    "published": ["published", *LINEAR, "--horizon", "5"],
    "resume": ["resume", "run.ledger", "--request", "1"],
}


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("case", SHOWN)
def test_json_goes_to_stdout_and_the_table_to_stderr(case, folder, capsys):
    if case == "resume":
        assert main(["compute", *LINEAR, "-n", "1", "--ledger", "run.ledger"]) == 0
    assert main(SHOWN[case]) == 0
    table = capsys.readouterr().out
    done = main([*SHOWN[case], "--json", "-"])
    output = capsys.readouterr()
    assert done == 0
    data = json.loads(output.out)
    assert output.out.count("\n") == 1
    assert set(data) == {"two_point", "correlation_length"} if case == "several" else "notes" in data or data
    first, *_ = table.strip().splitlines()[-30:]
    assert first.split()[0] in output.err
    assert not list(folder.glob("-"))


@pytest.mark.parametrize("case", SHOWN)
def test_the_file_holds_what_the_pipe_gets(case, folder, capsys):
    if case in ("several", "resume"):
        pytest.skip("several files, and a ledger to make")
    assert main([*SHOWN[case], "--json", "a.json"]) == 0
    capsys.readouterr()
    assert main([*SHOWN[case], "--json", "-"]) == 0
    piped, written = json.loads(capsys.readouterr().out), json.loads(Path("a.json").read_text())
    assert set(piped) == set(written)
    for name in ("mean", "C", "lyapunov", "xi", "two_point", "request", "parameters"):
        assert piped.get(name) == written.get(name)


def test_a_real_pipe(folder):
    command = f"{PROGRAM} {' '.join(SHOWN['several'])} --json - 2> table.txt | {sys.executable} -m json.tool --compact"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) == {"two_point", "correlation_length"}
    assert "correlation_length" in Path("table.txt").read_text()


WRITES = [case for case in SHOWN if case not in ("several", "derived", "resummed", "layers", "resume")]


@pytest.mark.parametrize(
    ("option", "path", "wanted"),
    [
        ("--json", "x.csv", ".json"),
        ("--json", "no/folder.json", "folder that exists"),
        ("--json", ".", "folder that exists"),
        ("--plot", "x.nonsense", "x.nonsense"),
        ("--plot", "no/folder.png", "folder that exists"),
    ],
)
@pytest.mark.parametrize("case", WRITES)
def test_a_path_that_cannot_be_written_is_refused_first(case, option, path, wanted, folder, capsys):
    status = main([*SHOWN[case], option, path])
    output = capsys.readouterr()
    assert (status, output.out, output.err.count("\n")) == (2, "", 1)
    assert wanted in output.err
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    "words", [["study", "test-it", "--out", "there/x"], [*SHOWN["compute"], "--json", "there/x.json"]]
)
def test_a_folder_without_permission_is_refused_first(words, folder, monkeypatch, capsys):
    (folder / "there").mkdir()
    monkeypatch.setattr("os.access", lambda path, mode: "there" not in str(path))
    assert main(words) == 2
    output = capsys.readouterr()
    assert (output.out, output.err.count("\n")) == ("", 1)
    assert "cannot" in output.err


def test_a_folder_of_a_study_that_is_a_file(folder, capsys):
    (folder / "file").write_text("")
    assert main(["study", "test-it", "--out", "file/x"]) == 2
    assert "cannot be made" in capsys.readouterr().err
