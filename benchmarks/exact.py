"""How long exact integrals take on one core, and where the time goes.

Each case runs in a process of its own. Diagrams are generated first and not counted; counted are the three steps
after it: finding the different time integrals and who computes them, computing them, and adding up.
"""

from __future__ import annotations

import cProfile
import pstats
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from math import comb, factorial
from typing import Any, NamedTuple

import numpy as np
from _cases import print_case, run_case, timed
from _report import Report, choose, parser, verdict

RATES = {"gamma": 1.3, "kappa": 0.8}


class Case(NamedTuple):
    """What is computed, what its highest order must be, and the seconds asked.

    `wanted` gives the sum over width orders at the last time, or width order 0 of it if that is `planar`; `closed` asks
    for fractions at all orders besides.
    """

    title: str
    model: str
    order: int
    width_order: int | None
    tau: list[float]
    seconds: float
    wanted: Callable[[], float]
    parameters: dict[str, float] = {}
    planar: bool = False
    closed: bool = False

    @property
    def widths(self) -> list[int]:
        """The width orders whose sum is wanted."""
        return [0] if self.planar else list(range(self.order + 1))


def odd_factorial(n: int) -> float:
    """C(0) of one linear site averaged over its weight, ½ ⟨1/(1 − w)⟩: ½ (2n−1)!! at order n."""
    return factorial(2 * n) / (2**n * factorial(n)) / 2


def quintic_infinite_width(order: int, gamma: float, kappa: float) -> float:
    """C(0) at N → ∞, from C(0) = (κ/2) (γ² − g (1 − 2 C(0)))^{−1/2} order by order in g = σ_w²; order ≥ 1."""
    value = np.zeros(order + 1)
    for _ in range(order + 1):
        gain = -2 * np.concatenate([[0.0], value[:-1]])  # g (1 − 2 C(0)) by powers of g
        gain[1] += 1.0
        power, value = np.eye(order + 1)[0], np.zeros(order + 1)
        for n in range(order + 1):
            value += kappa / (2 * gamma) * comb(2 * n, n) / (4 * gamma**2) ** n * power
            power = np.convolve(power, gain)[: order + 1]
    return float(value[order])


CASES = {
    "cubic-2": Case(
        "cubic_tanh n ≤ 2, one τ", "cubic_tanh", 2, None, [0.7], 0.3, lambda: 0.005819777140, RATES
    ),
    "cubic-2-51": Case(
        "cubic_tanh n ≤ 2, 51 τ", "cubic_tanh", 2, None, np.linspace(0, 5, 51).tolist()[::-1], 1.0,
        lambda: 0.002837789157, RATES,
    ),
    "quintic-3": Case(
        "quintic n ≤ 3, τ = 0", "quintic", 3, None, [0.0], 10.0, lambda: quintic_infinite_width(3, **RATES), RATES,
        planar=True,
    ),
    "linear-5": Case("linear n ≤ 5, τ = 0", "linear", 5, None, [0.0], 5.0, lambda: odd_factorial(5)),
    "linear-5-lag": Case(
        "linear n ≤ 5, 11 τ", "linear", 5, None, np.linspace(0, 5, 11).tolist()[::-1], 5.0, lambda: odd_factorial(5)
    ),
    "linear-12-1": Case(
        "linear n ≤ 12, width ≤ 1, and C(0) as fractions, all", "linear", 12, 1, [0.0], 60.0,
        lambda: comb(24, 12) / 2 / 4**12, planar=True, closed=True,
    ),
}  # fmt: skip
SMOKE = {
    "quintic-1": Case(
        "quintic n ≤ 1, τ = 0", "quintic", 1, None, [0.0], 1.0, lambda: quintic_infinite_width(1, **RATES), RATES,
        planar=True,
    ),
    "linear-3-1": Case(
        "linear n ≤ 3, width ≤ 1, and C(0) as fractions, all", "linear", 3, 1, [0.0], 1.0,
        lambda: comb(6, 3) / 2 / 4**3, planar=True, closed=True,
    ),
}  # fmt: skip
PATIENCE = 1.5
"""Seconds after which a case is not repeated."""


