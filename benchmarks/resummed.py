"""The infinite sums of the linear network: term by term against its exact series, and against simulated networks.

Each network's C(τ) is exact, by Lyapunov's equation, and averaged over W. From it the terms through σ_w^8 of the
same network are taken off, and their averages, which all pairings of the W's give exactly for any N, put back
instead: no bias, and less noise. Unstable networks have no C(τ) and are left out and counted. As the density of
networks does not vanish at the edge of stability, the average over the stable ones has a heavy tail that no number of
samples cures; it is harmless where none of them is unstable. From rest at a finite time every network counts.
"""

from __future__ import annotations

import sys
import time
from functools import cache

import numpy as np
from _linear import _chains
from _report import Report, choose, parser, verdict
from scipy.linalg import expm, solve_continuous_lyapunov
from threadpoolctl import threadpool_limits

import nnqft
from nnqft_plugins.models.linear_sums import sums as linear_sums

WITHIN = 3e-3
TAUS = (0.0, 1.0, 3.0)
COUPLINGS = (0.25, 0.5, 0.7)
SAMPLES = {20: 6_000, 50: 12_000, 100: 2_000, 200: 250}
CONTROL = 8
"""Highest a + b of the traces that are taken off."""
COUNTED = 16
"""Highest a + b of the moments that are counted pairing by pairing."""


@cache
def pairings(a: int, b: int, widest: int) -> tuple[int, ...]:
    """(1/N)⟨tr W^a (Wᵀ)^b⟩ at σ_w = 1: coefficients of N^0 … N^−widest, by joining the W's in pairs."""
    size = a + b
    if not size:
        return (1,) + (0,) * widest
    ends = [(e, (e + 1) % size) if e < a else ((e + 1) % size, e) for e in range(size)]
    counts = [0] * (widest + 1)

    def join(free: tuple[int, ...], labels: list[int], classes: int) -> None:
        width = size // 2 + 1 - classes
        if width > widest:  # further pairs join more indices, never fewer
            return
        if not free:
            counts[width] += 1
            return
        one, *others = free
        for place, two in enumerate(others):
            new, left = labels, classes
            for i, j in zip(ends[one], ends[two], strict=True):
                if new[i] != new[j]:
                    new, left = [new[i] if x == new[j] else x for x in new], left - 1
            join((*others[:place], *others[place + 1 :]), new, left)

    join(tuple(range(size)), list(range(size)), size)
    return tuple(counts)


def check_moments(report: Report) -> bool:
    """Every moment of the generating functions against its pairings."""
    wrong = total = 0
    most = 4 if report.smoke else COUNTED
    for width in (0, 1, 2):
        found = linear_sums.moments(width, most + 1)
        for a in range(most + 1):
            for b in range(min(a, most - a) + 1):
                if (a + b) % 2 == 0 and a + b:
                    total += 1
                    wrong += found[a, b] != pairings(a, b, 2)[width]
    report.say(f"moments m_ab of widths 0, 1, 2 up to a + b = {most}: {total - wrong} of {total} as the pairings count")
    return not wrong


def check_terms(report: Report) -> bool:
    """σ_w^{2n} N^−k of C(τ), n ≤ 8: fractions from the diagrams, the generating function, and the sum itself."""
    order = 3 if report.smoke else 8
    exact = nnqft.compute(nnqft.theory("linear", N=1, sigma_w=1.0), "two_point", order=order, width_order=2, rtol=1.0)
    rows: list[list[object]] = [["width", "largest error of a term", "of the sum at σ_w² = 0.01", "its next order"]]
    good = True
    for k in range(3):
        moments = linear_sums.moments(k, 2 * order + 1)
        error, gap, after = 0.0, 0.0, 0.0
        for tau in TAUS:
            terms = [exact.closed_form(n, k)(tau) for n in range(order + 1)]
            for n, term in enumerate(terms):
                chains = sum(
                    moments[a, 2 * n - a] * _chains(a, 2 * n - a, tau, 0.0, 1.0, np.inf) for a in range(2 * n + 1)
                )
                error = max(error, abs(chains - term) / max(abs(term), 1e-3))
            theory = nnqft.theory("linear", N=1, sigma_w=0.1)
            found = nnqft.compute(theory, "two_point", order="resummed", width_order=k, tau=[tau])
            gap = max(
                gap, abs(found.contribution("resummed", k).mean[0] - sum(c * 0.01**n for n, c in enumerate(terms)))
            )
            after = max(after, abs(terms[order]) * 0.01 ** (order + 1) * 2)
        good &= error < 1e-11 and gap < 1e-13 + 2 * after
        rows.append([k, f"{error:.1e}", f"{gap:.1e}", f"{after:.0e}"])
    report.table(*rows)
    return good


