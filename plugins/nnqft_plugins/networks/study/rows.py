"""One row of the study for each network: every way to know its correlation length, side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnqft_plugins.networks.published.forms import published
from nnqft_plugins.networks.study.cells import Cell
from nnqft_plugins.networks.study.plan import Kind, Settings, kinds, resummed_cell, series_cells, simulation_cell
from nnqft_plugins.networks.study.sums import Sum, Table, combine, evaluate


@dataclass(frozen=True)
class Row:
    """ξ = 2 C/κ of one network, C at equal times, by every way; in units of 1/γ.

    Attributes
    ----------
    kind : Kind
    coupling, N
        σ_w² and the width.
    simulated, statistics, step : float
        Mean over networks, its statistical error, and the error of the step (0 where there is none).
    networks, discarded : int
        How many were averaged, how many had no stationary state.
    heavy : bool
        The simulation says that single networks dominate: its error is not to be trusted.
    free, infinite : float
        Without interactions, and at N → ∞.
    sum : Sum
        The engine's, to the highest order; nan beyond the edge, where the series has nothing to say.
    resummed, resummed_error : float
        N → ∞ plus all mushrooms; the error is the numerical one of that sum, without N^{−2}.
    wider : Sum
        The diagrams of width order 2 and more; nan as the sum.
    published, published_flat : float
        The talk's formula at the horizon T, and at T/N = 0; nan for σ_w ≥ γ.
    """

    kind: Kind
    coupling: float
    N: int
    simulated: float
    statistics: float
    step: float
    networks: int
    discarded: int
    heavy: bool
    free: float
    infinite: float
    sum: Sum
    resummed: float
    resummed_error: float
    wider: Sum
    published: float
    published_flat: float

    @property
    def simulation_error(self) -> float:
        """Error of the simulated value: of statistics and of the step."""
        return math.hypot(self.statistics, self.step)

    @property
    def best(self) -> float:
        """N → ∞, all mushrooms, and the Padé values of the wider diagrams; nan where these are not known."""
        return self.resummed + self.wider.by_pade

    @property
    def best_error(self) -> float:
        """What `best` leaves open."""
        return self.resummed_error + self.wider.error

    @property
    def summed(self) -> bool:
        """There is a series of diagrams at this coupling."""
        return not math.isnan(self.sum.value)

    @property
    def agrees(self) -> bool:
        """The sum and the simulation, within three errors of the simulation and what the sum leaves open."""
        return abs(self.sum.value - self.simulated) <= 3 * self.simulation_error + self.sum.error


Data = Mapping[Cell, Mapping[str, Any]]


def make_rows(settings: Settings, data: Data) -> list[Row]:
    """The rows of all networks whose cells are known."""
    rows = []
    for kind in kinds(settings):
        cells = series_cells(settings, kind)
        if not all(cell in data for cell in cells):
            continue
        table = combine([data[cell] for cell in cells], at=0)
        for coupling in kind.couplings:
            if (whole := resummed_cell(kind, coupling)) not in data:
                continue
            parts = Parts.of(kind, data[whole])
            for N in kind.widths:
                cell = simulation_cell(settings, kind, coupling, N)
                if cell in data:
                    rows.append(_row(settings, kind, table, parts, coupling, N, data[cell]))
    return rows


def _row(
    settings: Settings, kind: Kind, table: Table, parts: Parts, coupling: float, N: int, simulated: Mapping[str, Any]
) -> Row:
    scale = 2 / kind.kappa
    step = abs(simulated["step"][0])
    talk, flat = (
        published(kind.theory(coupling, N), T).xi if coupling < 1 else math.nan for T in (settings.horizon, 0.0)
    )
    return Row(
        kind=kind,
        coupling=coupling,
        N=N,
        simulated=scale * simulated["mean"][0],
        statistics=scale * math.sqrt(max(0.0, simulated["cov"][0][0] - step**2)),
        step=scale * step,
        networks=simulated["networks"],
        discarded=simulated["discarded"],
        heavy=any("heavy tail" in note for note in simulated["notes"]),
        # Without interactions a stationary unit has ξ = 1/γ.
        free=scale * table[0, 0].value if table else 1.0,
        infinite=parts.infinite,
        sum=evaluate(table, coupling, N).scaled(scale),
        resummed=parts.infinite + parts.mushrooms / N,
        resummed_error=parts.infinite_error + parts.mushrooms_error / N,
        wider=evaluate(table, coupling, N, range(2, 100)).scaled(scale),
        published=talk,
        published_flat=flat,
    )


@dataclass(frozen=True)
class Parts:
    """2 C/κ at N → ∞ and the coefficient of 1/N, summed to all orders, with their numerical errors."""

    infinite: float
    mushrooms: float
    infinite_error: float
    mushrooms_error: float

    @classmethod
    def of(cls, kind: Kind, data: Mapping[str, Any], at: int = 0) -> Parts:
        """Of a cell of all orders, at time number `at`."""
        return cls(*(2 / kind.kappa * data[name][k][at] for name in ("mean", "error") for k in (0, 1)))


@dataclass(frozen=True)
class Size:
    """How big the corrections of one kind of network at one coupling are, relative to the free ξ or the N → ∞ one.

    Attributes
    ----------
    kind, coupling
    cacti : float
        O(1): (ξ_∞ − ξ_free)/ξ_free.
    mushrooms : float
        O(1/N): its coefficient over ξ_∞.
    fitted, fitted_error : float
        The same coefficient from the simulations, ξ = ξ_∞ (1 + c/N + c₂/N²) through those that can be trusted, or
        through all where fewer than two can.
    published_cacti, published_depth : float
        The talk's ξ at T/N = 0 over ξ_∞, minus 1; its O(T/N) coefficient times T, over its own value at T/N = 0.
    trusted : bool
        No simulation in the fit was dominated by single networks, and no network was left out.
    """

    kind: Kind
    coupling: float
    cacti: float
    mushrooms: float
    fitted: float
    fitted_error: float
    published_cacti: float
    published_depth: float
    trusted: bool


def make_sizes(rows: Sequence[Row]) -> list[Size]:
    """One for each kind and coupling with two widths or more."""
    sizes = []
    for kind, coupling in dict.fromkeys((row.kind, row.coupling) for row in rows):
        group = [row for row in rows if (row.kind, row.coupling) == (kind, coupling)]
        trusted = [row for row in group if not (row.heavy or row.discarded)]
        group = trusted if len(trusted) > 1 else group
        if len(group) < 2:
            continue
        one = group[0]
        width = np.array([row.N for row in group], float)
        excess = np.array([row.simulated / row.infinite - 1 for row in group])
        error = np.array([row.simulation_error / row.infinite for row in group])
        design = np.stack([1 / width, 1 / width**2], axis=1) / error[:, None]
        cov = np.linalg.inv(design.T @ design)
        fitted = cov @ design.T @ (excess / error)
        sizes.append(
            Size(
                kind, coupling,
                cacti=one.infinite / one.free - 1,
                mushrooms=(one.resummed / one.infinite - 1) * one.N,
                fitted=float(fitted[0]),
                fitted_error=float(math.sqrt(cov[0, 0])),
                published_cacti=one.published_flat / one.infinite - 1,
                published_depth=(one.published / one.published_flat - 1) * one.N,
                trusted=len(trusted) > 1,
            )
        )  # fmt: skip
    return sizes
