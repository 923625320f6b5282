"""What two noise histories on one network share about the saddle: their correlator, and averages over both.

    (∂_t + γ)(∂_s + γ) C^ab(t,s) = σ_b² + σ_u² q + σ_w² ⟨φ(h^a(t)) φ(h^b(s))⟩

has no κ: noise is each history's own. In a stationary state nothing in it depends on times, and its solution is the
plateau C(τ → ∞) of one history. Vertices that join two histories hold averages over both, at that covariance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from nnqft import Activation, InputError, Memory, Propagator, Shared, Term, Vertex
from nnqft_plugins.models.network.derivatives import DerivativeAverages
from nnqft_plugins.models.network.lines import correlator_terms, slow_sources
from nnqft_plugins.models.network.rest_averages import RestGrid
from nnqft_plugins.models.network.tabulated import Average, line_of_square, rest_square
from nnqft_plugins.models.network.wick_ordered import formula_of, rest_chaos, wick_vertices

_NEGLIGIBLE = 1e-12
"""Of a covariance, relative to the variance: rounding of what is none."""
_VANISHING = 1e-13


def stationary_shared(
    values: Mapping[str, Any],
    line: Propagator,
    vertices: tuple[Vertex, ...],
    activation: Activation | None = None,
    top: int = 0,
) -> Callable[[], Shared]:
    """About a stationary saddle with this line, to be made when it is needed.

    Parameters
    ----------
    vertices
        Of one history; joined ones look alike, but where averages of the activation itself, up to degree `top`, are
        in them.
    """
    return partial(_stationary, dict(values), line, vertices, activation, top)


def _stationary(
    values: Mapping[str, Any],
    line: Propagator,
    vertices: tuple[Vertex, ...],
    activation: Activation | None,
    top: int,
) -> Shared:
    if any(rate and weight for rate, weight in slow_sources(values)):
        raise InputError(
            "replicas about the saddle need an input that stays: of one that changes what histories share is not known;"
            " write a number for q, or expansion='bare'"
        )
    variance, plateau = float(line(0.0, 0.0)), float(line(1e9 / values["gamma"], 0.0))
    if abs(plateau) <= _NEGLIGIBLE * variance:
        plateau = 0.0
    lines = (Propagator("C", "h", "h", "C_MF(τ → ∞)", (Term(plateau, 0.0),)),) if plateau else ()
    if activation is None:
        return Shared(lines, vertices)
    averages = DerivativeAverages(activation, variance)

    def memory(p: int, q: int) -> Memory | None:
        value = average_at(averages, p, q, plateau)
        return Memory(0, 1, (Term(value, 0.0),), formula=formula_of(p, q)) if value else None

    return Shared(lines, (vertices[0], *wick_vertices(top, memory)))


def average_at(averages: DerivativeAverages, p: int, q: int, covariance: float) -> float:
    """⟨φ^(p) φ^(q)⟩/(p! q!) at one covariance; 0 where it vanishes but for rounding."""
    found = averages.at(p, q, np.array([covariance]))
    return 0.0 if found is None or abs(found[0]) < _VANISHING else float(found[0])


def rest_shared(
    values: Mapping[str, Any],
    average: Average,
    line: Propagator,
    horizon: float,
    vertices: tuple[Vertex, ...],
    chaos: tuple[Activation, RestGrid, int | None] | None = None,
) -> Callable[[], Shared]:
    """About the saddle from rest, to be made when it is needed.

    Parameters
    ----------
    average
        ⟨φφ⟩ at a covariance and two variances, which are those of `line`.
    chaos
        The activation, its averages over one history, and their degree, where vertices hold such averages.
    """
    return partial(_from_rest, dict(values), average, line, horizon, vertices, chaos)


def _from_rest(
    values: Mapping[str, Any],
    average: Average,
    line: Propagator,
    horizon: float,
    vertices: tuple[Vertex, ...],
    chaos: tuple[Activation, RestGrid, int | None] | None,
) -> Shared:
    if chaos is not None and chaos[0].kinks:
        raise InputError("replicas from rest need averages without kinks or jumps; write start='stationary'")
    terms = correlator_terms("rest", {**values, "kappa": 0.0})
    beyond = 0.0 if chaos is None else chaos[1].latest - horizon
    step, square = rest_square(average, terms, values["gamma"], values["sigma_w"] ** 2, horizon, beyond, line)
    between = line_of_square(step, square, terms, horizon)
    silent = not square.any() and not any(term.amplitude for term in terms)
    lines = () if silent else (replace(between, formula="C^ab(t,s), tabulated"),)
    if chaos is None:
        return Shared(lines, vertices)
    activation, grid, degree = chaos
    joined = rest_chaos(activation, degree, replace(grid, between=between), values["kappa"] > 0)
    return Shared(lines, (vertices[0], *(vertex for vertex in joined.vertices if _matters(vertex, horizon))))


def _matters(vertex: Vertex, horizon: float) -> bool:
    """Is its factor more than rounding somewhere?"""
    t, s = np.meshgrid(*2 * [np.linspace(0.1, 0.9, 9) * horizon])
    return any(np.abs(_value(each, t, s)).max() > _VANISHING for each in vertex.memory)


def _value(memory: Memory, t: np.ndarray, s: np.ndarray) -> np.ndarray:
    assert memory.kernel is not None  # from rest all of them are tables
    return np.asarray(memory.kernel(t, s, dict(memory.params), np))


def pairs_of(degree: int) -> Sequence[tuple[int, int]]:
    """All (p, q) with p ≤ q and 0 < p + q ≤ degree."""
    return [(p, total - p) for total in range(1, degree + 1) for p in range(total // 2 + 1)]
