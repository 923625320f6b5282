"""What lines and memories must be like: numbers that mean something, and functions that agree with their place."""

from __future__ import annotations

import cmath
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from nnqft.errors import TheoryError, short
from nnqft.rules.parts import Memory, Propagator
from nnqft.rules.term import SIDES, Array, Term

_LAGS = (0.01, 0.1, 0.7, 3.0)
_EARLIER = (0.4, 1.3)
_LATER_BY = 2.6
"""Where functions are looked at: time differences, earlier times and a shift, in units of the slowest decay."""
_CLOSE = 1e-8

Kernel = Callable[[Array, Array, Mapping[str, Any], ModuleType], Array]


@dataclass(frozen=True)
class Setting:
    """What of a theory its lines must suit: its start, θ(0), and how far its times reach."""

    stationary: bool
    timeless: bool
    theta0: float
    horizon: float


def check_line(where: str, line: Propagator, response: bool, setting: Setting) -> None:
    """Raise TheoryError on terms or a kernel that the line cannot have; `where` begins its text."""
    check_terms(where, line.terms, response, setting)
    if sided := [term for term in line.terms if term.left != "either"]:
        if response:
            raise TheoryError(f"{where}: {sided[0]}: a response is there for t > s alone; leave left out")
        if line.left == line.right:
            raise TheoryError(f"{where}: {sided[0]}: a correlator of a field with itself is symmetric; leave left out")
    if response and setting.theta0 and any(term.early for term in line.terms):
        raise TheoryError(f"{where}: theta0 = {setting.theta0} closes responses, which then have no early")
    if line.kernel is None or response or line.delta:
        return
    values = _Values(line.kernel, dict(line.params), line.terms, setting)
    if line.left == line.right:
        values.check_symmetry(f"{where}: ⟨{line.left}(t) {line.right}(s)⟩", "a correlator of a field with itself is")
    values.check_shift(where)
    if line.terms:
        values.check_against(where, line)


def check_memory(where: str, memory: Memory, setting: Setting) -> None:
    """Raise TheoryError on a memory with terms or a kernel that it cannot have."""
    check_terms(where, memory.terms, False, setting)
    if memory.symmetric and any(term.left != "either" for term in memory.terms):
        raise TheoryError(f"{where}: its terms differ for t ≥ s and t < s; write symmetric=False")
    if memory.kernel is not None:
        values = _Values(memory.kernel, dict(memory.params), memory.terms, setting)
        if memory.symmetric:
            values.check_symmetry(where, "write symmetric=False, as a memory without it is")
        values.check_shift(where)


def check_terms(where: str, terms: Sequence[Term], response: bool, setting: Setting) -> None:
    """Raise TheoryError on a term that grows, never decays, or depends on what the theory does not know."""
    if not isinstance(terms, tuple):
        raise TheoryError(f"{where}: terms={short(terms)}: wanted a tuple, such as terms=(Term(0.5, 1.0),)")
    for term in terms:
        try:
            finite = all(cmath.isfinite(number) for number in (term.amplitude, term.rate, term.early))
        except (TypeError, AttributeError):
            raise TheoryError(f"{where}: {short(term)}: wanted Terms of numbers, such as Term(0.5, 1.0)") from None
        if not finite:
            raise TheoryError(f"{where}: {term} is not finite")
        if term.left not in SIDES:
            raise TheoryError(f"{where}: {term}: left={short(term.left)}; wanted 'either', 'later' or 'earlier'")
        rate, early = complex(term.rate).real, complex(term.early).real
        if rate < 0 or early < 0 or (response and rate == 0):
            raise TheoryError(f"{where}: {term} grows or never decays; wanted rates {'> 0' if response else '≥ 0'}")
        if setting.stationary and term.early:
            raise TheoryError(
                f"{where}: early={term.early:g} depends on the time itself, and nothing stationary does;"
                " leave early out, or write start='rest'"
            )


class _Values:
    """A kernel at a few pairs of times; empty if it fails there, which is for the integrand to say."""

    def __init__(self, kernel: Kernel, params: Mapping[str, Any], terms: Sequence[Term], setting: Setting) -> None:
        self.kernel, self.params, self.setting = kernel, params, setting
        rates = [rate for term in terms if (rate := complex(term.rate).real) > 0]
        unit = 1 / min(rates, default=1.0)
        if not setting.stationary:
            unit = min(unit, setting.horizon / (_EARLIER[-1] + _LAGS[-1] + _LATER_BY))
        early, lag = (each.ravel() for each in np.meshgrid(_EARLIER, _LAGS))
        self.shift = _LATER_BY * unit
        self.t = unit * np.concatenate([early + lag, early])
        self.s = unit * np.concatenate([early, early + lag])
        self.here = self.at(self.t, self.s)

    def at(self, t: np.ndarray, s: np.ndarray) -> np.ndarray | None:
        """Values at these times, None if there are none."""
        if self.setting.timeless:
            return None
        with np.errstate(all="ignore"):
            try:
                values = np.asarray(self.kernel(t, s, self.params, np))
                if values.dtype.kind == "c":
                    return None
                values = values.astype(float)
            except Exception:  # a plugin's code may raise anything
                return None
        good = values.shape in ((), t.shape) and np.isfinite(values).all()
        return np.broadcast_to(values, t.shape) if good else None

    def check_symmetry(self, where: str, must: str) -> None:
        """Refuse what changes when the two times are exchanged."""
        half = len(self.t) // 2
        if self.here is not None and (n := self._differs(self.here, np.roll(self.here, half))) is not None:
            one, two = self.here[n], np.roll(self.here, half)[n]
            raise TheoryError(
                f"{where} is {one:.6g} at (t, s) = ({self.t[n]:g}, {self.s[n]:g}) and {two:.6g} with the times"
                f" exchanged; {must} symmetric"
            )

    def check_shift(self, where: str) -> None:
        """Refuse what depends on more than the difference of times in a stationary theory."""
        if self.here is None or not self.setting.stationary:
            return
        later = self.at(self.t + self.shift, self.s + self.shift)
        if later is not None and (n := self._differs(self.here, later)) is not None:
            raise TheoryError(
                f"{where}: its kernel is {self.here[n]:.6g} at (t, s) = ({self.t[n]:g}, {self.s[n]:g}) and"
                f" {later[n]:.6g} at both times {self.shift:g} later; in a stationary theory it depends on t − s alone"
            )

    def check_against(self, where: str, line: Propagator) -> None:
        """Refuse terms that are not the kernel."""
        terms = sum((term(self.t, self.s, np) for term in line.terms), np.zeros(len(self.t)))
        if self.here is not None and (n := self._differs(self.here, terms)) is not None:
            raise TheoryError(
                f"{where}: at (t, s) = ({self.t[n]:g}, {self.s[n]:g}) its kernel is {self.here[n]:.6g} and the sum of"
                f" its terms {terms[n]:.6g}; give one of them"
            )

    @staticmethod
    def _differs(one: np.ndarray, two: np.ndarray) -> int | None:
        """Where the two differ most, None if they do not beyond rounding."""
        gap = np.abs(one - two)
        return int(gap.argmax()) if gap.max() > _CLOSE * np.abs(one).max() else None
