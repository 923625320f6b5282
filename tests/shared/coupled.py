"""Coupled linear processes dx = −A x dt + noise of covariance B: their lines, and their solution without diagrams."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import expm, solve_continuous_lyapunov

from nnqft import AbstractObservable, Field, Leg, Propagator, Term, Theory, Vertex
from nnqft.host import default_host

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Coupled:
    """A = A0 + ε A1: A0 and B are in the lines, ε A1 in vertices of two legs."""

    A0: Array
    B: Array
    A1: Array

    @property
    def size(self) -> int:
        return len(self.A0)

    def theory(self, start: str = "stationary", *, kernels: bool = False, turned: bool = False) -> Theory:
        """The lines R_ab and C_ab as exponentials or functions; `turned` writes C_ba where C_ab would do."""
        n = self.size
        fields = [Field(f"x{a}", f"x{a}(t)") for a in range(n)]
        fields += [Field(f"z{a}", f"z̃{a}(t)", response=True) for a in range(n)]
        lines = [self._response(a, b) for a, b in product(range(n), repeat=2)]
        pairs = [(b, a) if turned else (a, b) for a in range(n) for b in range(a, n)]
        lines += [self._correlator(a, b, start, kernels) for a, b in pairs]
        vertices = [
            Vertex(f"z{a} x{b}", (Leg(f"z{a}"), Leg(f"x{b}")), -self.A1[a, b])
            for a, b in product(range(n), repeat=2)
            if self.A1[a, b]
        ]
        return Theory("coupled", start, {}, tuple(fields), tuple(lines), tuple(vertices))

    def _modes(self, half: bool = False) -> list[tuple[complex, NDArray[np.complex128]]]:
        """(λ, projector) of each eigenvalue; of a conjugate pair one may stand for both, as terms are real parts."""
        rates, right = np.linalg.eig(self.A0)
        left = np.linalg.inv(right)
        modes = []
        for k, rate in enumerate(rates):
            projector = np.outer(right[:, k], left[k])
            if half and rate.imag > 0:
                modes.append((complex(rate), 2 * projector))
            elif not (half and rate.imag < 0):
                modes.append((_plain(rate), projector))
        return modes

    def _response(self, a: int, b: int) -> Propagator:
        terms = tuple(Term(_plain(P[a, b]), rate) for rate, P in self._modes(half=True))
        return Propagator(f"R{a}{b}", f"x{a}", f"z{b}", terms=terms)

    def _correlator(self, a: int, b: int, start: str, kernels: bool) -> Propagator:
        names = f"C{a}{b}", f"x{a}", f"x{b}"
        if kernels:
            numbers = tuple(map(tuple, self.A0)), tuple(map(tuple, self.stationary[0]))
            params = ("A0", numbers[0]), ("P", numbers[1]), ("ab", (a, b)), ("rest", start == "rest")
            return Propagator(*names, kernel=covariance_kernel, params=params)
        P, terms = self.stationary[0], []
        for rate, Q in self._modes(half=True):
            for side, (one, two) in (("later", (a, b)), ("earlier", (b, a))):
                left = "either" if a == b else side
                if left == "earlier" or left == "later" or side == "later":
                    terms.append(Term(_plain((Q @ P)[one, two]), rate, left=left))
                    if start == "rest":
                        terms += [
                            Term(_plain(-(Q @ P @ V.T)[one, two]), rate, rate + other, left)
                            for other, V in self._modes()
                        ]
        return Propagator(*names, terms=tuple(terms))

    @property
    def stationary(self) -> list[Array]:
        """⟨x xᵀ⟩ at one time, by powers of ε up to 5: the Lyapunov equation order by order."""
        series = [solve_continuous_lyapunov(self.A0, self.B)]
        for _ in range(5):
            source = self.A1 @ series[-1]
            series.append(-solve_continuous_lyapunov(self.A0, source + source.T))
        return series

    def flow(self, t: float, order: int) -> list[Array]:
        """e^{−At} by powers of ε, from the exponential of a block-triangular matrix."""
        n, blocks = self.size, order + 1
        whole = np.kron(np.eye(blocks), self.A0) + np.kron(np.eye(blocks, k=-1), self.A1)
        moved = expm(-t * whole)
        return [moved[k * n : (k + 1) * n, :n] for k in range(blocks)]

    def correlator(self, t: float, s: float, order: int, start: str = "stationary") -> Array:
        """(order + 1, n, n): ⟨x_a(t) x_b(s)⟩."""
        if t < s:
            return self.correlator(s, t, order, start).swapaxes(1, 2)
        P = self.stationary[: order + 1]
        if start == "rest":
            E = self.flow(s, order)
            grown = _multiply(_multiply(E, P), [each.T for each in E])
            P = [one - two for one, two in zip(P, grown, strict=True)]
        return np.array(_multiply(self.flow(t - s, order), P))

    def response(self, t: float, s: float, order: int) -> Array:
        """(order + 1, n, n): ⟨x_a(t) z̃_b(s)⟩."""
        return np.array(self.flow(t - s, order)) if t > s else np.zeros((order + 1, self.size, self.size))


def _plain(number):
    return complex(number) if np.iscomplexobj(number) else float(number)


def _multiply(one, two):
    """The product of two series in ε."""
    return [sum(one[k] @ two[n - k] for k in range(n + 1)) for n in range(len(one))]


def covariance_kernel(t, s, params, xp):
    """⟨x_a(t) x_b(s)⟩ of A0, a two-by-two matrix, at arrays of times."""
    A, P, (a, b) = params["A0"], params["P"], params["ab"]

    def flow(span):
        """e^{−A·span} by Cayley and Hamilton, as a nested list."""
        mean, gap = (A[0][0] + A[1][1]) / 2, (A[0][0] - A[1][1]) / 2
        square = gap**2 + A[0][1] * A[1][0]
        root = abs(square) ** 0.5
        even, odd = (xp.cosh, xp.sinh) if square > 0 else (xp.cos, xp.sin)
        decay, one, two = xp.exp(-mean * span), even(root * span), odd(root * span) / root
        return [[decay * ((i == j) * (one + mean * two) - two * A[i][j]) for j in (0, 1)] for i in (0, 1)]

    gap, first = xp.abs(t - s), xp.minimum(t, s)
    E, F = flow(gap), flow(first)
    now = [
        [
            P[i][j] - (sum(F[i][k] * P[k][m] * F[j][m] for k in (0, 1) for m in (0, 1)) if params["rest"] else 0.0)
            for j in (0, 1)
        ]
        for i in (0, 1)
    ]
    later = sum(E[a][k] * now[k][b] for k in (0, 1))
    earlier = sum(E[b][k] * now[k][a] for k in (0, 1))
    return xp.where(t >= s, later, earlier)


class Legs(AbstractObservable):
    """⟨legs⟩ of these fields, one time each, connected or not."""

    def __init__(self, fields: tuple[str, ...], connected: bool) -> None:
        self.name, self.fields, self.arity, self.connected = "legs " + " ".join(fields), fields, len(fields), connected
        self.name += "" if connected else ", moment"

    def legs(self, theory, arity):
        return tuple(Leg(field, n) for n, field in enumerate(self.fields))


def legs(*fields: str, connected: bool = True) -> str:
    """The name of the observable ⟨fields⟩, which is installed until the test ends."""
    observable = Legs(fields, connected)
    default_host().found["observable"].setdefault(observable.name, (observable, "test"))
    return observable.name


def forget() -> None:
    """Take away the observables that `legs` installed."""
    found = default_host().found["observable"]
    for name in [name for name, (each, _) in found.items() if isinstance(each, Legs)]:
        del found[name]
