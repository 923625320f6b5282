"""The study "test it": its sums and error budget, its cells and how they resume, its rows against what is known."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import oracles
import pytest
from numpy.testing import assert_allclose
from theories import bare_theory

import nnqft
from nnqft.cli.main import main
from nnqft_plugins.networks.study import cells as cells_module
from nnqft_plugins.networks.study import plan
from nnqft_plugins.networks.study.cells import EdgeCell, ExponentCell, SeriesCell, Store, run_all, run_cell
from nnqft_plugins.networks.study.drawn import draw_edges, draw_exponents
from nnqft_plugins.networks.study.edges import Edge, fit_edges, make_exponents, power_law
from nnqft_plugins.networks.study.plan import Settings, all_cells, kinds, resummed_cell, series_cells, simulation_cell
from nnqft_plugins.networks.study.report import exponent_table, fit_lines, markdown
from nnqft_plugins.networks.study.rows import Parts, make_rows, make_sizes
from nnqft_plugins.networks.study.sums import Coefficient, combine, evaluate

SMALL = Settings(
    couplings=(0.2,), widths=(20, 40), tanh_couplings=(), tanh_widths=(), rtol=2e-3, networks=2000, edge_widths=(20,)
)
WORDS = ["study", "test-it", "--couplings", "0.2", "--widths", "20,40", "--tanh-couplings", "none", "--rtol", "2e-3"]
WORDS += ["--networks", "2000", "--edge-widths", "20"]


@pytest.fixture(scope="module", autouse=True)
def short_series():
    """Orders that take no time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "_LINEAR", (((), 4, 1), ((), 3, None)))
        yield


@pytest.fixture(scope="module")
def data() -> Mapping[Any, Any]:
    return {cell: run_cell(cell) for cell in all_cells(SMALL)}


# Sums and their budget


def geometric(ratio: float, order: int, k: int = 0) -> dict[tuple[int, int], Coefficient]:
    return {(n, k): Coefficient(ratio**n) for n in range(order + 1)}


def test_a_geometric_series():
    found = evaluate(geometric(2.0, 4), coupling=0.3, N=10)
    total, last = sum(0.6**n for n in range(5)), 0.6**4
    assert_allclose([found.value, found.last, found.pade], [total, last, 1 / 0.4 - total], rtol=1e-9)
    assert found.truncation == pytest.approx(1 / 0.4 - total)
    assert found.sampling == found.degree == 0
    # What is left open covers what is left out.
    assert abs(1 / 0.4 - found.value) <= found.error * (1 + 1e-9)
    assert found.by_pade == pytest.approx(1 / 0.4)


def test_widths_are_summed_and_their_errors_added():
    table = geometric(1.0, 3) | {(1, 1): Coefficient(2.0, 0.1, 0.5), (2, 1): Coefficient(3.0, 0.2, 0.25)}
    found = evaluate(table, coupling=0.5, N=4)
    assert found.value == pytest.approx(1 + 0.5 + 0.25 + 0.125 + (2 * 0.5 + 3 * 0.25) / 4)
    assert found.last == pytest.approx(0.125 + 3 * 0.25 / 4)
    assert found.sampling == pytest.approx(np.hypot(0.1 * 0.5, 0.2 * 0.25) / 4)
    assert found.degree == pytest.approx((0.5 * 0.5 + 0.25 * 0.25) / 4)
    assert evaluate(table, 0.5, 4, [1]).value == pytest.approx((2 * 0.5 + 3 * 0.25) / 4)
    assert found.scaled(3).error == pytest.approx(3 * found.error)


def series(degree: int, parts: Mapping[tuple[int, int], float]) -> dict[str, Any]:
    rows = [{"order": n, "width": k, "mean": [value], "sdev": [0.0]} for (n, k), value in parts.items()]
    return {"cell": {"parameters": [["degree", degree]]}, "parts": rows}


def test_the_highest_degree_counts_and_the_next_one_is_its_error():
    table = combine([series(3, {(0, 0): 0.5, (1, 0): 1.0, (2, 0): 4.0}), series(5, {(0, 0): 0.5, (1, 0): 1.25})], at=0)
    assert table[1, 0] == Coefficient(1.25, 0.0, 0.25)
    assert table[0, 0] == Coefficient(0.5, 0.0, 0.0)
    # One degree only: the largest relative effect that is known.
    assert table[2, 0] == Coefficient(4.0, 0.0, 0.8)


