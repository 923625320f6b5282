"""Whether the error bars are honest: all 105 diagrams of order 3 of the linear network against their closed forms.

exact    mean square of (estimate − exact)/error over diagrams and seeds
repeats  scatter of the seeds of a diagram about their own mean, over the variance they claim, mean over diagrams
means    mean square of (mean of the seeds − exact) over the error of that mean: sees a bias that single runs hide

All three are 1 if the errors are right; with 105 diagrams and 8 seeds they are known to about ±0.05, ±0.05, ±0.14.
Each diagram has samples of its own; diagrams with equal integrals share one adapted map, as in a computation.
"""

from __future__ import annotations

import sys

import numpy as np
from _linear import chain_lengths, exact_value
from _report import Report, choose, parser, verdict

import nnqft
from nnqft_plugins.integrators.vegas import VegasIntegrator

LOW, HIGH = 0.7, 1.3
SETTINGS = (("stationary", 1.0, 0.0), ("stationary", 0.0, 0.0), ("rest", 1.2, 0.5))


def measure(start: str, t: float, s: float, repeats: int, neval: int) -> tuple[np.ndarray, ...]:
    """Means (D, R), variances (D, R), exact values (D,), and chain lengths of each diagram."""
    theory = nnqft.theory("linear", N=1, sigma_w=1.0, start=start, gamma=1.3, kappa=0.8)
    found = [d for d in nnqft.diagrams(theory, "two_point", order=3) if d.order == 3]
    integrator = VegasIntegrator()
    maps: dict[str, object] = {}
    means, variances = np.empty((2, len(found), repeats))
    for n, diagram in enumerate(found):
        integral = nnqft.time_integral(diagram, theory, np.array([[t, s]]))
        if integral.key not in maps:
            maps[integral.key] = integrator.prepare(integral, np.random.SeedSequence((1, len(maps))))
        for r in range(repeats):
            estimate = integrator.sample(integral, maps[integral.key], neval, np.random.SeedSequence((2, n, r)))
            means[n, r], variances[n, r] = estimate.mean[0], estimate.cov[0, 0]
    exact = np.array([exact_value(d, t, s, theory) for d in found])
    return means, variances, exact, np.array([chain_lengths(d)[0] for d in found])


def squares(means: np.ndarray, variances: np.ndarray, exact: np.ndarray) -> tuple[float, float, float]:
    """The three numbers of the text above."""
    repeats = means.shape[1]
    claimed = variances.mean(axis=1)
    pull = np.mean((means - exact[:, None]) ** 2 / variances)
    scatter = np.mean(means.var(axis=1, ddof=1) / claimed)
    bias = np.mean((means.mean(axis=1) - exact) ** 2 / (claimed / repeats))
    return float(pull), float(scatter), float(bias)


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--repeats", type=int, default=8, help="seeds of each diagram")
    options.add_argument("--neval", type=int, default=4096, help="samples of each")
    chosen = choose(options, repeats=2, neval=256)
    asked = [f"χ²/dof of the pulls and of the repeats between {LOW} and {HIGH}"]
    report = Report("pulls", asked, chosen)
    report.say(f"105 diagrams × {chosen.repeats} seeds × {chosen.neval:,} samples, γ = 1.3, κ = 0.8")
    rows: list[list[object]] = [["start", "t", "s", "exact", "repeats", "means", "largest |pull|", "in range"]]
    by_chain: list[list[object]] = [["stationary, τ = 1: points below t", "diagrams", "exact", "repeats", "means"]]
    good = True
    for start, t, s in SETTINGS:
        means, variances, exact, chains = measure(start, t, s, chosen.repeats, chosen.neval)
        numbers = squares(means, variances, exact)
        fine = all(LOW < number < HIGH for number in numbers[:2])
        good &= fine
        largest = np.max(np.abs(means - exact[:, None]) / np.sqrt(variances))
        rows.append([start, t, s, *(f"{number:.2f}" for number in numbers), f"{largest:.1f}", verdict(fine)])
        if (start, t) == ("stationary", 1.0):
            for a in np.unique(chains).tolist():
                part = squares(means[chains == a], variances[chains == a], exact[chains == a])
                by_chain.append([a, int((chains == a).sum()), *(f"{number:.2f}" for number in part)])
    report.table(*rows)
    report.table(*by_chain)
    return report.close(kept=good)


if __name__ == "__main__":
    sys.exit(main())
