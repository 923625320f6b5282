"""Self-consistent solutions of Dyson's equation: skeletons whose lines are the solution itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any
from warnings import warn

import numpy as np

from nnqft import interrupts
from nnqft.errors import InputError, IntegrationError
from nnqft.graphs.diagram_set import DiagramSet
from nnqft.integrals.forest import contract_stubs
from nnqft.interfaces.executor import AbstractExecutor
from nnqft.rules.parts import Propagator
from nnqft.rules.term import Array
from nnqft.rules.theory import Theory
from nnqft.self_energies.self_energy import SelfEnergy, SelfEnergyDiagrams, evaluate, kernels_of, line_at, lines_of
from nnqft.self_energies.volterra import Solution, solve
from nnqft.show.watch import OutOfTime, seconds_left
from nnqft.stages.effort import Effort

MAX_STEPS = 1000
SETTLED = 1e-11
"""Relative change at which a solution counts as found."""


@dataclass(frozen=True, eq=False)
class TabulatedLine:
    """A line on a uniform grid of time differences: cubic between its points, constant beyond."""

    values: np.ndarray
    step: float

    def __call__(self, t: Array, s: Array, params: Mapping[str, Any], xp: ModuleType) -> Array:
        """The line's value at the time difference |t − s|, in the shape of t and s together."""
        last = len(self.values) - 1
        x = xp.minimum(xp.abs(t - s) / self.step, float(last))
        first = xp.clip(xp.floor(x).astype(int) - 1, 0, last - 3)
        u, total, table = x - first, 0.0, xp.asarray(self.values)
        for i in range(4):
            weight = 1.0
            for j in range(4):
                if j != i:
                    weight = weight * (u - j) / (i - j)
            total = total + weight * table[first + i]
        return total


def iterate(
    theory: Theory, skeletons: SelfEnergyDiagrams, grid: np.ndarray, effort: Effort, executor: AbstractExecutor
) -> tuple[SelfEnergy, Solution, int]:
    """Insert the solution into the skeletons until it stays; the number of steps comes last."""
    if any(_inner_points(each) for each in skeletons):
        raise InputError(
            "self_consistent=True needs skeletons without internal times, such as those of order=1, width_order=0"
        )
    lines = lines_of(theory)
    names = [line.name for line in lines]
    step = float(grid[1])
    tables = {line.name: line_at(theory, line, np.maximum(grid, 1e-12 * step)) for line in lines}
    change, done = np.inf, None
    for count in range(1, MAX_STEPS + 1):
        full = {
            line.name: Propagator(line.name, line.left, line.right, kernel=TabulatedLine(tables[line.name], step))
            for line in lines
        }
        try:
            energy = evaluate(skeletons.with_lines(full), grid, effort, executor)
        except (OutOfTime, IntegrationError, KeyboardInterrupt) as error:
            if done is None or (isinstance(error, IntegrationError) and seconds_left() != 0.0):
                raise
            return _so_far(error, done[0], change), done[1], count - 1
        solution = solve(kernels_of(theory, energy))
        done = energy, solution
        new = dict(zip(names, (solution.response, solution.correlator), strict=True))
        change = max(float(np.abs(new[name] - tables[name]).max() / np.abs(new[name]).max()) for name in names)
        tables = new
        if not np.isfinite(change) or abs(solution.correlator[0]) > 1e12:
            break
        if change < SETTLED:
            return energy, solution, count
    raise InputError(f"no self-consistent solution after {count} steps (last change {change:.2g}); lower the coupling")


def _so_far(error: BaseException, energy: SelfEnergy, change: float) -> SelfEnergy:
    """The self-energy of the last step that was done, marked and told as what it is."""
    why = "interrupted" if isinstance(error, KeyboardInterrupt) else "time limit reached"
    if why == "interrupted":
        interrupts.note()
    warn(f"{why} before the solution stayed: the last step changed it by {change:.1e}", UserWarning, stacklevel=4)
    return replace(energy, converged=False)


def _inner_points(diagrams: DiagramSet) -> bool:
    """Has any diagram a point that no stub ends on?"""
    none = np.zeros((1, len(diagrams.layout.externals)))
    return any(
        len(small.points) > small.externals
        for small in (contract_stubs(diagram, diagrams.theory, none)[0] for diagram in diagrams)
    )