def test_a_linear_network_has_no_degree():
    table = combine([run_cell(cell) for cell in series_cells(SMALL, kinds(SMALL)[0])], at=0)
    assert not any(c.degree_error for c in table.values())
    wanted = oracles.linear_two_point([(0.0, 0.0)], order=3, gamma=1.0, kappa=1.0)[:, :, 0]
    assert_allclose([[table[n, k].value for k in range(n + 1)] for n in (1, 2, 3)][2], wanted[3], rtol=1e-12)
    assert (4, 1) in table
    assert (4, 2) not in table


# Rows


def test_rows_of_linear_networks(data):
    rows = make_rows(SMALL, data)
    assert [(row.kind.label, row.N) for row in rows] == [("linear", 20), ("linear", 40), ("rest", 20), ("rest", 40)]
    for row in rows[:2]:
        assert row.free == 1.0
        assert row.infinite == pytest.approx(0.8**-0.5, rel=1e-9)
        assert row.published_flat == pytest.approx(0.8**-0.5 / 2 * (1 + 1 / 0.8))
        assert row.published > row.published_flat
        mushrooms = oracles.linear_two_point([(0.0, 0.0)], order=6, gamma=1.0, kappa=1.0)[:, 1, 0]
        shift = (row.resummed - row.infinite) * row.N / 2
        assert shift == pytest.approx(mushrooms @ 0.2 ** np.arange(7), rel=1e-2)
    for row in rows:
        assert row.agrees
        assert row.simulation_error < 2.1e-3 * row.simulated
        assert abs(row.resummed - row.simulated) < 4 * row.simulation_error + 4 / row.N**2
        assert row.step == 0.0
    # By t = 10 a network that started from rest is all but stationary.
    assert rows[2].infinite == pytest.approx(rows[0].infinite, rel=1e-4)


def test_a_wrong_sum_does_not_agree(data):
    row = make_rows(SMALL, data)[0]
    assert not replace(row, sum=replace(row.sum, value=row.sum.value * 1.05)).agrees


def test_sizes(data):
    sizes = make_sizes(make_rows(SMALL, data))
    assert [size.kind.label for size in sizes] == ["linear", "rest"]
    for size in sizes:
        assert size.cacti == pytest.approx(0.8**-0.5 - 1, rel=1e-3)
        assert abs(size.fitted - size.mushrooms) < 4 * size.fitted_error
        good = [r for r in make_rows(SMALL, data) if r.kind == size.kind and not (r.heavy or r.discarded)]
        assert size.trusted == (len(good) > 1)
    assert sizes[0].published_cacti == pytest.approx((1 + 1 / 0.8) / 2 - 1)


def test_all_orders_of_a_tanh_network_are_what_its_diagrams_add_up_to():
    """N → ∞ and all mushrooms, with the true tanh, against the cacti and mushrooms of its Taylor series."""
    kind = kinds(Settings())[2]
    common = (("gamma", 1.0), ("kappa", 0.1), ("activation", "tanh"))
    run = [
        run_cell(SeriesCell("tanh", "taylor", "stationary", (*common, ("degree", degree)), 2, 0, ((0.0, 0.0),)))
        for degree in (5, 7)
    ]
    run += [
        run_cell(SeriesCell("tanh", "taylor", "stationary", (*common, ("degree", degree)), n, 1, ((0.0, 0.0),)))
        for degree, n in ((5, 1), (3, 2))
    ]
    table = combine(run, at=0)
    parts = Parts.of(kind, run_cell(replace(resummed_cell(kind, 0.1), times=((0.0, 0.0),))))
    for k, whole, error in ((0, parts.infinite, parts.infinite_error), (1, parts.mushrooms, parts.mushrooms_error)):
        found = evaluate(table, 0.1, 1.0, [k]).scaled(2 / 0.1)
        assert error < 1e-5
        assert abs(found.value - whole) < found.error
        assert found.error < (0.03 if k else 4e-3)
        assert abs(whole - (1 - k)) > 3 * found.error


