"""Plugins in words: a line for each of them, or one with its parameters, their limits and an example."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pkgutil import resolve_name
from typing import Any

from nnqft.cli.summaries import summary
from nnqft.errors import raised
from nnqft.host import Host
from nnqft.interfaces.observable import AbstractObservable
from nnqft.interfaces.parameter import Parameter

_KINDS = ("model", "observable", "integrator", "sum", "simulator", "executor", "drawing", "command")
_EXAMPLES = {
    "integrator": "nnqft compute linear -p sigma_w=0.5 -n 1 --integrator {} --rtol 0.01",
    "sum": "nnqft compute taylor -p activation=tanh -p sigma_w=0.5 -n resummed -k 0",
    "simulator": "nnqft check linear -p N=20 -p sigma_w=0.4 --samples 200",
    "executor": "nnqft compute linear -p sigma_w=0.5 -n 1 --executor {}",
    "drawing": "nnqft diagrams linear -n 1 --drawing {}",
    "command": "nnqft {} --help",
}


def list_of(host: Host) -> Iterator[str]:
    """A line for each plugin by kind, models first, then those that are broken."""
    for kind in _KINDS:
        yield f"{kind}s"
        table = host.found[kind]
        width = max((len(name) for name in table), default=0)
        for name, (thing, plugin) in table.items():
            starts = f" ({', '.join(thing.starts)})" if kind == "model" else ""
            brought = f"  [{plugin}]" if not plugin.startswith("nnqft") else ""
            yield f"  {name:<{width}}  {summary_of(kind, thing)}{starts}{brought}"
    for plugin, cause in host.broken.items():
        yield f"broken: {plugin}: {cause}"
    yield "nnqft plugins NAME shows one with its parameters"


def summary_of(kind: str, thing: Any) -> str:
    """What a plugin says of itself in a line; of a command the first line of its docstring."""
    if kind == "command":
        if (words := summary(thing)) is not None:
            return words.partition("\n")[0]
        try:
            thing = resolve_name(thing)
        except Exception as error:  # a plugin's code may raise anything
            return f"broken: {raised(error)}"
    words = getattr(thing, "summary", "") or getattr(thing, "help", "") or getattr(thing, "__doc__", "") or ""
    return str(words).strip().partition("\n")[0]


def described(kind: str, name: str, thing: Any, plugin: str) -> Iterator[str]:
    """What it is, its parameters with defaults and limits, and an example."""
    yield f"{kind} {name}, of plugin {plugin}: {summary_of(kind, thing)}"
    if kind == "model":
        yield f"starts: {', '.join(thing.starts)}"
    yield from _aligned(getattr(thing, "parameters", None) or {})
    yield f"example: {example_of(kind, name, thing)}"


def _aligned(parameters: Mapping[str, Parameter]) -> Iterator[str]:
    rows = [("parameter", "default", "values", "meaning")]
    for name, spec in parameters.items():
        rows.append((name, "–" if spec.default is None else str(spec.default), limits_of(spec), spec.meaning))
    if len(rows) == 1:
        return
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        yield "  " + "  ".join([*(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)), row[3]])


def limits_of(spec: Parameter) -> str:
    """Which values a parameter takes, in a few words; nothing for one with a check of its own."""
    if spec.check is not None:
        return ""
    words = ["whole"] if spec.integer else []
    if math.isfinite(spec.low):
        words.append(f"{'>' if spec.open_low else '≥'} {spec.low:g}")
    # The usual upper limit is only where floating point would overflow.
    if spec.high < Parameter.high:
        words.append(f"≤ {spec.high:g}")
    return ", ".join(words) or "any number"


def example_of(kind: str, name: str, thing: Any) -> str:
    """A line to try it with."""
    if kind == "model":
        shown = next((f" -p {p}={s.default}" for p, s in thing.parameters.items() if isinstance(s.default, float)), "")
        times = "" if "stationary" in thing.starts else f" --start {thing.starts[0]} --times 1,1"
        return f"nnqft compute {name}{shown} -n 1{times}"
    if kind == "observable":
        times = "" if thing.arity in (0, 2) else f" --times {','.join(['0'] * (thing.arity or 2))}"
        summed = isinstance(thing, AbstractObservable) and type(thing).resummed is not AbstractObservable.resummed
        order = "--order resummed --width-order 0" if summed else "-n 1"
        return f"nnqft compute linear -p sigma_w=0.5 -O {name} {order}{times}"
    return _EXAMPLES[kind].format(name)
