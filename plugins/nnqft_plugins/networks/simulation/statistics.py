"""From independent units to means with errors: ratio estimates, control variates, steps extrapolated to zero."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from nnqft_plugins.networks.simulation.measurement import Measured

Numbers = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Takes averages and their covariance, and gives numbers that follow from them, with their slopes."""
_UNITS_PER_CONTROL = {False: 50, True: 10}
"""Least number for small and for wide networks: what control variates leave of a small one has heavy tails."""
WIDE = 20
"""Networks at least so wide have mild tails."""
_FOLDS = 8
SKEWED = 0.5
"""Skewness of a mean from which on its errors are not symmetric to speak of."""
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
    skewness : float
        Of the distribution of the mean, the largest.
    least : int
        Units whose mean would not be skewed to speak of.
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
    skewness: float
    least: int
    change: np.ndarray
    kernel: np.ndarray
    kernel_sdev: np.ndarray
    units: np.ndarray

    @property
    def total(self) -> np.ndarray:
        """(M, M) covariance with the step as one more, common source of error."""
        return self.cov + np.outer(self.change, self.change)


@dataclass(frozen=True, eq=False)
class Scatter:
    """How units of an ensemble scatter about their mean, from others than those that are averaged.

    An error from the units themselves is small where the large ones happen to be missing, and the mean with it.

    Attributes
    ----------
    plain, controlled : (U, M) arrays
        Without and with control variates.
    kernel : (U, M) array
        What each adds to the variance of the kernel; zeros if that is not measured.
    slopes : (M, c) array
        Of the units without control variates on these.
    """

    plain: np.ndarray
    controlled: np.ndarray
    kernel: np.ndarray
    slopes: np.ndarray


def summarise(measured: Measured, order: int, kernel: bool, width: int, scatter: Scatter | None = None) -> Summary:
    """Everything from the units of an ensemble.

    Parameters
    ----------
    order
        Power of the step that the discretisation error is proportional to.
    kernel
        Whether the squares were measured.
    width
        N.
    scatter
        Of other units; each unit counts alike for the error, for the mean only those measured.
    """
    n = measured.members
    fine, coarse = measured.values, measured.coarse
    change = (fine - coarse) / (2**order - 1)
    extrapolated = fine + change
    mean, plain = _ratio(extrapolated, n)
    residuals = _controlled(plain, measured.controls, width, scatter)
    mean = mean + residuals.mean(axis=0)
    centred = residuals - residuals.mean(axis=0)
    units, controlled = len(n), residuals is not plain
    others = None if scatter is None else scatter.controlled if controlled else scatter.plain
    every = centred if others is None else np.concatenate([centred, others])
    # Where there are others it is theirs, so that who writes as many networks as a note says is not told once more.
    skewed = centred if others is None else others
    freedom = _freedom(every)
    # The variance of Student's t: as uncertain as this error is, pulls would else scatter by more than 1.
    known = max(freedom, _FEWEST)
    student = 1 / (1 - 2 / known)
    if scatter is not None:
        # Thousands of units still lack the rarest, of which all ensembles together have some: one standard deviation.
        student *= 1 + math.sqrt(2 / known)
    cov = student * (every.T @ every) / (units * max(len(every) - 1 - (others is not None), 1))
    nothing = np.full(len(mean), np.nan)
    spread, spread_sdev = _kernel(measured, extrapolated, scatter) if kernel else (nothing, nothing)
    return Summary(
        mean=mean,
        cov=cov,
        freedom=freedom,
        skewness=_skewness(skewed) / math.sqrt(units),
        least=_least(skewed, controlled, width, scatter),
        change=change.sum(axis=0) / max(n.sum(), 1),
        kernel=spread,
        kernel_sdev=spread_sdev,
        units=mean + centred * _stretch(centred, cov),
    )


def of_numbers(summary: Summary, numbers: Numbers) -> Summary:
    """The summary of numbers that follow from what was averaged, errors linearised."""
    values, slopes = numbers(summary.mean, summary.cov)
    measured = len(summary.kernel) == len(values)
    return replace(
        summary,
        kernel=summary.kernel if measured else np.full(len(values), np.nan),
        kernel_sdev=summary.kernel_sdev if measured else np.full(len(values), np.nan),
        mean=values,
        cov=slopes @ summary.cov @ slopes.T,
        change=slopes @ summary.change,
        units=values + (summary.units - summary.mean) @ slopes.T,
    )


