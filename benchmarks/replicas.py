"""Two noise histories on one network: how its covariances scatter, in theory at 1/N and in simulated networks.

Of linear networks Lyapunov's equation gives the covariances of each; networks with tanh hear several noises at once.
Averages at three or four widths are extrapolated to N → ∞, where ψ = N E Σ_ij² is a number.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace

import numpy as np
from _histories import Histories, at_infinite_width, averaged
from _report import Report, choose, parser, verdict
from scipy.linalg import solve_continuous_lyapunov
from threadpoolctl import threadpool_limits

import nnqft
from nnqft_plugins.networks.finite_width.dimension import dimensions
from nnqft_plugins.networks.finite_width.replicas import TwoHistories, two_histories
from nnqft_plugins.networks.network import network_of

LINEAR = {50: 3000, 100: 1000, 200: 300, 400: 30}
TANH = {50: 500, 100: 200, 200: 60}
CASES = ((0.8, 0.0), (0.8, 0.5), (1.4, 0.0))
"""σ_w and σ_b."""


def theory_of(model: str, **parameters: object) -> TwoHistories:
    """Two histories on a network at N → ∞."""
    return two_histories(network_of(nnqft.theory(model, **parameters)))


def sampled(networks: int, scale: float) -> int:
    """Networks to draw: the fewest that have an error if the scale is 0."""
    return max(4, round(networks * scale))


def linear(report: Report, scale: float) -> bool:
    """ψ of linear networks by Lyapunov's equation, and the exact numbers that theory has to give."""
    report.say("linear, σ_w² = 0.5: ψ, and D/N at equal times and at frequency 0")
    histories = theory_of("linear", sigma_w=0.5**0.5)
    psi, found = histories.scatter().value, dimensions(histories.network)
    right = abs(psi - 0.3030776503) < 1e-9 and abs(found["equal_time"].value - 0.622605) < 1e-6
    right &= abs(found["zero_frequency"].value - 0.25) < 1e-9
    averages = []
    for N, networks in LINEAR.items():
        if not scale and N > 50:
            break
        rng, values = np.random.default_rng([3, N]), []
        for _ in range(sampled(networks, scale)):
            drift = rng.normal(0.0, np.sqrt(0.5 / N), (N, N)) - np.eye(N)
            square = solve_continuous_lyapunov(drift, -np.eye(N)) ** 2
            values.append([(square.sum() - np.trace(square)) / (N - 1)])
        averages.append((np.mean(values, axis=0), np.cov(np.array(values).T).reshape(1, 1) / len(values)))
    simulated = [f"{mean[0]:.4f}({np.sqrt(cov[0, 0]):.4f})" for mean, cov in averages]
    widths = list(LINEAR)[: len(averages)]
    best, error = at_infinite_width(widths, averages, min(2, len(widths) - 1))
    off = (psi - best[0]) / error[0]
    report.table(
        ["theory", *(f"N={N}" for N in widths), "N→∞", "off"],
        [f"{psi:.10f}", *simulated, f"{best[0]:.4f}({error[0]:.4f})", f"{off:+.1f}"],
    )
    return bool(right and (abs(off) < 3 or not scale))


def tanh(report: Report, scale: float) -> bool:
    """C, ψ and N E Σ_φ,ij² of networks with tanh that hear several noises."""
    kept = True
    for sigma_w, sigma_b in CASES:
        histories = theory_of("taylor", activation="tanh", sigma_w=sigma_w, sigma_b=sigma_b)
        expected = [histories.variance, histories.scatter().value, histories.scatter_of_activity().value]
        report.say(f"tanh, σ_w = {sigma_w:g}, σ_b = {sigma_b:g}: D/N = {histories.dimension().value:.5f} at N → ∞")
        averages, widths = [], list(TANH) if scale else [20, 30]
        for N in widths:
            system = Histories(np.tanh, N, sigma_w, sigma_b)
            system = system if scale else replace(system, burn=2.0, looks=2, apart=1.0)
            averages.append(averaged(system, sampled(TANH.get(N, 0), scale), 5))
        best, error = at_infinite_width(widths, averages, 1)
        rows: list[list[object]] = [["", "theory", *(f"N={N}" for N in widths), "N→∞", "off"]]
        for m, name in enumerate(("C", "ψ", "ψ of φ")):
            off = (expected[m] - best[m]) / error[m]
            kept &= bool(abs(off) < 3)
            shown = [f"{mean[m]:.5f}({np.sqrt(cov[m, m]):.5f})" for mean, cov in averages]
            rows.append([name, f"{expected[m]:.6f}", *shown, f"{best[m]:.5f}({error[m]:.5f})", f"{off:+.1f}"])
        report.table(*rows)
    return kept or not scale


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--scale", type=float, default=1.0, help="multiplies the numbers of networks")
    chosen = choose(options, scale=0.0)
    report = Report(
        "replicas",
        [
            "linear, σ_w² = 0.5: ψ = 0.3030776503, D/N = 0.622605 and 0.25, and simulated networks within three errors",
            "tanh, σ_w = 0.8 and 1.4, with and without bias: C and both ψ within three errors of N → ∞",
        ],
        chosen,
    )
    began = time.perf_counter()
    with threadpool_limits(1):
        right, kept = linear(report, chosen.scale), tanh(report, chosen.scale)
    report.say(f"kept: {verdict(right)}, {verdict(kept)}; {time.perf_counter() - began:.0f} s")
    return report.close(right, kept)


if __name__ == "__main__":
    sys.exit(main())
