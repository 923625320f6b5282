"""Truncated series whose sums are known without diagrams: what `Result.truncation` is measured on.

Each case has the terms of a series up to an order and a width order, and the number that the whole of it stands for:
a closed form, an integral over a density, a spectrum, or a sum to so high an order that its own error does not matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import product

import numpy as np
import oracles
from scipy.integrate import quad
from sites import RATES, Sites
from theories import bare_theory

import nnqft

Parts = dict[tuple[int, int], np.ndarray]
TAU = [0.0, 0.5, 1.5, 3.0]
PAIRS = [(tau, 0.0) for tau in TAU]


@dataclass(frozen=True, eq=False)
class Case:
    """The terms (order, width) → (M,) of a series up to `order` and `width_order`, and the (M,) truth.

    `legs` and `odd` are those of its vertices; N is None for a theory without index.
    `doubt` is how well the truth is known; times at which the series errs less than ten times that say nothing.
    """

    family: str
    name: str
    parts: Parts
    order: int
    width_order: int | None
    N: int | None
    truth: np.ndarray
    doubt: np.ndarray
    legs: int
    odd: bool


def _case(
    family: str, name: str, parts: Parts, order: int, width_order: int | None, N: int | None, truth: object,
    doubt: object = 0.0, legs: int = 4, odd: bool = False,
) -> Case:  # fmt: skip
    kept = {(n, k): x for (n, k), x in parts.items() if n <= order and (width_order is None or k <= width_order)}
    truth = np.atleast_1d(np.asarray(truth, float))
    doubt = np.broadcast_to(np.asarray(doubt, float), truth.shape)
    return Case(family, name, kept, order, width_order, N, truth, doubt, legs, odd)


def _at(table: np.ndarray, g: float, N: int) -> Parts:
    """Terms at coupling g and width N from coefficients [n, k, m]; only those that have diagrams, k ≤ n."""
    sizes = range(table.shape[0])
    return {
        (n, k): table[n, k] * g**n / float(N) ** k for n, k in product(sizes, range(table.shape[1]))
        if k <= n and table[n, k].any()
    }  # fmt: skip


def _best_sum(terms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Σ of terms [n, m] up to the smallest, and the size of that one."""
    sizes = np.abs(terms)
    last = np.argmin(np.where(sizes > 0, sizes, np.inf), axis=0)
    total = np.array([terms[: last[m] + 1, m].sum() for m in range(terms.shape[1])])
    return total, sizes[last, np.arange(terms.shape[1])]


# The linear network: closed forms to 1/N², and the rest of the widths order by order.


@cache
def _linear_table(start: str) -> np.ndarray:
    times = PAIRS if start == "stationary" else [(t, t) for t in (0.5, 1.0, 2.0, 4.0)]
    return oracles.linear_two_point(times, order=6, gamma=1.0, kappa=1.0, start=start)


def linear() -> Iterator[Case]:
    for start, g, N in product(("stationary", "rest"), (0.1, 0.25, 0.5, 0.7), (10, 50, 200)):
        if (N == 10 and g > 0.25) or (N == 50 and g > 0.5):
            continue
        table = _linear_table(start)
        times = PAIRS if start == "stationary" else [(t, t) for t in (0.5, 1.0, 2.0, 4.0)]
        theory = nnqft.theory("linear", start=start, sigma_w=np.sqrt(g), N=N)
        closed = nnqft.compute(theory, "two_point", order="resummed", width_order=2, times=times)
        powers = g ** np.arange(7)[:, None, None] / float(N) ** np.arange(7)[None, :, None]
        wide = (table * powers)[:, 3:].sum(axis=1)
        truth, doubt = closed.mean + wide.sum(axis=0), 2 * np.abs(wide[6])
        parts = _at(table, g, N)
        for order, width_order in product(range(7), (None, 0, 1, 2)):
            name = f"{start}, σ_w² = {g}, N = {N}, order {order}, width {width_order}"
            yield _case("linear", name, parts, order, width_order, N, truth, doubt)


