"""A page of plain text: heading, tables, notes, and a last line, whatever the numbers are of."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO

_COLUMNS = 120
"""Width of a page; longer lines are folded."""


@dataclass(frozen=True)
class Table:
    """Rows of text below named columns.

    Attributes
    ----------
    columns : sequence of str
    rows : sequence of sequences of str
        A cell for each column.
    total : sequence of str
        A row below a line of its own; none if empty.
    left : int
        So many first columns stand to the left, the others to the right as numbers do.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    total: Sequence[str] = ()
    left: int = 0


@dataclass(frozen=True)
class Page:
    """What a result says of itself.

    Attributes
    ----------
    heading : sequence of str
        Lines at the top: what this is, and its parameters.
    blocks : sequence of Table or str
        Tables, and lines between them.
    notes : sequence of str
        What a reader should know, each shown behind ``note:``.
    last : str
        How it ended.
    """

    heading: Sequence[str]
    blocks: Sequence[Table | str] = ()
    notes: Sequence[str] = ()
    last: str = ""

    def text(self) -> str:
        """The page as plain text, without a line break at its end."""
        from rich.console import Console

        file = StringIO()
        console = Console(file=file, width=_COLUMNS, color_system=None, force_terminal=False, highlight=False)
        for block in (*self.heading, *self.blocks, *(f"note: {note}" for note in self.notes)):
            console.print(block if isinstance(block, str) else _rich(block), markup=False)
        if self.last:
            console.print(self.last, markup=False)
        return "\n".join(printable(line.rstrip()) for line in file.getvalue().splitlines())


def printable(line: str) -> str:
    """The line with control characters escaped: text from a file must not steer a terminal."""
    return line if line.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)


def outcome_line(converged: bool, reason: str, seconds: float, seed: int) -> str:
    """How a computation ended, as the last line of its page."""
    return f"{'' if converged else 'target NOT met: '}{reason}; {seconds:.1f} s, seed {seed}"


def _rich(table: Table):  # type: ignore[no-untyped-def]
    from rich import box
    from rich.table import Table as RichTable

    drawn = RichTable(*table.columns, box=box.SIMPLE_HEAD)
    for number, column in enumerate(drawn.columns):
        column.justify = "left" if number < table.left else "right"
        column.no_wrap = True
    for row in table.rows:
        drawn.add_row(*row)
    if table.total:
        drawn.add_section()
        drawn.add_row(*table.total)
    return drawn


def word(path: os.PathLike[str]) -> str:
    r"""A path as a word of a command line, for messages of one line; what cannot be printed as the shell escapes it.

    Examples
    --------
    >>> from pathlib import Path
    >>> from nnqft.show.page import word
    >>> print(word(Path("my run")), word(Path("tab\there")))
    'my run' $'tab\x09here'
    """
    text = os.fspath(path)
    if text.isprintable():
        return shlex.quote(text)
    plain = (
        chr(each) if 32 <= each < 127 and chr(each) not in "\\'" else f"\\x{each:02x}" for each in os.fsencode(text)
    )
    return f"$'{''.join(plain)}'"
