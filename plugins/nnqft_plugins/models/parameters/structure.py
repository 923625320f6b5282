"""The parameters of structured weights, which all recurrent networks share, and their checks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from nnqft import InputError, Parameter, finite_number, short, whole_number

MOST_POPULATIONS = 6
_LARGEST = 1e6


def _correlation(name: str, value: Any) -> float | None:
    """A number from −1 to 1; None for 0, which is no correlation."""
    if value is None:
        return None
    number = finite_number(name, value, "0.5")
    if not -1 <= number <= 1:
        raise InputError(f"{name}={short(value)}: wanted a correlation from -1 to 1, write for example {name}=0.5")
    return number or None


def _fractions(name: str, value: Any) -> tuple[float, ...] | None:
    """Of two or more populations; they add up to one."""
    if value is None:
        return None
    write = f"write {name}=[0.8, 0.2]"
    numbers = _row(name, value, write)
    if not 2 <= len(numbers) <= MOST_POPULATIONS:
        raise InputError(f"{name}={short(value)}: wanted 2 to {MOST_POPULATIONS} of them, {write}")
    if min(numbers) <= 0 or abs(sum(numbers) - 1) > 1e-9:
        raise InputError(f"{name}={short(value)}: wanted numbers > 0 that add up to 1, not {sum(numbers):g}; {write}")
    return numbers


def _blocks(low: float, example: str) -> Any:
    def check(name: str, value: Any) -> tuple[tuple[float, ...], ...] | None:
        if value is None:
            return None
        write = f"write {name}={example}"
        if isinstance(value, str | Mapping) or not hasattr(value, "__iter__"):
            raise InputError(f"{name}={short(value)}: wanted a row for each population, {write}")
        rows = tuple(_row(name, row, write) for row in value)
        if not rows or any(len(row) != len(rows) for row in rows):
            raise InputError(f"{name}={short(value)}: wanted as many columns as rows, {write}")
        if any(not low <= number <= _LARGEST for row in rows for number in row):
            raise InputError(f"{name}={short(value)}: wanted numbers from {low:g} to {_LARGEST:g}, {write}")
        return rows

    return check


def _row(name: str, value: Any, write: str) -> tuple[float, ...]:
    if isinstance(value, str | Mapping) or not hasattr(value, "__iter__"):
        raise InputError(f"{name}: {short(value)}: wanted a list of numbers, {write}")
    try:
        return tuple(finite_number(name, number) for number in value)
    except InputError:
        raise InputError(f"{name}: {short(value)}: wanted finite numbers, {write}") from None


def _population(name: str, value: Any) -> int | None:
    return None if value is None else whole_number(name, value, 1)


_KEYS = ("m", "n", "overlap")


def _low_rank(name: str, value: Any) -> tuple[tuple[float, float, float], ...] | None:
    """(Var m, Var n, Cov(m, n)) of each component, from a mapping, a triple or a list of these."""
    if value is None:
        return None
    write = f"write {name}={{'m': 1.0, 'n': 1.0, 'overlap': 0.5}}"
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        raise InputError(f"{name}={short(value)}: wanted variances and overlap of m and n, {write}")
    given = list(value) if not isinstance(value, Mapping) else [value]
    if given and not hasattr(given[0], "__iter__"):
        given = [given]
    if not given:
        return None
    return tuple(_component(name, each, write) for each in given)


def _component(name: str, value: Any, write: str) -> tuple[float, float, float]:
    if isinstance(value, Mapping):
        if unknown := [key for key in value if key not in _KEYS]:
            raise InputError(f"{name} has no {short(unknown[0])}; wanted m, n and overlap, {write}")
        value = [value.get("m", 1.0), value.get("n", 1.0), value.get("overlap", 0.0)]
    numbers = _row(name, value, write)
    if len(numbers) != len(_KEYS):
        raise InputError(f"{name}={short(value)}: wanted Var m, Var n and their overlap, {write}")
    m, n, overlap = numbers
    if not (0 < m <= _LARGEST and 0 < n <= _LARGEST):
        raise InputError(f"{name}={short(value)}: wanted variances of m and n > 0 and up to {_LARGEST:g}, {write}")
    if abs(overlap) > math.sqrt(m * n) * (1 + 1e-12):
        most = math.sqrt(m * n)
        raise InputError(f"{name}={short(value)}: wanted an overlap from -{most:g} to {most:g}, its variances' root")
    return m, n, overlap


STRUCTURE: dict[str, Parameter] = {
    "eta": Parameter(None, "correlation of W_ij and W_ji, from -1 to 1", check=_correlation),
    "low_rank": Parameter(
        None, "adds m_i n_j/N to W_ij: {m: variance, n: variance, overlap: covariance}, or a list", check=_low_rank
    ),
    "fractions": Parameter(None, "populations: the part of the N units in each, [0.8, 0.2]", check=_fractions),
    "gains": Parameter(
        None, "populations: W_ij has variance (sigma_w gains[a][b])²/N", check=_blocks(0.0, "[[1.0, 2.0], [1.0, 2.0]]")
    ),
    "means": Parameter(
        None, "populations: W_ij has mean means[a][b]/N, 1/time", check=_blocks(-_LARGEST, "[[1.0, -2.0], [1.0, -2.0]]")
    ),
    "population": Parameter(None, "populations: the one that is looked at, from 1 on (1)", check=_population),
}
"""Of independent and equal weights none is given."""
