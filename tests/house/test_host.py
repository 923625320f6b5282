"""The host of plugins: what it takes, what it refuses, and that a broken plugin costs only itself."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from theories import bare_theory

import nnqft
from nnqft import hookspecs
from nnqft.host import KINDS, Host, PluginWarning, default_host
from nnqft.rules.theory import Theory

OWN = [point for point in entry_points(group="nnqft") if point.name == "nnqft"]
HOOKS = {name: hook for name, hook in vars(hookspecs).items() if getattr(hook, "nnqft_spec", None) is not None}


class Model(nnqft.AbstractModel):
    def __init__(self, name: Any = "mine") -> None:
        self.name = name

    parameters: Mapping[str, nnqft.Parameter] = {"gamma": nnqft.Parameter(1.0, "a rate", low=0.0, open_low=True)}

    def theory(self, start: str, values: Mapping[str, Any]) -> Theory:
        return bare_theory("linear", start=start, gamma=values["gamma"])


class Observable(nnqft.AbstractObservable):
    name = "second"

    def legs(self, theory: Theory, arity: int) -> tuple[nnqft.Leg, ...]:
        return nnqft.Leg("h", 0, "i"), nnqft.Leg("h", 1, "i")


class Integrator(nnqft.AbstractIntegrator):
    name = "guess"

    def supports(self, integral: nnqft.TimeIntegral) -> bool | str:
        return True

    def prepare(self, integral: nnqft.TimeIntegral, seed: np.random.SeedSequence) -> None:
        return None

    def sample(
        self, integral: nnqft.TimeIntegral, state: None, neval: int, seed: np.random.SeedSequence
    ) -> nnqft.Estimate:
        return nnqft.Estimate.exact(np.full(len(integral.times), 42.0))


class Executor(nnqft.AbstractExecutor):
    name = "idle"

    def evaluate(self, work: Sequence[nnqft.Work], target: nnqft.Target, progress: Callable) -> nnqft.Outcome:
        return nnqft.Outcome([None] * len(work), False, "idle")


class Simulator(nnqft.AbstractSimulator):
    name = "nobody"

    def supports(self, theory: nnqft.Theory, needs: Sequence[nnqft.Need], sampling: nnqft.Sampling) -> str:
        return "never"

    def simulate(self, theory: nnqft.Theory, needs: Any, numbers: Any, sampling: nnqft.Sampling) -> nnqft.Simulated:
        raise NotImplementedError


def draw_nothing(diagram: nnqft.Diagram) -> str:
    """Nothing."""
    return ""


def greet(name: str, *, times: int = 1) -> int:
    """Say hello."""
    print(f"hello {name}" * times)
    return 7


WHOLE = {
    "nnqft_models": lambda: [Model()],
    "nnqft_observables": lambda: (Observable(),),
    "nnqft_integrators": lambda: iter([Integrator()]),
    "nnqft_sums": lambda: {"none": lambda *asked: None},
    "nnqft_simulators": lambda: [Simulator()],
    "nnqft_executors": lambda: {"idle": lambda workers=None, address=None: Executor()},
    "nnqft_drawings": lambda: {"nothing": draw_nothing},
    "nnqft_commands": lambda: {"greet": "greeting:greet"},
}
"""A plugin that implements every hook."""


@pytest.fixture
def plugin(monkeypatch) -> Callable[..., EntryPoint]:
    """Makes an entry point of a module with these hooks."""

    def make(name: str, hooks: Mapping[str, Callable[[], Any]], *, marked: bool = True) -> EntryPoint:
        module = ModuleType(f"fake_{name}")
        for hook, function in hooks.items():
            setattr(module, hook, nnqft.hookimpl(fresh(function)) if marked else fresh(function))
        monkeypatch.setitem(sys.modules, module.__name__, module)
        return EntryPoint(name, module.__name__, "nnqft")

    return make


def fresh(function: Callable[[], Any]) -> Callable[[], Any]:
    """A new function each time, because a mark stays on the one it was put on."""

    def hook() -> Any:
        return function()

    return hook


def load(*points: Any) -> tuple[Host, list[str]]:
    """A host with nnqft's own plugin and these, and what it warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        host = Host.load([*OWN, *points])
    assert all(issubclass(w.category, PluginWarning) for w in caught)
    return host, [str(w.message) for w in caught]


def assert_own_work(host: Host) -> None:
    assert host.get("model", "linear").name == "linear"
    assert host.get("observable", "two_point").name == "two_point"
    assert host.get("integrator", "vegas").name == "vegas"


# Hooks


def test_every_hook_is_exercised_here():
    """Fails when a hook is added that this file does not know."""
    assert set(WHOLE) == set(HOOKS) == set(KINDS)


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_says_when_it_is_called_and_what_it_returns(name):
    hook = HOOKS[name]
    assert "called when" in " ".join(hook.__doc__.split()).lower()
    assert hook.__annotations__["return"]


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_alone(plugin, hook):
    host, said = load(plugin("third", {hook: WHOLE[hook]}))
    assert not said
    kind = KINDS[hook]
    brought = [name for name, (_, who) in host.found[kind].items() if who == "third"]
    assert len(brought) == 1
    assert host.get(kind, brought[0])
    assert_own_work(host)


