"""The result of a simulation."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from nnqft import InputError
from nnqft.checks import one_line_keywords
from nnqft.errors import one_line
from nnqft.files import read_json, to_plain, write_json
from nnqft.integrals.estimate_data import cov_from, cov_to_data
from nnqft.show.chart import Chart, Curve
from nnqft.show.numbers import parameter_line, parameter_title, spread, value_with_error
from nnqft.show.page import Page, Table, outcome_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROWS = 24


@dataclass(frozen=True, eq=False, repr=False)
class Simulation:
    """A correlator of simulated networks, with its error.

    Attributes
    ----------
    model, start, observable : str
    parameters : mapping
    times : (M, legs) array
        Pairs (t, s), (τ, 0) for lags; or the times of all legs.
    mean : (M,) array
        Average over networks, the step extrapolated to zero.
    cov : (M, M) array
        Its covariance: statistical, and the discretisation error as one more, common source.
    discretisation : (M,) array
        What extrapolating the step to zero has changed: the error if it had changed nothing. 0 for exact networks.
    networks : int
        How many were averaged over.
    discarded : int
        How many more were drawn, but have no stationary state or ran away.
    method : str
    step : float
        Longest step; 0 for exact networks.
    seed : int
    converged : bool
    reason : str
        Why it stopped.
    notes : tuple of str
    kernel, kernel_error : (M,) arrays
        Variance over the ensemble of (1/N) Σ_i h_i(t) h_i(s), and its standard error; nan if it was not asked for.
    units : (U, M) array or None
        One value for each statistically independent unit (a network, or W and −W together), whose average is the mean:
        for error propagation to what is derived. Not saved.
    indices : str or None
        Units of the legs, a letter for each; None where all are of one.
    """

    model: str
    start: str
    observable: str
    parameters: Mapping[str, Any]
    times: np.ndarray
    mean: np.ndarray
    cov: np.ndarray
    discretisation: np.ndarray
    networks: int
    discarded: int
    method: str
    step: float
    seed: int
    converged: bool
    reason: str
    notes: tuple[str, ...]
    kernel: np.ndarray
    kernel_error: np.ndarray
    seconds: float = 0.0
    units: np.ndarray | None = field(default=None, repr=False)
    indices: str | None = None

    @property
    def sdev(self) -> np.ndarray:
        """(M,) standard deviation of the mean, discretisation included."""
        return np.sqrt(np.maximum(np.diagonal(self.cov), 0.0))

    @property
    def tau(self) -> np.ndarray:
        """(M,) the lags t − s, from the first to the last of the times."""
        return self.times[:, 0] - self.times[:, -1]

    @property
    def N(self) -> int:
        """The width N of the networks."""
        return int(self.parameters.get("N", 1))

    def kernel_variance(self) -> tuple[np.ndarray, np.ndarray]:
        """Variance of (1/N) Σ_i h_i(t) h_i(s) over the ensemble and its standard error, (M,) each.

        With C = `mean` it gives the four-point function of two indices, (1/N²) Σ_ij ⟨h_i(t)h_i(s)h_j(t)h_j(s)⟩ =
        variance + C².

        Raises
        ------
        InputError
            If it was not measured.
        """
        if np.isnan(self.kernel).any():
            raise InputError("the kernel was not measured; write simulate(…, kernel=True)")
        return self.kernel, self.kernel_error

    def table(self) -> str:
        """The result as plain text, with its errors and notes."""
        steps = f", step ≤ {self.step:g}" if self.step else ""
        indices = f" ({self.indices})" if self.indices else ""
        what = f"{self.observable}{indices} of simulated {self.model} ({self.start})"
        heading = f"{what}: {self.networks:,} networks, {self.method}{steps}", parameter_line(self.parameters)
        last = outcome_line(self.converged, self.reason, self.seconds, self.seed)
        return Page(heading, self._rows(), self.notes, last).text()

    def _rows(self) -> list[Table | str]:
        measured = not np.isnan(self.kernel).any()
        pairs = self.times.shape[1] == 2
        lags = pairs and self.start == "stationary" and not self.times[:, 1].any()
        axis = "τ" if lags else "t, s" if pairs else "times"
        columns = [axis, self.observable, "of it the step", *["variance of the kernel"] * measured]
        rows = []
        for m in spread(len(self.mean), _ROWS):
            shown = self.times[m, :1] if lags else self.times[m]
            row = [", ".join(f"{t:g}" for t in shown), value_with_error(self.mean[m], self.sdev[m])]
            row.append(f"{self.discretisation[m]:.1e}" if self.step else "–")
            if measured:
                row.append(value_with_error(self.kernel[m], self.kernel_error[m]))
            rows.append(row)
        count = len(self.mean)
        return [Table(columns, rows), *[f"{_ROWS} of {count} times shown"] * (count > _ROWS)]

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        first = value_with_error(self.mean[0], self.sdev[0])
        return f"Simulation({self.observable} of {self.model}, {self.networks:,} networks: {first} at {self.times[0]})"

    def plot(self, ax: Axes | None = None) -> Axes:
        """Plot the mean with error bars over t − s (stationary) or t; returns the axes."""
        stationary = self.start == "stationary"
        x = self.tau if stationary else self.times[:, 0]
        label = f"{self.networks:,} networks, N = {self.N}"
        title = f"simulated {self.model}, {self.start}: {parameter_title(self.parameters)}"
        points = Curve(x, self.mean, self.sdev, label, ".")
        return Chart([points], title, "τ" if stationary else "t", self.observable).draw(ax)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything but `units` to a JSON file, whole or not at all."""
        write_json(path, self.to_data())

    def to_data(self) -> dict[str, Any]:
        """Everything but `units` as JSON values."""
        data = {name: value for name, value in vars(self).items() if name != "units"}
        return {"kind": "simulation", **to_plain(data | {"cov": cov_to_data(self.cov)})}


@one_line_keywords
def load(path: str | os.PathLike[str]) -> Simulation:
    """Read a Simulation that `Simulation.save` wrote.

    Raises
    ------
    InputError
        If the file cannot be read or is not such a file.
    """
    data = read_json(path, "simulation")
    del data["kind"]
    data.pop("format", None)
    arrays = ("times", "mean", "discretisation", "kernel", "kernel_error")
    try:
        data["cov"] = np.array(cov_from(data["cov"], len(data["mean"])))
        data |= {name: np.array(data[name], dtype=float) for name in arrays}
        data["notes"] = tuple(data["notes"])
        data["parameters"] = {name: _tuples(value) for name, value in data["parameters"].items()}
        simulation = Simulation(**data)
        count = len(simulation.mean)
        if simulation.times.ndim != 2 or len(simulation.times) != count or simulation.cov.shape != (count, count):
            raise ValueError("arrays of different lengths")
        simulation.table()  # parts that contradict each other show here at the latest
    except Exception as error:  # which one depends on what is wrong where
        cause = one_line(f"{type(error).__name__} {error}")[:200]
        raise InputError(f"{str(path)!r} is damaged: {cause}") from None
    return simulation


def _tuples(value: Any) -> Any:
    return tuple(_tuples(each) for each in value) if isinstance(value, list) else value
