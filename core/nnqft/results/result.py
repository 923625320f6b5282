"""What a computation hands back: numbers over the times, by order and width, and diagram by diagram."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from nnqft.checks import finite_number, saved_data, whole_number
from nnqft.errors import InputError
from nnqft.files import FORMAT, to_plain, write_json
from nnqft.graphs.diagram_set import DiagramSet
from nnqft.graphs.generate import MAX_DIAGRAMS
from nnqft.integrals.closed_form import ClosedForm
from nnqft.integrals.estimate import Estimate
from nnqft.integrals.estimate_data import estimate_from, estimate_to_data, parts_from, parts_to_data, total_cov_to_data
from nnqft.results import rows
from nnqft.results.charts import result_chart
from nnqft.results.rows import DiagramRow, DiagramRows, counts_from, nothing_known, part_of, row_from
from nnqft.results.series import Series
from nnqft.results.tables import computed_part, result_page, time_label
from nnqft.results.truncation import Beyond, left_out, whole_orders
from nnqft.show.numbers import value_with_error
from nnqft.show.page import outcome_line
from nnqft.stages.closed_forms import sum_closed_forms
from nnqft.stages.generation import requested_diagrams
from nnqft.stages.request import Request
from nnqft.stages.theories import make_theory

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """An observable over its times, with everything it was made of.

    Attributes
    ----------
    request : Request
    series : Series
        Estimates by (order, width), couplings included.
    by_coupling : dict
        Estimates by monomial of the couplings, such as ``"sigma_w^4 N^-1"``.
    diagrams : sequence of DiagramRow
    converged : bool
        The target was met, or only a budget was set and it was spent.
    reason : str
        Why the computation stopped.
    notes : tuple of str
        What a reader should know: a diverging series, a missed target.
    seconds : float
        From start to end, by the clock.
    versions : dict
        Of nnqft and of what it stands on.
    by_degree : dict
        Estimates of the sums of diagrams by the highest degree of their vertices, where the theory cuts the activation
        at a degree; else empty.
    beyond : Beyond
        What there is beyond the terms, for `truncation`.
    incomplete : tuple of int
        Orders that lack diagrams: these failed, or time ran out.
    counts : dict
        Numbers of diagrams by (order, width order), those that were not evaluated included.

    Examples
    --------
    >>> import nnqft
    >>> theory = nnqft.theory("linear", N=100, sigma_w=0.5)
    >>> result = nnqft.compute(theory, "two_point", order=2, tau=[0.0, 1.0])
    >>> result
    Result(two_point of linear: 0.5752 at τ = 0 and 1 more time)
    >>> result.mean.round(6).tolist(), result.sdev.tolist()
    ([0.5752, 0.241042], [0.0, 0.0])
    >>> len(result.diagrams), result.reason
    (19, 'all integrals are exact')
    """

    request: Request
    series: Series
    by_coupling: dict[str, Estimate]
    diagrams: Sequence[DiagramRow]
    converged: bool
    reason: str
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)
    by_degree: dict[int, Estimate] = field(default_factory=dict)
    beyond: Beyond = field(default_factory=Beyond)
    incomplete: tuple[int, ...] = ()
    counts: Mapping[tuple[int | str, int], int] = field(default_factory=dict)

    @property
    def times(self) -> np.ndarray:
        """(M, legs) external times, in the theory's unit of time."""
        return np.array(self.request.times)

    @cached_property
    def total(self) -> Estimate:
        """The estimate of the sum of all orders and width orders."""
        return self.series.total

    @property
    def mean(self) -> np.ndarray:
        """(M,) the observable, couplings included, all orders and widths summed; nan where no diagram has a number."""
        return self.total.mean

    @property
    def sdev(self) -> np.ndarray:
        """(M,) standard deviation of the mean, statistical only."""
        return self.total.sdev

    @property
    def cov(self) -> np.ndarray:
        """(M, M) covariance of the mean over the times."""
        return self.total.cov

    @cached_property
    def truncation(self) -> np.ndarray:
        """(M,) estimate of what the sum leaves out: higher orders, width orders and powers of a cut activation.

        It is no bound: docs/truncation.md has the rule and how often it holds. Exactly 0 where nothing is left out, nan
        where no diagram was found or evaluated, so that nothing is known.
        """
        nothing = not self.request.resummed and not len(self.diagrams) and self.beyond.orders
        series, order = whole_orders(self.series, self.request.order, self.incomplete)
        if nothing or not series or nothing_known(self.diagrams, self.incomplete):
            return np.full(len(self.times), math.nan)
        return left_out(series, self.series.N, order, self.request.width_order, self.beyond, self.by_degree)

    def contribution(self, order: int | str, width: int) -> Estimate:
        """The σ_w^{2·order} N^{−width} part, couplings included; zero where no diagram has it.

        The order is ``"resummed"`` where all were summed at once. Where all diagrams are missing it is nan.

        Raises
        ------
        InputError
            If the part lies outside what was computed.

        Examples
        --------
        >>> import nnqft
        >>> theory = nnqft.theory("linear", N=100, sigma_w=0.5)
        >>> result = nnqft.compute(theory, "two_point", order=2, tau=[0.0, 1.0])
        >>> float(result.contribution(order=1, width=1).mean[0])  # (1/4) σ_w²/N
        0.000625
        """
        part = computed_part(self.request, self.series, order, width)
        times = len(self.request.times)
        empty = Estimate.unknown(times) if part[0] in self.incomplete else Estimate.exact(np.zeros(times))
        return self.series.get(part, empty)

    def integrators(self) -> dict[str, int]:
        """Number of diagrams that each integrator computed.

        Examples
        --------
        >>> import nnqft
        >>> theory = nnqft.theory("linear", N=100, sigma_w=0.5)
        >>> result = nnqft.compute(theory, "two_point", order=2, tau=[0.0, 1.0])
        >>> result.integrators()
        {'exact': 19}
        """
        return rows.integrators_of(self.diagrams)

    def count(self, order: int | str, width: int) -> int:
        """Number of diagrams of an order and width."""
        return self.counts.get(part_of(order, width), 0)

    def closed_form(self, order: int, width: int) -> ClosedForm:
        """The σ_w^{2·order} N^{−width} part as Σ_c P_c(γτ) e^{−cγτ}, couplings included, in exact fractions.

        The first time is later by τ ≥ 0 than all others.

        Raises
        ------
        InputError
            If the part was not computed or has no such form: only for a stationary theory whose lines are sums of
            exponentials with rational amplitudes and rates that are multiples of γ.

        Examples
        --------
        >>> import nnqft
        >>> theory = nnqft.theory("linear", N=1, sigma_w=1.0)  # bare coefficients
        >>> print(nnqft.compute(theory, "two_point", order=2).closed_form(2, 1))
        (9/16 + 9/16 τ + 5/16 τ² + 1/8 τ³ + 1/48 τ⁴) e^(−τ)
        """
        self.contribution(order, width)
        if self.request.resummed:
            raise InputError("all orders together have no closed form here; compute with a whole number for order")
        return sum_closed_forms(self._found, order, width)

    @cached_property
    def _found(self) -> DiagramSet:
        """The diagrams; generated again for a result that was loaded."""
        if isinstance(self.diagrams, DiagramRows):
            return self.diagrams.found
        rules = make_theory(self.request.model, self.request.start, dict(self.request.parameters))
        return requested_diagrams(rules, self.request, max_diagrams=max(MAX_DIAGRAMS, 2 * len(self.diagrams)))

    def table(self) -> str:
        """The result as plain text: by (order, width order), then the sum over the times with all its errors."""
        last = outcome_line(self.converged, self.reason, self.seconds, self.request.seed)
        missing = self.incomplete, nothing_known(self.diagrams, self.incomplete)
        return result_page(self.request, self.series, self.counts, self.truncation, self.notes, last, *missing).text()

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        first = value_with_error(self.mean[0], self.sdev[0], self.total.rounding.flat[0])
        request, more = self.request, len(self.mean) - 1
        others = f" and {more} more time{'s' * (more > 1)}" if more else ""
        return f"Result({request.observable} of {request.model}: {first} at {time_label(request, 0)}{others})"

    def plot(self, ax: Axes | None = None) -> Axes:
        """Plot the sum with error bars over the first time column (τ for pairs (τ, 0)); returns the axes.

        Examples
        --------
        >>> import nnqft
        >>> theory = nnqft.theory("linear", N=100, sigma_w=0.5)
        >>> result = nnqft.compute(theory, "two_point", order=2, tau=[0.0, 1.0])
        >>> result.plot().get_xlabel()
        'τ'
        """
        return result_chart(self.request, self.series, self.total, self.truncation).draw(ax)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to a JSON file, whole or not at all."""
        write_json(path, self.to_data())

    def to_data(self) -> dict[str, object]:
        """The result as JSON values."""
        return {
            "format": FORMAT,
            "request": json.loads(self.request.to_json()),
            "converged": self.converged,
            "reason": self.reason,
            "notes": list(self.notes),
            "seconds": self.seconds,
            "versions": self.versions,
            "coupling": self.series.coupling,
            "N": self.series.N,
            "mean": to_plain(self.mean),
            "sdev": to_plain(self.sdev),
            "cov": total_cov_to_data(self.cov),
            "truncation": to_plain(self.truncation),
            "series": parts_to_data(self.series),
            "by_coupling": {name: estimate_to_data(e, self.series) for name, e in self.by_coupling.items()},
            "by_degree": {str(n): estimate_to_data(e, self.series) for n, e in self.by_degree.items()},
            "beyond": to_plain(asdict(self.beyond)),
            "incomplete": list(self.incomplete),
            "counts": [[*part, number] for part, number in self.counts.items()],
            "diagrams": [to_plain(asdict(row)) for row in self.diagrams],
        }

    @classmethod
    @saved_data("Result.from_data()", "Result.to_data()")
    def from_data(cls, data: Mapping[str, Any]) -> Result:
        """The result that `to_data` wrote; InputError if the data are something else."""
        request = Request.from_json(json.dumps(data["request"]))
        times = len(request.times)
        parts = parts_from(data["series"], times)
        each = tuple(row_from(row, times) for row in data["diagrams"])
        if not parts or any(isinstance(n, str) != request.resummed for n, _ in parts):
            raise ValueError("no contribution, or one of another kind of order")
        return cls(
            request=request,
            series=Series(parts, finite_number("coupling", data["coupling"]), whole_number("N", data["N"], 1)),
            by_coupling={str(name): estimate_from(e, times, parts) for name, e in data["by_coupling"].items()},
            diagrams=each,
            converged=bool(data["converged"]),
            reason=str(data["reason"]),
            notes=tuple(str(note) for note in data["notes"]),
            seconds=finite_number("seconds", data["seconds"]),
            versions={str(name): str(v) for name, v in data["versions"].items()},
            by_degree={int(name): estimate_from(e, times, parts) for name, e in data.get("by_degree", {}).items()},
            beyond=Beyond.from_data(data.get("beyond", {}), times),
            incomplete=tuple(whole_number("incomplete", n, 0) for n in data.get("incomplete", ())),
            counts=counts_from(data.get("counts"), each),
        )
