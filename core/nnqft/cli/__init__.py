"""The command line, a leaf: nothing else in core imports it."""

TYPE_CHECKING = False  # as in nnqft: the program begins here, and answers signals before it imports what is slow
if TYPE_CHECKING:
    from nnqft.cli.main import main

__all__ = ["main"]


def __getattr__(name: str) -> object:
    """The function that runs the command line, imported when it is asked for."""
    if name != "main":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from nnqft.cli.main import main

    globals()["main"] = main  # importing has put the module of that name there
    return main
