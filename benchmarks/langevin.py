"""Everything from a cold start: a fresh Python, its imports, diagrams, integrals, numbers.

dx = −(x + ε x³) dt + √2 dB. The seconds are those of the whole process, by the clock of the process that starts it;
the best of a few, since the machine does other things, too.
"""

from __future__ import annotations

import sys
from typing import NamedTuple

from _cases import fresh
from _report import Report, choose, parser, verdict

SCRIPT = """
import nnqft
theory = nnqft.theory("langevin", drift={{1: 1.0, 3: 1.0}}, noise=2.0)
result = nnqft.compute(theory, {observable!r}, order={order}, times={times}, integrator="exact", rtol=1.0)
print(len(result.diagrams), *(result.contribution(n, 0).mean[0] for n in range({order} + 1)))
"""
FIVE = [(tau, 0.0) for tau in (0.0, 0.25, 0.5, 1.0, 2.0)]


class Case(NamedTuple):
    """What is computed, its coefficients of ε^n at the first time by the Boltzmann density, the seconds asked."""

    title: str
    observable: str
    times: list[tuple[float, ...]]
    wanted: list[float]
    seconds: float


VARIANCE = [1, -3, 24, -297, 4896, -100278]
CASES = [
    Case("C(τ) at five τ to ε³", "two_point", FIVE, VARIANCE[:4], 4.0),
    Case("κ_4, four equal times, to ε³", "cumulant", [(0.0,) * 4], [0, -6, 126, -2682], 6.0),
    Case("C(τ) at five τ to ε⁵", "two_point", FIVE, VARIANCE, 60.0),
]


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--repeats", type=int, default=3)
    chosen = choose(options, repeats=1)
    asked = [f"{case.title} in ≤ {case.seconds:g} s, imports and all" for case in CASES]
    report = Report("langevin", asked, chosen)
    rows: list[list[object]] = [
        ["case", "diagrams", "wall s, best", "wall s, worst", "CPU s, best", "≤ s", "kept", "as Boltzmann"]
    ]
    empty = [fresh([sys.executable, "-c", "import nnqft"]) for _ in range(chosen.repeats)]
    right = kept = True
    for case in CASES[:1] if chosen.smoke else CASES:
        code = SCRIPT.format(observable=case.observable, order=len(case.wanted) - 1, times=case.times)
        runs = [fresh([sys.executable, "-c", code]) for _ in range(chosen.repeats)]
        best = min(run.wall for run in runs)
        diagrams, *values = runs[0].value.split()
        known = all(
            abs(float(value) - wanted) <= 1e-11 * max(1.0, abs(wanted))
            for value, wanted in zip(values, case.wanted, strict=True)
        )
        right, kept = right and known, kept and best <= case.seconds
        rows.append([
            case.title, f"{int(diagrams):,}", f"{best:.2f}", f"{max(run.wall for run in runs):.2f}",
            f"{min(run.processor for run in runs):.2f}", f"{case.seconds:g}", verdict(best <= case.seconds),
            verdict(known),
        ])  # fmt: skip
    report.table(*rows)
    report.say(f"import nnqft alone: {min(run.wall for run in empty):.2f} s")
    return report.close(right, kept)


if __name__ == "__main__":
    sys.exit(main())
