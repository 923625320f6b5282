"""How much processor time passes before nnqft does anything: its import, and the shortest commands.

Each in a fresh Python, user and system time together, threads of libraries included, files cached; the cases take
turns, so that a busy machine is busy for all alike. Beside them stand Python alone, numpy alone, which nnqft is built
on, and the library that parses the command line.
"""

from __future__ import annotations

import sys
from statistics import median
from typing import NamedTuple

from _cases import Timed, fresh
from _report import Report, choose, parser, verdict

RUN = "import sys; from nnqft.cli import main; sys.exit(main(sys.argv[1:]))"


class Case(NamedTuple):
    """Words after ``python -c``, and the seconds of processor time asked."""

    words: tuple[str, ...]
    seconds: float | None = None

    @property
    def title(self) -> str:
        """How it is called in the report."""
        return " ".join(["nnqft", *self.words[1:]]) if self.words[0] == RUN else self.words[0]


CASES = (
    Case(("pass",)),
    Case(("import numpy",)),
    Case(("import cyclopts",)),
    Case(("import nnqft",), 0.25),
    Case((RUN, "--help"), 0.5),
    Case((RUN, "compute", "--help")),
    Case((RUN, "plugins")),
    Case((RUN, "rules", "linear")),
    Case((RUN, "compute", "linear")),
)
HEAVY = (
    "numpy",
    "scipy",
    "mpmath",
    "vegas",
    "gvar",
    "pynauty",
    "cyclopts",
    "rich",
    "networkx",
    "matplotlib",
    "ray",
    "jax",
)
LIST = f"import atexit, sys; atexit.register(lambda: print('\\n', *(m for m in {HEAVY} if m in sys.modules)));"


def loaded(case: Case) -> str:
    """The large libraries among the modules that a case loads."""
    code, *words = case.words
    return fresh([sys.executable, "-c", LIST + code, *words]).value.splitlines()[-1].strip()


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--repeats", type=int, default=15, help="runs of each; the median counts")
    chosen = choose(options, repeats=1)
    asked = [f"{case.title} in ≤ {case.seconds:g} s of processor time" for case in CASES if case.seconds]
    report = Report("startup", asked, chosen)
    runs: dict[Case, list[Timed]] = {case: [] for case in (CASES[:5] if chosen.smoke else CASES)}
    for _ in range(chosen.repeats):
        for case, done in runs.items():
            done.append(fresh([sys.executable, "-c", *case.words]))
    rows: list[list[object]] = [["", "CPU s, median", "least", "most", "wall s, median", "≤ s", "kept", "loads"]]
    kept = True
    for case, done in runs.items():
        busy = [run.processor for run in done]
        good = case.seconds is None or median(busy) <= case.seconds
        kept &= good
        limit = ["", ""] if case.seconds is None else [f"{case.seconds:g}", verdict(good)]
        numbers = [median(busy), min(busy), max(busy), median(run.wall for run in done)]
        rows.append([case.title, *(f"{number:.3f}" for number in numbers), *limit, loaded(case)])
    report.say(f"{chosen.repeats} runs of each")
    report.table(*rows)
    return report.close(kept=kept)


if __name__ == "__main__":
    sys.exit(main())
