"""Poles of the response function, by Prony's method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nnqft import AbstractDerivedObservable, InputError, Need, Theory
from nnqft_plugins.observables.plateau import check_stationary, slowest_rate

_RANK = 1e-9
"""Singular values of the prediction matrix below this part of the largest count as zero."""
_ROUNDING = 1e-6
"""A pole times the spacing that moves by less has moved by rounding, which the fit amplifies."""


class ResponsePoles(AbstractDerivedObservable):
    """Poles s = −rate ± i·frequency of R̂(s) = ∫_0^∞ R(τ) e^{−sτ} dτ, slowest decay first.

    R is taken as a sum of K exponentials through 2K equally spaced lags τ = h, 2h, …, 2Kh (by default K = 3 and
    h = 1/2γ): Prony's method, the Padé approximant of the z-transform of the samples. Where R has fewer exponentials
    the missing ones are nan. Of a truncated series these are the poles that its values up to 2Kh suggest: a finite
    order itself has only one, at −γ and of high multiplicity. Of the linear network to first order in 1/N all orders
    together have three, at −γ and −γ ± σ_w.
    The method error is how far a pole moves if the fit begins one lag later.
    F. B. Hildebrand, Introduction to Numerical Analysis, section 9.4.
    """

    name = "response_poles"
    summary = "decay rates and frequencies of R(τ), by Prony's method from lags h, 2h, …, 2Kh"

    def needs(self, theory: Theory, times: np.ndarray | None) -> Mapping[str, Need]:
        """R at equally spaced lags, and at one more, which tells how good the fit is."""
        check_stationary(theory, self.name)
        lags = _lags(theory, times)
        return {"response": Need("response", tuple((float(lag), 0.0) for lag in (*lags, lags[-1] + lags[0])))}

    def derive(self, theory: Theory, times: np.ndarray | None, values: Mapping[str, np.ndarray]) -> Mapping[str, Any]:
        """The rate and the frequency of each pole, slowest decay first."""
        samples = values["response"][: len(_lags(theory, times))]
        poles = _prony(samples, float(_lags(theory, times)[0]))
        numbers: dict[str, Any] = {}
        for n in range(len(samples) // 2):
            real, imaginary = poles[n] if n < len(poles) else (np.nan, np.nan)
            numbers[f"rate {n + 1}"], numbers[f"frequency {n + 1}"] = -real, imaginary
        return numbers

    def method_error(
        self, theory: Theory, times: np.ndarray | None, values: Mapping[str, np.ndarray]
    ) -> Mapping[str, float]:
        """How far each pole moves if the same fit begins one lag later: not at all where R has K exponentials."""
        samples, spacing = values["response"], float(_lags(theory, times)[0])
        later = _poles(samples[1:], spacing)
        errors: dict[str, float] = {}
        for n, pole in enumerate(_poles(samples[:-1], spacing)):
            gap = later[np.argmin(np.abs(later - pole))] - pole if len(later) else complex(np.nan, np.nan)
            sizes = {f"rate {n + 1}": abs(gap.real), f"frequency {n + 1}": abs(gap.imag)}
            errors |= {name: 0.0 if size < _ROUNDING / spacing else size for name, size in sizes.items()}
        return errors


def _lags(theory: Theory, times: np.ndarray | None) -> np.ndarray:
    if times is None:
        return np.arange(1, 7) / (2 * slowest_rate(theory))
    lags = times[:, 0] - times[:, 1]
    even = len(lags) % 2 == 0 and lags[0] > 0
    if not even or not np.allclose(lags, lags[0] * np.arange(1, len(lags) + 1), rtol=1e-9, atol=0):
        raise InputError(
            "response_poles needs an even number of equally spaced lags from their spacing on;"
            " write for example tau=[0.5, 1.0, 1.5, 2.0]"
        )
    return lags


def _prony(samples: np.ndarray, spacing: float) -> list[tuple[Any, Any]]:
    """(real, imaginary) parts of the poles as gvars, those with imaginary part < 0 left out last."""
    import gvar

    mean = gvar.mean(samples)
    count = _rank(mean)
    if not count:
        return []
    roots = _roots(mean, count)
    order = _slowest_first(roots)
    # Linear propagation by central differences along the samples.
    step = 1e-6 * np.abs(mean).max()
    slopes = np.array([
        (_roots(mean + step * unit, count, roots) - _roots(mean - step * unit, count, roots)) / (2 * step)
        for unit in np.eye(len(mean))
    ])  # fmt: skip
    poles, rates = np.log(roots) / spacing, slopes / roots / spacing
    noise = samples - mean
    return [
        (poles[n].real + np.sum(rates[:, n].real * noise), poles[n].imag + np.sum(rates[:, n].imag * noise))
        for n in order
    ]


def _poles(values: np.ndarray, spacing: float) -> np.ndarray:
    """The poles as complex numbers, slowest decay first; none of no values."""
    count = _rank(values) if len(values) else 0
    roots = _roots(values, count) if count else np.zeros(0, complex)
    return np.log(roots[_slowest_first(roots)]) / spacing


def _slowest_first(roots: np.ndarray) -> np.ndarray:
    order: np.ndarray = np.lexsort((-roots.imag, -roots.real))
    return order


def _rank(values: np.ndarray) -> int:
    """How many exponentials the values hold: with fewer than asked the matrix is singular."""
    sizes = np.linalg.svd(_hankel(values, len(values) // 2), compute_uv=False)
    return int((sizes > _RANK * sizes[0]).sum()) if sizes[0] > 0 else 0


def _hankel(values: np.ndarray, count: int) -> np.ndarray:
    return np.array([values[n : n + count] for n in range(len(values) - count)])


def _roots(values: np.ndarray, count: int, near: np.ndarray | None = None) -> np.ndarray:
    """z_k of values[n] = Σ_k a_k z_k^n, in the order of `near` if given."""
    matrix = _hankel(values, count)
    predicted, *_ = np.linalg.lstsq(matrix, -values[count:], rcond=None)
    roots = np.roots([1.0, *predicted[::-1]]).astype(complex)
    if near is None:
        return roots
    return roots[[np.argmin(np.abs(roots - root)) for root in near]]
