"""The pieces of work of a study: each a pure function of its settings, each with a JSON file of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nnqft
from nnqft import InputError
from nnqft.files import read_document, write_json
from nnqft_plugins.networks.study.drawn import draw_edges, draw_exponents


@dataclass(frozen=True)
class SeriesCell:
    """Bare coefficients a_nk of σ_w^{2n} N^{−k} in C: one computation serves every width and coupling.

    Attributes
    ----------
    label, model, start : str
        What the study calls the network, the model plugin, and how the process begins.
    parameters : tuple of (name, value)
        Its parameters but for N and sigma_w, which are 1.
    order, width_order : int, int or None
        How far.
    times : tuple of (t, s)
    integrator : str
    neval : int
        Samples, where the integrator needs any.
    seed : int
    """

    label: str
    model: str
    start: str
    parameters: tuple[tuple[str, Any], ...]
    order: int
    width_order: int | None
    times: tuple[tuple[float, float], ...]
    integrator: str = "auto"
    neval: int = 1_000_000
    seed: int = 0

    @property
    def name(self) -> str:
        """The name of the cell's file, without its folder."""
        degree = dict(self.parameters).get("degree")
        width = "all" if self.width_order is None else self.width_order
        return f"series-{self.label}" + (f"-degree{degree}" if degree else "") + f"-n{self.order}-k{width}"


@dataclass(frozen=True)
class SimulationCell:
    """C of simulated networks.

    Attributes
    ----------
    label, model, start : str
        What the study calls the network, the model plugin, and how the process begins.
    parameters : tuple of (name, value)
        All of them.
    times : tuple of (t, s)
    rtol : float
        Relative error of C to reach at each time.
    networks : int
        The most to draw.
    seed : int
    """

    label: str
    model: str
    start: str
    parameters: tuple[tuple[str, Any], ...]
    times: tuple[tuple[float, float], ...]
    rtol: float
    networks: int
    seed: int = 0

    @property
    def name(self) -> str:
        """The name of the cell's file, without its folder."""
        values = dict(self.parameters)
        curve = "" if len(self.times) == 1 else "-curve"
        return f"simulation-{self.label}-g{values['sigma_w'] ** 2:.4g}-N{values['N']}{curve}"


@dataclass(frozen=True)
class ResummedCell:
    """C with all orders in the coupling, at N → ∞ and the coefficient of 1/N.

    Attributes
    ----------
    label, model, start, parameters, times
        As of a simulation, with N = 1.
    """

    label: str
    model: str
    start: str
    parameters: tuple[tuple[str, Any], ...]
    times: tuple[tuple[float, float], ...]

    @property
    def name(self) -> str:
        """The name of the cell's file, without its folder."""
        return f"resummed-{self.label}-g{dict(self.parameters)['sigma_w'] ** 2:.4g}"


@dataclass(frozen=True)
class EdgeCell:
    """σ_c = γ/max Re λ of drawn W/σ_w: where h = 0 loses its stability.

    Attributes
    ----------
    N, matrices : int
        Width, and how many to draw.
    seed : int
    """

    N: int
    matrices: int
    seed: int = 0

    @property
    def name(self) -> str:
        """The name of the cell's file, without its folder."""
        return f"edge-N{self.N}"


@dataclass(frozen=True)
class ExponentCell:
    """λ of drawn tanh networks with noise, at several couplings.

    Attributes
    ----------
    N, networks : int
        Width, and how many to draw.
    kappa : float
    sigma_w : tuple of float
        Rising, the first where λ = 0 at N → ∞.
    seed : int
    """

    N: int
    networks: int
    kappa: float
    sigma_w: tuple[float, ...]
    seed: int = 0

    @property
    def name(self) -> str:
        """The name of the cell's file, without its folder."""
        return f"exponent-N{self.N}"


Cell = SeriesCell | SimulationCell | ResummedCell | EdgeCell | ExponentCell


def run_cell(cell: Cell) -> dict[str, Any]:
    """What a cell has to say, as JSON values."""
    began = time.monotonic()
    return {"cell": described(cell), **_found(cell), "seconds": time.monotonic() - began}


def _found(cell: Cell) -> dict[str, Any]:
    if isinstance(cell, SeriesCell):
        return _series(cell)
    if isinstance(cell, ResummedCell):
        return _resummed(cell)
    if isinstance(cell, SimulationCell):
        return _simulation(cell)
    if isinstance(cell, EdgeCell):
        return draw_edges(cell.N, cell.matrices, cell.seed)
    return draw_exponents(cell.N, cell.networks, cell.kappa, cell.sigma_w, cell.seed)