class Control:
    """The terms of C(τ) of one network through σ_w^CONTROL, and their averages over all."""

    def __init__(self, N: int, taus: tuple[float, ...], coupling: float) -> None:
        self.keys = [(a, b) for a in range(CONTROL + 1) for b in range(a + 1) if (a + b) % 2 == 0 and a + b <= CONTROL]
        self.chains = np.array([
            [_chains(a, b, tau, 0.0, 1.0, np.inf) + (_chains(b, a, tau, 0.0, 1.0, np.inf) if a != b else 0.0)
             for a, b in self.keys]
            for tau in taus
        ])  # fmt: skip
        traces = [
            sum(c * float(N) ** -k for k, c in enumerate(pairings(a, b, (a + b) // 2))) * coupling ** ((a + b) / 2)
            for a, b in self.keys
        ]
        self.average = self.chains @ np.array(traces)

    def of(self, weights: np.ndarray) -> np.ndarray:
        """At each τ for one network."""
        powers = [np.eye(len(weights))]
        for _ in range(CONTROL):
            powers.append(powers[-1] @ weights)
        traces = [float(np.vdot(powers[b], powers[a])) / len(weights) for a, b in self.keys]
        return self.chains @ np.array(traces)


def simulate(N: int, coupling: float, samples: int, seed: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Mean and standard error of C(τ) over stable networks, and the number of unstable ones."""
    rng = np.random.default_rng(np.random.SeedSequence((seed, N, round(100 * coupling))))
    control = Control(N, TAUS, coupling)
    values, unstable = [], 0
    for _ in range(samples):
        weights = rng.normal(0.0, np.sqrt(coupling / N), (N, N))
        drift = weights - np.eye(N)
        early = solve_continuous_lyapunov(drift, -np.eye(N))
        try:  # a solution that is no covariance: the network is unstable
            np.linalg.cholesky((early + early.T) / 2)
        except np.linalg.LinAlgError:
            unstable += 1
            continue
        step = expm(drift)
        chain = [np.trace(early), np.vdot(step.T, early), np.vdot((step @ step @ step).T, early)]
        values.append(np.array(chain) / N - control.of(weights))
    return control.average + np.mean(values, axis=0), np.std(values, axis=0, ddof=1) / np.sqrt(len(values)), unstable


def stationary(report: Report, scale: float) -> bool:
    """The correlation length 2C(0)/κ and C(τ) against the sums."""
    report.say("ξ = 2C(0)/κ at γ = κ = 1; the columns 'off' are (sum − simulation)/its error, widths ≤ 1 and ≤ 2")
    rows: list[list[object]] = [
        ["σ_w²", "N", "networks", "unstable", "ξ simulated", "rel. error", "N→∞", "≤ 1/N", "off", "≤ 1/N²", "off",
         "off at τ=1", "τ=3"]
    ]  # fmt: skip
    kept: list[list[object]] = [["σ_w²", "rel. error", "≤ 0.3 %", "N→∞", "kept", "≤ 1/N", "kept", "≤ 1/N²", "kept"]]
    good = True
    for coupling in COUPLINGS:
        for N, wanted in SAMPLES.items():
            samples = max(3, int(wanted * scale))
            mean, sdev, unstable = simulate(N, coupling, samples, seed=1)
            theory = nnqft.theory("linear", N=N, sigma_w=np.sqrt(coupling))
            found = nnqft.compute(theory, "two_point", order="resummed", width_order=2, tau=TAUS)
            sums = np.cumsum([found.contribution("resummed", k).mean for k in range(3)], axis=0)
            off = (sums - mean) / sdev
            rows.append([
                coupling, N, f"{samples:,}", unstable, f"{2 * mean[0]:.5f}", f"{sdev[0] / mean[0]:.2%}",
                *(f"{2 * sums[0, 0]:.5f}", f"{2 * sums[1, 0]:.5f}", f"{off[1, 0]:+.1f}"),
                *(f"{2 * sums[2, 0]:.5f}", f"{off[2, 0]:+.1f}", f"{off[2, 1]:+.1f}", f"{off[2, 2]:+.1f}"),
            ])  # fmt: skip
            if N == 50:
                gaps = np.abs(sums[:, 0] / mean[0] - 1)
                enough = sdev[0] / mean[0] < WITHIN
                kept.append([
                    coupling, f"{sdev[0] / mean[0]:.2%}", verdict(bool(enough)),
                    *(part for gap in gaps for part in (f"{gap:.2%}", verdict(bool(enough and gap < WITHIN)))),
                ])  # fmt: skip
                good &= bool((enough and gaps[2] < WITHIN) or unstable)
    report.table(*rows)
    report.say("N = 50, ξ: distance of the sums from the simulation")
    report.table(*kept)
    return good


def from_rest(report: Report, scale: float) -> bool:
    """C(t, t) from h = 0, where unstable networks count like all others."""
    report.say("from rest, σ_w² = 0.7, N = 50: C(t,t); off as above")
    N, coupling, times = 50, 0.7, (2.0, 4.0, 8.0)
    rng = np.random.default_rng(np.random.SeedSequence((2, N)))
    values = []
    for _ in range(max(3, int(10_000 * scale))):
        drift = rng.normal(0.0, np.sqrt(coupling / N), (N, N)) - np.eye(N)
        whole = solve_continuous_lyapunov(drift, -np.eye(N))
        chain, row = expm(2 * drift), []
        for _ in times:
            row.append((np.trace(whole) - np.vdot(chain, chain @ whole)) / N)
            chain = chain @ chain
        values.append(row)
    mean, sdev = np.mean(values, axis=0), np.std(values, axis=0, ddof=1) / np.sqrt(len(values))
    theory = nnqft.theory("linear", start="rest", N=N, sigma_w=np.sqrt(coupling))
    found = nnqft.compute(theory, "two_point", order="resummed", width_order=2, times=[(t, t) for t in times])
    sums = np.cumsum([found.contribution("resummed", k).mean for k in range(3)], axis=0)
    off = (sums - mean) / sdev
    rows: list[list[object]] = [["t", "simulated", "rel. error", "N→∞", "≤ 1/N", "off", "≤ 1/N²", "off"]]
    for m, t in enumerate(times):
        rows.append([
            t, f"{mean[m]:.5f}", f"{sdev[m] / mean[m]:.2%}", f"{sums[0, m]:.5f}",
            f"{sums[1, m]:.5f}", f"{off[1, m]:+.1f}", f"{sums[2, m]:.5f}", f"{off[2, m]:+.1f}",
        ])  # fmt: skip
    report.table(*rows)
    return bool((np.abs(off[2, :2]) < 3).all())


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--scale", type=float, default=1.0, help="multiplies the numbers of networks")
    chosen = choose(options, scale=0.0)
    report = Report(
        "resummed",
        [
            "every term through σ_w^16 of widths 0, 1 and 2 as the diagrams give it in fractions",
            "N = 50, σ_w² = 0.25, 0.5, 0.7: ξ within 0.3 % of a simulation with less error than that"
            " (out of reach where networks are unstable, as then there is no average)",
            "from rest at t ≤ 4, σ_w² = 0.7: C to order 1/N² within three errors",
        ],
        chosen,
    )
    began = time.perf_counter()
    with threadpool_limits(1):
        right = [check_moments(report), check_terms(report)]
        kept = [stationary(report, chosen.scale), from_rest(report, chosen.scale)]
    report.say(f"kept: {', '.join(verdict(each) for each in right + kept)}; {time.perf_counter() - began:.0f} s")
    return report.close(all(right), all(kept))


if __name__ == "__main__":
    sys.exit(main())
