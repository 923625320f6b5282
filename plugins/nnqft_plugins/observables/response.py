"""The response function ⟨h_i(t) z̃_i(s)⟩."""

from __future__ import annotations

from nnqft import AbstractObservable, Leg, Theory


class Response(AbstractObservable):
    """R(t, s) = ⟨h_i(t) z̃_i(s)⟩: how h_i(t) answers a kick to h_i at s; zero for t ≤ s."""

    name = "response"
    summary = "R(t,s) = ⟨h_i(t) z̃_i(s)⟩, zero for t ≤ s"

    def legs(self, theory: Theory, arity: int) -> tuple[Leg, ...]:
        """The legs h at t and z̃ at s, of one index."""
        return Leg("h", 0, "i"), Leg("z", 1, "i")
