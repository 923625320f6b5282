"""What a plugin raises is told with its file and line: its own, not a library's within it and not nnqft's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import blamed
import pytest

import nnqft
from nnqft.cli.main import main
from nnqft.errors import raised
from nnqft.host import default_host, open_executor, plugin_errors

HERE = "blamed.py"
THEORY = nnqft.theory("linear", N=5, sigma_w=0.5)
LINES = Path(blamed.__file__).read_text(encoding="utf-8").splitlines()


def line_of(text: str) -> int:
    """The number of the one line that ends with this comment."""
    (number,) = (n for n, line in enumerate(LINES, 1) if line.endswith(f"# {text}"))
    return number


def place(text: str) -> str:
    return f"({HERE}, line {line_of(text)})"


def said(call: Callable[[], Any]) -> str:
    with pytest.raises(nnqft.NnqftError) as caught:
        call()
    message = str(caught.value)
    assert message.isprintable()
    return message


def using(monkeypatch: pytest.MonkeyPatch, kind: str, name: str, thing: Any) -> None:
    monkeypatch.setitem(default_host().found[kind], name, (thing, "third"))


def test_a_library_within_is_not_named():
    with pytest.raises(nnqft.PluginError) as caught, plugin_errors("it"):
        blamed.within_numpy()
    assert str(caught.value).startswith("it raised LinAlgError: ")
    assert str(caught.value).endswith(place("numpy raises"))


def test_no_place_where_no_line_of_python_was_reached():
    assert raised(KeyError("k")) == "KeyError: 'k'"


def test_models():
    assert place("model") in said(lambda: nnqft.theory(blamed.Model()))


def test_observables(monkeypatch):
    using(monkeypatch, "observable", "legs", blamed.Legs())
    assert place("observable") in said(lambda: nnqft.diagrams(THEORY, "legs", order=1))


@pytest.mark.parametrize("where", ["supports", "prepare", "sample"])
@pytest.mark.parametrize("executor", ["local", "processes"])
def test_integrators_also_on_workers(where, executor, monkeypatch):
    using(monkeypatch, "integrator", "sampler", blamed.Sampler(where))
    ask = {"order": 1, "neval": 2000, "integrator": "sampler", "executor": executor, "workers": 1}
    message = said(lambda: nnqft.compute(THEORY, "two_point", **ask))
    assert f"integrator 'sampler' raised KeyError: 'amplitude' {place(where)}" in message


@pytest.mark.parametrize("executor", ["local", "processes"])
@pytest.mark.parametrize("what", ["kernel", "delay"])
def test_kernels_and_delays_also_on_workers(what, executor):
    from dataclasses import replace

    changed = {"kernel": ("C", {"terms": (), "kernel": blamed.kernel}), "delay": ("G", {"delay": blamed.delay})}
    name, functions = changed[what]
    lines = tuple(replace(p, **functions) if p.name == name else p for p in THEORY.propagators)
    theory = replace(THEORY, propagators=lines)
    ask: dict[str, Any] = {"order": 1, "neval": 2000, "executor": executor, "integrator": "vegas"}
    message = said(lambda: nnqft.compute(theory, "two_point", **ask))
    assert f"{what} of propagator {name!r} raised KeyError: 'amplitude' {place(what)}" in message


def test_factories_of_executors(monkeypatch):
    using(monkeypatch, "executor", "mine", blamed.factory)
    assert f"executor 'mine' raised KeyError: 'amplitude' {place('factory')}" in said(lambda: open_executor("mine"))


@pytest.mark.parametrize(("kind", "thing", "words"), [
    ("drawing", blamed.draw, ["diagrams", "linear", "-n", "1", "--drawing", "mine"]),
    ("command", "blamed:command", ["mine"]),
])  # fmt: skip
def test_drawings_and_commands(kind: str, thing: Any, words: Sequence[str], monkeypatch, capsys):
    using(monkeypatch, kind, "mine", thing)
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"{kind} 'mine'" in error
    assert f"raised KeyError: 'amplitude' {place(kind)}" in error


def test_a_mistake_of_ours_keeps_its_traceback(monkeypatch):
    def broken(model: str) -> int:
        raise KeyError("ours")

    monkeypatch.setattr("nnqft.cli.listing.rules", broken)
    with pytest.raises(KeyError):
        main(["rules", "linear"])
