"""Series in the coupling and in 1/N, and what their coefficients tell: radius of convergence, resummed values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from nnqft.checks import finite_number, whole_number
from nnqft.errors import InputError
from nnqft.integrals.estimate import Estimate, add_all
from nnqft.results.approximants import pade_of
from nnqft.results.singularity import CLEAR, Singularity, noise_of, singularity_of
from nnqft.show.numbers import value_with_error

_MAGNIFIED = 3.0
"""An approximant may make this many times the error of the plain sum of its coefficients' errors."""


@dataclass(frozen=True, eq=False, repr=False)
class Series(Mapping[tuple[int | str, int], Estimate]):
    """Estimates keyed by (order, width), couplings included; a resummed one by ("resummed", width).

    Attributes
    ----------
    contributions : dict
    coupling : float
        The expansion parameter g of the orders: σ_w² for networks, 1 where a theory has several couplings.
    N : int
        Width; the contributions of width order k carry N^{−k}.

    Examples
    --------
    >>> import nnqft
    >>> theory = nnqft.theory("linear", N=100, sigma_w=0.5)
    >>> result = nnqft.compute(theory, "two_point", order=2, tau=[0.0, 1.0])
    >>> list(result.series)
    [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2)]
    >>> result.series[1, 0].mean.round(6).tolist(), result.series.total.mean.round(6).tolist()
    ([0.0625, 0.045985], [0.5752, 0.241042])
    """

    contributions: Mapping[tuple[int | str, int], Estimate]
    coupling: float = 1.0
    N: int = 1

    def __repr__(self) -> str:
        total = self.total
        first = value_with_error(float(total.mean[0]), float(total.sdev[0]))
        return f"Series({len(self)} contributions by (order, width order), together {first} at the first time)"

    def __getitem__(self, key: tuple[int | str, int]) -> Estimate:
        return self.contributions[key]

    def __iter__(self) -> Iterator[tuple[int | str, int]]:
        return iter(self.contributions)

    def __len__(self) -> int:
        return len(self.contributions)

    @property
    def total(self) -> Estimate:
        """The sum of all contributions; diagrams are sampled independently of each other."""
        return add_all(self.contributions.values())

    @property
    def order(self) -> int:
        """Highest order of a contribution.

        Raises
        ------
        InputError
            If all orders were summed at once.
        """
        if any(isinstance(n, str) for n, _ in self.contributions):
            raise InputError("all orders were summed at once; for the series compute with a whole number for order")
        return max(int(n) for n, _ in self.contributions)

    @property
    def widths(self) -> tuple[int, ...]:
        """The width orders of which there are contributions, ascending."""
        return tuple(sorted({k for _, k in self.contributions}))

    def coefficients(self, width: int, at: int = 0) -> np.ndarray:
        """(order + 1,) coefficients a_n of g^n N^{−width} at time number `at`; bare, without g and N.

        Raises
        ------
        InputError
            If the coupling is zero, or no diagram has this width order.

        Examples
        --------
        >>> import nnqft
        >>> theory = nnqft.theory("linear", N=100, sigma_w=0.5)
        >>> result = nnqft.compute(theory, "two_point", order=2, tau=[0.0, 1.0])
        >>> result.series.coefficients(width=0).tolist()  # 1/2, 1/4, 3/16
        [0.5, 0.25, 0.1875]
        """
        width, at = whole_number("width", width, 0), self._time(at)
        if width not in self.widths:
            raise InputError(f"no contribution of width order {width}, there are {list(self.widths)}")
        last = self.order
        if self.coupling == 0:
            raise InputError("the coupling is 0, so no coefficient is known; compute with sigma_w=1 for bare ones")
        values = np.zeros(last + 1)
        for (n, k), part in self.contributions.items():
            if k == width and isinstance(n, int):
                mean, bound = part.mean[at], np.broadcast_to(part.rounding, part.mean.shape)[at]
                # What lies below its rounding bound is a zero that did not quite cancel.
                values[n] = mean / self.coupling**n * float(self.N) ** k if abs(mean) > bound else 0.0
        return values

    def ratios(self, width: int, at: int = 0) -> np.ndarray:
        """a_n/a_{n−1} from the second non-zero coefficient on; their limit is 1/g_c.

        Raises
        ------
        InputError
            If there are fewer than two non-zero coefficients in a row.

        Examples
        --------
        >>> import nnqft
        >>> theory = nnqft.theory("linear", N=100, sigma_w=0.5)
        >>> series = nnqft.compute(theory, "two_point", order=3, width_order=0).series
        >>> series.ratios(width=0).round(6).tolist()  # 1/2, 3/4, 5/6
        [0.5, 0.75, 0.833333]
        """
        known = self.coefficients(width, at)
        known = known[np.flatnonzero(known)[0] :] if known.any() else known[:0]
        if len(known) < 2 or (known == 0).any():
            raise InputError(f"width order {width}: too few non-zero coefficients for ratios; compute a higher order")
        return known[1:] / known[:-1]

    def singularity(self, width: int, at: int = 0) -> Singularity:
        """Critical coupling by the ratio test: a_n/a_{n−1} = (1/g_c)(1 + (exponent − 1)/n + O(1/n²)).

        Three coefficients of the expansion in 1/n are eliminated from the last ratios (Neville's table); needs
        four ratios. What that is worth is seen from fewer of them, from the series without its last coefficient, and
        from the poles of Padé approximants to the logarithmic derivative. (A. J. Guttmann, in Phase Transitions and
        Critical Phenomena 13, 1 (1989).)

        Raises
        ------
        InputError
            If there are fewer than four ratios, or they do not tell: the error is no less than a third of g_c, as
            where singularities are complex or several are alike.
        """
        ratios = self.ratios(width, at)
        if len(ratios) < 4:
            raise InputError(f"width order {width}: {len(ratios)} ratios, wanted 4; compute a higher order")
        known = self.coefficients(width, at)
        errors = self._errors(whole_number("width", width, 0), self._time(at))
        cut = -len(ratios) - 1
        return singularity_of(known[cut:], errors[cut:], self.order - len(ratios), f"width order {width}")

    def _time(self, at: int) -> int:
        """The number of a time that was asked for, from 0; negative ones count from the end."""
        count = len(self.total.mean)
        number = whole_number("at", at, -count, "0")
        if number >= count:
            raise InputError(f"at={number}: there are {count} times, numbered from 0; write for example at=0")
        return number % count

    def _errors(self, width: int, at: int) -> np.ndarray:
        """(order + 1,) standard deviations of the coefficients."""
        errors = np.zeros(self.order + 1)
        for (n, k), part in self.contributions.items():
            if k == width and isinstance(n, int):
                errors[n] = part.sdev[at] / abs(self.coupling) ** n * float(self.N) ** k
        return errors

    def pade(self, width: int, at: int = 0, coupling: float | None = None, denominator: int | None = None) -> float:
        """Padé value of Σ a_n g^n N^{−width}, by default near-diagonal and at the series' own coupling.

        The approximant is the quotient of two polynomials in g whose Taylor series agrees with the known coefficients
        (G. A. Baker and P. Graves-Morris, Padé Approximants, Cambridge 1996).

        Parameters
        ----------
        width, at
            Width order, and number of the time.
        coupling
            g; the series' own if not given.
        denominator
            Degree of the polynomial below; half of the order, rounded down, if not given.

        Raises
        ------
        InputError
            If it does not exist, has a pole between 0 and g, or makes the errors of the coefficients too large.

        Examples
        --------
        >>> import nnqft
        >>> theory = nnqft.theory("linear", N=100, sigma_w=0.5)
        >>> series = nnqft.compute(theory, "two_point", order=4, width_order=0).series
        >>> round(series.pade(width=0), 4), round(0.5 / (1 - 0.25) ** 0.5, 4)
        (0.5773, 0.5774)
        """
        known = self.coefficients(width, at)
        width, at = whole_number("width", width, 0), self._time(at)
        start = int(np.flatnonzero(known)[0]) if known.any() else 0
        known = known[start:]
        g = self.coupling if coupling is None else finite_number("coupling", coupling, "0.25")
        bottom = (len(known) - 1) // 2 if denominator is None else whole_number("denominator", denominator, -1000)
        if not 0 <= bottom < len(known):
            raise InputError(f"denominator={bottom}: wanted a degree from 0 to {len(known) - 1}")
        value, pole = pade_of(known, bottom, g)
        if math.isnan(value):
            raise InputError(f"no Padé approximant with denominator={bottom} exists; try another degree")
        if pole:
            raise InputError(
                f"the Padé approximant with denominator={bottom} has a pole at {pole:.3g}, between 0 and the coupling"
                f" {g:.3g}: its value there means nothing; try another degree or a smaller coupling"
            )
        errors = self._errors(width, at)[start:]
        noise = noise_of(lambda a: pade_of(a, bottom, g)[0], known, errors)
        plain = math.hypot(*(errors * float(g) ** np.arange(len(errors))))
        if not noise <= max(CLEAR * abs(value), _MAGNIFIED * plain):
            raise InputError(
                f"the Padé approximant with denominator={bottom} makes {value:.3g} ± {noise:.2g} of the coefficients'"
                " errors; compute with smaller ones, or write a smaller denominator"
            )
        return float(g**start * value) / float(self.N) ** width

    def resummed(self, at: int = 0) -> float:
        """The sum over all width orders of their Padé values at the series' own coupling; raises as `pade` does."""
        return sum(self.pade(width, at) for width in self.widths)