def linear_response() -> Iterator[Case]:
    tau = np.array([0.5, 1.0, 2.0, 4.0])
    table = oracles.linear_response(np.column_stack([tau, 0 * tau]), order=6, gamma=1.0)
    for g, N in product((0.25, 1.0, 2.0), (20, 200)):
        truth = nnqft.compute(
            nnqft.theory("linear", start="rest", sigma_w=np.sqrt(g), N=N), "response", order="resummed", width_order=2,
            times=np.column_stack([tau, 0 * tau]),
        ).mean  # fmt: skip
        wide = [sum(table[n, k] * g**n / float(N) ** k for k in range(3, 7)) for n in range(7)]
        truth = truth + sum(wide)
        for order, width_order in product(range(1, 6), (None, 0, 1)):
            name = f"response, σ_w² = {g}, N = {N}, order {order}, width {width_order}"
            yield _case("linear", name, _at(table, g, N), order, width_order, N, truth, 2 * np.abs(wide[6]))


def linear_about_the_saddle() -> Iterator[Case]:
    """Order n counts vertices between lines of mean-field theory: one term at k = 0, and everything else in 1/N."""
    for g, N in product((0.1, 0.25, 0.5), (50, 200)):
        theory = nnqft.theory("linear", sigma_w=np.sqrt(g), N=N, expansion="saddle")
        found = nnqft.compute(theory, "two_point", order=4, times=PAIRS, rtol=1.0)
        closed = nnqft.compute(
            nnqft.theory("linear", sigma_w=np.sqrt(g), N=N), "two_point", order="resummed", width_order=2, times=PAIRS
        )
        doubt = np.abs(closed.contribution("resummed", 2).mean) * 5 / N
        parts = {key: e.mean for key, e in found.series.items()}
        for order, width_order in product(range(5), (None, 0, 1)):
            name = f"about the saddle, σ_w² = {g}, N = {N}, order {order}, width {width_order}"
            yield _case("saddle", name, parts, order, width_order, N, closed.mean, doubt)


def linear_one_unit() -> Iterator[Case]:
    """N = 1 from rest: C(t,t) = ⟨(e^{2(w−1)t} − 1)/(2(w−1))⟩ over w."""
    w, weight = np.polynomial.hermite_e.hermegauss(120)
    times = np.array([0.5, 1.0, 2.0])
    table = _linear_table("rest")[:, :, :3]
    for g in (0.1, 0.3, 1.0):
        rate = np.sqrt(g) * w[:, None] - 1
        truth = weight @ (np.expm1(2 * rate * times) / (2 * rate)) / weight.sum()
        for order in range(6):
            yield _case("one unit", f"linear, σ_w² = {g}, order {order}", _at(table, g, 1), order, None, 1, truth)


# One site without disorder: a density for equal times, a spectrum for unequal ones.


@cache
def _cumulants(drift: tuple[tuple[int, float], ...], noise: float) -> np.ndarray:
    """The first four cumulants of e^{−2V/noise}."""

    def potential(x: float) -> float:
        return sum(a * x ** (p + 1) / (p + 1) for p, a in drift)

    moments = [
        quad(lambda x, n=n: x**n * np.exp(-2 * potential(x) / noise), -30, 30, epsabs=1e-14, limit=400, points=[0])[0]
        for n in range(5)
    ]
    _, m1, m2, m3, m4 = np.array(moments) / moments[0]
    c2 = m2 - m1**2
    return np.array([m1, c2, m3 - 3 * m1 * m2 + 2 * m1**3, m4 - 4 * m1 * m3 - 3 * m2**2 + 12 * m1**2 * m2 - 6 * m1**4])