def test_a_plugin_with_every_hook_is_used(plugin, monkeypatch):
    host, said = load(plugin("third", WHOLE), *(p for p in entry_points(group="nnqft") if p.name == "nnqft_builtins"))
    assert not said
    assert not host.broken
    assert all(getattr(nnqft, name) for name in nnqft.__all__)  # no module may be imported while others are patched
    for name, module in list(sys.modules.items()):
        if name.startswith("nnqft.") and hasattr(module, "default_host"):
            monkeypatch.setattr(module, "default_host", lambda: host)
    theory = nnqft.theory("mine", gamma=2.0)
    assert nnqft.diagrams(theory, "second", order=0)[0].order == 0
    result = nnqft.compute(theory, "second", order=0, neval=100, integrator="guess", executor="idle")
    assert result.reason == "idle"
    assert host.get("drawing", "nothing")(nnqft.diagrams(theory, "second", order=0)[0]) == ""


def test_a_command_of_a_plugin(plugin, monkeypatch, capsys):
    from nnqft.cli.main import main

    monkeypatch.setitem(sys.modules, "greeting", SimpleNamespace(greet=greet))
    own = next(p for p in entry_points(group="nnqft") if p.name == "nnqft_builtins")
    host, _ = load(plugin("third", {"nnqft_commands": WHOLE["nnqft_commands"]}), own)
    monkeypatch.setattr("nnqft.host.default_host", lambda: host)
    assert main(["greet", "you", "--times", "2"]) == 7
    assert capsys.readouterr().out == "hello youhello you\n"
    assert main(["greet"]) == 2
    assert "greet: no name was given; write for example nnqft greet --help" in capsys.readouterr().err
    assert main(["rules", "linear"]) == 0
    assert main(["--help"]) == 0
    assert "Say hello." in capsys.readouterr().out


def test_a_command_that_cannot_be_imported(plugin, monkeypatch, capsys):
    from nnqft.cli.main import main

    own = next(p for p in entry_points(group="nnqft") if p.name == "nnqft_builtins")
    host, _ = load(plugin("third", {"nnqft_commands": WHOLE["nnqft_commands"]}), own)
    monkeypatch.setattr("nnqft.host.default_host", lambda: host)
    assert main(["greet", "you"]) == 2
    assert "No module named 'greeting'" in capsys.readouterr().err
    assert main(["--help"]) == 0
    assert "'third' is broken" in capsys.readouterr().out


def test_a_command_that_is_taken(plugin):
    own = next(p for p in entry_points(group="nnqft") if p.name == "nnqft_builtins")
    host, said = load(own, plugin("third", {"nnqft_commands": lambda: {"compute": "greeting:greet"}}))
    refused(host, said, "'compute'", "rename it")


@pytest.mark.parametrize("thing", [3, greet, "greeting", ":greet", "greeting:"])
def test_a_command_that_is_no_path(plugin, thing):
    refused(*load(plugin("third", {"nnqft_commands": lambda: {"thing": thing}})), "'thing'", "module:function")


def test_the_installed_plugins_load_without_a_warning():
    assert not default_host().broken
    assert all(default_host().found.values())


def test_loading_again_finds_the_same():
    for name in ("local", "processes"):
        default_host().get("executor", name)(workers=1).close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = Host.load()
    assert {kind: list(table) for kind, table in again.found.items()} == {
        kind: list(table) for kind, table in default_host().found.items()
    }


