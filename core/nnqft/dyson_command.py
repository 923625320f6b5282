"""``nnqft dyson MODEL``."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from nnqft.generate import MAX_DIAGRAMS
from nnqft.options import (
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
    check_picture,
    check_writable,
    parse_parameters,
    save_plot,
)


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
    intervals: Annotated[int, WHOLE, Parameter(help="Of the grid, a multiple of 4.")] = 512,
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
    import sys

    import nnqft

    check_writable(json)
    check_writable(plot)
    check_picture(plot)
    found = nnqft.dyson(
        nnqft.theory(model, **parse_parameters(param)),
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
    )
    print(found.table())
    if json is not None:
        found.save(json)
        print(f"wrote {json}")
    if plot is not None:
        save_plot(found, plot)
        print(f"wrote {plot}")
    return 0
