"""Several populations about their mean-field theory: a correlator of its own for each, and averages over each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from nnqft import Activation, Field, Propagator, Vertex
from nnqft_plugins.models.network.lines import DELTA_LINE, response_line
from nnqft_plugins.models.network.saddle import curve_line, stationary_network
from nnqft_plugins.models.network.structured import (
    Rules,
    block_vertices,
    chaos_powers,
    mean_vertices,
    population_fields,
    population_lines,
    population_vertices,
)
from nnqft_plugins.models.network.wick_ordered import Chaos, NoExpansionError, stationary_chaos
from nnqft_plugins.networks.meanfield.populations import solve_populations
from nnqft_plugins.networks.weights import Weights

_ACCURACY = 1e-10
"""Of the correlators, relative to the largest."""


def population_rules(
    values: Mapping[str, Any],
    fields: tuple[Field, ...],
    vertex: Vertex,
    weights: Weights,
    theta0: float,
    activation: Activation,
    degree: int | None,
) -> tuple[Rules, Chaos, float]:
    """The rules about the stationary saddle of several populations, where they are cut, and σ_w² ⟨φ'²⟩ of them all.

    Parameters
    ----------
    fields, vertex
        Those of one population, and its 𝔚 z̃ z̃.

    Raises
    ------
    NoExpansionError
        If η is not 0.
    InputError
        If there is no stationary solution.
    """
    if weights.eta:
        raise NoExpansionError("fractions with eta: populations are expanded about 𝔚 = 0 alone; write expansion='bare'")
    gamma, cusp = values["gamma"], values["kappa"] > 0
    curves = solve_populations(replace(stationary_network(values, activation), weights=weights), _ACCURACY)
    parts = [stationary_chaos(activation, degree, curve, gamma, cusp) for curve in curves]
    known = [part.degree for part in parts if part.degree is not None]
    if len(set(known)) > 1:  # φ is cut at one place for all
        parts = [stationary_chaos(activation, min(known), curve, gamma, cusp) for curve in curves]
        parts = [replace(part, chosen=True) for part in parts]
    sharp = any(part.sharp for part in parts)
    lines: list[Propagator] = []
    vertices = population_vertices((vertex,), weights)
    for a, (curve, part) in enumerate(zip(curves, parts, strict=True)):
        own = curve_line(values, curve), response_line(gamma, theta0, sharp), DELTA_LINE
        lines += population_lines(own, weights, a)
        vertices = (*vertices, *block_vertices(part.vertices, weights, a))
    powers = [
        chaos_powers(activation, curve.variance, part)[1] or {} for curve, part in zip(curves, parts, strict=True)
    ]
    means = [replace(each, subtraction="wick") for each in mean_vertices(powers, weights, bool(known))]
    rules = population_fields(fields, weights), tuple(lines), (*vertices, *means)
    return rules, parts[weights.observed], _gain(values, weights, parts)


def _gain(values: Mapping[str, Any], weights: Weights, parts: list[Chaos]) -> float:
    """σ_w² times the largest eigenvalue of f_b g_ab² ⟨φ'²⟩_b."""
    slopes = np.array([part.slope for part in parts])
    if not values["sigma_w"]:
        return 0.0
    if not np.isfinite(slopes).all():
        return math.inf
    return float(values["sigma_w"] ** 2 * np.abs(np.linalg.eigvals(weights.feeds * slopes)).max())
