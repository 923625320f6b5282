"""VEGAS at long lags: pulls of whole sums over many seeds in one grid of times, and how the error grows with the lag.
Ten seeds share an adapted map.

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

SHARED = 10
HIGH = 3
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
    four = [(0.0, 0.3, lag, lag) for lag in LAGS[:-2]] + [(0.0, 30.0, 60.0, 100.0), (0.0, 0.0, 80.0, 80.0)]
    adapting = nnqft.theory("adaptation", N=50, sigma_w=0.5, expansion="bare", coefficients={1: 1.0})
    stranger = with_line(quintic, terms=(), kernel=disguised), with_line(quintic, terms=TERMS)
    return {
        "linear": (linear, linear, "two_point", 2, pairs),
        "linear from rest": (rest, rest, "two_point", 2, early),
        "linear with a small bias": (bias, bias, "two_point", 2, pairs),
        "quintic": (quintic, quintic, "two_point", 1, pairs),
        "function": (*stranger, "two_point", 1, pairs),
        "cubic, response": (cubic, cubic, "response", 1, pairs[1:]),
        "two variables": (adapting, adapting, "two_point", 1, pairs),
        "linear, order 5 alone": (linear, linear, "two_point", 5, pairs),
        "linear, four times": (linear, linear, "cumulant", 1, four),
    }


def integrals_of(
    theory: nnqft.Theory, observable: str, order: int, times: np.ndarray
) -> list[tuple[nnqft.TimeIntegral, float]]:
    """The different integrals with internal times, and their weights in the sum; of high orders these alone, to 1/N."""
    high = order > HIGH
    found = nnqft.diagrams(theory, observable, order=order, width_order=1 if high else None, arity=times.shape[1])
    integrals: dict[str, nnqft.TimeIntegral] = {}
    weights: dict[str, float] = {}
    for diagram, weight in zip(found, found.weights, strict=True):
        integral = nnqft.time_integral(diagram, theory, times)
        if integral.dim and (diagram.order == order or not high):
            integrals.setdefault(integral.key, integral)
            weights[integral.key] = weights.get(integral.key, 0.0) + weight
    return [(integral, weights[key]) for key, integral in integrals.items()]


def exact_sum(theory: nnqft.Theory, observable: str, order: int, times: np.ndarray) -> np.ndarray:
    """(M,) of the diagrams that have internal times."""
    exact = default_host().get("integrator", "exact")
    work = integrals_of(theory, observable, order, times)
    values, _ = exact.settle([integral for integral, _ in work])
    return np.sum([weight * value for (_, weight), value in zip(work, values, strict=True)], axis=0)


def pulls(
    theory: nnqft.Theory, observable: str, order: int, times: np.ndarray, exact: np.ndarray, chosen: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pulls (R, M), the relative errors of one seed (M,), and for how many seeds theirs is not trusted (M,)."""
    integrator = VegasIntegrator()
    parts: list[list[nnqft.Estimate]] = [[] for _ in range(chosen.seeds)]
    for n, (integral, weight) in enumerate(integrals_of(theory, observable, order, times)):
        for repeat in range(chosen.first, chosen.first + chosen.seeds):
            if repeat == chosen.first or repeat % SHARED == 0:
                state = integrator.prepare(integral, np.random.SeedSequence((1, repeat, n)))
            sample = integrator.sample(integral, state, chosen.neval, np.random.SeedSequence((2, repeat, n)))
            parts[repeat - chosen.first].append(sample.scaled(weight))
    sums = [add_all(each) for each in parts]
    rows = np.array([(total.mean - exact) / total.sdev for total in sums])
    errors = np.mean([total.sdev for total in sums], axis=0) / np.abs(exact)
    return rows, errors, np.sum([~total.trusted for total in sums], axis=0)


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
    options.add_argument("--first", type=int, default=1000, help="the first seed")
    options.add_argument("--neval", type=int, default=2048, help="samples of each diagram")
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
        values, errors, doubts = pulls(theory, observable, order, times, exact, chosen)
        good &= bool(normal(values).all())
        rows.append(row("mean pull", values.mean(axis=0), "+.2f"))
        rows.append(row("rms pull", np.sqrt((values**2).mean(axis=0)), ".2f"))
        rows.append(row("relative error", errors, ".0e"))
        rows.append(row("not trusted", doubts, ".0f"))
        rows.append(["normal", *(verdict(bool(fine)) for fine in normal(values))])
        report.table(*rows)
    return report.close(kept=good)


if __name__ == "__main__":
    sys.exit(main())
