"""Dyson's equation with any self-energy that diagrams give: infinitely many diagrams in response and correlator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from warnings import warn

import numpy as np

from nnqft.checks import one_line_keywords, positive_number, true_or_false, whole_number
from nnqft.errors import InputError, IntegrationError
from nnqft.graphs.generate import MAX_DIAGRAMS
from nnqft.graphs.irreducible import skeletons
from nnqft.host import default_host
from nnqft.interfaces.executor import AbstractExecutor
from nnqft.rules.parts import Propagator
from nnqft.rules.theory import Theory
from nnqft.self_energies.self_consistent import iterate
from nnqft.self_energies.self_energy import SelfEnergy, SelfEnergyDiagrams, evaluate, kernels_of, lines_of
from nnqft.self_energies.solution import Dyson
from nnqft.self_energies.volterra import Solution, solve, solve_once
from nnqft.show.progress import progress_bar
from nnqft.show.watch import OutOfTime, limit_line, reporting, seconds_left
from nnqft.show.watch import time_limit as limited
from nnqft.stages.effort import DEFAULT_RTOL, Effort
from nnqft.stages.generation import diagrams
from nnqft.stages.theories import as_theory
from nnqft.stages.times import MAX_TIMES

SHORT = 1e-9
"""What the response may have left of itself at the end of the grid, where the grid is ours to choose."""
_LONGEST = (MAX_TIMES - 1) // 4 * 4
"""Most intervals of a grid."""
_STEEP = 0.4
"""Part of itself by which a line may change within an interval: beyond, errors are larger than they are said."""
RESAMPLED = 48
"""Draws of the self-energies from their errors: the error of R and C is then known to a tenth of itself."""


@one_line_keywords
def dyson(
    theory: Theory,
    *,
    order: int,
    width_order: int | None = None,
    self_consistent: bool = False,
    reach: float | None = None,
    intervals: int | None = None,
    integrator: str = "auto",
    executor: str | AbstractExecutor = "local",
    rtol: float | None = None,
    atol: float | None = None,
    neval: int | None = None,
    seed: int = 0,
    workers: int | None = None,
    address: str | None = None,
    max_diagrams: int = MAX_DIAGRAMS,
    progress: bool = False,
    time_limit: float | None = None,
) -> Dyson:
    """Solve Dyson's equation of a stationary process with its self-energy to an order.

    R = G + G Σ_R R and C = (1 + R Σ_R) C_0 (1 + R Σ_R)ᵀ + R Σ_K Rᵀ, with Σ_R and Σ_K the irreducible diagrams of
    ``"response"`` and ``"two_point"``; expanded again to the same order they are the plain series. (F. J. Dyson, Phys.
    Rev. 75, 1736 (1949); Helias & Dahmen, arXiv:1901.10416; docs/physics.md.)

    Parameters
    ----------
    theory, order, width_order, max_diagrams
        As for `diagrams`.
    self_consistent
        Only skeletons, with the full R and C as their lines: at ``order=1, width_order=0`` this is dynamic mean-field
        theory, exact for N → ∞ (H. Sompolinsky, A. Crisanti and H. J. Sommers, Phys. Rev. Lett. 61, 259 (1988)). Needs
        skeletons without internal times.
    reach, intervals
        End of the grid, by default 30 times the slowest of the bare lines and longer if the solution decays more
        slowly, and its number of intervals, a multiple of 4: by default 512, or 128 where integrals are sampled, as
        the covariance of all times is kept for each of them.
    integrator, executor, rtol, atol, neval, seed, workers, address, progress
        As for `compute`, for each of Σ_R and Σ_K; rtol, relative to the
        largest value of each, is 1e-3 where something is sampled and none is given.
    time_limit
        In seconds. What is sampled then ends with the errors that it has, and a self-consistent solution with its last
        step: `Dyson.converged` is False, and a warning says how far it came. So does Ctrl-C with the steps.

    Returns
    -------
    Dyson
        R and C on a grid of times, with bounds of what the grid changes and, where something was sampled, errors.

    Raises
    ------
    InputError
        If the theory is not stationary, or has no response, or no solution is found.
    IntegrationError
        If an integral failed, or the time limit leaves no solution.

    Examples
    --------
    >>> import nnqft
    >>> theory = nnqft.theory("linear", N=100, sigma_w=0.5)
    >>> solution = nnqft.dyson(theory, order=1, width_order=0)
    >>> round(float(solution.correlator(0.0)), 5)
    0.5625
    >>> full = nnqft.dyson(theory, order=1, width_order=0, self_consistent=True)
    >>> round(float(full.correlator(0.0)), 5)  # (κ/2) (γ² − σ_w²)^{−1/2}, infinite width
    0.57735
    """
    order = check(theory, order)
    effort = Effort(
        integrator=integrator, rtol=rtol, atol=atol, neval=neval, seed=seed, executor=executor, workers=workers,
        address=address, progress=progress, max_diagrams=max_diagrams, time_limit=time_limit,
    )  # fmt: skip
    if time_limit is not None and rtol is atol is neval is None:
        effort = replace(effort, rtol=DEFAULT_RTOL)
    grid, energy, solution, steps = _solved_in_time(
        theory, order, width_order, self_consistent, effort, reach, intervals
    )
    if not np.isfinite(solution.correlator).all() or abs(solution.response[-1]) > abs(solution.response[0]):
        raise InputError("the response grows: no stationary state with this self-energy; lower the coupling")
    return Dyson(
        theory, order, width_order, self_consistent, grid, solution.response, solution.correlator,
        *_statistical_errors(theory, energy, seed), solution.response_error, solution.correlator_error,
        solution.plateau, energy, steps,
    )  # fmt: skip


def _solved_in_time(
    theory: Theory,
    order: int,
    width_order: int | None,
    self_consistent: bool,
    effort: Effort,
    reach: float | None,
    intervals: int | None,
) -> tuple[np.ndarray, SelfEnergy, Solution, int]:
    """The grid, the self-energy and the solution on it, and the steps, as far as time permits."""
    solved = None
    try:
        with limited(effort.time_limit):
            with progress_bar(effort.progress, "generating diagrams", "diagrams") as report, reporting(report):
                irreducible = irreducible_of(theory, order, width_order, self_consistent, effort.max_diagrams)
            grids = grids_of(theory, reach, intervals, effort.integrator)
            with effort.running() as opened:
                for grid in grids:
                    if self_consistent:
                        energy, solution, steps = iterate(theory, irreducible, grid, effort, opened)
                    else:
                        energy, steps = evaluate(irreducible, grid, effort, opened), 1
                        solution = solve(kernels_of(theory, energy))
                    solved = grid, energy, solution, steps
                    if abs(solution.response[-1]) < SHORT * abs(solution.response[0]) or seconds_left() == 0.0:
                        break
    except OutOfTime:
        if solved is None:
            raise IntegrationError(f"{limit_line(effort.time_limit)} before there was a solution") from None
        warn(f"{limit_line(effort.time_limit)} on a longer grid", UserWarning, stacklevel=4)
    assert solved is not None  # there is a grid to solve on
    return solved


def irreducible_of(
    theory: Theory, order: int, width_order: int | None, self_consistent: bool, max_diagrams: int
) -> SelfEnergyDiagrams:
    """The diagrams of Σ_R and Σ_K, or their skeletons."""
    retarded, noise = (
        diagrams(theory, name, order=order, width_order=width_order, irreducible=True, max_diagrams=max_diagrams)
        for name in ("response", "two_point")
    )
    if not true_or_false("self_consistent", self_consistent):
        return SelfEnergyDiagrams(retarded, noise)
    if len(diagrams(theory, "mean", order=order, width_order=width_order)):
        raise InputError("self_consistent=True: this theory has a mean ⟨h⟩ ≠ 0; leave self_consistent out")
    return SelfEnergyDiagrams(skeletons(retarded), skeletons(noise))


def check(theory: Theory, order: Any) -> int:
    """The order, if Dyson's equation can be solved for the theory; else InputError."""
    theory = as_theory(theory)
    if not theory.stationary:
        raise InputError("Dyson's equation is solved for a stationary process; write start='stationary'")
    responses = [p for p in theory.propagators if not p.delta and theory.field_named[p.right].response]
    if len(responses) > 1:
        raise InputError(
            f"model {theory.model!r} has {len(responses)} responses at these parameters; Dyson's equation is solved for"
            " one; write nnqft compute"
        )
    if not responses or (responses[0].left,) * 2 not in theory.lines:
        raise InputError(f"model {theory.model!r} has no pair of response and correlator to solve Dyson's equation for")
    own = responses[0].left
    for line in theory.propagators:
        # Dyson's equation dresses the lines of one field; whatever hangs on it by another would be left out.
        if line is not responses[0] and own in (line.left, line.right) and line.left != line.right:
            other = line.right if line.left == own else line.left
            raise InputError(
                f"Dyson's equation is that of one field, and line {line.name!r} ends on another, {other!r}"
            )
    return whole_number("order", order, 0)


