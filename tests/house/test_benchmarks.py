"""Every benchmark runs whole on its smallest sizes, so that none is broken when it is needed."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("[!_]*.py"))


def imported(path: Path) -> Iterator[str]:
    """The libraries that a script imports, wherever in it; the benchmarks' own pieces begin with an underscore."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
        yield from (name.partition(".")[0] for name in names if not name.startswith("_"))


def saved() -> dict[str, float]:
    """The reports, and when they were written."""
    return {path.name: path.stat().st_mtime for path in (FOLDER / "results").iterdir()}


@pytest.mark.parametrize("name", SCRIPTS)
def test_smoke(name, tmp_path):
    path = FOLDER / f"{name}.py"
    for library in sorted(set(imported(path))):
        if find_spec(library) is None:
            pytest.skip(f"{library} is not installed")
    before = saved()
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(path), "--smoke"], cwd=tmp_path, env=os.environ | one_thread, capture_output=True,
        text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(f"{name}, ")
    assert "asked: " in done.stdout
    assert saved() == before
    assert not any(tmp_path.iterdir())


def test_every_saved_report_has_its_benchmark():
    assert {path.stem for path in (FOLDER / "results").iterdir()} <= set(SCRIPTS)


def test_a_report_is_either_saved_or_a_smoke_test():
    done = subprocess.run(
        [sys.executable, str(FOLDER / "startup.py"), "--smoke", "--save"], capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "not allowed with argument" in done.stderr
