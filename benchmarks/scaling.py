"""How fast samples are drawn, with one worker and with two, and what handing out the work costs.

The work is that of a computation: all 124 diagrams through order 3 of the linear network, 11 lags, VEGAS. Workers
are started and warmed up first. Two budgets tell the fixed cost of a computation (rules, diagrams, adaptation, the
round trips of a first look) from the cost of a sample.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from _cases import timed
from _report import Report, choose, parser

import nnqft
from nnqft.host import running

TAU = np.linspace(0.0, 5.0, 11)
PLACES = (("local", 1), ("processes", 1), ("processes", 2), ("ray", 2))


def nothing(item: int) -> int:
    """A task without work."""
    return item


def compute(executor: nnqft.AbstractExecutor, neval: int, repeats: int = 1) -> tuple[float, nnqft.Result]:
    """Wall seconds of one computation, the fastest of a few, and its result."""
    theory = nnqft.theory("linear", N=1, sigma_w=0.9)
    question = {"order": 3, "tau": TAU, "neval": neval, "integrator": "vegas", "executor": executor}
    runs = (timed(lambda: nnqft.compute(theory, "two_point", **question)) for _ in range(repeats))
    best = min(runs, key=lambda run: run.wall)
    return best.wall, best.value


def overhead(executor: nnqft.AbstractExecutor, tasks: int) -> float:
    """Microseconds of an empty task that goes to the workers with many others."""
    return timed(lambda: list(executor.map(nothing, range(tasks)))).wall / tasks * 1e6


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--neval", type=int, default=8_000_000, help="samples of the large budget")
    options.add_argument("--few", type=int, default=100_000, help="samples of the small budget")
    options.add_argument("--repeats", type=int, default=3, help="the fastest of so many counts")
    options.add_argument("--tasks", type=int, default=2000, help="empty ones, for the overhead")
    chosen = choose(options, neval=80_000, few=70_000, repeats=1, tasks=20)
    asked = ["samples per second with 1 and 2 workers, and the overhead of scheduling"]
    report = Report("scaling", asked, chosen)
    heading = ["", "start s", "few s", "many s", "samples/s", "over local", "sampling", "µs of an empty task"]
    rows: list[list[object]] = [heading]
    alone = 0.0
    for place, workers in PLACES[:2] if chosen.smoke else PLACES:
        began = time.perf_counter()
        with running(place, workers) as executor:
            compute(executor, chosen.few)
            start = time.perf_counter() - began
            few, first = compute(executor, chosen.few, chosen.repeats)
            many, result = compute(executor, chosen.neval, chosen.repeats)
            empty = min(overhead(executor, chosen.tasks) for _ in range(chosen.repeats))
        rate = (result.total.samples - first.total.samples) / (many - few)
        alone = alone or rate
        rows.append([
            f"{place}, {workers} worker{'s' * (workers > 1)}",
            f"{start:.2f}", f"{few:.2f}", f"{many:.2f}", f"{rate:,.0f}", f"{rate / alone:.2f}",
            f"{100 * result.total.seconds / (workers * many):.0f} %", f"{empty:.0f}",
        ])  # fmt: skip
    report.say(f"few: {chosen.few:,} samples, many: {chosen.neval:,}; the fastest of {chosen.repeats} runs each")
    report.say("start: until a first small computation is done, workers started for it; later ones find them running")
    report.say("samples/s: from the difference between many and few, so without what a computation costs at any size")
    report.say("sampling: share of the workers' wall time in many that is spent inside the integrator")
    report.table(*rows)
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
