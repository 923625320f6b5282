"""What commands print and write: tables, JSON, plots, and the exit status that goes with them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from nnqft.cli.options import Output
from nnqft.errors import InputError, IntegrationError, short
from nnqft.interrupts import kept_back

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
            check_path(path)
    if output.json not in (None, STDOUT) and output.json.suffix.lower() != ".json":
        raise InputError(f"--json {short(str(output.json))}: wanted a name that ends in .json, or - for stdout")
    if output.plot is not None:
        _check_plot(output.plot)


def check_path(path: Path) -> None:
    """InputError unless a file of that name can be written, or written anew."""
    folder = path.absolute().parent
    if path.is_dir() or not folder.is_dir():
        raise InputError(f"cannot write {str(path)!r}: wanted a file in a folder that exists")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise InputError(f"cannot write {str(path)!r}: permission denied; wanted a file in a folder of yours")


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
        print(f"nnqft: {error}", file=sys.stderr)
        if error.result is None:
            return 3
        result, whole = error.result, False
    with kept_back():  # what is printed is written, too, whatever comes meanwhile
        met = _show_all(result, output)
    return 0 if whole and met else 3


def _show_all(result: Any, output: Output) -> bool:
    """Print and write a result, or several by name; whether all met their targets is returned."""
    several = result if isinstance(result, dict) else {"": result}
    if output.json == STDOUT:
        data = {name: each.to_data() for name, each in several.items()}
        print(json.dumps(data.get("", data), allow_nan=False))
    for name, each in several.items():
        show(each, named(output, name))
    return all(each.converged for each in several.values())


def show(result: Shown, output: Output) -> None:
    """Print a result, and write and plot it where paths are given."""
    to = sys.stderr if output.json == STDOUT else sys.stdout
    print(result.table(), file=to)
    if output.json not in (None, STDOUT):
        result.save(output.json)
        print(f"wrote {output.json}", file=to)
    if output.plot is not None:
        save_plot(result.plot(), output.plot)
        print(f"wrote {output.plot}", file=to)


def named(output: Output, name: str) -> Output:
    """The paths with a name added to those of the files, for commands that write one for each of several."""
    return Output(_named(output.json, name), _named(output.plot, name))


def _named(path: Path | None, name: str) -> Path | None:
    return path if path in (None, STDOUT) or not name else path.with_stem(f"{path.stem}_{name}")


def save_plot(axes: Axes, path: Path) -> None:
    """Write the figure of some axes to a file."""
    try:
        axes.figure.savefig(path, dpi=150)  # type: ignore[union-attr]
    except (OSError, ValueError) as error:
        raise InputError(f"cannot write the plot {str(path)!r}: {error}") from None
