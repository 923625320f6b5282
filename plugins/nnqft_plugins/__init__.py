"""The models, observables and integrators that come with nnqft, registered as any plugin is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nnqft import (
    AbstractDerivedObservable,
    AbstractIntegrator,
    AbstractModel,
    AbstractObservable,
    AbstractSimulator,
    hookimpl,
)


@hookimpl
def nnqft_models() -> Sequence[AbstractModel]:
    """Random networks, a site without disorder, and a plain integral."""
    from nnqft_plugins.models.adaptation import Adapting
    from nnqft_plugins.models.cubic_tanh import CubicTanh
    from nnqft_plugins.models.feedforward import Feedforward
    from nnqft_plugins.models.langevin import Langevin
    from nnqft_plugins.models.linear import Linear
    from nnqft_plugins.models.quintic import Quintic
    from nnqft_plugins.models.taylor import Taylor
    from nnqft_plugins.models.toy import Toy

    return [Linear(), CubicTanh(), Quintic(), Taylor(), Adapting(), Feedforward(), Langevin(), Toy()]


@hookimpl
def nnqft_observables() -> Sequence[AbstractObservable | AbstractDerivedObservable]:
    """Correlation functions, and numbers that are derived from them."""
    from nnqft_plugins.observables.correlation_length import CorrelationLength
    from nnqft_plugins.observables.cumulant import Cumulant
    from nnqft_plugins.observables.dimension import Dimension
    from nnqft_plugins.observables.effective_bias import EffectiveBias
    from nnqft_plugins.observables.four_point import FourPoint
    from nnqft_plugins.observables.gradient import Gradient, GradientVariance
    from nnqft_plugins.observables.kernel_variance import KernelVariance
    from nnqft_plugins.observables.mean import Mean
    from nnqft_plugins.observables.response import Response
    from nnqft_plugins.observables.response_poles import ResponsePoles
    from nnqft_plugins.observables.two_point import TwoPoint

    return [
        TwoPoint(),
        Response(),
        Mean(),
        Cumulant(),
        FourPoint(),
        CorrelationLength(),
        KernelVariance(),
        EffectiveBias(),
        Dimension(),
        ResponsePoles(),
        Gradient(),
        GradientVariance(),
    ]


@hookimpl
def nnqft_integrators() -> Sequence[AbstractIntegrator]:
    """Exact where it can be, VEGAS for everything, VEGAS compiled for GPUs."""
    from nnqft_plugins.integrators.exact.integrator import ExactIntegrator
    from nnqft_plugins.integrators.jax_sampler import JaxIntegrator
    from nnqft_plugins.integrators.vegas import VegasIntegrator

    return [ExactIntegrator(), VegasIntegrator(), JaxIntegrator()]


@hookimpl
def nnqft_sums() -> Mapping[str, Callable[..., Any]]:
    """All orders in the coupling of networks, at N → ∞ and at order 1/N."""
    from nnqft_plugins.networks.finite_width.answers import answer

    return {"networks": answer}


@hookimpl
def nnqft_simulators() -> Sequence[AbstractSimulator]:
    """Ensembles of networks."""
    from nnqft_plugins.networks.simulation.simulator import NetworkSimulator

    return [NetworkSimulator()]


@hookimpl
def nnqft_commands() -> Mapping[str, str]:
    """Commands about networks; their modules are imported when they are used."""
    return {
        "meanfield": "nnqft_plugins.networks.meanfield.command:meanfield",
        "phase-diagram": "nnqft_plugins.networks.meanfield.command:phase_diagram",
        "simulate": "nnqft_plugins.networks.simulation.command:simulate",
        "published": "nnqft_plugins.networks.published.command:command",
        "study": "nnqft_plugins.networks.study.command:app",
    }
