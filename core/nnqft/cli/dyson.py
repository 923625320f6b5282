"""``nnqft dyson MODEL``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from cyclopts import Parameter

from nnqft.cli.options import (
    ACCURACY,
    QUESTION,
    WHOLE,
    Accuracy,
    DryRun,
    Model,
    Order,
    Output,
    Param,
    Place,
    TimeLimit,
    WidthOrder,
    parse_parameters,
)
from nnqft.cli.output import check_outputs, finish

_SELF_CONSISTENT = Parameter(
    negative=(), group=QUESTION, help="Skeletons with full lines; with -n 1 -k 0 dynamic mean-field theory."
)


def dyson(
    model: Model,
    *,
    param: Param = None,
    order: Order = 1,
    width_order: WidthOrder = None,
    self_consistent: Annotated[bool, _SELF_CONSISTENT] = False,
    reach: Annotated[float | None, Parameter(group=ACCURACY, help="Largest time difference of the grid.")] = None,
    intervals: Annotated[int | None, WHOLE, Parameter(group=ACCURACY, help="Of the grid, a multiple of 4.")] = None,
    accuracy: Accuracy = Accuracy(),
    time_limit: TimeLimit = None,
    place: Place = Place(),
    dry_run: DryRun = False,
    output: Output = Output(),
) -> int:
    """Solve Dyson's equation with the self-energy of a model to an order.

    Examples:

        nnqft dyson cubic_tanh -p N=100 -p sigma_w=0.5 -n 1 -k 1 --plot dyson.png

        nnqft dyson linear -p sigma_w=0.5 -n 1 -k 0 --self-consistent
    """
    import nnqft

    check_outputs(output)
    theory = nnqft.theory(model, **parse_parameters(param))
    question: dict[str, Any] = {"order": order, "width_order": width_order, "self_consistent": self_consistent}
    grid: dict[str, Any] = {"reach": reach, "intervals": intervals}
    effort = {**asdict(accuracy), **place.options, "time_limit": time_limit}
    if dry_run:
        from nnqft.self_energies.forecast import forecast_dyson

        print(forecast_dyson(theory, **question, **grid, **effort).table())
        return 0
    return finish(lambda: nnqft.dyson(theory, **question, **grid, **effort), output)
