"""What is finished, on disk: one SQLite file that survives its writer and serves any number of requests.

A chunk is stored under a digest of everything its numbers depend on: integrand, times, integrator, map, seeds,
number, samples (`nnqft_workers.fingerprint`); what cannot be seen to the bottom is not stored. So a request that is
resumed, repeated, or asked more precisely finds what it needs, and requests that differ in width or coupling alone
share all of it.
"""

from __future__ import annotations

import hashlib
import struct
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from nnqft import Estimate, Keep, Work
from nnqft_workers.fingerprint import Fingerprints
from nnqft_workers.ledger_file import Connection, connect, ledger_path, move_to, sqlite_errors
from nnqft_workers.ledger_rows import RECORDS, REQUESTS
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

    @property
    @abstractmethod
    def notes(self) -> tuple[str, ...]:
        """What of the request is not kept and why, and what happened to the file, one line each."""

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

    @property
    def notes(self) -> tuple[str, ...]:
        """Nothing, as nothing was to be kept."""
        return ()

    def finish(self, converged: bool, reason: str, samples: int) -> None:
        """Write nothing."""


class Ledger(AbstractLedger):
    """A ledger on disk, and the request that it is open for.

    Every method that adds commits before it returns, with the file synced to disk. A record that is not what was
    written counts as unknown: what it stood for is computed and written again, and the notes say so. A file that is
    removed meanwhile is written anew.
    """

    def __init__(self, connection: Connection, path: Path, request: str) -> None:
        self._connection, self._path, self._request = connection, path, request
        self._prints = Fingerprints()
        self._damaged: set[bytes] = set()
        self._moved = False
        with self._writing():
            self._change(status="open", reason="not finished")

    def settled(self, work: Work) -> Estimate | None:
        """The exact value of an integral, None if it is not on disk."""
        body = self._find(self._settled_digest(work))
        return None if body is None else _unpack(body)

    def add_settled(self, estimates: Iterable[tuple[Work, Estimate]]) -> None:
        """Keep exact values."""
        self._insert((self._settled_digest(work), "exact", 0, _pack(estimate)) for work, estimate in estimates)

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
        self._insert((self._chunk_digest(c), "chunk", e.samples, _pack(e)) for c, e in chunks)

    @property
    def notes(self) -> tuple[str, ...]:
        """What of the request is not kept and why, and what happened to the file, one line each."""
        count = len(self._damaged)
        damaged = (
            f"{count} record{'s' * (count > 1)} of ledger {str(self._path)!r} did not match the checksum and"
            f" {'were' if count > 1 else 'was'} computed again"
        )
        moved = f"ledger {str(self._path)!r} was removed while it was used; what was in it was written there again"
        return (*self._prints.notes, *[damaged] * bool(count), *[moved] * self._moved)

    def finish(self, converged: bool, reason: str, samples: int) -> None:
        """Write how the request ended."""
        self._update("done" if converged else "open", reason, samples)

    def _update(self, status: str, reason: str, samples: int) -> None:
        with self._writing():
            self._change(status=status, reason=reason, samples=samples)

    def _change(self, more: int = 0, **changes: Any) -> None:
        """Write the request's own row, with so many more samples; begun afresh if it is not there or not whole."""
        now = time.time()
        found = self._connection.execute("SELECT * FROM requests WHERE request = ?", (self._request,)).fetchone()
        values = REQUESTS.whole(found)
        if values is None:
            numbers = [row[0] for row in self._connection.execute("SELECT number FROM requests")]
            number = 1 + max((each for each in numbers if isinstance(each, int)), default=0)
            values = (self._request, number, now, now, "open", "not finished", 0, version("nnqft"))
        row = dict(zip(REQUESTS.columns, values, strict=True))
        row |= {"samples": row["samples"] + more, "changed": now, **changes}
        self._connection.execute(REQUESTS.replace, REQUESTS.sealed(tuple(row.values())))

    def _insert(self, rows: Iterable[tuple[bytes | None, str, int, bytes]]) -> None:
        complete = [row for row in rows if row[0] is not None]
        if not complete:
            return
        with self._writing():
            self._connection.executemany(RECORDS.replace, [RECORDS.sealed(row) for row in complete])
            self._change(more=sum(row[2] for row in complete))

    def _find(self, key: bytes | None) -> bytes | None:
        if key is None:
            return None
        with sqlite_errors(self._path):
            row = self._connection.execute("SELECT * FROM records WHERE key = ?", (key,)).fetchone()
        values = RECORDS.whole(row)
        if values is None:
            if row is not None:
                self._damaged.add(key)
            return None
        return bytes(values[3])

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """A transaction: all of it is on disk afterwards, or nothing."""
        with sqlite_errors(self._path):
            if not self._connection.is_at(self._path):
                self._connection, self._moved = move_to(self._path, self._connection), True
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _chunk_digest(self, chunk: Chunk) -> bytes | None:
        words = (chunk.seed, chunk.work.seed_words, chunk.work.state_words, chunk.number, chunk.samples)
        # The map comes from the work's own integrator, whoever samples it.
        prints = self._prints.of(chunk.work.integral, chunk.integrator, chunk.work.integrator)
        return _key(b"chunk", prints, words)

    def _state_digest(self, work: Work, seed: int) -> bytes | None:
        return _key(b"map", self._prints.of(work.integral, work.integrator), (seed, work.state_words))

    def _settled_digest(self, work: Work) -> bytes | None:
        return _key(b"settled", self._prints.of(work.integral, work.integrator), ())


def _key(kind: bytes, prints: bytes | None, words: tuple[object, ...]) -> bytes | None:
    """The key of a record; None for what has no fingerprint, which is neither kept nor looked for."""
    return None if prints is None else hashlib.blake2b(kind + prints + repr(words).encode(), digest_size=32).digest()


@contextmanager
def open_ledger(keep: Keep | None) -> Iterator[AbstractLedger]:
    """The ledger to keep a request's work in, or one that keeps nothing.

    Raises
    ------
    LedgerError
        If the file is damaged, is something else, belongs to another version, cannot be written or locked, or is
        locked by somebody else.
    """
    if keep is None:
        yield NoLedger()
        return
    path = ledger_path(keep.path)
    connection = connect(path)
    try:
        ledger = Ledger(connection, path, keep.request)
    except BaseException:
        connection.close()
        raise
    try:
        yield ledger
    finally:
        ledger.close()


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
