"""⟨φ(x) φ(y)⟩ of two Gaussians of one variance, by what is best for φ: a Hermite series, a closed form, or a table."""

from __future__ import annotations

import math

import numpy as np

from nnqft import Activation, InputError
from nnqft_plugins.networks.meanfield.gaussian import hermite
from nnqft_plugins.networks.meanfield.kinds import homogeneous, wave
from nnqft_plugins.networks.meanfield.pairs import Kernel, Scaled, Series, Waves
from nnqft_plugins.networks.meanfield.panels import cancellation, why_unresolved
from nnqft_plugins.networks.meanfield.remembering import remembered
from nnqft_plugins.networks.meanfield.table import Table

_SERIES = 1e-11
"""What a Hermite series may leave out, relative to ⟨f²⟩."""
_WORST = 1e-4
"""Largest error of a table that is worth having, relative to ⟨φ²⟩."""
_SHORT_WAVES = 50.0
"""Variance beyond which the Hermite series of a sine is long."""


def rough_series(activation: Activation, variance: float, accuracy: float = 1e-13, most: int = 2048) -> Series:
    """The Hermite series as far as it goes, what is left in its last term: for kinks good to about 1e-2."""
    return _series(activation, float(variance), accuracy, most)


@remembered(2048)  # a search for C(0) asks at the same variances for every σ_w
def _series(activation: Activation, variance: float, accuracy: float, most: int) -> Series:
    degree = homogeneous(activation.value, activation.kinks)
    if degree is not None and variance != 1.0:
        unit = rough_series(activation, 1.0, accuracy, most)
        return Series(variance, variance**degree * unit.coefficients, unit.error)
    b, left = hermite(activation.value, np.array([variance]), accuracy, activation.kinks, most)
    return Series(variance, b[0] ** 2, left)


def kernel(activation: Activation, variance: float, accuracy: float = 1e-13) -> Kernel:
    """⟨φφ⟩ at one variance, by the Hermite series where it converges, else by a closed form or a table.

    What it leaves out is below the larger of `accuracy` and 1e-11 of ⟨φ²⟩; `Kernel.error` says how much.

    Raises
    ------
    InputError
        If φ has more waves there than can be followed.
    """
    return _kernel(activation, float(variance), accuracy)


@remembered(64)
def _kernel(activation: Activation, variance: float, accuracy: float) -> Kernel:
    sign = wave(activation.value)
    if sign is not None and variance > _SHORT_WAVES:
        return Waves(variance, sign)
    degree = homogeneous(activation.value, activation.kinks)
    if degree is not None:
        return Scaled(_unit_table(activation), variance, degree)
    lost = cancellation(activation.value, variance)
    if not activation.kinks:
        series = rough_series(activation, variance, accuracy)
        if not np.isfinite(series.coefficients).all() or series.error <= max(accuracy, _SERIES, lost):
            return Series(variance, series.coefficients, series.error + lost)
    table = Table(activation, variance)
    table.error += lost
    if table.error > _WORST and math.isfinite(table.square):
        if lost > _SERIES:
            raise InputError(f"{why_unresolved(activation.value, variance)} at variance {variance:.3g}")
        raise InputError(
            f"φ = {activation.name} has places too narrow at variance {variance:.3g} for averages;"
            " write a smaller sigma_w"
        )
    return table


@remembered(32)
def _unit_table(activation: Activation) -> Table:
    return Table(activation, 1.0)
