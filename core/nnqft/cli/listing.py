"""``nnqft plugins | rules | diagrams``: what there is, without computing anything."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from nnqft.cli.described import described, list_of
from nnqft.cli.options import (
    OUTPUT,
    QUESTION,
    WHOLE,
    Indices,
    MaxDiagrams,
    Model,
    Observable,
    Order,
    Param,
    Progress,
    Replicas,
    Start,
    TimeLimit,
    WidthOrder,
    is_watched,
    parse_parameters,
)
from nnqft.errors import PluginError
from nnqft.graphs.generate import MAX_DIAGRAMS

if TYPE_CHECKING:
    from nnqft import DiagramSet

Name = Annotated[
    str | None, Parameter(group=QUESTION, help="Show this one with all its parameters; list all if absent.")
]


def plugins(name: Name = None) -> int:
    """List what is installed: models, observables, integrators, executors, drawings, commands; or show one of them.

    Examples:

        nnqft plugins

        nnqft plugins taylor
    """
    from nnqft.errors import UnknownNameError
    from nnqft.host import default_host

    host = default_host()
    if name is None:
        print("\n".join(list_of(host)))
        return 0
    found = [(kind, *table[name]) for kind, table in host.found.items() if name in table]
    if not found and name in host.broken:
        raise PluginError(f"plugin {name!r} is broken: {host.broken[name]}")
    if not found:
        raise UnknownNameError("plugin", name, {each for table in host.found.values() for each in table})
    print("\n\n".join("\n".join(described(kind, name, thing, plugin)) for kind, thing, plugin in found))
    return 0


def rules(model: Model, *, param: Param = None, start: Start = "stationary") -> int:
    """Print the Feynman rules of a model.

    Examples:

        nnqft rules cubic_tanh

        nnqft rules taylor -p activation=erf -p expansion=bare --start rest
    """
    from nnqft import theory

    print(theory(model, start=start, **parse_parameters(param)).rules)
    return 0


def diagrams(
    model: Model,
    *,
    param: Param = None,
    start: Start = "stationary",
    observable: Observable = "two_point",
    indices: Indices = None,
    replicas: Replicas = None,
    order: Order = 2,
    width_order: WidthOrder = None,
    irreducible: Annotated[
        bool, Parameter(negative=(), group=QUESTION, help="Amputated, and not to be split by one line.")
    ] = False,
    max_diagrams: MaxDiagrams = MAX_DIAGRAMS,
    time_limit: TimeLimit = None,
    progress: Progress = None,
    limit: Annotated[
        int, WHOLE, Parameter(group=OUTPUT, help="How many diagrams to list; the counts are always whole.")
    ] = 50,
    drawing: Annotated[str, Parameter(group=OUTPUT, help="Format of the drawings; see nnqft plugins.")] = "text",
) -> int:
    """Count and list the diagrams of an observable; of the lower orders, where time is short.

    Examples:

        nnqft diagrams linear -n 3 -k 1

        nnqft diagrams cubic_tanh -O response -n 2 --irreducible
    """
    import nnqft
    from nnqft.checks import whole_number
    from nnqft.host import default_host

    default_host().drawing(drawing)  # a wrong name is told before anything is generated
    shown = whole_number("limit", limit, 0)
    theory = nnqft.theory(model, start=start, **parse_parameters(param))
    question: dict[str, Any] = {"width_order": width_order, "indices": indices, "replicas": replicas}
    question["irreducible"] = irreducible

    def of_order(n: int) -> nnqft.DiagramSet:
        return nnqft.diagrams(theory, observable, order=n, max_diagrams=max_diagrams, **question)

    found, missing = _in_time(of_order, order, time_limit, progress)
    print(f"{len(found)} diagram{'s' * (len(found) != 1)} of {found.observable} in {model}")
    for (n, k), count in found.counts.items():
        print(f"  order {n}, width order {k}: {count}")
    _print_rows(found, shown, drawing)
    if missing:
        print(f"nnqft: {missing}", file=sys.stderr)
    return 3 if missing else 0


def _print_rows(found: DiagramSet, shown: int, drawing: str) -> None:
    """The first diagrams, one a line, and how to read them."""
    from nnqft.graphs.text import legend
    from nnqft.host import default_host, plugin_errors

    draw = default_host().drawing(drawing)
    if shown and len(found):
        print("\norder  width order  weight        |Aut|  drawing")
    for diagram in found[:shown]:
        numbers = f"{diagram.order:>5}  {diagram.width:>11}  {diagram.weight:<12.6g}  {diagram.symmetry_factor:>5}"
        with plugin_errors(f"drawing {drawing!r}"):
            drawn = draw(diagram)
        print(f"{numbers}  {drawn}")
    if shown and len(found) and drawing == "text":
        print(f"read: {legend(found[:shown])}")
    if len(found) > shown > 0:
        print(f"… {len(found) - shown} more; list them with --limit {len(found)}")


def _in_time(
    of_order: Callable[[int], DiagramSet], order: int, limit: float | None, progress: bool | None
) -> tuple[DiagramSet, str]:
    """The diagrams up to the order, or up to as many orders as time permits, and then what is missing."""
    from nnqft.checks import positive_number
    from nnqft.show.progress import progress_bar
    from nnqft.show.watch import OutOfTime, limit_line, reporting, time_limit

    found, reached = None, -1
    with progress_bar(is_watched() if progress is None else progress, "generating diagrams", "diagrams") as report:
        if limit is None:
            with reporting(report):
                return of_order(order), ""
        seconds = positive_number("time_limit", limit)
        try:
            with reporting(report), time_limit(seconds):
                for n in range(order + 1) if isinstance(order, int) and order > 0 else (order,):
                    found, reached = of_order(n), n  # each takes a small part of the time of the next one
        except (OutOfTime, KeyboardInterrupt) as error:
            if found is None:
                raise
            why = limit_line(seconds) if isinstance(error, OutOfTime) else "interrupted"
            orders = f"order {order} is" if reached + 1 == order else f"orders {reached + 1} to {order} are"
            return found, f"{why}: {orders} missing"
    assert found is not None  # there is an order to be asked for
    return found, ""
