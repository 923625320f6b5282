"""One thread for linear algebra, so that its bits do not depend on a machine's cores."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController


@cache
def _controller() -> ThreadpoolController:
    # Looking for the libraries takes longer than many a piece of work.
    return ThreadpoolController()


def one_thread() -> AbstractContextManager[Any]:
    """A context in which numpy's and scipy's libraries use one thread."""
    return _controller().limit(limits=1)
