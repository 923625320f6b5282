"""The command line: ``nnqft plugins | rules | diagrams | compute``.

Exit status: 0 done · 2 bad input, one line on stderr · 3 target not reached, result written and marked so.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Parameter, Token

from nnqft.errors import InputError, IntegrationError, NnqftError, short
from nnqft.generate import MAX_DIAGRAMS


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


WHOLE = Parameter(converter=_whole)

app = App(
    name="nnqft",
    help="Feynman diagrams of deep and recurrent networks at finite width.",
    version_flags=["--version"],
    suppress_keyboard_interrupt=False,
)

Param = Annotated[
    list[str] | None, Parameter(name=["--param", "-p"], negative=(), help="A model parameter, name=value.")
]
Start = Annotated[str, Parameter(help="stationary (begins at −∞) or rest (h(0) = 0).")]
Observable = Annotated[str, Parameter(name=["--observable", "-O"], help="What is computed; see nnqft plugins.")]
Order = Annotated[int, WHOLE, Parameter(name=["--order", "-n"], help="Highest order in σ_w².")]
WidthOrder = Annotated[
    int | None, WHOLE, Parameter(name=["--width-order", "-k"], help="Highest power of 1/N; all if absent.")
]
MaxDiagrams = Annotated[int, WHOLE, Parameter(help="Refuse to generate more diagrams than this.")]


@app.command
def plugins() -> int:
    """List the models, observables, integrators, executors and drawings that are installed."""
    from nnqft.host import default_host

    host = default_host()
    for kind, table in host.found.items():
        print(f"{kind}s")
        width = max((len(name) for name in table), default=0)
        for name, (thing, plugin) in table.items():
            summary = getattr(thing, "summary", "") or (thing.__doc__ or "").partition("\n")[0]
            print(f"  {name:<{width}}  {summary}  [{plugin}]")
            for parameter, spec in getattr(thing, "parameters", {}).items():
                default = "" if spec.default is None else f", default {spec.default}"
                print(f"  {'':<{width}}    {parameter}: {spec.meaning}{default}")
    for plugin, cause in host.broken.items():
        print(f"broken: {plugin}: {cause}")
    return 0


@app.command
def rules(model: str, *, param: Param = None, start: Start = "stationary") -> int:
    """Print the Feynman rules of a model."""
    from nnqft import theory

    print(theory(model, start=start, **_parameters(param)).rules)
    return 0


@app.command
def diagrams(
    model: str,
    *,
    param: Param = None,
    start: Start = "stationary",
    observable: Observable = "two_point",
    order: Order = 2,
    width_order: WidthOrder = None,
    max_diagrams: MaxDiagrams = MAX_DIAGRAMS,
    limit: Annotated[int, WHOLE, Parameter(help="How many diagrams to list; the counts are always whole.")] = 50,
    drawing: Annotated[str, Parameter(help="Format of the drawings; see nnqft plugins.")] = "text",
) -> int:
    """Count and list the diagrams of an observable."""
    import nnqft
    from nnqft.host import default_host
    from nnqft.interfaces import whole_number

    draw = default_host().get("drawing", drawing)
    shown = whole_number("limit", limit, 0)
    found = nnqft.diagrams(
        nnqft.theory(model, start=start, **_parameters(param)),
        observable,
        order=order,
        width_order=width_order,
        max_diagrams=max_diagrams,
    )
    print(f"{len(found)} diagrams of {observable} in {model}")
    for (n, k), count in found.counts.items():
        print(f"  order {n}, width {k}: {count}")
    if shown:
        print("\norder width  weight        |Aut|  drawing")
    for diagram in found[:shown]:
        print(
            f"{diagram.order:>5} {diagram.width:>5}  {diagram.weight:<12.6g}  {diagram.symmetry_factor:>5}"
            f"  {draw(diagram)}"
        )
    if len(found) > shown > 0:
        print(f"… {len(found) - shown} more; list them with --limit {len(found)}")
    return 0


@app.command
def compute(
    model: str,
    *,
    param: Param = None,
    start: Start = "stationary",
    observable: Observable = "two_point",
    order: Order = 2,
    width_order: WidthOrder = None,
    tau: Annotated[str | None, Parameter(help="Time differences: 0,0.5,1 or start:stop:count.")] = None,
    times: Annotated[str | None, Parameter(help='Time tuples: "t,s; t,s; …".')] = None,
    integrator: Annotated[str, Parameter(help="See nnqft plugins; auto chooses for each integral.")] = "auto",
    executor: Annotated[str, Parameter(help="local, processes or ray.")] = "local",
    address: Annotated[str | None, Parameter(help="Of a Ray cluster: auto, host:port or ray://host:port.")] = None,
    workers: Annotated[int | None, WHOLE, Parameter(help="How many; all cores if absent.")] = None,
    rtol: Annotated[float | None, Parameter(help="Relative error to reach at every time.")] = None,
    atol: Annotated[float | None, Parameter(help="Absolute error to reach at every time.")] = None,
    neval: Annotated[int | None, WHOLE, Parameter(help="Samples to spend over all diagrams.")] = None,
    seed: Annotated[int, WHOLE, Parameter(help="All randomness follows from it.")] = 0,
    max_diagrams: MaxDiagrams = MAX_DIAGRAMS,
    json: Annotated[Path | None, Parameter(help="Write the whole result to this file.")] = None,
    plot: Annotated[Path | None, Parameter(help="Write a plot over the times to this file.")] = None,
    progress: Annotated[bool | None, Parameter(help="Show a progress bar; by default on a terminal.")] = None,
) -> int:
    """Compute an observable as the sum of its diagrams."""
    import nnqft

    _check_writable(json)
    _check_writable(plot)
    _check_picture(plot)
    theory = nnqft.theory(model, start=start, **_parameters(param))
    try:
        result = nnqft.compute(
            theory,
            observable,
            order=order,
            width_order=width_order,
            tau=None if tau is None else _numbers("tau", tau),
            times=None if times is None else [_numbers("times", row) for row in times.strip(" ;").split(";")],
            integrator=integrator,
            executor=executor,
            address=address,
            workers=workers,
            rtol=rtol,
            atol=atol,
            neval=neval,
            seed=seed,
            max_diagrams=max_diagrams,
            progress=sys.stderr.isatty() if progress is None else progress,
        )
    except IntegrationError as error:
        print(f"nnqft: {error}", file=sys.stderr)
        if error.result is None:
            return 3
        result = error.result
    print(result.table())
    if json is not None:
        result.save(json)
        print(f"wrote {json}")
    if plot is not None:
        _save_plot(result, plot)
        print(f"wrote {plot}")
    return 0 if result.converged else 3


def _parameters(pairs: Sequence[str] | None) -> dict[str, Any]:
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


def _numbers(name: str, text: str) -> list[float]:
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


def _check_writable(path: Path | None) -> None:
    """Refuse an output path before an hour of work, not after."""
    if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
        raise InputError(f"cannot write {str(path)!r}: wanted a file in a folder that exists")


def _check_picture(path: Path | None) -> None:
    if path is None:
        return
    from matplotlib.backend_bases import FigureCanvasBase

    known = FigureCanvasBase.filetypes
    if path.suffix.lstrip(".").lower() not in known:
        raise InputError(f"--plot {short(str(path))}: wanted a name that ends in one of {', '.join(sorted(known))}")


def _save_plot(result: Any, path: Path) -> None:
    axes = result.plot()
    try:
        axes.figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot write the plot {str(path)!r}: {error}") from None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status; every error is one line on stderr."""
    warnings.showwarning = lambda message, *_, **__: print(f"nnqft: warning: {message}", file=sys.stderr)
    try:
        status = app(
            sys.argv[1:] if arguments is None else arguments,
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
    except (CycloptsError, InputError) as error:
        return _fail(error, 2)
    except NnqftError as error:
        return _fail(error, 2)
    except KeyboardInterrupt:
        return _fail("interrupted before anything was computed", 130)
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    return status if isinstance(status, int) else 0


def _fail(error: object, status: int) -> int:
    line = " ".join(str(error).split())
    print(f"nnqft: {line}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
