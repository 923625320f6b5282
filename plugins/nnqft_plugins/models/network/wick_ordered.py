"""φφ about the saddle in Wick-ordered powers, for the activation itself instead of its Taylor series:

    φ(h1) φ(h2) = Σ_pq ⟨φ^(p)(h1) φ^(q)(h2)⟩_MF :h1^p h2^q: / (p! q!)

The averages hold every contraction within the vertex, so no line joins two of its h, and the term p = q = 0 is the one
that the counterterm cancels; module `derivatives` has them. All of one p + q are what φφ has of that degree
of Wiener's chaos: an orthogonal decomposition, so that cutting it off there is a projection, and no coefficient depends
on the cut. A cut in p and q each would break terms apart that cancel as t1 → t2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import numpy as np

from nnqft import Activation, InputError, Leg, Memory, Vertex
from nnqft_plugins.models.network.derivatives import DerivativeAverages
from nnqft_plugins.models.network.edges import take_apart
from nnqft_plugins.models.network.edges_at_zero import bent_kernel, bent_of
from nnqft_plugins.models.network.rest_averages import RestGrid, pair_kernel, pair_table
from nnqft_plugins.models.network.tabulated import lag_table, root_kernel, root_table, stationary_kernel
from nnqft_plugins.networks.meanfield.stationary import Curve

HALF = Fraction(1, 2)
HIGHEST = 14
"""Highest p + q that anybody may ask for: a point holds no more equal legs."""


@dataclass(frozen=True)
class Chaos:
    """Wick-ordered vertices, without the 𝔚 z̃ z̃ that they hang on.

    Attributes
    ----------
    vertices : tuple of Vertex
    degree : int or None
        The highest p + q, where there are terms beyond; None if these are all.
    chosen : bool
        Nobody asked for that degree.
    remarks : tuple of str
        Why it goes no higher, if the reason is φ.
    slope : float
        ⟨φ'²⟩ of a stationary state; 0 where that is not known, or not finite.
    sharp : bool
        Has φ kinks or jumps, so that vertices are singular where their times meet?
    """

    vertices: tuple[Vertex, ...]
    degree: int | None
    chosen: bool
    remarks: tuple[str, ...] = ()
    slope: float = 0.0
    sharp: bool = False

    @property
    def top(self) -> int:
        """The highest p + q that a vertex has."""
        return max((vertex.degree for vertex in self.vertices), default=0)


def stationary_chaos(activation: Activation, degree: int | None, curve: Curve, gamma: float, cusp: bool) -> Chaos:
    """The vertices about a stationary saddle; `cusp` says that white noise makes C(τ) fall linearly at first.

    Raises
    ------
    InputError
        If no average can be had, or none of the degree asked for.
    """
    _check_variance(curve.variance, activation)
    averages = DerivativeAverages(activation, curve.variance)
    sharp = bool(averages.parts.edges)
    if sharp and curve.end == 0.0:
        raise NoExpansionError(
            f"expansion='saddle': φ = {activation.name} has edges, where nothing moves averages diverge;"
            " write kappa > 0"
        )
    limit = averages.limit(cusp)
    highest, top, chosen = _range(activation, degree, limit, averages)

    def memory(p: int, q: int) -> Memory | None:
        if averages.at(p, q, curve.C(np.linspace(0.1, 3.0, 30) / gamma)) is None:
            return None
        if sharp:
            kernel, params = root_kernel, root_table(partial(_at_lags, averages, p, q, curve), 4 / gamma)
        else:
            kernel, params = stationary_kernel, lag_table(partial(_at_lags, averages, p, q, curve), 4 / gamma)
        return Memory(0, 1, kernel=kernel, params=params, formula=formula_of(p, q))

    remarks = _rough_remarks(activation, averages, highest) if sharp else ()
    squared = None if averages.parts.jumps else averages.at(1, 1, np.array(curve.variance))
    slope = math.inf if averages.parts.jumps else 0.0 if squared is None else float(squared)
    return Chaos(wick_vertices(top, memory), highest, chosen, remarks, slope, sharp)


def check_edges_from_rest(activation: Activation) -> None:
    """Raise NoExpansionError if φ has edges with which averages from rest are not known."""
    if take_apart(activation).edges and bent_of(activation) is None:
        raise NoExpansionError(
            f"expansion='saddle': φ = {activation.name} has kinks or jumps elsewhere than at h = 0, or is not straight"
            " beside them, and averages from rest are not known; write start='stationary'"
        )


def check_degree_at(activation: Activation, degree: int | None, cusp: bool, variance: float) -> None:
    """Raise NoExpansionError if averages at that variance reach to no degree that is of use."""
    if variance > 0 and degree is None:
        averages = DerivativeAverages(activation, variance)
        _range(activation, None, averages.limit(cusp), averages)


def rest_chaos(activation: Activation, degree: int | None, grid: RestGrid, cusp: bool) -> Chaos:
    """The vertices about the saddle of a network that starts from rest, as tables of both times.

    Raises
    ------
    InputError
        If an average cannot be had.
    """
    _check_variance(grid.largest, activation)
    averages = DerivativeAverages(activation, grid.largest)
    highest, top, chosen = _range(activation, degree, averages.limit(cusp), averages)
    if averages.parts.edges:
        return _bent_chaos(activation, averages, grid, highest, chosen)
    coefficients = grid.coefficients(activation, top)
    some = averages.variance * np.linspace(0.0, 1.0, 12)

    def memory(p: int, q: int) -> Memory | None:
        if averages.at(p, q, some) is None:
            return None
        table = pair_table(grid, coefficients, p, q)
        return Memory(0, 1, kernel=pair_kernel, params=table, formula=formula_of(p, q), symmetric=p == q)

    return Chaos(wick_vertices(top, memory), highest, chosen)


def _bent_chaos(
    activation: Activation, averages: DerivativeAverages, grid: RestGrid, highest: int | None, chosen: bool
) -> Chaos:
    """From rest with one kink or jump, by closed forms instead of tables."""
    bent = bent_of(activation)
    assert bent is not None  # as check_edges_from_rest found
    assert highest is not None  # only polynomials are not cut, which have no edges
    some = averages.variance * np.linspace(0.0, 0.9, 12)

    def memory(p: int, q: int) -> Memory | None:
        if averages.at(p, q, some) is None:
            return None
        phi = (bent.start, bent.slope, bent.jump, bent.bend)
        params = (("line", grid.line.params), ("phi", phi), ("p", p), ("q", q))
        return Memory(0, 1, kernel=bent_kernel, params=params, formula=formula_of(p, q), symmetric=p == q)

    remarks = _rough_remarks(activation, averages, highest)
    return Chaos(wick_vertices(highest, memory), highest, chosen, remarks, sharp=True)


class NoExpansionError(InputError):
    """The network is what it is, but this expansion does not describe it."""


class NothingMovesError(NoExpansionError):
    """Without noise, bias and input h stays at 0, where no Gaussian average tells more than a Taylor series."""


def _check_variance(variance: float, activation: Activation) -> None:
    if variance <= 0:
        powers = "" if activation.kinks else ", or expansion='bare'"
        raise NothingMovesError(
            f"expansion='saddle': the mean-field variance is 0; write kappa > 0 or sigma_b > 0{powers}"
        )


def _range(
    activation: Activation, degree: int | None, limit: int | None, averages: DerivativeAverages
) -> tuple[int | None, int, bool]:
    """Where φ is cut, None if nowhere; the highest degree that has vertices; and whether nobody asked for that."""
    if limit is None:  # a polynomial
        top = 2 * (averages.count - 1)
        if degree is None or degree >= top:
            return None, top, False
        return degree, degree, False
    if degree is None:
        if limit < 2:
            raise NoExpansionError(
                f"expansion='saddle': averages of {activation.name} at variance {averages.variance:.3g} cannot be had"
                f" beyond degree 1; {'' if averages.parts.jumps else 'lower sigma_w, or '}write kappa > 0"
            )
        return limit, limit, True
    if degree > limit and (averages.parts.edges or not _reaches(averages, limit, degree)):
        why = "its kinks or jumps" if averages.parts.edges else "what its Hermite series leaves out"
        raise InputError(
            f"degree={degree}: averages of {activation.name} at variance {averages.variance:.3g} reach to degree"
            f" {limit}, for {why}; write degree={limit}, or leave it out"
        )
    return degree, degree, False


def _reaches(averages: DerivativeAverages, chosen: int, degree: int) -> bool:
    """May more be asked for than what is chosen where nobody asks?"""
    totals = range(chosen + 1, degree + 1)
    return degree <= HIGHEST and all(averages.settled(p, d - p) for d in totals for p in range(d // 2 + 1))


def _rough_remarks(activation: Activation, averages: DerivativeAverages, highest: int | None) -> tuple[str, ...]:
    what = "jumps" if averages.parts.jumps else "has kinks"
    return (
        f"φ = {activation.name} {what}: averages of its derivatives beyond degree {highest} are not integrable one by"
        f" one, and vertices :h^p h^q: with p + q > {highest} are left out; at order 1 none of them matters to"
        f" observables of up to {highest} legs",
    )


def wick_vertices(top: int, memory_of: Callable[[int, int], Memory | None]) -> tuple[Vertex, ...]:
    """𝔚̃ :h^p h^q: for all p + q up to `top`, each with the average that `memory_of` gives; none where it gives None."""
    vertices = []
    for total in range(1, top + 1):
        for p in range(total // 2 + 1):
            q = total - p
            memory = memory_of(p, q) if q <= HIGHEST else None
            if memory is None:
                continue
            vertices.append(
                Vertex(
                    f":{p},{q}:",
                    (Leg("W~", (0, 1)), *(Leg("h", n, "j", power) for n, power in enumerate((p, q)) if power)),
                    HALF if p == q else 1,
                    (("sigma_w", 1),),
                    HALF,
                    HALF,
                    memory=(memory,),
                    subtraction="wick",
                    degree=total,
                )
            )
    return tuple(vertices)


def _at_lags(averages: DerivativeAverages, p: int, q: int, curve: Curve, lag: np.ndarray) -> np.ndarray:
    found = averages.at(p, q, curve.C(lag))
    return np.zeros_like(lag) if found is None else found


def formula_of(p: int, q: int) -> str:
    """How the average of a vertex is printed."""
    below = math.factorial(p) * math.factorial(q)
    return f"⟨φ{_primes(p)} φ{_primes(q)}⟩" + (f"/{below}" if below > 1 else "")


def _primes(n: int) -> str:
    return "'" * n if n <= 3 else f"^({n})"
