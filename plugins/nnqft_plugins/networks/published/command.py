"""``nnqft published``: the talk's closed forms on the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from nnqft.cli.options import QUESTION, Model, Output, Param, Tau, parse_numbers, parse_parameters
from nnqft.cli.output import check_outputs, finish

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from nnqft_plugins.networks.published.forms import Published


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
    return finish(lambda: AtLags(forms, lags), output)


@dataclass(frozen=True)
class AtLags:
    """The forms at the lags of a command line."""

    forms: Published
    lags: list[float]
    converged: bool = True

    def table(self) -> str:
        """The forms as plain text."""
        return self.forms.table(self.lags)

    def plot(self) -> Axes:
        """The forms up to the longest lag."""
        return self.forms.plot(longest=max(map(abs, self.lags)))

    def save(self, path: Path) -> None:
        """Write the forms to a JSON file."""
        self.forms.save(path, self.lags)

    def to_data(self) -> dict[str, Any]:
        """The forms as JSON values."""
        return self.forms.to_data(self.lags)
