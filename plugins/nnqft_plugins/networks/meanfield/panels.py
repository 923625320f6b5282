"""Functions of one variable on panels on each of which they are a polynomial to rounding.

Panels are halved until the last Legendre coefficients of the function on them are negligible: around a kink that is
not known, down to rounding; around a steep place, down to its width. What is integrated over the panels by Gauss's rule
then is exact for the function times any polynomial of moderate degree.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import legendre

from nnqft import InputError

Function = Callable[[np.ndarray], np.ndarray]

ORDER = 16
"""Nodes a panel."""
NODES, WEIGHTS = legendre.leggauss(ORDER)
TO_LEGENDRE = (WEIGHTS[:, None] * legendre.legvander(NODES, ORDER - 1)) * (np.arange(ORDER) + 0.5)
_DIFFERENTIATE = TO_LEGENDRE @ legendre.legval(NODES, legendre.legder(np.eye(ORDER)))
"""Values at the nodes → derivatives there, on [−1, 1]."""
_RESOLVED = 2e-13
"""Last coefficients over the largest value of the function."""
_MOST = 20_000
"""Panels."""
_CANCELS = 1e-14
_HINT = "write a smaller sigma_w"
SMALLEST = 1e-170
"""√v that stands for 0: kinks at 0 still have two sides, and what is linear has no square."""
_TRIED = np.linspace(-5.017, 4.979, 128)
_SIXTH = np.array([1.0, -6.0, 15.0, -20.0, 15.0, -6.0, 1.0]) / math.sqrt(924)
"""Of independent rounding it has the size of that."""
_FARTHEST = 60.0
"""Units of standard deviation beyond which no average is looked for; e^{−60²/4} is 1e-391."""


@dataclass(frozen=True)
class Panels:
    """f(√v z) for a Gaussian z, where it matters.

    Attributes
    ----------
    edges : (P + 1,) array
        Of the panels, in z.
    z, weight, value : (P, 16) arrays
        Nodes, weights that include the density of z, and f(√v z).
    error : float
        What was not resolved of f, over the largest f(√v z) e^{−z²/4}.
    finite : bool
        False if f grows so fast that its square has no average, or none that floating point can hold.
    """

    edges: np.ndarray
    z: np.ndarray
    weight: np.ndarray
    value: np.ndarray
    error: float
    finite: bool

    def slopes(self, scale: float) -> np.ndarray:
        """φ' at the nodes, by differentiating the polynomials; `scale` is √v."""
        return self.value @ _DIFFERENTIATE / (np.diff(self.edges)[:, None] / 2 * scale)

    def on(self, edges: np.ndarray, function: Function, scale: float) -> Panels:
        """The same function on smaller panels."""
        return _on_edges(function, scale, edges, self.error, self.finite)


def gaussian_panels(function: Function, scale: float, kinks: Iterable[float] = ()) -> Panels:
    """f(scale·z) on panels fine enough for every moment of it that a Gaussian z gives weight to."""
    low, high, finite = _range(function, scale)
    if not finite:
        low, high = -1.0, 1.0
    breaks = [x / scale for x in kinks if low < x / scale < high]
    # Features of unit size in h about the origin, and none of the Gaussian's own missed.
    near = [sign * 2.0**n / scale for n in range(64) for sign in (-1, 1) if 2.0**n / scale < 1]
    edges = np.unique([low, high, *breaks, *(x for x in near if low < x < high), *np.arange(np.ceil(low), high, 2.0)])

    def weighted(z: np.ndarray) -> np.ndarray:
        return function(scale * z) * np.exp(-(z**2) / 4)

    edges, _, error = resolve(weighted, edges)
    return _on_edges(function, scale, edges, error, finite)


def _on_edges(function: Function, scale: float, edges: np.ndarray, error: float, finite: bool) -> Panels:
    half = np.diff(edges)[:, None] / 2
    z = edges[:-1, None] + half * (NODES + 1)
    with np.errstate(all="ignore"):
        value = function(scale * z)
    weight = half * WEIGHTS * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    return Panels(edges, z, weight, value, error, finite and bool(np.isfinite(value).all()))


