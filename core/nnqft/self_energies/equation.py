"""Dyson's equation with any self-energy that diagrams give: infinitely many diagrams in response and correlator."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.interpolate import make_interp_spline

from nnqft.errors import InputError
from nnqft.graphs.generate import MAX_DIAGRAMS
from nnqft.graphs.irreducible import skeletons
from nnqft.host import default_host, open_executor
from nnqft.interfaces.executor import AbstractExecutor, Target
from nnqft.interfaces.model import positive_number, whole_number
from nnqft.pipeline.compute import diagrams
from nnqft.rules.theory import Theory
from nnqft.self_energies.self_consistent import iterate
from nnqft.self_energies.self_energy import Effort, Irreducible, SelfEnergy, evaluate, kernels_of, lines_of
from nnqft.self_energies.volterra import solve, solve_once
from nnqft.stages.request import MAX_TIMES, check_theory

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHORT = 1e-9
"""What the response may have left of itself at the end of the grid, where the grid is ours to choose."""
RESAMPLED = 48
"""Draws of the self-energies from their errors: the error of R and C is then known to a tenth of itself."""


@dataclass(frozen=True, eq=False)
class Dyson:
    """Response R(τ) and connected correlator C(τ) of a stationary process, on a grid of τ ≥ 0.

    Attributes
    ----------
    theory : Theory
    order, width_order : int, int or None
        Highest orders of the self-energy's diagrams.
    self_consistent : bool
        The lines of the self-energy are the full ones.
    tau : (M,) array
    response, two_point : (M,) arrays
        R, with R(0) its limit from above, and C.
    response_sdev, two_point_sdev : (M,) arrays
        Statistical errors, 0 where nothing was sampled.
    response_bound, two_point_bound : (M,) arrays
        Bounds of what the grid's step and end change.
    plateau : float
        What C tends to.
    self_energy : SelfEnergy
    steps : int
        Iterations of a self-consistent solution; 1 otherwise.
    """

    theory: Theory
    order: int
    width_order: int | None
    self_consistent: bool
    tau: np.ndarray
    response: np.ndarray
    two_point: np.ndarray
    response_sdev: np.ndarray
    two_point_sdev: np.ndarray
    response_bound: np.ndarray
    two_point_bound: np.ndarray
    plateau: float
    self_energy: SelfEnergy
    steps: int = 1

    @property
    def converged(self) -> bool:
        """Every self-energy that was sampled met its target."""
        return self.self_energy.converged

    def correlator(self, tau: Any) -> Any:
        """C at any τ within the grid, by a spline of fifth order."""
        return self._at(self.two_point, np.abs(np.asarray(tau, float)))

    def responder(self, tau: Any) -> Any:
        """R at any τ within the grid, 0 for τ ≤ 0."""
        lag = np.asarray(tau, float)
        value = np.where(lag > 0, self._at(self.response, np.abs(lag)), 0.0)
        return value if value.ndim else float(value)

    def _at(self, values: np.ndarray, lag: np.ndarray) -> Any:
        if lag.size and lag.max() > self.tau[-1]:
            raise InputError(f"tau={float(lag.max()):g} lies beyond the grid; solve again with a larger reach")
        value = make_interp_spline(self.tau, values, k=5)(lag)
        return value if lag.ndim else float(value)

    def table(self) -> str:
        """R and C at some of the times, with their errors."""
        from nnqft.self_energies.solution import dyson_table

        return dyson_table(self)

    def plot(self, ax: Axes | None = None) -> Axes:
        """C and R over τ with the bare lines; returns the axes."""
        from nnqft.self_energies.solution import plot_dyson

        return plot_dyson(self, ax)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write parameters, R, C and their errors to a JSON file."""
        arrays = ("tau", "response", "two_point", "response_sdev", "two_point_sdev", "response_bound")
        data = {
            "model": self.theory.model,
            "parameters": dict(self.theory.parameters),
            "order": self.order,
            "width_order": self.width_order,
            "self_consistent": self.self_consistent,
            "converged": self.converged,
            "plateau": self.plateau,
            "steps": self.steps,
        } | {name: getattr(self, name).tolist() for name in (*arrays, "two_point_bound")}
        try:
            Path(path).write_text(json.dumps(data, allow_nan=False) + "\n", encoding="utf-8")
        except OSError as error:
            raise InputError(f"cannot write {str(path)!r}: {error.strerror or error}") from None


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
) -> Dyson:
    """Solve Dyson's equation of a stationary process with its self-energy to an order.

    R = G + G Σ_R R and C = (1 + R Σ_R) C_0 (1 + R Σ_R)ᵀ + R Σ_K Rᵀ, with Σ_R and Σ_K the irreducible diagrams of
    ``"response"`` and ``"two_point"``; expanded again to the same order they are the plain series.

    Parameters
    ----------
    theory, order, width_order, max_diagrams
        As for `diagrams`.
    self_consistent
        Only skeletons, with the full R and C as their lines: at ``order=1, width_order=0`` this is dynamic mean-field
        theory, exact for N → ∞. Needs skeletons without internal times.
    reach, intervals
        End of the grid, by default 30 times the slowest of the bare lines and longer if the solution decays more
        slowly, and its number of intervals, a multiple of 4: by default 512, or 128 where integrals are sampled, as
        the covariance of all times is kept for each of them.
    integrator, executor, rtol, atol, neval, seed, workers, address, progress
        As for `compute`, for each of Σ_R and Σ_K; a target is needed only where something is sampled.

    Raises
    ------
    InputError
        If the theory is not stationary, or has no response, or no solution is found.
    IntegrationError
        If an integral failed.
    """
    order = _check(theory, order)
    found = _irreducible(theory, order, width_order, self_consistent, max_diagrams)
    grids = _grids(theory, reach, intervals, integrator)
    target = _target(rtol, atol, neval, seed)
    place = open_executor(executor, workers, address)
    try:
        effort = Effort(integrator, target, place, progress)
        for grid in grids:
            if self_consistent:
                energy, solution, steps = iterate(theory, found, grid, effort)
            else:
                energy, steps = evaluate(found, grid, effort), 1
                solution = solve(kernels_of(theory, energy))
            if abs(solution.response[-1]) < SHORT * abs(solution.response[0]):
                break
    finally:
        if place is not executor:
            place.close()
    if not np.isfinite(solution.correlator).all() or abs(solution.response[-1]) > abs(solution.response[0]):
        raise InputError("the response grows: no stationary state with this self-energy; lower the coupling")
    return Dyson(
        theory, order, width_order, self_consistent, grid, solution.response, solution.correlator,
        *_statistical_errors(theory, energy, seed), solution.response_error, solution.correlator_error,
        solution.plateau, energy, steps,
    )  # fmt: skip


