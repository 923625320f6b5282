"""``nnqft simulate``."""

from __future__ import annotations

import sys
from functools import partial
from typing import Annotated

from cyclopts import Parameter

import nnqft
from nnqft.cli.options import (
    WHOLE,
    Address,
    Executor,
    Json,
    Param,
    Plot,
    Progress,
    Seed,
    Start,
    Tau,
    Times,
    Workers,
    check_outputs,
    finish,
    parse_numbers,
    parse_parameters,
)
from nnqft_plugins import simulation

Networks = Annotated[int | None, WHOLE, Parameter(help="How many to draw; the most, if --rtol is given, too.")]
Length = float | None


def simulate(
    model: str,
    *,
    param: Param = None,
    start: Start = "stationary",
    observable: Annotated[str, Parameter(name=["--observable", "-O"], help="two_point or response.")] = "two_point",
    tau: Tau = None,
    times: Times = None,
    networks: Networks = None,
    rtol: Annotated[float | None, Parameter(help="Relative error to reach at every time.")] = None,
    method: Annotated[str, Parameter(help="auto, exact, heun, euler or layers.")] = "auto",
    step: Annotated[Length, Parameter(help="Longest step of a path.")] = None,
    layer: Annotated[Length, Parameter(help="Depth of a layer of a stack; thin layers if absent.")] = None,
    burn: Annotated[Length, Parameter(help="Time before a stationary path is measured.")] = None,
    window: Annotated[Length, Parameter(help="Time over which a stationary path is measured.")] = None,
    kernel: Annotated[bool, Parameter(negative=(), help="The variance of (1/N) Σ h h, too.")] = False,
    executor: Executor = "local",
    address: Address = None,
    workers: Workers = None,
    seed: Seed = 0,
    json: Json = None,
    plot: Plot = None,
    progress: Progress = None,
) -> int:
    """Simulate an ensemble of networks and average their correlator, with its error."""
    check_outputs(json, plot)
    theory = nnqft.theory(model, start=start, **parse_parameters(param))
    result = partial(
        simulation.simulate,
        theory,
        observable=observable,
        tau=None if tau is None else parse_numbers("tau", tau),
        times=None if times is None else [parse_numbers("times", row) for row in times.strip(" ;").split(";")],
        networks=networks,
        rtol=rtol,
        method=method,
        step=step,
        layer=layer,
        burn=burn,
        window=window,
        kernel=kernel,
        executor=executor,
        address=address,
        workers=workers,
        seed=seed,
        progress=sys.stderr.isatty() if progress is None else progress,
    )
    return finish(result, json, plot)