def langevin() -> Iterator[Case]:
    for eps in (0.005, 0.01, 0.02, 0.05, 0.1, 0.3):
        for k in (2, 4):
            series = oracles.langevin_cumulants(1, {3: Fraction(1)}, 2, 6, k)
            parts = {(n, 0): np.array([float(c) * eps**n]) for n, c in enumerate(series) if c}
            truth = _cumulants(((1, 1.0), (3, eps)), 2.0)[k - 1]
            for order in range(1, 7):
                yield _case("langevin", f"cubic ε = {eps}, κ_{k}, order {order}", parts, order, None, None, truth)
    for a, b, k in product((0.05, 0.2), (0.02, 0.1), (1, 2, 3)):
        series = oracles.langevin_cumulants(1, {2: 1, 3: 1}, 2, 5, k)
        parts: Parts = {}
        for (i, j), c in series.items():
            parts[i + j, 0] = parts.get((i + j, 0), np.zeros(1)) + float(c) * a**i * b**j
        truth = _cumulants(((1, 1.0), (2, a), (3, b)), 2.0)[k - 1]
        for order in range(1, 6):
            yield _case(
                "langevin", f"a = {a}, b = {b}, κ_{k}, order {order}", parts, order, None, None, truth, odd=True
            )


def _spectral(eps: float, tau: np.ndarray) -> np.ndarray:
    """C(τ) of dx = −(x + εx³)dt + √2 dB from the spectrum of its generator.

    That is −A†A with A = V'/2 + ∂ once functions are multiplied by e^{−V/2}; here in the basis of the oscillator of
    ε = 0, where x = a + a† and ∂ = (a − a†)/2.
    """
    lower = np.diag(np.sqrt(np.arange(1.0, 160.0)), 1)
    x = lower + lower.T
    root = (x + eps * x @ x @ x) / 2 + (lower - lower.T) / 2
    cut = len(x) - 8  # products of cut matrices are wrong in their last rows
    rates, states = np.linalg.eigh((root.T @ root)[:cut, :cut])
    amplitudes = states.T @ (x[:cut, :cut] @ states[:, 0])
    return np.exp(-np.outer(tau, np.abs(rates))) @ amplitudes**2


def langevin_in_time() -> Iterator[Case]:
    for eps in (0.01, 0.03, 0.1, 0.2):
        theory = nnqft.theory("langevin", drift={1: 1.0, 3: eps})
        found = nnqft.compute(theory, "two_point", order=4, times=PAIRS, rtol=1.0)
        parts = {key: e.mean for key, e in found.series.items()}
        truth = _spectral(eps, np.array(TAU))
        for order in range(1, 5):
            yield _case("langevin", f"C(τ), ε = {eps}, order {order}", parts, order, None, None, truth)


# No time at all.


def toy() -> Iterator[Case]:
    actions: list[Mapping[int, float]] = [{4: x} for x in (0.02, 0.1, 0.3, 1.0)]
    actions += [{3: 0.1, 4: 0.1}, {3: 0.3, 4: 0.3}, {6: 0.1}, {6: 1.0}]
    for action in actions:

        def density(z: float, action: Mapping[int, float] = action) -> float:
            return float(np.exp(-(z**2) / 2 - sum(a * z**p / np.prod(range(1, p + 1)) for p, a in action.items())))

        whole = quad(density, -20, 20, limit=400, points=[0])[0]
        for k in (1, 2):
            series = oracles.toy_moment(dict.fromkeys(action, 1), 6, k)
            items = series.items() if isinstance(series, dict) else [((n,), c) for n, c in enumerate(series)]
            parts: Parts = {}
            for powers, c in items:
                value = float(c) * np.prod([x**i for x, i in zip(action.values(), powers, strict=True)])
                if value:
                    parts[sum(powers), 0] = parts.get((sum(powers), 0), np.zeros(1)) + value
            if not parts:
                continue
            truth = quad(lambda z, k=k, density=density: z**k * density(z), -20, 20, limit=400, points=[0])[0] / whole
            kind = {"legs": max(action), "odd": 3 in action}
            for order in range(1, 7):
                yield _case("toy", f"{action}, ⟨z^{k}⟩, order {order}", parts, order, None, None, truth, **kind)


# Activations that are not linear: one unit, two units and infinitely many.


@cache
def _bare(model: str, order: int, width_order: int | None = None, **parameters) -> tuple[np.ndarray, bool]:
    theory = bare_theory(model, **parameters)
    found = nnqft.compute(theory, "two_point", order=order, width_order=width_order, times=PAIRS, rtol=1.0)
    table = np.zeros((order + 1, order + 1, len(PAIRS)))
    for (n, k), e in found.series.items():
        table[n, k] = e.mean
    return table, not found.sdev.any()