def _irreducible(
    theory: Theory, order: int, width_order: int | None, self_consistent: bool, max_diagrams: int
) -> Irreducible:
    retarded, noise = (
        diagrams(theory, name, order=order, width_order=width_order, irreducible=True, max_diagrams=max_diagrams)
        for name in ("response", "two_point")
    )
    if not self_consistent:
        return Irreducible(retarded, noise)
    if len(diagrams(theory, "mean", order=order, width_order=width_order)):
        raise InputError("self_consistent=True: this theory has a mean ⟨h⟩ ≠ 0; leave self_consistent out")
    return Irreducible(skeletons(retarded), skeletons(noise))


def _target(rtol: Any, atol: Any, neval: Any, seed: Any) -> Target:
    return Target(
        rtol=None if rtol is None else positive_number("rtol", rtol, "1e-3"),
        atol=None if atol is None else positive_number("atol", atol, "1e-3"),
        neval=None if neval is None else whole_number("neval", neval, 1),
        seed=whole_number("seed", seed, 0),
    )


def _check(theory: Theory, order: Any) -> int:
    check_theory(theory)
    if not theory.stationary:
        raise InputError("Dyson's equation is solved for a stationary process; write start='stationary'")
    responses = [p for p in theory.propagators if not p.delta and theory.field_named[p.right].response]
    if len(responses) != 1 or (responses[0].left,) * 2 not in theory.lines:
        raise InputError(f"model {theory.model!r} has no pair of response and correlator to solve Dyson's equation for")
    return whole_number("order", order, 0)


def _grids(theory: Theory, reach: Any, intervals: Any, integrator: str) -> list[np.ndarray]:
    """The grids to try, one after the other, until the response has decayed within it."""
    lines = lines_of(theory)
    functions = any(line.kernel is not None for line in lines)
    if intervals is None:
        exact = integrator == "auto" or default_host().get("integrator", integrator).exact
        intervals = 512 if exact and not functions else 128
    intervals = whole_number("intervals", intervals, 8)
    if intervals % 4 or intervals >= MAX_TIMES:
        raise InputError(f"intervals={intervals}: wanted a multiple of 4 below {MAX_TIMES}, such as 512")
    if reach is not None:
        return [np.linspace(0.0, positive_number("reach", reach, "30"), intervals + 1)]
    rates = [term.rate for line in lines for term in line.terms if term.rate]
    if not rates or functions:
        raise InputError("reach is missing: the lines are functions whose decay is not known, write reach=30")
    longest = (MAX_TIMES - 1) // 4 * 4
    return [np.linspace(0.0, 30 * n / min(rates), min(n * intervals, longest) + 1) for n in (1, 2, 4)]


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
