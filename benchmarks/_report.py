"""What every benchmark shares: its report, with the machine it ran on, on the screen and in results/."""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path

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
    save
        Write the file at the end.
    """

    def __init__(self, name: str, asked: Sequence[str], save: bool) -> None:
        self.name, self.save = name, save
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

    def close(self) -> None:
        """Write the file, if asked."""
        if self.save:
            RESULTS.mkdir(exist_ok=True)
            path = RESULTS / f"{self.name}.txt"
            path.write_text("\n".join(line.rstrip() for line in self.lines).rstrip() + "\n", encoding="utf-8")
            print(f"wrote results/{path.name}")


def parser(description: str | None) -> argparse.ArgumentParser:
    """Options of a benchmark; each has --save."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--save", action="store_true", help="write the report to results/")
    return options


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
