"""Options that commands share, in the panels that their help shows, and what turns their text into values."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Group, Parameter, Token

from nnqft.errors import InputError, short
from nnqft.graphs.generate import MAX_DIAGRAMS

QUESTION = Group("Question", sort_key=1)
ACCURACY = Group("Accuracy", sort_key=2)
WHERE = Group("Where it runs", sort_key=3)
OUTPUT = Group("Output", sort_key=4)


def _whole(_: Any, tokens: Sequence[Token]) -> int:
    """A whole number, also written 1e6; the parser's own conversion would round 2.5."""
    text = tokens[0].value
    try:
        return int(text)
    except ValueError:
        number = float(text)
        if not number.is_integer():
            raise ValueError(f"{text!r} is not a whole number") from None
        return int(number)


def order_or_all(type_: Any, tokens: Sequence[Token]) -> int | str:
    """A whole number, or the word that stands for all orders; other words are refused with the request."""
    text = tokens[0].value
    return text if text.isalpha() else _whole(type_, tokens)


WHOLE = Parameter(converter=_whole)
_INTEGRATOR = Parameter(group=ACCURACY, help="See nnqft plugins; auto chooses for each integral.")
_NEVAL = Parameter(group=ACCURACY, help="Samples to spend over all diagrams.")
_MAX_DIAGRAMS = Parameter(group=ACCURACY, help="Refuse to generate more diagrams than this.")

_JSON = Parameter(
    group=OUTPUT, allow_leading_hyphen=True, help="Write the whole result to this .json file, or - for stdout."
)

Model = Annotated[str, Parameter(group=QUESTION, help="Name of a model; see nnqft plugins.")]
Param = Annotated[
    list[str] | None,
    Parameter(name=["--param", "-p"], negative=(), group=QUESTION, help="A model parameter, name=value."),
]
Start = Annotated[str, Parameter(group=QUESTION, help="stationary (begins at −∞) or rest (h(0) = 0).")]
Observable = Annotated[
    str,
    Parameter(
        name=["--observable", "-O"], group=QUESTION, help="What is computed, one or several: a,b; see nnqft plugins."
    ),
]
Order = Annotated[int, WHOLE, Parameter(name=["--order", "-n"], group=QUESTION, help="Highest order n in σ_w².")]
OrderOrAll = Annotated[
    int | str,
    Parameter(
        converter=order_or_all,
        name=["--order", "-n"],
        group=QUESTION,
        help="Highest order n in σ_w², or resummed for all of them.",
    ),
]
WidthOrder = Annotated[
    int | None,
    WHOLE,
    Parameter(
        name=["--width-order", "-k"], group=QUESTION, help="Highest width order k, the power of 1/N; all if absent."
    ),
]
Tau = Annotated[str | None, Parameter(group=QUESTION, help="Time differences: 0,0.5,1 or start:stop:count.")]
Times = Annotated[str | None, Parameter(group=QUESTION, help='Time tuples: "t,s; t,s; …".')]
Indices = Annotated[
    str | None, Parameter(group=QUESTION, help="Units of the legs, a letter for each: iijj; all one if absent.")
]
Replicas = Annotated[
    str | None, Parameter(group=QUESTION, help="Noise histories of the legs, a letter for each: aabb; one if absent.")
]
MaxDiagrams = Annotated[int, WHOLE, _MAX_DIAGRAMS]
Rtol = Annotated[float | None, Parameter(group=ACCURACY, help="Relative error to reach at every time.")]
Seed = Annotated[int, WHOLE, Parameter(group=ACCURACY, help="All randomness follows from it.")]
Executor = Annotated[str, Parameter(group=WHERE, help="local, processes or ray.")]
Progress = Annotated[bool | None, Parameter(group=WHERE, help="Show a progress bar; by default on a terminal.")]
TimeLimit = Annotated[
    float | None, Parameter(group=ACCURACY, help="Stop after so many seconds with the estimate so far.")
]
LedgerPath = Annotated[
    Path | None,
    Parameter(name="--ledger", group=WHERE, help="Keep finished chunks in this file, and go on from what is there."),
]


