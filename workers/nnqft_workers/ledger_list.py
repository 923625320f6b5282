"""What a ledger holds, listed: wherever it lies, and whatever state its rows are in."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnqft import LedgerError
from nnqft.show.page import word
from nnqft_workers.ledger_file import check_pages, connect, is_there, ledger_path, sqlite_errors
from nnqft_workers.ledger_rows import RECORDS, REQUESTS


@dataclass(frozen=True)
class Contents:
    """What a ledger holds.

    Attributes
    ----------
    requests : list of mappings
        Of each request, by their numbers: request (JSON), number, began, changed, status, reason, samples, version.
    records : dict
        For each kind of record how many there are, and how many samples they hold.
    damaged : dict
        For each table how many rows are not what was written.
    """

    requests: list[Mapping[str, Any]]
    records: dict[str, tuple[int, int]]
    damaged: dict[str, int]


def contents(path: str | os.PathLike[str]) -> Contents:
    """What a ledger holds; every row is compared with its checksum.

    Raises
    ------
    LedgerError
        If it is no ledger, or so damaged that it cannot be read.
    """
    with reading(ledger_path(path)) as connection:
        return contents_of(connection)


def contents_of(connection: sqlite3.Connection) -> Contents:
    """What is in the file of a connection."""
    requests, damaged = [], Counter[str]()
    for row in connection.execute("SELECT * FROM requests"):
        values = REQUESTS.whole(row)
        if values is None:
            damaged["requests"] += 1
        else:
            requests.append(dict(zip(REQUESTS.columns, values, strict=True)))
    counts, samples = Counter[str](), Counter[str]()
    for row in connection.execute("SELECT * FROM records"):
        values = RECORDS.whole(row)
        if values is None:
            damaged["records"] += 1
        else:
            counts[values[1]] += 1
            samples[values[1]] += values[2]
    records = {kind: (counts[kind], samples[kind]) for kind in sorted(counts)}
    return Contents(sorted(requests, key=lambda each: each["number"]), records, dict(damaged))


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to look at a ledger, which may be on a medium or in a folder that cannot be written.

    Raises
    ------
    LedgerError
        If it is no ledger, or damaged.
    """
    path = ledger_path(path)
    if not path.exists() and not path.with_name(path.name + "-wal").exists():
        raise LedgerError(f"ledger {str(path)!r} does not exist; write one with nnqft compute … --ledger {word(path)}")
    if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
        with _closing(connect(path, create=False)) as connection, sqlite_errors(path):
            yield connection
        return
    if not is_there(path):
        raise LedgerError(f"ledger {str(path)!r} is empty; write one with nnqft compute … --ledger {word(path)}")
    with tempfile.TemporaryDirectory() as folder:
        # SQLite reads a file together with its write-ahead log only where it may write beside them.
        log = path.with_name(path.name + "-wal")
        if log.exists() and log.stat().st_size:
            for each in (path, log):
                shutil.copyfile(each, Path(folder, each.name))
            uri = Path(folder, path.name).as_uri()
        else:
            uri = f"{path.as_uri()}?immutable=1"
        with sqlite_errors(path), _closing(sqlite3.connect(uri, uri=True)) as connection:
            check_pages(connection, path)
            yield connection


@contextmanager
def _closing(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    try:
        yield connection
    finally:
        connection.close()
