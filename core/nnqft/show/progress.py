"""A progress bar for long runs."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from nnqft.interrupts import work_begins


class _Terminal(io.TextIOBase):
    """Standard error as long as it is there: a terminal that was closed ends a bar, not what is computed."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Show the text, or nothing; the number of its characters is returned."""
        with suppress(OSError, ValueError, AttributeError):
            self._stream.write(text)  # type: ignore[union-attr]
        return len(text)

    def flush(self) -> None:
        """Show what was written."""
        with suppress(OSError, ValueError, AttributeError):
            self._stream.flush()  # type: ignore[union-attr]

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._stream is not None and self._stream.isatty()


@contextmanager
def progress_bar(
    show: bool, preparing: str = "setting up", things: str = "samples"
) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Give a function that takes ``samples``, ``expected`` and ``error`` and shows them on stderr, or nowhere.

    `preparing` is what happens before there are samples, `things` what the samples are called. A state may name its own
    ``stage`` and ``things``, which are then shown with what is done of what is expected.
    """
    if not show:
        yield lambda state: None
        return
    work_begins()  # a bar hides the cursor, and gives it back in the end
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[samples]}"),
        TimeElapsedColumn(),
    )
    console = Console(file=_Terminal(sys.stderr))  # type: ignore[arg-type]
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(preparing, total=None, samples="")

        def report(state: Mapping[str, Any]) -> None:
            error = state["error"]
            stage = "sampling" if state["samples"] else preparing
            if "stage" in state:
                stage = state["stage"]
            elif state["samples"] and error != float("inf"):
                stage = f"sampling, error/target {error:.3g}"
            bar.update(
                task,
                description=stage,
                total=state["expected"],
                completed=state["samples"],
                samples=f"{state['samples']:,} {state.get('things', things)}",
            )

        yield report
