"""The vertex and propagator interface: fields, legs, lines and vertices as frozen data.

Source of the conventions: Helias & Dahmen, arXiv:1901.10416; Grosvenor & Jefferson, arXiv:2109.13247.
The weight of a configuration is e^{−S}, a vertex is a term of −S, and ⟨h(t) z̃(s)⟩ = +G(t, s).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import ModuleType
from typing import Any

import numpy

from nnqft.rules.term import Array, Term, as_tuple
from nnqft.show.numbers import clipped


@dataclass(frozen=True)
class Field:
    """One field of the action.

    Parameters
    ----------
    name
        ASCII name, used in vertices and propagators: ``"h"``, ``"z"``.
    symbol
        How it is printed: ``"h"``, ``"z̃"``.
    meaning
        A few words for the printed rules.
    response
        True for the field conjugate to the equation of motion; ⟨z̃ z̃⟩ = 0.
    bilocal
        True for an auxiliary field of two times, such as 𝔚(t1, t2).
    share
        Of the N values of its index, the part that it has: a loop of its index gives share × N. Fields that a line or
        an index slot joins have the same.

    Examples
    --------
    >>> from nnqft import Field
    >>> Field("z", "z̃_i(t)", "response field", response=True).response
    True
    """

    name: str
    symbol: str
    meaning: str = ""
    response: bool = False
    bilocal: bool = False
    share: float = 1.0


@dataclass(frozen=True, repr=False)
class Propagator:
    """A line of a diagram: ⟨left(t) right(s)⟩, t being the time of the left field and s that of the right one.

    A response propagator (right is a response field) vanishes unless t > s; θ(0) is `Theory.theta0`. A correlator of
    two different fields need not be symmetric in its times; one of a field with itself is.
    Give either `terms`, for a sum of exponentials, or `kernel`.

    Parameters
    ----------
    name, left, right
        Its name in diagrams and the names of the two fields it joins.
    formula
        How it is printed in the rules.
    terms
        The line as a sum of exponentials of |t − s|, of those for t ≥ s and those for t < s (`Term.left`) if it is not
        symmetric.
    kernel
        ``kernel(t, s, params, xp)`` → array: any other line, written for an array-API namespace `xp`.
        For a response it is only called at t > s. Beside it `terms` only say how to sample a response's delay.
    params
        What `kernel` and `delay` receive.
    delay
        How to sample the delay of a response that is not a single exponential:
        ``delay(u, room, params, xp)`` → (delay, density) for u uniform in (0, 1) and 0 < delay < room.
        Without it the delay is exponential, with the rate of the slowest term.
    delta
        True for the bilocal line ⟨𝔚 𝔚̃⟩ = δδ + δδ, which is contracted before anything is generated.
    stub
        True for δ(t−s), on which an amputated external leg ends; it is contracted before anything is integrated.

    Examples
    --------
    >>> from nnqft import Propagator, Term
    >>> response = Propagator("G", "h", "z", "θ(t−s) e^{−(t−s)}", (Term(1.0, 1.0),))
    >>> round(float(response(2.0, 0.0)), 4)
    0.1353
    >>> response.exponential_rate
    1.0
    """

    name: str
    left: str
    right: str
    formula: str = ""
    terms: tuple[Term, ...] = ()
    kernel: Callable[[Array, Array, Mapping[str, Any], ModuleType], Array] | None = None
    params: tuple[tuple[str, object], ...] = ()
    delay: Callable[[Array, Array, Mapping[str, Any], ModuleType], tuple[Array, Array]] | None = None
    delta: bool = False
    stub: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "terms", as_tuple(self.terms))

    def __repr__(self) -> str:
        value = self.formula or ("a function" if self.kernel is not None else f"{len(self.terms)} exponentials")
        return clipped(f"Propagator({self.name}: ⟨{self.left} {self.right}⟩ = {value}") + ")"

    def __call__(self, t: Array, s: Array, xp: ModuleType = numpy) -> Array:
        """Value at times t and s (broadcast), without the θ of a response."""
        if self.kernel is not None:
            return self.kernel(t, s, dict(self.params), xp)
        total: Array = 0.0
        for term in self.terms:
            total = total + term(t, s, xp)
        return total

    @property
    def symmetric(self) -> bool:
        """May its two ends be exchanged at given times? Only then does the direction of a line mean nothing."""
        return self.left == self.right or (self.kernel is None and all(term.left == "either" for term in self.terms))

    @property
    def single(self) -> bool:
        """Is it one decay on both sides, or several of one rate that differ by their memory of the start?"""
        plain = all(term.left == "either" and not term.oscillates for term in self.terms)
        return self.kernel is None and plain and len({term.rate for term in self.terms}) == 1

    @property
    def exponential_rate(self) -> float | None:
        """Rate of the delay when it is sampled exponentially, else None."""
        if self.delay is not None:
            return None
        # The slowest: with any other the weight of a long delay would grow without bound.
        return min((complex(term.rate).real for term in self.terms), default=1.0)


@dataclass(frozen=True)
class Leg:
    """`power` equal legs of a vertex or of an observable.

    Parameters
    ----------
    field
        Name of the field.
    point
        Which of the vertex's times it sits at, or which column of the observable's; a bilocal field sits at two points,
        ``Leg("W", (0, 1))``.
    index
        Name of its index slot; None for a field without index.
    power
        How many equal legs these are, 1 to 14.
    replica
        Which of several noise histories on one network an observable's leg belongs to, a letter; see `Shared`.

    Examples
    --------
    >>> from nnqft import Leg
    >>> Leg("h", point=1, index="j", power=3)  # h_j(t2)³
    Leg(field='h', point=1, index='j', power=3, replica='a')
    """

    field: str
    point: int | tuple[int, int] = 0
    index: str | None = None
    power: int = 1
    replica: str = "a"


@dataclass(frozen=True, repr=False)
class Memory:
    """A factor of a vertex that depends on two of its points as a line does.

    Parameters
    ----------
    one, two
        The two points, by number.
    terms
        The factor as a sum of exponentials of |t_one − t_two|, if not symmetric with their `left`; or
    kernel, params
        ``kernel(t, s, params, xp)`` → array, for any other factor, and the parameters that it receives.
    formula
        How it is printed in the rules.
    symmetric
        Is it symmetric in its two times? One that is not tells the two points apart: t is the time of point
        `one`, s that of point `two`.

    Examples
    --------
    >>> from nnqft import Leg, Memory, Term, Vertex
    >>> legs = Leg("z", 0), Leg("z", 1)
    >>> Vertex("coloured noise", legs, 0.5, memory=(Memory(0, 1, (Term(1.0, 3.0),)),)).points
    2
    """

    one: int
    two: int
    terms: tuple[Term, ...] = ()
    kernel: Callable[[Array, Array, Mapping[str, Any], ModuleType], Array] | None = None
    params: tuple[tuple[str, object], ...] = ()
    formula: str = "f"
    symmetric: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "terms", as_tuple(self.terms))

    def __repr__(self) -> str:
        return clipped(f"Memory({self.formula} of times {self.one} and {self.two}") + ")"


@dataclass(frozen=True, repr=False)
class Vertex:
    """One term of −S: coefficient × couplings × N^{−width} × the fields of its legs, integrated over its points.

    Parameters
    ----------
    name
        Unique within the theory.
    legs
        See `Leg`. Points are numbered from 0; legs with the same `index` are summed over one index.
    coefficient
        The number in front, without couplings.
    couplings
        Powers of parameters that multiply it, ``(("sigma_w", 2),)``.
    width
        Power of 1/N.
    order
        What it adds to the order n of a diagram; 0 only for a source, whose one leg ends a line: its value is that of
        the line with both times at the point where it begins, and no time is integrated over.
    kernel
        ``kernel(times, params, xp)`` → array: an optional smooth factor over the times of its points (a tuple of
        arrays that broadcast), with the theory's parameters. The points then count as distinguishable.
    memory
        Factors of two points each; exact integrators know those that are sums of exponentials of their distance.
    subtraction
        What is taken off the product of the fields of each index slot, so that the lines hold it instead:
        ``"none"``; ``"average"``, its Gaussian average (no slot is closed by lines among its own legs);
        ``"wick"``, all contractions (no line joins two legs of one slot). Responses are not affected.
    degree
        Where it stands in an expansion of the activation that is cut off somewhere: its power of h, or its degree of
        Wiener's chaos; 0 for a vertex that belongs to no such expansion.

    Examples
    --------
    >>> from nnqft import Leg, Vertex
    >>> cubic = Vertex("z h^3", (Leg("z"), Leg("h", power=3)), -0.1)
    >>> cubic.points, cubic.ordered
    (1, False)
    """

    name: str
    legs: tuple[Leg, ...]
    coefficient: float | Fraction
    couplings: tuple[tuple[str, int], ...] = ()
    width: Fraction | int = 0
    order: Fraction | int = 1
    kernel: Callable[[tuple[Array, ...], Mapping[str, Any], ModuleType], Array] | None = None
    memory: tuple[Memory, ...] = ()
    subtraction: str = "none"
    degree: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "memory", as_tuple(self.memory))

    def __repr__(self) -> str:
        couplings = "".join(f" {name}^{power}" for name, power in self.couplings)
        fields = sum(leg.power for leg in self.legs)
        factor = f"{self.coefficient}{couplings} N^-{self.width}"
        return clipped(f"Vertex({self.name}: {factor}, {fields} fields at {self.points} times") + ")"

    @property
    def source(self) -> bool:
        """Does it only end lines: one leg, of order 0?"""
        plain = not (self.width or self.kernel or self.memory or self.legs[0].index)
        return self.order == 0 and plain and len(self.legs) == 1 and self.legs[0].power == 1 and self.points == 1

    @property
    def ordered(self) -> bool:
        """Are its points told apart by a factor over their times? A symmetric memory of only two points does not."""
        several = bool(self.memory) and self.points != 2
        return self.kernel is not None or several or any(not memory.symmetric for memory in self.memory)

    @property
    def points(self) -> int:
        """Number of points (times) of the vertex."""
        return 1 + max(max(p) if isinstance(p := leg.point, tuple) else p for leg in self.legs)
