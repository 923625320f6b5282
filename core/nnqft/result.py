"""What a computation hands back: numbers over the times, by order and width, and diagram by diagram."""

from __future__ import annotations

import json
import math
import os
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from nnqft.closed_form import ClosedForm
from nnqft.diagram_set import DiagramSet
from nnqft.errors import InputError, short
from nnqft.estimate import Estimate, collect
from nnqft.execution import Outcome
from nnqft.files import write_json
from nnqft.interfaces import finite_number, whole_number
from nnqft.report import plot_result, result_table
from nnqft.request import RESUMMED, Request
from nnqft.rows import DiagramRow, DiagramRows
from nnqft.series import Series
from nnqft.truncation import Beyond, growing, left_out
from nnqft.work import Job, sum_closed_forms

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMAT = 1
"""Version of the JSON file."""


@dataclass(frozen=True, eq=False)
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

    @property
    def times(self) -> np.ndarray:
        """(M, legs) external times."""
        return np.array(self.request.times)

    @cached_property
    def total(self) -> Estimate:
        """The sum of all orders and widths."""
        return self.series.total

    @property
    def mean(self) -> np.ndarray:
        """(M,) the observable, couplings included, all orders and widths summed."""
        return self.total.mean

    @property
    def sdev(self) -> np.ndarray:
        """(M,) its standard deviation."""
        return self.total.sdev

    @property
    def cov(self) -> np.ndarray:
        """(M, M) its covariance over the times."""
        return self.total.cov

    @cached_property
    def truncation(self) -> np.ndarray:
        """(M,) estimate of what the sum leaves out: higher orders, width orders and powers of a cut activation.

        It is no bound: docs/truncation.md has the rule and how often it holds. Exactly 0 where nothing is left out, nan
        where no diagram was found or evaluated, so that nothing is known.
        """
        request = self.request
        if not request.resummed and not len(self.diagrams) and self.beyond.orders:
            return np.full(len(request.times), math.nan)
        widths = request.width_order
        return left_out(self.series, self.series.N, request.order, widths, self.beyond, self.by_degree)

    def contribution(self, order: int | str, width: int) -> Estimate:
        """The σ_w^{2·order} N^{−width} part, couplings included; zero where no diagram has it.

        The order is ``"resummed"`` where all were summed at once.

        Raises
        ------
        InputError
            If the part lies outside what was computed.
        """
        limit = self.request.width_order
        lowest = -(10**9)
        width = whole_number("width", width, lowest)
        if self.request.resummed and order == RESUMMED and (RESUMMED, width) in self.series:
            return self.series[RESUMMED, width]
        if isinstance(self.request.order, str):
            raise InputError(
                f"contribution({short(order)}, {short(width)}) was not computed, only order {RESUMMED!r} and"
                f" width ≤ {limit}; compute again with a whole number for order"
            )
        order = whole_number("order", order, lowest)
        if not 0 <= order <= self.request.order or width < 0 or (limit is not None and width > limit):
            asked = "all widths" if limit is None else f"width ≤ {limit}"
            raise InputError(
                f"contribution({short(order)}, {short(width)}) was not computed, only order ≤ {self.request.order}"
                f" and {asked}; compute again with a higher order or width_order"
            )
        zero = Estimate.exact(np.zeros(len(self.request.times)))
        return self.series.get((order, width), zero)

    def integrators(self) -> dict[str, int]:
        """Number of diagrams that each integrator computed."""
        if isinstance(self.diagrams, DiagramRows):
            work = self.diagrams.job.work
            return dict(Counter(work[n].integrator.name for n in self.diagrams.job.which[self.diagrams.have]))
        return dict(Counter(row.integrator for row in self.diagrams))

    def count(self, order: int | str, width: int) -> int:
        """Number of diagrams of an order and width."""
        return self._counts.get((order, width), 0)

    @cached_property
    def _counts(self) -> dict[tuple[int | str, int], int]:
        if isinstance(self.diagrams, DiagramRows):
            return dict(self.diagrams.found.counts.items())
        return dict(Counter((row.order, row.width) for row in self.diagrams))

    def closed_form(self, order: int, width: int) -> ClosedForm:
        """The σ_w^{2·order} N^{−width} part as Σ_c P_c(γτ) e^{−cγτ}, couplings included, in exact fractions.

        The first time is later by τ ≥ 0 than all others.

        Raises
        ------
        InputError
            If the part was not computed or has no such form: only for a stationary theory whose lines are sums of
            exponentials with rational amplitudes and rates that are multiples of γ.
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
        from nnqft.pipeline import diagrams, theory  # the pipeline makes Results, so it is imported late

        request = self.request
        assert isinstance(request.order, int)
        rules = theory(request.model, start=request.start, **dict(request.parameters))
        return diagrams(
            rules,
            request.observable,
            order=request.order,
            width_order=request.width_order,
            arity=len(request.times[0]),
            indices=request.indices,
            max_diagrams=2**31,
        )

    def table(self) -> str:
        """The result as plain text: by (order, width), then the sum over the times."""
        return result_table(self)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Plot the sum with error bars over the first time column (τ for pairs (τ, 0)); returns the axes."""
        return plot_result(self, ax)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to a JSON file, whole or not at all."""
        write_json(path, self.to_data())

    def to_data(self) -> dict[str, Any]:
        """As JSON values."""
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
            "mean": self.mean.tolist(),
            "sdev": self.sdev.tolist(),
            "cov": self.cov.tolist(),
            "truncation": [x if math.isfinite(x) else None for x in self.truncation.tolist()],
            "series": [{"order": n, "width": k} | _plain(e) for (n, k), e in self.series.items()],
            "by_coupling": {name: _plain(e) for name, e in self.by_coupling.items()},
            "by_degree": {str(degree): _plain(e) for degree, e in self.by_degree.items()},
            "beyond": _plain(self.beyond),
            "diagrams": [_plain(row) for row in self.diagrams],
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Result:
        """What `to_data` made; raises one of many errors if it is not."""
        request = Request.from_json(json.dumps(data["request"]))
        times = len(request.times)
        parts = {(_order(e["order"]), int(e["width"])): _estimate(e, times) for e in data["series"]}
        if not parts:
            raise ValueError("no contribution")
        return cls(
            request=request,
            series=Series(parts, finite_number("coupling", data["coupling"]), whole_number("N", data["N"], 1)),
            by_coupling={str(name): _estimate(e, times) for name, e in data["by_coupling"].items()},
            diagrams=tuple(_row(row, times) for row in data["diagrams"]),
            converged=bool(data["converged"]),
            reason=str(data["reason"]),
            notes=tuple(str(note) for note in data["notes"]),
            seconds=finite_number("seconds", data["seconds"]),
            versions={str(name): str(v) for name, v in data["versions"].items()},
            by_degree={int(name): _estimate(e, times) for name, e in data.get("by_degree", {}).items()},
            beyond=Beyond.from_data(data.get("beyond", {}), times),
        )


def _order(value: Any) -> int | str:
    return RESUMMED if value == RESUMMED else int(value)


def _plain(record: Any) -> dict[str, Any]:
    """A dataclass as JSON values; nan, which JSON lacks, becomes null."""
    plain = {}
    for name, value in asdict(record).items():
        if isinstance(value, np.ndarray):
            plain[name] = value.tolist()
        elif isinstance(value, float) and not math.isfinite(value):
            plain[name] = None
        else:
            plain[name] = value
    return plain


def _estimate(data: dict[str, Any], times: int) -> Estimate:
    return Estimate(
        mean=_numbers(data["mean"], (times,)),
        cov=_numbers(data["cov"], (times, times)),
        samples=whole_number("samples", data["samples"], 0),
        chunks=whole_number("chunks", data["chunks"], 0),
        chi2_sum=finite_number("chi2_sum", data["chi2_sum"]),
        dof=whole_number("dof", data["dof"], 0),
        seconds=finite_number("seconds", data["seconds"]),
        rounding=_numbers(data["rounding"], (len(data["rounding"]),)),
    )


def _numbers(values: Any, shape: tuple[int, ...]) -> np.ndarray:
    array = np.array(values, dtype=float)
    if array.shape != shape or not np.isfinite(array).all():
        raise ValueError(f"numbers of shape {array.shape}, wanted {shape}")
    return array


def _row(data: dict[str, Any], times: int) -> DiagramRow:
    checked: dict[str, Any] = {name: _numbers(data[name], (times,)) for name in ("integral", "error")}
    checked |= {name: str(data[name]) for name in ("drawing", "family", "integrator")}
    whole = ("order", "width", "symmetry_factor", "dim", "samples")
    checked |= {name: whole_number(name, data[name], 0) for name in whole}
    checked |= {name: finite_number(name, data[name]) for name in ("weight", "seconds")}
    checked["chi2"] = math.nan if data["chi2"] is None else finite_number("chi2", data["chi2"])
    return DiagramRow(**checked)


def make_result(request: Request, diagrams: DiagramSet, job: Job, outcome: Outcome, seconds: float) -> Result:
    """Add up what an executor handed back; diagrams without an estimate are left out and noted."""
    estimates = {n: e for n, e in enumerate(outcome.estimates) if e is not None}
    have = np.flatnonzero(np.isin(job.which, list(estimates)))
    which, weights = job.which[have].tolist(), diagrams.weights[have].tolist()
    keys = list(zip(diagrams.orders[have].tolist(), diagrams.widths[have].tolist(), strict=True))
    monomials = [diagrams.monomials[n] for n in have]
    notes = list(diagrams.theory.remarks)
    notes += [f"{n} diagram{'s' * (n > 1)} left to another integrator; {why}" for why, n in job.passed_over.items()]
    units = len(set(request.indices or "i"))
    if units > diagrams.theory.N:
        notes.append(f"N={diagrams.theory.N} has no {units} different units; read the contributions as coefficients")
    notes += outcome.notes
    if not outcome.converged:
        notes.append(f"target not reached ({outcome.reason}): the estimate so far is given with its error")
    if missing := len(diagrams) - len(have):
        notes.append(f"{missing} of {len(diagrams)} diagrams were not evaluated and are missing from the sum")
    by_degree = {}
    if diagrams.theory.degree is not None and which:
        by_degree = collect(diagrams.degrees[have].tolist(), weights, which, estimates)
    if not which:
        keys, monomials, which, weights = [(0, 0)], ["1"], [-1], [0.0]
        estimates = {-1: Estimate.exact(np.zeros(len(request.times)))}
    series = collect(keys, weights, which, estimates)
    return Result(
        request=request,
        series=Series(series, _coupling(diagrams), diagrams.theory.N),
        by_coupling=collect(monomials, weights, which, estimates),
        diagrams=DiagramRows(diagrams, job, outcome.estimates, have),
        converged=outcome.converged,
        reason=outcome.reason,
        notes=(*notes, *growing(series)),
        seconds=seconds,
        versions=versions(),
        by_degree=by_degree,
        beyond=Beyond.of(diagrams.theory, diagrams.plan.externals),
    )


def _coupling(diagrams: DiagramSet) -> float:
    """What one order brings, if all vertices bring the same couplings for each order; else 1."""
    theory = diagrams.theory
    brought = {(v.couplings, v.order) for v in theory.interactions}
    return theory.coupling_value(next(iter(brought))[0]) if len(brought) == 1 else 1.0


def versions() -> dict[str, str]:
    """Versions of nnqft and of what its numbers depend on."""
    return {"python": platform.python_version()} | {name: version(name) for name in ("nnqft", "numpy", "vegas")}
