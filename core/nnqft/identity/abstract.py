"""What those who put values into a walk ask of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any


class UnseenError(Exception):
    """Something cannot be seen to the bottom; the text says what and why."""


class AbstractWalk(ABC):
    """A walk over everything that can be reached from a piece of code or data.

    Attributes
    ----------
    integrator : bool
        Random generators and clocks are allowed.
    words : set of str
        All attributes and texts in the code of strangers.
    packages : set of str
        Packages from which strangers' code came.
    visits : int
        How often something was met.
    """

    integrator: bool
    words: set[str]
    packages: set[str]
    visits: int

    @abstractmethod
    def put(self, *parts: object) -> None:
        """Add words or bytes, told apart from each other."""

    @abstractmethod
    def visit(self, thing: Any, name: str = "") -> None:
        """Put a value, or the number of something that is looked at later; `name` is what leads to it."""

    @abstractmethod
    def visit_named(self, pairs: Iterable[tuple[str, Any]]) -> None:
        """Put names and the things behind them."""

    @abstractmethod
    def put_library(self, module: str, name: str = "") -> None:
        """Put the name and version of what a library brings.

        Raises
        ------
        UnseenError
            If it may depend on more than its arguments.
        """

    @abstractmethod
    def fresh(self) -> AbstractWalk:
        """Another walk of the same kind that counts its visits on."""

    @abstractmethod
    def digest(self, thing: Any) -> bytes:
        """(32 bytes) of a thing and all that can be reached from it.

        Raises
        ------
        UnseenError
            If something cannot be seen to the bottom.
        """

    @abstractmethod
    def refuse(self, what: str) -> UnseenError:
        """The error that says what cannot be seen, and on which way it was met."""
