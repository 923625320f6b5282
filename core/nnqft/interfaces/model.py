"""The interface of models."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nnqft.errors import InputError
from nnqft.interfaces.activation import Activation
from nnqft.interfaces.parameter import Parameter
from nnqft.rules.theory import Theory

Summed = tuple[np.ndarray, np.ndarray] | tuple[np.ndarray, np.ndarray, Sequence[str]]
"""What a sum of all orders comes as: values and bounds of their errors, (M,) arrays, and notes if there are any."""


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

    Examples
    --------
    >>> import nnqft
    >>> from nnqft import AbstractModel, Field, Leg, Parameter, Propagator, Term, Theory, Vertex
    >>> class Quartic(AbstractModel):  # dx = −(x + ε x³) dt + √2 dB
    ...     name, starts = "quartic", ("stationary",)
    ...     parameters = {"eps": Parameter(0.1, "ε, 1/time", low=0.0)}
    ...     def theory(self, start, values):
    ...         fields = Field("h", "x(t)"), Field("z", "x̃(t)", response=True)
    ...         one = (Term(1.0, 1.0),)
    ...         lines = Propagator("C", "h", "h", terms=one), Propagator("G", "h", "z", terms=one)
    ...         vertex = Vertex("z x^3", (Leg("z"), Leg("h", power=3)), -1, (("eps", 1),))
    ...         return Theory(self.name, start, dict(values), fields, lines, (vertex,))
    >>> nnqft.compute(nnqft.theory(Quartic(), eps=0.1), "two_point", order=1).mean.round(6).tolist()  # 1 − 3ε
    [0.7]
    """

    name: str
    summary: str = ""
    parameters: Mapping[str, Parameter]
    starts: tuple[str, ...] = ("stationary", "rest")

    @abstractmethod
    def theory(self, start: str, values: Mapping[str, Any]) -> Theory:
        """The rules at validated values, one for every name in `parameters`."""

    def resummed(self, theory: Theory, observable: str, width: int, times: np.ndarray) -> Summed:
        """The sum of all diagrams of a width order, whatever their order in the coupling; models may know it.

        A model that knows sums for legs of different units takes one more argument, ``indices=None``, which is given
        where a request has a pattern such as ``"iijj"``. Where a model has no `resummed` of its own, the sums that
        plugins bring (`nnqft_sums`) are asked: those that come with nnqft know every network with an activation.

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
            The sum, and a bound of its rounding and quadrature error. A third item is a sequence of notes for whoever
            reads the result.

        Raises
        ------
        InputError
            If it has no such sum, or if the sum diverges at these parameters.
        """
        raise InputError(f"model {self.name!r} has no resummed form; write a whole number for order")

    def activation(self, values: Mapping[str, Any]) -> Activation | None:
        """The true φ at these values, for simulation and mean-field theory; None if there is no such network."""
        return None
