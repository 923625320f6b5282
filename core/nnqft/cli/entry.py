"""Where the program begins: signals are answered before all that is slow to import."""

from __future__ import annotations

import sys
from contextlib import suppress

from nnqft.cli.signals import Answers


def main() -> int:
    """Run the command line in a process of its own, whose signals it answers, and return its exit status."""
    answers = Answers()
    answers.install()
    from nnqft.cli.main import main as run

    answers.start()
    status = run()
    with suppress(OSError, ValueError, AttributeError):  # nobody listens any more
        sys.stdout.flush()
    answers.status = status
    return status
