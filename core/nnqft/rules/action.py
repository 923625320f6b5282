"""The action: fields, propagators and vertices together, and the tables that are read off them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from nnqft.rules.parts import Field, Propagator, Vertex


@dataclass(frozen=True)
class Action:
    """Fields, propagators and vertices of −S, without the parameters that made them."""

    fields: tuple[Field, ...]
    propagators: tuple[Propagator, ...]
    vertices: tuple[Vertex, ...]

    @cached_property
    def field_named(self) -> dict[str, Field]:
        """The fields by name."""
        return {field.name: field for field in self.fields}

    @cached_property
    def lines(self) -> dict[tuple[str, str], Propagator]:
        """The propagator of each pair of fields, in both orders; bilocal ones are left out."""
        table: dict[tuple[str, str], Propagator] = {}
        for propagator in self.propagators:
            if not propagator.delta:
                table[propagator.left, propagator.right] = propagator
                table[propagator.right, propagator.left] = propagator
        return table
