"""How the recurrent weights of a network are distributed, where they are not all independent and alike.

    W_ij = σ_w g_ab X_ij/√N + J_ab/N + (1/N) Σ_r m_i^r n_j^r ,     i in population a, j in population b

with standard normal X, X_ij and X_ji of correlation η (X_ii of variance 1 + η), and for each unit Gaussian m^r, n^r of
mean zero, independent of X and of other units. H. J. Sommers, A. Crisanti, H. Sompolinsky & Y. Stein, Phys. Rev. Lett.
60, 1895 (1988); F. Mastrogiuseppe & S. Ostojic, Neuron 99, 609 (2018); J. Kadmon & H. Sompolinsky, Phys. Rev. X 5,
041030 (2015).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nnqft import InputError

STRUCTURED = ("eta", "low_rank", "fractions", "gains", "means", "population")
"""The parameters that say so."""

Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Weights:
    """What tells W from a matrix of independent and equal Gaussians.

    Attributes
    ----------
    eta : float
        Correlation of W_ij and W_ji.
    low_rank : tuple of (float, float, float)
        Var m, Var n and Cov(m, n) of one unit, for each component.
    fractions : tuple of float
        Of the N units, the part in each population.
    gains, means : matrices
        g_ab and J_ab; the rows are the populations that receive.
    observed : int
        The population that is looked at, from 0 on.
    """

    eta: float = 0.0
    low_rank: tuple[tuple[float, float, float], ...] = ()
    fractions: tuple[float, ...] = (1.0,)
    gains: Matrix = ((1.0,),)
    means: Matrix = ((0.0,),)
    observed: int = 0

    @property
    def several(self) -> bool:
        """Are there populations?"""
        return len(self.fractions) > 1

    @property
    def even(self) -> bool:
        """Are W and −W equally likely?"""
        return not any(overlap for *_, overlap in self.low_rank) and not np.any(self.means)

    @property
    def feeds(self) -> np.ndarray:
        """(P, P) f_b g_ab²: of what population a receives at infinite width, in units of σ_w²⟨φφ⟩."""
        return np.array(self.fractions) * np.array(self.gains) ** 2

    @property
    def reach(self) -> float:
        """The series in σ_w² of a linear network at infinite width converges for σ_w² × this < γ²."""
        return max((1 + self.eta) ** 2, 4 * abs(self.eta)) * float(np.abs(np.linalg.eigvals(self.feeds)).max())

    def counts(self, N: int) -> list[int]:
        """How many units each population has.

        Raises
        ------
        InputError
            If these are not whole numbers.
        """
        sizes = [fraction * N for fraction in self.fractions]
        counts = [round(size) for size in sizes]
        if any(abs(size - count) > 1e-6 * N or not count for size, count in zip(sizes, counts, strict=True)):
            many = ", ".join(f"{size:g}" for size in sizes)
            raise InputError(
                f"N={N} makes populations of {many} units; wanted whole numbers, write another N or fractions"
            )
        return counts

    def units(self, N: int) -> slice:
        """The units of the population that is looked at."""
        counts = self.counts(N)
        first = sum(counts[: self.observed])
        return slice(first, first + counts[self.observed])

    def scaled(self, c: float) -> Weights:
        """Of c W, but for the size of its random part."""
        low_rank = tuple((c * c * m, n, c * overlap) for m, n, overlap in self.low_rank)
        return replace(self, low_rank=low_rank, means=tuple(tuple(c * mean for mean in row) for row in self.means))

    def draw(self, rng: np.random.Generator, sigma_w: float, N: int, size: int) -> tuple[np.ndarray, np.ndarray]:
        """The random part of `size` matrices, as likely as its negative, and the rest.

        Of shape (size, N, N), and (1, N, N) or (size, N, N).
        """
        X = rng.normal(0.0, sigma_w / np.sqrt(N), (size, N, N))
        if self.eta:
            up, down = math.sqrt(1 + self.eta), math.sqrt(1 - self.eta)
            X = (up + down) / 2 * X + (up - down) / 2 * X.swapaxes(1, 2)
        rest = np.zeros((1, N, N))
        if self.several:
            population = np.repeat(np.arange(len(self.fractions)), self.counts(N))
            X = X * np.array(self.gains)[np.ix_(population, population)]
            rest = rest + np.array(self.means)[np.ix_(population, population)] / N
        for of_m, of_n, overlap in self.low_rank:
            m = rng.standard_normal((size, N, 1))
            apart = rng.standard_normal((size, 1, N))
            slope = overlap / math.sqrt(of_m) if of_m else 0.0
            n = slope * m.swapaxes(1, 2) + math.sqrt(max(of_n - slope**2, 0.0)) * apart
            rest = rest + math.sqrt(of_m) * m * n / N
        return X, rest


def draw_weights(
    rng: np.random.Generator, weights: Weights | None, sigma_w: float, N: int, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """As `Weights.draw`; independent and equal weights where there is no structure."""
    return (weights or Weights()).draw(rng, sigma_w, N, size)


def weights_of(values: Mapping[str, Any]) -> Weights | None:
    """The structure that the parameters of a network say; None for independent and equal weights.

    Raises
    ------
    InputError
        If they contradict each other.
    """
    given = {name: values[name] for name in STRUCTURED if values.get(name) is not None}
    if not given:
        return None
    fractions = given.get("fractions")
    if fractions is None:
        for name in ("gains", "means", "population"):
            if name in given:
                raise InputError(f"{name} belongs to populations; write fractions=[0.5, 0.5], too, or leave {name} out")
        return Weights(eta=given.get("eta", 0.0), low_rank=given.get("low_rank", ()))
    count = len(fractions)
    if "low_rank" in given:
        raise InputError("low_rank and fractions: low-rank weights of several populations are not known; write one")
    for name in ("gains", "means"):
        if name in given and len(given[name]) != count:
            rows = len(given[name])
            raise InputError(f"{name} has {rows} rows and columns for {count} populations; write {count} by {count}")
    observed = given.get("population", 1)
    if observed > count:
        raise InputError(f"population={observed}: there are {count}; write a number from 1 to {count}")
    ones, zeros = ((1.0,) * count,) * count, ((0.0,) * count,) * count
    return Weights(
        eta=given.get("eta", 0.0),
        fractions=fractions,
        gains=given.get("gains", ones),
        means=given.get("means", zeros),
        observed=observed - 1,
    )


def refuse_structure(values: Mapping[str, Any], what: str, instead: str) -> None:
    """Raise InputError if the weights have structure, for which `what` is not derived; `instead` says what to do."""
    given = [name for name in STRUCTURED if values.get(name) is not None]
    if given:
        raise InputError(f"{given[0]}: {what} with structured weights is not derived; {instead}")