def grids_of(theory: Theory, reach: Any, intervals: Any, integrator: str) -> list[np.ndarray]:
    """The grids to try, one after the other, until the response has decayed within it."""
    lines = lines_of(theory)
    functions = any(line.kernel is not None for line in lines)
    ours = intervals is None
    if ours:
        exact = integrator == "auto" or default_host().integrator(integrator).exact
        intervals = 512 if exact and not functions else 128
    intervals = whole_number("intervals", intervals, 8, "512")
    if intervals % 4 or intervals >= MAX_TIMES:
        raise InputError(f"intervals={intervals}: wanted a multiple of 4 below {MAX_TIMES}, such as 512")
    if reach is not None:
        return [_resolving(lines, positive_number("reach", reach, "30"), intervals, ours=ours)]
    rates = [rate for line in lines for term in line.terms if (rate := complex(term.rate).real)]
    if not rates:
        raise InputError("reach is missing: the lines are functions whose decay is not known, write reach=30")
    first = _resolving(lines, 30 / min(rates), intervals, ours=ours)
    return [first, *(np.linspace(0.0, n * first[-1], min(n * (len(first) - 1), _LONGEST) + 1) for n in (2, 4))]


def _resolving(lines: Sequence[Propagator], reach: float, intervals: int, *, ours: bool) -> np.ndarray:
    """The grid, if no line changes by much of itself within a step: its errors would be larger than they are said.

    Where the number of intervals is `ours` to choose, more are taken as far as need be.
    """

    def grid(reach: float, intervals: int) -> np.ndarray:
        return np.linspace(0.0, reach, intervals + 1)

    if all(_steepness(line, grid(reach, intervals)) <= _STEEP for line in lines):
        return grid(reach, intervals)
    finer, shorter = intervals, reach
    while finer <= _LONGEST and any(_steepness(line, grid(reach, finer)) > _STEEP for line in lines):
        finer *= 2
    if ours and finer <= _LONGEST:
        return grid(reach, finer)
    while any(_steepness(line, grid(shorter, intervals)) > _STEEP for line in lines) and shorter > reach * 1e-15:
        shorter /= 2
    instead = f"intervals={finer}" if finer <= _LONGEST else f"reach={0.99 * shorter:.3g}"
    raise InputError(
        f"lines change by more than 40 % within one of {intervals} intervals up to τ = {reach:.3g}; write {instead}"
    )


