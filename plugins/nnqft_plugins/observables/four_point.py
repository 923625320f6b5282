"""The four-point function ⟨h(t1) h(t2) h(t3) h(t4)⟩."""

from __future__ import annotations

from nnqft import AbstractObservable, Leg, Theory


class FourPoint(AbstractObservable):
    """⟨h_i(t1) h_i(t2) h_i(t3) h_i(t4)⟩, the full moment; ``indices="iijj"`` for two different units."""

    name = "four_point"
    summary = "⟨h(t1) h(t2) h(t3) h(t4)⟩, the moment; --indices iijj for two units"
    arity = 4

    def legs(self, theory: Theory, arity: int) -> tuple[Leg, ...]:
        """The legs h at each time, of one index unless the request says otherwise."""
        return tuple(Leg("h", n, "i") for n in range(4))
