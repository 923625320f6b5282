"""What the study "test it" computes: its settings and its cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nnqft_plugins.study.cells import Cell, SeriesCell, SimulationCell

LINEAR, TANH = "linear", "tanh"


@dataclass(frozen=True)
class Settings:
    """Of the study; the defaults take about ten minutes on two cores.

    Attributes
    ----------
    linear_couplings, tanh_couplings : tuple of float
        σ_w² in units of γ² = 1.
    linear_widths, tanh_widths : tuple of int
        N.
    tanh_kappa : float
        Noise strength of the tanh networks, small, so that few powers of h suffice; the linear ones have κ = 1.
    lags : tuple of float
        τ at which C is compared, 0 first.
    rtol : float
        Relative error of a simulated C(0) to reach.
    networks : int
        The most to simulate in one cell.
    horizon : float
        T of the published formula.
    seed : int
    """

    linear_couplings: tuple[float, ...] = (0.25, 0.5, 0.7)
    linear_widths: tuple[int, ...] = (20, 50, 100, 200)
    tanh_couplings: tuple[float, ...] = (0.25, 0.5)
    tanh_widths: tuple[int, ...] = (20, 50, 100)
    tanh_kappa: float = 0.1
    lags: tuple[float, ...] = (0.0, 1.0, 2.0)
    rtol: float = 1e-3
    networks: int = 20_000
    horizon: float = 10.0
    seed: int = 0

    @property
    def grids(self) -> dict[str, tuple[tuple[float, ...], tuple[int, ...]]]:
        """Couplings and widths of each kind of network."""
        return {
            LINEAR: (self.linear_couplings, self.linear_widths),
            TANH: (self.tanh_couplings, self.tanh_widths),
        }

    def kappa(self, label: str) -> float:
        """Noise strength of a kind of network."""
        return 1.0 if label == LINEAR else self.tanh_kappa

    def network(self, label: str, coupling: float, N: int) -> tuple[str, dict[str, Any]]:
        """Model and parameters of the network that is simulated and, at N → ∞, solved."""
        common = {"gamma": 1.0, "kappa": self.kappa(label), "sigma_w": coupling**0.5, "N": N}
        return ("linear", common) if label == LINEAR else ("taylor", common | {"activation": "tanh"})


# (degree of tanh, highest order, highest width order): what each reaches in seconds to half a minute. A part (n, k) is
# taken from the highest degree that has it, and the next lower one tells how much the degree matters.
_TANH = ((5, 2, None), (5, 3, 0), (3, 3, 1), (7, 2, 0), (3, 2, None), (9, 1, None), (7, 1, None))
# (highest order, highest width order): cacti and mushrooms are few, all widths together are (2n+1)!!.
_LINEAR = ((8, 1), (5, None))


def series_cells(settings: Settings, label: str) -> list[SeriesCell]:
    """Those whose coefficients make the sums of a kind of network."""
    common = (("gamma", 1.0), ("kappa", settings.kappa(label)))
    lags, seed = settings.lags, settings.seed
    if label == LINEAR:
        return [SeriesCell("linear", common, n, k, lags, seed=seed) for n, k in _LINEAR]
    return [
        SeriesCell("taylor", (*common, ("activation", "tanh"), ("degree", degree)), n, k, lags, seed=seed)
        for degree, n, k in _TANH
    ]


def simulation_cell(settings: Settings, label: str, coupling: float, N: int) -> SimulationCell:
    """One point of the grid."""
    model, parameters = settings.network(label, coupling, N)
    return SimulationCell(
        label, model, tuple(parameters.items()), settings.lags, settings.rtol, settings.networks, settings.seed
    )


def all_cells(settings: Settings) -> list[Cell]:
    """Every cell, those that take long first, so that the workers end together."""
    cells: list[Cell] = []
    for label, (couplings, widths) in settings.grids.items():
        if couplings and widths:
            cells += series_cells(settings, label)
            cells += [simulation_cell(settings, label, g, N) for g in couplings for N in widths]
    return sorted(cells, key=_cost, reverse=True)


def _cost(cell: Cell) -> float:
    """Rough; only the order matters."""
    if isinstance(cell, SeriesCell):
        return float(dict(cell.parameters).get("degree", 1) * cell.order**3)
    values = dict(cell.parameters)
    return float(values["N"] * (1 + values["sigma_w"] ** 2) * (10 if cell.label == TANH else 1))
