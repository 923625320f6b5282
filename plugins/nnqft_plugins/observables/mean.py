"""The mean ⟨h_i(t)⟩."""

from __future__ import annotations

from nnqft import AbstractObservable, Leg, Theory


class Mean(AbstractObservable):
    """⟨h_i(t)⟩, non-zero where tadpoles are: an activation or a drift with even powers or a constant."""

    name = "mean"
    summary = "⟨h_i(t)⟩"
    arity = 1

    def legs(self, theory: Theory, arity: int) -> tuple[Leg, ...]:
        """The leg h at t."""
        return (Leg("h", 0, "i"),)
