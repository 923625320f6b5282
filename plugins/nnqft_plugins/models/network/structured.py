"""Fields, lines and vertices of networks with structured weights: what their average over W adds to −S.

    partial symmetry    (η σ_w²/2N) g_ab g_ba ∬ Σ_ij z̃_i(t1) φ(h_j(t1)) z̃_j(t2) φ(h_i(t2)) ,    i in a, j in b
    populations         (σ_w²/2N) g_ab² ∬ Σ_i z̃_i(t1) z̃_i(t2) Σ_j φ(h_j(t1)) φ(h_j(t2))
    their means         (J_ab/N) ∫ Σ_ij z̃_i φ(h_j)
    low rank            (1/N) ∫ Σ_ij z̃_i m_i n_j φ(h_j), where m and n are fields that never change

Each population has fields of its own, which f_b N units carry; that of the observable's legs are h and z̃.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from nnqft import Activation, Field, InputError, Leg, Propagator, Term, Vertex
from nnqft_plugins.models.network.derivatives import DerivativeAverages
from nnqft_plugins.models.network.wick_ordered import Chaos, NoExpansionError
from nnqft_plugins.networks.weights import Weights

HALF = Fraction(1, 2)
NEGLIGIBLE = 1e-12
Powers = Mapping[tuple[int, int], Fraction | float]
"""φ(h1) φ(h2) as Σ h1^p h2^q over p ≤ q, a pair with p < q for both."""


def exchange_vertices(phi_phi: Powers, weights: Weights, cut: bool = False, wick: bool = False) -> tuple[Vertex, ...]:
    """z̃_i(t1) h_j(t1)^p z̃_j(t2) h_i(t2)^q: what W_ij and W_ji have in common.

    Between two populations p and q are not exchanged by symmetry, and both orders are written.
    """
    found = []
    count = len(weights.fractions)
    for a in range(count):
        for b in range(a, count):
            strength = weights.eta * weights.gains[a][b] * weights.gains[b][a]
            for (p, q), coefficient in phi_phi.items():
                for one, two in [(p, q)] if a == b or p == q else [(p, q), (q, p)]:
                    if not strength * coefficient:
                        continue
                    twice = a != b or p != q
                    found.append(
                        _exchange(weights, (a, b), (one, two), strength * coefficient * (1 if twice else HALF))
                    )
    degree = {v.name: max((leg.power for leg in v.legs if leg.field.startswith("h")), default=0) for v in found}
    total = {v.name: sum(leg.power for leg in v.legs if leg.field.startswith("h")) for v in found}
    return tuple(
        replace(
            v, degree=total[v.name] if wick else degree[v.name] if cut else 0, subtraction="wick" if wick else "none"
        )
        for v in found
    )


def _exchange(weights: Weights, blocks: tuple[int, int], powers: tuple[int, int], coefficient: Any) -> Vertex:
    (a, b), (p, q) = blocks, powers
    where = f" {a + 1}↔{b + 1}" if weights.several else ""
    legs = [Leg(named("z", weights, a), 0, "i"), Leg(named("z", weights, b), 1, "j")]
    legs += [Leg(named("h", weights, b), 0, "j", p)] if p else []
    legs += [Leg(named("h", weights, a), 1, "i", q)] if q else []
    return Vertex(f"η({p},{q}){where}", tuple(legs), float(coefficient), (("sigma_w", 2),), 1)


def named(field: str, weights: Weights, population: int) -> str:
    """The field of a population: as it is for the one that is looked at, else with its number."""
    if population == weights.observed:
        return field
    return f"{field[:-1]}{population + 1}~" if field.endswith("~") else f"{field}{population + 1}"


def population_fields(fields: tuple[Field, ...], weights: Weights) -> tuple[Field, ...]:
    """The fields of a network for each of its populations."""
    if not weights.several:
        return fields
    everyone = []
    for a, share in enumerate(weights.fractions):
        for field in fields:
            number = "" if a == weights.observed else str(a + 1)
            meaning = f"{field.meaning}, population {a + 1}" + ("" if field.bilocal else f" of {share:g} N")
            everyone.append(
                replace(
                    field,
                    name=named(field.name, weights, a),
                    symbol=field.symbol.replace("h", f"h{number}")
                    .replace("z̃", f"z̃{number}")
                    .replace("𝔚", f"𝔚{number}"),
                    meaning=meaning,
                    share=1.0 if field.bilocal else share,
                )
            )
    return tuple(everyone)


def population_lines(lines: tuple[Propagator, ...], weights: Weights, population: int) -> tuple[Propagator, ...]:
    """The lines of one population."""
    number = "" if population == weights.observed else str(population + 1)
    return tuple(
        replace(
            line,
            name=f"{line.name}{number}",
            left=named(line.left, weights, population),
            right=named(line.right, weights, population),
        )
        for line in lines
    )


def population_vertices(vertices: tuple[Vertex, ...], weights: Weights) -> tuple[Vertex, ...]:
    """𝔚 z̃ z̃ of each population, and 𝔚̃ φφ for each block; `vertices` are those of one population."""
    if not weights.several:
        return vertices
    found = []
    count = len(weights.fractions)
    for vertex in vertices:
        fields = {leg.field for leg in vertex.legs}
        for a in range(count):
            if "z" in fields:
                # With 𝔚 z̃ z̃, or φ(0)², of which all populations have their share.
                strength = 1.0 if "W" in fields else float(weights.feeds[a].sum())
                found.append(_moved(vertex, weights, a, a, strength, f"{vertex.name} {a + 1}"))
        if "z" not in fields:
            found += [each for b in range(count) for each in block_vertices((vertex,), weights, b)]
    return tuple(found)


def block_vertices(vertices: tuple[Vertex, ...], weights: Weights, b: int) -> tuple[Vertex, ...]:
    """𝔚̃ φφ of population b, for all that hear it."""
    return tuple(
        _moved(vertex, weights, a, b, row[b] ** 2, f"{vertex.name} {a + 1}←{b + 1}")
        for vertex in vertices
        for a, row in enumerate(weights.gains)
        if row[b]
    )


def _moved(vertex: Vertex, weights: Weights, a: int, b: int, strength: float, name: str) -> Vertex:
    legs = tuple(replace(leg, field=named(leg.field, weights, b if leg.field == "h" else a)) for leg in vertex.legs)
    coefficient = vertex.coefficient if strength == 1.0 else float(vertex.coefficient) * strength
    return replace(vertex, name=name, legs=legs, coefficient=coefficient)


def mean_vertices(
    phis: Sequence[Mapping[int, Fraction | float]], weights: Weights, cut: bool = False
) -> tuple[Vertex, ...]:
    """(J_ab/N) z̃_i φ(h_j), a vertex for each power of φ, which may be other ones in each population."""
    found = []
    for a, row in enumerate(weights.means):
        for b, mean in enumerate(row):
            for p, c in phis[b].items() if mean else ():
                z = Leg(named("z", weights, a), 0, "i")
                if p:
                    legs: tuple[Leg, ...] = (z, Leg(named("h", weights, b), 0, "j", p))
                else:  # the sum over j cancels the 1/N
                    legs, c = (z,), c * weights.fractions[b]
                name = f"J({p}) {a + 1}←{b + 1}"
                found.append(Vertex(name, legs, float(mean * c), width=1 if p else 0, degree=p if cut else 0))
    return tuple(found)


def low_rank_rules(
    phi: Mapping[int, Fraction | float], weights: Weights, cut: bool = False
) -> tuple[tuple[Field, ...], tuple[Propagator, ...], tuple[Vertex, ...]]:
    """Fields, lines and vertices of m_i n_j/N: m and n are static, so their lines are constants."""
    fields: list[Field] = []
    lines: list[Propagator] = []
    vertices: list[Vertex] = []
    for r, (of_m, of_n, overlap) in enumerate(weights.low_rank, start=1):
        number = "" if len(weights.low_rank) == 1 else str(r)
        m, n = f"m{number}", f"n{number}"
        fields += [Field(m, f"{m}_i", "left vector, static"), Field(n, f"{n}_i", "right vector, static")]
        lines.append(Propagator(f"M{number}", m, m, f"{of_m:g}", (Term(of_m, 0.0),)))
        lines.append(Propagator(f"V{number}", n, n, f"{of_n:g}", (Term(of_n, 0.0),)))
        if overlap:
            lines.append(Propagator(f"O{number}", m, n, f"{overlap:g}", (Term(overlap, 0.0),)))
        for p, c in phi.items():
            legs = [Leg("z", 0, "i"), Leg(m, 0, "i"), Leg(n, 0, "j")]
            legs += [Leg("h", 0, "j", p)] if p else []
            vertices.append(Vertex(f"{m}{n}({p})", tuple(legs), c, width=1, degree=p if cut else 0))
    return tuple(fields), tuple(lines), tuple(vertices)


Rules = tuple[tuple[Field, ...], tuple[Propagator, ...], tuple[Vertex, ...]]
"""Fields, lines and vertices."""


def with_structure(
    weights: Weights | None,
    rules: Rules,
    phi_phi: Powers,
    phi: Mapping[int, Fraction | float] | None,
    cut: bool = False,
    wick: bool = False,
) -> Rules:
    """The rules of a network of independent, equal weights, with what its structure adds.

    Parameters
    ----------
    phi_phi, phi
        φφ and φ in powers of h, Wick-ordered ones if `wick`; phi is None for a model that has φφ alone.
    cut
        Whether there are higher powers.

    Raises
    ------
    InputError
        If the structure needs a φ that there is not.
    """
    if weights is None:
        return rules
    fields, lines, vertices = rules
    if weights.several:
        one, count = lines, len(weights.fractions)
        lines = tuple(line for a in range(count) for line in population_lines(one, weights, a))
        fields, vertices = population_fields(fields, weights), population_vertices(vertices, weights)
    alone = bool(weights.low_rank) or bool(np.any(weights.means))
    if alone and phi is None:
        name = "low_rank" if weights.low_rank else "means"
        raise InputError(f"{name} needs φ itself, and this model has φφ alone; write model 'cubic_tanh' or 'taylor'")
    if weights.eta:
        vertices = (*vertices, *exchange_vertices(phi_phi, weights, cut, wick))
    vertices = (*vertices, *_ordered(mean_vertices([phi or {}] * len(weights.fractions), weights, cut), wick))
    if weights.low_rank:
        extra = low_rank_rules(phi or {}, weights, cut)
        fields, lines = (*fields, *extra[0]), (*lines, *extra[1])
        vertices = (*vertices, *_ordered(extra[2], wick))
    return fields, lines, vertices


def _ordered(vertices: tuple[Vertex, ...], wick: bool) -> tuple[Vertex, ...]:
    return tuple(replace(v, subtraction="wick") for v in vertices) if wick else vertices


STRUCTURE_REMARK = (
    "mean-field lines of independent weights: what structure adds, as vertices, has diagrams of width order 0, too;"
    " order n counts vertices, at fixed lines"
)

Expanded = tuple[Powers, Mapping[int, Fraction | float] | None, bool]
"""φφ and φ in powers, and whether there are higher ones."""


def one_population(weights: Weights | None) -> Weights | None:
    """The structure, if an expansion about mean-field theory knows it.

    Raises
    ------
    NoExpansionError
        If there are several populations.
    """
    if weights is not None and weights.several:
        raise NoExpansionError("fractions: populations are expanded about 𝔚 = 0 alone; write expansion='bare'")
    return weights


def powers_of(phi_phi: Powers, activation: Activation | None) -> Mapping[int, Fraction | float] | None:
    """φ in powers of h; None of a model that has φφ alone."""
    if activation is not None and activation.coefficients is not None:
        return {p: c for p, c in enumerate(activation.coefficients) if c}
    return {1: 1} if set(phi_phi) == {(1, 1)} and phi_phi[1, 1] == 1 else None


def chaos_powers(activation: Activation, variance: float, chaos: Chaos) -> Expanded:
    """φφ and φ in the Wick-ordered powers that the vertices of a saddle go up to."""
    top = max((vertex.degree for vertex in chaos.vertices), default=0)
    phi = _wick_powers(activation, variance, top)
    pairs = {(p, q): phi[p] * phi[q] for p in phi for q in phi if p <= q and p + q <= top}
    return pairs, phi, chaos.degree is not None


def _wick_powers(activation: Activation, variance: float, most: int) -> dict[int, float]:
    """⟨φ^(p)⟩/p! for p up to `most`: φ in Wick-ordered powers of an h of that variance."""
    averages = DerivativeAverages(activation, variance)
    a = (averages.smooth + averages.rough)[: most + 1]
    size = float(np.abs(a).max(initial=0.0))
    scaled = {p: float(a[p]) for p in range(len(a)) if abs(a[p]) > NEGLIGIBLE * size}
    return {p: value * variance ** (-p / 2) / math.sqrt(math.factorial(p)) for p, value in scaled.items()}


def bare_remarks(start: str, values: Mapping[str, Any], gain: float, weights: Weights | None) -> tuple[str, ...]:
    """That the series in σ_w² diverges, where it does; `gain` is φ'(0)²."""
    reach = 1.0 if weights is None else weights.reach
    coupling, limit = values["sigma_w"] ** 2 * gain * reach, values["gamma"] ** 2
    if coupling < limit:
        return ()
    name = "σ_w²" if gain == 1 else "σ_w² φ'(0)²"
    if reach != 1.0:
        name += f" × {reach:g}, of the structure of W,"
    where = "" if start == "stationary" else " as t → ∞"
    return (
        f"{name} = {coupling:g} ≥ γ² = {limit:g}: the series in σ_w² diverges{where};"
        " each order is computed, their sum means nothing by itself",
    )
