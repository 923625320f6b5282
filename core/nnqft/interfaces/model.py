"""What a plugin implements. Each interface is small; every final part is a plain class below one of these."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnqft.errors import InputError, short
from nnqft.integrals.closed_form import ClosedForm
from nnqft.integrals.estimate import Estimate
from nnqft.integrals.integral import TimeIntegral
from nnqft.interfaces.activation import Activation
from nnqft.rules.theory import Leg, Theory


@dataclass(frozen=True)
class Parameter:
    """One parameter of a model: its default and what values make sense.

    Parameters
    ----------
    default
        Value when the user gives none.
    meaning
        A few words with the unit.
    low, high
        Smallest value, which `open_low` excludes, and largest. The largest is far beyond any sensible unit, where
        floating point would overflow.
    integer
        Only whole numbers.
    check
        ``check(name, value)`` → value, for anything that is not a number; raises InputError.
    """

    default: Any
    meaning: str = ""
    low: float = -math.inf
    high: float = 1e9
    open_low: bool = False
    integer: bool = False
    check: Callable[[str, Any], Any] | None = None

    def validate(self, name: str, value: Any) -> Any:
        """The value in its proper type, or InputError with what came and what was wanted."""
        if self.check is not None:
            return self.check(name, value)
        number = finite_number(name, value)
        if number > self.high:
            raise InputError(f"{name}={short(value)}: wanted a number ≤ {self.high:g}; choose another unit of time")
        if self.integer:
            return whole_number(name, value, int(self.low))
        if number < self.low or (self.open_low and number == self.low):
            sign = ">" if self.open_low else "≥"
            raise InputError(f"{name}={short(value)}: wanted a number {sign} {self.low:g}")
        return number


def finite_number(name: str, value: Any) -> float:
    """float(value), or InputError when it is not a finite real number."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.number):
        raise InputError(f"{name}={short(value)}: wanted a number, write for example {name}=1.0")
    try:
        number = float(value)
    except (TypeError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{name}={short(value)}: wanted a finite number, write for example {name}=1.0")
    return number


def whole_number(name: str, value: Any, least: int) -> int:
    """The value as int, or InputError unless it is a whole number ≥ least."""
    number = finite_number(name, value)
    if number != math.floor(number) or number < least:
        raise InputError(f"{name}={short(value)}: wanted a whole number ≥ {least}")
    return int(value)


def positive_number(name: str, value: Any, example: str = "1e-3") -> float:
    """The value as float, or InputError unless it is a finite real number > 0."""
    number = finite_number(name, value)
    if number <= 0:
        raise InputError(f"{name}={short(value)}: wanted a number > 0, write for example {name}={example}")
    return number


class AbstractModel(ABC):
    """A stochastic differential equation, given by its Feynman rules.

    Attributes
    ----------
    name, summary : str
        What it is asked for by, and one line of what it is.
    parameters : mapping
        Name → Parameter.
    starts : tuple of str
        Which of ``"stationary"`` and ``"rest"`` it supports.
    """

    name: str
    summary: str = ""
    parameters: Mapping[str, Parameter]
    starts: tuple[str, ...] = ("stationary", "rest")

    @abstractmethod
    def theory(self, start: str, values: Mapping[str, Any]) -> Theory:
        """The rules at validated values, one for every name in `parameters`."""

    def resummed(self, theory: Theory, observable: str, width: int, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The sum of all diagrams of a width order, whatever their order in the coupling; models may know it.

        Parameters
        ----------
        theory, observable
            The rules, made by this model, and the name of what is wanted.
        width
            Power of 1/N; the answer includes N^{−width}.
        times : (M, legs) array

        Returns
        -------
        values, bounds : (M,) arrays
            The sum, and a bound of its rounding and quadrature error.

        Raises
        ------
        InputError
            If it has no such sum, or if the sum diverges at these parameters.
        """
        raise InputError(f"model {self.name!r} has no resummed form; write a whole number for order")

    def activation(self, values: Mapping[str, Any]) -> Activation | None:
        """The true φ at these values, for simulation and mean-field theory; None if there is no such network."""
        return None


class AbstractObservable(ABC):
    """A correlation function, given by the legs its diagrams end on.

    Attributes
    ----------
    name, summary : str
    arity : int or None
        Columns of the times; None for any number.
    connected : bool
        True: connected diagrams only. False: the moment, each part of a diagram holding an external leg.
    """

    name: str
    summary: str = ""
    arity: int | None = 2
    connected: bool = False

    @abstractmethod
    def legs(self, theory: Theory, arity: int) -> tuple[Leg, ...]:
        """The external legs for that many times.

        The `point` of a leg is the column of its time, and legs of equal `index` carry the same index.
        """


@dataclass(frozen=True)
class Need:
    """A base observable that a derived one is made of.

    Attributes
    ----------
    observable : str
        Name of an observable with legs.
    times : tuple of tuples of float
        Its external times, (M, legs).
    indices : str or None
        Pattern of its legs' indices, such as ``"iijj"``; None for one unit.
    """

    observable: str
    times: tuple[tuple[float, ...], ...]
    indices: str | None = None


class AbstractDerivedObservable(ABC):
    """Numbers made of base observables, such as a correlation length.

    The base observables that several derived ones need are evaluated once, at all their times together.

    Attributes
    ----------
    name, summary : str
    arity : int or None
        Columns of the times a user may give; None for any number, 0 if it takes no times.
    """

    name: str
    summary: str = ""
    arity: int | None = 2

    @abstractmethod
    def needs(self, theory: Theory, times: np.ndarray | None) -> Mapping[str, Need]:
        """What has to be computed, under names of its own choice; `times` is (M, arity), None if none were given.

        Raises
        ------
        InputError
            If the theory has no such quantity.
        """

    @abstractmethod
    def derive(self, theory: Theory, times: np.ndarray | None, values: Mapping[str, np.ndarray]) -> Mapping[str, Any]:
        """What each number is called, and the number.

        `values` has an array of M correlated gvars for each need, by its name; arithmetic and numpy functions carry
        their errors on. nan stands for a number that does not exist.
        """


class AbstractIntegrator(ABC):
    """A way to compute a TimeIntegral.

    `prepare` and `sample` run on workers: they must be pure functions of their arguments, and what they return
    must survive pickling.

    Attributes
    ----------
    name, summary : str
    exact : bool
        Its estimates carry no statistical error, and one call of `sample` settles an integral.
    accelerated : str or None
        Name of the integrator, perhaps itself, that samples the same integral from the same state on a GPU.
    """

    name: str
    summary: str = ""
    exact: bool = False
    accelerated: str | None = None

    @abstractmethod
    def supports(self, integral: TimeIntegral) -> bool | str:
        """True if it can compute the integral, else the reason why not, in a few words."""

    @abstractmethod
    def prepare(self, integral: TimeIntegral, seed: np.random.SeedSequence) -> Any:
        """Whatever has to be learnt once about an integral (vegas: the adapted map), small enough to send around."""

    @abstractmethod
    def sample(self, integral: TimeIntegral, state: Any, neval: int, seed: np.random.SeedSequence) -> Estimate:
        """An independent estimate from at most `neval` evaluations; zero samples if it is exact."""

    def closed_form(self, integral: TimeIntegral) -> ClosedForm:
        """The integral as a function of γτ, its first time being later by τ than the others; exact integrators may.

        Raises
        ------
        InputError
            If it has no such form.
        """
        raise InputError(f"integrator {self.name!r} gives no closed forms")

    def settle(self, integrals: Sequence[TimeIntegral]) -> tuple[np.ndarray, np.ndarray]:
        """Values of many integrals and bounds of their rounding errors, (n, M) each; only asked of exact integrators.

        All have the same times. Computing them together is where an exact integrator gains its speed.
        """
        seed = np.random.SeedSequence(0)
        estimates = [self.sample(each, self.prepare(each, seed), 1, seed) for each in integrals]
        return np.array([e.mean for e in estimates]), np.array(
            [np.broadcast_to(e.rounding, e.mean.shape) for e in estimates]
        )
