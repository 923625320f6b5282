"""What is finished, on disk: one SQLite file that survives its writer and serves any number of requests.

A chunk is stored under a digest of everything its numbers depend on: integrand, times, integrator, map, seeds,
number, samples. So a request that is resumed, repeated, or asked more precisely finds what it needs, and requests
that differ in width or coupling alone share all of it.
"""

from __future__ import annotations

import hashlib
import sqlite3
import struct
import time
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from nnqft import AbstractIntegrator, Estimate, Keep, LedgerError, Work
from nnqft_workers.fingerprint import integral_fingerprint, integrator_fingerprint
from nnqft_workers.ledger_file import connect, sqlite_errors
from nnqft_workers.tasks import Chunk

_HEAD = struct.Struct("<qqdqdqq")


class AbstractLedger(ABC):
    """What a scheduler asks of a ledger, which is open for one request."""

    @abstractmethod
    def settled(self, work: Work) -> Estimate | None:
        """The exact value of an integral, None if it is not known."""

    @abstractmethod
    def add_settled(self, estimates: Iterable[tuple[Work, Estimate]]) -> None:
        """Keep exact values."""

    @abstractmethod
    def state(self, work: Work, seed: int) -> tuple[bool, Any]:
        """Whether the map of an integral is known, and the map."""

    @abstractmethod
    def add_states(self, states: Iterable[tuple[Work, int, Any]]) -> None:
        """Keep maps that are arrays; others are learnt again, as nothing in a file may be unpickled."""

    @abstractmethod
    def recall(self, keys: Iterable[Any], chunk_of: Callable[[Any], Chunk]) -> dict[Any, Estimate]:
        """The estimates of those chunks that are known, by their keys."""

    @abstractmethod
    def add(self, chunks: Iterable[tuple[Chunk, Estimate]]) -> None:
        """Keep chunks."""

    @abstractmethod
    def finish(self, converged: bool, reason: str, samples: int) -> None:
        """Write how the request ended."""


class NoLedger(AbstractLedger):
    """Stands for a ledger where none was asked for: it keeps nothing and knows nothing."""

    def settled(self, work: Work) -> Estimate | None:
        """None: no value is known."""
        return None

    def add_settled(self, estimates: Iterable[tuple[Work, Estimate]]) -> None:
        """Keep nothing."""

    def state(self, work: Work, seed: int) -> tuple[bool, Any]:
        """False, and no map."""
        return False, None

    def add_states(self, states: Iterable[tuple[Work, int, Any]]) -> None:
        """Keep nothing."""

    def recall(self, keys: Iterable[Any], chunk_of: Callable[[Any], Chunk]) -> dict[Any, Estimate]:
        """No estimates."""
        return {}

    def add(self, chunks: Iterable[tuple[Chunk, Estimate]]) -> None:
        """Keep nothing."""

    def finish(self, converged: bool, reason: str, samples: int) -> None:
        """Write nothing."""


