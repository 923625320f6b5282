"""The interfaces of observables: those with legs, and those derived from others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnqft.errors import InputError
from nnqft.rules.parts import Leg
from nnqft.rules.theory import Theory


class AbstractObservable(ABC):
    """A correlation function, given by the legs its diagrams end on.

    Attributes
    ----------
    name, summary : str
    arity : int or None
        Columns of the times; None for any number.
    connected : bool
        True: connected diagrams only. False: the moment, each part of a diagram holding an external leg.

    Examples
    --------
    >>> import nnqft
    >>> theory = nnqft.theory("linear", N=100, sigma_w=0.5)
    >>> from nnqft import AbstractObservable, Leg
    >>> class Kurtosis(AbstractObservable):  # ⟨h_i(t)⁴⟩ connected
    ...     name, arity, connected = "kurtosis", 1, True
    ...     def legs(self, theory, arity):
    ...         return (Leg("h", 0, "i"),) * 4
    >>> len(Kurtosis().legs(theory, 1))
    4
    """

    name: str
    summary: str = ""
    arity: int | None = 2
    connected: bool = False

    @abstractmethod
    def legs(self, theory: Theory, arity: int) -> tuple[Leg, ...]:
        """The external legs for that many times.

        The `point` of a leg is the column of its time, and legs of equal `index` carry the same index; those of
        different `replica` belong to different noise histories on one network.
        """

    def resummed(self, theory: Theory, width: int, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The sum of all orders in the coupling of a width order, where the observable knows it and the model does not.

        As `AbstractModel.resummed`: values and bounds of their errors, (M,) each, N^{−width} included.

        Raises
        ------
        InputError
            If it has no such sum.
        """
        raise InputError(f"observable {self.name!r} has no resummed form; write a whole number for order")


@dataclass(frozen=True, repr=False)
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
    replicas : str or None
        Pattern of their noise histories, such as ``"aabb"``; None for one.
    width_order : int or None
        The highest power of 1/N that is wanted of it, whatever is asked for; None for what is asked for.

    Examples
    --------
    >>> from nnqft import Need
    >>> Need("cumulant", times=((0.0, 0.0, 0.0, 0.0),), indices="iijj").indices
    'iijj'
    """

    observable: str
    times: tuple[tuple[float, ...], ...]
    indices: str | None = None
    replicas: str | None = None
    width_order: int | None = None

    def __repr__(self) -> str:
        patterns = ", ".join(pattern for pattern in (self.indices, self.replicas) if pattern)
        return f"Need({self.observable}{f' ({patterns})' * bool(patterns)} at {len(self.times)} times)"


class AbstractDerivedObservable(ABC):
    """Numbers made of base observables, such as a correlation length.

    The base observables that several derived ones need are evaluated once, at all their times together.

    Attributes
    ----------
    name, summary : str
    arity : int or None
        Columns of the times a user may give; None for any number, 0 if it takes no times.

    Examples
    --------
    >>> import nnqft
    >>> theory = nnqft.theory("linear", N=100, sigma_w=0.5)
    >>> from nnqft import AbstractDerivedObservable, Need
    >>> class Decay(AbstractDerivedObservable):
    ...     name, arity = "decay", 0
    ...     def needs(self, theory, times):
    ...         return {"c": Need("two_point", ((0.0, 0.0), (1.0, 0.0)))}
    ...     def derive(self, theory, times, values):
    ...         return {"C(1)/C(0)": values["c"][1] / values["c"][0]}
    >>> sorted(Decay().needs(theory, None))
    ['c']
    >>> Decay().derive(theory, None, {"c": [0.5, 0.25]})
    {'C(1)/C(0)': 0.5}
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

    def needs_resummed(self, theory: Theory, times: np.ndarray | None) -> Mapping[str, Need]:
        """What has to be computed where all orders are summed, under names that `derive` knows; by default `needs`.

        A need may name this observable itself: then its sum is asked for as a whole, as that of base observables is.
        """
        return self.needs(theory, times)

    @abstractmethod
    def derive(self, theory: Theory, times: np.ndarray | None, values: Mapping[str, np.ndarray]) -> Mapping[str, Any]:
        """What each number is called, and the number.

        `values` has an array of M correlated gvars for each need, by its name; arithmetic and numpy functions carry
        their errors on. nan stands for a number that does not exist.
        """

    def method_error(
        self, theory: Theory, times: np.ndarray | None, values: Mapping[str, np.ndarray]
    ) -> Mapping[str, float]:
        """What a fit or a finite grid leaves uncertain of the numbers of `derive`, even where `values` are exact.

        Such as the difference to a smaller fit or a coarser grid; nan where nothing is known. `values` are plain
        numbers here. Numbers that are not named follow from the base observables exactly.
        """
        return {}