def _range(function: Function, scale: float) -> tuple[float, float, bool]:
    """Where f(scale·z) e^{−z²/4} is above rounding; and can all of that be evaluated?"""
    z = np.linspace(-_FARTHEST, _FARTHEST, 481)
    with np.errstate(all="ignore"):
        size = np.abs(function(scale * z)) * np.exp(-(z**2) / 4)
    known = np.isfinite(size)
    largest = float(size[known].max(initial=0.0))
    matters = known & (size > 1e-18 * largest)
    if largest == 0.0:
        return -10.0, 10.0, True
    places = np.flatnonzero(matters)
    first, last = max(places[0] - 1, 0), min(places[-1] + 1, len(z) - 1)
    return min(float(z[first]), -9.0), max(float(z[last]), 9.0), bool(known[first] and known[last])


def rounding(function: Function, scale: float) -> float:
    """Rounding of f(scale·z) in its mean square over a Gaussian z, relative to that of f: of 1e-16, or of cancellation.

    From sixth differences at two spacings, a factor 16 apart: of a smooth f they are a factor 16⁶ apart.
    """
    wide, close = (_differences(function, scale, 2.0**-n / max(1.0, scale)) for n in (12, 16))
    return close if close < 1e-6 * wide else max(wide, close)


def _differences(function: Function, scale: float, spacing: float) -> float:
    h = scale * _TRIED[:, None] * (1 + spacing * np.arange(-3.0, 4.0))
    with np.errstate(all="ignore"):
        values = function(h)
        density = np.exp(-(_TRIED**2) / 2)
        noise = float(density @ (values @ _SIXTH) ** 2)
        size = float(density @ values[:, 3] ** 2)
    return math.sqrt(noise / size) if 0.0 < size < math.inf and noise < math.inf else 0.0


def cancellation(function: Function, variance: float) -> float:
    """Error of ⟨f²⟩, relative, from rounding in f itself where it is a difference of larger numbers; else 0."""
    noise = 4 * rounding(function, max(math.sqrt(variance), SMALLEST))
    return noise if noise > _CANCELS else 0.0


def why_unresolved(function: Function, variance: float) -> str:
    """Why a function has no averages at a variance, and what would help; to go on with "at variance …"."""
    if cancellation(function, variance) > 1e-11:
        return "the activation is lost in rounding: write it without a difference of numbers that are almost equal,"
    return f"the activation turns too often for averages: {_HINT},"


def resolve(
    function: Function, edges: np.ndarray, *, local: bool = False, least: float = 1e-14, tolerance: float = _RESOLVED
) -> tuple[np.ndarray, float, float]:
    """Edges of panels on which the function is a polynomial of degree 15, its integral over them, and what is left.

    What is left is the integral of what was not resolved, over the largest value.

    Parameters
    ----------
    edges : array
        To begin with, increasing.
    local
        Compare with the largest value on the panel itself.
    least
        Width of a panel that is not halved any more, relative to its distance from 0.
    """
    done: list[np.ndarray] = []
    left, right = edges[:-1], edges[1:]
    largest = error = integral = 0.0
    while True:
        half = (right - left)[:, None] / 2
        with np.errstate(all="ignore"):
            values = function(left[:, None] + half * (NODES + 1))
            rest = np.abs(values @ TO_LEGENDRE[:, -2:]).max(axis=1)
        size = np.abs(values).max(axis=1, initial=0.0)
        largest = max(largest, float(size[np.isfinite(size)].max(initial=0.0)))
        rough = ~(rest <= tolerance * (np.maximum(size, 1e-4 * largest) if local else largest))
        small = half[:, 0] <= least * (1 + np.maximum(np.abs(left), np.abs(right)))
        known = sum(len(x) for x in done)
        split = rough & ~small if known + 2 * len(left) < _MOST else np.zeros_like(rough)
        # A panel too small to be halved counts with its width; one that was given up, in full.
        given_up = rough & ~split
        with np.errstate(all="ignore"):
            error += float((rest[given_up] * half[given_up, 0]).sum()) if given_up.any() else 0.0
        integral += float((half * values)[~split].sum(axis=0) @ WEIGHTS)
        done.append(left[~split])
        if not split.any():
            break
        middle = (left[split] + right[split]) / 2
        left, right = np.concatenate([left[split], middle]), np.concatenate([middle, right[split]])
    return np.append(np.sort(np.concatenate(done)), edges[-1]), integral, error / largest if largest else 0.0


