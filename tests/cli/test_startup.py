"""What is imported when: hooks are called when something of their kind is asked for, help is read from the source."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType

import pytest

import nnqft
from nnqft.cli.summaries import summary
from nnqft.host import KINDS, Host, PluginWarning, default_host

HEAVY = ("scipy", "networkx", "matplotlib", "ray", "jax", "pynauty", "gvar", "vegas", "mpmath")


@pytest.fixture
def counted(monkeypatch) -> tuple[Host, list[str]]:
    """A host that was not asked for anything, and the hooks of a plugin that were called since."""
    called: list[str] = []
    module = ModuleType("counted")
    for hook in KINDS:
        setattr(module, hook, nnqft.hookimpl(lambda hook=hook: called.append(hook) or {}))
    monkeypatch.setitem(sys.modules, "counted", module)
    own = [point for point in entry_points(group="nnqft") if point.name == "nnqft"]
    return Host.find([*own, EntryPoint("counted", "counted", "nnqft")]), called


def test_a_hook_is_called_when_its_kind_is_asked_for_and_once(counted):
    host, called = counted
    assert called == []
    host.model("linear")
    host.model("linear")
    assert called == ["nnqft_models"]
    assert host.table("observable")["two_point"]
    assert called == ["nnqft_models", "nnqft_observables"]
    assert set(host.found) == set(KINDS.values())
    assert not host.broken
    assert sorted(called) == sorted(KINDS)


def test_an_unknown_name_lists_what_is_broken_in_other_kinds(monkeypatch):
    module = ModuleType("bad")
    module.nnqft_drawings = nnqft.hookimpl(lambda: None)
    monkeypatch.setitem(sys.modules, "bad", module)
    own = [point for point in entry_points(group="nnqft") if point.name == "nnqft"]
    host = Host.find([*own, EntryPoint("bad", "bad", "nnqft")])
    with (
        pytest.warns(PluginWarning, match="'bad'"),
        pytest.raises(nnqft.UnknownNameError, match=r"\(broken plugins: bad\)"),
    ):
        host.get("model", "no such model")


@pytest.mark.parametrize("words", ["['--help']", "['--version']", "['compute', '--help']"])
def test_help_imports_nothing_heavy(words):
    code = (
        "import sys; from nnqft.cli import main; assert main(" + words + ") == 0;"
        f" print(*(m for m in {HEAVY} if m in sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr.split() == []


def test_every_command_of_nnqft_is_described_without_its_module():
    paths = " ".join(path for path, _ in default_host().table("command").values())
    code = f"from nnqft.cli.summaries import summary; print(*map(summary, {paths!r}.split()), sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == len(paths.split())
    assert all(line.endswith(".") and line[0].isupper() for line in lines)


SOURCE = '''
from elsewhere import imported
from cyclopts import App

def function(x: int) -> None:
    """Do it.

    With care.
    """

async def later():
    """Do it later."""

def silent():
    pass

app = App(name="app", help="Do all.")
unclear = App(help=function.__doc__)
number = 3
'''


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("function", "Do it."), ("app", "Do all."), ("later", None), ("silent", None), ("unclear", None),
     ("number", None), ("imported", None), ("missing", None)],
)  # fmt: skip
def test_what_a_source_says_of_a_command(tmp_path, monkeypatch, name, wanted):
    (tmp_path / "shop" / "till").mkdir(parents=True)
    (tmp_path / "shop" / "till" / "__init__.py").write_text("raise RuntimeError('imported')")
    (tmp_path / "shop" / "till" / "commands.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    assert summary(f"shop.till.commands:{name}") == wanted
    assert not any(module.startswith("shop") for module in sys.modules)


@pytest.mark.parametrize("path", ["surely_no_such_module:f", "sys:exit", "json.tool.x:f", "bad_source:f", "a..b:f"])
def test_a_source_that_cannot_be_read(tmp_path, monkeypatch, path):
    (tmp_path / "bad_source.py").write_text("def f(:")
    monkeypatch.syspath_prepend(tmp_path)
    assert summary(path) is None
