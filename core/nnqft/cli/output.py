"""What commands print and write: tables, JSON, plots, and the exit status that goes with them."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from nnqft.cli.options import Output
from nnqft.errors import InputError, IntegrationError, one_line, short
from nnqft.files import pieces, sealed
from nnqft.interrupts import kept_back
from nnqft.writing import check_writable, file_path, is_stream, write_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STDOUT = Path("-")
"""In place of a file: JSON goes to standard output, and the table to standard error."""


class Shown(Protocol):
    """A result that commands can show: it has a table, a plot and a file."""

    @property
    def converged(self) -> bool:
        """Was the target met?"""

    def table(self) -> str:
        """The result as text."""

    def plot(self) -> Axes:
        """The result as a figure."""

    def save(self, path: Path) -> None:
        """Write the result to a file."""

    def to_data(self) -> Mapping[str, Any]:
        """The result as JSON values."""


def check_outputs(output: Output) -> None:
    """Refuse an output path before an hour of work, not after."""
    for path in (output.json, output.plot):
        if path not in (None, STDOUT):
            check_writable(file_path("path", path))
    if output.json not in (None, STDOUT) and output.json.suffix.lower() != ".json" and not is_stream(output.json):
        raise InputError(f"--json {short(str(output.json))}: wanted a name that ends in .json, or - for stdout")
    if output.plot is not None:
        _check_plot(output.plot)


def _check_plot(path: Path) -> None:
    from matplotlib.backend_bases import FigureCanvasBase

    known = FigureCanvasBase.filetypes
    if path.suffix.lstrip(".").lower() not in known:
        raise InputError(f"--plot {short(str(path))}: wanted a name that ends in one of {', '.join(sorted(known))}")


def finish(compute: Callable[[], Any], output: Output) -> int:
    """Compute a result, or several by name, print and write them; the exit status is returned."""
    try:
        result, whole = compute(), True
    except IntegrationError as error:
        _attempt(lambda error=error: print(f"nnqft: {error}", file=sys.stderr), [])  # type: ignore[misc]
        if error.result is None:
            return 3
        result, whole = error.result, False
    with kept_back():  # what is printed is written, too, whatever comes meanwhile
        met, failures = _show_all(result, output)
    whole = whole and (met or not all(_is_hangup(each) for each in failures))
    if failures and whole:
        raise failures[0]
    if failures:  # its line would hide why the result is not whole; a terminal that is gone shows neither
        _attempt(lambda: print(f"nnqft: {failures[0]}", file=sys.stderr), [])
    return 0 if whole and met else 3


def _show_all(result: Any, output: Output) -> tuple[bool, list[Exception]]:
    """Print and write a result, or several by name: whether all met their targets, and what could not be written."""
    several = result if isinstance(result, dict) else {"": result}
    failures: list[Exception] = []
    if output.json == STDOUT:
        data = {name: sealed(each.to_data()) for name, each in several.items()}
        _attempt(lambda: _print_json(data.get("", data)), failures)
    for name, each in several.items():
        _attempt(lambda each=each, name=name: show(each, named(output, name)), failures)  # type: ignore[misc]
    return all(each.converged for each in several.values()), failures


def _is_hangup(error: Exception) -> bool:
    """Whether it says that the terminal is gone, of which the signal has told already."""
    return isinstance(error, OSError) and error.errno == errno.EIO


def _attempt(action: Callable[[], None], failures: list[Exception]) -> bool:
    """Do it, and say whether it was done; what the system or a path did against it is told when all else is written."""
    try:
        action()
    except (InputError, OSError) as error:
        failures.append(error)
        return False
    return True


def _print_json(data: Mapping[str, Any]) -> None:
    if sys.stdout is None:
        raise InputError("--json -: standard output is closed; wanted a pipe or a file")
    for part in pieces(data):
        sys.stdout.write(part.decode())
    print(flush=True)


def show(result: Shown, output: Output) -> None:
    """Print a result, and write and plot it where paths are given.

    The file comes first, so that whatever happens to the printing, or while it is drawn, what was printed is kept, too;
    if it cannot be written the table is printed all the same.
    """
    to = sys.stderr if output.json == STDOUT else sys.stdout
    failures: list[Exception] = []
    written: list[Path] = []
    json_path, plot_path = output.json, output.plot
    if json_path not in (None, STDOUT) and _attempt(lambda: result.save(Path(json_path)), failures):
        written.append(json_path)
    _attempt(lambda: print(result.table(), file=to, flush=True), failures)
    if plot_path is not None and _attempt(lambda: save_plot(result.plot(), plot_path), failures):
        written.append(plot_path)
    for path in map(str, written):
        _attempt(lambda path=path: print(f"wrote {one_line(path)}", file=to, flush=True), failures)  # type: ignore[misc]
    if failures:
        raise failures[0]


def named(output: Output, name: str) -> Output:
    """The paths with a name added to those of the files, for commands that write one for each of several."""
    return Output(_named(output.json, name), _named(output.plot, name))


def _named(path: Path | None, name: str) -> Path | None:
    return path if path in (None, STDOUT) or not name or is_stream(path) else path.with_stem(f"{path.stem}_{name}")


def save_plot(axes: Axes, path: Path) -> None:
    """Write the figure of some axes to a file."""
    write_figure(path, axes.figure, dpi=150)
