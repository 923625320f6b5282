"""A solution of Dyson's equation for people: a table and a plot."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

import numpy as np

from nnqft.results.report import plain_table, value_with_error

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from nnqft.self_energies.equation import Dyson

_ROWS = 13
_TINY = 1e-12
"""Self-energies below this at τ = 0+ are 0 there, and seen at a τ just above."""
_SHOWN = 1e-3
"""The table and the plot end where C and R have fallen to this part of their size."""


def dyson_table(found: Dyson) -> str:
    """What was solved, the self-energies by order and width, then R and C over τ."""
    from rich.console import Console

    console = Console(file=StringIO(), width=100, color_system=None, force_terminal=False)
    values = ", ".join(
        f"{name}={value:g}" if isinstance(value, int | float) else f"{name}={value}"
        for name, value in found.theory.parameters.items()
    )
    width = "all widths" if found.width_order is None else f"width order ≤ {found.width_order}"
    lines = "full lines" if found.self_consistent else "bare lines"
    console.print(f"Dyson's equation of {found.theory.model}: self-energy of order ≤ {found.order}, {width}, {lines}")
    console.print(values)
    console.print(_self_energies(found))
    console.print(_functions(found))
    plateau = found.plateau if abs(found.plateau) > _TINY * abs(found.two_point[0]) else 0.0
    steps = f", self-consistent after {found.steps} steps" if found.self_consistent else ""
    console.print(f"plateau of C: {plateau:.6g}; grid to τ = {found.tau[-1]:g} in {len(found.tau) - 1} steps{steps}")
    if not found.converged:
        console.print("target NOT met: the errors are larger than asked")
    assert isinstance(console.file, StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


def _self_energies(found: Dyson):  # type: ignore[no-untyped-def]
    """At τ → 0+, and the parts at one time."""
    energy = found.self_energy
    table = plain_table("order", "width", "Σ(z̃,h) at 0+", "its δ(τ)", "Σ(z̃,z̃) at 0", "its δ(τ)")
    parts = [energy.retarded, energy.mass, energy.noise, energy.white]
    for key in sorted({key for each in parts for key in each}):
        cells = [value_with_error(each[key].mean[0], each[key].sdev[0], _TINY) if key in each else "" for each in parts]
        table.add_row(*map(str, key), *cells)
    return table


def _functions(found: Dyson):  # type: ignore[no-untyped-def]
    table = plain_table("τ", "R", "C", "sampling error of C", "grid error of C")
    for m in np.unique(np.linspace(0, _end(found), _ROWS).astype(int)):
        sdev, bound = found.two_point_sdev[m], found.two_point_bound[m]
        table.add_row(
            f"{found.tau[m]:.4g}",
            _cell(found.response[m], found.response_sdev[m] + found.response_bound[m]),
            _cell(found.two_point[m], sdev + bound),
            f"{sdev:.1e}" if sdev > 0 else "none",
            f"{bound:.0e}",
        )
    return table


def _cell(value: float, error: float) -> str:
    return value_with_error(value, error if error > 1e-10 * abs(value) else 0.0)


def _end(found: Dyson) -> int:
    """The last time worth showing."""
    over = (found.two_point - found.plateau) > _SHOWN * (found.two_point[0] - found.plateau)
    over |= np.abs(found.response) > _SHOWN * abs(found.response[0])
    return int(np.flatnonzero(over).max(initial=len(over) // 8))


def plot_dyson(found: Dyson, ax: Axes | None = None) -> Axes:
    """C and R with their errors, and the bare lines for comparison."""
    if ax is None:
        from matplotlib.figure import Figure

        ax = Figure(figsize=(6.4, 4.2), layout="constrained").subplots()
    end = _end(found) + 1
    tau, rules = found.tau[:end], found.theory
    bare = {"C": [p for p in rules.propagators if p.left == p.right], "R": []}
    bare["R"] = [p for p in rules.propagators if not p.delta and rules.field_named[p.right].response]
    for name, colour, values, sdev in (
        ("C", "C0", found.two_point, found.two_point_sdev),
        ("R", "C1", found.response, found.response_sdev),
    ):
        ax.plot(tau, values[:end], color=colour, label=name)
        if sdev.any():
            ax.fill_between(tau, (values - sdev)[:end], (values + sdev)[:end], color=colour, alpha=0.3)
        lag = np.maximum(tau, 1e-9)
        for line in bare[name]:
            ax.plot(tau, line(lag, 0 * lag) + 0 * lag, "--", color=colour, alpha=0.5, label=f"{name}, bare")
    width = "" if found.width_order is None else f", width ≤ {found.width_order}"
    kind = "full" if found.self_consistent else "bare"
    ax.set_title(f"{rules.model}: self-energy of order ≤ {found.order}{width}, {kind} lines", fontsize="medium")
    ax.set_xlabel("τ")
    ax.legend(frameon=False)
    return ax