def _steepness(line: Propagator, grid: np.ndarray) -> float:
    """The largest change of a line over a step of the grid, over its largest value; 0 if it cannot be told."""
    with np.errstate(all="ignore"):
        try:
            values = np.asarray(line(np.maximum(grid, 1e-12 * grid[1]), 0.0 * grid), float) + 0.0 * grid
        except Exception:  # a plugin's code may raise anything, and is told so where its values are needed
            return 0.0
        steepness = np.abs(np.diff(values)).max() / np.abs(values).max()
    return float(steepness) if np.isfinite(steepness) else 0.0


def _statistical_errors(theory: Theory, energy: SelfEnergy, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Standard deviations of R and C when the self-energies are drawn from their errors."""
    if not energy.sampled:
        return np.zeros(len(energy.grid)), np.zeros(len(energy.grid))
    rng = np.random.default_rng(np.random.SeedSequence((seed, RESAMPLED)))
    totals = {name: energy.total(name) for name in energy.parts}
    drawn = {
        name: rng.multivariate_normal(part.mean, part.cov, size=RESAMPLED, method="eigh", check_valid="ignore")
        for name, part in totals.items()
    }
    solved = []
    for n in range(RESAMPLED):
        solved.append(solve_once(kernels_of(theory, energy, {name: values[n] for name, values in drawn.items()}))[:2])
    response, correlator = (np.array([each[part] for each in solved]) for part in (0, 1))
    return response.std(axis=0, ddof=1), correlator.std(axis=0, ddof=1)
