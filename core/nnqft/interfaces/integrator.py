"""The interface of integrators."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from nnqft.errors import InputError
from nnqft.integrals.closed_form import ClosedForm
from nnqft.integrals.estimate import Estimate
from nnqft.integrals.integral import TimeIntegral


class AbstractIntegrator(ABC):
    """A way to compute a TimeIntegral.

    `prepare` and `sample` run on workers: they must be pure functions of their arguments, and what they return
    must survive pickling.

    Attributes
    ----------
    name, summary : str
    exact : bool
        Its estimates carry no statistical error, and one call of `sample` settles an integral.
    accelerated : str or None
        Name of the integrator, perhaps itself, that samples the same integral from the same state on a GPU.

    Examples
    --------
    >>> import numpy as np
    >>> import nnqft
    >>> theory = nnqft.theory("linear", N=100, sigma_w=0.5)
    >>> from nnqft import AbstractIntegrator, Estimate
    >>> class Plain(AbstractIntegrator):  # Monte Carlo without a map
    ...     name = "plain"
    ...     def supports(self, integral):
    ...         return integral.dim > 0 or "there is nothing to sample"
    ...     def prepare(self, integral, seed):
    ...         return None
    ...     def sample(self, integral, state, neval, seed):
    ...         values = integral(np.random.default_rng(seed).random((neval, integral.dim)))
    ...         return Estimate.of_chunk(neval, values.mean(axis=0), np.atleast_2d(np.cov(values.T)) / neval)
    >>> cactus = nnqft.time_integral(nnqft.diagrams(theory, "two_point", order=1)[1], theory, [[0.0, 0.0]])
    >>> estimate = Plain().sample(cactus, None, 100_000, np.random.SeedSequence(1))
    >>> abs(float(estimate.mean[0]) - 0.25) < 4 * float(estimate.sdev[0])
    True
    """

    name: str
    summary: str = ""
    exact: bool = False
    accelerated: str | None = None

    @abstractmethod
    def supports(self, integral: TimeIntegral) -> bool | str:
        """True if it can compute the integral, else the reason why not, in a few words."""

    @abstractmethod
    def prepare(self, integral: TimeIntegral, seed: np.random.SeedSequence) -> Any:
        """Whatever has to be learnt once about an integral (vegas: the adapted map), small enough to send around."""

    @abstractmethod
    def sample(self, integral: TimeIntegral, state: Any, neval: int, seed: np.random.SeedSequence) -> Estimate:
        """An independent estimate from at most `neval` evaluations; zero samples if it is exact."""

    def closed_form(self, integral: TimeIntegral) -> ClosedForm:
        """The integral as a function of γτ, its first time being later by τ than the others; exact integrators may.

        Raises
        ------
        InputError
            If it has no such form.
        """
        raise InputError(f"integrator {self.name!r} gives no closed forms")

    def settle(self, integrals: Sequence[TimeIntegral]) -> tuple[np.ndarray, np.ndarray]:
        """Values of many integrals and bounds of their rounding errors, (n, M) each; only asked of exact integrators.

        All have the same times. Computing them together is where an exact integrator gains its speed.
        """
        seed = np.random.SeedSequence(0)
        estimates = [self.sample(each, self.prepare(each, seed), 1, seed) for each in integrals]
        return np.array([e.mean for e in estimates]), np.array(
            [np.broadcast_to(e.rounding, e.mean.shape) for e in estimates]
        )
