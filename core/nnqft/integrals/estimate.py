"""Estimates with their covariance over times."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

import numpy as np

from nnqft.checks import finite_number, instance_of, whole_number
from nnqft.errors import InputError
from nnqft.show.numbers import value_with_error

_CONTRADICTION = 10.0
"""Standard deviations by which the χ² of the merges may exceed its number."""


@dataclass(frozen=True, eq=False, repr=False)
class Estimate:
    """An estimate of an integral, or of a sum of integrals, at M time tuples.

    Attributes
    ----------
    mean : (M,) array
    cov : (M, M) array
        Covariance of the mean.
    samples : int
        Evaluations of the integrand; 0 for a value known without statistical error.
    chunks : int
        Independent chunks it was made from.
    chi2_sum, dof : float, int
        Sum of the χ² of every merge (averaged over times) and their number.
    seconds : float
        Processor time spent.
    rounding : (M,) array
        Bound of the rounding error of an exact value; 0 where sampling dominates it by far.
    size, square : (M,) arrays
        Mean of the absolute values that were averaged, and Σ of their squares over the squared number of samples: two
        moments of their distribution, whatever strata they come from. One number 0 if the integrator does not say.

    Examples
    --------
    >>> import numpy as np
    >>> from nnqft import Estimate
    >>> one = Estimate.of_chunk(1000, np.array([0.9]), np.array([[0.04]]))
    >>> two = Estimate.of_chunk(3000, np.array([1.1]), np.array([[0.01]]))
    >>> both = one.merge(two)
    >>> both.samples, both.mean.round(3).tolist(), both.sdev.round(3).tolist()
    (4000, [1.05], [0.09])
    """

    mean: np.ndarray
    cov: np.ndarray
    samples: int
    chunks: int
    chi2_sum: float = 0.0
    dof: int = 0
    seconds: float = 0.0
    rounding: np.ndarray = field(default_factory=lambda: np.zeros(1))
    size: np.ndarray = field(default_factory=lambda: np.zeros(1))
    square: np.ndarray = field(default_factory=lambda: np.zeros(1))

    def __repr__(self) -> str:
        more = f" and {len(self.mean) - 1} more" if len(self.mean) > 1 else ""
        first = value_with_error(float(self.mean[0]), float(self.sdev[0]), float(np.ravel(self.rounding)[0]))
        kind = f"{self.samples:,} samples" if self.samples else "unknown" if np.isnan(self.mean[0]) else "exact"
        return f"Estimate({first}{more}, {kind})"

    @classmethod
    def of_chunk(
        cls, samples: int, mean: np.ndarray, cov: np.ndarray, seconds: float = 0.0,
        size: np.ndarray | None = None, square: np.ndarray | None = None,
    ) -> Estimate:  # fmt: skip
        """One chunk: the mean of `samples` evaluations, the covariance of that mean, moments if they are known."""
        none = np.zeros(1)
        size, square = (none if each is None else each for each in (size, square))
        return cls(mean, cov, samples, 1, seconds=seconds, size=size, square=square)

    @classmethod
    def exact(cls, value: np.ndarray, seconds: float = 0.0, rounding: np.ndarray | None = None) -> Estimate:
        """A value without statistical error.

        Examples
        --------
        >>> import numpy as np
        >>> from nnqft import Estimate
        >>> Estimate.exact(np.array([0.5, 0.25])).sdev.tolist()
        [0.0, 0.0]
        """
        return cls(
            value,
            no_covariance(len(value)),
            0,
            0,
            seconds=seconds,
            rounding=np.zeros(1) if rounding is None else rounding,
        )

    @classmethod
    def unknown(cls, times: int) -> Estimate:
        """What stands for a number at so many times that nothing is known of: nan, and so is its error.

        Examples
        --------
        >>> from nnqft import Estimate
        >>> Estimate.unknown(2).mean.tolist()
        [nan, nan]
        """
        times = whole_number("times", times, 1)
        return cls(np.full(times, math.nan), np.broadcast_to(math.nan, (times, times)), 0, 0)

    @property
    def sdev(self) -> np.ndarray:
        """(M,) standard deviation of the mean."""
        return np.sqrt(np.maximum(np.diagonal(self.cov), 0.0))

    @property
    def variance_per_sample(self) -> np.ndarray:
        """(M,) variance of the mean times the number of samples."""
        return np.diagonal(self.cov) * self.samples

    @property
    def effective(self) -> np.ndarray:
        """(M,) the number of samples that carry the mean, (Σ|v|)² / Σv² of the values v; inf where it is not known.

        L. Kish, Survey Sampling (1965): of n equal values it is n, of values with one far larger than all others 1.

        Examples
        --------
        >>> import numpy as np
        >>> from nnqft import Estimate
        >>> values = np.array([1.0, 1.0, 1.0, 5.0])
        >>> size, square = np.array([values.mean()]), np.array([np.sum(values**2) / 16])
        >>> Estimate.of_chunk(4, size, np.array([[1.0]]), size=size, square=square).effective.round(2).tolist()
        [2.29]
        """
        none = np.full(np.broadcast_shapes(self.size.shape, self.mean.shape), math.inf)
        return np.divide(self.size**2, self.square, out=none, where=(self.square > 0) & (self.samples > 0))

    @property
    def trusted(self) -> np.ndarray:
        """(M,) is the error worth its name?

        Not where few of n samples carry the mean, less than 2 n^⅔ and n/20: then their distribution may fall like a
        power too slow for a variance, and larger values may not have come yet. Nor where the value is so small that
        its square is 0 in floating point, nor anywhere if the chunks contradict each other.

        Examples
        --------
        >>> import numpy as np
        >>> from nnqft import Estimate
        >>> mean, cov = np.ones(2), np.diag([1e-4, 1e-2])
        >>> Estimate.of_chunk(1000, mean, cov, size=np.ones(2), square=np.array([2e-3, 0.1])).trusted.tolist()
        [True, False]
        """
        lost = (np.diagonal(self.cov) <= 0) & (self.mean != 0) & (self.samples > 0)
        agree = self.chi2_sum <= self.dof + _CONTRADICTION * math.sqrt(2 * self.dof + 1)
        enough = min(2.0 * self.samples ** (2 / 3), self.samples / 20)
        return np.asarray((self.effective >= enough) & ~lost & agree)

    @property
    def chi2(self) -> float:
        """χ² per degree of freedom of the chunks against each other, averaged over times; nan for a single chunk."""
        return self.chi2_sum / self.dof if self.dof else math.nan

    def merge(self, other: Estimate) -> Estimate:
        """Both estimates of the same integral together, weighted by samples.

        Weighting by the estimated errors instead would bias the mean, because small values come with small
        errors. Associative up to rounding: merge in chunk order for reproducible bits.

        Raises
        ------
        InputError
            If `other` is no estimate, or one at another number of times.
        """
        instance_of("other", other, Estimate, "Estimate.exact(mean)")
        if len(other.mean) != len(self.mean):
            raise InputError(f"other={other}: wanted an Estimate at {len(self.mean)} times, not {len(other.mean)}")
        samples = self.samples + other.samples
        if samples == 0:
            return self
        a, b = self.samples / samples, other.samples / samples
        # Each merge tests one difference against its own error, so chunks of any size can be compared.
        variance = np.diagonal(self.cov) + np.diagonal(other.cov)
        known = variance > 0
        gap = (self.mean - other.mean)[known] ** 2 / variance[known]
        return Estimate(
            mean=a * self.mean + b * other.mean,
            cov=a * a * self.cov + b * b * other.cov,
            samples=samples,
            chunks=self.chunks + other.chunks,
            chi2_sum=self.chi2_sum + other.chi2_sum + (float(gap.mean()) if known.any() else 0.0),
            dof=self.dof + other.dof + bool(known.any()),
            seconds=self.seconds + other.seconds,
            size=a * self.size + b * other.size,
            square=a * a * self.square + b * b * other.square,
        )

    def scaled(self, weight: float) -> Estimate:
        """The estimate of weight × integral.

        Examples
        --------
        >>> import numpy as np
        >>> from nnqft import Estimate
        >>> Estimate.of_chunk(100, np.array([2.0]), np.array([[0.25]])).scaled(-3.0).sdev.tolist()
        [1.5]
        """
        weight = finite_number("weight", weight)
        cov = weight**2 * self.cov if self.samples else self.cov
        return replace(
            self,
            mean=weight * self.mean,
            cov=cov,
            rounding=abs(weight) * self.rounding,
            size=abs(weight) * self.size,
            square=weight**2 * self.square,
        )


def no_covariance(times: int) -> np.ndarray:
    """(M, M) zeros that take no memory, and cannot be written to: there may be thousands of times."""
    return np.broadcast_to(0.0, (times, times))


Parts = Mapping[tuple[int | str, int], Estimate]
"""Estimates by (order, width order), couplings included."""


def merge_all(estimates: Iterable[Estimate]) -> Estimate:
    """All estimates of one integral, merged in the order given."""
    return reduce(Estimate.merge, estimates)


def add_all(estimates: Iterable[Estimate]) -> Estimate:
    """The sum of independent estimates of different integrals; unknown where one of them is."""
    parts = list(estimates)
    mean = np.sum([e.mean for e in parts], axis=0)
    if np.isnan(mean).all():
        return Estimate.unknown(len(mean))
    sampled = [part.cov for part in parts if part.samples]
    cov = np.zeros((len(mean), len(mean))) if sampled else no_covariance(len(mean))
    for part in sampled:
        cov += part
    return Estimate(
        mean=mean,
        cov=cov,
        samples=sum(e.samples for e in parts),
        chunks=sum(e.chunks for e in parts),
        chi2_sum=sum(e.chi2_sum for e in parts),
        dof=sum(e.dof for e in parts),
        seconds=sum(e.seconds for e in parts),
        rounding=sum((e.rounding for e in parts), np.zeros(1)),
        **_moments(parts),
    )


def _moments(parts: Sequence[Estimate]) -> dict[str, np.ndarray]:
    """`size` and `square` of a sum: samples for each that carries its mean, averaged by the variance that parts bring.

    A part without variance is known, however few samples it has.
    """
    sampled = [part for part in parts if part.samples]
    if not any(part.square.any() for part in sampled):
        return {}
    size = np.sum([np.broadcast_to(part.size, len(part.mean)) for part in sampled], axis=0)
    variances = np.array([np.diagonal(part.cov) for part in sampled])
    whole = variances.sum(axis=0)
    ratio = (variances * np.array([part.samples / part.effective for part in sampled])).sum(axis=0)
    ratio = np.divide(ratio, whole, out=np.ones(len(size)), where=whole > 0)
    return {"size": size, "square": ratio * size**2 / sum(part.samples for part in sampled)}


def collect(
    keys: Iterable[Any], weights: Iterable[float], which: Iterable[int], estimates: Mapping[int, Estimate]
) -> dict[Any, Estimate]:
    """Σ weight × estimate for each key, sorted by key.

    Parameters
    ----------
    keys, weights, which
        For each diagram its group, its weight, and the number of its estimate.
    estimates
        By number, independent of each other. Diagrams of a group that share one add their weights first, as
        their errors are the same.
    """
    groups: dict[Any, dict[int, float]] = {}
    for key, weight, number in zip(keys, weights, which, strict=True):
        group = groups.setdefault(key, {})
        group[number] = group.get(number, 0.0) + weight
    return {
        key: add_all(estimates[number].scaled(weight) for number, weight in groups[key].items())
        for key in sorted(groups)
    }
