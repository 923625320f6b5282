"""``nnqft simulate``."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

import nnqft
from nnqft.cli.options import (
    ACCURACY,
    OUTPUT,
    QUESTION,
    WHOLE,
    DryRun,
    Indices,
    Model,
    Output,
    Param,
    Place,
    Rtol,
    Seed,
    Start,
    Tau,
    TimeLimit,
    Times,
    parse_parameters,
    parse_times,
)
from nnqft.cli.output import check_outputs, finish
from nnqft_plugins.networks import simulation
from nnqft_plugins.networks.simulation.forecast import forecast_simulation

Networks = Annotated[
    int | None, WHOLE, Parameter(group=ACCURACY, help="How many to draw; the most, if --rtol is given, too.")
]


def _length(words: str) -> Parameter:
    return Parameter(group=ACCURACY, help=words)


def simulate(
    model: Model,
    *,
    param: Param = None,
    start: Start = "stationary",
    observable: Annotated[
        str, Parameter(name=["--observable", "-O"], group=QUESTION, help="two_point, mean, gradient, …")
    ] = "two_point",
    indices: Indices = None,
    tau: Tau = None,
    times: Times = None,
    networks: Networks = None,
    rtol: Rtol = None,
    method: Annotated[str, Parameter(group=ACCURACY, help="auto, exact, heun, euler or layers.")] = "auto",
    step: Annotated[float | None, _length("Longest step of a path.")] = None,
    layer: Annotated[float | None, _length("Depth of a layer of a stack; thin layers if absent.")] = None,
    burn: Annotated[float | None, _length("Time before a stationary path is measured.")] = None,
    window: Annotated[float | None, _length("Time over which a stationary path is measured.")] = None,
    kernel: Annotated[bool, Parameter(negative=(), group=OUTPUT, help="The variance of (1/N) Σ h h, too.")] = False,
    seed: Seed = 0,
    time_limit: TimeLimit = None,
    place: Place = Place(),
    dry_run: DryRun = False,
    output: Output = Output(),
) -> int:
    """Simulate an ensemble of networks and average their correlator, with its error.

    Examples:

        nnqft simulate linear -p N=50 -p sigma_w=0.5 --tau 0:5:11 --networks 500

        nnqft simulate taylor -p activation=tanh -p N=20 --rtol 0.05 --plot c.png
    """
    check_outputs(output)
    theory = nnqft.theory(model, start=start, **parse_parameters(param))
    asked: dict[str, Any] = {
        "observable": observable, "indices": indices, "networks": networks, "rtol": rtol, "method": method,
        "step": step, "layer": layer, "burn": burn, "window": window, "kernel": kernel, "seed": seed,
        "time_limit": time_limit, **parse_times(tau, times), **place.options,
    }  # fmt: skip
    if dry_run:
        print(forecast_simulation(theory, **asked))
        return 0
    return finish(lambda: simulation.simulate(theory, **asked), output)
