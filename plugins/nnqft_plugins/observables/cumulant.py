"""The connected k-point function."""

from __future__ import annotations

from nnqft import AbstractObservable, Leg, Theory


class Cumulant(AbstractObservable):
    """⟨h_i(t1) … h_i(tk)⟩ connected, of one index unless asked otherwise; k is the number of columns of the times."""

    name = "cumulant"
    summary = "connected ⟨h(t1) … h(tk)⟩, times of shape (M, k); --indices iijj for two units"
    arity = None
    connected = True

    def legs(self, theory: Theory, arity: int) -> tuple[Leg, ...]:
        """The legs h at each time, of one index unless the request says otherwise."""
        return tuple(Leg("h", n, "i") for n in range(arity))