def test_beyond_the_edge_there_are_no_diagrams():
    settings = replace(SMALL, couplings=(), tanh_couplings=(0.25, 1.96), tanh_widths=(20, 50))
    strong = kinds(settings)[1]
    assert [kind.couplings for kind in kinds(settings)] == [(0.25,), (1.96,)]
    assert series_cells(settings, strong) == []
    simulated = {"mean": [1.0], "cov": [[1e-6]], "step": [0.0], "networks": 10, "discarded": 0, "notes": []}
    data = {simulation_cell(settings, strong, 1.96, N): simulated for N in (20, 50)}
    data[resummed_cell(strong, 1.96)] = {"mean": [[0.99], [0.16]], "error": [[1e-9], [2e-3]]}
    rows = make_rows(settings, data)
    assert [row.resummed for row in rows] == pytest.approx([1.98 + 0.32 / 20, 1.98 + 0.32 / 50])
    assert rows[0].resummed_error == pytest.approx(2e-4, rel=1e-3)
    assert not any(row.summed for row in rows)
    report = markdown(settings, rows, make_sizes(rows), [], [], [])
    assert "| 1.96 | 20 | 2.0000(20) | 1.9800 | – | – | – | – | 1.9960 | – | – | – |" in report
    assert "agree in 0 of 0 networks" in report
    assert "nan" not in report


# The edge


def test_edges_of_two_units_are_those_of_their_eigenvalues():
    """The larger real part of a matrix of two is known in closed form."""
    W = np.random.default_rng((3, 2)).standard_normal((64, 2, 2)) / 2**0.5
    half = np.trace(W, axis1=1, axis2=2) / 2
    largest = half + np.sqrt(np.maximum(0.0, half**2 - np.linalg.det(W)))
    found = draw_edges(2, 64, 3)
    assert found["below"][0] == pytest.approx(np.mean(largest > 1))
    with np.errstate(divide="ignore"):
        assert found["median"][0] == pytest.approx(np.median(np.where(largest > 0, 1 / largest, np.inf)))


def test_the_errors_of_edges_are_how_they_scatter():
    found = [draw_edges(20, 200, seed) for seed in range(30)]
    for name in ("mean", "median", "spread", "below"):
        values, errors = np.array([one[name] for one in found]).T
        # A standard deviation of 30 is known to 13 %.
        assert 0.6 < values.std(ddof=1) / np.median(errors) < 1.6, name


def test_a_power_law_is_found_with_its_errors():
    N, rng = (20, 50, 100, 200), np.random.default_rng(1)
    errors = [0.002] * 4
    off = []
    for _ in range(100):
        law = power_law(N, 2.0 * np.array(N) ** -0.7 + rng.normal(0, errors), errors)
        off.append(((law.exponent[0] - 0.7) / law.exponent[1], law.chi2))
    assert 0.8 < np.std([one for one, _ in off]) < 1.25
    assert np.mean([chi2 for _, chi2 in off]) == pytest.approx(2, abs=0.6)
    assert power_law(N[:2], [1.0, 0.5], errors[:2]) is None
    edges = [Edge(n, 9, (1 + 2 / n, 0.01), (1.0, 0.01), (n**-0.5, 0.01), (0.5, 0.1)) for n in N]
    assert fit_edges(edges)["1 − mean"].amplitude[0] == pytest.approx(-2)
    assert "* spread = a N^−p: a = 1.00" in fit_lines(fit_edges(edges))[0]


def test_the_exponent_of_linear_growth():
    """Without noise and about h = 0 a change grows as the largest real part of the eigenvalues says."""
    couplings = (0.6, 0.7, 0.8)
    found = draw_exponents(20, 12, 1e-12, couplings, seed=2)
    rng = np.random.default_rng((2, 20))
    largest = np.linalg.eigvals(rng.standard_normal((12, 20, 20)) / 20**0.5).real.max(axis=1)
    assert_allclose(found["mean"], np.array(couplings) * largest.mean() - 1, atol=0.01)
    assert found["zero"] is None


def test_where_exponents_are_zero():
    settings = replace(SMALL, tanh_couplings=(0.25,), tanh_widths=(20,), tanh_kappa=0.1)
    (cell,) = (cell for cell in all_cells(settings) if isinstance(cell, ExponentCell))
    assert cell.sigma_w[0] == pytest.approx(1.2998)
    wide = draw_exponents(100, 12, 0.1, (1.3, 1.7, 2.1, 2.5), seed=0)
    assert wide["mean"][0] < -4 * wide["error"][0]
    assert 1.4 < wide["zero"][0] < 2.4
    assert 0.02 < wide["zero"][1] < 0.3
    data = {cell: {"mean": [-0.17], "error": [0.01], "zero": None}}
    assert "| 20 | 12 | -0.170(10) | not in 1.3 … 2.08 |" in exponent_table(make_exponents(settings, data))


# Cells


