"""What a new user sees: help with panels and examples that run, the list of plugins, completion for shells."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from pkgutil import resolve_name

import pytest
from commands import run_smaller, said
from cyclopts import App

from nnqft.cli.completion import COMPLETION
from nnqft.cli.examples import examples_of
from nnqft.cli.main import main
from nnqft.host import default_host

COMMANDS = [*default_host().found["command"], COMPLETION]
PAGES = [[name] for name in COMMANDS if name != "study"] + [["study", "test-it"]]


def examples() -> list[str]:
    found = []
    for name, (path, _) in default_host().found["command"].items():
        thing = resolve_name(path)
        apps = [thing[each] for each in thing if not each.startswith("-")] if isinstance(thing, App) else []
        for function in [app.default_command for app in apps] or [thing]:
            lines = examples_of(function)
            assert len(lines) == 2, f"{name} shows {len(lines)} examples"
            found += lines
    return found


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("words", PAGES, ids=" ".join)
def test_help_has_panels_examples_and_80_columns(words, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    page = said([*words, "--help"])
    assert max(map(len, page.splitlines())) <= 80
    assert not re.search(r"─ (Parameters|Arguments|Commands) ─", page), "an option without a panel"
    _, _, shown = page.partition("\nExamples:\n")
    lines = shown.rstrip().splitlines()
    assert len(lines) == 2
    assert all(line.startswith(f"  nnqft {' '.join(words)}") for line in lines)


@pytest.mark.parametrize("words", PAGES, ids=" ".join)
def test_every_option_says_what_it_is(words, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    for line in said([*words, "--help"]).splitlines():
        if re.match(r"│ +(\* +)?(-|[A-Z]+ )", line):
            text = re.sub(r"\[(default|required|choices).*?\]", "", line.strip("│ "))
            assert re.search(r"\S {2,}\S.*[.…:;!?]", text), f"no help in: {line}"


@pytest.mark.parametrize("line", examples())
def test_every_example_runs(line, folder):
    assert run_smaller(line).strip()


def test_a_default_of_the_study_is_that_of_its_help(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert "[default: processes]" in said(["study", "test-it", "--help"])


def test_every_example_is_read_as_it_stands(folder):
    """Also of the options that the runs above replace."""
    for line in examples():
        said([*shlex.split(line)[1:], "--help"])


# The list of plugins


def test_the_list_of_plugins_is_short_and_begins_with_models():
    lines = said(["plugins"]).splitlines()
    assert len(lines) < 60
    assert lines[0] == "models"
    assert re.fullmatch(r"  linear +random network .*\(stationary, rest\)", lines[1])
    for kind, table in default_host().found.items():
        assert f"{kind}s" in lines
        for name in table:
            assert any(re.match(rf"  {name} +\S", line) for line in lines), name
    assert not any("str(object" in line or "nnqft_plugins." in line for line in lines)


@pytest.mark.parametrize("name", default_host().found["model"])
def test_one_model_with_all_its_parameters(name):
    page = said(["plugins", name])
    model = default_host().model(name)
    table = page[page.index("  parameter") :].splitlines()
    column = table[0].index("meaning")
    for (parameter, spec), row in zip(model.parameters.items(), table[1:], strict=False):
        assert row.split()[0] == parameter
        assert row[column:] == spec.meaning
    assert re.search(r"\n  N +100 +whole, ≥ 1 +width", page) or "N" not in model.parameters


@pytest.mark.parametrize("kind", ["model", "observable", "drawing", "command", "integrator", "sum", "simulator"])
def test_the_examples_of_plugins_run(kind, folder):
    for name in default_host().found[kind]:
        line = said(["plugins", name]).splitlines()[-1]
        words = shlex.split(line.removeprefix("example: "))[1:]
        if name != "jax":
            said(words)


def test_a_name_of_two_plugins_shows_both(monkeypatch):
    model = default_host().found["model"]["toy"]
    monkeypatch.setitem(default_host().found["model"], "compute", model)
    page = said(["plugins", "compute"])
    assert "model compute, of plugin" in page
    assert "\n\ncommand compute, of plugin" in page


def test_an_unknown_plugin_is_one_line_with_the_nearest(capsys):
    assert main(["plugins", "liner"]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1
    assert "did you mean 'linear'?" in output.err


# Completion


@pytest.mark.parametrize(
    ("shell", "files"),
    [
        ("bash", {".local/share/bash-completion/completions/nnqft", ".bashrc"}),
        ("zsh", {".zsh/completions/_cyclopts_nnqft", ".zshrc"}),
        ("fish", {".config/fish/completions/nnqft.fish"}),
    ],
)
def test_completion_touches_the_files_that_it_names(shell, files, folder, monkeypatch):
    monkeypatch.delenv("ZSH", raising=False)
    monkeypatch.delenv("ZSH_CUSTOM", raising=False)
    page = said([COMPLETION, "--shell", shell])
    written = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert written == files
    assert all(str(folder / name) in page for name in files)
    script = max((folder / name for name in files), key=lambda path: path.stat().st_size).read_text()
    for word in ("compute", "meanfield", "width-order", "ledger"):
        assert word in script
    again = said([COMPLETION, "--shell", shell])
    assert "added" not in again


def test_completion_of_an_unknown_shell(folder, monkeypatch, capsys):
    from cyclopts.completion import detect

    def fail() -> None:
        raise detect.ShellDetectionError

    monkeypatch.setattr(detect, "detect_shell", fail)
    assert main([COMPLETION]) == 2
    assert "--shell bash" in capsys.readouterr().err
    assert not list(folder.iterdir())


def test_the_help_of_the_program_lists_completion():
    assert COMPLETION in said(["--help"])


def test_a_missing_home_is_one_line(folder, capsys):
    (folder / ".config").write_text("a file where a folder is wanted")
    assert main([COMPLETION, "--shell", "fish"]) == 2
    assert capsys.readouterr().err.startswith("nnqft: cannot install the completion of fish")
