"""A result from what an executor handed back."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version

import numpy as np

from nnqft.graphs.diagram_set import DiagramSet
from nnqft.integrals.estimate import Estimate, collect
from nnqft.interfaces.executor import Outcome
from nnqft.results.result import Result
from nnqft.results.rows import DiagramRows
from nnqft.results.series import Series
from nnqft.results.tables import time_label
from nnqft.results.truncation import Beyond, growing, whole_orders
from nnqft.stages.jobs import Job, number_ranges
from nnqft.stages.request import Request


def make_result(
    request: Request,
    diagrams: DiagramSet,
    job: Job,
    outcome: Outcome,
    seconds: float,
    notes: Sequence[str] = (),
    reached: int | None = None,
) -> Result:
    """Add up what an executor handed back; diagrams without an estimate are left out and noted.

    `reached` is the highest order whose diagrams there are, if not the one that was asked for.
    """
    # Of an integral that failed there is no number: what was sampled before would leave out where it fails.
    usable = [None if n in outcome.failed else e for n, e in enumerate(outcome.estimates)]
    estimates = {n: e for n, e in enumerate(usable) if e is not None}
    have = np.flatnonzero(np.isin(job.which, list(estimates)))
    shown = np.flatnonzero(np.isin(job.which, [*estimates, *outcome.failed]))
    which, weights = job.which[have].tolist(), diagrams.weights[have].tolist()
    keys = list(zip(diagrams.orders[have].tolist(), diagrams.widths[have].tolist(), strict=True))
    monomials = [diagrams.monomials[n] for n in have]
    incomplete = set(diagrams.orders[_lacking(diagrams, job, outcome)].tolist())
    if reached is not None and isinstance(request.order, int):
        incomplete |= set(range(reached + 1, request.order + 1))
    notes = [*diagrams.theory.remarks, *notes, *_notes(request, diagrams, job, outcome)]
    if missing := len(diagrams) - len(have):
        notes.append(f"{missing} of {len(diagrams)} diagrams were not evaluated and are missing from the sum")
    if incomplete:
        notes.append(f"incomplete: order {', '.join(map(str, sorted(incomplete)))}")
    by_degree = {}
    if diagrams.theory.degree is not None and which:
        by_degree = collect(diagrams.degrees[have].tolist(), weights, which, estimates)
    if not which:
        keys, monomials, which, weights = [(0, 0)], ["1"], [-1], [0.0]
        none = Estimate.unknown(len(request.times)) if incomplete else Estimate.exact(np.zeros(len(request.times)))
        estimates = {-1: none}
    series = Series(collect(keys, weights, which, estimates), _coupling(diagrams), diagrams.theory.N)
    notes += _doubts(request, series.total)
    return Result(
        request=request,
        series=series,
        by_coupling=collect(monomials, weights, which, estimates),
        diagrams=DiagramRows(diagrams, job, usable, shown, outcome.failed),
        converged=outcome.converged,
        reason=outcome.reason,
        notes=(*notes, *growing(whole_orders(series, request.order, sorted(incomplete))[0])),
        seconds=seconds,
        versions=versions(),
        by_degree=by_degree,
        beyond=Beyond.of(diagrams.theory, diagrams.layout.externals),
        incomplete=tuple(sorted(incomplete)),
        counts=dict(diagrams.counts.items()),
    )


def _doubts(request: Request, total: Estimate) -> list[str]:
    """A note if errors are not to be trusted, with the first of the times."""
    if not len(at := np.flatnonzero(~total.trusted)):
        return []
    more = f" and {len(at) - 1} more" if len(at) > 1 else ""
    return [
        f"do not trust the error at {time_label(request, int(at[0]))}{more}: a few samples make up the variance, or"
        " chunks contradict each other; take more samples, or integrator='exact'"
    ]


def _notes(request: Request, diagrams: DiagramSet, job: Job, outcome: Outcome) -> Iterator[str]:
    """What a reader should know of who computed what, and how it ended."""
    for why, numbers in job.passed_over.items():
        count = f"{len(numbers)} diagram{'s' * (len(numbers) > 1)}"
        yield f"{count} ({number_ranges(numbers)}) left to another integrator; {why}"
    units = len(set(request.indices or "i"))
    if units > diagrams.theory.N:
        yield f"N={diagrams.theory.N} has no {units} different units; read the contributions as coefficients"
    yield from outcome.notes
    if not outcome.converged:
        yield f"target not reached ({outcome.reason}): the estimate so far is given with its error"
    if outcome.failed:
        yield _failures(outcome.failed)


def _lacking(diagrams: DiagramSet, job: Job, outcome: Outcome) -> np.ndarray:
    """(D,) bool: the diagrams that have no estimate, or failed."""
    none = [n for n, estimate in enumerate(outcome.estimates) if estimate is None]
    return np.isin(job.which, [*none, *outcome.failed])


def _failures(failed: Mapping[int, str]) -> str:
    """A note on diagrams that failed while others went on."""
    more = len(failed) - 1
    others = f", and {more} more diagram{'s' * (more > 1)} like it" if more else ""
    return f"failed, and missing from the sum: {failed[min(failed)]}{others}"


def _coupling(diagrams: DiagramSet) -> float:
    """What one order brings, if all vertices bring the same couplings for each order; else 1."""
    theory = diagrams.theory
    brought = {(v.couplings, v.order) for v in theory.interactions if not v.source}
    return theory.coupling_value(next(iter(brought))[0]) if len(brought) == 1 else 1.0


def versions() -> dict[str, str]:
    """Versions of nnqft and of what its numbers depend on."""
    return {"python": platform.python_version()} | {name: version(name) for name in ("nnqft", "numpy", "vegas")}
