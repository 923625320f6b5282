"""A solution of Dyson's equation: response and correlator on a grid, as numbers, a page and a chart."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import ArrayLike

from nnqft.checks import finite_array, saved_data, whole_number
from nnqft.errors import InputError
from nnqft.files import FORMAT, to_plain, write_json
from nnqft.rules.theory import Theory
from nnqft.self_energies.self_energy import SelfEnergy
from nnqft.show.chart import Chart, Curve
from nnqft.show.numbers import parameter_line, spread, value_with_error
from nnqft.show.page import Page, Table
from nnqft.stages.theories import make_theory

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROWS = 13
_TINY = 1e-12
"""Self-energies below this at τ = 0+ are 0 there, and seen at a τ just above."""
_SHOWN = 1e-3
"""The table and the plot end where C and R have fallen to this part of their size."""
_ARRAYS = (
    "tau", "response", "two_point", "response_sdev", "two_point_sdev", "response_bound", "two_point_bound",
)  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
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

    Examples
    --------
    >>> import nnqft
    >>> theory = nnqft.theory("linear", N=100, sigma_w=0.5)
    >>> solution = nnqft.dyson(theory, order=1, width_order=0)
    >>> solution
    Dyson(linear, order ≤ 1: C(0) = 0.5625...)
    >>> solution.tau.shape, round(solution.responder(1.0), 5)
    ((513,), 0.36788)
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

    @overload
    def correlator(self, tau: float) -> float: ...
    @overload
    def correlator(self, tau: np.ndarray | Sequence[float]) -> np.ndarray: ...
    def correlator(self, tau: ArrayLike) -> float | np.ndarray:
        """C(τ), even in τ, at any lags within the grid, by a spline of fifth order.

        Parameters
        ----------
        tau
            A number or an array, in the theory's unit of time.

        Returns
        -------
        float or array
            Of the shape of `tau`.

        Raises
        ------
        InputError
            If a lag lies beyond the grid.
        """
        return self._at(self.two_point, np.abs(finite_array("tau", tau)))

    @overload
    def responder(self, tau: float) -> float: ...
    @overload
    def responder(self, tau: np.ndarray | Sequence[float]) -> np.ndarray: ...
    def responder(self, tau: ArrayLike) -> float | np.ndarray:
        """R(τ) at any lags within the grid, 0 for τ ≤ 0; arguments, shape and errors as those of `correlator`."""
        lag = finite_array("tau", tau)
        value = np.where(lag > 0, self._at(self.response, np.abs(lag)), 0.0)
        return value if value.ndim else float(value)

    def _at(self, values: np.ndarray, lag: np.ndarray) -> float | np.ndarray:
        """The spline through values of the grid at some lags, a float for a lag without dimension."""
        if lag.size and lag.max() > self.tau[-1]:
            raise InputError(f"tau={float(lag.max()):g} lies beyond the grid; solve again with a larger reach")
        from scipy.interpolate import make_interp_spline  # slow to import

        value = make_interp_spline(self.tau, values, k=5)(lag)
        return value if lag.ndim else float(value)

    def table(self) -> str:
        """What was solved, the self-energies by order and width order, then R and C over τ."""
        width = "all width orders" if self.width_order is None else f"width order ≤ {self.width_order}"
        lines = "full lines" if self.self_consistent else "bare lines"
        what = f"Dyson's equation of {self.theory.model}: self-energy of order ≤ {self.order}, {width}, {lines}"
        plateau = self.plateau if abs(self.plateau) > _TINY * abs(self.two_point[0]) else 0.0
        steps = f", self-consistent after {self.steps} steps" if self.self_consistent else ""
        end = f"plateau of C: {plateau:.6g}; grid to τ = {self.tau[-1]:g} in {len(self.tau) - 1} steps{steps}"
        missed = "" if self.converged else "target NOT met: the errors are larger than asked"
        blocks = (_self_energies(self.self_energy), self._functions(), end)
        return Page((what, parameter_line(self.theory.parameters)), blocks, last=missed).text()

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        error = float(self.two_point_sdev[0] + self.two_point_bound[0])
        return f"Dyson({self.theory.model}, order ≤ {self.order}: C(0) = {_cell(float(self.two_point[0]), error)})"

    def _functions(self) -> Table:
        rows = []
        for m in spread(self._end + 1, _ROWS):
            sdev, bound = self.two_point_sdev[m], self.two_point_bound[m]
            response = _cell(self.response[m], self.response_sdev[m] + self.response_bound[m])
            error = f"{sdev:.1e}" if sdev > 0 else "–"
            rows.append((f"{self.tau[m]:.4g}", response, _cell(self.two_point[m], sdev + bound), error, f"{bound:.0e}"))
        return Table(("τ", "R", "C", "statistical error of C", "grid error of C"), rows)

    @property
    def _end(self) -> int:
        """Number of the last time that is worth showing."""
        over = (self.two_point - self.plateau) > _SHOWN * (self.two_point[0] - self.plateau)
        over |= np.abs(self.response) > _SHOWN * abs(self.response[0])
        return int(np.flatnonzero(over).max(initial=len(over) // 8))

    def plot(self, ax: Axes | None = None) -> Axes:
        """C and R over τ with bands of their errors, and the bare lines; returns the axes."""
        end, rules = self._end + 1, self.theory
        tau = self.tau[:end]
        lag = np.maximum(tau, 1e-9)
        correlators = [p for p in rules.propagators if p.left == p.right]
        responses = [p for p in rules.propagators if not p.delta and rules.field_named[p.right].response]
        curves = []
        for name, colour, values, sdev, bare in (
            ("C", "C0", self.two_point, self.two_point_sdev, correlators),
            ("R", "C1", self.response, self.response_sdev, responses),
        ):
            curves.append(Curve(tau, values[:end], sdev[:end], name, errors="band", colour=colour))
            curves += [
                Curve(tau, line(lag, 0 * lag) + 0 * lag, None, f"{name}, bare", "--", colour=colour, alpha=0.5)
                for line in bare
            ]
        width = "" if self.width_order is None else f", width order ≤ {self.width_order}"
        kind = "full" if self.self_consistent else "bare"
        title = f"{rules.model}: self-energy of order ≤ {self.order}{width}, {kind} lines"
        return Chart(curves, title, "τ").draw(ax)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to a JSON file, whole or not at all."""
        write_json(path, self.to_data())

    def to_data(self) -> dict[str, object]:
        """The solution as JSON values."""
        names = ("order", "width_order", "self_consistent", "converged", "plateau", "steps", *_ARRAYS)
        theory = {
            "model": self.theory.model,
            "start": self.theory.start,
            "parameters": to_plain(dict(self.theory.parameters)),
        }
        return {
            "format": FORMAT,
            "kind": "dyson",
            **theory,
            **{name: to_plain(getattr(self, name)) for name in names},
            "self_energy": self.self_energy.to_data(),
        }

    @classmethod
    @saved_data("Dyson.from_data()", "Dyson.to_data()")
    def from_data(cls, data: Mapping[str, object]) -> Dyson:
        """The solution that `to_data` wrote; InputError if the data are something else."""
        fields: Mapping[str, Any] = data  # whose values are checked one by one
        tau = np.array(fields["tau"], float)
        arrays = {name: np.array(fields[name], float) for name in _ARRAYS}
        if any(values.shape != tau.shape for values in arrays.values()):
            raise ValueError("arrays of different lengths")
        return cls(
            theory=make_theory(str(fields["model"]), str(fields["start"]), _parameters(fields["parameters"])),
            order=whole_number("order", fields["order"], 0),
            width_order=None
            if fields["width_order"] is None
            else whole_number("width_order", fields["width_order"], 0),
            self_consistent=bool(fields["self_consistent"]),
            plateau=float(fields["plateau"]),
            steps=whole_number("steps", fields["steps"], 1),
            self_energy=SelfEnergy.from_data(fields["self_energy"]),
            **arrays,
        )


def _parameters(data: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as they were before JSON made lists of tuples."""
    return {name: _frozen(value) for name, value in data.items()}


def _frozen(value: Any) -> Any:
    return tuple(_frozen(each) for each in value) if isinstance(value, list) else value


def _self_energies(energy: SelfEnergy) -> Table:
    """Each at τ → 0+, and the parts at one time."""
    parts = [energy.retarded, energy.mass, energy.noise, energy.white]
    rows = []
    for key in sorted({key for each in parts for key in each}):
        cells = [value_with_error(each[key].mean[0], each[key].sdev[0], _TINY) if key in each else "" for each in parts]
        rows.append((*map(str, key), *cells))
    return Table(("order", "width order", "Σ(z̃,h) at 0+", "its δ(τ)", "Σ(z̃,z̃) at 0", "its δ(τ)"), rows)


def _cell(value: float, error: float) -> str:
    return value_with_error(value, error if error > 1e-10 * abs(value) else 0.0)