@pytest.mark.parametrize(
    "module",
    ["nnqft_workers.local", "nnqft_workers.processes", "nnqft_workers.ray_executor", "nnqft_workers.scheduler",
     "nnqft_plugins.models.linear", "nnqft.graphs.text", "nnqft.cli.main", "nnqft.host"],
)  # fmt: skip
def test_any_module_may_be_imported_first(module):
    code = (
        f"import warnings; warnings.simplefilter('error'); import {module}; import nnqft.host as h;"
        " print(sorted(h.default_host().found['executor']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.splitlines()[-1]
    assert done.stdout.strip() == str(sorted(default_host().found["executor"]))


# Broken plugins


class ImportErrorPoint(SimpleNamespace):
    def load(self) -> Any:
        raise self.error


def point_that_raises(error: BaseException) -> Any:
    return ImportErrorPoint(name="third", value="no_such_module", dist=None, error=error)


@pytest.mark.parametrize(
    "error", [ImportError("no module named x"), SyntaxError("bad"), RuntimeError("boo"), KeyError("k"), ValueError()],
    ids=repr,
)  # fmt: skip
def test_a_plugin_that_cannot_be_imported(error):
    host, said = load(point_that_raises(error))
    assert len(said) == 1
    assert "'third'" in said[0]
    assert type(error).__name__ in said[0]
    assert str(error) in said[0]
    assert_own_work(host)
    with pytest.raises(nnqft.PluginError, match=type(error).__name__):
        host.get("model", "third")


def test_a_module_that_is_missing():
    host, said = load(EntryPoint("third", "surely_no_such_module", "nnqft"))
    assert "surely_no_such_module" in said[0]
    with pytest.raises(nnqft.PluginError, match="surely_no_such_module"):
        host.get("integrator", "third")


def test_an_attribute_that_is_missing():
    _, said = load(EntryPoint("third", "nnqft:surely_no_such_thing", "nnqft"))
    assert "surely_no_such_thing" in said[0]


def refused(host: Host, said: list[str], *wanted: str) -> None:
    """One warning that names the plugin and the cause; asking by its name says the same."""
    assert len(said) == 1, said
    for text in ("third", *wanted):
        assert text in said[0], f"{text!r} is missing in: {said[0]}"
    assert "\n" not in said[0]
    assert_own_work(host)
    for kind in KINDS.values():
        with pytest.raises(nnqft.PluginError) as caught:
            host.get(kind, "third")
        for text in ("third", *wanted):
            assert text in str(caught.value)


def test_a_misspelt_hook(plugin):
    refused(*load(plugin("third", {"nnqft_model": lambda: [Model()]})), "nnqft_model", "did you mean 'nnqft_models'")


def test_a_hook_without_its_mark(plugin):
    refused(*load(plugin("third", {"nnqft_models": lambda: [Model()]}, marked=False)), "nnqft_models", "hookimpl")


def test_a_name_that_is_taken(plugin):
    host, said = load(plugin("third", {"nnqft_models": lambda: [Model("linear"), Model("mine")]}))
    refused(host, said, "'linear'", "already provided by plugin 'nnqft'")
    assert type(host.get("model", "linear")).__module__.startswith("nnqft_plugins")
    assert isinstance(host.get("model", "mine"), Model)  # the rest of the plugin still works


def test_two_strangers_with_one_name(plugin):
    host, said = load(
        plugin("third", {"nnqft_models": lambda: [Model("mine")]}),
        plugin("fourth", {"nnqft_models": lambda: [Model("mine")]}),
    )
    assert len(said) == 1
    assert host.found["model"]["mine"][1] == "fourth"  # the first by name, not by chance
    assert "'third'" in said[0]


@pytest.mark.parametrize("hook", ["nnqft_models", "nnqft_observables", "nnqft_integrators", "nnqft_simulators"])
@pytest.mark.parametrize("thing", [SimpleNamespace(name="thing"), Model, "text"], ids=["stranger", "class", "text"])
def test_an_object_of_the_wrong_type(plugin, hook, thing):
    refused(*load(plugin("third", {hook: lambda: [thing]})), KINDS[hook])


@pytest.mark.parametrize("hook", ["nnqft_sums", "nnqft_executors", "nnqft_drawings"])
def test_a_mapping_of_the_wrong_type(plugin, hook):
    refused(*load(plugin("third", {hook: lambda: {"thing": 3}})), KINDS[hook], "'thing'", "callable")
    refused(*load(plugin("third", {hook: lambda: {3: draw_nothing}})), KINDS[hook], "name")


@pytest.mark.parametrize("returned", [None, 3, object(), Model()], ids=["None", "3", "object", "Model"])
@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_that_returns_no_sequence(plugin, hook, returned):
    refused(*load(plugin("third", {hook: lambda: returned})), KINDS[hook], "wanted")


@pytest.mark.parametrize("name", [None, "", 3, ["x"]], ids=repr)
def test_an_object_without_a_name(plugin, name):
    refused(*load(plugin("third", {"nnqft_models": lambda: [Model(name)]})), "model", "name")


def test_a_hook_that_raises(plugin):
    def broken() -> Any:
        raise ZeroDivisionError("one over zero")

    host, said = load(plugin("third", {"nnqft_models": broken, "nnqft_observables": WHOLE["nnqft_observables"]}))
    refused(host, said, "ZeroDivisionError", "one over zero")


def test_a_plugin_may_be_broken_in_several_ways(plugin):
    host, said = load(
        plugin("third", {"nnqft_models": lambda: [Model("linear"), SimpleNamespace(name="x"), Model("mine")]})
    )
    assert len(said) == 2
    with pytest.raises(nnqft.PluginError, match=r"linear.*AbstractModel"):
        host.get("model", "third")
    assert host.get("model", "mine")


def test_the_command_line_lists_what_is_broken(plugin, monkeypatch, capsys):
    own = next(p for p in entry_points(group="nnqft") if p.name == "nnqft_builtins")
    host, _ = load(plugin("third", {"nnqft_model": lambda: []}), own)
    monkeypatch.setattr("nnqft.host.default_host", lambda: host)
    from nnqft.cli.main import main

    assert main(["plugins"]) == 0
    assert "broken: third: " in capsys.readouterr().out


def test_a_warning_reaches_the_command_line_as_one_line(tmp_path):
    """A real installed distribution with a broken entry point."""
    info = tmp_path / "third_party-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[nnqft]\nthird = surely_no_such_module\n")
    code = "import sys; from nnqft.cli import main; sys.exit(main(['rules', 'third']))"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("nnqft: warning: ")
    assert all("third" in line and "surely_no_such_module" in line for line in lines)
