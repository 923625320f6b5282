"""The same diagrams on the response forest and on a box of times, with as many evaluations.

forest        nnqft's VEGAS on nnqft's map: delays drawn from the responses themselves
forest, vegas the package `vegas` as it comes, on the same map: what the map alone is worth
box           the package `vegas` as it comes, on internal times in (t_latest − L, t_latest), L = 12/γ

The evaluations of adaptation count. `vegas` runs 5 iterations to adapt and 5 that are averaged, all of one size.
What the box leaves out at its lower end is about 1e-5 of these integrals, or less.

On a box a map that was adapted on too few hits may miss the integral and claim a small error for what it saw. So the
error of one run is taken as the larger of what it claims and what it is, for all three ways alike.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import vegas
from _linear import chain_lengths, exact_value
from _report import Report, choose, parser, verdict

import nnqft
from nnqft_plugins.integrators.vegas import VegasIntegrator

GAMMA, TAU, REACH = 1.0, 1.0, 12.0
ITERATIONS = 5


class Measured(NamedTuple):
    """One way to integrate one diagram: relative to the exact value, and in its own errors."""

    claimed: float
    gap: float
    seconds: float

    @property
    def error(self) -> float:
        """What the run is worth."""
        return max(self.claimed, abs(self.gap))

    @property
    def pull(self) -> float:
        """(estimate − exact) / claimed error."""
        return self.gap / self.claimed


def forest(integral: nnqft.TimeIntegral, evaluations: int, seed: int) -> tuple[float, float]:
    """nnqft's integrator: adapt, freeze, sample with what is left of the evaluations."""
    integrator = VegasIntegrator()
    state = integrator.prepare(integral, np.random.SeedSequence((seed, 0)))
    left = evaluations - integrator.iterations * integrator.training
    estimate = integrator.sample(integral, state, left, np.random.SeedSequence((seed, 1)))
    return estimate.mean[0], estimate.sdev[0]


def package(
    integrand: Callable[[np.ndarray], np.ndarray], region: list[list[float]], evaluations: int, seed: int
) -> tuple[float, float]:
    """The package `vegas` with its own defaults."""
    rng = np.random.default_rng(seed)
    integrate = vegas.Integrator(region, ran_array_generator=rng.random)
    batched = vegas.lbatchintegrand(integrand)
    neval = evaluations // (2 * ITERATIONS)
    integrate(batched, nitn=ITERATIONS, neval=neval)
    result = integrate(batched, nitn=ITERATIONS, neval=neval)
    return result.mean, result.sdev


def box_integrand(diagram: nnqft.Diagram, theory: nnqft.Theory) -> Callable[[np.ndarray], np.ndarray]:
    """θ(t) e^{−γt} for each response and C for each correlation, straight from the diagram's lines."""
    lines = {p.name: p for p in theory.propagators if not p.delta}

    def integrand(x: np.ndarray) -> np.ndarray:
        times = [np.full(len(x), TAU), np.zeros(len(x)), *x.T]
        value = np.ones(len(x))
        for line in diagram.lines:
            t, s = times[line.end], times[line.start]
            value *= lines[line.propagator](t, s)
            if line.response:
                value *= t > s
        return value

    return integrand