_WHERE = np.linspace(-128.3719, 127.9067, 258)
"""Where kinks are looked for, cut at places where nobody puts one."""
_MANY = 32
_STRAIGHT = 1e-7
"""Last coefficients of a side of a kink, over its largest value: a root has 1e-4 there."""
_NARROW = 1e-3
"""Panels around a jump of φ'' end at a width of 1e-4 or less, those around stronger ones at less."""


def find_kinks(function: Function) -> tuple[float, ...]:
    """Where a function or one of its first two derivatives jumps, between h = −128 and 127, by halving panels.

    A smooth function that is steep on a scale below 1e-3 may be taken for one with a kink, which does no harm.

    Raises
    ------
    InputError
        If there are more such places than 32.
    """
    edges, _, _ = resolve(function, _WHERE, local=True, tolerance=1e-11)
    widths = np.diff(edges)
    narrow = np.flatnonzero(widths < _NARROW * (1 + np.abs(edges[:-1])))
    if not len(narrow):
        return ()
    apart = edges[narrow[1:]] - edges[narrow[:-1] + 1] > 2 * _NARROW * (1 + np.abs(edges[narrow[1:]]))
    groups = np.split(narrow, np.flatnonzero(apart) + 1)
    if len(groups) > _MANY:
        raise InputError(f"the activation has more than {_MANY} places where it is not smooth; wanted a smoother one")
    spans = [(float(edges[group[0]]), float(edges[group[-1] + 1])) for group in groups]
    kinks = []
    for n, (low, high) in enumerate(spans):
        room = min([0.05, *(low - x for _, x in spans[:n]), *(x - high for x, _ in spans[n + 1 :])])
        group = groups[n]
        tight = group[widths[group] <= 2 * widths[group].min()]
        centre = float(edges[tight[0]] + edges[tight[-1] + 1]) / 2
        found = _located(function, low - 1e-6, high + 1e-6, room, centre)
        if found is not None:
            kinks.append(round(found, 9) + 0.0 if abs(round(found, 9) - found) < 1e-10 * (1 + abs(found)) else found)
    return tuple(kinks)


def narrowest(function: Function) -> float:
    """Width of the narrowest panel on which the function is a polynomial to 1e-11, between h = −128 and 127."""
    edges, _, _ = resolve(function, _WHERE, local=True, tolerance=1e-11)
    return float(np.diff(edges).min())


def _located(function: Function, low: float, high: float, room: float, centre: float) -> float | None:
    """The kink between two places: where the polynomials on its two sides meet, or between the sides of a jump.

    None if these go on into each other: then the function is only steep there. The centre of the smallest panels where
    the sides are no polynomials, as those of a root are not.
    """
    gap = (high - low) / 2
    if room < 10 * gap:
        return centre
    sides = []
    for start in (low - room, high):
        values = function(start + room / 2 * (NODES + 1))
        series = values @ TO_LEGENDRE
        if np.abs(series[-2:]).max() > _STRAIGHT * np.abs(values).max():
            return centre
        sides.append((legendre.Legendre(series, domain=[start, start + room]), values))
    derivatives = [[side.deriv(n) if n else side for side, _ in sides] for n in range(3)]
    size = max(1e-3, *(float(np.abs(values).max()) for _, values in sides))
    place = centre
    for _ in range(4):
        jump, slope, curvature = (float(right(place) - left(place)) for left, right in derivatives)
        if abs(jump) > 1e-3 * size and abs(jump) > 10 * gap * (abs(slope) + gap * abs(curvature)):
            return _bisected(function, low, high)
        # Of the two places where the sides meet the nearer one; where they only touch, that in between.
        root = slope**2 - 2 * jump * curvature
        if root > (1e-3 * size) ** 2:
            step = -2 * jump / (slope + math.copysign(math.sqrt(root), slope))
        elif abs(curvature) > 1e-3 * size:
            step = -slope / curvature
        else:
            return None
        place += step
    return place if low < place < high else centre


def _bisected(function: Function, low: float, high: float) -> float:
    """Where a function goes from about what it is at one place to what it is at another."""
    first, last = (float(x) for x in function(np.array([low, high])))
    for _ in range(60):
        middle = (low + high) / 2
        value = float(function(np.array([middle]))[0])
        low, high = (middle, high) if abs(value - first) < abs(value - last) else (low, middle)
    return (low + high) / 2
