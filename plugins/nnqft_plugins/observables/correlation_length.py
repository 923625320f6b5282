"""The correlation length of a stationary process, by three definitions that agree for C(τ) ∝ e^{−|τ|/ξ} + plateau."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nnqft import AbstractDerivedObservable, InputError, Need, Theory
from nnqft_plugins.observables.plateau import check_stationary, noise_strength, plateau_lag, slowest_rate

NODES = 24
"""Of the Gauss–Laguerre rule: exact for every order of a linear network up to n = 23."""
_ROUNDING = 1e-9
"""A method error below this is rounding, in the unit of time."""


class CorrelationLength(AbstractDerivedObservable):
    """ξ in the unit of time.

    ``short_time`` is −(C(0) − plateau)/C'(0+) = 2 (C(0) − plateau)/κ, as white noise fixes the slope at 0+.
    ``integral`` is ∫_0^∞ (C(τ) − plateau) dτ / (C(0) − plateau), by Gauss–Laguerre quadrature.
    ``fit`` is −1/slope of a straight line through ln(C(τ) − plateau) at the lags that were given, all weighted equally;
    by default eight lags from 0.5 to 4 times 1/γ (1/the slowest rate of the lines).
    The plateau is C(τ → ∞). Source of the first: the talk (docs/physics.md), where ξ is read off the cusp of X(τ).
    """

    name = "correlation_length"
    summary = "ξ of C(τ): short_time 2(C(0)−plateau)/κ, integral ∫(C−plateau)/(C(0)−plateau), fit of the decay"

    def needs(self, theory: Theory, times: np.ndarray | None) -> Mapping[str, Need]:
        """C at 0, at the nodes of the quadrature, in the window of the fit, and far away."""
        check_stationary(theory, self.name)
        noise_strength(theory)
        if times is not None and len(np.unique(self._window(theory, times))) < 2:
            raise InputError("correlation_length fits a decay to the lags it is given; write two or more, or none")
        far = plateau_lag(theory)
        lags: dict[str, Any] = {
            "start": [0.0],
            "nodes": _nodes()[0] / slowest_rate(theory),
            "window": self._window(theory, times),
        }
        if far is not None:
            lags["far"] = [far]
        return {name: Need("two_point", tuple((float(t), 0.0) for t in lag)) for name, lag in lags.items()}

    def derive(self, theory: Theory, times: np.ndarray | None, values: Mapping[str, np.ndarray]) -> Mapping[str, Any]:
        """The lengths ``short_time``, ``integral`` and ``fit``, nan where C gives none."""
        plateau = values["far"][0] if "far" in values else 0.0
        start = values["start"][0] - plateau
        _, weights = _nodes()
        area = np.sum(weights * (values["nodes"] - plateau)) / slowest_rate(theory)
        height = values["window"] - plateau
        return {
            "short_time": 2 * start / noise_strength(theory),
            "integral": area / start if start != 0 else np.nan,
            "fit": _decay_time(self._window(theory, times), height) if all(h > 0 for h in height) else np.nan,
        }

    def method_error(
        self, theory: Theory, times: np.ndarray | None, values: Mapping[str, np.ndarray]
    ) -> Mapping[str, float]:
        """Of the integral what its quadrature leaves out, of the fit what the scatter about its line allows."""
        plateau = values["far"][0] if "far" in values else 0.0
        height = values["window"] - plateau
        start = (values["start"][0] - plateau) * slowest_rate(theory)
        errors = {"integral": abs(_quadrature_error(values["nodes"] - plateau) / start) if start else np.nan}
        if (height > 0).all():
            errors["fit"] = _scatter(self._window(theory, times), height)
        return {name: 0.0 if size < _ROUNDING else size for name, size in errors.items()}

    @staticmethod
    def _window(theory: Theory, times: np.ndarray | None) -> np.ndarray:
        return np.linspace(0.5, 4, 8) / slowest_rate(theory) if times is None else np.abs(times[:, 0] - times[:, 1])


def _nodes() -> tuple[np.ndarray, np.ndarray]:
    """Nodes x and weights w with ∫_0^∞ f dx ≈ Σ w f(x)."""
    x, w = np.polynomial.laguerre.laggauss(NODES)
    return x, w * np.exp(x)


def _quadrature_error(values: np.ndarray) -> float:
    """What the rule leaves out of the integral of f, from the last coefficients of f e^x in Laguerre polynomials.

    They fall geometrically where f is a sum of exponentials times polynomials, and vanish for one of the rate that
    the nodes are made for. A rule of n nodes misses those from 2n on: about the last one squared. What far nodes lack
    in digits is magnified by e^x: then a tail is better counted as an error as a whole, wherever that is less.
    """
    x, weights = _nodes()
    # Far nodes weigh so much that the rounding of their values would be all that is seen.
    values = np.where(np.abs(values) > 1e-11 * np.abs(values).max(), values, 0.0)
    parts = weights * values
    polynomials = np.polynomial.laguerre.lagvander(x, NODES - 1)
    errors = []
    for kept in range(NODES // 2, NODES + 1):
        coefficients = polynomials[:kept].T @ parts[:kept]
        first, last = abs(coefficients[0]), float(np.abs(coefficients[-2:]).max())
        errors.append(last**2 / first + abs(float(parts[kept:].sum())) if first else np.nan)
    return float(np.min(errors))


def _scatter(lags: np.ndarray, height: np.ndarray) -> float:
    """Standard error of −1/slope from the scatter of ln(height) about its line; nan if only two lags are there."""
    if len(lags) < 3:
        return np.nan
    centred, logs = lags - lags.mean(), np.log(height)
    square = float(np.sum(centred**2))
    slope = float(np.sum(centred * logs)) / square
    rest = logs - logs.mean() - slope * centred
    return float(np.sqrt(np.sum(rest**2) / (len(lags) - 2) / square) / slope**2) if slope else np.nan


def _decay_time(lags: np.ndarray, height: np.ndarray) -> Any:
    """−1/slope of the straight line through ln(height)."""
    centred = lags - lags.mean()
    slope = np.sum(centred * np.log(height)) / np.sum(centred**2)
    return -1 / slope if slope != 0 else np.nan
