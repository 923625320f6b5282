"""Fluctuations of the kernels from rest on one grid of times, and what they change at order 1/N.

With δC = A δq and δ⟨φφ⟩ = K δq, R = A M⁻¹ is the response of C to a source of q, M = 1 − K:

    N Cov(q) = M⁻¹ F M⁻ᵀ ,     N δq = M⁻¹ [ ½ K² : N Cov(q) + T ] .

T is what a unit hears of itself through the others, over all ordered pairs b of times, a = (a_1, a_2), i, j ∈ {1, 2}:

    T_a = Σ_b { ⟨⟨φ'φ' ; φφ_b⟩⟩ R(a_1,a_2;b) + ½ ⟨⟨φ''φ ; φφ_b⟩⟩ R(a_1,a_1;b) + ½ ⟨⟨φφ'' ; φφ_b⟩⟩ R(a_2,a_2;b)
                + Σ_ij ⟨∂_{a_i} φφ_a ∂_{b_j} φφ_b⟩ R(a_i,b_j;b) } .

In the last term the response shares a time with its source, and θ(0) = 0 decides which chains there are: of those that
go straight through, and of those that exchange both times, one each at the end where they meet. So chains that are even
and odd under that exchange are summed apart, and the source itself apart from them. Functions that jump have half their
value at the jump: the trapezoidal rule then errs as step².
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from nnqft_plugins.networks.finite_width.rest_averages import PairAverages
from nnqft_plugins.networks.finite_width.rest_grid import PairGrid


class RestFluctuations:
    """All that one grid gives; values on its pairs, bare of 1/N.

    Parameters
    ----------
    grid
    averages
        Of the correlator at N → ∞ on that grid.
    """

    def __init__(self, grid: PairGrid, averages: PairAverages) -> None:
        self.grid, self.of = grid, averages

    @cached_property
    def _answered(self) -> np.ndarray:
        return self.grid.answered(1)

    @cached_property
    def _means(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """⟨φ''φ⟩, ⟨φ'φ'⟩, ⟨φφ''⟩ of the pairs."""
        return self.of.two(2, 0), self.of.two(1, 1), self.of.two(0, 2)

    def _felt(self, dC: np.ndarray) -> np.ndarray:
        """δ⟨φφ⟩ of a change of C, both (P, …)."""
        late, both, early = (mean[:, None] for mean in self._means)
        return both * dC + 0.5 * (late * dC[self.grid.first] + early * dC[self.grid.second])

    @cached_property
    def _inverse(self) -> np.ndarray:
        self.grid.progress(0)
        return np.linalg.inv(np.eye(self.grid.count) - self._felt(self._answered))

    @cached_property
    def carried(self) -> np.ndarray:
        """(P, P) A M⁻¹, from a change of ⟨φφ⟩ of the units to the change of C."""
        return self._answered @ self._inverse

    def scatter_with(self, late: np.ndarray, early: np.ndarray) -> np.ndarray:
        """(M, P) ⟨⟨h h ; φφ⟩⟩ from the correlators (M, n + 1) of both h with the grid's times."""
        up, both, low = self._means
        i, j = self.grid.i, self.grid.j
        return (
            up * late[:, i] * early[:, i]
            + both * (late[:, i] * early[:, j] + late[:, j] * early[:, i])
            + low * late[:, j] * early[:, j]
        )

    # Order 1/N of the two-point function

    @cached_property
    def bent(self) -> np.ndarray:
        """(P,) ½ K² : N Cov(q), what fluctuating kernels change of ⟨φφ⟩."""
        grid, two = self.grid, self.of.two
        V = self.carried @ self.of.scatter @ self.carried.T
        a, i, j = np.arange(grid.count), grid.first, grid.second
        half = 0.5 * (
            two(2, 2) * (V[a, a] + 0.5 * V[i, j])
            + two(3, 1) * V[i, a]
            + two(1, 3) * V[j, a]
            + 0.25 * (two(4, 0) * V[i, i] + two(0, 4) * V[j, j])
        )
        fourth = self.of.squares[0]
        for _ in range(4):
            fourth = self.of.differentiated(fourth)
        half[grid.same] = 0.125 * fourth[:, 0] * np.diagonal(V)[grid.same]
        return half

    @cached_property
    def _chains(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Responses (P, P) of C to a pulse of q: at once, and through even and odd chains without K's ends."""
        grid = self.grid
        both = self._means[1][:, None]
        found = []
        for sign, answered in ((1, self._answered), (-1, grid.answered(-1))):
            grid.progress(0)
            found.append(answered @ np.linalg.solve(np.eye(grid.count) - both * answered, both * grid.struck(sign)))
        return grid.struck(1), found[0], found[1]

    @cached_property
    def _whole(self) -> np.ndarray:
        """(P, P) response of C to a pulse of q through at least one unit in between."""
        return self.carried @ self._felt(self._chains[0])

    @cached_property
    def meeting(self) -> tuple[np.ndarray, np.ndarray]:
        """(n + 1, P) R(t, b_1; b) and R(t, b_2; b), with b_1 the later time of b."""
        grid = self.grid
        _, even, odd = self._chains
        other = self._whole - even
        t = np.arange(grid.n + 1)[:, None]
        b = np.broadcast_to(np.arange(grid.count), (grid.n + 1, grid.count))
        late, early = grid.index[t, grid.i], grid.index[t, grid.j]
        edge = np.where(t == grid.i, 0.5, 1.0) * (t >= grid.i)
        G = grid.response(1.0)
        own = 0.5 * grid.network.sigma_w**2 * G[:, grid.i] * G[grid.i, grid.j]
        straight = own + 0.5 * (even + odd)[late, b] + other[late, b] - self._too_late()
        return straight * edge, other[early, b] * edge

    def _too_late(self) -> np.ndarray:
        """(n + 1, P): what R(t, b_1; b) has of the variance at b_1 itself, which jumps there.

        An integral up to b_1 has nothing of it, one by the trapezoidal rule half of its jump.
        """
        grid = self.grid
        up, _, low = self._means
        curved = np.empty((grid.n + 1, grid.n + 1))  # ⟨φ_u φ''_v⟩
        curved[grid.j, grid.i] = up
        curved[grid.i, grid.j] = low
        W = grid.integral
        jump = self._chains[0][grid.first, np.arange(grid.count)]
        through = (W @ (0.5 * curved)) * np.diagonal(W)
        return grid.network.sigma_w**2 * through[:, grid.i] * jump

    @cached_property
    def heard(self) -> np.ndarray:
        """(P,) T of ⟨φφ⟩."""
        of, grid, weight = self.of, self.grid, self.grid.weight
        R = self._whole + self._chains[0]
        T = (of.slopes["11", "00"] * R * weight).sum(1)
        for curved, times in (("20", grid.first), ("02", grid.second)):
            T += 0.5 * (of.slopes[curved, "00"] * R[times] * weight).sum(1)
        means = {name: table[:, 0, 0] for name, table in zip(("10", "01"), of.sloped, strict=True)}
        for b, r in zip(means, self.meeting, strict=True):
            for a, times in (("10", grid.i), ("01", grid.j)):
                both = of.slopes[a, b] + np.outer(means[a], means[b])
                T += (both * r[times] * weight).sum(1)
        return T

    @cached_property
    def heard_itself(self) -> np.ndarray:
        """(P,) T of ⟨h h⟩."""
        grid, C = self.grid, self.of.C
        up, both, low = self._means
        late, early = self.meeting
        T = np.zeros(grid.count)
        for other, source in ((grid.j, grid.i), (grid.i, grid.j)):
            one, two = C[np.ix_(other, grid.i)], C[np.ix_(other, grid.j)]
            parts = (up * one + both * two) * late[source] + (both * one + low * two) * early[source]
            T += (parts * grid.weight).sum(1)
        return T

    @cached_property
    def two_point(self) -> np.ndarray:
        """(P,) N δ⟨h h⟩."""
        return self.carried @ (self.bent + self.heard) + self.heard_itself

    @cached_property
    def response(self) -> np.ndarray:
        """(n + 1, n + 1) N δ⟨δh(t)/δinput(s)⟩."""
        grid = self.grid
        up, both, low = self._means
        late, early = self.meeting
        G = grid.response(0.5)
        at_late = (late * up + early * both) * grid.weight
        at_early = (late * both + early * low) * grid.weight
        found = at_late @ G[grid.i] + at_early @ G[grid.j]
        return np.tril(found, -1)

    @cached_property
    def mean(self) -> np.ndarray:
        """(n + 1,) N δ⟨h⟩."""
        late, early = self.meeting
        return (late * self.of.two(1, 0) + early * self.of.two(0, 1)) @ self.grid.weight
