"""One statistical harness for every integrator: known answers, what is measured, and how integrators are spoilt.

A Monte Carlo integrator is judged by its pulls, (estimate − known value) / (its own error). If its errors are honest
the mean square of many pulls is 1, and repeated estimates scatter about each other by as much as they claim.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import oracles
from numpy.typing import NDArray
from scipy.stats import chi2
from theories import bare_theory

import nnqft
from nnqft.host import default_host

Array = NDArray[np.float64]
GAMMA, KAPPA = 1.3, 0.8


@dataclass(frozen=True)
class Case:
    """A time integral and its value at each of its times, shape (M,)."""

    label: str
    integral: nnqft.TimeIntegral
    exact: Array


def installed(*, exact: bool) -> dict[str, nnqft.AbstractIntegrator]:
    """The installed integrators that are exact, or those that sample."""
    found = default_host().found["integrator"]
    return {name: thing for name, (thing, _) in found.items() if thing.exact is exact}


def linear_cases(
    times: Sequence[tuple[float, float]], *, start: str = "stationary", order: int = 3, sigma_b: float = 0.0
) -> list[Case]:
    """Every two-point diagram of the linear model of exactly this order: (2·order+1)!! of them."""
    theory = bare_theory("linear", start=start, gamma=GAMMA, kappa=KAPPA, sigma_b=sigma_b)
    grid = np.array(times)
    cases = []
    for diagram in nnqft.diagrams(theory, "two_point", order=order):
        if diagram.order == order:
            integral = nnqft.time_integral(diagram, theory, grid)
            a, b = chain_lengths(integral)
            values = [chains(a, b, t, s, start=start, sigma_b=sigma_b) for t, s in times]
            cases.append(Case(f"{a}+{b}: {diagram}", integral, np.array(values)))
    return cases


def distinct(cases: Sequence[Case]) -> list[Case]:
    """One case for each integral that differs from the others."""
    return list({case.integral.key: case for case in cases}.values())


def chain_lengths(integral: nnqft.TimeIntegral) -> tuple[int, int]:
    """How many internal points hang from each of the two external points."""
    roots, lengths = [0, 1], [0, 0]
    for branch in integral.branches:
        roots.append(roots[branch.parent])
        lengths[roots[-1]] += 1
    return lengths[0], lengths[1]


def chains(a: int, b: int, t: float, s: float, *, start: str, sigma_b: float) -> float:
    """Two chains of a and b responses, down from t and from s, their ends joined by a correlator.

    κ ∫ du e^{−γ(t+s−2u)} (t−u)^a (s−u)^b/(a! b!) + σ_b² g_a(t) g_b(s), g_a(t) = ∫_0^{t−t_0} dv e^{−γv} v^a/a!.
    """
    t_from, s_from = (np.inf, np.inf) if start == "stationary" else (t, s)
    noise = oracles.noise_integral(a, b, t, s, GAMMA, min(t_from, s_from))
    bias = oracles.decay_integral(a, GAMMA, t_from) * oracles.decay_integral(b, GAMMA, s_from)
    return KAPPA * noise + sigma_b**2 * bias


# Measuring


def draw(
    integrator: nnqft.AbstractIntegrator, cases: Sequence[Case], *, repeats: int, neval: int, seed: int
) -> list[list[nnqft.Estimate]]:
    """`repeats` independent estimates of each case, all from states prepared as a computation prepares them."""
    states: dict[str, Any] = {}
    rows = []
    for n, case in enumerate(cases):
        key = case.integral.key
        if key not in states:
            states[key] = integrator.prepare(case.integral, np.random.SeedSequence((seed, len(states))))
        seeds = [np.random.SeedSequence((seed, 1000, n, r)) for r in range(repeats)]
        rows.append([integrator.sample(case.integral, states[key], neval, s) for s in seeds])
    return rows


@dataclass(frozen=True)
class Pulls:
    """Mean squares that are 1 if errors are honest, for cases at a single time.

    Attributes
    ----------
    exact
        Of every estimate's pull against the known value.
    repeats
        Of the estimates' scatter about their own mean, over what they claim.
    means
        Of each case's mean over the repeats against the known value: sees a bias that single estimates hide.
    """

    exact: float
    repeats: float
    means: float

    LOW, HIGH = 0.7, 1.3
    LOW_MEANS, HIGH_MEANS = 0.5, 1.5

    @property
    def complaints(self) -> list[str]:
        """What is wrong, nothing if the integrator is honest."""
        found = []
        for name, low, high in (
            ("exact", self.LOW, self.HIGH),
            ("repeats", self.LOW, self.HIGH),
            ("means", self.LOW_MEANS, self.HIGH_MEANS),
        ):
            value = getattr(self, name)
            if not low < value < high:
                found.append(f"{name}: χ²/dof = {value:.3g}, wanted {low} … {high}")
        return found


def measure(
    integrator: nnqft.AbstractIntegrator, cases: Sequence[Case], *, repeats: int = 6, neval: int = 1024, seed: int = 1
) -> Pulls:
    """The pulls of an integrator over cases that have one time each."""
    rows = draw(integrator, cases, repeats=repeats, neval=neval, seed=seed)
    mean = np.array([[estimate.mean[0] for estimate in row] for row in rows])
    variance = np.array([[estimate.cov[0, 0] for estimate in row] for row in rows])
    exact = np.array([case.exact[0] for case in cases])
    claimed = variance.mean(axis=1)
    scatter = ((mean - mean.mean(axis=1, keepdims=True)) ** 2).sum(axis=1) / (repeats - 1)
    return Pulls(
        exact=float(((mean - exact[:, None]) ** 2 / variance).mean()),
        repeats=float((scatter / claimed).mean()),
        means=float(((mean.mean(axis=1) - exact) ** 2 / (claimed / repeats)).mean()),
    )


def covariance_p_value(estimates: Sequence[nnqft.Estimate], exact: Array) -> tuple[float, float]:
    """How likely the scatter of repeated estimates is, if their covariances are honest, and how likely their mean.

    The likelihood-ratio test of a covariance matrix with Bartlett's correction, and the χ² of the mean. Times that
    one integral ties to each other (its values there are proportional) count once, and must scatter together.
    """
    values = np.array([e.mean for e in estimates])
    claimed = np.mean([e.cov for e in estimates], axis=0)
    unit = np.sqrt(np.diagonal(claimed))
    size, direction = np.linalg.eigh(claimed / np.outer(unit, unit))
    tied = size < 1e-9 * size.max()
    centred = (values - values.mean(axis=0)) / unit @ direction
    assert np.abs(centred[:, tied]).max(initial=0.0) < 1e-3, "times that are claimed to be tied are not"
    n, m = len(values) - 1, int((~tied).sum())
    whitened = centred[:, ~tied] / np.sqrt(size[~tied])
    scatter = whitened.T @ whitened / n
    _, log_det = np.linalg.slogdet(scatter)
    correction = 1 - (2 * m + 1 - 2 / (m + 1)) / (6 * n)
    statistic = correction * n * (np.trace(scatter) - log_det - m)
    gap = ((values.mean(axis=0) - exact) / unit @ direction)[~tied] / np.sqrt(size[~tied])
    return float(chi2.sf(statistic, m * (m + 1) // 2)), float(chi2.sf((n + 1) * gap @ gap, m))


# Negative controls


@dataclass(frozen=True)
class Spoilt(nnqft.AbstractIntegrator):
    """An integrator whose estimates are tampered with, or whose seed never changes."""

    inner: nnqft.AbstractIntegrator
    tamper: Callable[[nnqft.Estimate], nnqft.Estimate] = lambda estimate: estimate
    same_seed: bool = False

    name = "spoilt"

    def supports(self, integral: nnqft.TimeIntegral) -> bool | str:
        return self.inner.supports(integral)

    def prepare(self, integral: nnqft.TimeIntegral, seed: np.random.SeedSequence) -> Any:
        return self.inner.prepare(integral, seed)

    def sample(
        self, integral: nnqft.TimeIntegral, state: Any, neval: int, seed: np.random.SeedSequence
    ) -> nnqft.Estimate:
        seed = np.random.SeedSequence(7) if self.same_seed else seed
        return self.tamper(self.inner.sample(integral, state, neval, seed))


def shifted(estimate: nnqft.Estimate, sigmas: float = 3.0) -> nnqft.Estimate:
    """The mean moved by three of its own errors."""
    return replace(estimate, mean=estimate.mean + sigmas * estimate.sdev)


def rescaled(factor: float) -> Callable[[nnqft.Estimate], nnqft.Estimate]:
    """Errors multiplied by a factor."""
    return lambda estimate: replace(estimate, cov=factor**2 * estimate.cov)


def uncorrelated(estimate: nnqft.Estimate) -> nnqft.Estimate:
    """Times declared independent of each other."""
    return replace(estimate, cov=np.diag(np.diagonal(estimate.cov)))
