"""Options that commands share, and what turns their text into values."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter, Token

from nnqft.errors import InputError, IntegrationError, short


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


def _order(type_: Any, tokens: Sequence[Token]) -> int | str:
    """A whole number, or the word that stands for all orders; other words are refused with the request."""
    text = tokens[0].value
    return text if text.isalpha() else _whole(type_, tokens)


WHOLE = Parameter(converter=_whole)

Param = Annotated[
    list[str] | None, Parameter(name=["--param", "-p"], negative=(), help="A model parameter, name=value.")
]
Start = Annotated[str, Parameter(help="stationary (begins at −∞) or rest (h(0) = 0).")]
Observable = Annotated[
    str, Parameter(name=["--observable", "-O"], help="What is computed, one or several: a,b; see nnqft plugins.")
]
Order = Annotated[int, WHOLE, Parameter(name=["--order", "-n"], help="Highest order in σ_w².")]
OrderOrAll = Annotated[
    int | str,
    Parameter(converter=_order, name=["--order", "-n"], help="Highest order in σ_w², or resummed for all of them."),
]
WidthOrder = Annotated[
    int | None, WHOLE, Parameter(name=["--width-order", "-k"], help="Highest power of 1/N; all if absent.")
]
Tau = Annotated[str | None, Parameter(help="Time differences: 0,0.5,1 or start:stop:count.")]
Times = Annotated[str | None, Parameter(help='Time tuples: "t,s; t,s; …".')]
Indices = Annotated[str | None, Parameter(help="Units of the legs, a letter for each: iijj; all one if absent.")]
Executor = Annotated[str, Parameter(help="local, processes or ray.")]
Address = Annotated[str | None, Parameter(help="Of a Ray cluster: auto, host:port or ray://host:port.")]
Workers = Annotated[int | None, WHOLE, Parameter(help="How many; all cores if absent.")]
Rtol = Annotated[float | None, Parameter(help="Relative error to reach at every time.")]
Atol = Annotated[float | None, Parameter(help="Absolute error to reach at every time.")]
Neval = Annotated[int | None, WHOLE, Parameter(help="Samples to spend over all diagrams.")]
Seed = Annotated[int, WHOLE, Parameter(help="All randomness follows from it.")]
LedgerPath = Annotated[
    Path | None,
    Parameter(name="--ledger", help="Keep finished chunks in this file, and go on from what is there."),
]
TimeLimit = Annotated[float | None, Parameter(help="Stop after so many seconds with the estimate so far.")]
Json = Annotated[Path | None, Parameter(help="Write the whole result to this file.")]
Plot = Annotated[Path | None, Parameter(help="Write a plot to this file.")]
Progress = Annotated[bool | None, Parameter(help="Show a progress bar; by default on a terminal.")]
MaxDiagrams = Annotated[int, WHOLE, Parameter(help="Refuse to generate more diagrams than this.")]


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
    """``0,0.5,1`` or ``start:stop:count``."""
    import numpy as np

    try:
        if ":" in text:
            first, last, count = text.split(":")
            if not 1 <= int(count) <= 100_000:
                raise ValueError
            return [float(x) for x in np.linspace(float(first), float(last), int(count))]
        return [float(part) for part in text.strip(" ,").split(",")]
    except ValueError:
        raise InputError(
            f"--{name} {short(text)}: wanted numbers, write for example --{name} 0,0.5,1 or --{name} 0:5:11"
        ) from None


def check_outputs(json: Path | None, plot: Path | None) -> None:
    """Refuse an output path before an hour of work, not after."""
    for path in (json, plot):
        if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
            raise InputError(f"cannot write {str(path)!r}: wanted a file in a folder that exists")
    if plot is None:
        return
    from matplotlib.backend_bases import FigureCanvasBase

    known = FigureCanvasBase.filetypes
    if plot.suffix.lstrip(".").lower() not in known:
        raise InputError(f"--plot {short(str(plot))}: wanted a name that ends in one of {', '.join(sorted(known))}")


def finish(compute: Callable[[], Any], json: Path | None, plot: Path | None) -> int:
    """Compute a result, or several by name, print and write them; the exit status."""
    try:
        result = compute()
    except IntegrationError as error:
        print(f"nnqft: {error}", file=sys.stderr)
        if error.result is None:
            return 3
        result = error.result
    several = result if isinstance(result, dict) else {"": result}
    for name, each in several.items():
        show(each, named(json, name), named(plot, name))
    return 0 if all(each.converged for each in several.values()) else 3


def show(result: Any, json: Path | None, plot: Path | None) -> None:
    """Print a result, and write and plot it where paths are given."""
    print(result.table())
    if json is not None:
        result.save(json)
        print(f"wrote {json}")
    if plot is not None:
        save_plot(result, plot)
        print(f"wrote {plot}")


def named(path: Path | None, name: str) -> Path | None:
    """The path with a name added to that of the file, for commands that write one for each of several."""
    return path if path is None or not name else path.with_stem(f"{path.stem}_{name}")


def save_plot(result: Any, path: Path) -> None:
    """Write ``result.plot()`` to a file."""
    write_plot(result.plot(), path)


def write_plot(axes: Any, path: Path) -> None:
    """Write the figure of some axes to a file."""
    try:
        axes.figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot write the plot {str(path)!r}: {error}") from None
