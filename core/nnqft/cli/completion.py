"""``nnqft --install-completion``: shells that complete commands and options."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from nnqft.cli.options import OUTPUT
from nnqft.errors import InputError

COMPLETION = "--install-completion"
"""The command, written as an option because it is about the program itself."""

_STARTUP = {"bash": ".bashrc", "zsh": ".zshrc"}
"""Files in the home folder to which one line is added that loads the completion; fish finds it by itself."""

Shell = Annotated[
    Literal["bash", "zsh", "fish"] | None, Parameter(group=OUTPUT, help="For which shell; this one if absent.")
]


def completion_command(app: App) -> Callable[..., int]:
    """The command that installs the completion of an app, whose commands may be added afterwards."""

    def install_completion(*, shell: Shell = None) -> int:
        """Let the shell complete commands and options: writes one file, and for bash and zsh a line in its start-up.

        Examples:

            nnqft --install-completion

            nnqft --install-completion --shell zsh
        """
        chosen = shell or _this_shell()
        startup = Path.home() / _STARTUP[chosen] if chosen in _STARTUP else None
        before = _content(startup)
        try:
            print(f"wrote {app.install_completion(shell=chosen)}")
        except OSError as error:
            raise InputError(f"cannot install the completion of {chosen}: {error}") from None
        if _content(startup) != before:
            print(f"added a line to {startup}")
        print(f"start a new {chosen} to use it")
        return 0

    return install_completion


def _this_shell() -> Literal["bash", "zsh", "fish"]:
    from cyclopts.completion.detect import ShellDetectionError, detect_shell

    try:
        found = detect_shell()
    except ShellDetectionError:
        found = None
    if found not in ("bash", "zsh", "fish"):
        raise InputError(f"cannot complete for {found or 'a shell that is unknown'}; write --shell bash, zsh or fish")
    return found


def _content(path: Path | None) -> bytes:
    try:
        return b"" if path is None else path.read_bytes()
    except OSError:
        return b""
