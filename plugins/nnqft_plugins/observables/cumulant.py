"""The connected k-point function."""

from __future__ import annotations

from nnqft import AbstractObservable, Leg, Theory


class Cumulant(AbstractObservable):
    """⟨h_i(t1) … h_i(tk)⟩ connected, all indices equal; k is the number of columns of the times."""

    name = "cumulant"
    summary = "connected ⟨h_i(t1) … h_i(tk)⟩, times of shape (M, k)"
    arity = None
    connected = True

    def legs(self, theory: Theory, arity: int) -> tuple[Leg, ...]:
        """h at each time, of one index."""
        return tuple(Leg("h", n, "i") for n in range(arity))
