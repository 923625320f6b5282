"""A ledger's file: made, recognised, opened, listed; what is no ledger is left as it is."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nnqft import LedgerError
from nnqft.errors import one_line

MARK = 0x6E6E7166
"""SQLite's application_id of our files, "nnqf"."""
FORMAT = 2
BUSY_SECONDS = 20.0
"""How long to wait for another process that is writing."""

_SCHEMA = f"""
CREATE TABLE requests (
    number INTEGER PRIMARY KEY, request TEXT NOT NULL UNIQUE, began REAL NOT NULL, changed REAL NOT NULL,
    status TEXT NOT NULL, reason TEXT NOT NULL, samples INTEGER NOT NULL, version TEXT NOT NULL);
CREATE TABLE records (key BLOB PRIMARY KEY, kind TEXT NOT NULL, samples INTEGER NOT NULL, body BLOB NOT NULL,
    crc INTEGER NOT NULL) WITHOUT ROWID;
PRAGMA application_id = {MARK};
PRAGMA user_version = {FORMAT};
"""


def connect(path: Path, create: bool = True) -> sqlite3.Connection:
    """Open a ledger file; what is no ledger is refused before SQLite touches it."""
    new = _check_header(path, create)
    with sqlite_errors(path):
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            if new:
                _set_up(connection)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            check = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if check != "ok":
                raise LedgerError(
                    f"ledger {str(path)!r} is damaged: {one_line(check)}; give another path, or restore a copy"
                )
        except BaseException:
            connection.close()
            raise
    return connection


def _set_up(connection: sqlite3.Connection) -> None:
    """Tables and marks, before any write-ahead log: so the file's own header tells what it is from then on."""
    connection.execute("BEGIN EXCLUSIVE")
    if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        for statement in filter(str.strip, _SCHEMA.split(";")):
            connection.execute(statement)
    # Another process may have been faster; whose file it is then decides.
    mark = connection.execute("PRAGMA application_id").fetchone()[0]
    connection.execute("COMMIT")
    if mark != MARK:
        raise sqlite3.DatabaseError("file is not a database of nnqft")


def _check_header(path: Path, create: bool) -> bool:
    """Whether the file is new, from its first bytes (https://sqlite.org/fileformat.html, the database header)."""
    name = f"ledger {str(path)!r}"
    try:
        with open(path, "rb") as file:
            head = file.read(100)
    except FileNotFoundError:
        if not create:
            raise LedgerError(f"{name} does not exist; write one with nnqft compute … --ledger {path}") from None
        if not path.absolute().parent.is_dir():
            raise LedgerError(f"{name} cannot be made: its folder does not exist") from None
        return True
    except OSError as error:
        raise LedgerError(f"{name} cannot be read: {error.strerror or error}") from None
    if (not head or path.with_name(path.name + "-journal").exists()) and create:
        return True  # empty, or left by a process that died while making it
    if len(head) < 100 or not head.startswith(b"SQLite format 3\0"):
        raise LedgerError(f"{name} is not a ledger but some other file; give another path")
    user_version, application = struct.unpack(">I", head[60:64])[0], struct.unpack(">I", head[68:72])[0]
    if application != MARK:
        raise LedgerError(f"{name} is an SQLite file of something else; give another path")
    if user_version != FORMAT:
        raise LedgerError(f"{name} has format {user_version}, this version of nnqft writes {FORMAT}; give another path")
    return False


@contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into a LedgerError of one line that says what to do."""
    try:
        yield
    except sqlite3.Error as error:
        text = str(error)
        hints = {
            "locked": f"another process has held it for {BUSY_SECONDS:g} s; wait for it, or give another path",
            "full": "the disk is full; what was finished before is kept, make room and resume",
            "readonly": "it cannot be written; check its permissions",
            "unable to open": "it cannot be opened; check its permissions and its folder's",
            "malformed": "it is damaged; give another path, or restore a copy",
            "file is not a database": "it is damaged; give another path, or restore a copy",
            "disk I/O": "the disk refuses to write; what was finished before is kept",
        }
        hint = next((hint for word, hint in hints.items() if word in text), "give another path")
        raise LedgerError(f"ledger {str(path)!r}: {text}: {hint}") from error


def list_requests(path: Path) -> list[Mapping[str, Any]]:
    """What a ledger holds: number, request (JSON), began, changed, status, reason, samples of each request.

    Raises
    ------
    LedgerError
        If it is no ledger.
    """
    connection = connect(path, create=False)
    try:
        with sqlite_errors(path):
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute("SELECT * FROM requests ORDER BY number")]
    finally:
        connection.close()


def count_records(path: Path) -> dict[str, tuple[int, int]]:
    """For each kind of record how many there are, and how many samples they hold."""
    connection = connect(path, create=False)
    try:
        with sqlite_errors(path):
            rows = connection.execute("SELECT kind, count(*), sum(samples) FROM records GROUP BY kind").fetchall()
    finally:
        connection.close()
    return {kind: (count, samples) for kind, count, samples in rows}
