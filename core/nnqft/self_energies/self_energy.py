"""Self-energies over a grid of time differences, from their irreducible diagrams."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from nnqft.checks import saved_data
from nnqft.errors import IntegrationError
from nnqft.files import array_from
from nnqft.graphs.diagram_set import DiagramSet
from nnqft.graphs.irreducible import on_one_point
from nnqft.integrals.estimate import Estimate, Parts, add_all, collect
from nnqft.integrals.estimate_data import parts_from, parts_to_data
from nnqft.integrals.kernels import call_kernel
from nnqft.interfaces.executor import AbstractExecutor
from nnqft.rules.parts import Propagator
from nnqft.rules.theory import Theory
from nnqft.self_energies.volterra import Kernels
from nnqft.show.numbers import spread
from nnqft.show.progress import progress_bar
from nnqft.show.watch import seconds_left
from nnqft.stages.effort import Effort
from nnqft.stages.jobs import Job, make_job
from nnqft.stages.rough import rough_sum

_LOOKED_AT = 9
"""Times at which the size of a self-energy is looked at, the first and the last among them."""
JUST_AFTER = 1e-9
"""Stands for τ → 0+ in steps of the grid: a response at τ = 0 is 0."""


@dataclass(frozen=True, eq=False, repr=False)
class SelfEnergy:
    """Σ_R = Σ(z̃,h) and Σ_K = Σ(z̃,z̃) of a stationary process, by order and width.

    R = G + G Σ_R R and C = (1 + R Σ_R) C_0 (1 + R Σ_R)ᵀ + R Σ_K Rᵀ.

    Attributes
    ----------
    grid : (M,) array
        Time differences τ ≥ 0.
    retarded, noise : mapping
        Σ_R(τ), zero for τ < 0, and the even Σ_K(τ) on the grid. At τ = 0 stands the limit from above.
    mass, white : mapping
        Parts at one time, as coefficients of δ(τ): estimates of one number each.
    converged : bool
        Every part that was sampled met its target.

    Examples
    --------
    >>> import nnqft
    >>> theory = nnqft.theory("linear", N=100, sigma_w=0.5)
    >>> energy = nnqft.dyson(theory, order=1, width_order=0).self_energy
    >>> sorted(energy.noise), float(energy.noise[1, 0].mean[0].round(6))  # σ_w² C(0)
    ([(1, 0)], 0.125)
    """

    grid: np.ndarray
    retarded: Parts
    noise: Parts
    mass: Parts
    white: Parts
    converged: bool = True

    @property
    def parts(self) -> dict[str, Parts]:
        """The four kinds of contributions by name."""
        return {"retarded": self.retarded, "noise": self.noise, "mass": self.mass, "white": self.white}

    def total(self, name: str) -> Estimate:
        """The sum over orders and widths of one of the four."""
        parts = self.parts[name]
        return add_all(parts.values()) if parts else Estimate.exact(np.zeros(len(self.grid) if name in GRIDDED else 1))

    @property
    def sampled(self) -> bool:
        """Has any part a statistical error?"""
        return any(part.samples for parts in self.parts.values() for part in parts.values())

    def to_data(self) -> dict[str, object]:
        """The self-energies as JSON values."""
        parts = {name: parts_to_data(each) for name, each in self.parts.items()}
        return {"grid": self.grid.tolist(), "converged": self.converged, **parts}

    @classmethod
    @saved_data("SelfEnergy.from_data()", "SelfEnergy.to_data()")
    def from_data(cls, data: Mapping[str, object]) -> SelfEnergy:
        """The self-energies that `to_data` wrote; InputError if the data are something else."""
        fields: Mapping[str, Any] = data  # whose values are checked one by one
        grid = array_from(fields["grid"], (len(fields["grid"]),))
        parts = {
            name: parts_from(fields[name], len(grid) if name in GRIDDED else 1)
            for name in ("retarded", "noise", "mass", "white")
        }
        return cls(grid, **parts, converged=bool(fields["converged"]))

    def __repr__(self) -> str:
        counts = ", ".join(f"{name} {len(parts)}" for name, parts in self.parts.items())
        return f"SelfEnergy(τ ≤ {self.grid[-1]:g} at {len(self.grid)} times; contributions: {counts})"


GRIDDED = ("retarded", "noise")


class SelfEnergyDiagrams(NamedTuple):
    """The irreducible diagrams of ⟨h z̃⟩ and of ⟨h h⟩."""

    retarded: DiagramSet
    noise: DiagramSet

    def with_lines(self, lines: Mapping[str, Propagator]) -> SelfEnergyDiagrams:
        """The same diagrams with other lines of the same names."""
        replaced = []
        for each in self:
            propagators = tuple(lines.get(p.name, p) for p in each.theory.propagators)
            replaced.append(replace(each, theory=replace(each.theory, propagators=propagators)))
        return SelfEnergyDiagrams(*replaced)


def evaluate(
    irreducible: SelfEnergyDiagrams, grid: np.ndarray, effort: Effort, executor: AbstractExecutor
) -> SelfEnergy:
    """Integrate all diagrams on the grid, at an executor that is open.

    Raises
    ------
    InputError
        If no integrator takes one of them.
    IntegrationError
        If an integral failed.
    """
    parts: dict[str, Parts] = {}
    met: list[bool] = []
    pieces = list(pieces_of(irreducible, grid))
    for n, (name, diagrams, times) in enumerate(pieces):
        # What comes later has its share of the time that is left.
        later = sum(len(each) > 0 for _, each, _ in pieces[n:])
        left = seconds_left()
        share = effort if left is None else replace(effort, time_limit=max(left / max(later, 1), 1e-3))
        parts[name], good = _integrate(diagrams, times, share, executor)
        met.append(good)
    return SelfEnergy(grid, **parts, converged=all(met))


def pieces_of(irreducible: SelfEnergyDiagrams, grid: np.ndarray) -> Iterator[tuple[str, DiagramSet, np.ndarray]]:
    """Each of the four parts of a self-energy: its name, its diagrams, and their times."""
    step = grid[1] - grid[0]
    lags = np.stack([np.maximum(grid, JUST_AFTER * step), np.zeros(len(grid))], axis=1)
    for gridded, local, diagrams in (("retarded", "mass", irreducible.retarded), ("noise", "white", irreducible.noise)):
        contact = on_one_point(diagrams)
        for name, chosen, times in ((gridded, ~contact, lags), (local, contact, np.zeros((1, 2)))):
            yield name, diagrams.subset(np.flatnonzero(chosen)), times


def _integrate(
    diagrams: DiagramSet, times: np.ndarray, effort: Effort, executor: AbstractExecutor
) -> tuple[Parts, bool]:
    if not len(diagrams):
        return {}, True
    job = make_job(diagrams, times, effort.integrator)
    effort = effort_of_size(job, diagrams, times, effort)
    with progress_bar(effort.progress) as report:
        outcome = executor.evaluate(job.work, effort.target(), report)
    if outcome.reason == "interrupted":
        raise KeyboardInterrupt  # a part of a self-energy is no result
    estimates = {n: e for n, e in enumerate(outcome.estimates) if e is not None}
    if outcome.failure is None and len(estimates) < len(job.work):
        raise IntegrationError("time limit reached before every self-energy diagram had an estimate")
    if outcome.failure is not None:
        raise IntegrationError(f"a self-energy diagram failed: {outcome.failure}") from outcome.failure
    keys = zip(diagrams.orders.tolist(), diagrams.widths.tolist(), strict=True)
    return collect(keys, diagrams.weights.tolist(), job.which.tolist(), estimates), outcome.converged


def effort_of_size(job: Job, diagrams: DiagramSet, times: np.ndarray, effort: Effort) -> Effort:
    """The same effort, its relative error taken of the sum's largest value: where a tail vanishes, no digit matters."""
    if effort.rtol is None or all(work.integrator.exact or not work.integral.dim for work in job.work):
        return effort
    looked_at = times[spread(len(times), _LOOKED_AT)]
    scale = float(np.abs(rough_sum(diagrams, looked_at, effort.seed).mean).max())
    return effort.to_error(max(effort.atol or 0.0, effort.rtol * scale)) if scale else effort


