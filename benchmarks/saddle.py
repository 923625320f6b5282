"""The expansion about mean-field theory beside the bare one, the published formula and simulated networks.

C(0) throughout, γ = κ = 1 unless said otherwise. Simulations and errors are of `nnqft_plugins.networks.simulation`.
"""

from __future__ import annotations

import sys
import time
from math import sqrt
from typing import Any

import numpy as np
from _report import Report, choose, parser, verdict

import nnqft
from nnqft_plugins.networks.simulation import simulate

CUBIC = {"gamma": 1.3, "kappa": 0.8}
"""Parameters of the published coefficients below, from the bare series, exact."""
BARE_CUBIC = {(1, 0.0): 0.013466453717, (2, 0.0): -0.002082920896, (2, 0.7): 0.001528947344}


def simulated(report: Report, theory: nnqft.Theory, rtol: float, seed: int) -> Any:
    """C(0) of networks to this relative error, or of the fewest."""
    few = {"networks": 8} if report.smoke else {"rtol": rtol}
    return simulate(theory, tau=[0.0], seed=seed, **few)


def linear(report: Report) -> None:
    """Partial sums over the orders at k ≤ 1."""
    sigma_w, N, order = sqrt(0.5), 50, 2 if report.smoke else 6
    bare, saddle = (
        nnqft.compute(
            nnqft.theory("linear", sigma_w=sigma_w, N=N, expansion=expansion),
            "two_point", order=order, width_order=1, rtol=1e-3,
        )
        for expansion in ("bare", "saddle")
    )  # fmt: skip
    measured = simulated(report, nnqft.theory("linear", sigma_w=sigma_w, N=N), rtol=5e-4, seed=1)
    rows = []
    for n in range(order + 1):
        sums = [sum(float(r.contribution(m, k).mean[0]) for m in range(n + 1) for k in (0, 1)) for r in (bare, saddle)]
        rows.append((n, *(f"{s:.6f}" for s in sums), *(r.count(n, 1) for r in (bare, saddle))))
    report.say(
        f"linear, σ_w² = {sigma_w**2:.2g}, N = {N}: sums of the orders up to n, k ≤ 1; diagrams of order n, k = 1"
    )
    report.table(("n", "bare", "saddle", "bare diagrams", "saddle diagrams"), *rows)
    report.say(f"simulated {measured.mean[0]:.6f} ± {measured.sdev[0]:.6f}, all n and k")
    report.say()


def published(report: Report) -> None:
    """The talk's conventions: ξ = 2 C(0)/κ from the diagrams and from the formula."""
    sigma_w, N, horizon, order = sqrt(0.25), 50, 10.0, 2 if report.smoke else 12
    xi_0 = (1 - sigma_w**2) ** -0.5
    infinite = xi_0 / 2 * (1 + xi_0**2)
    shift = xi_0 / 2 * horizon / (8 * N) * (1 + 3 * xi_0**2) * (xi_0 * sigma_w) ** 2
    rows = []
    for theta0 in (0.25, 0.5):
        parameters = {"sigma_w": sigma_w, "N": N, "expansion": "saddle", "tadpoles": "kept"}
        options = {"order": order, "width_order": 1, "rtol": 1e-3}
        loops = nnqft.compute(nnqft.theory("linear", theta0=theta0, T=horizon, **parameters), "two_point", **options)
        ito = nnqft.compute(nnqft.theory("linear", **parameters), "two_point", **options)
        zeroth = 2 * sum(float(loops.contribution(n, 0).mean[0]) for n in range(order + 1))
        first = 2 * float(loops.mean[0] - ito.mean[0])
        mushrooms = 2 * float(ito.mean[0]) - zeroth
        rows.append((theta0, f"{zeroth:.6f}", f"{infinite:.6f}", f"{first:.6f}", f"{shift:.6f}", f"{mushrooms:.6f}"))
    report.say(f"the talk's ξ, σ_w² = {sigma_w**2:.2g}, N = {N}, T = {horizon:g}; n ≤ {order}, tadpoles kept")
    heading = ("θ(0)", "k = 0, diagrams", "formula", "T/N part, diagrams", "formula", "1/N without T")
    report.table(heading, *rows)
    report.say(f"without counting tadpoles twice, N → ∞: {xi_0:.6f}")
    report.say()


