"""Where a series stops converging, from its coefficients, if they tell."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from nnqft.errors import InputError

CLEAR = 1 / 3
"""An error is clearly smaller than a value where it is less than this part of it."""
_DOUBT = 2.0
"""The error is this many times the disagreement of methods, each of which may be wrong by more than they differ."""
_FAINT = 0.02
"""A pole of f'/f with a smaller residue is a pair with a zero, which coefficients that are not exact make anywhere."""
_REAL = 1e-6
_SPARE = 1e-10
"""Singular values below this part of the largest belong to spare degrees of an approximant."""


@dataclass(frozen=True)
class Singularity:
    """Where a series stops converging, Σ a_n g^n ~ (1 − g/g_c)^{−exponent}.

    Attributes
    ----------
    coupling
        g_c, the critical coupling; its modulus is the radius of convergence.
    exponent
        Of the singularity there; nan where its own error is not clearly smaller than it or 1.
    error
        Twice the disagreement of the ratios' and the poles' extrapolations, with and without the last coefficient, and
        what the statistical errors of the coefficients make of g_c: a guide, not a bound.

    Examples
    --------
    >>> import nnqft
    >>> theory = nnqft.theory("linear", N=100, sigma_w=0.5)
    >>> series = nnqft.compute(theory, "two_point", order=6, width_order=0).series
    >>> point = series.singularity(width=0)
    >>> round(point.coupling, 2), round(point.exponent, 1)  # κ/2 (γ² − σ_w²)^{−1/2} at γ = 1
    (1.0, 0.5)
    """

    coupling: float
    exponent: float
    error: float


def singularity_of(known: np.ndarray, errors: np.ndarray, first: int, place: str) -> Singularity:
    """The singularity of Σ a_n g^n.

    Parameters
    ----------
    known, errors
        Coefficients other than zero in a row, at least five, and their standard deviations.
    first
        n of the first of them.
    place
        Of which series a message speaks.

    Raises
    ------
    InputError
        If two kinds of extrapolation do not agree about 1/g_c to a third of it: the ratios in powers of 1/n, and the
        poles of f'/f, of which one that is complex says that there is no such limit.
    """
    inverse, exponent = _by_ratios(first, known, 3, 2)
    others = np.array(list(_opinions(first, known)))
    # One term less is worse by much; where it is better the others are worse than they look.
    coarse, _ = _by_ratios(first, known, 1, 1)
    noise = noise_of(lambda a: _by_ratios(first, a, 3, 2)[0], known, errors)
    error = math.hypot(_DOUBT * float(np.abs(inverse - np.append(others[:, 0], coarse)).max()), noise)
    if not error < CLEAR * abs(inverse):
        why = "; compute a higher order" + " or a smaller error" * bool(errors.any())
        raise InputError(f"{place}: these {len(known)} coefficients do not tell where the series stops converging{why}")
    doubt = math.hypot(
        _DOUBT * float(np.abs(exponent - others[:, 1]).max()),
        noise_of(lambda a: _by_ratios(first, a, 3, 2)[1], known, errors),
    )
    clear = doubt < CLEAR * max(abs(exponent), 1.0)
    # The farther end of 1/g_c ± error.
    return Singularity(1 / inverse, exponent if clear else math.nan, error / (abs(inverse) * (abs(inverse) - error)))


def noise_of(function: Callable[[np.ndarray], float], known: np.ndarray, errors: np.ndarray) -> float:
    """What independent errors of the coefficients make of a function of them: the larger change of either sign each."""
    value, squares = function(known), 0.0
    for n in np.flatnonzero(errors):
        step = np.where(np.arange(len(known)) == n, errors, 0.0)
        squares += max(abs(function(known + step) - value), abs(function(known - step) - value)) ** 2
    return math.sqrt(squares) if math.isfinite(squares) else math.inf


def _opinions(first: int, known: np.ndarray) -> Iterator[tuple[float, float]]:
    """1/g_c and the exponent by other ways than the best one; nan by one that finds none."""
    for part, terms in ((known, 2), (known[:-1], 3), (known[:-1], 2)):
        yield _by_ratios(first, part, terms, terms - 1)
    for part in (known, known[:-1]):
        slope = _logarithmic_derivative(part)
        for bottom in range(1, len(slope)):
            if abs(len(slope) - 1 - 2 * bottom) <= 2:  # degrees above and below nearly the same
                yield _by_pole(slope, bottom)


def _by_ratios(first: int, known: np.ndarray, terms: int, slope_terms: int) -> tuple[float, float]:
    """From a_n/a_{n−1} = (1/g_c)(1 + (exponent − 1)/n + O(1/n²)), with so many powers of 1/n eliminated."""
    n = np.arange(first + 1, first + len(known), dtype=float)
    with np.errstate(all="ignore"):
        ratios = known[1:] / known[:-1]
        inverse = _limit(n, ratios, terms)
        slopes = n * (ratios / inverse - 1)
        return inverse, 1 + _limit(n, slopes, slope_terms) if np.isfinite(slopes).all() else math.nan


def _limit(n: np.ndarray, values: np.ndarray, terms: int) -> float:
    """Value at n → ∞ of a polynomial in 1/n through the last points."""
    last = min(terms + 1, len(n))
    return float(np.polyfit(1 / n[-last:], values[-last:], last - 1)[-1])


def _logarithmic_derivative(known: np.ndarray) -> np.ndarray:
    """Coefficients of f'/f of a series that starts with the first of these."""
    slope = np.zeros(len(known) - 1)
    for n in range(len(slope)):
        slope[n] = ((n + 1) * known[n + 1] - slope[:n] @ known[n:0:-1]) / known[0]
    return slope


def _by_pole(slope: np.ndarray, bottom: int) -> tuple[float, float]:
    """1/g_c and the exponent by the pole nearest to 0 of the Padé approximant to f'/f = exponent/(g_c − g) + …

    nan if that is not real. (G. A. Baker, Phys. Rev. 124, 768 (1961).)
    """
    top = len(slope) - 1 - bottom
    padded = np.concatenate([np.zeros(bottom), slope])
    rows = np.array([padded[n : n + bottom][::-1] for n in range(top + 1, top + bottom + 1)])
    if not np.isfinite(padded).all():
        return math.nan, math.nan
    # Least squares: an approximant of degrees to spare is that of smaller ones.
    below = np.concatenate([[1.0], np.linalg.lstsq(rows, -slope[top + 1 :], rcond=_SPARE)[0]])
    above = np.convolve(slope, below)[: top + 1]
    poles = np.roots(below[::-1])
    with np.errstate(all="ignore"):
        residues = -np.polyval(above[::-1], poles) / np.polyval(np.polyder(below[::-1]), poles)
    strong = [
        (abs(pole), pole, residue) for pole, residue in zip(poles, residues, strict=True) if abs(residue) > _FAINT
    ]
    if not strong:
        return math.nan, math.nan
    size, pole, residue = min(strong, key=lambda each: each[0])
    return (math.nan, math.nan) if abs(pole.imag) > _REAL * size else (float(1 / pole.real), float(residue.real))
