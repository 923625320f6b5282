"""How correlators and kernels of a stationary network answer a change of the kernels, on a grid of lags.

A pair of times is (t, t − k·step), k = 0 … n. What moves in t is a Fourier series in it; of each frequency Ω a function
of pairs is a vector over k, and every equation one between small matrices:

    δC = A δq ,   δ⟨φφ⟩ = K δq ,   M = 1 − K ,   K_Ω: ⟨φ'φ'⟩ δC(t,s) + ½ ⟨φ''φ⟩ [δC(t,t) + δC(s,s)] .
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy.linalg import solve_triangular

from nnqft import InputError
from nnqft_plugins.networks.finite_width import filters
from nnqft_plugins.networks.finite_width.lag_tables import LagTables
from nnqft_plugins.networks.network import Network

_GONE = 36.0
"""e^{−36} is rounding."""


class LinearResponse:
    """All of it on one grid.

    Parameters
    ----------
    network
    tables
        At lags 0, step, …, n·step.
    step
    period
        Times in one period of the Fourier series, even, in steps.
    """

    def __init__(self, network: Network, tables: LagTables, step: float, period: int) -> None:
        self.tables, self.step, self.n, self.period = tables, step, tables.n, period
        self.coupling = network.sigma_w**2
        self.k = np.arange(self.n + 1)
        self.omega = 2 * np.pi * np.arange(period // 2 + 1) / period
        modes = filters.modes_of(network)
        slowest = min(np.real(rate) for _, rate in modes)
        count = 2 * self.n + 2 + int(_GONE / (slowest * step))
        self._filter = filters.weights(modes, step, count)
        self.G = filters.values(modes, step, max(count, period + self.n + 2), 1.0)
        """(…,) response of a unit n steps after, at n = 0 its value just after."""

    def fourier(self, f: np.ndarray) -> np.ndarray:
        """(…, period) functions of a time, its zero first, to (frequencies, …)."""
        return np.moveaxis(np.fft.rfft(f, axis=-1), -1, 0)

    def back(self, f: np.ndarray) -> np.ndarray:
        """The way back."""
        return np.fft.irfft(np.moveaxis(f, 0, -1), n=self.period, axis=-1)

    def _two_legs(self, w: np.ndarray) -> np.ndarray:
        """a_Ω(δ) = Σ_u w_u w_{u−δ} e^{−iΩu}, δ = −2n … 2n, shape (frequencies, 4n + 1)."""
        reach = 2 * self.n
        count = len(w)
        later = np.zeros((count, reach + 1))
        for delta in range(reach + 1):
            later[delta:, delta] = w[delta:] * w[: count - delta]
        half = np.exp(-1j * np.outer(self.omega, np.arange(count))) @ later
        return np.concatenate([(self._phase(reach) * half)[:, :0:-1], half], axis=1)

    def _phase(self, reach: int) -> np.ndarray:
        return np.exp(1j * np.outer(self.omega, np.arange(reach + 1)))

    def _folded(self, w: np.ndarray, once: bool) -> np.ndarray:
        """(frequencies, n+1, n+1) on symmetric functions of pairs; `once`: of one source, half on either order."""
        legs = self._two_legs(w)
        k, j = self.k[:, None], self.k[None, :]
        direct = legs[:, 2 * self.n + k - j]
        exchanged = legs[:, 2 * self.n + k + j] * self._phase(self.n)[:, None]
        if once:
            return 0.5 * (direct + exchanged)
        exchanged[:, :, 0] = 0.0
        return direct + exchanged

    def _A(self) -> np.ndarray:
        """(frequencies, n+1, n+1) δC by δq, linear between grid points."""
        return self.coupling * self._folded(self._filter, once=False)

    def _averaged(self, correlators: np.ndarray) -> np.ndarray:
        """δ⟨φφ⟩ of δC, over its first index after the frequencies."""
        own = self.tables.slope_slope[:, None] * correlators
        ends = 1 + np.exp(-1j * np.outer(self.omega, self.k))
        return own + 0.5 * (self.tables.curved * ends)[:, :, None] * correlators[:, :1]

    def _M(self, A: np.ndarray) -> np.ndarray:
        """(frequencies, n+1, n+1) 1 − K."""
        return np.asarray(np.eye(self.n + 1) - self._averaged(A))

    @cached_property
    def to_correlators(self) -> np.ndarray:
        """(frequencies, n+1, n+1) A M⁻¹: δC by a source of ⟨φφ⟩, with all that follows."""
        A = self._A()
        transposed = np.linalg.solve(np.swapaxes(self._M(A), 1, 2), np.swapaxes(A, 1, 2))
        return np.swapaxes(transposed, 1, 2)

    def check_stable(self) -> float:
        """The smallest |eigenvalue| of 1 − K over all frequencies.

        Raises
        ------
        InputError
            If the kernels have a mode that grows: det(1 − K) then turns around 0 as Ω goes over all frequencies.
        """
        M = self._M(self._A())
        signs, _ = np.linalg.slogdet(M)
        turns = np.angle(signs[1:] / signs[:-1]).sum() / np.pi
        if abs(turns) > 0.5 or signs[0].real < 0.0:
            raise InputError(
                "the kernels of this network are unstable at N → ∞: 1 − K has a growing mode; write another sigma_w"
            )
        return float(np.abs(np.linalg.eigvals(M)).min())

    # ---- to a source at one pair of times ------------------------------------------------------------------------

    @cached_property
    def _half(self) -> np.ndarray:
        found = self.G.copy()
        found[0] = 0.5
        return found

    @cached_property
    def with_kernels(self) -> np.ndarray:
        """(n+1, n+1, period) δC(t, t−k) by one unit of source at (t−d, t−d−j): what goes through other kernels."""
        start = self.coupling * self._folded(self._half[: len(self._filter)], once=True)
        return self.back(self.to_correlators @ self._averaged(start))

    def response(self, k: np.ndarray, j: np.ndarray, d: np.ndarray) -> np.ndarray:
        """All of it, for arrays that broadcast, d ≥ 0; at jumps the value between."""

        def G(steps: np.ndarray) -> np.ndarray:
            return np.where(steps >= 0, self._half[np.maximum(steps, 0)], 0.0)

        bare = 0.5 * self.coupling * (G(d) * G(d + j - k) + G(d + j) * G(d - k))
        return bare + self.with_kernels[k, j, d]

    @cached_property
    def shared(self) -> tuple[np.ndarray, np.ndarray]:
        """(n+1, n+1) δC(b_1 + x, b_1) and δC(b_1 + x, b_2) over j, x by a source at b = (t, t − j), b_1 the later.

        Such a pair shares a time with its source. What would have to come and go at that time is no part of it, though
        on a grid it has the width of a step, and is taken off. Half of the value at the jump x = 0.
        """
        k, n = self.k, self.n
        later, earlier = self._pinned
        own = 0.5 * self.coupling * self.G[: n + 1] * self.G[: n + 1, None]
        j, x = k[:, None], k[None, :]
        first = self.with_kernels[x, j, x] - later[n + x, j]
        inside = x + j <= n
        far = np.minimum(x + j, n)
        second = np.where(inside, self.with_kernels[far, j, x] - earlier[n + far, j], 0.0)
        first[:, 0] = second[:, 0] = 0.0  # both times are shared
        return (first + own) * np.where(k == 0, 0.5, 1.0), second

    @cached_property
    def _pinned(self) -> tuple[np.ndarray, np.ndarray]:
        """What the grid has too much of δC(b_1 + x, b_1) and of δC(b_2 + x, b_2), (2n+1, n+1) over x = −n … n and j.

        The filter of the shared time then reaches kernels at that very time alone, by its last weight.
        """
        n = self.n
        lag = np.arange(-n, n + 1)
        after = lag[:, None] - lag[None, :]
        causal = after >= 0
        start = 0.5 * self.coupling * np.where(causal, self._half[np.maximum(after, 0)], 0.0)
        step = self.coupling * self._filter[0] * np.where(causal, self._filter[np.maximum(after, 0)], 0.0)
        matrix = np.eye(2 * n + 1) - step * self.tables.slope_slope[np.abs(lag)]
        chains = 0.5 * (solve_triangular(matrix, start, lower=True) - start)
        ends = solve_triangular(matrix, step @ (0.5 * self.tables.curved[np.abs(lag)]), lower=True)
        at_source = self.response(np.zeros_like(self.k), self.k, np.zeros_like(self.k))
        exchanged, direct = chains[:, n::-1].copy(), chains[:, n:].copy()
        both = exchanged[:, 0] + direct[:, 0] + ends * at_source[0]
        later, earlier = exchanged + np.outer(ends, at_source), direct
        later[:, 0] = earlier[:, 0] = both
        return later, earlier
