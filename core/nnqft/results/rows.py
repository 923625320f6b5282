"""A result diagram by diagram."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np

from nnqft.checks import finite_number, position, whole_number
from nnqft.files import array_from
from nnqft.graphs.diagram_set import DiagramSet
from nnqft.integrals.estimate import Estimate
from nnqft.show.numbers import clipped, value_with_error
from nnqft.stages.jobs import Job


@dataclass(frozen=True, eq=False, repr=False)
class DiagramRow:
    """One diagram and its integral.

    `integral` and `error` are (M,) arrays, without the weight; `chi2` is per degree of freedom, nan where a
    single chunk leaves none; `dim` is the number of internal times. `failure` says why the integral failed, and at
    which point, if it did: its numbers are then nan.

    Examples
    --------
    >>> import nnqft
    >>> theory = nnqft.theory("linear", N=100, sigma_w=0.5)
    >>> result = nnqft.compute(theory, "two_point", order=2, tau=[0.0, 1.0])
    >>> row = result.diagrams[1]
    >>> row.drawing, row.family, row.integrator, row.integral.round(6).tolist()
    ('t(b) s(a) a~b {a,b}', 'cactus', 'exact', [0.25, 0.18394])
    """

    drawing: str
    family: str
    order: int
    width: int
    weight: float
    symmetry_factor: int
    dim: int
    integrator: str
    integral: np.ndarray
    error: np.ndarray
    chi2: float
    samples: int
    seconds: float
    failure: str = ""

    def __repr__(self) -> str:
        value = value_with_error(float(self.integral[0]), float(self.error[0]))
        numbers = f"order={self.order}, width={self.width}, integral {value} by {self.integrator}"
        return f"DiagramRow({clipped(self.drawing, 100)}, {numbers})"


@dataclass(frozen=True, eq=False, repr=False)
class DiagramRows(Sequence[DiagramRow]):
    """Rows of a result, each made when it is asked for: drawing a hundred thousand diagrams takes a while."""

    found: DiagramSet
    job: Job
    estimates: Sequence[Estimate | None]
    have: np.ndarray
    failed: Mapping[int, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"DiagramRows({len(self)} of {len(self.found)} diagrams)"

    def __len__(self) -> int:
        return len(self.have)

    @overload
    def __getitem__(self, at: int) -> DiagramRow: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[DiagramRow, ...]: ...
    def __getitem__(self, at: int | slice) -> DiagramRow | tuple[DiagramRow, ...]:
        if isinstance(at, slice):
            return tuple(self[n] for n in range(*at.indices(len(self))))
        n = int(self.have[position("row", at, len(self))])
        diagram, number = self.found[n], int(self.job.which[n])
        work, estimate = self.job.work[number], self.estimates[number]
        if estimate is None:  # it failed
            estimate = Estimate.unknown(len(work.integral.times))
        return DiagramRow(
            drawing=str(diagram),
            family=diagram.family,
            order=diagram.order,
            width=diagram.width,
            weight=diagram.weight,
            symmetry_factor=diagram.symmetry_factor,
            dim=work.integral.dim,
            integrator=work.integrator.name,
            integral=estimate.mean,
            error=estimate.sdev,
            chi2=estimate.chi2,
            samples=estimate.samples,
            seconds=estimate.seconds,
            failure=self.failed.get(number, ""),
        )


def integrators_of(rows: Sequence[DiagramRow]) -> dict[str, int]:
    """Number of rows by the integrator that computed them."""
    if isinstance(rows, DiagramRows):
        return dict(Counter(rows.job.work[n].integrator.name for n in rows.job.which[rows.have]))
    return dict(Counter(row.integrator for row in rows))


Counts = Mapping[tuple[int | str, int], int]
"""Numbers of diagrams by (order, width order)."""


def counts_from(data: Iterable[Sequence[Any]] | None, rows: Sequence[DiagramRow]) -> Counts:
    """The numbers of diagrams that a result wrote; of one that wrote none the numbers of its rows."""
    if data is None:
        return dict(Counter((row.order, row.width) for row in rows))
    return {part_of(order, width): whole_number("counts", number, 0) for order, width, number in data}


def nothing_known(rows: Sequence[DiagramRow], incomplete: Sequence[int]) -> bool:
    """Are diagrams missing, those of the orders that are `incomplete`, and is there no row with a number?"""
    if not incomplete:
        return False
    if isinstance(rows, DiagramRows):
        return all(number in rows.failed for number in rows.job.which[rows.have].tolist())
    return all(row.failure for row in rows)


def row_from(data: Mapping[str, Any], times: int) -> DiagramRow:
    """The row at so many times whose fields, as JSON values, these are; ValueError if they are not."""
    checked: dict[str, Any] = {"failure": str(data.get("failure", ""))}
    for name in ("integral", "error"):
        unknown = checked["failure"] and data[name] == [None] * times
        checked[name] = np.full(times, math.nan) if unknown else array_from(data[name], (times,))
    checked |= {name: str(data[name]) for name in ("drawing", "family", "integrator")}
    whole = ("order", "width", "symmetry_factor", "dim", "samples")
    checked |= {name: whole_number(name, data[name], 0) for name in whole}
    checked |= {name: finite_number(name, data[name]) for name in ("weight", "seconds")}
    checked["chi2"] = math.nan if data["chi2"] is None else finite_number("chi2", data["chi2"])
    return DiagramRow(**checked)


def part_of(order: object, width: object) -> tuple[int | str, int]:
    """The order, a whole number or a word, and the width order that were asked for; InputError if they are neither."""
    asked = str.__str__(order) if isinstance(order, str) else whole_number("order", order, 0)
    return asked, whole_number("width", width, 0)