def cubic(report: Report) -> None:
    """k = 1 of cubic_tanh re-expanded in σ_w², all of it by VEGAS on tabulated lines."""
    tau = [0.0, 0.7]
    share = 30 if report.smoke else 1
    # F(g) = g A_1(g) + g² A_2(g): coefficients A_1(0) and A_1'(0) + A_2(0), through a cubic and a straight line.
    first = cubic_parts(1, np.array([1e-4, 0.1, 0.2, 0.3]), tau, 2_000_000 // share)
    began = time.perf_counter()
    second = cubic_parts(2, np.array([0.1, 0.2]), tau, 8_000_000 // share)
    took = time.perf_counter() - began
    values = np.array([first[0][0], first[0][1] + second[0][0]])
    errors = np.sqrt([first[1][0], first[1][1] + second[1][0]])
    rows = []
    for (n, lag), exact in BARE_CUBIC.items():
        value, error = values[n - 1, tau.index(lag)], errors[n - 1, tau.index(lag)]
        pull = (value - exact) / error
        agrees = verdict(abs(pull) < 4)
        rows.append((f"{n}, {lag}", f"{value:.6f}", f"{error:.6f}", f"{exact:.6f}", f"{pull:+.1f}", agrees))
    report.say(f"cubic_tanh, k = 1, coefficients of σ_w^(2n)/N; order 2 took {took:.0f} s")
    report.table(("n, τ", "saddle", "error", "bare, exact", "pull", "agree"), *rows)


def cubic_parts(n: int, couplings: np.ndarray, tau: list[float], neval: int) -> tuple[np.ndarray, np.ndarray]:
    """Taylor coefficients at 0 of A_n(g), k = 1, by interpolation over the couplings, and their variances."""
    means, variances = [], []
    for seed, g in enumerate(couplings):
        theory = nnqft.theory("cubic_tanh", N=1, sigma_w=sqrt(g), expansion="saddle", averages="polynomial", **CUBIC)
        result = nnqft.compute(theory, "two_point", order=n, width_order=1, tau=tau, neval=neval, seed=10 * n + seed)
        part = result.contribution(n, 1)
        means.append(part.mean / g**n)
        variances.append((part.sdev / g**n) ** 2)
    fit = np.linalg.inv(np.vander(couplings, increasing=True))
    return fit @ np.array(means), fit**2 @ np.array(variances)


def tanh(report: Report) -> None:
    """The activation itself, against simulation."""
    rows = []
    degree, order, neval = (2, 1, 10_000) if report.smoke else (6, 2, 2_000_000)
    for sigma_w, N in ((0.8, 20), (0.8, 50), (1.2, 50))[: 1 if report.smoke else 3]:
        theory = nnqft.theory(
            "taylor", activation="tanh", averages="activation", degree=degree, sigma_w=sigma_w, N=N, expansion="saddle"
        )
        result = nnqft.compute(theory, "two_point", order=order, width_order=1, neval=neval, seed=3)
        parts = [result.contribution(n, min(n, 1)) for n in range(order + 1)]
        measured = simulated(report, theory, rtol=1e-3, seed=4)
        rows.append(
            (
                f"{sigma_w}, {N}",
                *(f"{p.mean[0]:.5f}" for p in parts),
                f"{result.mean[0]:.5f} ± {result.sdev[0]:.5f}",
                f"{measured.mean[0]:.5f} ± {measured.sdev[0]:.5f}",
            )
        )
    report.say(f"tanh with its own averages, degree {degree}, n ≤ {order}, k ≤ 1; the error is that of the samples")
    report.table(("σ_w, N", *(f"n = {n}" for n in range(order + 1)), "sum", "simulated"), *rows)


def main() -> int:
    """All of it."""
    chosen = choose(parser(__doc__))
    asked = ["agreement of both expansions and of the diagrams with what they sum to; simulation within the truncation"]
    report = Report("saddle", asked, chosen)
    for part in (linear, published, cubic, tanh):
        began = time.perf_counter()
        part(report)
        report.say(f"({time.perf_counter() - began:.0f} s)")
        report.say()
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
