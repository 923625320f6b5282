"""The interface of simulators: what knows a model's process by other means than its diagrams."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from nnqft.interfaces.activation import Activation
from nnqft.interfaces.executor import AbstractExecutor
from nnqft.interfaces.observable import Need
from nnqft.rules.theory import Theory
from nnqft.show.numbers import value_with_error

Numbers = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Takes (A,) averages and their (A, A) covariance; gives (K,) numbers that follow from them and their (K, A) slopes."""


@dataclass(frozen=True)
class Sampling:
    """How a simulation is done and how well.

    Attributes
    ----------
    samples : int or None
        How many realisations to draw, networks or paths; the most, if there is an `rtol`, too.
    rtol : float or None
        Relative error of each number to reach.
    seed : int
    step : float or None
        Longest step of a path; None leaves it to the simulator.
    time_limit : float or None
        Seconds after which to stop with what there is.
    executor : AbstractExecutor
        Where the work runs; its `map` does.
    progress : bool
        Show a bar on stderr.
    activation : Activation or None
        Instead of the model's own, which only an installed model can give.

    Examples
    --------
    >>> from nnqft import Sampling
    >>> from nnqft.host import open_executor
    >>> Sampling(1000, None, 0, None, None, open_executor("local")).samples
    1000
    """

    samples: int | None
    rtol: float | None
    seed: int
    step: float | None
    time_limit: float | None
    executor: AbstractExecutor = field(repr=False)
    progress: bool = False
    activation: Activation | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Simulated:
    """What a simulation hands back.

    Attributes
    ----------
    mean, cov : (K,), (K, K) arrays
        The numbers and the covariance of their errors, those of steps included.
    samples : int
        How many realisations were averaged.
    converged : bool
        The target was met, or only a number of samples was set and it was drawn.
    reason : str
        Why it stopped.
    notes : tuple of str
        What a reader should know, such as heavy tails.
    seconds : float
    method : str
        How it was done, in a word or two.

    Examples
    --------
    >>> import numpy as np
    >>> from nnqft import Simulated
    >>> Simulated(np.array([0.5]), np.array([[1e-4]]), 1000, True, "all networks done").sdev.tolist()
    [0.01]
    """

    mean: np.ndarray
    cov: np.ndarray
    samples: int
    converged: bool
    reason: str
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    method: str = ""

    def __repr__(self) -> str:
        first = value_with_error(float(self.mean[0]), float(self.sdev[0]))
        return f"Simulated({first} and {len(self.mean) - 1} more numbers, {self.samples:,} samples)"

    @property
    def sdev(self) -> np.ndarray:
        """(K,) standard deviations of the numbers."""
        return np.sqrt(np.maximum(np.diagonal(self.cov), 0.0))


class AbstractSimulator(ABC):
    """Something that simulates the process of some models, for `nnqft.check`.

    Attributes
    ----------
    name, summary : str
        What it is called in messages, and one line of what it is.

    Examples
    --------
    >>> import numpy as np
    >>> from nnqft import AbstractSimulator, Simulated
    >>> class Draws(AbstractSimulator):  # ⟨z²⟩ of the toy model without couplings
    ...     name = "draws"
    ...     def supports(self, theory, needs, sampling):
    ...         return True if theory.model == "toy" else "it knows the toy only"
    ...     def simulate(self, theory, needs, numbers, sampling):
    ...         z = np.random.default_rng(sampling.seed).standard_normal(sampling.samples)
    ...         mean, cov = np.array([np.mean(z**2)]), np.array([[np.var(z**2) / len(z)]])
    ...         values, slopes = numbers(mean, cov)
    ...         return Simulated(values, slopes @ cov @ slopes.T, len(z), True, "all draws done")
    >>> Draws().summary
    ''
    """

    name: str
    summary: str = ""

    @abstractmethod
    def supports(self, theory: Theory, needs: Sequence[Need], sampling: Sampling) -> bool | str:
        """True if it can simulate these correlation functions of this theory so, or the reason why not."""

    @abstractmethod
    def simulate(self, theory: Theory, needs: Sequence[Need], numbers: Numbers, sampling: Sampling) -> Simulated:
        """Simulate correlation functions together, and hand back the numbers that follow from them.

        `needs` are base observables, whose values at all their times, one need after another, are what `numbers` takes;
        all of them come from the same realisations, so that errors that they share are counted once.

        Raises
        ------
        InputError
            If something of it cannot be simulated.
        IntegrationError
            If time ran out before there was anything.
        """
