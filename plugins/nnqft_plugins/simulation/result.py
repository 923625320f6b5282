"""What a simulation hands back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from nnqft import InputError
from nnqft.files import read_json, write_json
from nnqft.results.report import value_with_error

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROWS = 24


@dataclass(frozen=True, eq=False)
class Simulation:
    """A correlator of simulated networks, with its error.

    Attributes
    ----------
    model, start, observable : str
    parameters : mapping
    times : (M, 2) array
        Pairs (t, s); (τ, 0) for lags.
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

    @property
    def sdev(self) -> np.ndarray:
        """(M,) standard deviation of the mean, discretisation included."""
        return np.sqrt(np.maximum(np.diagonal(self.cov), 0.0))

    @property
    def tau(self) -> np.ndarray:
        """(M,) t − s."""
        return self.times[:, 0] - self.times[:, 1]

    @property
    def N(self) -> int:
        """The width."""
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
        """The result as plain text."""
        values = ", ".join(
            f"{name}={value:g}" if isinstance(value, int | float) else f"{name}={value}"
            for name, value in self.parameters.items()
            if value is not None
        )
        steps = f", step ≤ {self.step:g}" if self.step else ""
        what = f"{self.observable} of simulated {self.model} ({self.start})"
        lines = [f"{what}: {self.networks:,} networks, {self.method}{steps}", values, ""]
        measured = not np.isnan(self.kernel).any()
        lags = self.start == "stationary" and not self.times[:, 1].any()
        lines.append(
            f"{'τ' if lags else 't, s':>16}  {self.observable:<18} {'of it the step':<14}"
            + "  variance of the kernel" * measured
        )
        count = len(self.mean)
        shown = range(count) if count <= _ROWS else np.unique(np.linspace(0, count - 1, _ROWS).astype(int))
        for m in shown:
            t, s = self.times[m]
            label = f"{t:g}" if lags else f"{t:g}, {s:g}"
            row = f"{label:>16}  {value_with_error(self.mean[m], self.sdev[m]):<18} "
            row += f"{self.discretisation[m]:<14.1e}" if self.step else f"{'–':<14}"
            if measured:
                row += f"  {value_with_error(self.kernel[m], self.kernel_error[m])}"
            lines.append(row.rstrip())
        if count > _ROWS:
            lines.append(f"{_ROWS} of {count} times shown")
        lines += [f"note: {note}" for note in self.notes]
        lines.append(
            f"{'' if self.converged else 'target NOT met: '}{self.reason}; {self.seconds:.1f} s, seed {self.seed}"
        )
        return "\n".join(lines)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Plot the mean with error bars over t − s (stationary) or t; returns the axes."""
        if ax is None:
            from matplotlib.figure import Figure

            ax = Figure(figsize=(6.4, 4.2), layout="constrained").subplots()
        stationary = self.start == "stationary"
        x = self.tau if stationary else self.times[:, 0]
        order = np.argsort(x, kind="stable")
        ax.errorbar(
            x[order], self.mean[order], yerr=self.sdev[order], fmt=".", capsize=2.5,
            label=f"{self.networks:,} networks, N = {self.N}",
        )  # fmt: skip
        ax.set_xlabel("τ" if stationary else "t")
        ax.set_ylabel(self.observable)
        names = {"sigma_w": "σ_w", "sigma_b": "σ_b", "gamma": "γ", "kappa": "κ"}
        shown = [f"{names[name]}={value:g}" for name, value in self.parameters.items() if name in names]
        ax.set_title(f"simulated {self.model}, {self.start}: " + ", ".join(shown), fontsize="medium")
        ax.legend(frameon=False)
        return ax

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything but `units` to a JSON file, whole or not at all."""
        data = {name: value for name, value in vars(self).items() if name != "units"}
        write_json(path, {"kind": "simulation", **data})


def load(path: str | os.PathLike[str]) -> Simulation:
    """Read a Simulation that `Simulation.save` wrote.

    Raises
    ------
    InputError
        If the file cannot be read or is not such a file.
    """
    data = read_json(path, "simulation")
    del data["kind"]
    arrays = ("times", "mean", "cov", "discretisation", "kernel", "kernel_error")
    try:
        data |= {name: np.array(data[name], dtype=float) for name in arrays}
        data["notes"] = tuple(data["notes"])
        data["parameters"] = {name: _tuples(value) for name, value in data["parameters"].items()}
        found = Simulation(**data)
        if found.times.shape != (len(found.mean), 2) or found.cov.shape != (len(found.mean),) * 2:
            raise ValueError("arrays of different lengths")
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{str(path)!r} is damaged: {type(error).__name__} {error}") from None
    return found


def _tuples(value: Any) -> Any:
    return tuple(_tuples(each) for each in value) if isinstance(value, list) else value
