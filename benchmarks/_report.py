"""What every benchmark shares: its report, with the machine it ran on, on the screen and in results/, and its options.

With --smoke a benchmark runs all of its code on the smallest sizes, in a second or two, and writes nothing: its numbers
say nothing then, but what it computes must still be right.
"""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
LIBRARIES = ("nnqft", "numpy", "scipy", "vegas", "networkx", "pynauty", "ray")


class Report:
    """Lines that are printed at once and, if asked, kept in results/NAME.txt.

    Parameters
    ----------
    name
        Of the script, and of its file in results/.
    asked
        What the numbers should be.
    chosen
        The options: whether the file is written at the end, and whether the sizes are the smallest.
    """

    def __init__(self, name: str, asked: Sequence[str], chosen: argparse.Namespace) -> None:
        self.name, self.save, self.smoke = name, chosen.save, chosen.smoke
        self.lines: list[str] = []
        self.say(f"{name}, {date.today()}")
        self.say()
        for line in machine():
            self.say(line)
        self.say()
        for line in asked:
            self.say(f"asked: {line}")

    def say(self, text: str = "") -> None:
        """One line."""
        print(text, flush=True)
        self.lines.append(text)

    def table(self, *rows: Sequence[object]) -> None:
        """Rows of cells in columns; the first row is the heading."""
        cells = [[str(cell) for cell in row] for row in rows]
        widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
        if self.lines[-1]:
            self.say()
        for row in cells:
            first = row[0].ljust(widths[0])
            others = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
            self.say("  ".join([first, *others]))
        self.say()

    def close(self, right: bool = True, kept: bool = True) -> int:
        """Write the file, if asked, and return the exit status.

        Parameters
        ----------
        right
            Whether everything that has a known value has it.
        kept
            Whether what was asked of speed, memory and statistics is kept, which the smallest sizes do not tell.
        """
        if self.save:
            RESULTS.mkdir(exist_ok=True)
            path = RESULTS / f"{self.name}.txt"
            path.write_text("\n".join(line.rstrip() for line in self.lines).rstrip() + "\n", encoding="utf-8")
            print(f"wrote results/{path.name}")
        return 0 if right and (kept or self.smoke) else 1


def parser(description: str | None) -> argparse.ArgumentParser:
    """Options of a benchmark; each has --save or --smoke."""
    options = argparse.ArgumentParser(description=description)
    either = options.add_mutually_exclusive_group()
    either.add_argument("--save", action="store_true", help="write the report to results/")
    either.add_argument("--smoke", action="store_true", help="only see that all of it runs, on the smallest sizes")
    return options


def choose(options: argparse.ArgumentParser, **smallest: Any) -> argparse.Namespace:
    """What was chosen; with --smoke these values take the place of the options' own."""
    chosen = options.parse_args()
    if chosen.smoke:
        vars(chosen).update(smallest)
    return chosen


def machine() -> list[str]:
    """Processor, cores, what else kept them busy, and versions."""
    usable = len(os.sched_getaffinity(0))
    return [
        f"machine: {processor()}, {usable} cores, {platform.system()} {platform.machine()}",
        f"load before the start: {os.getloadavg()[0]:.2f} (average number of busy cores, last minute)",
        f"python {platform.python_version()}, " + ", ".join(f"{name} {version(name)}" for name in LIBRARIES),
    ]


def processor() -> str:
    """Model of the processor, as the system calls it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def verdict(good: bool) -> str:
    """``"yes"`` or ``"NO"``, for a last column."""
    return "yes" if good else "NO"
