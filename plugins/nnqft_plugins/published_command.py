"""``nnqft published``: the talk's closed forms on the command line."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from nnqft.cli.options import Json, Param, Plot, Tau, check_outputs, parse_numbers, parse_parameters, write_plot


def command(
    model: str = "linear",
    *,
    param: Param = None,
    horizon: Annotated[float, Parameter(help="T, the depth of the network, in the unit of time.")],
    tau: Tau = None,
    json: Json = None,
    plot: Plot = None,
) -> int:
    """Print the talk's closed forms for X(τ) and ξ, a published reference to compare with."""
    import nnqft
    from nnqft_plugins.published import published

    check_outputs(json, plot)
    lags = [0.0] if tau is None else parse_numbers("tau", tau)
    forms = published(nnqft.theory(model, **parse_parameters(param)), horizon)
    print(forms.table(lags))
    if json is not None:
        forms.save(json, lags)
        print(f"wrote {json}")
    if plot is not None:
        write_plot(forms.plot(longest=max(map(abs, lags))), plot)
        print(f"wrote {plot}")
    return 0
