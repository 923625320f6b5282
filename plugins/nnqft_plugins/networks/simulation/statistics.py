"""From independent units to means with errors: ratio estimates, control variates, steps extrapolated to zero."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nnqft_plugins.networks.simulation.measurement import Measured

_UNITS_PER_CONTROL = {False: 50, True: 10}
"""Least number for small and for wide networks: what control variates leave of a small one has heavy tails."""
_WIDE = 20
_FOLDS = 8
_FEWEST = 4.0
"""Degrees of freedom that an error is taken to have at least; with fewer it has no meaning, and a note says so."""


@dataclass(frozen=True)
class Summary:
    """Over M pairs of times.

    Attributes
    ----------
    mean : (M,) array
    cov : (M, M) array
        Statistical covariance of the mean, larger by what its own uncertainty makes of pulls.
    freedom : float
        Degrees of freedom of the least certain error: those of a Gaussian sample whose variance is known as well.
    change : (M,) array
        What extrapolating the step to zero has changed.
    kernel, kernel_sdev : (M,) arrays
        Variance of the kernel over the ensemble, and its error; nan if it was not measured.
    units : (U, M) array
        One value for each independent unit, control variates applied; their average is the mean.
    """

    mean: np.ndarray
    cov: np.ndarray
    freedom: float
    change: np.ndarray
    kernel: np.ndarray
    kernel_sdev: np.ndarray
    units: np.ndarray

    @property
    def total(self) -> np.ndarray:
        """(M, M) covariance with the step as one more, common source of error."""
        return self.cov + np.outer(self.change, self.change)


def summarise(measured: Measured, order: int, kernel: bool, width: int) -> Summary:
    """Everything from the units of an ensemble.

    Parameters
    ----------
    order
        Power of the step that the discretisation error is proportional to.
    kernel
        Whether the squares were measured.
    width
        N.
    """
    n = measured.members
    fine, coarse = measured.values, measured.coarse
    change = (fine - coarse) / (2**order - 1)
    extrapolated = fine + change
    mean, plain = _ratio(extrapolated, n)
    residuals = _controlled(plain, measured.controls, width)
    mean = mean + residuals.mean(axis=0)
    centred = residuals - residuals.mean(axis=0)
    units = len(n)
    freedom = _freedom(centred)
    # The variance of Student's t: as uncertain as this error is, pulls would else scatter by more than 1.
    student = max(freedom, _FEWEST) / (max(freedom, _FEWEST) - 2)
    cov = student * centred.T @ centred / (units * max(units - 1, 1))
    nothing = np.full(len(mean), np.nan)
    spread, spread_sdev = _kernel(measured, extrapolated) if kernel else (nothing, nothing)
    return Summary(mean, cov, freedom, change.sum(axis=0) / max(n.sum(), 1), spread, spread_sdev, mean + centred)


def _ratio(values: np.ndarray, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Σ values / Σ members, and what each unit adds to it: linearised, with mean zero, times the number of units."""
    mean = values.sum(axis=0) / max(members.sum(), 1)
    return mean, (values - members[:, None] * mean) / max(members.mean(), 1e-300)


def _freedom(centred: np.ndarray) -> float:
    """Of the variances of units with mean zero (U, M), the least: 2 over the square of a variance's relative error."""
    units, square = len(centred), centred**2
    variance = square.mean(axis=0)
    found = variance > 0
    if units < 4 or not found.any():
        return np.inf
    kurtosis = (square[:, found] ** 2).mean(axis=0) / variance[found] ** 2
    return float(2 * units / max(float(kurtosis.max()) - 1, 1.0))


def _controlled(residuals: np.ndarray, controls: np.ndarray, width: int) -> np.ndarray:
    """Residuals minus their regression on the controls, or as they are if units are few.

    The controls have mean zero over all units, those with discarded networks included. The slopes for each unit come
    from other units (cross-fitting), so that the mean stays unbiased and the scatter of what is left is what it would
    be with slopes that were known beforehand.
    """
    units, times, count = controls.shape
    if count == 0 or units < _UNITS_PER_CONTROL[width >= _WIDE] * (count + 1):
        return residuals
    out = np.empty_like(residuals)
    fold = np.arange(units) % _FOLDS
    for m in range(times):
        x = controls[:, m] / np.maximum(np.sqrt((controls[:, m] ** 2).mean(axis=0)), 1e-300)
        for each in range(_FOLDS):
            others, mine = fold != each, fold == each
            fitted = x[others] - x[others].mean(axis=0), residuals[others, m] - residuals[others, m].mean()
            slope, *_ = np.linalg.lstsq(*fitted, rcond=1e-10)
            out[mine, m] = residuals[mine, m] - x[mine] @ slope
    return out


def _kernel(measured: Measured, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Variance ⟨K²⟩ − ⟨K⟩² and its error, linearised in both averages."""
    square, square_residuals = _ratio(measured.squares, measured.members)
    mean, residuals = _ratio(values, measured.members)
    total = square_residuals - 2 * mean * residuals
    units = len(total)
    return square - mean**2, np.sqrt((total**2).sum(axis=0) / (units * max(units - 1, 1)))
