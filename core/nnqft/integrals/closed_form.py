"""Functions Σ_c P_c(x) e^{−c x} of x = γτ with rational coefficients, in exact arithmetic."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import overload

import numpy as np
from numpy.typing import ArrayLike

from nnqft.checks import finite_array
from nnqft.show.numbers import clipped

Polynomial = tuple[Fraction, ...]
"""Coefficients of x^0, x^1, …"""


@dataclass(frozen=True, repr=False)
class ClosedForm:
    """Σ_c P_c(γτ) e^{−cγτ} for τ ≥ 0.

    Attributes
    ----------
    terms : mapping
        c → coefficients of P_c in powers of γτ, all rational.
    gamma : Fraction
        The rate γ, so that the form can be called with τ.

    Examples
    --------
    >>> from fractions import Fraction
    >>> from nnqft import ClosedForm
    >>> form = ClosedForm({Fraction(1): (Fraction(1, 4), Fraction(1, 2))})
    >>> print(form)
    (1/4 + 1/2 τ) e^(−τ)
    >>> form.at_zero, form(0.0)
    (Fraction(1, 4), 0.25)
    """

    terms: Mapping[Fraction, Polynomial]
    gamma: Fraction = Fraction(1)

    @overload
    def __call__(self, tau: float) -> float: ...
    @overload
    def __call__(self, tau: np.ndarray | Sequence[float]) -> np.ndarray: ...
    def __call__(self, tau: ArrayLike) -> float | np.ndarray:
        """Value at τ ≥ 0, a float or an array."""
        x = float(self.gamma) * finite_array("tau", tau)
        value = np.zeros_like(x)
        for rate, polynomial in self.terms.items():
            value = value + np.polyval([float(c) for c in reversed(polynomial)], x) * np.exp(-float(rate) * x)
        return value if value.ndim else float(value)

    def __repr__(self) -> str:
        return clipped(f"ClosedForm({self}") + ")"

    @property
    def at_zero(self) -> Fraction:
        """The value at τ = 0 as a fraction."""
        return sum((polynomial[0] for polynomial in self.terms.values()), Fraction(0))

    def derivative(self) -> ClosedForm:
        """The derivative with respect to τ.

        Examples
        --------
        >>> from fractions import Fraction
        >>> from nnqft import ClosedForm
        >>> print(ClosedForm({Fraction(2): (Fraction(1),)}).derivative())
        (−2) e^(−2 τ)
        """
        terms = {rate: add(differentiate(p), scale(p, -rate)) for rate, p in self.terms.items()}
        return add_forms([(self.gamma, ClosedForm(terms, self.gamma))], self.gamma)

    def __str__(self) -> str:
        return self._write("γτ" if self.gamma != 1 else "τ", "e^(−{})", _plain_power, str, "−") or "0"

    def latex(self) -> str:
        r"""The form as LaTeX, without dollar signs.

        Examples
        --------
        >>> from fractions import Fraction
        >>> from nnqft import ClosedForm
        >>> print(ClosedForm({Fraction(1): (Fraction(1, 2),)}).latex())
        \frac{1}{2} e^{-\tau}
        """
        variable = r"\tau" if self.gamma == 1 else r"\gamma\tau"
        return self._write(variable, "e^{{-{}}}", _latex_power, _latex_number, "-") or "0"

    def _write(
        self,
        variable: str,
        exponential: str,
        power: Callable[[str, int], str],
        number: Callable[[Fraction], str],
        minus: str,
    ) -> str:
        """The sum as text, in one notation or another for powers, numbers and signs."""
        parts = []
        for rate, polynomial in sorted(self.terms.items()):
            monomials = [(c, n) for n, c in enumerate(polynomial) if c]
            if not monomials:
                continue
            body = _sum([number(abs(c)) + (" " + power(variable, n) if n else "") for c, n in monomials],
                        [c < 0 for c, _ in monomials], minus)  # fmt: skip
            if rate:
                decay = exponential.format((number(rate) + " " if rate != 1 else "") + variable)
                body = f"({body}) {decay}" if len(monomials) > 1 or body.startswith(minus) else f"{body} {decay}"
            parts.append(body)
        return " + ".join(parts)


def _sum(terms: list[str], negative: list[bool], minus: str) -> str:
    text = (minus if negative[0] else "") + terms[0]
    for term, below in zip(terms[1:], negative[1:], strict=True):
        text += (f" {minus} " if below else " + ") + term
    return text


def _plain_power(variable: str, n: int) -> str:
    base = f"({variable})" if len(variable) > 1 and n > 1 else variable
    return base + (str(n).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")) if n > 1 else "")


def _latex_power(variable: str, n: int) -> str:
    base = f"({variable})" if " " in variable or variable.count(chr(92)) > 1 else variable
    return f"{base}^{{{n}}}" if n > 1 else variable


def _latex_number(value: Fraction) -> str:
    return str(value) if value.denominator == 1 else rf"\frac{{{value.numerator}}}{{{value.denominator}}}"


def add_forms(parts: Iterable[tuple[Fraction, ClosedForm]], gamma: Fraction) -> ClosedForm:
    """Σ weight × form, terms that vanish left out."""
    total: dict[Fraction, Polynomial] = {}
    for weight, form in parts:
        for rate, polynomial in form.terms.items():
            total[rate] = add(total.get(rate, ()), scale(polynomial, weight))
    trimmed = {rate: _trim(polynomial) for rate, polynomial in total.items()}
    return ClosedForm({rate: p for rate, p in sorted(trimmed.items()) if p}, gamma)


def add(one: Polynomial, two: Polynomial) -> Polynomial:
    """The sum of two polynomials."""
    longer, shorter = (one, two) if len(one) >= len(two) else (two, one)
    return tuple(c + shorter[n] if n < len(shorter) else c for n, c in enumerate(longer))


def scale(polynomial: Polynomial, factor: Fraction) -> Polynomial:
    """The polynomial times a number."""
    return tuple(factor * c for c in polynomial)


def differentiate(polynomial: Polynomial) -> Polynomial:
    """The derivative of a polynomial with respect to x."""
    return tuple(n * c for n, c in enumerate(polynomial))[1:] or (Fraction(0),)


def _trim(polynomial: Polynomial) -> Polynomial:
    length = max((n + 1 for n, c in enumerate(polynomial) if c), default=0)
    return polynomial[:length]


def relax(rate: Fraction, start: Fraction, source: Mapping[Fraction, Polynomial]) -> dict[Fraction, Polynomial]:
    """Solution of f' = −rate·f + Σ_c source_c(x) e^{−cx}, f(0) = start. Equal rates raise the degree by one."""
    solution: dict[Fraction, Polynomial] = {}
    homogeneous = start
    for c, polynomial in source.items():
        gap = rate - c
        if gap == 0:
            integral = (Fraction(0), *(q / (n + 1) for n, q in enumerate(polynomial)))
            solution[rate] = add(solution.get(rate, ()), integral)
            continue
        # ∫ q(y) e^{gap·y} dy = e^{gap·x} Σ_j (−1)^j q^{(j)}(x)/gap^{j+1}, less its value at 0
        particular: Polynomial = ()
        derivative, factor = polynomial, 1 / gap
        for _ in range(len(polynomial)):
            particular = add(particular, scale(derivative, factor))
            derivative, factor = differentiate(derivative), -factor / gap
        solution[c] = add(solution.get(c, ()), particular)
        homogeneous -= particular[0]
    solution[rate] = add(solution.get(rate, ()), (homogeneous,))
    return solution


def rational(value: float) -> Fraction | None:
    """The fraction a float stands for, if it is one of a denominator up to a million; `None` otherwise."""
    exact = Fraction(value).limit_denominator(10**6)
    return exact if math.isclose(float(exact), value, rel_tol=4e-16, abs_tol=0.0) else None