DryRun = Annotated[
    bool,
    Parameter(negative=(), group=WHERE, help="Say what would be done and about how long it would take, and stop."),
]


@Parameter(name="*")
@dataclass(frozen=True)
class Accuracy:
    """How well integrals are computed."""

    integrator: Annotated[str, _INTEGRATOR] = "auto"
    rtol: Rtol = None
    atol: Annotated[float | None, Parameter(group=ACCURACY, help="Absolute error to reach at every time.")] = None
    neval: Annotated[int | None, WHOLE, _NEVAL] = None
    seed: Seed = 0
    max_diagrams: MaxDiagrams = MAX_DIAGRAMS


@Parameter(name="*")
@dataclass(frozen=True)
class Place:
    """Where work runs."""

    executor: Executor = "local"
    address: Annotated[
        str | None, Parameter(group=WHERE, help="Of a Ray cluster: auto, host:port or ray://host:port.")
    ] = None
    workers: Annotated[int | None, WHOLE, Parameter(group=WHERE, help="How many; all cores if absent.")] = None
    progress: Progress = None

    @property
    def options(self) -> dict[str, Any]:
        """As the keywords that Python's functions take; the bar is shown on a terminal unless said otherwise."""
        return asdict(self) | {"progress": is_watched() if self.progress is None else self.progress}


@Parameter(name="*")
@dataclass(frozen=True)
class ManyPlaces(Place):
    """Where work runs that is worth every core; a default of its own, so that help and other options know of it."""

    executor: Executor = "processes"


def is_watched() -> bool:
    """Whether standard error is a terminal; it may be closed, as some supervisors have it."""
    return sys.stderr is not None and sys.stderr.isatty()


@Parameter(name="*")
@dataclass(frozen=True)
class Output:
    """Files to write beside the printed table."""

    json: Annotated[Path | None, _JSON] = None
    plot: Annotated[Path | None, Parameter(group=OUTPUT, help="Write a plot to this file.")] = None


def parse_parameters(pairs: Sequence[str] | None) -> dict[str, Any]:
    """name=value pairs as keyword arguments; values are Python literals or plain text."""
    import ast

    values: dict[str, Any] = {}
    for pair in pairs or ():
        name, equals, text = pair.partition("=")
        if not equals or not name.strip():
            raise InputError(f"--param {short(pair)}: wanted name=value, write for example --param sigma_w=0.5")
        try:
            value = ast.literal_eval(text.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            value = _float_or_text(text.strip())
        if name.strip() in values:
            raise InputError(f"--param {name.strip()} was given twice; write it once")
        values[name.strip()] = value
    if "start" in values:
        raise InputError("--param start=…: wanted a parameter of the model, write --start rest")
    return values


def _float_or_text(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


def parse_numbers(name: str, text: str) -> list[float]:
    """``0,0.5,1`` or ``start:stop:count`` as numbers."""
    try:
        if ":" in text:
            first, last, count = text.split(":")
            return _spaced(float(first), float(last), int(count))
        return [float(part) for part in text.strip(" ,").split(",")]
    except ValueError:
        raise InputError(
            f"--{name} {short(text)}: wanted numbers, write for example --{name} 0,0.5,1 or --{name} 0:5:11"
        ) from None


def parse_widths(text: str) -> list[int]:
    """``20,50,100`` as whole numbers."""
    try:
        return [int(part) for part in text.strip(" ,").split(",")]
    except ValueError:
        raise InputError(f"--widths {short(text)}: wanted whole numbers, write for example --widths 20,50") from None


def _spaced(first: float, last: float, count: int) -> list[float]:
    import numpy as np

    if not 1 <= count <= 100_000:
        raise ValueError
    return [float(x) for x in np.linspace(first, last, count)]


def parse_times(tau: str | None, times: str | None) -> Mapping[str, Any]:
    """Both options as the keywords ``tau`` and ``times``."""
    return {
        "tau": None if tau is None else parse_numbers("tau", tau),
        "times": None if times is None else [parse_numbers("times", row) for row in times.strip(" ;").split(";")],
    }