class Ledger(AbstractLedger):
    """A ledger on disk, and the request that it is open for.

    Every method that adds commits before it returns, with the file synced to disk.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path, request: str) -> None:
        self._connection, self._path = connection, path
        self._integrals: dict[int, bytes] = {}
        self._integrators: dict[int, tuple[AbstractIntegrator, bytes]] = {}
        now = time.time()
        with self._writing():
            self._connection.execute(
                "INSERT INTO requests (request, began, changed, status, reason, samples, version)"
                " VALUES (?, ?, ?, 'open', 'not finished', 0, ?)"
                " ON CONFLICT (request) DO UPDATE SET changed = excluded.changed, status = 'open',"
                " reason = 'not finished'",
                (request, now, now, version("nnqft")),
            )
        row = self._connection.execute("SELECT number FROM requests WHERE request = ?", (request,)).fetchone()
        self.number = int(row[0])

    def settled(self, work: Work) -> Estimate | None:
        """The exact value of an integral, None if it is not on disk."""
        body = self._find(self._digest(b"settled", work, work.integrator))
        return None if body is None else _unpack(body)

    def add_settled(self, estimates: Iterable[tuple[Work, Estimate]]) -> None:
        """Keep exact values."""
        self._insert(
            (self._digest(b"settled", work, work.integrator), "exact", 0, _pack(estimate))
            for work, estimate in estimates
        )

    def state(self, work: Work, seed: int) -> tuple[bool, Any]:
        """Whether the map of an integral is known, and the map."""
        body = self._find(self._state_digest(work, seed))
        if body is None:
            return False, None
        return True, None if not body else np.load(BytesIO(body), allow_pickle=False)

    def add_states(self, states: Iterable[tuple[Work, int, Any]]) -> None:
        """Keep maps that are arrays; others are learnt again, as nothing in a file may be unpickled."""
        rows = []
        for work, seed, state in states:
            buffer = BytesIO()
            if isinstance(state, np.ndarray) and state.dtype.kind == "f":
                np.save(buffer, state, allow_pickle=False)
            elif state is not None:
                continue
            rows.append((self._state_digest(work, seed), "map", 0, buffer.getvalue()))
        self._insert(rows)

    def recall(self, keys: Iterable[Any], chunk_of: Callable[[Any], Chunk]) -> dict[Any, Estimate]:
        """The estimates of those chunks that are on disk, by their keys."""
        bodies = {key: self._find(self._chunk_digest(chunk_of(key))) for key in keys}
        return {key: _unpack(body) for key, body in bodies.items() if body is not None}

    def add(self, chunks: Iterable[tuple[Chunk, Estimate]]) -> None:
        """Keep chunks."""
        rows = [(self._chunk_digest(c), "chunk", e.samples, _pack(e)) for c, e in chunks]
        self._insert(rows, sum(row[2] for row in rows))

    def finish(self, converged: bool, reason: str, samples: int) -> None:
        """Write how the request ended."""
        self._update("done" if converged else "open", reason, samples)

    def _update(self, status: str, reason: str, samples: int) -> None:
        with self._writing():
            self._connection.execute(
                "UPDATE requests SET status = ?, reason = ?, samples = ?, changed = ? WHERE number = ?",
                (status, reason, samples, time.time(), self.number),
            )

    def _insert(self, rows: Iterable[tuple[bytes, str, int, bytes]], samples: int = 0) -> None:
        complete = [(*row, zlib.crc32(row[3])) for row in rows]
        if not complete:
            return
        with self._writing():
            self._connection.executemany("INSERT OR IGNORE INTO records VALUES (?, ?, ?, ?, ?)", complete)
            self._connection.execute(
                "UPDATE requests SET samples = samples + ?, changed = ? WHERE number = ?",
                (samples, time.time(), self.number),
            )

    def _find(self, key: bytes) -> bytes | None:
        with sqlite_errors(self._path):
            row = self._connection.execute("SELECT body, crc FROM records WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        if zlib.crc32(row[0]) != row[1]:
            raise LedgerError(f"ledger {str(self._path)!r} is damaged: a record does not match its checksum")
        return bytes(row[0])

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """A transaction: all of it is on disk afterwards, or nothing."""
        with sqlite_errors(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def _chunk_digest(self, chunk: Chunk) -> bytes:
        words = (chunk.seed, chunk.work.seed_words, chunk.work.state_words, chunk.number, chunk.samples)
        # The map comes from the work's own integrator, whoever samples it.
        maps = self._of_integrator(chunk.work.integrator)
        return self._digest(b"chunk", chunk.work, chunk.integrator, repr(words).encode() + maps)

    def _state_digest(self, work: Work, seed: int) -> bytes:
        return self._digest(b"map", work, work.integrator, repr((seed, work.state_words)).encode())

    def _digest(self, kind: bytes, work: Work, integrator: AbstractIntegrator, more: bytes = b"") -> bytes:
        number = id(work.integral)
        if number not in self._integrals:
            self._integrals[number] = integral_fingerprint(work.integral)
        parts = kind + self._integrals[number] + self._of_integrator(integrator) + more
        return hashlib.blake2b(parts, digest_size=32).digest()

    def _of_integrator(self, integrator: AbstractIntegrator) -> bytes:
        if id(integrator) not in self._integrators:
            # Held, so that no other object gets its id.
            self._integrators[id(integrator)] = integrator, integrator_fingerprint(integrator)
        return self._integrators[id(integrator)][1]


@contextmanager
def open_ledger(keep: Keep | None) -> Iterator[AbstractLedger]:
    """The ledger to keep a request's work in, or one that keeps nothing.

    Raises
    ------
    LedgerError
        If the file is damaged, is something else, belongs to another version, cannot be written, or is locked.
    """
    if keep is None:
        yield NoLedger()
        return
    path = Path(keep.path)
    connection = connect(path)
    try:
        yield Ledger(connection, path, keep.request)
    finally:
        connection.close()


def _pack(estimate: Estimate) -> bytes:
    """Numbers as little-endian bytes; the covariance of an exact value is zero and is left out."""
    times, rounding = len(estimate.mean), np.atleast_1d(estimate.rounding)
    head = _HEAD.pack(
        estimate.samples, estimate.chunks, estimate.chi2_sum, estimate.dof, estimate.seconds, times, len(rounding)
    )
    moments = [np.broadcast_to(each, times) for each in (estimate.size, estimate.square)]
    arrays = [estimate.mean, rounding] + ([estimate.cov.ravel(), *moments] if estimate.samples else [])
    return head + np.concatenate(arrays).astype("<f8").tobytes()


def _unpack(body: bytes) -> Estimate:
    samples, chunks, chi2_sum, dof, seconds, times, bounds = _HEAD.unpack_from(body)
    numbers = np.frombuffer(body, "<f8", offset=_HEAD.size).astype(float)
    mean, rounding, rest = numbers[:times], numbers[times : times + bounds], numbers[times + bounds :]
    if not samples:
        return Estimate(mean, np.broadcast_to(0.0, (times, times)), 0, chunks, chi2_sum, dof, seconds, rounding)
    cov, moments = rest[: times * times].reshape(times, times), rest[times * times :].reshape(2, times)
    return Estimate(mean, cov, samples, chunks, chi2_sum, dof, seconds, rounding, *moments)
