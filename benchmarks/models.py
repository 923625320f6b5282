"""How long generating the diagrams of the nonlinear networks takes on one core, and how much memory.

⟨h h⟩, all orders up to the one named. Each case runs in a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

from _cases import print_case, run_case, timed
from _report import Report, choose, parser, verdict

GIB = 2.0
"""Most memory that a case may take, in 2^30 bytes."""


class Case(NamedTuple):
    """A model and how far; how many diagrams of the highest order there are by width, and the seconds asked."""

    model: str
    order: int
    width_order: int | None
    counts: list[int] | None
    seconds: float

    @property
    def title(self) -> str:
        """How it is called in the report."""
        width = "" if self.width_order is None else f", width ≤ {self.width_order}"
        return f"{self.model} n ≤ {self.order}{width}"


# The counts of quintic are those of docs/physics.md, added up over (1,1)³, (1,1)²(1,3), (1,1)(1,3)² and (1,3)³.
CASES = {
    "quintic-3": Case("quintic", 3, None, [65, 1460, 13198, 47292], 10.0),
    "cubic-tanh-3-1": Case("cubic_tanh", 3, 1, None, 5.0),
    "quintic-4-1": Case("quintic", 4, 1, None, 60.0),
}
SMOKE = {"quintic-1": Case("quintic", 1, None, [3, 8], 1.0)}


def measure(name: str) -> dict[str, Any]:
    """One case, in this process."""
    import numpy as np

    import nnqft

    case = (CASES | SMOKE)[name]
    theory = nnqft.theory(case.model, N=1, sigma_w=1.0, expansion="bare")
    nnqft.diagrams(theory, "two_point", order=1)  # finds the plugins
    question = {"order": case.order, "width_order": case.width_order, "max_diagrams": 10_000_000}
    found, wall, processor = timed(lambda: nnqft.diagrams(theory, "two_point", **question))
    return {
        "wall": wall,
        "processor": processor,
        "counts": np.bincount(found.widths[found.orders == case.order]).tolist(),
        "all": len(found),
    }


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--case", choices=CASES | SMOKE, help="run one case and print JSON")
    chosen = choose(options)
    if chosen.case:
        return print_case(lambda: measure(chosen.case))
    cases = SMOKE if chosen.smoke else CASES
    asked = [f"{case.title} in ≤ {case.seconds:g} s on one core" for case in cases.values()]
    report = Report("models", [*asked, f"each with ≤ {GIB:g} GiB"], chosen)
    rows: list[list[object]] = [
        ["case", "of top order, by width", "as known", "in all", "wall s", "CPU s", "≤ s", "GiB", "kept"]
    ]
    right = kept = True
    for name, case in cases.items():
        got = run_case(name)
        gib = got["peak"] / 2**20
        known = case.counts is None or got["counts"] == case.counts
        fast = got["wall"] <= case.seconds and gib <= GIB
        right, kept = right and known, kept and fast
        rows.append([
            case.title, " ".join(f"{count:,}" for count in got["counts"]), verdict(known) if case.counts else "–",
            f"{got['all']:,}", f"{got['wall']:.2f}", f"{got['processor']:.2f}", f"{case.seconds:g}",
            f"{gib:.2f}", verdict(fast),
        ])  # fmt: skip
    report.table(*rows)
    return report.close(right, kept)


if __name__ == "__main__":
    sys.exit(main())
