"""``nnqft dyson MODEL``."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import Parameter

from nnqft.cli.options import (
    WHOLE,
    Address,
    Atol,
    Executor,
    Json,
    MaxDiagrams,
    Neval,
    Order,
    Param,
    Plot,
    Progress,
    Rtol,
    Seed,
    WidthOrder,
    Workers,
    check_outputs,
    finish,
    parse_parameters,
)
from nnqft.graphs.generate import MAX_DIAGRAMS


def dyson(
    model: str,
    *,
    param: Param = None,
    order: Order = 1,
    width_order: WidthOrder = None,
    self_consistent: Annotated[
        bool, Parameter(negative=(), help="Skeletons with full lines; with -n 1 -k 0 dynamic mean-field theory.")
    ] = False,
    reach: Annotated[float | None, Parameter(help="Largest time difference of the grid.")] = None,
    intervals: Annotated[int | None, WHOLE, Parameter(help="Of the grid, a multiple of 4.")] = None,
    integrator: Annotated[str, Parameter(help="See nnqft plugins; auto chooses for each integral.")] = "auto",
    executor: Executor = "local",
    address: Address = None,
    workers: Workers = None,
    rtol: Rtol = None,
    atol: Atol = None,
    neval: Neval = None,
    seed: Seed = 0,
    max_diagrams: MaxDiagrams = MAX_DIAGRAMS,
    json: Json = None,
    plot: Plot = None,
    progress: Progress = None,
) -> int:
    """Solve Dyson's equation with the self-energy of a model to an order."""
    import nnqft

    check_outputs(json, plot)
    theory = nnqft.theory(model, **parse_parameters(param))
    return finish(
        lambda: nnqft.dyson(
            theory,
            order=order,
            width_order=width_order,
            self_consistent=self_consistent,
            reach=reach,
            intervals=intervals,
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
        ),
        json,
        plot,
    )
