"""Docstrings: every example runs and says what it says, every public name has one, errors are named."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
from pathlib import Path

import pytest

import nnqft

CORE = Path(nnqft.__file__).parent
MODULES = sorted(
    ".".join(("nnqft", *path.relative_to(CORE).with_suffix("").parts)).removesuffix(".__init__")
    for path in CORE.rglob("*.py")
)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
FUNCTIONS = [name for name in nnqft.__all__ if inspect.isfunction(getattr(nnqft, name))]


def examples_of(words: str | None) -> list[doctest.Example]:
    """The examples in a docstring."""
    return doctest.DocTestParser().get_examples(words or "")


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    result = doctest.testmod(importlib.import_module(name), optionflags=FLAGS)
    assert result.failed == 0


@pytest.mark.parametrize("name", [name for name in nnqft.__all__ if name != "hookimpl"])
def test_every_public_name_has_an_example(name):
    assert examples_of(getattr(nnqft, name).__doc__)


def test_hookimpl_has_an_example():
    """It is an instance of pluggy's class, so its example stands where it is made."""
    assert any(
        "@hookimpl" in example.source for example in examples_of(importlib.import_module("nnqft.hookspecs").__doc__)
    )


def test_examples_are_short():
    for name in nnqft.__all__:
        statements = sum(len(ast.parse(example.source).body) for example in examples_of(getattr(nnqft, name).__doc__))
        assert statements <= 8, f"{name}: {statements} statements"


def test_the_package_begins_with_its_shortest_use():
    assert "nnqft.theory(" in nnqft.__doc__
    assert "nnqft.compute(" in nnqft.__doc__


def raised_in(function: object) -> set[str]:
    """Errors of nnqft that a function's own body raises."""
    tree = ast.parse(inspect.cleandoc("\n" + inspect.getsource(function)))
    calls = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)]
    names = {call.func.id for call in calls if isinstance(call.func, ast.Name)}
    return {name for name in names if name in nnqft.__all__}


def public_callables() -> list[tuple[str, object]]:
    """The public functions and the public methods of the public classes, each with its name."""
    found: list[tuple[str, object]] = [(name, inspect.unwrap(getattr(nnqft, name))) for name in FUNCTIONS]
    for name in nnqft.__all__:
        thing = getattr(nnqft, name)
        if inspect.isclass(thing):
            for method, value in vars(thing).items():
                value = getattr(value, "fget", None) or getattr(value, "__func__", value)
                if not method.startswith("_") and inspect.isfunction(value):
                    found.append((f"{name}.{method}", value))
    return found


@pytest.mark.parametrize(("name", "function"), public_callables(), ids=[name for name, _ in public_callables()])
def test_every_error_that_is_raised_is_named(name, function):
    missing = [error for error in raised_in(function) if error not in (function.__doc__ or "")]
    assert not missing


@pytest.mark.parametrize("name", FUNCTIONS)
def test_public_functions_say_what_they_raise(name):
    assert "Raises\n" in getattr(nnqft, name).__doc__ or name == "short"