def described(cell: Cell) -> dict[str, Any]:
    """Its settings as JSON values, by which a file is known to be this cell's."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(cell)))
    return plain


def _series(cell: SeriesCell) -> dict[str, Any]:
    theory = nnqft.theory(
        cell.model, start=cell.start, expansion="bare", N=1, sigma_w=1.0, **dict(cell.parameters)
    )  # fmt: skip
    result = nnqft.compute(
        theory, "two_point", order=cell.order, width_order=cell.width_order, times=cell.times,
        integrator=cell.integrator, neval=cell.neval, seed=cell.seed, max_diagrams=1_000_000,
    )  # fmt: skip
    _check_whole(result.reason)
    parts = [
        {"order": n, "width": k, "mean": part.mean.tolist(), "sdev": part.sdev.tolist(), "diagrams": result.count(n, k)}
        for (n, k), part in result.series.items()
    ]
    return {"parts": parts, "exact": not result.sdev.any()}


def _check_whole(reason: str) -> None:
    """Go on being interrupted: an estimate so far is not what a cell keeps."""
    if reason == "interrupted":
        raise KeyboardInterrupt


def _resummed(cell: ResummedCell) -> dict[str, Any]:
    theory = nnqft.theory(cell.model, start=cell.start, expansion="bare", **dict(cell.parameters))
    result = nnqft.compute(theory, "two_point", order="resummed", width_order=1, times=cell.times)
    _check_whole(result.reason)
    parts = [result.contribution("resummed", k) for k in (0, 1)]
    return {"mean": [part.mean.tolist() for part in parts], "error": [part.rounding.tolist() for part in parts]}


def _simulation(cell: SimulationCell) -> dict[str, Any]:
    from nnqft_plugins.networks.simulation import simulate

    theory = nnqft.theory(cell.model, start=cell.start, expansion="bare", **dict(cell.parameters))
    simulation = simulate(theory, times=cell.times, rtol=cell.rtol, networks=cell.networks, seed=cell.seed)
    _check_whole(simulation.reason)
    return {
        "mean": simulation.mean.tolist(),
        "cov": simulation.cov.tolist(),
        "step": simulation.discretisation.tolist(),
        "networks": simulation.networks,
        "discarded": simulation.discarded,
        "method": simulation.method,
        "converged": bool(simulation.converged),
        "notes": list(simulation.notes),
    }


def run_and_store(item: tuple[Cell, str]) -> dict[str, Any]:
    """What a cell has to say, also written to the folder where there is one of that name."""
    cell, folder = item
    data = run_cell(cell)
    if Path(folder).is_dir():
        Store(Path(folder)).put(cell, data)
    return data


class Store:
    """A folder of finished cells.

    A cell counts as finished if its file holds the very settings that are asked for now and matches its checksum; any
    other file is replaced.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, cell: Cell) -> Path:
        """The path of a cell's file."""
        return self.folder / f"{cell.name}.json"

    def get(self, cell: Cell) -> dict[str, Any] | None:
        """What a cell's file says, None if there is none."""
        try:
            data, doubt = read_document(self.path(cell), "cell")
        except InputError:
            return None
        data.pop("format", None)
        return data if not doubt and data.get("cell") == described(cell) else None

    def put(self, cell: Cell, data: Mapping[str, Any]) -> None:
        """Write what a cell has to say to its file, whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.path(cell), data)


def run_all(
    cells: Sequence[Cell], store: Store, executor: Any, workers: int | None, address: str | None
) -> Iterator[tuple[Cell, dict[str, Any], bool]]:
    """Each cell with its data and whether it was there already; what is missing runs on the executor.

    Workers that see the folder store what they finish at once, so that an interruption loses only what was running;
    for the others it is done here.
    """
    from nnqft.host import running

    known = {cell: store.get(cell) for cell in cells}
    missing = [cell for cell, data in known.items() if data is None]
    for cell, data in known.items():
        if data is not None:
            yield cell, data, True
    if not missing:
        return
    with running(executor, workers, address) as opened:
        store.folder.mkdir(parents=True, exist_ok=True)
        items = [(cell, str(store.folder.resolve())) for cell in missing]
        for cell, data in zip(missing, opened.map(run_and_store, items), strict=True):
            if store.get(cell) is None:
                store.put(cell, data)
            yield cell, data, False
