"""What type checkers see of the public functions: overloads that give one type each."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
from typing import assert_type

import nnqft

theory = nnqft.theory("linear", N=100, sigma_w=0.5)
assert_type(theory, nnqft.Theory)
assert_type(nnqft.diagrams(theory, "two_point", order=1), nnqft.DiagramSet)
assert_type(nnqft.compute(theory, "two_point", order=1, tau=[0.0, 1.0], rtol=1e-3), nnqft.Result)
assert_type(nnqft.compute(theory, "correlation_length", order=1), nnqft.Derived)
assert_type(nnqft.compute(theory, ["two_point", "mean"], order=1), dict[str, nnqft.Result | nnqft.Derived])
assert_type(nnqft.load("result.json"), nnqft.Result | nnqft.Derived | nnqft.Dyson | nnqft.Check)
assert_type(nnqft.load("result.json", nnqft.Result), nnqft.Result)
assert_type(nnqft.dyson(theory, order=1), nnqft.Dyson)
assert_type(nnqft.check(theory, "two_point", N=[20, 40]), nnqft.Check)
nnqft.compute(theory, "two_point", order=1, width=1)  # type: ignore[call-overload]
"""


def test_overloads(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "mypy", "--config-file", str(root / "pyproject.toml"), "--warn-unused-ignores"]
    done = subprocess.run([*command, str(script)], capture_output=True, text=True, timeout=300, cwd=root, check=False)
    assert done.returncode == 0, done.stdout


def test_bundled_derived_observables_are_known_to_type_checkers():
    from typing import get_args

    import nnqft
    from nnqft.host import default_host
    from nnqft.pipeline.compute import DerivedName

    derived = [
        name
        for name, (thing, plugin) in default_host().found["observable"].items()
        if isinstance(thing, nnqft.AbstractDerivedObservable) and plugin == "nnqft"
    ]
    assert sorted(get_args(DerivedName)) == sorted(derived)
