"""Mean-field theory against simulated tanh networks: C(τ) at N = 2000, the largest Lyapunov exponent at N = 1000."""

from __future__ import annotations

import sys
import time

import numpy as np
from _report import Report, choose, parser, verdict

import nnqft
from nnqft_plugins.networks.meanfield import solve
from nnqft_plugins.networks.simulation import simulate

TAU = (0.0, 1.0, 2.0)
CASES = ({"sigma_w": 0.9, "kappa": 1.0}, {"sigma_w": 1.5, "kappa": 1.0}, {"sigma_w": 1.2, "kappa": 1.0, "sigma_b": 0.5})
CHAOTIC = {"sigma_w": 2.0, "kappa": 0.0}
EXPONENTS = ({"sigma_w": 1.2, "kappa": 1.0}, {"sigma_w": 3.0, "kappa": 1.0}, {"sigma_w": 2.0, "kappa": 0.0})


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--networks", type=int, default=4, help="how many of each kind")
    options.add_argument("--width", type=int, default=2000, help="N of each")
    options.add_argument("--window", type=float, default=60.0, help="time over which each is averaged")
    options.add_argument("--end", type=float, default=150.0, help="time over which a difference grows")
    chosen = choose(options, networks=2, width=20, window=2.0, end=40.0)
    asked = f"C(τ) of simulation and mean-field theory within 1 % of C(0) at N = {chosen.width}"
    report = Report("meanfield", [asked], chosen)
    rows: list[list[object]] = [["network", "τ", "mean field", "simulated", "error", "difference/C(0)", "≤ 1 %", "s"]]
    good = True
    for values in (*CASES, CHAOTIC):
        theory = nnqft.theory("taylor", activation="tanh", N=chosen.width, **values)
        began = time.perf_counter()
        # A chaotic network without noise has slow fluctuations: the error of its average is the larger one.
        found = simulate(theory, tau=TAU, networks=chosen.networks, window=chosen.window, seed=1)
        seconds = time.perf_counter() - began
        wanted = solve(theory).correlator(TAU)
        for tau, mean, sdev, exact in zip(TAU, found.mean, found.sdev, wanted, strict=True):
            gap = abs(mean - exact) / wanted[0]
            within = gap <= 0.01 or (values is CHAOTIC and gap <= 3 * sdev / wanted[0])
            good &= within
            name = ", ".join(f"{key}={value:g}" for key, value in values.items())
            row = [name, f"{tau:g}", f"{exact:.5f}", f"{mean:.5f}", f"{sdev:.5f}", f"{gap:.2%}", verdict(gap <= 0.01)]
            rows.append([*row, f"{seconds:.0f}"])
    report.table(*rows)
    rows = [["network", "λ, mean field", f"λ, one network of {chosen.width // 2}", "error"]]
    for values in EXPONENTS:
        theory = nnqft.theory("taylor", activation="tanh", **values)
        wanted_exponent = solve(theory).lyapunov
        mean, error = tangent_growth(np.random.default_rng(2), N=chosen.width // 2, end=chosen.end, **values)
        name = ", ".join(f"{key}={value:g}" for key, value in values.items())
        rows.append([name, f"{wanted_exponent:.4f}", f"{mean:.4f}", f"{error:.4f}"])
        good &= abs(mean - wanted_exponent) < 0.02 + 3 * error
    report.table(*rows)
    return report.close(kept=good)


def tangent_growth(
    rng: np.random.Generator, *, N: int, sigma_w: float, kappa: float, end: float, burn: float = 30.0
) -> tuple[float, float]:
    """Growth rate of a small difference, γ = 1, by Heun steps, and its error from blocks of the path."""
    step = 0.1
    W = rng.normal(0.0, sigma_w / np.sqrt(N), (N, N))
    h, v = rng.standard_normal((2, N))
    logs = []
    for n in range(round(end / step)):
        noise = np.sqrt(kappa * step) * rng.standard_normal(N)
        both = np.stack([h, v], axis=1)
        slopes = []
        for state in (both, None):
            if state is None:
                state = both + step * slopes[0]
                state[:, 0] += noise
            phi = np.tanh(state[:, 0])
            slopes.append(W @ np.stack([phi, (1 - phi**2) * state[:, 1]], axis=1) - state)
        both = both + step / 2 * (slopes[0] + slopes[1])
        h = both[:, 0] + noise
        size = np.linalg.norm(both[:, 1])
        v = both[:, 1] / size
        if n * step >= burn:
            logs.append(np.log(size) / step)
    blocks = np.array(logs)[: len(logs) // 12 * 12].reshape(12, -1).mean(axis=1)
    return float(np.mean(logs)), float(blocks.std(ddof=1) / np.sqrt(12))


if __name__ == "__main__":
    sys.exit(main())
