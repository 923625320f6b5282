"""How many samples each integral should get, so that their weighted sum meets one target at least cost.

For a sum of independent integrals the cheapest way to an error is to sample each in proportion to its standard
deviation per sample over the root of its cost (Neyman, J. R. Stat. Soc. 97, 558 (1934)). With many times the worst
counts: the variances are mixed with weights that are raised where the error is largest until all are equal or
without weight, the dual ascent of a minimax problem.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from nnqft import Estimate, Work

FLOOR = 0.06
"""Each integral gets at least this part of an equal share, so that a variance that looked too small is found out."""
_STEPS = 24


def ideal_shares(variance: np.ndarray, cost: np.ndarray) -> np.ndarray:
    """Shares of the samples that make the largest error smallest.

    Parameters
    ----------
    variance : (D, T) array
        Variance per sample of each integral in the sum, over the square of the error allowed at each time.
    cost : (D,) array
        Operations a sample of it takes.

    Returns
    -------
    (D,) array
        Adding up to 1, all positive if any variance is.
    """
    # Minimising the largest of T errors is, by duality, minimising a mixture of them with the worst weights. Each step
    # raises the weight of a time in proportion to its error; the best shares on the way are kept, as the last ones need
    # not be the best.
    mixture = np.full(variance.shape[1], 1.0 / variance.shape[1])
    best, smallest = np.full(len(cost), 1.0 / len(cost)), np.inf
    for _ in range(_STEPS if variance.shape[1] > 1 else 1):
        wanted = np.sqrt(variance @ mixture / cost)
        if not wanted.sum() > 0:
            break
        shares = wanted / wanted.sum()
        # What keeps a few samples for every integral also keeps the errors below finite.
        shares = (1 - FLOOR) * shares + FLOOR / len(shares)
        errors = (variance / shares[:, None]).sum(axis=0)
        # Variance × cost of a sample: what it costs to bring the largest error down to the one allowed.
        price = errors.max() * (shares @ cost)
        if price < smallest:
            best, smallest = shares, price
        mixture = mixture * errors
        mixture /= mixture.sum()
    return best


def samples_to_reach(variance: np.ndarray, shares: np.ndarray, have: np.ndarray, most: float) -> np.ndarray:
    """(D,) samples of each integral that bring every error to the one allowed, with those it has, at least cost.

    Each gets its share of some level, unless it has more: as water fills a vessel from its lowest places. The level is
    the lowest that meets the target, unless `most` samples in all come first.

    Parameters
    ----------
    variance, shares
        See `ideal_shares`; variance 0 for a time, or inf for all, asks for nothing or for everything there.
    have : (D,) array
        Samples of each now.
    most
        In all.
    """
    low, high = 0.0, max(1.0, most)
    # Enough halvings to tell single samples apart.
    for _ in range(math.ceil(math.log2(high)) + 4):
        level = (low + high) / 2
        counts = np.maximum(have, level * shares)
        # Enough: the target is met, or the samples are used up. Each holds from some level on, so halving finds it.
        enough = counts.sum() > most or (variance / counts[:, None]).sum(axis=0).max() <= 1.0
        low, high = (low, level) if enough else (level, high)
    # `high` is enough; where it is so because the samples are used up, `low` is the last level that they allow.
    return np.maximum(have, (low if np.maximum(have, high * shares).sum() > most else high) * shares)


def chunk_size(have: int, first: int, largest: int) -> int:
    """Samples of the next chunk of an integral that has so many.

    It depends on nothing else, so chunks computed for one target serve a tighter one: half of what is there, in steps
    of the first look.
    """
    return max(first, min(largest, have // 2 // first * first))


def sum_of(work: Sequence[Work], variances: np.ndarray, estimates: Sequence[Estimate]) -> Estimate:
    """The sum of the estimates with their weights, (D, M) variances included, without covariances between times."""
    weights = np.array([w.weight for w in work])[:, None]
    # Sums along an axis, not matrix products: the bits of those depend on how many threads share them.
    variance = variances.sum(axis=0)
    # As in the sum of a result: parts count by the variance that they bring.
    samples = sum(e.samples for e in estimates)
    ratios = np.array([e.samples / e.effective for e in estimates])
    shares = np.divide(variances, variance, out=np.zeros_like(variances), where=variance > 0)
    size = (np.abs(weights) * np.array([np.broadcast_to(e.size, len(e.mean)) for e in estimates])).sum(axis=0)
    return Estimate(
        mean=(weights * np.array([e.mean for e in estimates])).sum(axis=0),
        cov=np.diag(variance),
        samples=samples,
        chunks=sum(e.chunks for e in estimates),
        chi2_sum=sum(e.chi2_sum for e in estimates),
        dof=sum(e.dof for e in estimates),
        size=size,
        square=(ratios * shares).sum(axis=0) * size**2 / max(1, samples),
    )