def lines_of(theory: Theory) -> tuple[Propagator, Propagator]:
    """The bare response and the bare correlator of a theory."""
    response = next(p for p in theory.propagators if not p.delta and theory.field_named[p.right].response)
    return response, theory.lines[response.left, response.left]


def line_at(theory: Theory, line: Propagator, lags: np.ndarray) -> np.ndarray:
    """(M,) the values of a line of the theory at these lags; PluginError where it has none."""
    what = f"model {theory.model!r}: kernel of propagator {line.name!r}"
    named = [("t", lags), ("s", 0.0 * lags)]
    return np.asarray(call_kernel(what, line, named, lags.shape, np), float) + 0.0 * lags


def kernels_of(theory: Theory, energy: SelfEnergy, values: Mapping[str, np.ndarray] | None = None) -> Kernels:
    """What Dyson's equation needs, on the grid of the self-energy; `values`, if given, in place of its means."""
    means = {name: energy.total(name).mean for name in energy.parts} if values is None else values
    response, correlator = lines_of(theory)
    grid = energy.grid
    bare = line_at(theory, correlator, grid)
    plateau = float(bare[-1])
    if correlator.kernel is None:
        plateau = sum(complex(term.amplitude).real for term in correlator.terms if not term.rate)
    tail = float(means["noise"][-1])
    G = line_at(theory, response, np.maximum(grid, 1e-12 * grid[1]))
    return Kernels(
        float(grid[1]), G, bare - plateau, means["retarded"], means["noise"] - tail,
        float(means["mass"][0]), float(means["white"][0]), plateau, tail,
    )  # fmt: skip