def measure(way: Callable[[], tuple[float, float]], exact: float) -> Measured:
    began = time.process_time()
    mean, sdev = way()
    return Measured(sdev / exact, mean / exact - 1, time.process_time() - began)


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--evaluations", type=int, default=1_000_000, help="of each integral, adaptation included")
    options.add_argument("--diagrams", type=int, default=105, help="how many of the 105, evenly spread")
    chosen = choose(options, evaluations=20_000, diagrams=3)
    asked = [
        "error on the forest at most 1/10 of the error on the box, at equal evaluations",
        f"all diagrams of order 3 of the linear network, stationary, τ = {TAU:g}, γ = κ = 1",
    ]
    report = Report("forest_vs_box", asked, chosen)
    theory = nnqft.theory("linear", N=1, sigma_w=1.0, gamma=GAMMA)
    found = [d for d in nnqft.diagrams(theory, "two_point", order=3) if d.order == 3]
    spread = np.unique(np.linspace(0, len(found) - 1, chosen.diagrams).astype(int))
    rows: dict[tuple[int, int], list[tuple[Measured, ...]]] = {}
    for n in spread.tolist():
        rows.setdefault(chain_lengths(found[n]), []).append(compare(found[n], theory, chosen.evaluations, seed=n))
    everything = [row for part in rows.values() for row in part]
    report.say(
        f"{len(everything)} of {len(found)} diagrams, {chosen.evaluations:,} evaluations each;"
        " a diagram has a points below t and b below s"
    )
    table: list[list[object]] = [
        ["a+b", "diagrams", "forest", "forest, vegas", "box", "box/forest", "|pull|: forest", "forest, vegas", "box"]
    ]
    for (a, b), part in sorted(rows.items()):
        table.append([f"{a}+{b}", *summary(part)])
    table.append(["all", *summary(everything)])
    report.say("relative errors (median over the diagrams), the least ratio box/forest, and the largest pulls:")
    report.table(*table)
    ways = list(zip(*everything, strict=True))
    report.table(
        ["root mean square, relative", "forest", "forest, vegas", "box"],
        ["claimed error", *(f"{rms([m.claimed for m in way]):.1e}" for way in ways)],
        ["estimate − exact", *(f"{rms([m.gap for m in way]):.1e}" for way in ways)],
        ["pull (1 if honest)", *(f"{rms([m.pull for m in way]):.2f}" for way in ways)],
        ["diagrams with |pull| > 3", *(str(sum(abs(m.pull) > 3 for m in way)) for way in ways)],
        ["CPU seconds, all", *(f"{sum(m.seconds for m in way):.1f}" for way in ways)],
    )
    ratios = np.array([row[2].error / row[0].error for row in everything])
    report.say(f"box/forest: {ratios.min():.1f} … {ratios.max():.0f}, median {np.median(ratios):.0f}")
    report.say(f"forest ≤ box/10: for {int((ratios >= 10).sum())} of {len(ratios)} diagrams")
    kept = bool(np.median(ratios) >= 10)
    report.say(f"forest ≤ box/10 by the median: {verdict(kept)}")
    return report.close(kept=kept)


def compare(diagram: nnqft.Diagram, theory: nnqft.Theory, evaluations: int, seed: int) -> tuple[Measured, ...]:
    """The three ways, in the order of the module's text."""
    exact = exact_value(diagram, TAU, 0.0, theory)
    integral = nnqft.time_integral(diagram, theory, np.array([[TAU, 0.0]]))
    cube = [[0.0, 1.0]] * integral.dim
    box = [[TAU - REACH / GAMMA, TAU]] * integral.dim
    on_cube: Callable[[np.ndarray], np.ndarray] = lambda u: np.array(integral(u)[:, 0])  # noqa: E731
    return (
        measure(lambda: forest(integral, evaluations, seed), exact),
        measure(lambda: package(on_cube, cube, evaluations, seed), exact),
        measure(lambda: package(box_integrand(diagram, theory), box, evaluations, seed), exact),
    )


def summary(part: list[tuple[Measured, ...]]) -> list[str]:
    """Cells of one row of the table."""
    ways = list(zip(*part, strict=True))
    errors = [f"{np.median([m.error for m in way]):.1e}" for way in ways]
    pulls = [f"{max(abs(m.pull) for m in way):.1f}" for way in ways]
    worst = min(row[2].error / row[0].error for row in part)
    return [str(len(part)), *errors, f"{worst:.0f}", *pulls]


def rms(values: list[float]) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(values))))


if __name__ == "__main__":
    sys.exit(main())
