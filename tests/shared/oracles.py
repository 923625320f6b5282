"""Answers computed without diagrams: the oracles of docs/physics.md.

Nothing here knows of Feynman diagrams or imports the package, so a number that agrees with one
of these functions agrees with something independent.  Averages are over weights, bias and noise;
`gamma` and `kappa` are in 1/time, times in the same unit of time, h has no unit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import cache
from itertools import product
from math import comb, factorial, inf, prod

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import expm, solve_continuous_lyapunov, solve_triangular
from scipy.special import gammainc

Array = NDArray[np.float64]


def _pairs_of_times(times: ArrayLike, start: str) -> Array:
    pairs = np.asarray(times, dtype=float)
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        raise ValueError(f"times has shape {pairs.shape}, wanted (M, 2): write [(t, s), ...]")
    _check_start(pairs, start)
    return pairs


def _check_start(times: Array, start: str) -> None:
    if start not in ("stationary", "rest"):
        raise ValueError(f"start is {start!r}, wanted 'stationary' or 'rest'")
    if start == "rest" and times.size and times.min() < 0:
        raise ValueError(f"time {times.min()} is before the start at 0: use times >= 0")


def gaussian_moment(n: int) -> int:
    """<x^n> of a unit Gaussian: (n-1)!! for even n, otherwise 0."""
    return 0 if n % 2 else prod(range(1, n, 2))


# Oracle 1: the linear network at any width.


def _pairings(items: tuple[int, ...]) -> Iterator[tuple[tuple[int, int], ...]]:
    if not items:
        yield ()
        return
    first, *others = items
    for i, partner in enumerate(others):
        for rest in _pairings((*others[:i], *others[i + 1 :])):
            yield ((first, partner), *rest)


@cache
def trace_moment(a: int, b: int) -> tuple[int, ...]:
    """(1/N)<tr W^a (W^T)^b> at sigma_w = 1: the coefficients of N^-k, k = 0 .. (a+b)/2.

    Each of the (a+b-1)!! pairings gives N^(index loops - 1 - (a+b)/2); docs/physics.md.
    """
    if a + b == 0:
        return (1,)
    if (a + b) % 2:
        raise ValueError(f"a + b is {a + b}, wanted an even number: odd moments of W vanish")
    if a < b:  # the trace of the transpose: halves the cache
        return trace_moment(b, a)
    size = a + b
    # Factor e sits between the trace's indices e and e+1; W^T has row and column exchanged.
    row_col = [(e, (e + 1) % size) if e < a else ((e + 1) % size, e) for e in range(size)]
    counts = [0] * (size // 2 + 1)
    for pairing in _pairings(tuple(range(size))):
        label = list(range(size))
        for e, f in pairing:
            for i, j in zip(row_col[e], row_col[f], strict=True):
                old, new = label[i], label[j]
                label = [new if x == old else x for x in label]
        counts[size // 2 + 1 - len(set(label))] += 1
    return tuple(counts)


def structured_moment(
    a: int, b: int, *, eta: float = 0.0, fractions: Sequence[float] = (1.0,),
    gains: Sequence[Sequence[float]] = ((1.0,),), observed: int = 0,
) -> list[float]:  # fmt: skip
    """<(W^a (W^T)^b)_ii> at sigma_w = 1, i in population `observed`: the coefficients of N^-k, k = 0 .. (a+b)/2.

    W_ij = g_ab X_ij / sqrt(N), <X_ij X_kl> = delta_ik delta_jl + eta delta_il delta_jk. Each pair of factors goes
    either way; each class of equal indices is summed over its populations, f_b N units each.
    """
    size = a + b
    if not size:
        return [1.0]
    row_col = [(e, (e + 1) % size) if e < a else ((e + 1) % size, e) for e in range(size)]
    out = [0.0] * (size // 2 + 1)
    for pairing in _pairings(tuple(range(size))):
        for crossed in product((0, 1), repeat=len(pairing)):
            label = list(range(size))
            for (e, f), turn in zip(pairing, crossed, strict=True):
                for i, j in zip(row_col[e], row_col[f][:: 1 - 2 * turn], strict=True):
                    old, new = label[i], label[j]
                    label = [new if x == old else x for x in label]
            free = sorted(set(label) - {label[0]})
            for home in product(range(len(fractions)), repeat=len(free)):
                where = {label[0]: observed, **dict(zip(free, home, strict=True))}
                weight = eta ** sum(crossed) * prod(fractions[p] for p in home)
                weight *= prod(gains[where[label[i]]][where[label[j]]] for i, j in row_col)
                out[size // 2 - len(free)] += weight
    return out


def decay_integral(power: int, rate: float, upper: float) -> float:
    """int_0^upper dv e^{-rate v} v^power / power!, upper may be inf."""
    return float(gammainc(power + 1, rate * upper)) / rate ** (power + 1)


def noise_integral(a: int, b: int, t: float, s: float, gamma: float, upper: float) -> float:
    """int_0^upper dv e^{-gamma(t+s-2u)} (t-u)^a (s-u)^b / (a! b!) with u = min(t,s) - v."""
    if t < s:
        t, s, a, b = s, t, b, a
    # Expanding (t - s + v)^a leaves positive terms only: no cancellation, full precision.
    return np.exp(-gamma * (t - s)) * sum(
        (t - s) ** (a - j) / factorial(a - j) * comb(b + j, j)
        * decay_integral(b + j, 2 * gamma, upper)
        for j in range(a + 1)
    )  # fmt: skip


def linear_two_point(
    times: ArrayLike, *, order: int, gamma: float, kappa: float, sigma_b: float = 0.0,
    sigma_u: float = 0.0, q: float = 0.0, start: str = "stationary",
    moment: Callable[[int, int], Sequence[float]] | None = None,
) -> Array:  # fmt: skip
    """C(t, s) of the linear network, exact in 1/N (docs/physics.md, oracle 1).

    Parameters
    ----------
    times : (M, 2) pairs (t, s), in either order; from rest both >= 0.
    order : highest power n of sigma_w^2.
    q : (1/N_x) sum_k phi(x_k)^2 of an input that does not change in time.
    moment : of W^a (W^T)^b, `trace_moment` unless the weights have structure.

    Returns
    -------
    (order+1, order+1, M): [n, k, m] is the coefficient of sigma_w^{2n} N^{-k} (zero for k > n).
    """
    pairs = _pairs_of_times(times, start)
    static = sigma_b**2 + sigma_u**2 * q
    out = np.zeros((order + 1, order + 1, len(pairs)))
    for m, (t, s) in enumerate(pairs):
        t_from, s_from = (inf, inf) if start == "stationary" else (t, s)
        for n in range(order + 1):
            for a in range(2 * n + 1):
                b = 2 * n - a
                value = kappa * noise_integral(a, b, t, s, gamma, min(t_from, s_from))
                value += static * (decay_integral(a, gamma, t_from) * decay_integral(b, gamma, s_from))
                out[n, : n + 1, m] += value * np.array((moment or trace_moment)(a, b))
    return out


def linear_response(times: ArrayLike, *, order: int, gamma: float) -> Array:
    """R(t, s) of the linear network: e^{-gamma tau} tau^{2n}/(2n)! (1/N)<tr W^{2n}>, tau = t - s.

    docs/physics.md.  `times` is (M, 2); zero for t <= s (Ito).  Returns
    (order+1, order+1, M): [n, k, m] is the coefficient of sigma_w^{2n} N^{-k}.
    """
    pairs = _pairs_of_times(times, "stationary")
    tau = pairs[:, 0] - pairs[:, 1]
    lag = np.maximum(tau, 0.0)
    out = np.zeros((order + 1, order + 1, len(pairs)))
    for n in range(order + 1):
        shape = np.where(tau > 0, np.exp(-gamma * lag) * lag ** (2 * n) / factorial(2 * n), 0.0)
        out[n, : n + 1] = np.outer(trace_moment(2 * n, 0), shape)
    return out


# Oracle 2: one site.  A monomial w^j h^i b^q is the key (j, i, q); a polynomial a dict of them.

Monomial = tuple[int, int, int]
Polynomial = dict[Monomial, float]


def site_generator(
    phi: Mapping[int, float], gamma: float, kappa: float, order: int, with_bias: bool
) -> Callable[[Monomial], Polynomial]:
    """L = (-gamma h + w phi(h) + b) d_h + (kappa/2) d_h^2, cut above w^{2 order}."""

    def act(monomial: Monomial) -> Polynomial:
        j, i, q = monomial
        image: Polynomial = defaultdict(float)
        if i >= 1:
            image[j, i, q] -= gamma * i
            if with_bias:
                image[j, i - 1, q + 1] += i
            if j < 2 * order:
                for p, c in phi.items():
                    image[j + 1, i - 1 + p, q] += i * c
        if i >= 2:
            image[j, i - 2, q] += kappa / 2 * i * (i - 1)
        return image

    return act


def _matrix(seeds: Polynomial, generator: Callable[[Monomial], Polynomial]) -> tuple[list[Monomial], Array, Array]:
    """The monomials reached from `seeds`, the generator's matrix on them, and the seeds' vector."""
    images: dict[Monomial, Polynomial] = {}
    waiting = list(seeds)
    while waiting:
        monomial = waiting.pop()
        if monomial not in images:
            images[monomial] = generator(monomial)
            waiting.extend(images[monomial])
    # L raises the power of w or lowers that of h, so this order makes the matrix upper triangular.
    basis = sorted(images, key=lambda key: (-key[0], key[1], key[2]))
    place = {monomial: row for row, monomial in enumerate(basis)}
    matrix = np.zeros((len(basis), len(basis)))
    for column, monomial in enumerate(basis):
        for image, value in images[monomial].items():
            matrix[place[image], column] = value
    return basis, matrix, np.array([seeds.get(monomial, 0.0) for monomial in basis])


def propagate(f: Polynomial, generator: Callable[[Monomial], Polynomial], time: float) -> Polynomial:
    """E[f(h(time)) | h(0) = h] as a polynomial in h; for time = inf a polynomial without h."""
    basis, matrix, vector = _matrix(f, generator)
    if time < inf:
        return dict(zip(basis, expm(matrix * time) @ vector, strict=True))
    # Powers of h decay and feed the constants, which stay: integrate the decay exactly.
    moving = np.array([i > 0 for _, i, _ in basis])
    decayed = solve_triangular(matrix[np.ix_(moving, moving)], vector[moving])
    final = vector[~moving] - matrix[np.ix_(~moving, moving)] @ decayed
    return dict(zip([key for key in basis if key[1] == 0], final, strict=True))


def _average(f: Polynomial, order: int, sigma_b: float) -> Array:
    """Set h = 0 and average over w and b: (order+1,) coefficients of sigma_w^{2n}."""
    out = np.zeros(order + 1)
    for (j, i, q), value in f.items():
        if i == 0 and j % 2 == 0:
            out[j // 2] += value * gaussian_moment(j) * gaussian_moment(q) * sigma_b**q
    return out


def one_site(
    phi: Mapping[int, float], times: ArrayLike, *, order: int, gamma: float, kappa: float,
    sigma_b: float = 0.0, start: str = "stationary",
) -> Array:  # fmt: skip
    """<h(t) h(s)> at N = 1, not the connected part (docs/physics.md, oracle 2).

    Parameters
    ----------
    phi : {power: coefficient}, any polynomial: even powers and a constant too.
    times : (M, 2) pairs (t, s), in either order; from rest (h(0) = 0) both >= 0.

    Returns
    -------
    (order+1, M): the coefficient of sigma_w^{2n}, which is the sum over all width orders k.
    """
    pairs = _pairs_of_times(times, start)
    generator = site_generator(phi, gamma, kappa, order, sigma_b != 0)
    out = np.zeros((order + 1, len(pairs)))
    for m, (t, s) in enumerate(pairs):
        later = propagate({(0, 1, 0): 1.0}, generator, abs(t - s))
        both = {(j, i + 1, q): value for (j, i, q), value in later.items()}
        elapsed = inf if start == "stationary" else min(t, s)
        out[:, m] = _average(propagate(both, generator, elapsed), order, sigma_b)
    return out


def one_site_mean(
    phi: Mapping[int, float], times: ArrayLike, *, order: int, gamma: float, kappa: float,
    sigma_b: float = 0.0, start: str = "stationary",
) -> Array:  # fmt: skip
    """<h(t)> at N = 1: `times` is (M,), the rest as in `one_site`.  Returns (order+1, M)."""
    points = np.asarray(times, dtype=float)
    _check_start(points, start)
    generator = site_generator(phi, gamma, kappa, order, sigma_b != 0)
    out = np.zeros((order + 1, len(points)))
    for m, t in enumerate(points):
        elapsed = inf if start == "stationary" else t
        out[:, m] = _average(propagate({(0, 1, 0): 1.0}, generator, elapsed), order, sigma_b)
    return out


# Sparse polynomials {exponents: coefficient}, for oracles 3, 5 and 6.


def multiply(f: Mapping, g: Mapping, keep: Callable[[tuple[int, ...]], bool]) -> dict:
    out: dict = defaultdict(int)
    for (d, x), (e, y) in product(f.items(), g.items()):
        exponents = tuple(i + j for i, j in zip(d, e, strict=True))
        if keep(exponents):
            out[exponents] += x * y
    return out


def add(f: Mapping, g: Mapping, scale: float = 1) -> dict:
    out = defaultdict(int, f)
    for e, x in g.items():
        out[e] += scale * x
    return out


# Oracle 3: infinite width.  sigma_w^{2n} tau^m e^{-c gamma tau}, tau >= 0, is the key (n, c, m).

Function = dict[tuple[int, int, int], float]
ONE: Function = {(0, 0, 0): 1.0}


def _activation_covariance(phi: Mapping[int, float], C: Function, order: int) -> Function:
    """<phi phi> of a Gaussian with covariance C: sum_r r! a_r^2 C(tau)^r (Hermite expansion)."""

    def power(f: Function, n: int) -> Function:
        return ONE if n == 0 else multiply(power(f, n - 1), f, lambda e: e[0] <= order)

    variance = _at_zero(C)
    total: Function = {}
    for r in range(max(phi) + 1):
        a_r: Function = {}
        for p, c in phi.items():
            if p >= r and (p - r) % 2 == 0:
                half = (p - r) // 2
                weight = c * factorial(p) / (factorial(r) * 2**half * factorial(half))
                a_r = add(a_r, power(variance, half), weight)
        term = multiply(power(a_r, 2), power(C, r), lambda e: e[0] <= order)
        total = add(total, term, factorial(r))
    return total


def _at_zero(f: Function) -> Function:
    out: Function = defaultdict(float)
    for (n, _, m), x in f.items():
        if m == 0:
            out[n, 0, 0] += x
    return out


def _screened(source: Function, n: int, gamma: float) -> Function:
    """The even, bounded f with (gamma^2 - d^2/dtau^2) f = source (order n - 1), no cusp at 0."""
    source = {(c, m): x for (i, c, m), x in source.items() if i == n - 1}
    f: dict[tuple[int, int], float] = defaultdict(float)
    for c in {c for c, _ in source}:
        r = c * gamma
        for m in range(max(m for d, m in source if d == c), -1, -1):
            # On P e^{-r tau} the operator gives (gamma^2 - r^2) P + 2 r P' - P''.
            known = source.get((c, m), 0.0) + (m + 2) * (m + 1) * f[c, m + 2]
            if c == 1:
                f[c, m + 1] = known / (2 * r * (m + 1))
            else:
                f[c, m] = (known - 2 * r * (m + 1) * f[c, m + 1]) / (gamma**2 - r**2)
    slope = sum((m == 1) * x - (m == 0) * c * gamma * x for (c, m), x in f.items())
    f[1, 0] += slope / gamma
    return {(n, c, m): x for (c, m), x in f.items()}


def infinite_width(
    phi: Mapping[int, float] | None, tau: ArrayLike, *, order: int, gamma: float, kappa: float,
    sigma_b: float = 0.0, quintic_truncation: bool = False,
) -> Array:  # fmt: skip
    """The k = 0 part of the stationary C(tau), order by order (docs/physics.md, oracle 3).

    Solves (gamma^2 - d^2/dtau^2) C = kappa delta + sigma_b^2 + sigma_w^2 <phi phi>_C in closed
    form.

    Parameters
    ----------
    phi : {power: coefficient}; not read with `quintic_truncation`, pass None.
    tau : (M,) lags of either sign.
    quintic_truncation : the talk's <phi phi> = C(tau)(1 - 2 C(0)).

    Returns
    -------
    (order+1, M): the coefficient of sigma_w^{2n} N^0.
    """
    C: Function = {(0, 1, 0): kappa / (2 * gamma), (0, 0, 0): sigma_b**2 / gamma**2}
    for n in range(1, order + 1):
        if quintic_truncation:
            source = multiply(C, add(ONE, _at_zero(C), -2), lambda e, n=n: e[0] < n)
        else:
            source = _activation_covariance(phi, C, n - 1)
        C = add(C, _screened(source, n, gamma))
    lag = np.abs(np.asarray(tau, dtype=float))
    out = np.zeros((order + 1, len(lag)))
    for (n, c, m), x in C.items():
        out[n] += x * lag**m * np.exp(-c * gamma * lag)
    return out


# Oracles 5 and 6: one variable with density e^{-x^2/(2 variance) - sum_i eps_i g_i x^{p_i}}.  A
# power series in the eps is {exponents: Fraction}, cut at total degree `order`.

Series = dict[tuple[int, ...], Fraction]


def _density_moments(terms: Sequence[tuple[int, Fraction]], variance: Fraction, order: int, k: int) -> list[Series]:
    """<x^0> .. <x^k> for terms (p_i, g_i)."""
    degrees = [e for e in product(range(order + 1), repeat=len(terms)) if sum(e) <= order]
    degrees.sort(key=sum)
    raw: list[Series] = [{} for _ in range(k + 1)]
    for n, e in product(range(k + 1), degrees):
        power = n + sum(i * p for i, (p, _) in zip(e, terms, strict=True))
        raw[n][e] = gaussian_moment(power) * variance ** (power // 2)
        for i, (_, g) in zip(e, terms, strict=True):
            raw[n][e] *= (-g) ** i / factorial(i)
    # 1/Z by the geometric recursion, Z = 1 + ...
    inverse: Series = {degrees[0]: Fraction(1)}
    for e in degrees[1:]:
        inverse[e] = -multiply(raw[0], inverse, lambda d, e=e: d == e)[e]
    return [multiply(f, inverse, lambda d: sum(d) <= order) for f in raw]


def _coefficients(f: Series, couplings: int, order: int) -> list[Fraction] | Series:
    if couplings == 1:
        return [f[(i,)] for i in range(order + 1)]
    return {e: x for e, x in f.items() if x}


def langevin_cumulants(
    mu: int | Fraction, couplings: Mapping[int, int | Fraction], noise: int | Fraction,
    order: int, k: int,
) -> list[Fraction] | Series:  # fmt: skip
    """The equal-time cumulant kappa_k, k >= 1, of a stationary Langevin equation (oracle 5).

    dx = -(mu x + sum_p eps_p couplings[p] x^p) dt + sqrt(noise) dB, density e^{-2V/noise}; each
    entry of `couplings` has its own expansion parameter eps_p, in the order of the dict.

    Returns
    -------
    One coupling: the list of coefficients of eps^0 .. eps^order.  More: {(i, j, ..): coefficient
    of eps_1^i eps_2^j ..}, total degree at most `order`, without the zeros.
    """
    noise = Fraction(noise)
    terms = [(p + 1, 2 * Fraction(g) / (noise * (p + 1))) for p, g in couplings.items()]
    moments = _density_moments(terms, noise / (2 * Fraction(mu)), order, k)
    cumulants: list[Series] = [{}]
    for n in range(1, k + 1):
        cumulants.append(moments[n])
        for j in range(1, n):
            split = multiply(cumulants[j], moments[n - j], lambda e: sum(e) <= order)
            cumulants[n] = add(cumulants[n], split, -comb(n - 1, j - 1))
    return _coefficients(cumulants[k], len(terms), order)


def toy_moment(
    action: Mapping[int, int | Fraction], order: int, k: int
) -> list[Fraction] | Series:  # fmt: skip
    """<z^k> for p(z) ~ exp(-z^2/2 - sum_p eps_p action[p] z^p/p!) (section 7, oracle 6).

    Returns as `langevin_cumulants` does: a list for one coupling, else a dict by exponents.
    """
    terms = [(p, Fraction(g) / factorial(p)) for p, g in action.items()]
    moment = _density_moments(terms, Fraction(1), order, k)[k]
    return _coefficients(moment, len(terms), order)


# Oracle 4: simulation of the linear network.


def simulate_linear(
    N: int, sigma_w: float, *, gamma: float, kappa: float, sigma_b: float = 0.0,
    tau: ArrayLike = 0.0, samples: int, seed: int, discard_unstable: bool = False,
) -> tuple[Array, Array]:  # fmt: skip
    """(1/N) tr C(tau) of random linear networks, each exact by the Lyapunov equation (oracle 4).

    Parameters
    ----------
    tau : a lag or (M,) lags of either sign.
    discard_unstable : leave unstable networks out (a biased average) instead of raising.

    Returns
    -------
    mean, sdev : of the shape of `tau`; sdev is the standard error of the mean, not the spread.

    Raises
    ------
    ValueError : a network has an eigenvalue of W with real part >= gamma: no stationary state.
    """
    rng = np.random.default_rng(seed)
    lags = np.abs(np.asarray(tau, dtype=float))
    values = []
    for sample in range(samples):
        drift = rng.normal(0.0, sigma_w / np.sqrt(N), (N, N)) - gamma * np.eye(N)
        growth = np.linalg.eigvals(drift).real.max()
        if growth >= 0:
            if discard_unstable:
                continue
            raise ValueError(
                f"network {sample} of {samples} grows at rate {growth:.3g}, wanted < 0: "
                "use a smaller sigma_w or discard_unstable=True"
            )
        noise_part = solve_continuous_lyapunov(drift, -kappa * np.eye(N))
        inverse = np.linalg.inv(drift)
        plateau = sigma_b**2 * np.sum(inverse**2)
        traces = [np.trace(expm(drift * lag) @ noise_part) for lag in lags.ravel()]
        values.append((np.reshape(traces, lags.shape) + plateau) / N)
    if len(values) < 2:
        raise ValueError(f"{len(values)} stable networks of {samples}, wanted at least 2")
    return np.mean(values, axis=0), np.std(values, axis=0, ddof=1) / np.sqrt(len(values))
