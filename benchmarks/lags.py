"""VEGAS at long lags: pulls of whole sums over many seeds in one grid of times, and how the error grows with the lag.

own map   every seed adapts its own map and samples it
one map   all seeds share one, as the diagrams of a computation with equal integrals do

The references are exact. A correlator that is a function stands for a stranger's and for a tabulated one: it is a sum
of two exponentials in disguise, so that the same diagrams with its terms are exact.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from _report import Report, choose, parser, verdict

import nnqft
from nnqft.host import default_host
from nnqft.integrals.estimate import add_all
from nnqft_plugins.integrators.vegas import VegasIntegrator

LAGS = (0.0, 1.0, 3.0, 10.0, 20.0, 30.0, 50.0, 100.0, 200.0)
TERMS = (nnqft.Term(0.4, 0.8), nnqft.Term(0.1, 2.0))


def disguised(t: Any, s: Any, params: Any, xp: Any) -> Any:
    """The sum of `TERMS`, as a function."""
    return sum(term.amplitude * xp.exp(-term.rate * xp.abs(t - s)) for term in TERMS)


def with_line(theory: nnqft.Theory, **fields: Any) -> nnqft.Theory:
    """The theory with another C."""
    lines = tuple(replace(p, **fields) if p.name == "C" else p for p in theory.propagators)
    return replace(theory, propagators=lines)


def cases() -> dict[str, tuple[nnqft.Theory, nnqft.Theory, str, int, list[tuple[float, ...]]]]:
    """By name: the theory, one with exact integrals that are the same, observable, order and times."""
    linear = nnqft.theory("linear", N=50, sigma_w=0.5)
    rest = nnqft.theory("linear", N=50, sigma_w=0.5, start="rest")
    bias = nnqft.theory("linear", N=50, sigma_w=0.5, sigma_b=0.01)
    quintic = nnqft.theory("quintic", N=50, sigma_w=0.5)
    cubic = nnqft.theory("cubic_tanh", N=50, sigma_w=0.5, expansion="bare")
    pairs = [(lag, 0.0) for lag in LAGS]
    early = [(lag + 0.5, 0.5) for lag in LAGS[:-1]] + [(0.5, 200.0)]
    four = [(0.0, 0.3, lag, lag) for lag in LAGS[:-2]] + [(0.0, lag, 2 * lag, 3 * lag) for lag in (3.0, 10.0, 30.0)]
    stranger = with_line(quintic, terms=(), kernel=disguised), with_line(quintic, terms=TERMS)
    return {
        "linear": (linear, linear, "two_point", 2, pairs),
        "linear from rest": (rest, rest, "two_point", 2, early),
        "linear with a small bias": (bias, bias, "two_point", 2, pairs),
        "quintic": (quintic, quintic, "two_point", 1, pairs),
        "function": (*stranger, "two_point", 1, pairs),
        "cubic, response": (cubic, cubic, "response", 1, pairs[1:]),
        "linear, four times": (linear, linear, "cumulant", 1, four),
    }


def exact_sum(theory: nnqft.Theory, observable: str, order: int, times: np.ndarray) -> np.ndarray:
    """(M,) of the diagrams that have internal times."""
    exact = default_host().get("integrator", "exact")
    seed = np.random.SeedSequence(0)
    found = nnqft.diagrams(theory, observable, order=order, arity=times.shape[1])
    total = np.zeros(len(times))
    for diagram, weight in zip(found, found.weights, strict=True):
        integral = nnqft.time_integral(diagram, theory, times)
        if integral.dim:
            total += weight * exact.sample(integral, exact.prepare(integral, seed), 0, seed).mean
    return total


def pulls(
    theory: nnqft.Theory, observable: str, order: int, times: np.ndarray, exact: np.ndarray, chosen: Any, one_map: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pulls (R, M), the relative errors of one seed (M,), and how many seeds do not trust theirs (M,)."""
    integrator = VegasIntegrator()
    found = nnqft.diagrams(theory, observable, order=order, arity=times.shape[1])
    work = [(nnqft.time_integral(d, theory, times), w) for d, w in zip(found, found.weights, strict=True)]
    work = [(integral, weight) for integral, weight in work if integral.dim]
    maps: dict[tuple[int, str], Any] = {}
    rows, errors, doubts = [], np.zeros(len(times)), np.zeros(len(times))
    for repeat in range(chosen.seeds):
        parts = []
        for n, (integral, weight) in enumerate(work):
            key = (0 if one_map else repeat, integral.key)
            if key not in maps:
                maps[key] = integrator.prepare(integral, np.random.SeedSequence((1, *key[:1], n)))
            seed = np.random.SeedSequence((2, repeat, n))
            parts.append(integrator.sample(integral, maps[key], chosen.neval, seed).scaled(weight))
        total = add_all(parts)
        rows.append((total.mean - exact) / total.sdev)
        errors += total.sdev / np.abs(exact) / chosen.seeds
        doubts += ~total.trusted
        if not one_map:
            maps.clear()
    return np.array(rows), errors, doubts


def normal(values: np.ndarray) -> np.ndarray:
    """(M,) are mean and root mean square of the pulls what those of a normal variable are, to 3.5 deviations?"""
    count = len(values)
    mean = np.abs(values.mean(axis=0)) < 3.5 / np.sqrt(count)
    return mean & (np.abs((values**2).mean(axis=0) - 1) < 3.5 * np.sqrt(2 / count))


def row(name: str, numbers: Sequence[float], form: str) -> list[str]:
    return [name, *(format(number, form) for number in numbers)]


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--seeds", type=int, default=200)
    options.add_argument("--neval", type=int, default=4096, help="samples of each diagram")
    options.add_argument("--case", help="only this one")
    chosen = choose(options, seeds=2, neval=64)
    asked = ["pulls normal at every time: mean and root mean square within 3.5 of their own deviations"]
    report = Report("lags", asked, chosen)
    good = True
    for name, (theory, same, observable, order, listed) in cases().items():
        if chosen.case not in (None, name) or (chosen.smoke and name not in ("linear", "function")):
            continue
        times = np.array(listed)
        exact = exact_sum(same, observable, order, times)
        report.say(f"{name}: {observable} to order {order}, {chosen.seeds} seeds × {chosen.neval:,} samples a diagram")
        lags = ", ".join(format(float(np.ptp(t)), "g") for t in times)
        report.say(f"distance of the earliest and the latest time: {lags}")
        rows: list[list[str]] = [["", *(f"{n + 1}" for n in range(len(times)))]]
        for kind in ("own map", "one map"):
            values, errors, doubts = pulls(theory, observable, order, times, exact, chosen, kind == "one map")
            good &= bool(normal(values).all())
            rows.append(row(f"{kind}: mean pull", values.mean(axis=0), "+.2f"))
            rows.append(row("rms pull", np.sqrt((values**2).mean(axis=0)), ".2f"))
            rows.append(row("relative error", errors, ".0e"))
            rows.append(row("not trusted", doubts, ".0f"))
            rows.append(["normal", *(verdict(bool(fine)) for fine in normal(values))])
        report.table(*rows)
    return report.close(kept=good)


if __name__ == "__main__":
    sys.exit(main())
