"""Theories and processes on which exact integrals are tried, and the parts of results that are compared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations
from math import inf, perm, prod

import mpmath as mp
import numpy as np
from scipy.linalg import expm
from theories import bare_theory

import nnqft
from nnqft import Leg, Line, Memory, Propagator, Term, Theory, TimeIntegral, Vertex
from nnqft.host import default_host
from nnqft.integrals.integral import Branch

MU, LAM, STRENGTH = 1.1, 0.7, 1.9
SLOW, FAST = 0.8, 2.1
EXACT = default_host().get("integrator", "exact")
VEGAS = default_host().get("integrator", "vegas")
RATES = {"gamma": 1.3, "kappa": 0.8}
PHI_CUBIC = {1: 1.0, 3: -1 / 3}
PAIRS = [(0.0, 0.0), (0.7, 0.0), (0.0, 0.7), (-2.0, 0.5), (3.0, 2.5)]
REST = [(0.0, 0.0), (1.2, 0.5), (0.5, 1.2), (0.0, 0.8), (0.9, 0.9), (4.0, 3.0)]
CLOSE = 1e-11


def exactly(theory: Theory, observable: str, **options) -> nnqft.Result:
    """A result that no diagram of which was sampled."""
    result = nnqft.compute(theory, observable, integrator="exact", rtol=1e-3, **options)
    assert result.converged
    assert result.integrators() == {"exact": len(result.diagrams)}
    assert result.total.samples == 0
    assert (result.sdev == 0).all()
    return result


def parts(result: nnqft.Result, order: int) -> np.ndarray:
    """(k, M): every width order of one order, as a coefficient of σ_w^{2n} N^{−k} if σ_w = N = 1."""
    return np.array([result.contribution(order, k).mean for k in range(result.request.order + 1)])


def assert_sum(found: np.ndarray, wanted: np.ndarray) -> None:
    """Σ_k found[k] = wanted at each time, to CLOSE of the largest part; a difference of larger things may round."""
    allowed = CLOSE * np.maximum(np.abs(found).max(axis=0), np.abs(wanted)) + 1e-15
    gap = np.abs(found.sum(axis=0) - wanted)
    assert (gap <= allowed).all(), f"{gap / allowed} times what is allowed; found {found}, wanted {wanted}"


@dataclass(frozen=True)
class Process:
    """Variables x with generator Σ c ε^j x^a ∂^b, `terms` = (c, j, a, b); what starts at 0 is named in `resets`."""

    terms: tuple[tuple[float, int, tuple[int, ...], tuple[int, ...]], ...]
    order: int
    resets: tuple[int, ...] = (0,)

    @property
    def variables(self) -> int:
        return len(self.terms[0][2])

    def act(self, monomial: tuple[int, ...]) -> dict[tuple[int, ...], float]:
        """The generator on ε^j x^e."""
        image: dict[tuple[int, ...], float] = defaultdict(float)
        j, e = monomial[0], monomial[1:]
        for c, power, a, b in self.terms:
            if j + power <= self.order and all(n >= d for n, d in zip(e, b, strict=True)):
                moved = tuple(n - d + m for n, d, m in zip(e, b, a, strict=True))
                image[j + power, *moved] += c * prod(perm(n, d) for n, d in zip(e, b, strict=True))
        return image

    def propagate(self, f: dict[tuple[int, ...], float], span: float) -> dict[tuple[int, ...], float]:
        """E[f(x(span)) | x(0) = x] as a polynomial in x."""
        images, waiting = {}, list(f)
        while waiting:
            if (monomial := waiting.pop()) not in images:
                images[monomial] = self.act(monomial)
                waiting += images[monomial]
        basis = sorted(images)
        place = {monomial: n for n, monomial in enumerate(basis)}
        matrix = np.zeros((len(basis), len(basis)))
        for monomial, image in images.items():
            for other, value in image.items():
                matrix[place[other], place[monomial]] += value
        vector = np.array([f.get(monomial, 0.0) for monomial in basis])
        if span < inf:
            return dict(zip(basis, expm(matrix * span) @ vector, strict=True))
        # What moves decays and feeds the constants on the way.
        moving = np.array([any(monomial[1:]) for monomial in basis], dtype=bool)
        decayed = np.linalg.solve(matrix[np.ix_(moving, moving)], vector[moving])
        final = vector[~moving] - matrix[np.ix_(~moving, moving)] @ decayed
        return dict(zip([m for m in basis if not any(m[1:])], final, strict=True))

    def moment(
        self, times: Sequence[float], start: str = "stationary", which: Sequence[int] | None = None
    ) -> np.ndarray:
        """⟨Π x_n(t)⟩, (order + 1,) coefficients of ε^j; `which` says n for each time, 0 if not given."""
        f, now = {(0,) * (1 + self.variables): 1.0}, max(times)
        for t, n in sorted(zip(times, which or [0] * len(times), strict=True), reverse=True):
            moved = self.propagate(f, now - t)
            f = {(j, *(power + (m == n) for m, power in enumerate(e))): value for (j, *e), value in moved.items()}
            now = t
        if start == "rest":
            f = self.propagate(f, now)
            f = {m: value for m, value in f.items() if not any(m[1 + n] for n in self.resets)}
        series = np.zeros(self.order + 1)
        for monomial, value in self.propagate(f, inf).items():
            series[monomial[0]] += value
        return series

    def cumulant(
        self, times: Sequence[float], start: str = "stationary", which: Sequence[int] | None = None
    ) -> np.ndarray:
        """The connected moment."""

        def moment(part: Sequence[int]) -> np.ndarray:
            return self.moment([times[n] for n in part], start, which and [which[n] for n in part])

        return connect(moment, len(times), self.order)


def connect(moment, count: int, order: int) -> np.ndarray:
    """Cumulant of `count` things from their moments: κ(S) = m(S) − Σ κ(T) m(S∖T) over T ⊂ S that hold the first."""
    moment = cache(moment)

    @cache
    def cumulant(members: tuple[int, ...]) -> np.ndarray:
        total, (first, *others) = moment(members), members
        for size in range(len(others)):
            for chosen in combinations(others, size):
                left = tuple(n for n in others if n not in chosen)
                total = total - np.convolve(cumulant((first, *chosen)), moment(left))[: order + 1]
        return total

    return cumulant(tuple(range(count)))


def diffusion(drift: dict[int, float], noise: float, order: int, mu: float = 1.0) -> Process:
    """dx = −(μx + ε Σ drift[p] x^p) dt + √noise dB."""
    pull = [(-c, 1, (p,), (1,)) for p, c in drift.items()]
    return Process(((-mu, 0, (1,), (1,)), (noise / 2, 0, (0,), (2,)), *pull), order)


def coloured(drift: dict[int, float]) -> Theory:
    """dx = −(μx + Σ drift[p] x^p) dt + η dt, ⟨ηη⟩ = strength·e^{−λ|τ|}: C is a sum of two exponentials."""
    site = nnqft.theory("langevin", drift={1: MU} | drift)
    size = STRENGTH * LAM / (LAM**2 - MU**2)
    line = Propagator("C", "h", "h", terms=(Term(size / MU, MU), Term(-size / LAM, LAM)))
    return replace(site, propagators=(line, *site.propagators[1:]))


def coloured_process(drift: dict[int, float], order: int) -> Process:
    pull = [(-c, 1, (p, 0), (1, 0)) for p, c in drift.items()]
    noise = [(1.0, 0, (0, 1), (1, 0)), (-LAM, 0, (0, 1), (0, 1)), (LAM * STRENGTH, 0, (0, 0), (0, 2))]
    return Process(((-MU, 0, (1, 0), (1, 0)), *noise, *pull), order)


def oscillator(drift: dict[int, float]) -> Theory:
    """ẍ + (a+b)ẋ + abx + Σ drift[p] x^p = ξ, overdamped: both lines are differences of e^{−aτ} and e^{−bτ}."""
    site = nnqft.theory("langevin", drift={1: 1.0} | drift)
    gap = FAST**2 - SLOW**2
    lines = (
        Propagator("C", "h", "h", terms=(Term(1 / (2 * SLOW * gap), SLOW), Term(-1 / (2 * FAST * gap), FAST))),
        Propagator("G", "h", "z", terms=(Term(1 / (FAST - SLOW), SLOW), Term(-1 / (FAST - SLOW), FAST))),
    )
    return replace(site, propagators=lines)


def oscillator_process(drift: dict[int, float], order: int) -> Process:
    free = [(1.0, 0, (0, 1), (1, 0)), (-(SLOW + FAST), 0, (0, 1), (0, 1)), (-SLOW * FAST, 0, (1, 0), (0, 1))]
    pull = [(-c, 1, (p, 0), (0, 1)) for p, c in drift.items()]
    return Process((*free, (0.5, 0, (0, 0), (0, 2)), *pull), order)


MEMORY = ((0.6, 0.5), (0.3, 2.3))


def shaken(start: str = "stationary", *, kernel: bool = False) -> Theory:
    """dx = −μx dt + ζ x dt + √2 dB with ⟨ζζ⟩ = Σ a e^{−λ|τ|} averaged over: a vertex of two points with a memory."""
    site = nnqft.theory("langevin", start=start, drift={1: MU})
    legs = (Leg("z", 0), Leg("h", 0), Leg("z", 1), Leg("h", 1))
    vertex = Vertex("zx zx", legs, 0.5, memory=(Memory(0, 1, tuple(Term(a, rate) for a, rate in MEMORY)),))
    if kernel:
        vertex = replace(vertex, memory=(), kernel=shaken_kernel)
    return replace(site, vertices=(vertex,))


def shaken_kernel(times, params, xp):
    return sum(a * xp.exp(-rate * xp.abs(times[0] - times[1])) for a, rate in MEMORY)


def shaken_process(order: int) -> Process:
    """ζ is a sum of two Ornstein–Uhlenbeck processes; ε is its amplitude, so diagrams of order n are at ε^{2n}."""
    (a, one), (b, two) = MEMORY
    shake = [(a**0.5, 1, (1, 1, 0), (1, 0, 0)), (b**0.5, 1, (1, 0, 1), (1, 0, 0))]
    relax = [(-one, 0, (0, 1, 0), (0, 1, 0)), (-two, 0, (0, 0, 1), (0, 0, 1))]
    noise = [(1.0, 0, (0, 0, 0), (2, 0, 0)), (one, 0, (0, 0, 0), (0, 2, 0)), (two, 0, (0, 0, 0), (0, 0, 2))]
    return Process(((-MU, 0, (1, 0, 0), (1, 0, 0)), *noise, *shake, *relax), 2 * order)


def all_lines(integral: TimeIntegral) -> list[Line]:
    """The lines of the integrand and those that the forest took out of it."""
    externals = integral.times.shape[1]
    forest = [
        Line(b.propagator, b.parent, externals + n, True)
        for n, b in enumerate(integral.branches)
        if not b.below and not b.others
    ]
    return [*integral.lines, *forest]


def in_high_precision(form: nnqft.ClosedForm, tau: float) -> mp.mpf:
    x = mp.mpf(form.gamma.numerator) / form.gamma.denominator * mp.mpf(tau)
    total = mp.mpf(0)
    for rate, polynomial in form.terms.items():
        value = sum(mp.mpf(c.numerator) / c.denominator * x**n for n, c in enumerate(polynomial))
        total += value * mp.exp(-mp.mpf(rate.numerator) / rate.denominator * x)
    return total


def first_integral(theory: Theory, observable: str = "two_point", order: int = 1, times=((0.7, 0.0),)) -> TimeIntegral:
    """An integral of the highest order."""
    found = nnqft.diagrams(theory, observable, order=order, arity=len(times[0]))
    return nnqft.time_integral(found[len(found) - 1], theory, np.array(times))


def with_kernel_line(theory: Theory) -> Theory:
    """C given by a function instead of its exponentials."""
    line = next(p for p in theory.propagators if p.name == "C")
    spoilt = replace(line, terms=(), kernel=lambda t, s, params, xp: line(t, s, xp))
    return replace(theory, propagators=tuple(spoilt if p is line else p for p in theory.propagators))


def with_many_terms(theory: Theory, count: int) -> Theory:
    """C split into equal terms."""
    line = next(p for p in theory.propagators if p.name == "C")
    (term,) = line.terms
    spoilt = replace(line, terms=(replace(term, amplitude=term.amplitude / count),) * count)
    return replace(theory, propagators=tuple(spoilt if p is line else p for p in theory.propagators))


def fan(points: int) -> TimeIntegral:
    """One point with many that hang from it, each with a line to itself: 2^{points − 1} + 1 upper sets."""
    theory = bare_theory("linear")
    branches = (Branch(0, "G"), *[Branch(1, "G")] * (points - 1))
    lines = tuple(Line("C", p, p, False) for p in range(1, points + 1))
    return TimeIntegral(theory, np.zeros((1, 1)), branches, lines)


LANGEVIN = nnqft.theory("langevin")


def memory_of(vertex: Vertex) -> tuple[Memory, ...]:
    return shaken().vertices[0].memory if vertex.kernel is not None else ()
