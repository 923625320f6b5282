"""The command line: ``nnqft plugins | rules | diagrams | compute``, and the commands that plugins bring.

Exit status: 0 done · 2 bad input, one line on stderr · 3 target not reached, result written and marked so.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, CycloptsError, Parameter

from nnqft.cli.options import (
    WHOLE,
    Address,
    Atol,
    Executor,
    Indices,
    Json,
    LedgerPath,
    MaxDiagrams,
    Neval,
    Observable,
    Order,
    OrderOrAll,
    Param,
    Plot,
    Progress,
    Rtol,
    Seed,
    Start,
    Tau,
    TimeLimit,
    Times,
    WidthOrder,
    Workers,
    check_outputs,
    finish,
    parse_numbers,
    parse_parameters,
)
from nnqft.errors import InputError, NnqftError, PluginError, one_line
from nnqft.graphs.generate import MAX_DIAGRAMS

if TYPE_CHECKING:
    pass


def plugins() -> int:
    """List the models, observables, integrators, executors, drawings and commands that are installed."""
    from nnqft.host import default_host

    host = default_host()
    for kind, table in host.found.items():
        print(f"{kind}s")
        width = max((len(name) for name in table), default=0)
        for name, (thing, plugin) in table.items():
            words = thing if isinstance(thing, str) else getattr(thing, "summary", "") or thing.__doc__ or ""
            summary = words.partition("\n")[0]
            print(f"  {name:<{width}}  {summary}  [{plugin}]")
            for parameter, spec in getattr(thing, "parameters", {}).items():
                default = "" if spec.default is None else f", default {spec.default}"
                print(f"  {'':<{width}}    {parameter}: {spec.meaning}{default}")
    for plugin, cause in host.broken.items():
        print(f"broken: {plugin}: {cause}")
    return 0


def rules(model: str, *, param: Param = None, start: Start = "stationary") -> int:
    """Print the Feynman rules of a model."""
    from nnqft import theory

    print(theory(model, start=start, **parse_parameters(param)).rules)
    return 0


def diagrams(
    model: str,
    *,
    param: Param = None,
    start: Start = "stationary",
    observable: Observable = "two_point",
    indices: Indices = None,
    order: Order = 2,
    width_order: WidthOrder = None,
    max_diagrams: MaxDiagrams = MAX_DIAGRAMS,
    limit: Annotated[int, WHOLE, Parameter(help="How many diagrams to list; the counts are always whole.")] = 50,
    drawing: Annotated[str, Parameter(help="Format of the drawings; see nnqft plugins.")] = "text",
    irreducible: Annotated[bool, Parameter(negative=(), help="Amputated, and not to be split by one line.")] = False,
) -> int:
    """Count and list the diagrams of an observable."""
    import nnqft
    from nnqft.host import default_host
    from nnqft.interfaces.model import whole_number

    draw = default_host().get("drawing", drawing)
    shown = whole_number("limit", limit, 0)
    found = nnqft.diagrams(
        nnqft.theory(model, start=start, **parse_parameters(param)),
        observable,
        order=order,
        width_order=width_order,
        indices=indices,
        irreducible=irreducible,
        max_diagrams=max_diagrams,
    )
    print(f"{len(found)} diagrams of {found.observable} in {model}")
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


def compute(
    model: str,
    *,
    param: Param = None,
    start: Start = "stationary",
    observable: Observable = "two_point",
    indices: Indices = None,
    order: OrderOrAll = 2,
    width_order: WidthOrder = None,
    tau: Tau = None,
    times: Times = None,
    integrator: Annotated[str, Parameter(help="See nnqft plugins; auto chooses for each integral.")] = "auto",
    executor: Executor = "local",
    address: Address = None,
    workers: Workers = None,
    rtol: Rtol = None,
    atol: Atol = None,
    neval: Neval = None,
    seed: Seed = 0,
    ledger: LedgerPath = None,
    time_limit: TimeLimit = None,
    max_diagrams: MaxDiagrams = MAX_DIAGRAMS,
    json: Json = None,
    plot: Plot = None,
    progress: Progress = None,
) -> int:
    """Compute an observable as the sum of its diagrams."""
    import nnqft

    check_outputs(json, plot)
    names = [name.strip() for name in observable.split(",")]
    theory = nnqft.theory(model, start=start, **parse_parameters(param))
    return finish(
        lambda: nnqft.compute(
            theory,
            names if len(names) > 1 else observable,
            order=order,
            width_order=width_order,
            tau=None if tau is None else parse_numbers("tau", tau),
            times=None if times is None else [parse_numbers("times", row) for row in times.strip(" ;").split(";")],
            indices=indices,
            integrator=integrator,
            executor=executor,
            address=address,
            workers=workers,
            rtol=rtol,
            atol=atol,
            neval=neval,
            seed=seed,
            ledger=ledger,
            time_limit=time_limit,
            max_diagrams=max_diagrams,
            progress=sys.stderr.isatty() if progress is None else progress,
        ),
        json,
        plot,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status; every error is one line on stderr."""
    warnings.showwarning = lambda message, *_, **__: print(f"nnqft: warning: {message}", file=sys.stderr)
    try:
        words = sys.argv[1:] if arguments is None else arguments
        status = _app(words)(
            words,
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


def _app(words: Sequence[str]) -> App:
    """All commands, those of plugins included; only the code of the one that is asked for is imported."""
    from nnqft.host import default_host

    app = App(
        name="nnqft",
        help="Feynman diagrams of deep and recurrent networks at finite width.",
        version_flags=["--version"],
        suppress_keyboard_interrupt=False,
    )
    first = words[0] if words else "--help"
    for name, (path, plugin) in default_host().found["command"].items():
        # The list of commands shows what each does, for which all are imported.
        if first not in (name, "-h", "--help"):
            app.command(path, name=name)
            continue
        try:
            app.command(resolve_name(path), name=name)
        except Exception as error:  # a stranger's code may raise anything
            cause = f"command {name!r} of plugin {plugin!r} is broken: {type(error).__name__}: {one_line(str(error))}"
            if first == name:
                raise PluginError(cause) from error
            app.command(path, name=name, help=cause)
    return app


def _fail(error: object, status: int) -> int:
    line = " ".join(str(error).split())
    print(f"nnqft: {line}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
