"""Feynman diagrams of deep and recurrent networks at finite width.

The shortest use::

    import nnqft

    theory = nnqft.theory("linear", N=100, sigma_w=0.5)
    result = nnqft.compute(theory, "two_point", order=3, tau=[0.0, 1.0, 2.0])
    print(result)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

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
from nnqft.rules.parts import Field, Leg, Memory, Propagator, Vertex
from nnqft.rules.term import Term
from nnqft.rules.theory import Theory
from nnqft.stages.generation import diagrams
from nnqft.stages.request import Request
from nnqft.stages.theories import theory

if TYPE_CHECKING:
    from nnqft.pipeline.compute import compute
    from nnqft.results.derived import Derived
    from nnqft.results.load import load
    from nnqft.results.result import Result
    from nnqft.results.rows import DiagramRow
    from nnqft.results.series import Series, Singularity
    from nnqft.self_energies.equation import dyson
    from nnqft.self_energies.self_energy import SelfEnergy
    from nnqft.self_energies.solution import Dyson

__all__ = [
    "AbstractDerivedObservable",
    "AbstractExecutor",
    "AbstractIntegrator",
    "AbstractModel",
    "AbstractObservable",
    "Activation",
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
    "SelfEnergy",
    "Series",
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

_LATE = {
    "compute": "nnqft.pipeline.compute",
    "Derived": "nnqft.results.derived",
    "load": "nnqft.results.load",
    "Result": "nnqft.results.result",
    "DiagramRow": "nnqft.results.rows",
    "Series": "nnqft.results.series",
    "Singularity": "nnqft.results.series",
    "dyson": "nnqft.self_energies.equation",
    "SelfEnergy": "nnqft.self_energies.self_energy",
    "Dyson": "nnqft.self_energies.solution",
}
"""Public name → its module, for rooms that are imported when they are first used.

They take a third of the time of all core, and workers, plugins and most commands of the command line need none of them.
"""


def __getattr__(name: str) -> Any:
    """A public name of a room that was not used yet."""
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    thing = getattr(import_module(_LATE[name]), name)
    globals()[name] = thing
    return thing


def __dir__() -> list[str]:
    """The public names and nothing else."""
    return __all__
