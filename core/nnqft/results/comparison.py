"""A theory beside its own simulation: numbers, errors, and by how much they differ."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from nnqft.checks import finite_number, whole_number
from nnqft.files import FORMAT, to_plain, write_json
from nnqft.interfaces.simulator import Simulated
from nnqft.results.compared import ROUNDING, Compared
from nnqft.results.derived import Derived
from nnqft.results.result import Result
from nnqft.results.tables import is_lag, left_out_cell
from nnqft.show.chart import Chart, Curve
from nnqft.show.numbers import parameter_line, parameter_title, spread, value_with_error
from nnqft.show.page import Page, Table, outcome_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FALSE_ALARMS = 0.0027
"""How often a check of a theory that is right says that it is not, whatever the number of rows: as often as 3 σ."""
_ROWS = 40


@dataclass(frozen=True, eq=False, repr=False)
class Check:
    """A theory against its own simulation.

    Attributes
    ----------
    compared : tuple of Compared
        One for each width N that was reached.
    asked : tuple of int
        The widths that were asked for.
    seed : int
    reason : str
        Why it stopped, if that was before the end; else empty.
    seconds : float
        From start to end, by the clock.

    Examples
    --------
    >>> import nnqft
    >>> found = nnqft.check(nnqft.theory("linear", N=20, sigma_w=0.4), "two_point", tau=[0.0, 1.0], samples=100)
    >>> found.agrees, found.agreement.shape
    (True, (1, 2))
    """

    compared: tuple[Compared, ...]
    asked: tuple[int, ...]
    seed: int = 0
    reason: str = ""
    seconds: float = 0.0

    @property
    def theory(self) -> tuple[Result | Derived, ...]:
        """What theory says, for each width."""
        return tuple(each.theory for each in self.compared)

    @property
    def simulated(self) -> tuple[Simulated, ...]:
        """What was simulated, for each width."""
        return tuple(each.simulated for each in self.compared)

    @property
    def agreement(self) -> np.ndarray:
        """(widths, K) simulation minus theory over the combined error, what theory leaves out included.

        nan where the theory does not know what it leaves out, or a number does not exist.
        """
        return np.array([each.pulls(each.theory.mean) for each in self.compared])

    @property
    def limit(self) -> float:
        """How many errors a difference may be: more comes by chance in 0.27 % of all checks with so many numbers."""
        count = max(1, int(np.isfinite(self.agreement).sum()))
        return NormalDist().inv_cdf(1 - FALSE_ALARMS / (2 * count))

    @property
    def agrees(self) -> bool:
        """No difference is beyond the limit, and there is one that is known."""
        known = np.abs(self.agreement[~np.isnan(self.agreement)])
        return bool(known.size) and bool((known <= self.limit).all())

    @property
    def disagrees(self) -> bool:
        """Some difference is beyond the limit; neither this nor `agrees` where nothing is known."""
        return bool((np.abs(self.agreement) > self.limit).any())

    @property
    def converged(self) -> bool:
        """All widths were reached, and every target was met."""
        whole = not self.reason and len(self.compared) == len(self.asked)
        return whole and all(each.theory.converged and each.simulated.converged for each in self.compared)

    @property
    def verdict(self) -> str:
        """One line: whether they agree, how well, and how much the comparison can tell."""
        sizes = np.abs(self.agreement)
        if np.isnan(sizes).all():
            return "no verdict: the theory does not know what it leaves out"
        n, m = np.unravel_index(int(np.nanargmax(sizes)), sizes.shape)
        where = f"N = {self.compared[n].N}, {self.compared[n].labels[m]}"
        said = f"largest difference {sizes[n, m]:.1f} σ at {where}; by chance up to {self.limit:.1f} σ"
        if self.disagrees:
            return f"theory and simulation DISAGREE: {said}"
        return f"theory and simulation agree: {said}{self._power()}"

    def _power(self) -> str:
        """How much the comparison can tell: whether N → ∞ would have done as well."""
        alone = np.abs(np.array([each.pulls(each.infinite) for each in self.compared]))
        if np.isnan(alone).all() or all(np.array_equal(each.infinite, each.theory.mean) for each in self.compared):
            return ""
        if (worst := float(np.nanmax(alone))) > self.limit:
            return f"; width order 0 alone is off by {worst:.1f} σ"
        return "; width order 0 alone agrees, too: a smaller N or more samples would tell them apart"

    def table(self) -> str:
        """Everything as plain text: a row for each number and width, notes, and the verdict."""
        first = self.compared[0]
        request, name = first.request, first.observable
        indices = f" ({request.indices})" if request.indices and isinstance(first.theory, Result) else ""
        parameters = {key: value for key, value in request.parameters if key != "N"}
        order = "all orders" if request.resummed else f"order ≤ {request.order}"
        width = "" if request.width_order is None else f", width order ≤ {request.width_order}"
        heading = (
            f"{name}{indices} of {request.model} ({request.start}) against its simulation",
            parameter_line(parameters),
            f"theory: {order}{width}; simulation: "
            + ", ".join(f"{each.simulated.samples:,} × N = {each.N}" for each in self.compared)
            + f" ({first.simulated.method})",
        )
        axis = "number" if isinstance(first.theory, Derived) else "τ" if is_lag(request) else "times"
        notes = [f"simulation, N = {each.N}: {note}" for each in self.compared for note in each.simulated.notes]
        notes += [f"theory, N = {first.N}: {note}" for note in first.theory.notes]
        reasons = [self.reason or "", *(self._missed(each) for each in self.compared)]
        reason = ", ".join(dict.fromkeys(each for each in reasons if each)) or "all done"
        last = f"{self.verdict}\n{outcome_line(self.converged, reason, self.seconds, self.seed)}"
        return Page(heading, self._rows(axis), notes, last).text()

    @staticmethod
    def _missed(each: Compared) -> str:
        missed = [("theory", each.theory.converged), ("simulation", each.simulated.converged)]
        return ", ".join(f"{what} of N = {each.N} not to its target" for what, met in missed if not met)

    def _rows(self, axis: str) -> list[Table | str]:
        columns = ("N", axis, "width order 0", "theory", "left out", "simulation", "difference")
        rows = []
        for each, pulls in zip(self.compared, self.agreement, strict=True):
            values = each.theory.mean, each.theory_error, each.left_out, each.simulated.mean, each.simulated.sdev
            for m, label in enumerate(each.labels):
                mean, error, left, simulated, sdev = (value[m] for value in values)
                pull = "?" if math.isnan(pulls[m]) else f"{pulls[m]:+.1f} σ"
                cells = _theory_cell(mean, error), left_out_cell(left), value_with_error(simulated, sdev), pull
                rows.append((str(each.N), label, f"{each.infinite[m]:.6g}", *cells))
        shown = [rows[n] for n in spread(len(rows), _ROWS)]
        return [Table(columns, shown), *[f"{_ROWS} of {len(rows)} rows shown"] * (len(rows) > _ROWS)]

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        return f"Check({self.verdict})"

    def plot(self, ax: Axes | None = None) -> Axes:
        """Theory as lines, with bands of what it leaves out, and what was simulated as points; returns the axes."""
        curves = []
        first = self.compared[0]
        request, name = first.request, first.observable
        timed = isinstance(first.theory, Result)
        x = np.array([row[0] for row in request.times]) if timed else np.arange(float(len(first.labels)))
        style = "-" if timed else "_"
        for n, each in enumerate(self.compared):
            colour = f"C{n}"
            if n == 0:
                dashes = "--" if timed else "_"
                curves.append(Curve(x, each.infinite, label="width order 0", style=dashes, colour="0.6"))
            band = np.nan_to_num(each.left_out)
            curves.append(
                Curve(x, each.theory.mean, band, f"theory, N = {each.N}", style, errors="band", colour=colour)
            )
            points = each.simulated.mean, each.simulated.sdev
            curves.append(Curve(x, *points, f"simulated, N = {each.N}", "o", colour=colour))
        title = f"{request.model}, {request.start}: {parameter_title(dict(request.parameters))}"
        axis = "" if not timed else "τ" if is_lag(request) else "first time"
        return Chart(curves, title, axis, name, ticks=() if timed else first.labels).draw(ax)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to a JSON file, whole or not at all; `nnqft.load` reads it back."""
        write_json(path, self.to_data())

    def to_data(self) -> dict[str, object]:
        """The check as JSON values, the results of the theory included."""
        return {
            "format": FORMAT,
            "kind": "check",
            "asked": list(self.asked),
            "seed": self.seed,
            "reason": self.reason,
            "seconds": self.seconds,
            "agrees": self.agrees,
            "verdict": self.verdict,
            "agreement": to_plain(self.agreement),
            "compared": [each.to_data() for each in self.compared],
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Check:
        """The check that `to_data` wrote; KeyError, TypeError or ValueError if the data are something else."""
        return cls(
            compared=tuple(Compared.from_data(each) for each in data["compared"]),
            asked=tuple(whole_number("asked", N, 1) for N in data["asked"]),
            seed=whole_number("seed", data["seed"], 0),
            reason=str(data["reason"]),
            seconds=finite_number("seconds", data["seconds"]),
        )


def _theory_cell(mean: float, error: float) -> str:
    """The value with its error, where that is more than rounding."""
    return value_with_error(mean, error) if error > ROUNDING * abs(mean) else f"{mean:.8g}"
