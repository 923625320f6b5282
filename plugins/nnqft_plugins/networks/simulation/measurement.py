"""What a worker gets and gives back: a batch of networks of one ensemble."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nnqft_plugins.networks.network import Network
from nnqft_plugins.networks.simulation.moments import Moment


@dataclass(frozen=True)
class Ensemble:
    """The ensemble and what is measured in it, the same for all batches.

    Attributes
    ----------
    network : Network
    times : tuple of tuples of float
        (t, s), or the times of each of `moments`.
    moments : tuple of Moment
        What is averaged over units instead of h_i(t) h_i(s), if there are any.
    response, gradient : bool
        Measure (1/N) Σ_i J_ii or (1/N) Σ_ij J_ij² instead, J_ij = ∂h_i(t)/∂(impulse on j at s).
    spread : bool
        Measure the average over i of (Σ_j J_ij²)² in the second half of the rows.
    kernel : bool
        Measure the fluctuations of (1/N) Σ_i h_i(t) h_i(s), or of (1/N) Σ_ij J_ij², too.
    scheme : str
        ``"exact"``, ``"heun"``, ``"euler"`` or ``"layers"``.
    step : float
        Longest step; the coarse twin of each path takes twice that. 0 for exact ones.
    refined : bool
        Whether there is a coarse twin.
    begin : float
        Variance of h at the start of a path.
    burn, window, spacing : float
        Stationary paths: time before the first measurement, time over which it is repeated, and how often.
    seed : int
    """

    network: Network
    times: tuple[tuple[float, ...], ...]
    moments: tuple[Moment, ...] = ()
    response: bool = False
    gradient: bool = False
    spread: bool = False
    kernel: bool = False
    scheme: str = "exact"
    step: float = 0.0
    refined: bool = False
    begin: float = 0.0
    burn: float = 0.0
    window: float = 0.0
    spacing: float = 1.0
    seed: int = 0

    @property
    def tangent(self) -> bool:
        """Whether what is measured is how paths depend on what happened before."""
        return self.response or self.gradient


@dataclass(frozen=True)
class NetworkBatch:
    """One item of work: `size` independent units of an ensemble."""

    ensemble: Ensemble
    number: int
    size: int

    def generator(self) -> np.random.Generator:
        """Random numbers of this batch and no other."""
        return np.random.default_rng(np.random.SeedSequence((self.ensemble.seed, self.number)))


@dataclass(frozen=True)
class Measured:
    """What U independent units gave, over M pairs of times. A unit is one network, or W and −W together.

    Attributes
    ----------
    members : (U,) array
        Networks of each unit that count.
    values, squares : (U, M) arrays
        Sum over them of the observable, and of the mean square of the kernel (zeros if that was not asked for).
    coarse : (U, M) array
        The observable by steps twice as long; equal to `values` where there are no steps.
    controls : (U, M, c) array
        Quantities with mean zero over the ensemble, correlated with the values.
    discarded : int
        Networks that do not count: without a stationary state, or run away.
    drift : (U,) array
        Second half minus first half of a stationary path, of the observable at the first pair.
    residual : float
        Largest relative error with which exact ones fulfil their equation.
    margin : (U,) array or None
        What separates stationary linear networks from those without a stationary state: γ minus the largest real part
        of an eigenvalue of W or −W.
    """

    members: np.ndarray
    values: np.ndarray
    squares: np.ndarray
    coarse: np.ndarray
    controls: np.ndarray
    discarded: int = 0
    drift: np.ndarray | None = None
    residual: float = 0.0
    margin: np.ndarray | None = None


def concatenate(parts: list[Measured]) -> Measured:
    """All units of several batches, in order."""
    return Measured(
        members=np.concatenate([p.members for p in parts]),
        values=np.concatenate([p.values for p in parts]),
        squares=np.concatenate([p.squares for p in parts]),
        coarse=np.concatenate([p.coarse for p in parts]),
        controls=np.concatenate([p.controls for p in parts]),
        discarded=sum(p.discarded for p in parts),
        drift=None if parts[0].drift is None else np.concatenate([p.drift for p in parts if p.drift is not None]),
        residual=max(p.residual for p in parts),
        margin=None if parts[0].margin is None else np.concatenate([p.margin for p in parts if p.margin is not None]),
    )
