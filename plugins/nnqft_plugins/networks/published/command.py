"""``nnqft published``: the talk's closed forms on the command line."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from nnqft.cli.options import QUESTION, Model, Output, Param, Tau, parse_numbers, parse_parameters
from nnqft.cli.output import check_outputs, save_plot


def command(
    model: Model = "linear",
    *,
    param: Param = None,
    horizon: Annotated[float, Parameter(group=QUESTION, help="T, the depth of the network, in the unit of time.")],
    tau: Tau = None,
    output: Output = Output(),
) -> int:
    """Print the talk's closed forms for X(τ) and ξ, a published reference to compare with.

    Examples:

        nnqft published linear -p N=100 -p sigma_w=0.5 --horizon 10

        nnqft published -p N=50 --horizon 5 -p sigma_w=0.7 --tau 0:5:11 --plot x.png
    """
    import nnqft
    from nnqft_plugins.networks.published.forms import published

    check_outputs(output)
    lags = [0.0] if tau is None else parse_numbers("tau", tau)
    forms = published(nnqft.theory(model, **parse_parameters(param)), horizon)
    print(forms.table(lags))
    if output.json is not None:
        forms.save(output.json, lags)
        print(f"wrote {output.json}")
    if output.plot is not None:
        save_plot(forms.plot(longest=max(map(abs, lags))), output.plot)
        print(f"wrote {output.plot}")
    return 0
