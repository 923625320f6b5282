"""The fourth cumulant of h_i at one time."""

from __future__ import annotations

from nnqft import AbstractObservable, Leg, Theory


class Kurtosis(AbstractObservable):
    """κ₄(t) = ⟨h_i(t)⁴⟩ − 3 ⟨h_i(t)²⟩² where the mean vanishes: how far from Gaussian one neuron is.

    It is the unnormalised excess kurtosis: divide it by ⟨h_i(t)²⟩² for the usual number. Times have shape (M, 1).
    """

    name = "kurtosis"
    summary = "⟨h_i(t)⁴⟩ connected, the unnormalised excess kurtosis; times of shape (M, 1)"
    arity = 1
    connected = True

    def legs(self, theory: Theory, arity: int) -> tuple[Leg, ...]:
        """Four h of one index, all at the time in column 0."""
        return (Leg("h", 0, "i"),) * 4
