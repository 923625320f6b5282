"""Which of an observable's legs carry the same index: ``"iijj"`` for ⟨h_i h_i h_j h_j⟩ with i ≠ j."""

from __future__ import annotations

from dataclasses import replace

from nnqft.errors import InputError, short
from nnqft.rules.parts import Leg
from nnqft.rules.theory import Theory

_LETTERS = "ijklmnopqrstuvwxyzabcdefgh"


def check_indices(indices: object) -> str | None:
    """A pattern in its normal form, letters in the order i, j, k, …; None where all legs are of one index.

    Raises
    ------
    InputError
        If it is not text made of letters.
    """
    return letters_of("indices", indices, _LETTERS, "indices='ij' for two legs, indices='iijj' for four")


def letters_of(name: str, pattern: object, names: str, such: str) -> str | None:
    """A pattern with the letters of `names`, in their order; None where all legs have one letter.

    Raises
    ------
    InputError
        If it is not text made of letters.
    """
    if pattern is None:
        return None
    if not isinstance(pattern, str) or not pattern.strip().isalpha():
        raise InputError(f"{name}={short(pattern)}: wanted a letter for each leg, write for example {such}")
    letters = pattern.strip()
    kinds = list(dict.fromkeys(letters))
    if len(kinds) > len(names):
        raise InputError(f"{name}={short(pattern)}: {len(kinds)} different {name}, wanted at most {len(names)}")
    return None if len(kinds) == 1 else "".join(names[kinds.index(letter)] for letter in letters)


def label_legs(theory: Theory, observable: str, legs: tuple[Leg, ...], indices: str | None) -> tuple[Leg, ...]:
    """The legs with the indices of a pattern from `check_indices`: equal letters, equal units; different, different.

    Raises
    ------
    InputError
        If the pattern does not fit the legs, or the theory knows no index.
    """
    if indices is None:
        return legs
    if len(indices) != len(legs):
        raise InputError(
            f"indices={indices!r} has {len(indices)} letters, {observable!r} has {len(legs)} legs; write one for each"
        )
    if all(leg.index is None for vertex in theory.interactions for leg in vertex.legs):
        raise InputError(f"indices={indices!r}: model {theory.model!r} has one unit only; leave indices out")
    return tuple(replace(leg, index=letter) for leg, letter in zip(legs, indices, strict=True))
