"""Turn work and its results into bytes that another process understands, also what a script or a notebook defines."""

from __future__ import annotations

import pickle
import sys
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from nnqft import ExecutorError, WorkError
from nnqft.errors import one_line
from nnqft_workers.pool import Failed, Lost, run_parcel

T = TypeVar("T")


def pack(thing: Any) -> bytes:
    """The bytes of anything that can travel, for `pickle.loads`.

    Functions and classes of importable modules go by name. Those of the main module, lambdas and closures, which no
    other process can import, go by value, with what they use of their module.

    Raises
    ------
    Exception
        Of many types, if something in it cannot travel, such as a lock or an open file.
    """
    try:
        letter = pickle.dumps(thing)
    except Exception:  # a dozen types; what is really wrong is raised below
        letter = None
    # What is named after a main module would be looked up in the receiver's own; a child process calls it __mp_main__.
    if letter is not None and b"__main__" not in letter and b"__mp_main__" not in letter:
        return letter
    return _pack_by_value(thing)


def _pack_by_value(thing: Any) -> bytes:
    import cloudpickle

    child = sys.modules.get("__mp_main__")
    known = child is None or child.__name__ == "__main__"
    if not known:
        cloudpickle.register_pickle_by_value(child)
    try:
        letter: bytes = cloudpickle.dumps(thing)
        return letter
    finally:
        if not known:
            with suppress(ValueError):  # another thread was here, too
                cloudpickle.unregister_pickle_by_value(child)


def answer(letter: bytes) -> bytes:
    """The packed results of a packed function on its packed items, or a packed ExecutorError if it cannot be read."""
    try:
        function, items = pickle.loads(letter)
    except Exception as error:  # whatever an import may raise
        cause = one_line(f"{type(error).__name__}: {error}")
        return pack(ExecutorError(f"a worker process cannot read its work ({cause}); make what it names importable"))
    results = run_parcel(function, items)
    try:
        reply = pack(results)
        if any(isinstance(result, Failed) for result in results):
            pickle.loads(reply)  # an exception may be written and yet not be read
        return reply
    except Exception:
        return pack([_sendable(result) for result in results])


def results_in(reply: bytes | Lost, count: int) -> list[Any] | Lost:
    """The results in a reply, one for each of `count` items.

    Raises
    ------
    ExecutorError
        If the worker could not read its work.
    """
    if isinstance(reply, Lost):
        return reply
    try:
        results = pickle.loads(reply)
    except Exception as error:  # a result that can be written and not be read
        cause = one_line(f"{type(error).__name__}: {error}")
        return [Failed(ExecutorError(f"a worker's result cannot be read ({cause})"))] * count
    if isinstance(results, ExecutorError):
        raise results
    return list(results)


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
        pickle.loads(pack(result))
        return result
    except Exception as error:
        cause = result.error if isinstance(result, Failed) else error
        return Failed(WorkError(one_line(f"{type(cause).__name__}: {cause}")))
