"""What distribution costs and brings: two workers against one, the scheduler's own time, memory, and the allocation.

The allocation is judged at equal samples against the ideal one, computed afterwards from the variances found, against
equal shares of the same map, and against the peer: the vegas package's own integrator with equal shares a diagram.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import vegas
from _cases import fresh, timed
from _report import Report, choose, parser, verdict
from scipy.stats import chi2, kstest

import nnqft
from nnqft.host import running

THEORY = nnqft.theory("cubic_tanh", N=10, sigma_w=0.5, expansion="bare")
WORK = {"order": 2, "tau": np.linspace(0.0, 5.0, 11), "integrator": "vegas", "seed": 1}


def places(report: Report) -> tuple[str, ...]:
    """Where work is handed out; a Ray cluster takes too long to start for the smallest sizes."""
    return ("processes",) if report.smoke else ("processes", "ray")


def scaling(report: Report, neval: int) -> None:
    """Wall time with one worker and with two, started and warmed up before."""
    rows: list[list[object]] = [["", "wall s", "over 1 worker", "sampling share", "≥ 1.8"]]
    for place in places(report):
        alone = 0.0
        for workers in (1, 2):
            with running(place, workers) as executor:
                first = WORK | {"order": 1, "neval": min(neval, 100_000)}
                nnqft.compute(THEORY, "two_point", executor=executor, **first)
                whole = WORK | {"neval": neval, "executor": executor}
                result, wall, _ = timed(lambda whole=whole: nnqft.compute(THEORY, "two_point", **whole))
            alone = alone or wall
            share = f"{100 * result.total.seconds / (workers * wall):.0f} %"
            good = verdict(alone / wall >= 1.8) if workers == 2 else ""
            rows.append([f"{place}, {workers}", f"{wall:.1f}", f"{alone / wall:.2f}", share, good])
    report.say(f"cubic_tanh n ≤ {WORK['order']}, all widths, 11 lags, {neval:,} samples")
    report.table(*rows)


def rest(seconds: float) -> float:
    """A chunk that takes so long and no processor."""
    time.sleep(seconds)
    return seconds


def overhead(report: Report, count: int) -> None:
    """The dispatcher's own time with chunks of 0.5 s, where no core is short."""
    rows: list[list[object]] = [["", "chunks", "wall s", "ideal s", "overhead", "≤ 5 %"]]
    for place in places(report):
        with running(place, 2) as executor:
            list(executor.map(rest, [0.01] * 8))
            wall = timed(lambda executor=executor: list(executor.map(rest, [0.5] * count))).wall
        ideal = 0.25 * count
        rows.append([place, count, f"{wall:.2f}", f"{ideal:.2f}", f"{100 * (wall / ideal - 1):.1f} %",
                     verdict(wall / ideal < 1.05)])  # fmt: skip
    report.table(*rows)


QUEUE = """
import resource, sys, nnqft
order, neval = map(int, sys.argv[1:])
theory = nnqft.theory("linear", N=10, sigma_w=0.5)
if __name__ == "__main__":
    result = nnqft.compute(theory, "two_point", order=order, tau=[0.0, 1.0, 2.0], integrator="vegas", neval=neval,
                           executor="processes", workers=2)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(len(result.diagrams), result.total.chunks, f"{peak:.2f}", f"{result.seconds:.1f}")
"""


