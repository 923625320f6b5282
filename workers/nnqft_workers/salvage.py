"""Rows of a ledger found in the bytes of its file, however damaged its pages are.

Each row vouches for itself by its checksum, so none of SQLite's own structures need be trusted: whatever looks like the
header of a row (https://sqlite.org/fileformat.html, "Record Format") is tried, wherever it is in the file or in the log
beside it, and kept if the checksum is right.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from nnqft_workers.ledger_file import PAGE
from nnqft_workers.ledger_rows import DIGEST, TABLES, Table

_LAST = 2 * DIGEST + 12
"""Type of a row's last value, its checksum: a blob of so many bytes."""
_LONGEST = 40
"""Bytes of a header; they take one for most values, up to nine for long ones."""
_LOG_HEAD, _FRAME_HEAD = 32, 24
_WHOLE = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
"""Bytes of whole numbers by their type."""

Rows = dict[str, dict[Any, tuple[Any, ...]]]
"""For each table the rows by their keys."""


def salvage(main: bytes, log: bytes) -> Rows:
    """Every whole row that is in a ledger's file or in its write-ahead log; the newest one of each request."""
    old = {1 + at // PAGE: main[at : at + PAGE] for at in range(0, len(main), PAGE)}
    frames = list(_frames(log))
    new = old | dict(frames)
    rows: Rows = {table.name: {} for table in TABLES}
    # A row that goes on in other pages is in those of the file, or in those that the log has put in their place.
    for page in old.values():
        for pages in (old, new) if frames else (old,):
            _collect(rows, page, pages)
    for _, page in frames:
        _collect(rows, page, new)
    return rows


def _frames(log: bytes) -> Iterator[tuple[int, bytes]]:
    """The pages of a write-ahead log, by their numbers, in the order in which they were written."""
    for at in range(_LOG_HEAD, len(log) - _FRAME_HEAD, _FRAME_HEAD + PAGE):
        start = at + _FRAME_HEAD
        yield struct.unpack_from(">I", log, at)[0], log[start : start + PAGE]


def _collect(rows: Rows, page: bytes, pages: Mapping[int, bytes]) -> None:
    for start in _starts(page):
        for table in TABLES:
            values = table.whole(_row(table, page, start, pages))
            if values is not None:
                known = rows[table.name].get(values[0])
                # Of a request there may be older rows in pages that are free again.
                if known is None or table.name != "requests" or known[3] < values[3]:
                    rows[table.name][values[0]] = values


def _starts(page: bytes) -> list[int]:
    """Where a row may begin: the header's first byte is its length, and its last the type of a checksum."""
    data = np.frombuffer(page, np.uint8)
    at = np.nonzero((data > len(TABLES[1].columns)) & (data <= _LONGEST))[0]
    end = at + data[at] - 1
    at, end = at[end < len(data)], end[end < len(data)]
    return [int(n) for n in at[data[end] == _LAST]]


def _row(table: Table, page: bytes, start: int, pages: Mapping[int, bytes]) -> tuple[Any, ...] | None:
    """The values whose header begins there, None if they cannot be those of the table."""
    kinds, at, end = [], start + 1, start + page[start]
    while at < end:
        kind, at = _varint(page, at)
        kinds.append(kind)
    if at != end or len(kinds) != len(table.columns) + 1:
        return None
    sizes = [_size(kind) for kind in kinds]
    if None in sizes:
        return None
    payload = _payload(page, start, page[start] + sum(size or 0 for size in sizes), pages)
    if payload is None:
        return None
    values, at = [], page[start]
    for kind, size in zip(kinds, sizes, strict=True):
        values.append(_value(kind, payload[at : at + (size or 0)]))
        at += size or 0
    # SQLite keeps a float that is a whole number as one.
    typed = [float(v) if t is float and type(v) is int else v for v, t in zip(values, table.types, strict=False)]
    return (*typed, values[-1])


def _payload(page: bytes, start: int, length: int, pages: Mapping[int, bytes]) -> bytes | None:
    """All bytes of a row, those on overflow pages too; of a tree of keys, as all of a ledger's are."""
    most, least = (PAGE - 12) * 64 // 255 - 23, (PAGE - 12) * 32 // 255 - 23
    here = length
    if length > most:
        here = least + (length - least) % (PAGE - 4)
        here = here if here <= most else least
    parts, left = [page[start : start + here]], length - here
    if len(parts[0]) < here:
        return None
    following = page[start + here : start + here + 4]
    while left > 0:
        part = pages.get(int.from_bytes(following, "big"), b"")
        if len(part) < PAGE or left > len(pages) * PAGE:
            return None
        parts.append(part[4 : 4 + left])
        following, left = part[:4], left - len(parts[-1])
    return b"".join(parts)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, the last of which has no high bit, and where it ends."""
    value = 0
    for n in range(9):
        byte = data[at + n] if at + n < len(data) else 0
        if n == 8:
            return value << 8 | byte, at + 9
        value = value << 7 | (byte & 0x7F)
        if byte < 0x80:
            return value, at + n + 1
    raise AssertionError


def _size(kind: int) -> int | None:
    if kind >= 12:
        return (kind - 12) // 2
    return 8 if kind == 7 else _WHOLE.get(kind, 0 if kind in (8, 9) else None)


def _value(kind: int, raw: bytes) -> Any:
    if kind == 7:
        return struct.unpack(">d", raw)[0] if len(raw) == 8 else None
    if kind in (8, 9):
        return kind - 8
    if kind < 12:
        return int.from_bytes(raw, "big", signed=True)
    return raw.decode("utf-8", "replace") if kind % 2 else raw
