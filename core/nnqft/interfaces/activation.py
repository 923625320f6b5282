"""The true activation of a network, beside its Taylor series in the rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.polynomial.polynomial import polyder, polyval

from nnqft.errors import InputError, short


@dataclass(frozen=True, repr=False)
class Activation:
    """φ and its derivative as functions of arrays, for what needs the network itself: simulation, mean-field theory.

    Parameters
    ----------
    name
        How it is printed: ``"tanh"``, ``"h − h³/3"``.
    value, slope
        φ(h) and φ'(h), vectorised over float64 arrays of any shape. They must survive pickling: functions at the top
        of a module, or instances of a class there. Without a slope, what needs φ' takes it from averages of φ.
    kinks
        Where φ or one of its derivatives jumps. Between them φ is smooth.

    Examples
    --------
    >>> import numpy as np
    >>> from nnqft import Activation
    >>> sine = Activation("sin", np.sin, np.cos)
    >>> float(sine.slope(np.zeros(1))[0])
    1.0
    """

    name: str
    value: Callable[[np.ndarray], np.ndarray]
    slope: Callable[[np.ndarray], np.ndarray] | None = None
    kinks: tuple[float, ...] = ()

    def __repr__(self) -> str:
        return f"Activation({self.name})"

    @property
    def coefficients(self) -> tuple[float, ...] | None:
        """Those of h^0, h^1, … where φ is a polynomial that `polynomial` made, else None."""
        return self.value.coefficients if isinstance(self.value, PolynomialFunction) else None

    @classmethod
    def polynomial(cls, name: str, coefficients: dict[int, float]) -> Activation:
        """φ(h) = Σ_p coefficients[p] h^p.

        Raises
        ------
        InputError
            If the coefficients are no mapping.

        Examples
        --------
        >>> import numpy as np
        >>> from nnqft import Activation
        >>> cubic = Activation.polynomial("h − h³/3", {1: 1.0, 3: -1 / 3})
        >>> cubic.slope(np.array([0.0, 1.0])).tolist()
        [1.0, 0.0]
        """
        if not isinstance(coefficients, Mapping):
            raise InputError(f"coefficients={short(coefficients)}: wanted a mapping, write {{1: 1.0, 3: -0.3}}")
        dense = [float(coefficients.get(p, 0.0)) for p in range(max(coefficients, default=0) + 1)]
        slope = polyder(dense) if len(dense) > 1 else [0.0]
        return cls(name, PolynomialFunction(tuple(dense)), PolynomialFunction(tuple(float(c) for c in slope)))


@dataclass(frozen=True)
class PolynomialFunction:
    """Σ_p coefficients[p] h^p as a function that can be pickled."""

    coefficients: tuple[float, ...]

    def __call__(self, h: np.ndarray) -> np.ndarray:
        """Value at h, of the same shape."""
        return polyval(h, self.coefficients)