def scatter_of(measured: Measured, order: int, kernel: bool, width: int) -> Scatter:
    """The scatter of units that are not averaged; see `summarise`."""
    extrapolated = measured.values + (measured.values - measured.coarse) / (2**order - 1)
    plain = _ratio(extrapolated, measured.members)[1]
    controlled = _controlled(plain, measured.controls, width)
    controlled = controlled - controlled.mean(axis=0)
    of_kernel = _kernel_units(measured, extrapolated)[1] if kernel else np.zeros_like(plain)
    slopes = [_slope(measured.controls[:, m], plain[:, m]) for m in range(plain.shape[1])]
    return Scatter(plain, controlled, of_kernel, np.array(slopes))


def _stretch(centred: np.ndarray, cov: np.ndarray) -> np.ndarray:
    """(M,) factors that give units of mean zero the scatter that the error of their mean stands for."""
    own = (centred**2).sum(axis=0) / (len(centred) * max(len(centred) - 1, 1))
    return np.sqrt(np.divide(np.diagonal(cov), own, out=np.ones(len(own)), where=own > 0))


def _ratio(values: np.ndarray, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Σ values / Σ members, and what each unit adds to it: linearised, with mean zero, times the number of units."""
    mean = values.sum(axis=0) / max(members.sum(), 1)
    return mean, (values - members[:, None] * mean) / max(members.mean(), 1e-300)


def _freedom(centred: np.ndarray) -> float:
    """Of the variances of units with mean zero (U, M), the least: 2 over the square of a variance's relative error."""
    units, square = len(centred), centred**2
    variance = square.mean(axis=0)
    found = variance > 0
    if not found.any():
        return np.inf
    if units < 4:  # too few to see how they are distributed
        return units - 1.0
    kurtosis = (square[:, found] ** 2).mean(axis=0) / variance[found] ** 2
    return float(2 * units / max(float(kurtosis.max()) - 1, 1.0))


def _skewness(centred: np.ndarray) -> float:
    """Of units with mean zero (U, M), the largest; that of a mean is smaller by the root of their number."""
    variance = (centred**2).mean(axis=0)
    found = variance > 0
    return float(np.abs((centred[:, found] ** 3).mean(axis=0) / variance[found] ** 1.5).max(initial=0.0))


def _least(centred: np.ndarray, controlled: bool, width: int, scatter: Scatter | None) -> int:
    """Units whose mean has no skewness to speak of, with control variates if they are so many."""
    least = math.ceil((_skewness(centred) / SKEWED) ** 2)
    if controlled or scatter is None or least < (enough := _units_for(scatter.slopes.shape[1], width)):
        return least
    return max(enough, math.ceil((_skewness(scatter.controlled) / SKEWED) ** 2))


def _units_for(controls: int, width: int) -> int:
    return _UNITS_PER_CONTROL[width >= WIDE] * (controls + 1)


def _controlled(residuals: np.ndarray, controls: np.ndarray, width: int, scatter: Scatter | None = None) -> np.ndarray:
    """Residuals minus their regression on the controls, or as they are if units are few.

    The controls have mean zero over all units, those with discarded networks included. The slopes for each unit come
    from other units, those of `scatter` or else of the other folds (cross-fitting), so that the mean stays unbiased and
    the scatter of what is left is what it would be with slopes that were known beforehand.
    """
    units, times, count = controls.shape
    if count == 0 or units < _units_for(count, width):
        return residuals
    if scatter is not None:
        return residuals - np.einsum("umc,mc->um", controls, scatter.slopes)
    out = np.empty_like(residuals)
    fold = np.arange(units) % _FOLDS
    for m in range(times):
        for each in range(_FOLDS):
            others, mine = fold != each, fold == each
            out[mine, m] = residuals[mine, m] - controls[mine, m] @ _slope(controls[others, m], residuals[others, m])
    return out


def _slope(controls: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(c,) slopes of the regression of (U,) values on (U, c) controls."""
    scale = np.maximum(np.sqrt((controls**2).mean(axis=0)), 1e-300)
    x = controls / scale
    slope, *_ = np.linalg.lstsq(x - x.mean(axis=0), values - values.mean(), rcond=1e-10)
    return np.asarray(slope / scale)


def _kernel(measured: Measured, values: np.ndarray, scatter: Scatter | None) -> tuple[np.ndarray, np.ndarray]:
    """Variance ⟨K²⟩ − ⟨K⟩² and its error, linearised in both averages."""
    variance, total = _kernel_units(measured, values)
    units = len(total)
    every = total if scatter is None else np.concatenate([total, scatter.kernel])
    return variance, np.sqrt((every**2).sum(axis=0) / (units * max(len(every) - 1 - (scatter is not None), 1)))


def _kernel_units(measured: Measured, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """⟨K²⟩ − ⟨K⟩², and what each unit adds to it."""
    square, square_residuals = _ratio(measured.squares, measured.members)
    mean, residuals = _ratio(values, measured.members)
    return square - mean**2, square_residuals - 2 * mean * residuals
