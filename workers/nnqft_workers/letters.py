"""Letters to other processes and their answers: work and its results, also of what a script or a notebook defines.

A function or a class of an importable module goes by its name, and the receiver imports that module from its file. What
the caller has in memory may be something else: a global that was set, a class attribute, a function put in another's
place, a file that was edited since. So the digests of what goes by name go along. If the receiver finds others, it does
nothing but say so, and from then on the package in question goes by value.
"""

from __future__ import annotations

import importlib
import pickle
import secrets
import sys
from contextlib import suppress
from pickle import PicklingError
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TypeVar

from nnqft import ExecutorError, WorkError
from nnqft.errors import one_line
from nnqft.identity.libraries import counts_by_version, is_installed, root_of
from nnqft.identity.parts import codes_in
from nnqft.identity.walk import MOST, Walk
from nnqft_workers.pickling import write
from nnqft_workers.pool import Failed, Lost, Parcel, run_parcel
from nnqft_workers.unpickling import in_place, read

_TOO_LARGE = b"large"
"""Begins the digest of what belongs to a large package that is installed: only code of its module is compared."""

T = TypeVar("T")


class Named(NamedTuple):
    """What goes by name, and its digest where it comes from; an empty name stands for a module."""

    module: str
    name: str
    digest: bytes

    def __str__(self) -> str:
        return f"{self.module}.{self.name}" if self.name else self.module


class Differs(NamedTuple):
    """The answer to a letter that names something which is not the same here, and why."""

    what: Named
    why: str
    by_value: frozenset[str]


class Post:
    """The caller's end: what parcels are written as, and what answers say."""

    def __init__(self) -> None:
        self._by_value: frozenset[str] = frozenset()
        self.forget()

    def forget(self) -> None:
        """From now on it is another computation, before which anything may have changed."""
        self._session = secrets.token_bytes(8)
        self._digests: dict[tuple[str, str], bytes] = {}

    def write(self, parcel: Parcel) -> bytes:
        """The letter for a parcel.

        Raises
        ------
        Exception
            Of many types, if something in it cannot travel.
        """
        try:
            content, names = write((parcel.function, parcel.items), self._by_value)
        except Exception as error:
            if not self._by_value:
                raise
            packages = ", ".join(sorted(self._by_value))
            raise PicklingError(f"{error}; {packages} goes by value, as what workers import differs") from error
        for place, thing in names.items():
            if place not in self._digests:
                self._digests[place] = _digest(place[0], thing)
        named = [Named(*place, self._digests[place]) for place in names]
        return pickle.dumps((self._session, named, self._by_value, content))

    def read(self, reply: bytes | Lost, count: int) -> list[Any] | Lost | None:
        """The results in a reply, one for each of `count` items; None if the parcel is to be written once more.

        Raises
        ------
        ExecutorError
            If the worker could not read its work.
        """
        if isinstance(reply, Lost):
            return reply
        try:
            results, _ = read(reply, ours=True)
        except Exception as error:  # a result that can be written and not be read
            cause = one_line(f"{type(error).__name__}: {error}")
            return [Failed(ExecutorError(f"a worker's result cannot be read ({cause})"))] * count
        if isinstance(results, ExecutorError):
            raise results
        if not isinstance(results, Differs):
            return list(results)
        root = root_of(results.what.module)
        if root in results.by_value or counts_by_version(root):
            raise ExecutorError(
                f"{results.what} is not in the workers what it is in memory here ({results.why}), and cannot be sent;"
                " leave it as it was imported, or write executor='local'"
            )
        self._by_value |= {root}
        return None


def _digest(module: str, thing: Any) -> bytes:
    """(32 bytes) of what goes by name; none if it is too large and may yet be anything."""
    walk = Walk(lenient=True)
    digest = walk.digest(thing)
    if root_of(module) in walk.crowds.large or (walk.visits > MOST and is_installed(module)):
        return _TOO_LARGE + codes_in(sys.modules.get(module), thing)
    return digest if walk.visits <= MOST else b""


def answer(letter: bytes) -> bytes:
    """The packed results of a packed function on its packed items.

    In their place an ExecutorError if they cannot be read, or that something they name differs.
    """
    try:
        session, named, by_value, content = pickle.loads(letter)
        for one in named:
            if why := _other_here(session, one):
                return write(Differs(one, why, by_value))[0]
        (function, items), modules = read(content)
    except Exception as raised:  # whatever an import may raise
        cause = one_line(f"{type(raised).__name__}: {raised}")
        error = ExecutorError(f"a worker process cannot read its work ({cause}); make what it names importable")
        return write(error)[0]
    with in_place(modules):
        return _packed(run_parcel(function, items))


def _packed(results: list[Any]) -> bytes:
    try:
        reply, _ = write(results)
        if any(isinstance(result, Failed) for result in results):
            read(reply)  # an exception may be written and yet not be read
        return reply
    except Exception:
        return write([_sendable(result) for result in results])[0]


_SAME: dict[bytes, set[Named]] = {}
"""What was found to be the same here, in the present session."""


def _other_here(session: bytes, one: Named) -> str:
    """Why what a name leads to is not what it is where the letter comes from; empty if it is the same."""
    if session not in _SAME:
        _SAME.clear()
        _SAME[session] = set()
    if one in _SAME[session]:
        return ""
    if not one.digest:
        return "it is too large to be compared"
    try:
        thing: Any = importlib.import_module(one.module)
        for part in filter(None, one.name.split(".")):
            thing = getattr(thing, part)
    except Exception as error:  # whatever an import may raise
        return one_line(f"{type(error).__name__}: {error}")
    large = one.digest.startswith(_TOO_LARGE)
    digest = _TOO_LARGE + codes_in(sys.modules.get(one.module), thing) if large else Walk(lenient=True).digest(thing)
    if digest != one.digest:
        return "their import of it differs"
    _SAME[session].add(one)
    return ""


def all_in(queue: SimpleQueue[T]) -> list[T]:
    """What is in a queue, waited for if there is nothing: letters that wait for each other travel together."""
    found = [queue.get()]
    with suppress(Empty):
        while True:
            found.append(queue.get_nowait())
    return found


def _sendable(result: Any) -> Any:
    """The result itself if it can travel, or in its place an error that says what it was."""
    try:
        read(write(result)[0])
        return result
    except Exception as error:
        cause = result.error if isinstance(result, Failed) else error
        return Failed(WorkError(one_line(f"{type(cause).__name__}: {cause}")))