CUBIC = {1: 1.0, 3: -1 / 3}


def one_unit() -> Iterator[Case]:
    table, exact = _bare("cubic_tanh", 2)
    assert exact
    high = oracles.one_site(CUBIC, PAIRS, order=8, gamma=1.0, kappa=1.0)
    for g in (0.003, 0.01, 0.03, 0.06):
        truth, doubt = _best_sum(high * g ** np.arange(9)[:, None])
        for order, width_order in product((1, 2), (None, 0, 1)):
            name = f"cubic, σ_w² = {g}, order {order}, width {width_order}"
            yield _case("one unit", name, _at(table, g, 1), order, width_order, 1, truth, doubt, 8)


def infinite_width() -> Iterator[Case]:
    for model, phi in (("cubic_tanh", CUBIC), ("quintic", None)):
        high = oracles.infinite_width(phi, TAU, order=7, gamma=1.0, kappa=1.0, quintic_truncation=phi is None)
        for g in (0.05, 0.1, 0.2, 0.3, 0.5):
            truth, doubt = _best_sum(high * g ** np.arange(8)[:, None])
            parts = {(n, 0): high[n] * g**n for n in range(8)}
            for order in range(1, 5):
                name = f"{model}, σ_w² = {g}, order {order}"
                yield _case("infinite width", name, parts, order, None, 10**12, truth, doubt, legs=8 if phi else 6)


def few_units() -> Iterator[Case]:
    """Two and three units, whose moments close at given weights."""
    times = PAIRS[:2]
    theory = bare_theory("cubic_tanh", **RATES)
    found = nnqft.compute(theory, "two_point", order=2, times=times, rtol=1.0)
    for N, g in product((2, 3), (0.01, 0.03, 0.1)):
        high = np.transpose([Sites(CUBIC, N, 3).two_point(t, s, "stationary") for t, s in times])
        truth, doubt = _best_sum(high * g ** np.arange(4)[:, None])
        parts = {(n, k): e.mean * g**n / float(N) ** k for (n, k), e in found.series.items()}
        for order, width_order in product((1, 2), (None, 0, 1)):
            name = f"cubic, N = {N}, σ_w² = {g}, order {order}, width {width_order}"
            yield _case("few units", name, parts, order, width_order, N, truth, doubt, legs=8)


# Weights drawn anew in every layer.


def feedforward() -> Iterator[Case]:
    """Linear: C(τ) = B e^{−γτ}/(2γ − σ_w²) at any N."""
    for g, N, expansion_order in product((0.2, 0.6, 1.0, 1.6), (5, 100), range(7)):
        decay = np.exp(-np.array(TAU))
        parts = {(n, 0): decay / 2 * (g / 2) ** n for n in range(7)}
        name = f"linear, σ_w² = {g}, N = {N}, order {expansion_order}"
        yield _case("feedforward", name, parts, expansion_order, None, N, decay / (2 - g))


