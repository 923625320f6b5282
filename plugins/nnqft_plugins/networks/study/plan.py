"""What the study "test it" computes: its settings, the networks it looks at, and its cells."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

import nnqft
from nnqft_plugins.networks.study.cells import Cell, EdgeCell, ExponentCell, ResummedCell, SeriesCell, SimulationCell

Times = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Settings:
    """Of the study.

    Attributes
    ----------
    couplings : tuple of float
        σ_w² of the linear networks, γ = 1.
    widths : tuple of int
        N of the linear networks.
    tanh_couplings, tanh_widths
        The same of the tanh networks. Those of γ² and more are a kind of their own, without diagrams: the series about
        h = 0 has nothing to say there.
    tanh_kappa : float
        Noise strength of the tanh networks, small, so that few powers of h suffice; the linear ones have κ = 1.
    strong_kappa : float
        Noise strength of the tanh networks with σ_w ≥ γ: the more of it, the smaller 1/N there.
    rtol : float
        Relative error of a simulated C to reach.
    networks : int
        The most to simulate in one cell up to N = 50; beyond, ∝ N^{−2}.
    horizon : float
        T: where the networks that start from rest are looked at, and T of the published formula.
    edge_widths : tuple of int
        N of the W whose edge of stability is looked for, `networks` of them up to N = 20; beyond, ∝ N^{−3/2}. If there
        are tanh networks, the edge of chaos of such of tanh_kappa is looked for, too.
    seed : int
    """

    couplings: tuple[float, ...] = (0.25, 0.5, 0.7)
    widths: tuple[int, ...] = (20, 50, 100, 200)
    tanh_couplings: tuple[float, ...] = (0.25, 0.5, 1.96, 3.24)
    tanh_widths: tuple[int, ...] = (20, 50, 100)
    tanh_kappa: float = 0.1
    strong_kappa: float = 1.0
    rtol: float = 1e-3
    networks: int = 20_000
    horizon: float = 10.0
    edge_widths: tuple[int, ...] = (20, 35, 50, 100, 200, 400)
    seed: int = 0


@dataclass(frozen=True)
class Kind:
    """A kind of network: everything but its coupling and width.

    Attributes
    ----------
    label, title, model, start : str
        For files, for readers, the model plugin, how the process begins.
    parameters : tuple of (name, value)
        What is simulated and solved at N → ∞.
    kappa : float
    couplings, widths : tuple
        The grid.
    time : float
        Where C(t, t) is looked at; 0 if stationary.
    series : tuple of (more parameters, order, width order)
        The computations that the coefficients are put together from; see `nnqft_plugins.networks.study.sums`. None
        beyond the edge.
    effort : float
        Relative error of the simulations over that of the study.
    """

    label: str
    title: str
    model: str
    start: str
    parameters: tuple[tuple[str, Any], ...]
    kappa: float
    couplings: tuple[float, ...]
    widths: tuple[int, ...]
    time: float
    series: tuple[tuple[tuple[tuple[str, Any], ...], int, int | None], ...]
    effort: float = 1.0

    @property
    def curved(self) -> bool:
        """C(τ) of one network is shown; beyond the edge lags take longest."""
        return self.start == "stationary" and bool(self.series)

    def times(self, lags: tuple[float, ...] = (0.0,)) -> Times:
        """The times of lags τ: (t, t − τ) from rest, (τ, 0) if stationary."""
        return tuple((self.time, self.time - lag) if self.time else (lag, 0.0) for lag in lags)

    def values(self, coupling: float, N: int) -> dict[str, Any]:
        """All parameters of the theory at one coupling and width."""
        return {"gamma": 1.0, "kappa": self.kappa, **dict(self.parameters), "sigma_w": coupling**0.5, "N": N}

    def theory(self, coupling: float, N: int) -> nnqft.Theory:
        """The network that is simulated, and whose bare series is summed."""
        return nnqft.theory(self.model, start=self.start, expansion="bare", **self.values(coupling, N))


# Low width orders are few, all widths together are (2n+1)!!.
_LINEAR = (((), 8, 2), ((), 6, 3), ((), 5, None))
# (degree, order, width order), each a matter of seconds: h^9 matters at low orders only.
_TANH = ((5, 3, 0), (5, 2, None), (7, 2, 0), (3, 3, 1), (3, 2, None), (9, 1, None), (7, 1, None))

_STRONG = 2.0
"""Beyond the edge single networks differ more and move more slowly."""

_BEYOND = (1.0, 1.15, 1.3, 1.45, 1.6)
"""σ_w over that of the edge of chaos at N → ∞, where λ is looked for."""

CURVE = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
"""Lags of the C(τ) that is shown for one network of each kind."""


def kinds(settings: Settings) -> list[Kind]:
    """Linear networks, stationary and from rest, and tanh networks, below γ and beyond; those that are wanted."""
    grid = settings.couplings, settings.widths
    series = tuple(((("activation", "tanh"), ("degree", degree)), n, k) for degree, n, k in _TANH)
    kappa, tanh = settings.tanh_kappa, (("activation", "tanh"),)
    weak, strong = (tuple(g for g in settings.tanh_couplings if (g < 1.0) is below) for below in (True, False))
    every = [
        Kind("linear", "linear", "linear", "stationary", (), 1.0, *grid, 0.0, _LINEAR),
        Kind(
            "rest", f"linear, from rest at t = {settings.horizon:g}", "linear", "rest", (), 1.0, *grid,
            settings.horizon, _LINEAR,
        ),
        Kind(
            "tanh", f"tanh, κ = {kappa:g}", "taylor", "stationary", tanh, kappa, weak, settings.tanh_widths, 0.0,
            series,
        ),
        Kind(
            "strong", f"tanh, κ = {settings.strong_kappa:g}, σ_w ≥ γ", "taylor", "stationary", tanh,
            settings.strong_kappa, strong, settings.tanh_widths, 0.0, (), _STRONG,
        ),
    ]  # fmt: skip
    return [kind for kind in every if kind.couplings]


def series_cells(settings: Settings, kind: Kind) -> list[SeriesCell]:
    """Those whose coefficients make the sums of a kind of network."""
    common = (("gamma", 1.0), ("kappa", kind.kappa))
    times = kind.times(CURVE)
    return [
        SeriesCell(kind.label, kind.model, kind.start, common + more, n, k, times, seed=settings.seed)
        for more, n, k in kind.series
    ]


def resummed_cell(kind: Kind, coupling: float) -> ResummedCell:
    """All orders in the coupling, for every width; with the C(τ) that is shown."""
    values, lags = kind.values(coupling, 1), CURVE if kind.curved else (0.0,)
    return ResummedCell(kind.label, kind.model, kind.start, tuple(values.items()), kind.times(lags))


def edge_cells(settings: Settings) -> list[EdgeCell]:
    """Edges of stability of drawn W, one cell for each width."""
    return [
        EdgeCell(N, max(2, round(settings.networks * min(1.0, (20 / N) ** 1.5))), settings.seed)
        for N in settings.edge_widths
    ]


def exponent_cells(settings: Settings) -> list[ExponentCell]:
    """λ of tanh networks from the edge of chaos at N → ∞ upwards, one cell for each width."""
    if not settings.tanh_couplings:
        return []
    sigma_w = _from_edge(settings.tanh_kappa)
    many = settings.networks / 160
    return [
        ExponentCell(
            N, max(2, round(many * min(1.0, (100 / N) ** 1.5))), settings.tanh_kappa, sigma_w, settings.seed
        )
        for N in settings.edge_widths
    ]  # fmt: skip


@cache
def _from_edge(kappa: float) -> tuple[float, ...]:
    from nnqft_plugins.networks.meanfield import edge_of_chaos

    theory = nnqft.theory("taylor", activation="tanh", gamma=1.0, kappa=kappa, sigma_w=1.0, N=1)
    (edge,) = edge_of_chaos(theory).tolist()
    # As sharp as it is known on every machine: cells are known by their settings.
    return tuple(round(factor * edge, 4) for factor in _BEYOND)


def simulation_cell(settings: Settings, kind: Kind, coupling: float, N: int, curve: bool = False) -> SimulationCell:
    """One point of the grid; with `curve` at more lags and to three times the error."""
    cell = SimulationCell(
        kind.label, kind.model, kind.start, tuple(kind.values(coupling, N).items()),
        kind.times(CURVE if curve else (0.0,)), kind.effort * settings.rtol * (3 if curve else 1),
        _most(settings.networks // (8 if curve or kind.effort > 1 else 1), N),
    )  # fmt: skip
    # Equal seeds would give networks of equal W, scaled, and rows whose errors are the same.
    words = (settings.seed, *cell.name.encode())
    return replace(cell, seed=int(np.random.SeedSequence(words).generate_state(1)[0]))


def _most(networks: int, N: int) -> int:
    """Fewer of the wide ones, which cost more each and differ less."""
    return max(2, round(networks * min(1.0, (50 / N) ** 2)))


def shown(kind: Kind) -> tuple[float, int]:
    """Coupling and width of the network whose C(τ) is shown: the strongest up to 1/2, the width nearest 50."""
    weak = [g for g in kind.couplings if g <= 0.5] or list(kind.couplings)
    return max(weak), min(kind.widths, key=lambda N: abs(N - 50))


def all_cells(settings: Settings) -> list[Cell]:
    """Every cell, those that take long first, so that the workers end together."""
    cells: list[Cell] = [*edge_cells(settings), *exponent_cells(settings)]
    for kind in kinds(settings):
        cells += series_cells(settings, kind)
        cells += [resummed_cell(kind, g) for g in kind.couplings]
        cells += [simulation_cell(settings, kind, g, N) for g in kind.couplings for N in kind.widths]
        if kind.curved:
            cells.append(simulation_cell(settings, kind, *shown(kind), curve=True))
    return sorted(cells, key=_cost, reverse=True)


def _cost(cell: Cell) -> float:
    """Seconds, very roughly; only the order matters."""
    if isinstance(cell, SeriesCell):
        return float(dict(cell.parameters).get("degree", 0))
    if isinstance(cell, EdgeCell):
        return cell.matrices * (cell.N / 20) ** 2.2 / 16_000
    if isinstance(cell, ExponentCell):
        return cell.networks * cell.N**2 / 250_000
    values = dict(cell.parameters)
    if isinstance(cell, ResummedCell):
        return 20.0 * values["sigma_w"] ** 2 if values.get("activation") else 0.1
    return float(40.0 if values.get("activation") else values["N"] * values["sigma_w"] ** 4 / 4)
