"""How the edge of drawn networks moves with the width.

Without noise h = 0 is a fixed point of the linear network and of tanh's, for φ'(0) = 1 with the same matrix: stable as
long as all eigenvalues of W − γ have a negative real part, below σ_c = γ/max Re λ(W/σ_w) of each W. With noise there is
no fixed point, and a tanh network gets chaotic where its largest Lyapunov exponent λ passes 0.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnqft_plugins.networks.study.cells import Cell, ExponentCell
from nnqft_plugins.networks.study.plan import Settings, edge_cells, exponent_cells


@dataclass(frozen=True)
class Edge:
    """σ_c/γ over drawn networks of one width: value and error each.

    Attributes
    ----------
    N, matrices : int
    mean, median, spread : (value, error)
        Spread is the standard deviation.
    below : (value, error)
        Share of the networks with σ_c < γ.
    """

    N: int
    matrices: int
    mean: tuple[float, float]
    median: tuple[float, float]
    spread: tuple[float, float]
    below: tuple[float, float]


@dataclass(frozen=True)
class PowerLaw:
    """a N^{−p} through values with errors.

    Attributes
    ----------
    amplitude, exponent : (value, error)
    chi2, freedom
        Sum of the squared distances over errors, and what it would be on average.
    widths : tuple of int
        What it was fitted to.
    """

    amplitude: tuple[float, float]
    exponent: tuple[float, float]
    chi2: float
    freedom: int
    widths: tuple[int, ...]


def make_edges(settings: Settings, data: Mapping[Cell, Mapping[str, Any]]) -> list[Edge]:
    """Those whose cells are known."""
    names = ("mean", "median", "spread", "below")
    return [
        Edge(cell.N, cell.matrices, *((data[cell][name][0], data[cell][name][1]) for name in names))
        for cell in edge_cells(settings)
        if cell in data
    ]


def power_law(N: Sequence[int], values: Sequence[float], errors: Sequence[float]) -> PowerLaw | None:
    """Least squares of a N^{−p}; None with fewer than three widths, or numbers without finite errors."""
    from scipy.optimize import OptimizeWarning, curve_fit

    x, y, error = np.array(N, float), np.array(values), np.array(errors)
    if len(x) < 3 or not (np.isfinite(y).all() and np.isfinite(error).all() and (error > 0).all()):
        return None
    start = (y[0] * math.sqrt(x[0]), 0.5)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", OptimizeWarning)
            found, cov = curve_fit(lambda x, a, p: a * x**-p, x, y, start, error, absolute_sigma=True)
    except (RuntimeError, OptimizeWarning):  # no minimum within its steps, or none that has an error
        return None
    sdev = np.sqrt(np.diagonal(cov))
    chi2 = float(np.sum(((found[0] * x ** -found[1] - y) / error) ** 2))
    a, p = ((float(value), float(one)) for value, one in zip(found, sdev, strict=True))
    return PowerLaw(a, p, chi2, len(x) - 2, tuple(N))


def fit_edges(edges: Sequence[Edge]) -> dict[str, PowerLaw | None]:
    """Of 1 − E σ_c, 1 − median and spread."""
    N = [edge.N for edge in edges]
    return {
        "1 − mean": power_law(N, [1 - edge.mean[0] for edge in edges], [edge.mean[1] for edge in edges]),
        "1 − median": power_law(N, [1 - edge.median[0] for edge in edges], [edge.median[1] for edge in edges]),
        "spread": power_law(N, [edge.spread[0] for edge in edges], [edge.spread[1] for edge in edges]),
    }


@dataclass(frozen=True)
class Exponents:
    """λ of tanh networks of one width, in units of γ.

    Attributes
    ----------
    cell : ExponentCell
    at_edge : (value, error)
        Average at the σ_w where N → ∞ has λ = 0.
    zero : (value, error) or None
        σ_w/γ where the average is 0; None beyond the range.
    """

    cell: ExponentCell
    at_edge: tuple[float, float]
    zero: tuple[float, float] | None


def make_exponents(settings: Settings, data: Mapping[Cell, Mapping[str, Any]]) -> list[Exponents]:
    """Those whose cells are known."""
    rows = []
    for cell in exponent_cells(settings):
        if cell in data:
            one = data[cell]
            zero = None if one["zero"] is None else (one["zero"][0], one["zero"][1])
            rows.append(Exponents(cell, (one["mean"][0], one["error"][0]), zero))
    return rows


def fit_exponents(exponents: Sequence[Exponents]) -> dict[str, PowerLaw | None]:
    """Of −λ at the edge of N → ∞, and of how far beyond it the average is 0."""
    zeros = [(one.cell.N, one.zero[0] - one.cell.sigma_w[0], one.zero[1]) for one in exponents if one.zero is not None]
    N, low, error = zip(*zeros, strict=True) if zeros else ((), (), ())
    return {
        "−λ": power_law(
            [one.cell.N for one in exponents], [-one.at_edge[0] for one in exponents],
            [one.at_edge[1] for one in exponents],
        ),
        "shift of σ_w": power_law(N, low, error),
    }  # fmt: skip