def test_cells_run_once(tmp_path, monkeypatch):
    store, some = Store(tmp_path), all_cells(SMALL)[-2:]
    first = {cell: found for cell, found, was_there in run_all(some, store, "local", None, None) if not was_there}
    assert list(first) == some
    monkeypatch.setattr(cells_module, "run_cell", lambda cell: pytest.fail("ran again"))
    again = {cell: found for cell, found, was_there in run_all(some, store, "local", None, None) if was_there}
    assert again == json.loads(json.dumps({n: first[cell] for n, cell in enumerate(some)})) or again == first


def test_other_settings_run_again(tmp_path):
    store, cell = Store(tmp_path), simulation_cell(SMALL, kinds(SMALL)[0], 0.2, 20)
    list(run_all([cell], store, "local", None, None))
    assert store.get(cell) is not None
    other = replace(cell, seed=1)
    assert store.path(other) == store.path(cell)
    assert store.get(other) is None
    store.path(cell).write_text("{")
    assert store.get(cell) is None


def test_an_interruption_keeps_what_is_done(tmp_path, monkeypatch, capsys):
    words, ran = [*WORDS, "--executor", "local", "--out", str(tmp_path)], []
    whole = run_cell

    def interrupted(cell):
        ran.append(cell)
        if len(ran) == 3:
            raise KeyboardInterrupt
        return whole(cell)

    monkeypatch.setattr(cells_module, "run_cell", interrupted)
    assert main(words) == 130
    assert "the same command goes on from here" in capsys.readouterr().err
    kept = {path.name for path in (tmp_path / "cells").glob("*.json")}
    assert kept == {f"{cell.name}.json" for cell in ran[:2]}
    assert main(words) == 0
    # None of the kept ones ran again.
    assert not {cell.name for cell in ran[3:]} & {cell.name for cell in ran[:2]}
    captured = capsys.readouterr()
    assert captured.err.count("was there") == 2
    report = (tmp_path / "study.md").read_text()
    agreed = re.search(r"agree in (\d) of (\d) networks", report)
    assert agreed
    assert agreed[1] == agreed[2]
    assert report.strip() in captured.out
    for picture in ("xi.png", "correlators.png", "edges.png"):
        assert (tmp_path / picture).stat().st_size > 5000
        assert picture in report


def test_a_cell_is_the_same_wherever_it_runs(tmp_path):
    """Seeds come from the cell: in another process, in another order."""
    some = [simulation_cell(SMALL, kinds(SMALL)[0], 0.2, N) for N in (20, 40)]
    here = {cell: run_cell(cell) for cell in some}
    there = {cell: found for cell, found, _ in run_all(some[::-1], Store(tmp_path), "processes", 1, None)}
    for cell in some:
        assert there[cell]["mean"] == here[cell]["mean"]
        assert there[cell]["cov"] == here[cell]["cov"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--couplings", "1.5"], "--couplings 1.5: wanted different σ_w² between 0 and γ² = 1, or none"),
        (["--couplings", "0.5,0.5"], "wanted different σ_w²"),
        (["--tanh-couplings", "-1"], "--tanh-couplings -1: wanted different σ_w² > 0, or none"),
        (["--strong-kappa", "0"], "--strong-kappa 0: wanted a number > 0"),
        (["--edge-widths", "1"], "--edge-widths 1: wanted different whole numbers ≥ 2"),
        (["--widths", "10.5"], "--widths 10.5: wanted different whole numbers ≥ 2"),
        (["--widths", "ten"], "--widths 'ten': wanted numbers"),
        (["--rtol", "0"], "--rtol 0: wanted a number > 0"),
        (["--horizon", "-1"], "--horizon -1: wanted a number > 0"),
        (["--executor", "nowhere"], "unknown executor 'nowhere'"),
        (["--out", __file__], "is a file; wanted a folder"),
    ],
)
def test_what_makes_no_sense(words, message, capsys, tmp_path):
    place = [] if "--out" in words else ["--out", str(tmp_path)]
    assert main([*WORDS[:2], *words, *place]) == 2
    assert message in capsys.readouterr().err


def test_every_cell_has_a_file_of_its_own():
    found = [cell.name for cell in all_cells(Settings())]
    assert len(set(found)) == len(found)
    simulated = [cell.seed for cell in all_cells(Settings()) if isinstance(cell, cells_module.SimulationCell)]
    assert len(set(simulated)) == len(simulated)
    networks = [cell for cell in all_cells(Settings()) if not isinstance(cell, EdgeCell | ExponentCell)]
    assert all(isinstance(bare_theory(cell.model, start=cell.start), nnqft.Theory) for cell in networks)
