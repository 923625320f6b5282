"""Everything nnqft raises on purpose.

::

    NnqftError
    ├── InputError (ValueError)      what was asked makes no sense; nothing was computed
    │   └── UnknownNameError         no plugin, parameter or field of that name; carries the nearest one
    ├── PluginError                  a plugin is broken; names the plugin and the cause
    │   ├── TheoryError              a model's Feynman rules contradict themselves
    │   └── DiagramError             a plugin fails in some diagrams, and the others go on
    │       └── PointError           … because its function gives no number at a point; names the point
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

NEAR = 0.6
"""Likeness from which on a name is suggested for another: less, and what is suggested is another thing."""


class NnqftError(Exception):
    """Base of every error that nnqft raises on purpose; its message is one line.

    Examples
    --------
    >>> import nnqft
    >>> try:
    ...     nnqft.theory("linear", sigma=0.5)
    ... except nnqft.NnqftError as error:
    ...     print(type(error).__name__)
    UnknownNameError
    """


class InputError(NnqftError, ValueError):
    """What was asked makes no sense; nothing was computed.

    Examples
    --------
    >>> import nnqft
    >>> nnqft.theory("linear", N=0)
    Traceback (most recent call last):
        ...
    nnqft.errors.InputError: N=0: wanted a whole number ≥ 1, write for example N=100
    """


class UnknownNameError(InputError):
    """There is no plugin, parameter, keyword or field of that name; the message lists the known ones and suggests one.

    Examples
    --------
    >>> import nnqft
    >>> nnqft.theory("linear", start="rested")
    Traceback (most recent call last):
        ...
    nnqft.errors.UnknownNameError: unknown start 'rested'; did you mean 'rest'? (known: ...)
    """

    def __init__(self, kind: str, name: object, known: Iterable[str], where: str = "") -> None:
        names = sorted(known)
        # A name that looks like a known one in another case counts as near, too.
        folded = {candidate.lower(): candidate for candidate in names}
        asked = name.lower() if isinstance(name, str) else ""
        near = difflib.get_close_matches(asked, list(folded), n=1, cutoff=NEAR)
        hint = f"; did you mean {folded[near[0]]!r}?" if near else ""
        listing = ", ".join(names) if names else "none"
        super().__init__(f"unknown {kind} {short(name)}{where}{hint} (known: {listing})")


class PluginError(NnqftError):
    """A plugin is broken; the message names it and says why.

    Examples
    --------
    >>> import nnqft
    >>> class Broken(nnqft.AbstractModel):
    ...     name, parameters = "broken", {}
    ...     def theory(self, start, values):
    ...         return None
    >>> nnqft.theory(Broken())
    Traceback (most recent call last):
        ...
    nnqft.errors.PluginError: model 'broken' returned None, wanted a Theory
    """


class TheoryError(PluginError):
    """A model's Feynman rules contradict themselves.

    Examples
    --------
    >>> from nnqft import Leg, Theory, Vertex
    >>> Theory("mine", "stationary", {}, (), (), (Vertex("v", (Leg("q"),), 1),))
    Traceback (most recent call last):
        ...
    nnqft.errors.TheoryError: model 'mine': vertex 'v' has a leg of unknown field 'q'; declare it in fields
    """


class DiagramError(PluginError):
    """A plugin's function or integrator fails in some diagrams; the others go on."""


class PointError(DiagramError):
    """A kernel gives no number at a single point, so that only the diagrams that meet it fail; names the point."""


class ExecutorError(NnqftError):
    """The place where the work should run cannot be reached or died.

    Examples
    --------
    >>> from threading import Lock
    >>> from nnqft.host import running
    >>> with running("processes", workers=1) as executor:
    ...     list(executor.map(len, [Lock()]))
    Traceback (most recent call last):
        ...
    nnqft.errors.ExecutorError: work cannot be sent to another process (cannot pickle '_thread.lock' object); ...
    """


class LedgerError(NnqftError):
    """A ledger cannot be used: damaged, locked, full, or no ledger at all; the file stays as it was.

    Examples
    --------
    >>> import nnqft
    >>> theory = nnqft.theory("linear", N=100, sigma_w=0.5)
    >>> nnqft.compute(theory, "two_point", order=1, ledger="no such folder/run.ledger")
    Traceback (most recent call last):
        ...
    nnqft.errors.LedgerError: ledger '.../no such folder/run.ledger' cannot be made: its folder does not exist
    """


class WorkError(NnqftError):
    """A piece of work failed on a worker; the message names the diagram and the cause.

    Examples
    --------
    >>> from dataclasses import replace
    >>> import nnqft
    >>> theory = nnqft.theory("linear", N=100, sigma_w=0.5)
    >>> nan = replace(theory.propagators[0], terms=(), kernel=lambda t, s, params, xp: 0 * t + xp.nan)
    >>> try:
    ...     nnqft.compute(replace(theory, propagators=(nan, *theory.propagators[1:])), "two_point", order=0)
    ... except nnqft.IntegrationError as error:
    ...     print(type(error.__cause__).__name__)
    WorkError
    """


class IntegrationError(NnqftError):
    """An integral failed on the way.

    Attributes
    ----------
    result : Result or None
        The estimate of everything finished before the failure.

    Examples
    --------
    >>> from dataclasses import replace
    >>> import nnqft
    >>> theory = nnqft.theory("linear", N=100, sigma_w=0.5)
    >>> nan = replace(theory.propagators[0], terms=(), kernel=lambda t, s, params, xp: 0 * t + xp.nan)
    >>> nnqft.compute(replace(theory, propagators=(nan, *theory.propagators[1:])), "two_point", order=0)
    Traceback (most recent call last):
        ...
    nnqft.errors.IntegrationError: diagram 0 (order 0, width order 0): ... returned a value that is not finite at ...
    """

    def __init__(self, message: str, result: object = None) -> None:
        super().__init__(message)
        self.result: Any = result  # a Result, which this lowest floor of the house does not know


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
    r"""What repr(value) says, on one line and of at most `limit` characters, for use in messages.

    It never raises: a value whose repr does is shown by its type.

    Examples
    --------
    >>> from nnqft import short
    >>> short("a\nb"), short(list(range(100)), limit=12)
    ("'a\\nb'", '[0, 1, 2, 3…')
    """
    try:
        text = repr(value)
    except Exception:  # a plugin's broken __repr__ must not hide the real message
        text = f"<{type(value).__name__}>"
    text = one_line(text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def one_line(text: str) -> str:
    """The text with white space folded and what cannot be printed escaped."""
    folded = " ".join(text.split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in folded)
