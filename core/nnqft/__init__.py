"""Feynman diagrams of deep and recurrent networks at finite width.

The shortest use::

    import nnqft

    theory = nnqft.theory("linear", N=100, sigma_w=0.5)
    result = nnqft.compute(theory, "two_point", order=3, tau=[0.0, 1.0, 2.0])
    print(result)
"""

TYPE_CHECKING = False  # for type checkers it is True; the module typing takes longer to import than all of this
if TYPE_CHECKING:
    from typing import Any

    from nnqft.checks import finite_number, whole_number
    from nnqft.errors import (
        ExecutorError,
        InputError,
        IntegrationError,
        LedgerError,
        NnqftError,
        PluginError,
        TheoryError,
        UnknownNameError,
        WorkError,
        short,
    )
    from nnqft.graphs.diagram import Diagram
    from nnqft.graphs.diagram_set import DiagramSet
    from nnqft.graphs.parts import Line, Point
    from nnqft.hookspecs import hookimpl
    from nnqft.integrals.closed_form import ClosedForm
    from nnqft.integrals.estimate import Estimate
    from nnqft.integrals.forest import time_integral
    from nnqft.integrals.integral import TimeIntegral
    from nnqft.interfaces.activation import Activation
    from nnqft.interfaces.executor import AbstractExecutor, Keep, Outcome, Target, Work
    from nnqft.interfaces.integrator import AbstractIntegrator
    from nnqft.interfaces.model import AbstractModel
    from nnqft.interfaces.observable import AbstractDerivedObservable, AbstractObservable, Need
    from nnqft.interfaces.parameter import Parameter
    from nnqft.interfaces.simulator import AbstractSimulator, Sampling, Simulated
    from nnqft.pipeline.check import check
    from nnqft.pipeline.compute import compute
    from nnqft.results.comparison import Check
    from nnqft.results.derived import Derived
    from nnqft.results.load import load
    from nnqft.results.result import Result
    from nnqft.results.rows import DiagramRow
    from nnqft.results.series import Series
    from nnqft.results.singularity import Singularity
    from nnqft.rules.parts import Field, Leg, Memory, Propagator, Vertex
    from nnqft.rules.shared import Shared
    from nnqft.rules.term import Term
    from nnqft.rules.theory import Theory
    from nnqft.self_energies.equation import dyson
    from nnqft.self_energies.self_energy import SelfEnergy
    from nnqft.self_energies.solution import Dyson
    from nnqft.stages.generation import diagrams
    from nnqft.stages.request import Request
    from nnqft.stages.theories import theory

__all__ = [
    "AbstractDerivedObservable",
    "AbstractExecutor",
    "AbstractIntegrator",
    "AbstractModel",
    "AbstractObservable",
    "AbstractSimulator",
    "Activation",
    "Check",
    "ClosedForm",
    "Derived",
    "Diagram",
    "DiagramRow",
    "DiagramSet",
    "Dyson",
    "Estimate",
    "ExecutorError",
    "Field",
    "InputError",
    "IntegrationError",
    "Keep",
    "LedgerError",
    "Leg",
    "Line",
    "Memory",
    "Need",
    "NnqftError",
    "Outcome",
    "Parameter",
    "PluginError",
    "Point",
    "Propagator",
    "Request",
    "Result",
    "Sampling",
    "SelfEnergy",
    "Series",
    "Shared",
    "Simulated",
    "Singularity",
    "Target",
    "Term",
    "Theory",
    "TheoryError",
    "TimeIntegral",
    "UnknownNameError",
    "Vertex",
    "Work",
    "WorkError",
    "check",
    "compute",
    "diagrams",
    "dyson",
    "finite_number",
    "hookimpl",
    "load",
    "short",
    "theory",
    "time_integral",
    "whole_number",
]

_HOMES = {
    "nnqft.checks": ("finite_number", "whole_number"),
    "nnqft.errors": (
        "ExecutorError",
        "InputError",
        "IntegrationError",
        "LedgerError",
        "NnqftError",
        "PluginError",
        "TheoryError",
        "UnknownNameError",
        "WorkError",
        "short",
    ),
    "nnqft.graphs.diagram": ("Diagram",),
    "nnqft.graphs.diagram_set": ("DiagramSet",),
    "nnqft.graphs.parts": ("Line", "Point"),
    "nnqft.hookspecs": ("hookimpl",),
    "nnqft.integrals.closed_form": ("ClosedForm",),
    "nnqft.integrals.estimate": ("Estimate",),
    "nnqft.integrals.forest": ("time_integral",),
    "nnqft.integrals.integral": ("TimeIntegral",),
    "nnqft.interfaces.activation": ("Activation",),
    "nnqft.interfaces.executor": ("AbstractExecutor", "Keep", "Outcome", "Target", "Work"),
    "nnqft.interfaces.integrator": ("AbstractIntegrator",),
    "nnqft.interfaces.model": ("AbstractModel",),
    "nnqft.interfaces.observable": ("AbstractDerivedObservable", "AbstractObservable", "Need"),
    "nnqft.interfaces.parameter": ("Parameter",),
    "nnqft.interfaces.simulator": ("AbstractSimulator", "Sampling", "Simulated"),
    "nnqft.pipeline.check": ("check",),
    "nnqft.pipeline.compute": ("compute",),
    "nnqft.results.comparison": ("Check",),
    "nnqft.results.derived": ("Derived",),
    "nnqft.results.load": ("load",),
    "nnqft.results.result": ("Result",),
    "nnqft.results.rows": ("DiagramRow",),
    "nnqft.results.series": ("Series",),
    "nnqft.results.singularity": ("Singularity",),
    "nnqft.rules.parts": ("Field", "Leg", "Memory", "Propagator", "Vertex"),
    "nnqft.rules.shared": ("Shared",),
    "nnqft.rules.term": ("Term",),
    "nnqft.rules.theory": ("Theory",),
    "nnqft.self_energies.equation": ("dyson",),
    "nnqft.self_energies.self_energy": ("SelfEnergy",),
    "nnqft.self_energies.solution": ("Dyson",),
    "nnqft.stages.generation": ("diagrams",),
    "nnqft.stages.request": ("Request",),
    "nnqft.stages.theories": ("theory",),
}
"""Module → the public names that live there.

Each is imported when one of its names is first used: a program that is ended by a signal as it starts, or asked for
its help, needs none, and workers and plugins few.
"""
_LATE = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> "Any":
    """A public name whose module was not used yet."""
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    thing = getattr(import_module(_LATE[name]), name)
    globals()[name] = thing
    return thing


def __dir__() -> list[str]:
    """The public names and nothing else."""
    return __all__
