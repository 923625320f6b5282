"""A ledger's file: made, recognised, opened; what is no ledger is left as it is."""

from __future__ import annotations

import os
import sqlite3
import stat
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nnqft import LedgerError
from nnqft.errors import one_line, short
from nnqft.replacing import put_in_place, put_new
from nnqft.show.page import word
from nnqft.writing import file_path, look
from nnqft_workers.ledger_rows import FORMAT, TABLES
from nnqft_workers.locks import why_no_locks

MARK = 0x6E6E7166
"""SQLite's application_id of our files, "nnqf"."""
PAGE = 4096
"""Bytes of a page of the file."""
BUSY_SECONDS = 20.0
"""How long to wait for another process that is writing."""

_open: Counter[tuple[int, int]] = Counter()
"""Files that this process has open: to open and close one of them otherwise would drop all its locks."""
_opening = threading.RLock()


class Connection(sqlite3.Connection):
    """A connection to a ledger, which knows the file that it was opened to."""

    identity: tuple[int, int] | None = None
    beside: Mapping[Path, tuple[int, int]] = {}

    def belongs_to(self, path: Path) -> None:
        """Say what was opened, for `is_at` and for others who would open it."""
        with _opening:
            self.identity = _identity(path)
            if self.identity:
                _open[self.identity] += 1

    def remember_logs(self, path: Path) -> None:
        """Note which files SQLite has made beside it."""
        beside = [path.with_name(path.name + ending) for ending in ("-wal", "-shm")]
        self.beside = {each: found for each in beside if (found := _identity(each)) is not None}

    def is_at(self, path: Path) -> bool:
        """Is the file still where it was opened?"""
        return self.identity is not None and self.identity == _identity(path)

    def close(self) -> None:
        """Let go of the file."""
        super().close()
        with _opening:
            if self.identity:
                _open[self.identity] -= 1
                self.identity = None


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def is_open_here(path: Path) -> bool:
    """Has this process the file open?"""
    identity = _identity(path)
    return identity is not None and _open[identity] > 0


def ledger_path(path: object) -> Path:
    """The file that a path leads to, links followed.

    Raises
    ------
    LedgerError
        If it is the name of a thing of SQLite's that is no file, or of something else than a file.
    """
    given = file_path("ledger", path)
    if str(given) == ":memory:" or str(given).startswith("file:"):
        raise LedgerError(f"ledger {str(given)!r} is no file; give the path of one, for example run.ledger")
    try:
        real = Path(os.path.realpath(given))  # fails where the folder that we are in is gone
        found = look(real)
    except OSError as error:
        raise LedgerError(f"ledger {str(given)!r} cannot be read: {error.strerror or error}") from None
    if found is not None and not stat.S_ISREG(mode := found.st_mode):
        what = "a folder" if stat.S_ISDIR(mode) else "a pipe" if stat.S_ISFIFO(mode) else "a device or a socket"
        raise LedgerError(f"ledger {str(given)!r} is {what}; give the path of a file")
    return real


def connect(path: Path, create: bool = True) -> Connection:
    """Open a ledger file to write; what is no ledger is refused before SQLite touches it.

    Raises
    ------
    LedgerError
        If it is damaged, is something else, belongs to another version, cannot be written, or cannot be locked.
    """
    path = ledger_path(path)
    with _opening, sqlite_errors(path):
        if not is_there(path) and create:
            check_locks(path)
            make_empty(path)
            is_there(path)  # another process may have been faster; whose file it is then decides
        elif not create and not is_there(path):
            raise LedgerError(f"ledger {str(path)!r} is empty; write one with nnqft compute … --ledger {word(path)}")
        elif not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
            raise LedgerError(f"ledger {str(path)!r} or its folder cannot be written; check their permissions")
        else:
            check_locks(path)
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, factory=Connection)
        try:
            connection.belongs_to(path)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            check_pages(connection, path)
            connection.remember_logs(path)
        except BaseException:
            connection.close()
            raise
    return connection


def move_to(path: Path, old: Connection) -> Connection:
    """A connection to the file that is now at a path from which another was removed, with all that is in that.

    Raises
    ------
    LedgerError
        If there is something else now, or nothing can be written there any more.
    """
    try:
        if not path.exists():
            for each, identity in old.beside.items():
                # A log without its file would be taken for that of the new one.
                if _identity(each) == identity:
                    each.unlink(missing_ok=True)
        new = connect(path)
    except (LedgerError, OSError) as error:
        raise LedgerError(f"the ledger's file was removed or replaced while it was used: {error}") from None
    try:
        with sqlite_errors(path):
            new.execute("BEGIN IMMEDIATE")
            for table in TABLES:
                rows = (row for row in old.execute(f"SELECT * FROM {table.name}") if table.whole(row))
                new.executemany(table.replace.replace("REPLACE", "IGNORE"), rows)
            new.execute("COMMIT")
    except BaseException:
        new.close()
        raise
    old.close()
    return new


def check_pages(connection: sqlite3.Connection, path: Path) -> None:
    """LedgerError if SQLite finds something wrong in the file."""
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    check = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    # A trigger would change what is written, and a row of other columns is none of ours.
    kinds = {row[0]: row[1] for row in connection.execute("SELECT name, type FROM sqlite_master")}
    columns = [[row[1] for row in connection.execute(f"PRAGMA table_info({table.name})")] for table in TABLES]
    ours = columns == [[*table.columns, "checksum"] for table in TABLES]
    if check != "ok" or not ours or not {"trigger", "view"}.isdisjoint(kinds.values()):
        cause = one_line(str(check)) if check != "ok" else "its tables are not those of a ledger"
        raise LedgerError(f"ledger {str(path)!r} is damaged: {cause}; write nnqft repair {word(path)}")


