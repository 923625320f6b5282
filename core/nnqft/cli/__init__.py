"""The command line, a leaf: nothing else in core imports it."""

from nnqft.cli.main import main

__all__ = ["main"]
