"""What a command does, in the first words of its docstring, without importing its module."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable
from importlib.abc import InspectLoader
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec


def summary(path: str) -> str | None:
    """The first paragraph about the command ``"module:name"``, or None if only importing it can tell.

    A function is described by its docstring, and an App, or another call, by its argument `help`.
    """
    module, _, name = path.partition(":")
    try:
        spec = None if module in sys.modules else _spec(module)
        source = spec.loader.get_source(module) if spec and isinstance(spec.loader, InspectLoader) else None
        words = _described(ast.parse(source or "").body, name)
    except (ImportError, SyntaxError, ValueError):
        return None  # importing it will say what is wrong
    return words.strip().partition("\n\n")[0] if words else None


def _spec(module: str) -> ModuleSpec | None:
    """Where a module is; unlike `importlib.util.find_spec` it imports no package on the way."""
    top, *below = module.split(".")
    spec = find_spec(top)
    for part in below:
        if spec is None or spec.submodule_search_locations is None:
            return None
        spec = PathFinder.find_spec(f"{spec.name}.{part}", spec.submodule_search_locations)
    return spec


def _described(statements: Iterable[ast.stmt], name: str) -> str | None:
    """What the source says of a name at the top of a module."""
    for statement in statements:
        match statement:
            case ast.FunctionDef(name=found) if found == name:
                return ast.get_docstring(statement)
            case ast.Assign(targets=[ast.Name(id=found)], value=ast.Call(keywords=keywords)) if found == name:
                helps = [each.value for each in keywords if each.arg == "help"]
                return next((h.value for h in helps if isinstance(h, ast.Constant) and isinstance(h.value, str)), None)
    return None
