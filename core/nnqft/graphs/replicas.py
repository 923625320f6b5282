"""Replicas: external legs of several noise histories on one network, ``"aabb"`` for ⟨h_i^a h_j^a h_i^b h_j^b⟩.

A response leads from a point to one of the same history, so that every point is of that of the external leg it hangs
on. A theory with fields for each history has all of this in its rules, and its diagrams are those of the theory with a
history for each external leg. Of the first history fields, lines and vertices keep their names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations, product

from nnqft.errors import InputError, TheoryError, short
from nnqft.graphs.indices import letters_of
from nnqft.graphs.parts import REPLICA, replicas_of
from nnqft.rules.action import Action
from nnqft.rules.bilocal import contract_bilocal, equal_vertices
from nnqft.rules.parts import Field, Leg, Propagator, Vertex
from nnqft.rules.shared import Shared, by_history
from nnqft.rules.theory import Theory

_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def check_replicas(replicas: object) -> str | None:
    """A pattern in its normal form, letters in the order a, b, c, …; None where all legs are of one history.

    Raises
    ------
    InputError
        If it is not text made of letters.
    """
    return letters_of("replicas", replicas, _LETTERS, "replicas='ab' for two legs, replicas='aabb' for four")


def label_replicas(observable: str, legs: tuple[Leg, ...], replicas: str | None) -> tuple[Leg, ...]:
    """The legs with the noise histories of a pattern from `check_replicas`.

    Raises
    ------
    InputError
        If the pattern does not fit the legs.
    """
    if replicas is None:
        return legs
    if len(replicas) != len(legs):
        needed = f"{observable!r} has {len(legs)} legs; write one for each"
        raise InputError(f"replicas={replicas!r} has {len(replicas)} letters, {needed}")
    return tuple(replace(leg, replica=letter) for leg, letter in zip(legs, replicas, strict=True))


def replicate(theory: Theory, legs: tuple[Leg, ...]) -> tuple[Theory, tuple[Leg, ...]]:
    """The theory with fields, lines and vertices for each history that occurs in the legs, and the legs on its fields.

    Raises
    ------
    InputError
        If the theory does not say what its histories share.
    TheoryError
        If that contradicts its rules.
    """
    if wrong := [leg for leg in legs if not isinstance(leg.replica, str) or len(leg.replica) != 1]:
        raise InputError(f"an observable's leg has replica={short(wrong[0].replica)}; wanted one letter, such as 'b'")
    letters = list(dict.fromkeys(leg.replica for leg in legs))
    ends = {letter: f"{REPLICA}{name}" * (name != "a") for letter, name in zip(letters, _LETTERS, strict=False)}
    legs = tuple(replace(leg, field=leg.field + ends[leg.replica], replica="a") for leg in legs)
    if len(letters) < 2:
        return theory, legs
    shared, copies = theory.what_is_shared(), tuple(ends.values())
    local = [field for field in theory.fields if not field.bilocal]
    lines = [line for line in theory.propagators if not line.delta]
    made = replace(
        theory,
        fields=tuple(_field(field, end) for end in copies for field in local),
        propagators=(*(_line(line, end, end) for end in copies for line in lines), *_between(theory, shared, copies)),
        vertices=(
            *(_vertex(vertex, {"a": end}) for end in copies for vertex in theory.interactions),
            *_joining(theory, shared, copies),
        ),
        shared=None,
    )
    return made, legs


def _field(field: Field, end: str) -> Field:
    return replace(field, name=field.name + end, symbol=field.symbol + end) if end else field


def _line(line: Propagator, left: str, right: str) -> Propagator:
    """A line between fields of these histories, named after both."""
    histories = replicas_of((left, right))
    name = line.name if histories == "a" else f"{line.name}{REPLICA}{histories}"
    return replace(line, name=name, left=line.left + left, right=line.right + right)


def _vertex(vertex: Vertex, ends: dict[str, str]) -> Vertex:
    """A vertex with its legs moved to the fields of their histories; its own letters are given by `ends`."""
    legs = tuple(replace(leg, field=leg.field + ends[leg.replica], replica="a") for leg in vertex.legs)
    histories = "".join(end.removeprefix(REPLICA) or "a" for end in ends.values())
    return replace(vertex, legs=legs, name=vertex.name if histories == "a" else f"{vertex.name}{REPLICA}{histories}")


def _between(theory: Theory, shared: Shared, copies: Sequence[str]) -> Iterator[Propagator]:
    """The correlators between each two histories."""
    own = {line.name: line for line in theory.propagators}
    for line in shared.lines:
        known = own.get(line.name)
        if known is None or (line.left, line.right) != (known.left, known.right):
            raise TheoryError(
                f"model {theory.model!r}: shared line {line.name!r} joins {line.left!r} and {line.right!r};"
                " wanted name and fields of a line of the theory"
            )
        if theory.field_named[line.left].response or theory.field_named[line.right].response:
            raise TheoryError(f"model {theory.model!r}: shared line {line.name!r} is a response; leave it out")
        for one, two in combinations(copies, 2):
            yield _line(line, one, two)
            if line.left != line.right:
                yield replace(_line(line, two, one), name=_line(line, one, two).name + "'")


def _joining(theory: Theory, shared: Shared, copies: Sequence[str]) -> list[Vertex]:
    """The vertices with legs of different histories, those that are equal added."""
    action = Action(theory.fields, theory.propagators, shared.vertices)
    found: list[Vertex] = []
    for plain in contract_bilocal(action, f"model {theory.model!r}"):
        if theory.degree is not None and plain.degree > theory.degree:
            continue
        vertex, letters = by_history(plain)
        for ends in product(copies, repeat=len(letters)):
            if len(set(ends)) < 2:
                continue
            new = _vertex(vertex, dict(zip(letters, ends, strict=True)))
            same = [n for n, other in enumerate(found) if equal_vertices(new, other)]
            if same:
                old = found[same[0]]
                found[same[0]] = replace(old, coefficient=old.coefficient + new.coefficient)
            else:
                found.append(new)
    return found
