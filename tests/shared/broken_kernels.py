"""Lines and integrators that go wrong, at module level so that workers can import them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np
from mortal import AwkwardError
from theories import bare_theory

import nnqft


def _correlator(t: Any, s: Any, params: Mapping[str, Any], xp: ModuleType) -> tuple[Any, Any]:
    """½ e^{−|t−s|}, and where |t−s| lies between params' low and high."""
    lag = xp.abs(t - s)
    return 0.5 * xp.exp(-lag), (lag > params["low"]) & (lag < params["high"])


def raises(t: Any, s: Any, params: Mapping[str, Any], xp: ModuleType) -> Any:
    value, bad = _correlator(t, s, params, xp)
    if bad.any():
        raise ValueError("no value at this lag")
    return value


def raises_awkwardly(t: Any, s: Any, params: Mapping[str, Any], xp: ModuleType) -> Any:
    value, bad = _correlator(t, s, params, xp)
    if bad.any():
        raise AwkwardError("no value ", "at this lag")
    return value


def raises_on_several_lines(t: Any, s: Any, params: Mapping[str, Any], xp: ModuleType) -> Any:
    value, bad = _correlator(t, s, params, xp)
    if bad.any():
        raise ValueError("no value at this lag\n  for reasons\nwithout end")
    return value


def returns_nan(t: Any, s: Any, params: Mapping[str, Any], xp: ModuleType) -> Any:
    value, bad = _correlator(t, s, params, xp)
    return xp.where(bad, xp.nan, value)


def returns_inf(t: Any, s: Any, params: Mapping[str, Any], xp: ModuleType) -> Any:
    value, bad = _correlator(t, s, params, xp)
    return xp.where(bad, xp.inf, value)


def returns_complex(t: Any, s: Any, params: Mapping[str, Any], xp: ModuleType) -> Any:
    value, bad = _correlator(t, s, params, xp)
    return value + 1j * bad if bad.any() else value


def returns_none(t: Any, s: Any, params: Mapping[str, Any], xp: ModuleType) -> Any:
    value, bad = _correlator(t, s, params, xp)
    return None if bad.any() else value


def returns_another_shape(t: Any, s: Any, params: Mapping[str, Any], xp: ModuleType) -> Any:
    value, bad = _correlator(t, s, params, xp)
    return xp.zeros(3) if bad.any() else value


def returns_masked(t: Any, s: Any, params: Mapping[str, Any], xp: ModuleType) -> Any:
    value, bad = _correlator(t, s, params, xp)
    return np.ma.array(value, mask=bad)


def ends_the_program(t: Any, s: Any, params: Mapping[str, Any], xp: ModuleType) -> Any:
    value, bad = _correlator(t, s, params, xp)
    if bad.any():
        raise SystemExit(3)
    return value


def never(times: Any, params: Mapping[str, Any], xp: ModuleType) -> Any:
    """The kernel of a vertex that has no value anywhere."""
    return xp.nan * times[0]


def dies(t: Any, s: Any, params: Mapping[str, Any], xp: ModuleType) -> Any:
    value, bad = _correlator(t, s, params, xp)
    if bad.any() and os.getpid() != params["pid"]:
        os._exit(1)
    return value


def theory(kernel: Callable[..., Any] | None, low: float = 1e300, high: float = 2e300) -> nnqft.Theory:
    """The stationary linear network whose correlator is `kernel`, which goes wrong between two lags."""
    right = bare_theory("linear")
    params = (("high", high), ("low", low), ("pid", os.getpid()))
    lines = [
        replace(p, terms=(), kernel=kernel, params=params) if kernel and p.name == "C" else p for p in right.propagators
    ]
    return replace(right, propagators=tuple(lines))


LATE = 1000.0


def late_times() -> list[tuple[float, float]]:
    """Sixteen pairs, of which only the second is far apart: an adaptation that looks at a few times overlooks it."""
    return [(LATE if n == 1 else 0.1 * n, 0.0) for n in range(16)]


@dataclass(frozen=True)
class Numbered(nnqft.AbstractIntegrator):
    """Every integral's value is its first time; the first ones take longest. It may fail."""

    name = "numbered"
    delay: float = 0.0
    fails: bool = False
    awkward: bool = False

    def supports(self, integral: nnqft.TimeIntegral) -> bool | str:
        return True

    def prepare(self, integral: nnqft.TimeIntegral, seed: np.random.SeedSequence) -> float:
        return float(integral.times[0, 0])

    def sample(
        self, integral: nnqft.TimeIntegral, state: float, neval: int, seed: np.random.SeedSequence
    ) -> nnqft.Estimate:
        time.sleep(self.delay / (1 + state))
        if self.fails:
            raise AwkwardError("no value ", "here") if self.awkward else ValueError("no value")
        return nnqft.Estimate.of_chunk(neval, np.array([state]), np.array([[1.0 / neval]]))
