"""What to write instead, said as it is written on the command line."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Mapping

from cyclopts import App, CycloptsError, MissingArgumentError, UnknownOptionError, UnusedCliTokensError

from nnqft.cli.examples import examples_of
from nnqft.errors import one_line

_NEAR = 0.75
"""Likeness from which on an option is suggested for another: options are short, and share letters by accident."""
_TUPLES = r"\[(?:\([^()]*\)(?:, )?)+\]"
_VALUE = rf"{_TUPLES}|\[[-+.\w, ]*\]|'[^']*'|[-+]?[\w.+]+(?:-\d+)?…?"


def parser_line(error: CycloptsError, app: App, command: str) -> str:
    """The line for what the parser refuses, with a hint that can be followed."""
    options = options_of(app, command)
    if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        words = one_line(" ".join(map(str, error.unused_tokens)))
        return _too_many(words, one_line(str(error.unused_tokens[0])), options)
    line = one_line(str(error)).partition(" Did you mean")[0]
    if isinstance(error, UnknownOptionError):
        return f"{line}{_nearest(line, command, options)}"
    if isinstance(error, MissingArgumentError) and error.argument:
        shown = [*(examples_of(app[command].default_command) if options else []), f"nnqft {command} --help"]
        missing = error.argument.name if error.argument.index is None else error.argument.name.removeprefix("--")
        return f"{command}: no {missing} was given; write for example {shown[0]}"
    return line


def as_options(message: str, options: Mapping[str, str]) -> str:
    """A message in which arguments stand as Python has them, with those that are options written as such.

    Examples
    --------
    >>> from nnqft.cli.hints import as_options
    >>> as_options("width_order=-1: write width_order=0 or tau=[0.0, 1.0]", {"width_order": "", "tau": ""})
    '--width-order -1: write --width-order 0 or --tau 0.0,1.0'
    """
    if not options:
        return message
    names = "|".join(sorted(map(re.escape, options), key=len, reverse=True))
    return re.sub(rf"(?<![-\w.(])({names})=({_VALUE})", _as_option, message)


def _as_option(found: re.Match[str]) -> str:
    name, value = found[1].replace("_", "-"), found[2]
    if re.fullmatch(_TUPLES, value):
        value = shlex.quote(";".join(re.findall(r"\(([^()]*)\)", value.replace(" ", ""))))
    elif value.startswith("["):
        value = value[1:-1].replace(" ", "")
    elif re.fullmatch(r"'[-\w.:/]+'", value):
        value = value[1:-1]
    return f"--{name} {value}"


def options_of(app: App, command: str) -> dict[str, str]:
    """Each option of a command by its name in Python; none if there is no such command."""
    try:
        arguments = app[command].assemble_argument_collection()
    except Exception:  # the word is no command, or one whose plugin is broken
        return {}
    long = [name for each in arguments if each.index is None for name in each.names if name.startswith("--")]
    return {name.removeprefix("--").replace("-", "_"): name for name in long}


def _too_many(words: str, first: str, options: Mapping[str, str]) -> str:
    name, equals, value = first.partition("=")
    if equals and name.replace("-", "_") in options:
        return f"{first}: wanted an option, write {options[name.replace('-', '_')]} {shlex.quote(value)}"
    if equals and "param" in options:
        return f"{first}: wanted an option; a parameter of the model is written -p {first}"
    return f"{words}: too many words; --help shows what the command takes"


def _nearest(line: str, command: str, options: Mapping[str, str]) -> str:
    """What may have been meant by an option that there is not."""
    asked = line.partition("--")[2].strip(' ."').partition("=")[0]
    near = difflib.get_close_matches(asked, [name.removeprefix("--") for name in options.values()], 1, _NEAR)
    if near:
        return f" Did you mean --{near[0]}?"
    if "param" in options:
        return " A parameter of the model is written -p name=value"
    return f" Write nnqft {command} --help to see what there is" if options else ""
