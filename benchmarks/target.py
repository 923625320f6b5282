"""One target for a whole sum: C(τ) of the linear network to 0.1 % at eleven lags, on two workers.

All 124 diagrams through order 3, sampled by VEGAS. The seconds are those of `nnqft.compute`, from the call to the
result: rules, diagrams, starting the workers, adaptation, sampling, adding up.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from _linear import exact_value
from _report import Report, choose, parser, verdict

import nnqft

LIMIT = 30.0
TAU = np.linspace(0.0, 5.0, 11)
CASES = ({"N": 1, "sigma_w": 0.9}, {"N": 100, "sigma_w": 0.5})
EXECUTORS = ("processes", "ray")


def exact_sum(theory: nnqft.Theory) -> np.ndarray:
    """Σ weight × closed form over the diagrams, at each τ."""
    found = nnqft.diagrams(theory, "two_point", order=3)
    return sum(d.weight * np.array([exact_value(d, tau, 0.0, theory) for tau in TAU.tolist()]) for d in found)


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--executors", nargs="+", default=EXECUTORS)
    options.add_argument("--rtol", type=float, default=1e-3)
    chosen = choose(options, workers=1, executors=["processes"], rtol=0.05)
    asked = [
        f"rtol {chosen.rtol:g} on ⟨h h⟩ of the linear network, n ≤ 3, all widths, {len(TAU)} lags from 0 to 5,"
        f" in ≤ {LIMIT:g} s with {chosen.workers} workers"
    ]
    report = Report("target", asked, chosen)
    heading = [
        "N", "σ_w", "executor", "wall s", "kept", "samples", "s in samples", "largest error", "true error", "pull"
    ]  # fmt: skip
    rows: list[list[object]] = [heading]
    kept = True
    for values in CASES:
        theory = nnqft.theory("linear", **values)
        exact = exact_sum(theory)
        for executor in chosen.executors:
            began = time.perf_counter()
            result = nnqft.compute(
                theory, "two_point", order=3, tau=TAU, rtol=chosen.rtol,
                integrator="vegas", executor=executor, workers=chosen.workers,
            )  # fmt: skip
            seconds = time.perf_counter() - began
            kept &= result.converged and seconds <= LIMIT
            gap = result.mean - exact
            rows.append([
                values["N"], values["sigma_w"], executor,
                f"{seconds:.2f}", verdict(result.converged and seconds <= LIMIT),
                f"{result.total.samples:,}", f"{result.total.seconds:.2f}",
                f"{np.max(result.sdev / exact):.1e}", f"{np.max(np.abs(gap / exact)):.1e}",
                f"{np.max(np.abs(gap / result.sdev)):.1f}",
            ])  # fmt: skip
    report.table(*rows)
    report.say("largest error and true error: relative, the worst of the lags; rtol bounds one standard deviation.")
    report.say("pull: the largest |estimate − exact|/error; the lags are correlated.")
    report.say("s in samples: processor time inside the integrator, all workers together.")
    return report.close(kept=kept)


if __name__ == "__main__":
    sys.exit(main())
