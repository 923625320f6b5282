"""``nnqft study``: studies on the command line."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from nnqft import InputError
from nnqft.checks import positive_number
from nnqft.cli.options import ACCURACY, OUTPUT, QUESTION, WHOLE, ManyPlaces, Place, Seed, TimeLimit, parse_numbers
from nnqft.show.watch import OutOfTime, limit_line, tick
from nnqft.show.watch import time_limit as limited
from nnqft.writing import file_path, write_file
from nnqft_plugins.networks.study.cells import Cell, Store, run_all
from nnqft_plugins.networks.study.plan import Settings, all_cells

app = App(name="study", help="Run a study: many computations and simulations side by side, resumable.")


@app.command(name="test-it")
def run_test_it(
    *,
    out: Annotated[Path, Parameter(group=OUTPUT, help="Folder of report and finished cells.")] = Path("out/test-it"),
    couplings: Annotated[
        str, Parameter(group=QUESTION, help="σ_w² of the linear networks, < γ² = 1.")
    ] = "0.25,0.5,0.7",
    widths: Annotated[str, Parameter(group=QUESTION, help="N of the linear networks.")] = "20,50,100,200",
    tanh_couplings: Annotated[
        str, Parameter(group=QUESTION, help="σ_w² of the tanh networks, also ≥ γ²; none leaves them out.")
    ] = "0.25,0.5,1.96,3.24",
    tanh_widths: Annotated[str, Parameter(group=QUESTION, help="N of the tanh networks.")] = "20,50,100",
    tanh_kappa: Annotated[float, Parameter(group=QUESTION, help="Noise strength κ of the tanh networks.")] = 0.1,
    strong_kappa: Annotated[float, Parameter(group=QUESTION, help="The same of those with σ_w² ≥ γ².")] = 1.0,
    rtol: Annotated[float, Parameter(group=ACCURACY, help="Relative error of a simulated C to reach.")] = 1e-3,
    networks: Annotated[
        int, WHOLE, Parameter(group=ACCURACY, help="The most to simulate at one point of the grid.")
    ] = 20_000,
    horizon: Annotated[
        float, Parameter(group=QUESTION, help="T: when networks from rest are looked at, T of the formula.")
    ] = 10.0,
    edge_widths: Annotated[
        str, Parameter(group=QUESTION, help="N of the W whose edge of stability is looked for; none leaves them out.")
    ] = "20,35,50,100,200,400",
    seed: Seed = 0,
    time_limit: TimeLimit = None,
    place: ManyPlaces = ManyPlaces(),
) -> int:
    """How big is O(1)? How big is O(1/N)? Loop-corrected ξ and simulated networks, side by side.

    Finished cells stay in the folder, so that the same command goes on where it was interrupted.

    Examples:

        nnqft study test-it --out out/test-it

        nnqft study test-it --couplings 0.25 --tanh-couplings none --rtol 0.01
    """
    settings = Settings(
        couplings=_couplings("couplings", couplings, most=1.0), widths=_widths("widths", widths),
        tanh_couplings=_couplings("tanh-couplings", tanh_couplings), tanh_widths=_widths("tanh-widths", tanh_widths),
        tanh_kappa=_positive("tanh-kappa", tanh_kappa), strong_kappa=_positive("strong-kappa", strong_kappa),
        rtol=_positive("rtol", rtol), networks=networks, horizon=_positive("horizon", horizon),
        edge_widths=() if edge_widths.strip() in ("", "none") else _widths("edge-widths", edge_widths), seed=seed,
    )  # fmt: skip
    out = file_path("out", out)
    seconds = None if time_limit is None else positive_number("time_limit", time_limit)
    _make_folder(out)
    try:
        with limited(seconds):
            data = _run(settings, out, place)
    except OutOfTime:
        print(f"nnqft: {limit_line(seconds)}; the same command goes on from here", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print("nnqft: interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    print(write_report(settings, data, out))
    print(f"wrote {out / 'study.md'}")
    return 0


def write_report(settings: Settings, data: Mapping[Cell, Mapping[str, Any]], out: Path) -> str:
    """Tables and pictures in a folder; returns the tables."""
    from nnqft_plugins.networks.study.edges import make_edges, make_exponents
    from nnqft_plugins.networks.study.figures import draw_all
    from nnqft_plugins.networks.study.report import markdown
    from nnqft_plugins.networks.study.rows import make_rows, make_sizes

    rows, edges = make_rows(settings, data), make_edges(settings, data)
    exponents = make_exponents(settings, data)
    out.mkdir(parents=True, exist_ok=True)
    text = markdown(settings, rows, make_sizes(rows), edges, exponents, draw_all(settings, data, rows, edges, out))
    write_file(out / "study.md", text.encode())
    return text


def _run(settings: Settings, out: Path, place: Place) -> dict[Cell, dict[str, Any]]:
    cells = all_cells(settings)
    began, data = time.monotonic(), {}
    for cell, record, was_there in run_all(cells, Store(out / "cells"), place.executor, place.workers, place.address):
        data[cell] = record
        said = "was there" if was_there else f"{record['seconds']:.1f} s"
        elapsed = time.monotonic() - began
        print(f"{len(data):>3}/{len(cells)}  {elapsed:6.0f} s  {cell.name}: {said}", file=sys.stderr, flush=True)
        tick()
    return data


def _make_folder(out: Path) -> None:
    """Before anything is computed."""
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {str(out)!r} is a file; wanted a folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {str(out)!r} cannot be made: {error.strerror}; wanted a folder of yours") from None
    if not os.access(out, os.W_OK):
        raise InputError(f"--out {str(out)!r} cannot be written; wanted a folder of yours")


def _couplings(name: str, text: str, most: float = math.inf) -> tuple[float, ...]:
    values = () if text.strip() in ("", "none") else tuple(parse_numbers(name, text))
    if any(not 0 < g < most for g in values) or len(set(values)) < len(values):
        limit = "between 0 and γ² = 1" if most < math.inf else "> 0"
        raise InputError(f"--{name} {text}: wanted different σ_w² {limit}, or none")
    return values


def _widths(name: str, text: str) -> tuple[int, ...]:
    values = tuple(parse_numbers(name, text))
    if any(N < 2 or int(N) != N for N in values) or len(set(values)) < len(values):
        raise InputError(f"--{name} {text}: wanted different whole numbers ≥ 2")
    return tuple(int(N) for N in values)


def _positive(name: str, value: float) -> float:
    if not value > 0:
        raise InputError(f"--{name} {value:g}: wanted a number > 0")
    return value
