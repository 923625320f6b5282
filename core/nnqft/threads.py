"""What libraries keep once for all threads of a process, set for a while and put back: cores, and digits."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock, get_ident
from typing import Any

from threadpoolctl import ThreadpoolController


@contextmanager
def one_thread() -> Iterator[None]:
    """Give a context in which numpy's and scipy's libraries use one thread.

    That is a setting of the whole process: the first context that is entered, in whatever thread, makes it, and the
    last one that is left puts back what was there before. An exception or Ctrl-C leaves it, too.

    Examples
    --------
    >>> import numpy as np
    >>> from nnqft.threads import one_thread
    >>> with one_thread():
    ...     total = np.ones((2, 2)) @ np.ones(2)
    """
    scope = object()
    try:
        _LIMIT.enter(scope)
        yield
    finally:
        # Ctrl-C may come between the first two instructions of whatever is called here.
        try:
            _LIMIT.leave(scope)
        finally:
            _LIMIT.leave(scope)


@contextmanager
def digits(count: int) -> Iterator[None]:
    """Give a context in which mpmath computes with so many digits, to one thread at a time.

    Examples
    --------
    >>> import mpmath
    >>> from nnqft.threads import digits
    >>> with digits(30):
    ...     mpmath.mp.dps
    30
    """
    import mpmath  # slow to import

    with _DIGITS, mpmath.workdps(count):
        yield


_DIGITS = RLock()


class _Limit:
    """The scopes that are open now, and what the libraries did before the first of them.

    Scopes are told apart, not counted, so that leaving one twice does no harm. The lock may be taken again by the
    thread that has it, as one that is interrupted leaves its scope wherever it is.
    """

    def __init__(self) -> None:
        self._lock = RLock()
        self._scopes: dict[object, int] = {}
        self._before: dict[str, tuple[Any, int]] = {}
        self._libraries: list[Any] = []
        self._modules = 0

    def enter(self, scope: object) -> None:
        with self._lock:
            # Looking for libraries takes longer than many a piece of work; a new one comes with a module.
            if self._modules != len(sys.modules):
                self._libraries = list(ThreadpoolController().lib_controllers)
                self._modules = len(sys.modules)
            for library in self._libraries:
                self._before.setdefault(library.filepath, (library, library.num_threads))
            self._scopes[scope] = get_ident()
            for library in self._libraries:
                _set(library, 1)

    def leave(self, scope: object) -> None:
        with self._lock:
            self._scopes.pop(scope, None)
            if not self._scopes:
                for library, count in self._before.values():
                    _set(library, count)
                self._before = {}

    def after_fork(self) -> None:
        """A process that was forked has none of the other threads, whose scopes nobody would leave."""
        self._lock = RLock()
        self._scopes = {scope: thread for scope, thread in self._scopes.items() if thread == get_ident()}
        self.leave(None)


def _set(library: Any, count: int) -> None:
    """Set it, whatever thread did so before: newer versions of threadpoolctl heed no other one while that lives."""
    let_go = getattr(library, "clear_controlling_thread", lambda force: None)
    let_go(force=True)
    library.set_num_threads(count)
    let_go(force=True)


_LIMIT = _Limit()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_LIMIT.after_fork)
