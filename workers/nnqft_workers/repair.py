"""Damaged ledgers and results mended: what is whole is kept, what is not is dropped and named."""

from __future__ import annotations

import fcntl
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nnqft import InputError, LedgerError
from nnqft.errors import one_line
from nnqft.files import mended, read_document
from nnqft.replacing import put_in_place
from nnqft.writing import file_path, look, write_file
from nnqft_workers.ledger_file import (
    MARK,
    check_locks,
    is_open_here,
    ledger_bytes,
    ledger_path,
    sqlite_errors,
)
from nnqft_workers.ledger_list import contents_of, reading
from nnqft_workers.ledger_rows import FORMAT
from nnqft_workers.salvage import salvage

_SHARED = (0x40000002, 510)
"""First byte and number of those that every user of an SQLite file locks."""


def repair(path: str | os.PathLike[str]) -> list[str]:
    """Mend a ledger or a saved result, and say line by line what was done.

    A file that is whole stays as it is. Of a damaged one a copy is kept beside it, whose name is said. A ledger keeps
    every row that matches its checksum, in whatever pages it is. A result is restored if one bit was flipped.

    Raises
    ------
    InputError
        If a result cannot be restored, or the file is neither.
    LedgerError
        If a ledger is in use, or nothing of it is left.
    """
    given = file_path("path", path)
    try:
        real = Path(os.path.realpath(given))
        return repair_result(real) if _is_result(real) else repair_ledger(real)
    except OSError as error:  # a name that is too long, a folder that is gone or closed to us, a disk that fails
        raise InputError(f"cannot repair {str(given)!r}: {error.strerror or error}") from None


def _is_result(path: Path) -> bool:
    """Is it a saved result, or was one? By what it begins with, by its name, and by what it would be if mended."""
    if not path.is_file() or is_open_here(path):
        return path.suffix.lower() == ".json"
    with open(path, "rb") as file:
        head = file.read(6)
    if head == b"SQLite":
        return False
    return head.startswith(b"{") or path.suffix.lower() == ".json" or mended(path.read_bytes()) is not None


def repair_result(path: Path) -> list[str]:
    """Restore a result of which one bit was flipped since it was saved."""
    try:
        _, doubt = read_document(path, "result")
    except InputError as error:
        if not path.is_file():
            raise
        raw = path.read_bytes()
        whole = mended(raw)
        if whole is None:
            raise InputError(
                f"{str(path)!r} cannot be mended: more than one bit of it was changed, or its layout; it stays as it"
                f" is ({error})"
            ) from None
        kept = _free_name(path)
        write_file(kept, raw)
        write_file(path, whole)
        at = next((n for n, (x, y) in enumerate(zip(whole, raw, strict=True)) if x != y), 0)
        return [f"{path}: byte {at} was changed; restored", f"{kept}: the damaged file"]
    return [f"{path}: nothing is damaged" if not doubt else f"{path}: {doubt}; there is nothing to compare it with"]


def repair_ledger(path: Path) -> list[str]:
    """Write the whole rows of a ledger to a new file in its place."""
    path = ledger_path(path)
    if is_open_here(path):
        raise LedgerError(f"ledger {str(path)!r} is in use by this very process; repair it when that is over")
    writable = os.access(path if path.exists() else path.parent, os.W_OK) and os.access(path.parent, os.W_OK)
    if writable:
        check_locks(path)
    cause, dropped = _find_damage(path)
    if not cause:
        return [f"{path}: nothing is damaged"]
    if not writable:
        raise LedgerError(f"ledger {str(path)!r} is damaged, and it or its folder cannot be written; copy it first")
    with sqlite_errors(path), _alone(path) as main:
        log = path.with_name(path.name + "-wal")
        rows = salvage(main, log.read_bytes() if log.exists() else b"")
        # One without rows is known by its header alone.
        marked = main[60:64] + main[68:72] == FORMAT.to_bytes(4, "big") + MARK.to_bytes(4, "big")
        if not any(rows.values()) and not marked:
            raise LedgerError(
                f"ledger {str(path)!r} cannot be repaired: no row of a ledger of this version is in it; it stays as it"
                f" is ({cause})"
            )
        kept = _free_name(path)
        data, found = ledger_bytes(rows), look(path)
        _move(path, kept)
        put_in_place(path, data, found)
    whole = f"{_count(len(rows['requests']), 'request')} and {_count(len(rows['records']), 'record')}"
    return [
        f"{path}: {cause}",
        *[f"dropped {each}" for each in dropped or ["what its damaged pages held, as far as it is nowhere else"]],
        f"kept {whole}; what was dropped is computed again when it is asked for",
        f"{kept}: the damaged file",
    ]


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'s' * (number != 1)}"


def _find_damage(path: Path) -> tuple[str, list[str]]:
    """What is wrong with a ledger, empty if nothing is, and the rows that are no longer what was written."""
    try:
        with reading(path) as connection:
            check = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
            if check != "ok":
                return one_line(str(check)), []
            damaged = contents_of(connection).damaged
    except LedgerError as error:
        missing = not path.exists() and not path.with_name(path.name + "-wal").exists()
        if missing or "locked" in str(error.__cause__):
            raise
        return str(error).partition("; ")[0], []
    count = Counter(damaged)
    said = [f"{_count(count[name], name.removesuffix('s'))} that did not match the checksum" for name in sorted(count)]
    return ("rows of it were changed or damaged after they were written" if said else ""), said


@contextmanager
def _alone(path: Path) -> Iterator[bytes]:
    """What is in an SQLite file, with all other users kept away; LedgerError if there is one now."""
    if not path.exists():
        yield b""
        return
    with open(path, "r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, _SHARED[1], _SHARED[0])
        except OSError:
            raise LedgerError(f"ledger {str(path)!r} is in use by another process; repair it after that") from None
        # Read here, as opening it once more and closing it would give up the lock.
        yield file.read()


def _move(path: Path, kept: Path) -> None:
    """The damaged file and its log, out of the way; the log's index is of no use to anybody."""
    for ending in ("", "-wal", "-journal"):
        with suppress(FileNotFoundError):
            os.rename(path.with_name(path.name + ending), kept.with_name(kept.name + ending))
    path.with_name(path.name + "-shm").unlink(missing_ok=True)


def _free_name(path: Path) -> Path:
    """A name beside a file that nothing has, for what it was."""
    number, name = 1, path.with_name(f"{path.name}.damaged")
    while any(name.with_name(name.name + ending).exists() for ending in ("", "-wal", "-journal")):
        number += 1
        name = path.with_name(f"{path.name}.damaged-{number}")
    return name
