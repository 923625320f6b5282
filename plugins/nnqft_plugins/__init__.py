"""The models, observables and integrators that come with nnqft, registered as any plugin is."""

from __future__ import annotations

from collections.abc import Sequence

from nnqft import AbstractIntegrator, AbstractModel, AbstractObservable, hookimpl


@hookimpl
def nnqft_models() -> Sequence[AbstractModel]:
    """The random networks."""
    from nnqft_plugins.models.linear import Linear

    return [Linear()]


@hookimpl
def nnqft_observables() -> Sequence[AbstractObservable]:
    """Two-point function and response."""
    from nnqft_plugins.observables.response import Response
    from nnqft_plugins.observables.two_point import TwoPoint

    return [TwoPoint(), Response()]


@hookimpl
def nnqft_integrators() -> Sequence[AbstractIntegrator]:
    """VEGAS."""
    from nnqft_plugins.integrators.vegas import VegasIntegrator

    return [VegasIntegrator()]
