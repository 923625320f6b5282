"""A unit of two variables: h, and an adaptation a that follows it and holds it back.

    dh = (−γ h − a + input) dt + noise ,     da = γ_a (β h − a) dt

a is linear and can be integrated out: h then answers an input by a sum of two exponentials, which oscillate together
for 4 γ_a β > (γ − γ_a)². S. P. Muscinelli, W. Gerstner & T. Schwalger, PLoS Comput. Biol. 15, e1007122 (2019).
"""

from __future__ import annotations

import cmath
from dataclasses import dataclass
from itertools import product

import numpy as np

from nnqft import Term

_MERGED = 1e-5
"""Squared gap of the two rates, over the square of their mean, below which they are taken apart."""
_NEAR = 1e-3
"""Gap of an input's rate from one of the unit's, over that or their mean, below which the integral is interpolated."""
_NODES = (-1.5, -0.5, 0.5, 1.5)

Modes = tuple[tuple[complex, complex], ...]
"""(residue, rate) of each exponential of a response Σ residue·e^{−rate·t}."""
Amplitudes = dict[tuple[complex, complex], complex]
"""(rate, early) → amplitude of each term."""


@dataclass(frozen=True)
class Adaptation:
    """Its rate γ_a and its strength β; at rest a = β h."""

    rate: float
    strength: float

    def matrix(self, gamma: float) -> np.ndarray:
        """M of d(h, a)/dt = M (h, a) + …, shape (2, 2)."""
        return np.array([[-gamma, -1.0], [self.rate * self.strength, -self.rate]])

    def gain(self, gamma: float, frequency: np.ndarray) -> np.ndarray:
        """|χ(ω)|² of the response of h."""
        s = 1j * frequency
        return np.abs((s + self.rate) / ((s + gamma) * (s + self.rate) + self.rate * self.strength)) ** 2

    def largest_gain(self, gamma: float) -> float:
        """max_ω |χ(ω)|², from where its derivative in x = ω² vanishes."""
        # |χ|² = (x + p)/(x² + u x + v): the numerator of its derivative is −(x² + 2 p x + p u − v).
        p, m, d = self.rate**2, gamma + self.rate, self.rate * (gamma + self.strength)
        u, v = m**2 - 2 * d, d**2
        inside = p * p - (p * u - v)
        x = max(0.0, -p + np.sqrt(inside)) if inside > 0 else 0.0
        return float((x + p) / (x * x + u * x + v))


def unit_modes(gamma: float, adaptation: Adaptation) -> list[tuple[float, Modes]]:
    """The response of h as weights of responses, each of two exponentials.

    One with weight 1 unless its rates merge. Then t e^{−rate·t} takes the place of two exponentials, and the response,
    which is smooth in the squared gap of its rates, is interpolated between two gaps: good to about 1e-10.
    """
    mean = (gamma + adaptation.rate) / 2
    square = ((gamma - adaptation.rate) / 2) ** 2 - adaptation.rate * adaptation.strength
    gap = _MERGED * mean**2
    if abs(square) >= gap:
        return [(1.0, _two(mean, square, adaptation.rate))]
    share = (square / gap + 1) / 2
    return [(share, _two(mean, gap, adaptation.rate)), (1 - share, _two(mean, -gap, adaptation.rate))]


def _two(mean: float, square: float, rate: float) -> Modes:
    root = cmath.sqrt(square) if square < 0 else square**0.5
    one, two = mean + root, mean - root
    return ((one - rate) / (one - two), one), ((two - rate) / (two - one), two)


def response_amplitudes(gamma: float, adaptation: Adaptation) -> Amplitudes:
    """The response of h to an input."""
    total: Amplitudes = {}
    for share, modes in unit_modes(gamma, adaptation):
        for residue, rate in modes:
            _add(total, rate, 0.0, share * residue)
    return total


def correlator_amplitudes(
    gamma: float, adaptation: Adaptation, kappa: float, sources: list[tuple[float, float]], rest: bool
) -> Amplitudes:
    """⟨h(t) h(s)⟩ of white noise κ and sources Σ weight·e^{−rate·|u−v|}, stationary or from h = a = 0."""
    total: Amplitudes = {}
    for share, modes in unit_modes(gamma, adaptation):
        for (r, a), (q, b) in product(modes, repeat=2):
            amplitude = share * r * q
            _add(total, a, 0.0, amplitude * kappa / (a + b))
            _add(total, a, a + b, -amplitude * kappa / (a + b))
            for rate, weight in sources:
                for part, node in _apart(rate, modes):
                    _driven(total, a, b, node, amplitude * weight * part)
    return {key: value for key, value in total.items() if rest or not key[1]}


def _apart(rate: float, modes: Modes) -> list[tuple[float, float]]:
    """The rate of an input, or rates around one of the unit's that it falls on, with Lagrange's weights."""
    mean = sum(abs(mode) for _, mode in modes) / 2
    for _, mode in modes:
        # Around the mode itself, which may be far below the mean: no node is to be negative.
        near = _NEAR * min(mean, abs(mode))
        offset = (rate - mode) / near
        if not isinstance(mode, complex) and abs(offset) < _NODES[-1]:
            parts = []
            for node in _NODES:
                share = 1.0
                for other in _NODES:
                    share *= (offset - other) / (node - other) if other != node else 1.0
                parts.append((share, mode + node * near))
            return parts
    return [(1.0, rate)]


def _driven(total: Amplitudes, a: complex, b: complex, rate: float, weight: complex) -> None:
    """weight × ∫_0^t ∫_0^s e^{−a(t−u)} e^{−b(s−v)} e^{−rate·|u−v|} du dv for t ≥ s, as terms of t − s and s."""
    # What came before s, seen from both; and what came between s and t, seen from s through the source.
    _add(total, a, 0.0, weight * (1 / (rate + a) + 1 / (rate + b)) / (a + b))
    for one, two in ((a, b), (b, a)):
        # ∫_0^s e^{−(a+b)x} (1 − e^{−(one+rate)(s−x)})/(one+rate) dx without its constant
        _add(total, a, one + rate, -weight / ((one + rate) * (two - rate)))
        _add(total, a, a + b, weight / (one + rate) * (1 / (two - rate) - 1 / (a + b)))
    across = weight / ((b + rate) * (a - rate))
    _add(total, rate, 0.0, across)
    _add(total, a, 0.0, -across)
    _add(total, rate, b + rate, -across)
    _add(total, a, b + rate, across)


def real_terms(amplitudes: Amplitudes) -> tuple[Term, ...]:
    """The terms, of each conjugate pair one with twice the amplitude, since its real part is meant."""
    terms = []
    for (rate, early), amplitude in amplitudes.items():
        turns = (complex(rate).imag, complex(early).imag)
        if turns == (0.0, 0.0):
            size, decay, first = (complex(number).real for number in (amplitude, rate, early))
            terms += [Term(size, decay, first)] if size else []
        elif turns > (0.0, 0.0):
            terms.append(Term(2 * amplitude, rate, early))
    return tuple(terms) or (Term(0.0, 0.0),)


def _add(total: Amplitudes, rate: complex, early: complex, amplitude: complex) -> None:
    total[rate, early] = total.get((rate, early), 0.0) + amplitude