def memory(report: Report, order: int, neval: int) -> None:
    """The driver's peak with ten thousand integrals and their chunks."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "ten_thousand.py"
        script.write_text(QUEUE)
        printed = fresh([sys.executable, str(script), str(order), str(neval)]).value
    diagrams, chunks, peak, seconds = printed.split()
    report.table(
        ["integrals sampled", "chunks", "driver's peak GiB", "s", "≤ 1 GiB"],
        [diagrams, chunks, peak, seconds, verdict(float(peak) <= 1.0)],
    )


def allocation(report: Report, neval: int) -> None:
    """Error of the sum at equal samples."""
    request = WORK | {"tau": [0.5]}
    result = nnqft.compute(THEORY, "two_point", **request, neval=neval)
    rows = [row for row in result.diagrams if row.samples]
    deviation = np.array([abs(row.weight) * row.error[0] * np.sqrt(row.samples) for row in rows])
    total = sum(row.samples for row in rows)
    ideal = deviation.sum() / np.sqrt(total)
    equal = np.sqrt((deviation**2).sum() * len(rows) / total)
    peer = _peer(request, total // len(rows), len(rows))
    report.say(f"cubic_tanh n ≤ {WORK['order']}, all widths, {len(rows)} sampled diagrams, τ = 0.5, {total:,} samples")
    report.table(
        ["", "error of the sum", "over ideal", "asked"],
        ["ideal, computed afterwards", f"{ideal:.3e}", "1.00", ""],
        ["scheduler", f"{result.sdev[0]:.3e}", f"{result.sdev[0] / ideal:.2f}", "≤ 1.1"],
        ["equal shares of the same maps", f"{equal:.3e}", f"{equal / ideal:.2f}", "clearly more"],
        ["vegas.Integrator, equal shares", f"{peer:.3e}", f"{peer / ideal:.2f}", ""],
    )


def _peer(request: dict[str, object], share: int, count: int) -> float:
    """Error of the sum from the vegas package, 5 iterations a diagram, on the same integrands."""
    diagrams = nnqft.diagrams(THEORY, "two_point", order=request["order"])
    variance, done = 0.0, 0
    np.random.seed(1)  # noqa: NPY002  # vegas draws from the global generator
    for diagram in diagrams:
        integral = nnqft.time_integral(diagram, THEORY, np.array([[0.5, 0.0]]))
        if not integral.dim:
            continue
        integrator = vegas.Integrator([[0.0, 1.0]] * integral.dim)
        found = integrator(vegas.lbatchintegrand(lambda u, f=integral: np.array(f(u)[:, 0])), nitn=5, neval=share // 5)
        variance += (diagram.weight * found.sdev) ** 2
        done += 1
    assert done == count
    return float(np.sqrt(variance))


def pulls(report: Report, repeats: int) -> None:
    """Whole computations against the exact answer."""
    theory = nnqft.theory("linear", N=2, sigma_w=0.8)
    known = nnqft.compute(theory, "two_point", order=2, tau=[0.7], integrator="exact", rtol=1e-3).mean[0]
    rows: list[list[object]] = [["", "mean", "mean square", "χ² p", "Kolmogorov–Smirnov p", "> 0.001"]]
    compiled = ["jax"] if find_spec("jax") and not report.smoke else []
    for integrator in ("vegas", *compiled):
        results = [
            nnqft.compute(theory, "two_point", order=2, tau=[0.7], integrator=integrator, rtol=1e-3, seed=seed)
            for seed in range(repeats)
        ]
        found = np.array([(r.mean[0] - known) / r.sdev[0] for r in results])
        square = float(np.sum(found**2))
        chance = 2 * min(chi2.sf(square, repeats), chi2.cdf(square, repeats))
        shape = kstest(found, "norm").pvalue
        rows.append([integrator, f"{found.mean():+.3f}", f"{square / repeats:.3f}", f"{chance:.3f}", f"{shape:.3f}",
                     verdict(min(chance, shape) > 1e-3)])  # fmt: skip
    report.say(f"{repeats} computations of the linear network, n ≤ 2, rtol 1e-3, each with its own seed")
    report.table(*rows)


def ledger(report: Report, neval: int) -> None:
    """What keeping every chunk costs, and what a resumed request takes."""
    rows: list[list[object]] = [["", "wall s", "chunks"]]
    with tempfile.TemporaryDirectory() as folder:
        for name, path in (("no ledger", None), ("ledger", f"{folder}/a"), ("the same request again", f"{folder}/a")):
            request = WORK | {"neval": neval, "ledger": path}
            run = timed(lambda request=request: nnqft.compute(THEORY, "two_point", **request))
            rows.append([name, f"{run.wall:.1f}", run.value.total.chunks])
    report.table(*rows)


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--neval", type=int, default=200_000_000, help="samples of the scaling run, about a minute")
    options.add_argument("--repeats", type=int, default=200, help="computations for the pulls")
    chosen = choose(options, neval=10_000, repeats=2)
    report = Report("distributed", [
        "two workers ≥ 1.8 × one on a minute of work; overhead ≤ 5 % at chunks of 0.5 s;",
        "10,000 queued integrals ≤ 1 GiB in the driver; error of the sum ≤ 1.1 × ideal at equal samples;",
        "pulls of 200 computations standard normal, p > 0.001",
    ], chosen)  # fmt: skip
    everything(report, chosen)
    return report.close()


def everything(report: Report, chosen: argparse.Namespace) -> None:
    """All tables."""
    if chosen.smoke:
        WORK["order"] = 1
    scaling(report, chosen.neval)
    overhead(report, 2 if chosen.smoke else 60)
    memory(report, *((1, 10_000) if chosen.smoke else (5, 25_000_000)))
    allocation(report, 70_000 if chosen.smoke else 20_000_000)
    pulls(report, chosen.repeats)
    ledger(report, 10_000 if chosen.smoke else 40_000_000)


if __name__ == "__main__":
    sys.exit(main())
