"""What this distribution adds to nnqft: one function a kind, found through the entry-point group ``nnqft``."""

from __future__ import annotations

from collections.abc import Sequence

from nnqft import AbstractIntegrator, AbstractModel, AbstractObservable, hookimpl


@hookimpl
def nnqft_models() -> Sequence[AbstractModel]:
    """A new activation and a new line."""
    from nnqft_example_plugin.power_law import PowerLaw
    from nnqft_example_plugin.sine import Sine

    return [Sine(), PowerLaw()]


@hookimpl
def nnqft_observables() -> Sequence[AbstractObservable]:
    """The fourth cumulant at one time."""
    from nnqft_example_plugin.kurtosis import Kurtosis

    return [Kurtosis()]


@hookimpl
def nnqft_integrators() -> Sequence[AbstractIntegrator]:
    """Quasi-Monte Carlo."""
    from nnqft_example_plugin.qmc import QmcIntegrator

    return [QmcIntegrator()]
