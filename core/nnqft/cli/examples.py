"""The examples of a command's docstring, shown at the end of its help."""

from __future__ import annotations

import inspect

from cyclopts import App

_HEADING = "Examples:"


def show_examples(app: App) -> None:
    """Let the help of a command, and of the commands within it, end with the examples of their docstrings."""
    if lines := examples_of(app.default_command):
        app.help_epilogue = "\n".join([_HEADING, *(f"  {line}" for line in lines)])
    for name in app:
        if not name.startswith("-"):
            show_examples(app[name])


def examples_of(command: object) -> list[str]:
    """The lines below ``Examples:`` in the docstring of a command, without the empty ones; none if there are none."""
    _, found, text = inspect.cleandoc(getattr(command, "__doc__", None) or "").partition(f"\n{_HEADING}\n")
    return [line.strip() for line in text.splitlines() if line.strip()] if found else []