def measure(name: str, profile: bool) -> dict[str, Any]:
    """One case, in this process; what is short is done several times, and the best counts."""
    import nnqft

    # Finds the plugins, warms up.
    nnqft.compute(nnqft.theory("linear", N=1, sigma_w=1.0), "two_point", order=1, rtol=1.0)
    case = (CASES | SMOKE)[name]
    theory = nnqft.theory(case.model, **({"N": 1, "sigma_w": 1.0, "expansion": "bare"} | case.parameters))
    question = {"order": case.order, "width_order": case.width_order}
    found, generate, _ = timed(lambda: nnqft.diagrams(theory, "two_point", **question))
    profiler = cProfile.Profile()
    if profile:
        profiler.enable()
    steps, busy, result, fractions = counted(case, found)
    runs = [(steps, busy)]
    while name not in SMOKE and not profile and sum(sum(steps) for steps, _ in runs) < PATIENCE:
        runs.append(counted(case, found)[:2])
    if profile:
        profiler.disable()
        pstats.Stats(profiler, stream=sys.stderr).sort_stats("tottime").print_stats(14)
    return {
        "diagrams": len(found),
        "top": sum(count for (n, _), count in found.counts.items() if n == case.order),
        "different": len(result.diagrams.job.work),
        "generate": generate,
        "steps": min((steps for steps, _ in runs), key=sum),
        "processor": min(busy for _, busy in runs),
        "got": float(sum(result.contribution(case.order, k).mean[-1] for k in case.widths)),
        "fractions": fractions,
    }


def counted(case: Case, found: Any) -> tuple[list[float], float, Any, list[str]]:
    """Seconds of each step after the diagrams, processor seconds of all, the result, and C(0) as fractions.

    The fractions are by order, width 0 before 1.
    """
    from nnqft.results.assemble import make_result
    from nnqft.stages.effort import Effort
    from nnqft.stages.jobs import make_job
    from nnqft.stages.request import make_request

    effort = Effort(integrator="exact", rtol=1.0)
    question = {"order": case.order, "width_order": case.width_order, "tau": case.tau}
    request = make_request(found.theory, "two_point", effort, **question)
    busy, marks = time.process_time(), [time.perf_counter()]
    job = make_job(found, np.array(request.times), "exact")
    marks.append(time.perf_counter())
    with effort.running() as place:
        outcome = place.evaluate(job.work, effort.target(), lambda state: None)
    marks.append(time.perf_counter())
    result = make_result(request, found, job, outcome, 0.0)
    marks.append(time.perf_counter())
    fractions = []
    if case.closed:
        parts = [(n, k) for k in (0, 1) for n in range(case.order + 1)]
        fractions = [str(result.closed_form(n, k).at_zero) for n, k in parts]
        marks.append(time.perf_counter())
    return np.diff(marks).tolist(), time.process_time() - busy, result, fractions


def fractions_right(fractions: list[str]) -> bool:
    """Width 0 by its binomials; width 1 starts 0, 1/4, 9/16, 29/32."""
    half = len(fractions) // 2
    zero = [Fraction(comb(2 * n, n), 2 * 4**n) for n in range(half)]
    return fractions[:half] == [str(f) for f in zero] and fractions[half : half + 4] == ["0", "1/4", "9/16", "29/32"]


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--case", choices=CASES | SMOKE, help="run one case and print JSON")
    options.add_argument("--profile", action="store_true", help="with --case: print the hot spots, too (slower)")
    chosen = choose(options)
    if chosen.case:
        return print_case(lambda: measure(chosen.case, chosen.profile))
    cases = SMOKE if chosen.smoke else CASES
    asked = [f"{case.title} in ≤ {case.seconds:g} s on one core" for case in cases.values()]
    report = Report("exact", asked, chosen)
    rows: list[list[object]] = [[
        "case", "diagrams", "of top order", "integrals", "generate s", "make_job s", "evaluate s", "sum s",
        "fractions s", "counted s", "CPU s", "≤ s", "kept", "as known",
    ]]  # fmt: skip
    right = kept = True
    for name, case in cases.items():
        got = run_case(name)
        total = sum(got["steps"]) + (got["generate"] if case.closed else 0.0)
        known = abs(got["got"] - case.wanted()) <= 1e-9 * abs(case.wanted())
        known &= not case.closed or fractions_right(got["fractions"])
        right, kept = right and known, kept and total <= case.seconds
        steps = [f"{step:.3f}" for step in got["steps"]]
        rows.append([
            case.title, f"{got['diagrams']:,}", f"{got['top']:,}", f"{got['different']:,}", f"{got['generate']:.3f}",
            *steps, *([] if case.closed else [""]), f"{total:.3f}", f"{got['processor']:.3f}", f"{case.seconds:g}",
            verdict(total <= case.seconds), verdict(known),
        ])  # fmt: skip
        if case.closed:
            first, last = got["fractions"][case.order], got["fractions"][-1]
            remark = f"linear, n = {case.order}: C(0) = {first} at width order 0 and {last} at 1 (σ_w = γ = κ = 1)"
    report.table(*rows)
    report.say(remark)
    return report.close(right, kept)


if __name__ == "__main__":
    sys.exit(main())
