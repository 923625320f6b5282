"""Order 1/N of stationary tanh networks, all mushrooms summed, against simulated networks, also beyond the edge.

N·Var of (1/N) Σ h² and N (C(0) − C at N → ∞) of simulated networks tend to the theory's as N grows; what is left is of
order 1/N. The time limit goes to each ensemble.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
from _report import Report, choose, parser, verdict
from threadpoolctl import threadpool_limits

import nnqft
from nnqft_plugins.networks.finite_width.stationary import StationaryEngine
from nnqft_plugins.networks.meanfield import solve
from nnqft_plugins.networks.network import network_of
from nnqft_plugins.networks.simulation import simulate

CASES = ((1.4, 1.0, 0.0), (1.8, 1.0, 0.0), (1.4, 0.5, 0.3))
"""σ_w, κ, σ_b."""
SIZES = (50, 100)


def compared(report: Report, seconds: float) -> bool:
    """Every case at every size."""
    rows: list[list[object]] = [
        [
            "σ_w",
            "κ",
            "σ_b",
            "N",
            "networks",
            "N Var",
            "± ",
            "theory",
            "off",
            "N δC(0)",
            "±",
            "theory",
            "off",
            "theory s",
        ]
    ]
    good = True
    for sigma_w, kappa, sigma_b in CASES[:1] if report.smoke else CASES:
        values: dict[str, Any] = {"activation": "tanh", "sigma_w": sigma_w, "kappa": kappa, "sigma_b": sigma_b}
        began = time.perf_counter()
        engine = StationaryEngine(network_of(nnqft.theory("taylor", N=50, **values)), 1e-2 if report.smoke else 1e-4)
        spread, _ = engine.spread(np.zeros((1, 4)))
        shift, _ = engine.two_point(np.zeros((1, 2)))
        took = time.perf_counter() - began
        for N in (8,) if report.smoke else SIZES:
            theory = nnqft.theory("taylor", N=N, **values)
            start = solve(theory).variance
            limits = {"networks": 4} if report.smoke else {"networks": 10**6, "time_limit": seconds}
            found = simulate(theory, kernel=True, workers=1, seed=N, **limits)
            variance, error = (N * float(x[0]) for x in found.kernel_variance())
            moved, sdev = N * float(found.mean[0] - start), N * float(found.sdev[0])
            off = (variance - spread[0]) / error, (moved - shift[0]) / sdev
            good &= report.smoke or max(map(abs, off)) < 4
            rows.append([
                sigma_w, kappa, sigma_b, N, f"{found.networks:,}", f"{variance:.3f}", f"{error:.3f}",
                f"{spread[0]:.4f}", f"{off[0]:+.1f}", f"{moved:.3f}", f"{sdev:.3f}", f"{shift[0]:.4f}",
                f"{off[1]:+.1f}", f"{took:.0f}",
            ])  # fmt: skip
    report.table(*rows)
    return good


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--seconds", type=float, default=300.0, help="for each ensemble of networks")
    chosen = choose(options, seconds=1.0)
    asked = "N·Var and N δC(0) within four errors of the simulation at N = 50 and 100"
    report = Report("finite_width", [asked], chosen)
    with threadpool_limits(1):
        good = compared(report, chosen.seconds)
    report.say(f"kept: {verdict(good)}")
    return report.close(True, good)


if __name__ == "__main__":
    sys.exit(main())
