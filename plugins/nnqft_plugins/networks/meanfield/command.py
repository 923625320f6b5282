"""``nnqft meanfield`` and ``nnqft phase-diagram``."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import Parameter

import nnqft
from nnqft.cli.options import (
    ACCURACY,
    QUESTION,
    Model,
    Output,
    Param,
    Place,
    Progress,
    Rtol,
    Start,
    Tau,
    is_watched,
    parse_numbers,
    parse_parameters,
)
from nnqft.cli.output import STDOUT, check_outputs, finish
from nnqft.show.progress import progress_bar
from nnqft_plugins.networks.meanfield import phase_diagram as draw
from nnqft_plugins.networks.meanfield import solve
from nnqft_plugins.networks.meanfield.layers import Layers

Layer = Annotated[
    float | None,
    Parameter(group=QUESTION, help="Depth of a layer of a stack; 1 for h = W φ(h) + b. Thin if absent."),
]


def meanfield(
    model: Model,
    *,
    param: Param = None,
    start: Start = "stationary",
    tau: Tau = None,
    layer: Layer = None,
    horizon: Annotated[float | None, Parameter(group=ACCURACY, help="From rest: the last time.")] = None,
    rtol: Rtol = None,
    progress: Progress = None,
    output: Output = Output(),
) -> int:
    """Solve the network at infinite width: correlator, Lyapunov exponent, fixed point of layers.

    Examples:

        nnqft meanfield taylor -p activation=tanh -p sigma_w=1.5 --plot mf.png

        nnqft meanfield feedforward -p activation=tanh -p sigma_w=1.5 --layer 1
    """
    check_outputs(output)
    theory = nnqft.theory(model, start=start, **parse_parameters(param))
    lags = None if tau is None else parse_numbers("tau", tau)
    with progress_bar(is_watched() if progress is None else progress, "solving at infinite width"):
        solution = solve(theory, tau=lags, horizon=horizon, rtol=rtol)
        fixed = None if layer is None else solution.layers(layer)
        _ = solution.lyapunov  # takes longest, and is kept for the table
    status = finish(lambda: solution, output)
    if fixed is not None:
        print(_layers_table(layer, fixed), file=sys.stderr if output.json == STDOUT else sys.stdout)
    return status


def _layers_table(layer: float | None, fixed: Layers) -> str:
    return "\n".join([
        f"\nlayers of depth {layer:g}",
        f"  variance q*         {fixed.variance:.10g}",
        f"  overlap c*/q*       {fixed.overlap:.10g}",
        f"  χ_1                 {fixed.chi:.10g}  ({'ordered' if fixed.ordered else 'chaotic'})",
        f"  depth scales        ξ_q = {fixed.variance_depth:.6g}, ξ_c = {fixed.overlap_depth:.6g}",
    ])  # fmt: skip


def phase_diagram(
    model: Model,
    *,
    param: Param = None,
    sigma_w: Annotated[str, Parameter(group=QUESTION, help="Values of σ_w: 0.5,1,2 or start:stop:count.")] = "0.1:4:40",
    sigma_b: Annotated[str, Parameter(group=QUESTION, help="Values of σ_b, likewise.")] = "0:1.5:16",
    layer: Layer = None,
    place: Place = Place(),
    output: Output = Output(),
) -> int:
    """Order and chaos at infinite width: the largest Lyapunov exponent over (σ_w, σ_b), and where it is zero.

    Examples:

        nnqft phase-diagram taylor -p activation=tanh --plot edge.png

        nnqft phase-diagram taylor -p kappa=0 --sigma-w 1:3:5 --sigma-b 0,0.5
    """
    check_outputs(output)
    theory = nnqft.theory(model, **parse_parameters(param))
    weights, biases = parse_numbers("sigma-w", sigma_w), parse_numbers("sigma-b", sigma_b)
    return finish(lambda: draw(theory, sigma_w=weights, sigma_b=biases, layer=layer, **place.options), output)