def feedforward_one_unit() -> Iterator[Case]:
    """N = 1: dh = −h dt + √(κ + σ_w² φ(h)²) dB has the density e^{−∫ 2h/D}/D, D = κ + σ_w² φ²; φ = h − h³/3."""
    table, exact = _bare("feedforward", 3, coefficients=((1, 1.0), (3, -1 / 3)))
    assert exact
    h = np.linspace(-12, 12, 48001)
    for g in (0.02, 0.05, 0.1):
        D = 1 + g * (h - h**3 / 3) ** 2
        exponent = np.concatenate([[0.0], np.cumsum((h[1:] / D[1:] + h[:-1] / D[:-1]) * (h[1] - h[0]))])
        density = np.exp(-(exponent - exponent[len(h) // 2])) / D
        truth = (h**2 * density).sum() / density.sum() * np.exp(-np.array(TAU))
        for order, width_order in product(range(1, 4), (None, 0)):
            name = f"cubic, σ_w² = {g}, order {order}, width {width_order}"
            yield _case("feedforward", name, _at(table, g, 1), order, width_order, 1, truth, legs=8)


FAMILIES = (
    linear, linear_response, linear_about_the_saddle, linear_one_unit, langevin, langevin_in_time, toy, one_unit,
    few_units, infinite_width, feedforward, feedforward_one_unit,
)  # fmt: skip


@cache
def cases() -> tuple[Case, ...]:
    return tuple(case for family in FAMILIES for case in family())


# Held out: not looked at while the rule was chosen.


def langevin_held_out() -> Iterator[Case]:
    noise = 0.7
    for p, eps, k in product((3, 5), (0.003, 0.02, 0.1, 0.4), (2, 4)):
        series = oracles.langevin_cumulants(Fraction(6, 5), {p: Fraction(1)}, Fraction(7, 10), 6, k)
        parts = {(n, 0): np.array([float(c) * eps**n]) for n, c in enumerate(series) if c}
        truth = _cumulants(((1, 1.2), (p, eps)), noise)[k - 1]
        for order in range(1, 7):
            name = f"x^{p}, ε = {eps}, κ_{k}, order {order}"
            yield _case("langevin", name, parts, order, None, None, truth, legs=p + 1)


def toy_held_out() -> Iterator[Case]:
    actions: list[Mapping[int, float]] = [{4: 0.05, 6: 0.05}, {4: 0.5, 6: 0.5}, {8: 0.2}, {8: 3.0}, {4: 3.0}]
    for action in actions:

        def density(z: float, action: Mapping[int, float] = action) -> float:
            return float(np.exp(-(z**2) / 2 - sum(a * z**p / np.prod(range(1, p + 1)) for p, a in action.items())))

        whole = quad(density, -20, 20, limit=400, points=[0])[0]
        series = oracles.toy_moment(dict.fromkeys(action, 1), 5, 4)
        items = series.items() if isinstance(series, dict) else [((n,), c) for n, c in enumerate(series)]
        parts: Parts = {}
        for powers, c in items:
            value = float(c) * np.prod([x**i for x, i in zip(action.values(), powers, strict=True)])
            parts[sum(powers), 0] = parts.get((sum(powers), 0), np.zeros(1)) + value
        truth = quad(lambda z, density=density: z**4 * density(z), -20, 20, limit=400, points=[0])[0] / whole
        for order in range(1, 6):
            yield _case("toy", f"{action}, ⟨z⁴⟩, order {order}", parts, order, None, None, truth, legs=max(action))


def linear_held_out() -> Iterator[Case]:
    """With a bias, other units of time, and unequal times from rest."""
    for start, times in (("stationary", [(0.0, 0.0), (2.0, 0.0)]), ("rest", [(0.7, 0.3), (3.0, 2.0), (5.0, 5.0)])):
        table = oracles.linear_two_point(times, order=6, gamma=1.3, kappa=0.8, sigma_b=0.5, start=start)
        for g, N in product((0.2, 0.6, 1.0), (30, 300)):
            theory = nnqft.theory("linear", start=start, gamma=1.3, kappa=0.8, sigma_b=0.5, sigma_w=np.sqrt(g), N=N)
            closed = nnqft.compute(theory, "two_point", order="resummed", width_order=2, times=times)
            powers = g ** np.arange(7)[:, None, None] / float(N) ** np.arange(7)[None, :, None]
            wide = (table * powers)[:, 3:].sum(axis=1)
            for order, width_order in product(range(6), (None, 0, 1, 2)):
                name = f"bias, {start}, σ_w² = {g}, N = {N}, order {order}, width {width_order}"
                parts = _at(table, g, N)
                truth = closed.mean + wide.sum(axis=0)
                yield _case("linear", name, parts, order, width_order, N, truth, 2 * np.abs(wide[6]))


HELD_OUT = (langevin_held_out, toy_held_out, linear_held_out)


@cache
def held_out() -> tuple[Case, ...]:
    return tuple(case for family in HELD_OUT for case in family())
