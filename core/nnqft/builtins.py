"""What core registers of its own, as any plugin does: its commands, and the drawing of a diagram on one line."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nnqft.graphs.diagram import Diagram
from nnqft.hookspecs import hookimpl


def draw_text(diagram: Diagram) -> str:
    """One line of text, read as the legend below the list says."""
    return str(diagram)


@hookimpl
def nnqft_drawings() -> Mapping[str, Callable[[Diagram], str]]:
    """The format ``text``: a diagram on one line."""
    return {"text": draw_text}


@hookimpl
def nnqft_commands() -> Mapping[str, str]:
    """The commands of core by name; the module of each is imported when it is used."""
    return {
        "plugins": "nnqft.cli.listing:plugins",
        "rules": "nnqft.cli.listing:rules",
        "diagrams": "nnqft.cli.listing:diagrams",
        "compute": "nnqft.cli.compute:compute",
        "dyson": "nnqft.cli.dyson:dyson",
        "check": "nnqft.cli.check:check",
    }
