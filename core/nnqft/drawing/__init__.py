"""Drawings of diagrams, each a format of its own, registered as any plugin's."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nnqft.graphs.diagram import Diagram
from nnqft.hookspecs import hookimpl


@hookimpl
def nnqft_drawings() -> Mapping[str, Callable[[Diagram], str]]:
    """One line of text."""
    from nnqft.graphs.text import draw_text

    return {"text": draw_text}
