"""The two-point function ⟨h_i(t) h_i(s)⟩."""

from __future__ import annotations

from nnqft import AbstractObservable, Leg, Theory


class TwoPoint(AbstractObservable):
    """C(t, s) = ⟨h_i(t) h_i(s)⟩, the full moment."""

    name = "two_point"
    summary = "C(t,s) = ⟨h_i(t) h_i(s)⟩"

    def legs(self, theory: Theory, arity: int) -> tuple[Leg, ...]:
        """The legs h at t and h at s, of one index."""
        return Leg("h", 0, "i"), Leg("h", 1, "i")
