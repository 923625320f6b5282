"""``nnqft check MODEL``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from nnqft.cli.options import (
    ACCURACY,
    QUESTION,
    WHOLE,
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
    order_or_all,
    parse_parameters,
    parse_times,
    parse_widths,
)
from nnqft.cli.output import check_outputs, finish

if TYPE_CHECKING:
    from nnqft.results.comparison import Check

DISAGREE = 4
"""The exit status where theory and simulation differ by more than chance and what theory leaves out explain."""


def check(
    model: Model,
    *,
    param: Param = None,
    start: Start = "stationary",
    observable: Annotated[
        str, Parameter(name=["--observable", "-O"], group=QUESTION, help="What is compared; see nnqft plugins.")
    ] = "two_point",
    indices: Indices = None,
    widths: Annotated[
        str | None, Parameter(name="--widths", group=QUESTION, help="Several N: 20,50,100; that of -p N=… if absent.")
    ] = None,
    order: Annotated[
        int | str | None,
        Parameter(
            converter=order_or_all,
            name=["--order", "-n"],
            group=QUESTION,
            help="Of the diagrams, or resummed; the sum if it is known, else as high as is quickly done.",
        ),
    ] = None,
    width_order: Annotated[
        int, WHOLE, Parameter(name=["--width-order", "-k"], group=QUESTION, help="Of the theory.")
    ] = 1,
    tau: Tau = None,
    times: Times = None,
    samples: Annotated[
        int | None, WHOLE, Parameter(group=ACCURACY, help="Networks to draw; the most, if --rtol is given, too.")
    ] = None,
    rtol: Rtol = None,
    step: Annotated[float | None, Parameter(group=ACCURACY, help="Longest step of a path.")] = None,
    seed: Seed = 0,
    time_limit: TimeLimit = None,
    place: Place = Place(),
    output: Output = Output(),
) -> int:
    """Compare a model's diagrams with its own simulation; exit status 4 if they disagree.

    Examples:

        nnqft check linear -p N=20 -p sigma_w=0.4 --tau 0,1 --samples 200

        nnqft check linear --widths 20,40 -O kernel_variance --json check.json
    """
    import nnqft

    check_outputs(output)
    theory = nnqft.theory(model, start=start, **parse_parameters(param))
    asked: dict[str, Any] = {
        "indices": indices, "N": None if widths is None else parse_widths(widths), "order": order, "samples": samples,
        "width_order": width_order, "rtol": rtol, "step": step, "seed": seed, "time_limit": time_limit,
        **parse_times(tau, times), **place.options,
    }  # fmt: skip
    made: list[Check] = []

    def compare() -> Check:
        made.append(nnqft.check(theory, observable, **asked))
        return made[0]

    status = finish(compare, output)
    return DISAGREE if made and made[0].disagrees else status
