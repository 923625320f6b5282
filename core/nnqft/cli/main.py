"""The command line: ``nnqft COMMAND …``, the commands of plugins among them.

Exit status: 0 done · 2 bad input, one line on stderr · 3 target not reached, or ended by a signal: result written and
marked so · 4 theory and simulation disagree · 128 + the signal's number, if there was no result yet.
"""

from __future__ import annotations

import errno
import io
import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pkgutil import resolve_name
from typing import TextIO

from cyclopts import App, CycloptsError

from nnqft.cli.completion import COMPLETION, completion_command
from nnqft.cli.examples import show_examples
from nnqft.cli.hints import as_options, options_of, parser_line
from nnqft.cli.summaries import summary
from nnqft.errors import IntegrationError, NnqftError, PluginError, one_line, raised
from nnqft.show.watch import OutOfTime

_HELP = ("-h", "--help")
_NOT_PRINTED = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
"""What a full device, a full quota or a lost terminal answers to whoever prints."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status; every error is one line on stderr."""
    _prepare_streams()
    warnings.showwarning = lambda message, *_, **__: print(f"nnqft: warning: {message}", file=sys.stderr)
    words = sys.argv[1:] if arguments is None else arguments
    app = None
    try:
        app = _app(words)
        status = app(
            words,
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
        if sys.stdout is not None:
            sys.stdout.flush()  # while there is somebody to be told that it went wrong
    except CycloptsError as error:
        return _fail(parser_line(error, app, words[0]) if app and words else error, 2)
    except NnqftError as error:
        status = 3 if isinstance(error, IntegrationError) else 2
        return _fail(as_options(str(error), options_of(app, words[0])) if app and words else error, status)
    except KeyboardInterrupt as error:
        return _fail(str(error) or "interrupted before anything was computed", getattr(error, "status", 130))
    except OutOfTime:
        return _fail("the time limit was reached before there was anything to show", 3)
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except Exception as error:
        if isinstance(error, OSError) and error.filename is None and error.errno in _NOT_PRINTED:
            _discard(sys.stdout)
            return _fail(f"cannot write to standard output: {error.strerror}", 2)
        if (theirs := _of_plugin(words)) is None:
            raise
        return _fail(f"{theirs} raised {raised(error)}", 2)
    return status if isinstance(status, int) else 0


def _app(words: Sequence[str]) -> App:
    """All commands, those of plugins included; only the code of the one that is asked for is imported."""
    from nnqft.host import default_host

    app = App(
        name="nnqft",
        help="Feynman diagrams of deep and recurrent networks at finite width.",
        version_flags=["--version"],
        # Docstrings are plain English, in which ⟨h⟩*2 or a_n is no markup.
        help_format="plaintext",
        suppress_keyboard_interrupt=False,
    )
    app.command(completion_command(app), name=COMPLETION)
    show_examples(app[COMPLETION])
    first = words[0] if words else "--help"
    for name, (path, plugin) in default_host().table("command").items():
        # A shell completes all their options, for which all are imported.
        if first not in (name, COMPLETION, *_HELP):
            app.command(path, name=name)
            continue
        # The list of commands shows what each does: read from its source, as importing them all is slow.
        if first in _HELP and (told := summary(path)) is not None:
            app.command(path, name=name, help=told)
            continue
        try:
            app.command(resolve_name(path), name=name)
            show_examples(app[name])
        except Exception as error:  # a plugin's code may raise anything
            cause = f"command {name!r} of plugin {plugin!r} is broken: {raised(error)}"
            if first == name:
                raise PluginError(cause) from error
            app.command(path, name=name, help=cause)
    return app


def _of_plugin(words: Sequence[str]) -> str | None:
    """Which command of somebody else's plugin these words ask for; None for one of ours, whose mistakes are bugs."""
    from nnqft.host import default_host

    name = words[0] if words else ""
    _, plugin = default_host().table("command").get(name, ("", "nnqft"))
    return None if plugin.startswith("nnqft") else f"command {name!r} of plugin {plugin!r}"


def _prepare_streams() -> None:
    """Standard error that is closed takes what is said to it; letters that a terminal has not are shown as ``?``."""
    if sys.stderr is None:  # printing to None would print to standard output
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - it stays open as long as the program
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="replace")


def _fail(error: object, status: int) -> int:
    try:
        print(f"nnqft: {one_line(str(error))}", file=sys.stderr, flush=True)
    except OSError:
        _discard(sys.stderr)
    return status


def _discard(stream: TextIO) -> None:
    """Send what could not be printed nowhere, as the interpreter would try once more when it ends."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main())
