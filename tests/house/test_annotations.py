"""Public signatures say what goes in and comes out: `Any` stands only where nothing else would be true."""

from __future__ import annotations

import inspect
import re

import pytest

import nnqft

VAGUE = {
    "AbstractDerivedObservable.derive: return": "numbers of whatever kind arithmetic on gvars gives",
    "AbstractExecutor.evaluate: progress": "a plugin's signature, pinned by docs/plugins.md",
    "AbstractIntegrator.prepare: return": "an integrator's own state, which nobody else looks into",
    "AbstractIntegrator.sample: state": "an integrator's own state, which nobody else looks into",
    "AbstractModel.activation: values": "values by name, each of its own type; pinned by docs/plugins.md",
    "AbstractModel.theory: values": "values by name, each of its own type; pinned by docs/plugins.md",
    "Derived.from_data: data": "JSON as it was parsed, for a while: the body is to check it field by field",
    "Check.from_data: data": "JSON as it was parsed, for a while: the body is to check it field by field",
    "Memory: kernel": "a plugin's function; its parameters are the model's own",
    "Parameter: check": "a plugin's function, from any value to the one it makes of it",
    "Parameter.validate: return": "what `check` makes of a value",
    "Propagator: delay": "a plugin's function; its parameters are the model's own",
    "Propagator: kernel": "a plugin's function; its parameters are the model's own",
    "Result.from_data: data": "JSON as it was parsed, for a while: the body is to check it field by field",
    "Theory: parameters": "values by name, each of its own type, with which models calculate",
    "Vertex: kernel": "a plugin's function; its parameters are the model's own",
}
"""Where a public annotation says Any, and why."""


def public_annotations() -> dict[str, str]:
    """Annotations of public functions, and of fields and methods of public classes, as text."""
    table = {}
    for name in nnqft.__all__:
        thing = inspect.unwrap(getattr(nnqft, name))
        if not inspect.isclass(thing) and not inspect.isfunction(thing):
            continue
        members = {name: thing}
        if inspect.isclass(thing):
            for method, value in vars(thing).items():
                function = getattr(value, "fget", None) or getattr(value, "func", None) or value
                function = getattr(function, "__func__", function)
                if inspect.isfunction(function) and (
                    not method.startswith("_") or method in ("__call__", "__getitem__")
                ):
                    members[f"{name}.{method}"] = function
        for member, value in members.items():
            for argument, annotation in inspect.get_annotations(value).items():
                table[f"{member}: {argument}"] = str(annotation)
    return table


def test_any_only_where_nothing_else_is_true():
    vague = {where for where, annotation in public_annotations().items() if re.search(r"\bAny\b", annotation)}
    assert vague == set(VAGUE)


@pytest.mark.parametrize("name", [name for name in nnqft.__all__ if inspect.isfunction(getattr(nnqft, name))])
def test_every_argument_of_a_function_has_a_type(name):
    signature = inspect.signature(inspect.unwrap(getattr(nnqft, name)))
    assert signature.return_annotation is not signature.empty
    assert all(parameter.annotation is not parameter.empty for parameter in signature.parameters.values())
