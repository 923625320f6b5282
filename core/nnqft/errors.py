"""Everything nnqft raises on purpose.

::

    NnqftError
    ├── InputError (ValueError)      what was asked makes no sense; nothing was computed
    │   └── UnknownNameError         no plugin, parameter or field of that name; carries the nearest one
    ├── PluginError                  a plugin is broken; names the plugin and the cause
    │   └── TheoryError              a model's Feynman rules contradict themselves
    ├── ExecutorError                the place where the work should run cannot be reached or died
    ├── LedgerError                  a ledger is damaged, locked, full, or no ledger at all; it stays as it was
    ├── WorkError                    a piece of work failed on a worker; names the diagram and the cause
    └── IntegrationError             an integral failed on the way; `.result` holds what was finished

The message of each is one line: what came, what was wanted, what to write instead.
"""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any


class NnqftError(Exception):
    """Base of every error that nnqft raises on purpose."""


class InputError(NnqftError, ValueError):
    """What was asked makes no sense; nothing was computed."""


class UnknownNameError(InputError):
    """No such name. The message lists the known ones and suggests the nearest."""

    def __init__(self, kind: str, name: object, known: Iterable[str], where: str = "") -> None:
        names = sorted(known)
        # A name that looks like a known one in another case counts as near, too.
        folded = {candidate.lower(): candidate for candidate in names}
        asked = name.lower() if isinstance(name, str) else ""
        near = difflib.get_close_matches(asked, list(folded), n=1, cutoff=0.5)
        hint = f"; did you mean {folded[near[0]]!r}?" if near else ""
        listing = ", ".join(names) if names else "none"
        super().__init__(f"unknown {kind} {short(name)}{where}{hint} (known: {listing})")


class PluginError(NnqftError):
    """A plugin is broken; the message names it and says why."""


class TheoryError(PluginError):
    """A model's Feynman rules contradict themselves."""


class ExecutorError(NnqftError):
    """The place where the work should run cannot be reached or died."""


class LedgerError(NnqftError):
    """A ledger cannot be used: damaged, locked, full, or no ledger at all; the file stays as it was."""


class WorkError(NnqftError):
    """A piece of work failed on a worker; the message names the diagram and the cause."""


class IntegrationError(NnqftError):
    """An integral failed on the way.

    Attributes
    ----------
    result : Result or None
        The estimate of everything finished before the failure.
    """

    def __init__(self, message: str, result: Any = None) -> None:
        super().__init__(message)
        self.result = result


_BETWEEN = {"nnqft", "nnqft_workers", "contextlib", "cyclopts", "importlib", "pluggy"}
"""Packages whose frames lie between the caller and a plugin's own code."""


def raised(error: BaseException, outer: int = 0) -> str:
    """What a plugin's code raised and where, on one line: ``KeyError: 'amplitude' (power_law.py, line 37)``.

    The place is the innermost frame of the package that nnqft called, not of a library that this called in turn; there
    is none if no line of Python in a plugin was reached. So many outermost frames are the caller's own, whatever
    package it is of.
    """
    frames = [
        (str(frame.f_globals.get("__name__", "")).partition(".")[0], Path(frame.f_code.co_filename).name, line)
        for frame, line in list(traceback.walk_tb(error.__traceback__))[outer:]
    ]
    outside = [package for package, *_ in frames if package not in _BETWEEN]
    places = [f" ({file}, line {line})" for package, file, line in frames if outside and package == outside[0]]
    return one_line(f"{type(error).__name__}: {error}") + (places[-1] if places else "")


def short(value: object, limit: int = 60) -> str:
    """repr(value) on one line and of bounded length, for use in messages."""
    try:
        text = repr(value)
    except Exception:  # a stranger's broken __repr__ must not hide the real message
        text = f"<{type(value).__name__}>"
    text = one_line(text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def one_line(text: str) -> str:
    """The text with white space folded and what cannot be printed escaped."""
    folded = " ".join(text.split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in folded)
