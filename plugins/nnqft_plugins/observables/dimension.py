"""In how many directions the activity of one network fluctuates: the participation ratio of its covariances."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np

from nnqft import AbstractDerivedObservable, Need, Theory, diagrams
from nnqft_plugins.observables.laguerre import laguerre, quadrature_error
from nnqft_plugins.observables.plateau import check_stationary, slowest_rate

NODES = 6
"""Of the Gauss–Laguerre rule over each of two lags: exact for every order of a linear network up to n = 11."""
_ROUNDING = 1e-9

Pairs = list[tuple[float, float]]


class Dimension(AbstractDerivedObservable):
    """D/N = 1/(1 + ψ/C²) as N → ∞, where D = (tr Σ)²/tr Σ² and Σ is what noise makes of the covariances of a network.

    Of one network Σ_ij(τ) = ⟨h_i(τ) h_j(0)⟩ − ⟨h_i⟩⟨h_j⟩ over its noise, C = Σ_ii and ψ = N E Σ_ij², i ≠ j, over
    networks. Four noise histories a, b, c, d on one network make a square of averages the average

        E Σ_ij(τ) Σ_ij(τ') = ⟨h_i^a h_j^a h_i^c h_j^c⟩ − ⟨h_i^a h_j^b h_i^c h_j^c⟩
                           − ⟨h_i^a h_j^a h_i^c h_j^d⟩ + ⟨h_i^a h_j^b h_i^c h_j^d⟩

    with i at τ (of a) and τ' (of c), j at 0; only the first does not vanish where nothing static is heard. At equal
    times τ = τ' = 0; at frequency 0 both are integrated over, ψ as well as C.
    """

    name = "dimension"
    summary = "D/N = (tr Σ)²/(N tr Σ²) of the covariances Σ of one network, N → ∞: equal_time, zero_frequency"
    arity = 0

    def needs(self, theory: Theory, times: np.ndarray | None) -> Mapping[str, Need]:
        """C of one history and of two at N → ∞, and cumulants of two units over two, three and four, at order 1/N."""
        check_stationary(theory, self.name)
        lags = (laguerre(NODES)[0] / slowest_rate(theory)).tolist() if _stays(theory) else []
        own: Pairs = [(0.0, 0.0), *((lag, 0.0) for lag in lags)]
        needs, shared = {}, _something_is_shared(theory)
        if theory.N > 1:
            rows = {"aabb": [(0.0, 0.0), *_both(lags)]}
            if shared:
                # The lag of legs that are alone in their histories means nothing.
                rows |= {"abcc": [(0.0, 0.0), *((0.0, lag) for lag in _signed(lags))], "abcd": [(0.0, 0.0)]}
            for pattern, pairs in rows.items():
                legs = tuple((one, 0.0, two, 0.0) for one, two in pairs)
                needs[pattern] = Need("cumulant", legs, "ijij", pattern, 1)
        needs["own"] = Need("two_point", tuple(own), width_order=0)
        if shared:
            needs["static"] = Need("two_point", ((0.0, 0.0),), replicas="ab", width_order=0)
        return needs

    def needs_resummed(self, theory: Theory, times: np.ndarray | None) -> Mapping[str, Need]:
        """Its own sum, a number at N → ∞: part 0 is that at equal times, part 1 at frequency 0."""
        check_stationary(theory, self.name)
        layered = theory.interactions and all(vertex.points == 1 for vertex in theory.interactions)
        return {"whole": Need(self.name, ((0.0,),) if layered else ((0.0,), (1.0,)), width_order=0)}

    def derive(self, theory: Theory, times: np.ndarray | None, values: Mapping[str, np.ndarray]) -> Mapping[str, Any]:
        """``equal_time`` and ``zero_frequency``; the first alone where what histories share changes in time."""
        if "whole" in values:
            return dict(zip(("equal_time", "zero_frequency"), values["whole"], strict=False))
        stays = _stays(theory)
        if theory.N == 1:  # one unit fluctuates in one direction
            return dict.fromkeys(("equal_time", "zero_frequency")[: 1 + stays], 1.0)
        own, psi = _own(values), _at_equal_times(theory, values)
        if not stays:
            return {"equal_time": _share(psi, own[0])}
        rate, weights, grid = slowest_rate(theory), laguerre(NODES)[1], _scatter(theory, values)
        area = 2 * np.sum(weights * own[1:]) / rate
        both = np.sum(np.multiply.outer(weights, weights) * grid) / rate**2
        return {"equal_time": _share(psi, own[0]), "zero_frequency": _share(both, area)}

    def method_error(
        self, theory: Theory, times: np.ndarray | None, values: Mapping[str, np.ndarray]
    ) -> Mapping[str, float]:
        """Of ``zero_frequency`` what the quadrature leaves out of ψ and C."""
        if "whole" in values or theory.N == 1 or not _stays(theory):
            return {}
        own, rate, weights = _own(values), slowest_rate(theory), laguerre(NODES)[1]
        grid = _scatter(theory, values)
        area, both = 2 * weights @ own[1:] / rate, weights @ grid @ weights / rate**2
        missed = 2 * _missed(grid @ weights) / rate**2 if grid.any() else 0.0
        size = (missed + abs(4 * both / area) * _missed(own[1:]) / rate) / area**2
        return {"zero_frequency": 0.0 if size < _ROUNDING else size}


def _missed(values: np.ndarray) -> float:
    """What the rule may miss; where values scatter that makes no sense, and its last term says more."""
    return float(np.fmin(quadrature_error(values), abs(laguerre(NODES)[1][-1] * values[-1])))


def _something_is_shared(theory: Theory) -> bool:
    """Do two histories have anything in common at N → ∞? If so, at order 0 or 1 in the weights already."""
    return len(diagrams(theory, "two_point", order=1, width_order=0, replicas="ab")) > 0


def _stays(theory: Theory) -> bool:
    """Does all that histories share stay as it is, so that each has a time of its own, and one network a spectrum?

    Not so in layers, which are new at each depth, nor under an input that changes.
    """
    shared = theory.what_is_shared()
    lags = np.array([0.1, 1.0, 10.0]) / slowest_rate(theory)
    lines = all(np.allclose(line(lags, 0.0 * lags), line(0.0, 0.0), rtol=1e-9, atol=0.0) for line in shared.lines)
    at_once = any(len({leg.replica for leg in vertex.legs}) > vertex.points for vertex in shared.vertices)
    memories = [memory for vertex in shared.vertices for memory in vertex.memory]
    fades = any(memory.kernel is not None or any(term.rate for term in memory.terms) for memory in memories)
    return lines and not at_once and not fades


def _own(values: Mapping[str, np.ndarray]) -> np.ndarray:
    """C of a unit over its noise at lag 0 and at the nodes."""
    return np.asarray(values["own"] - values["static"][0] if "static" in values else values["own"])


def _share(psi: Any, size: Any) -> Any:
    return 1 / (1 + psi / size**2) if size != 0 else np.nan


def _signed(lags: list[float]) -> list[float]:
    return [sign * lag for sign, lag in product((1.0, -1.0), lags)]


def _both(lags: list[float]) -> Pairs:
    """Pairs (τ, τ') of which the others are mirrors: histories may be exchanged, and units, which turns both lags."""
    return [(one, sign * two) for sign in (1.0, -1.0) for n, one in enumerate(lags) for two in lags[n:]]


def _at_equal_times(theory: Theory, values: Mapping[str, np.ndarray]) -> Any:
    """N E Σ_ij²."""
    square = values["aabb"][0]
    return theory.N * (square - 2 * values["abcc"][0] + values["abcd"][0] if "abcc" in values else square)


def _scatter(theory: Theory, values: Mapping[str, np.ndarray]) -> np.ndarray:
    """N E Σ_ij(±τ) Σ_ij(±τ') at lags τ, τ' ≥ 0, all signs added up, (NODES, NODES)."""
    count, N = NODES, theory.N
    none = np.zeros(1 + 2 * count)
    aabb, abcc, abcd = values["aabb"], values.get("abcc", none), values.get("abcd", none)[0]
    half = count * (count + 1) // 2
    pair = {}
    upper = [(one, two) for one in range(count) for two in range(one, count)]
    for place, (n, m) in enumerate(upper):
        pair[n, m] = pair[m, n] = aabb[1 + place] + aabb[1 + half + place]
    single = abcc[1 : 1 + count] + abcc[1 + count :]
    grid = [
        [N * (2 * pair[n, m] - 2 * single[n] - 2 * single[m] + 4 * abcd) for m in range(count)] for n in range(count)
    ]
    return np.array(grid)
