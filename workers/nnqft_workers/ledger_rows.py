"""The tables of a ledger: their columns, and a checksum over all values of each row."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

FORMAT = 2
"""Version of the tables: since 2 every row has a checksum of all that is in it."""
DIGEST = 16
"""Bytes of a checksum."""


@dataclass(frozen=True)
class Table:
    """A table of a ledger, whose first column is its key.

    Attributes
    ----------
    name : str
    columns : tuple of str
    types : tuple of type
        Of the values; ``checksum`` comes after them.
    """

    name: str
    columns: tuple[str, ...]
    types: tuple[type, ...]

    @property
    def create(self) -> str:
        """The statement that makes the table; all its values are in one tree, so that `salvage` finds them alike."""
        words = {bytes: "BLOB", str: "TEXT", int: "INTEGER", float: "REAL"}
        columns = [f"{name} {words[kind]} NOT NULL" for name, kind in zip(self.columns, self.types, strict=True)]
        listed = ", ".join([*columns, "checksum BLOB NOT NULL", f"PRIMARY KEY ({self.columns[0]})"])
        return f"CREATE TABLE {self.name} ({listed}) WITHOUT ROWID"

    @property
    def replace(self) -> str:
        """The statement that writes a row, over another of its key if there is one."""
        return f"INSERT OR REPLACE INTO {self.name} VALUES ({', '.join('?' * (len(self.columns) + 1))})"

    def sealed(self, values: Sequence[Any]) -> tuple[Any, ...]:
        """A row's values with their checksum."""
        return (*values, self._checksum(values))

    def whole(self, row: Sequence[Any] | None) -> tuple[Any, ...] | None:
        """The values of a row as it is in a file, None if there is none or they are not those that were written."""
        if row is None or len(row) != len(self.types) + 1:
            return None
        values = tuple(row[:-1])
        # What a program of somebody else wrote may be of any type.
        typed = all(type(value) is kind for value, kind in zip(values, self.types, strict=True))
        return values if typed and row[-1] == self._checksum(values) else None

    def _checksum(self, values: Sequence[Any]) -> bytes:
        digest = hashlib.blake2b(self.name.encode(), digest_size=DIGEST)
        for value in values:
            text = value if isinstance(value, bytes) else repr(value).encode()
            digest.update(len(text).to_bytes(8, "little"))
            digest.update(text)
        return digest.digest()


REQUESTS = Table(
    "requests",
    ("request", "number", "began", "changed", "status", "reason", "samples", "version"),
    (str, int, float, float, str, str, int, str),
)
RECORDS = Table("records", ("key", "kind", "samples", "body"), (bytes, str, int, bytes))
TABLES = (REQUESTS, RECORDS)