def check_locks(path: Path) -> None:
    """LedgerError if files in the ledger's folder cannot be locked."""
    if not path.parent.is_dir():
        raise LedgerError(f"ledger {str(path)!r} cannot be made: its folder does not exist")
    with sqlite_errors(path):
        why = why_no_locks(path.parent)
    if why:
        raise LedgerError(
            f"ledger {str(path)!r} cannot be locked, and two writers would destroy it ({why}); give a path on a local"
            " disk that may be written"
        )


def make_empty(path: Path) -> None:
    """A ledger without rows at a path where there is nothing, or an empty file; never over anything else."""
    found = look(path)
    if found is None:
        put_new(path, ledger_bytes({}))
    elif not found.st_size:
        put_in_place(path, ledger_bytes({}), found)


def ledger_bytes(rows: Mapping[str, Mapping[Any, Sequence[Any]]]) -> bytes:
    """A ledger file that holds these rows of its tables, by name."""
    # Made in memory and put in place whole, so that no half-made file can ever be met there.
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        connection.execute(f"PRAGMA page_size = {PAGE}")
        for table in TABLES:
            connection.execute(table.create)
            connection.executemany(table.replace, map(table.sealed, rows.get(table.name, {}).values()))
        connection.execute(f"PRAGMA application_id = {MARK}")
        connection.execute(f"PRAGMA user_version = {FORMAT}")
        data = bytearray(connection.serialize())
    finally:
        connection.close()
    data[18:20] = b"\2\2"  # it is kept with a write-ahead log (https://sqlite.org/fileformat.html, the header)
    return bytes(data)


def is_there(path: Path) -> bool:
    """Whether there is a ledger, from its first bytes (https://sqlite.org/fileformat.html, the database header).

    A file that is none is not opened with SQLite, which would roll back a journal that lies beside it.
    """
    name = f"ledger {str(path)!r}"
    if is_open_here(path):
        return True
    try:
        with open(path, "rb") as file:
            head = file.read(100)
    except FileNotFoundError:
        head = b""
    except OSError as error:
        raise LedgerError(f"{name} cannot be read: {error.strerror or error}") from None
    if not head:
        for beside in (path.with_name(path.name + ending) for ending in ("-wal", "-journal")):
            if beside.exists() and beside.stat().st_size:
                raise LedgerError(
                    f"{name} is gone, but {beside.name!r} of it lies there still; nnqft repair {word(path)} saves what"
                    " it can, or move it away"
                )
        return False
    if len(head) < 100 or not head.startswith(b"SQLite format 3\0"):
        if head.startswith(b"{"):
            raise LedgerError(f"{name} is a JSON file, such as a saved result, and no ledger; a result is read with"
                              f" nnqft.load({short(str(path))}), and --ledger run.ledger of nnqft compute writes a"
                              " ledger")  # fmt: skip
        raise LedgerError(f"{name} is not a ledger but some other file; give another path (nnqft repair saves what it"
                          " can if it was one)")  # fmt: skip
    user_version, application = struct.unpack(">I", head[60:64])[0], struct.unpack(">I", head[68:72])[0]
    if application != MARK:
        raise LedgerError(f"{name} is an SQLite file of something else; give another path")
    if user_version != FORMAT:
        raise LedgerError(f"{name} has format {user_version}, this version of nnqft writes {FORMAT}; give another path")
    log = path.with_name(path.name + "-wal")
    if not any(_is_ours(log, pause) for pause in (0.0, 0.05, 0.05)):
        raise LedgerError(f"{name} has {log.name!r} of something else beside it, which would be written into it; move"
                          " that away")  # fmt: skip
    return True


def _is_ours(log: Path, pause: float) -> bool:
    """Whether a write-ahead log can be that of a ledger: by the size of its pages, and the header in each first one."""
    time.sleep(pause)  # somebody may have been in the middle of writing a page
    data = log.read_bytes() if log.exists() else b""
    first = (data[at + 24 : at + 96] for at in range(32, len(data) - 24, 24 + PAGE) if data[at : at + 4] == b"\0\0\0\1")
    size = struct.unpack(">I", data[8:12])[0] if len(data) >= 12 else PAGE
    return size == PAGE and all(page[68:72] == MARK.to_bytes(4, "big") for page in first if len(page) == 72)


@contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into a LedgerError of one line that says what to do."""
    try:
        yield
    except UnicodeDecodeError as error:  # of a message that quotes what a damaged page holds
        raise LedgerError(f"ledger {str(path)!r} is damaged; write nnqft repair {word(path)}") from error
    except (sqlite3.Error, OSError) as error:
        text = one_line(str(error) if isinstance(error, sqlite3.Error) else error.strerror or str(error))
        damaged = f"it is damaged; write nnqft repair {word(path)}"
        hints = {
            "locked": f"another process has held it for {BUSY_SECONDS:g} s; wait for it, or give another path",
            "full": "the disk is full; what was finished before is kept, make room and resume",
            "readonly": "it cannot be written; check its permissions",
            "unable to open": "it cannot be opened; check its permissions and its folder's",
            "malformed": damaged,
            "file is not a database": damaged,
            "disk I/O": "the disk refuses to write; what was finished before is kept",
        }
        hint = next((hint for word, hint in hints.items() if word in text), "give another path")
        raise LedgerError(f"ledger {str(path)!r}: {text}: {hint}") from error
