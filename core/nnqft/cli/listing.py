"""``nnqft plugins | rules | diagrams``: what there is, without computing anything."""

from __future__ import annotations

from typing import Annotated

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
    Start,
    WidthOrder,
    parse_parameters,
)
from nnqft.errors import PluginError
from nnqft.graphs.generate import MAX_DIAGRAMS

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
    order: Order = 2,
    width_order: WidthOrder = None,
    irreducible: Annotated[
        bool, Parameter(negative=(), group=QUESTION, help="Amputated, and not to be split by one line.")
    ] = False,
    max_diagrams: MaxDiagrams = MAX_DIAGRAMS,
    limit: Annotated[
        int, WHOLE, Parameter(group=OUTPUT, help="How many diagrams to list; the counts are always whole.")
    ] = 50,
    drawing: Annotated[str, Parameter(group=OUTPUT, help="Format of the drawings; see nnqft plugins.")] = "text",
) -> int:
    """Count and list the diagrams of an observable.

    Examples:

        nnqft diagrams linear -n 3 -k 1

        nnqft diagrams cubic_tanh -O response -n 2 --irreducible
    """
    import nnqft
    from nnqft.checks import whole_number
    from nnqft.graphs.text import legend
    from nnqft.host import default_host, plugin_errors

    draw = default_host().drawing(drawing)
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
    print(f"{len(found)} diagram{'s' * (len(found) != 1)} of {found.observable} in {model}")
    for (n, k), count in found.counts.items():
        print(f"  order {n}, width order {k}: {count}")
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
    return 0
