"""How fast samples are drawn, with one worker and with two, and what handing out the work costs.

The work is that of a computation: all 124 diagrams through order 3 of the linear network, 11 lags, VEGAS. Workers
are started and warmed up first. Two budgets tell the fixed cost of a computation (rules, diagrams, adaptation, the
round trips of a first look) from the cost of a sample.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from _report import Report, parser

import nnqft
from nnqft.host import open_executor
from nnqft_workers import PoolExecutor
from nnqft_workers.pool import AbstractPool

TAU = np.linspace(0.0, 5.0, 11)
TASKS = 2000
PLACES = (("local", 1), ("processes", 1), ("processes", 2), ("ray", 2))


def nothing(item: int) -> int:
    """A task without work."""
    return item


def timed(executor: nnqft.AbstractExecutor, neval: int) -> tuple[float, nnqft.Result]:
    """Wall seconds of one computation on workers that run already."""
    theory = nnqft.theory("linear", N=1, sigma_w=0.9)
    began = time.perf_counter()
    result = nnqft.compute(theory, "two_point", order=3, tau=TAU, neval=neval, integrator="vegas", executor=executor)
    return time.perf_counter() - began, result


def overhead(pool: AbstractPool) -> float:
    """Microseconds of an empty task that goes through the pool with many others."""
    began = time.perf_counter()
    list(pool.map(nothing, range(TASKS)))
    return (time.perf_counter() - began) / TASKS * 1e6


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--neval", type=int, default=8_000_000, help="samples of the large budget")
    options.add_argument("--few", type=int, default=100_000, help="samples of the small budget")
    options.add_argument("--repeats", type=int, default=3, help="the fastest of so many counts")
    chosen = options.parse_args()
    asked = ["samples per second with 1 and 2 workers, and the overhead of scheduling"]
    report = Report("scaling", asked, chosen.save)
    heading = ["", "start s", "few s", "many s", "samples/s", "over local", "sampling", "µs of an empty task"]
    rows: list[list[object]] = [heading]
    alone = 0.0
    for place, workers in PLACES:
        began = time.perf_counter()
        executor = open_executor(place, workers, None)
        try:
            timed(executor, chosen.few)
            start = time.perf_counter() - began
            few, first = min((timed(executor, chosen.few) for _ in range(chosen.repeats)), key=lambda pair: pair[0])
            many, result = min((timed(executor, chosen.neval) for _ in range(chosen.repeats)), key=lambda pair: pair[0])
            assert isinstance(executor, PoolExecutor)
            empty = min(overhead(executor.pool) for _ in range(chosen.repeats))
        finally:
            executor.close()
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
    report.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
