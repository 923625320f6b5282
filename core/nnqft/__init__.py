"""Feynman diagrams of deep and recurrent networks at finite width.

The shortest use::

    import nnqft

    theory = nnqft.theory("linear", N=100, sigma_w=0.5)
    result = nnqft.compute(theory, "two_point", order=3, tau=[0.0, 1.0, 2.0], rtol=1e-3)
    print(result.table())
"""

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
from nnqft.graphs.diagram import Diagram, Line, Point
from nnqft.graphs.diagram_set import DiagramSet
from nnqft.hookspecs import hookimpl
from nnqft.integrals.closed_form import ClosedForm
from nnqft.integrals.estimate import Estimate
from nnqft.integrals.integral import TimeIntegral, time_integral
from nnqft.interfaces.activation import Activation
from nnqft.interfaces.executor import AbstractExecutor, Keep, Outcome, Target, Work
from nnqft.interfaces.model import (
    AbstractDerivedObservable,
    AbstractIntegrator,
    AbstractModel,
    AbstractObservable,
    Need,
    Parameter,
    finite_number,
    whole_number,
)

# Last, because `nnqft.rules.printed.theory` the function takes the place of the module's name in this package.
from nnqft.pipeline.compute import compute, diagrams, theory
from nnqft.results.derived import Derived
from nnqft.results.load import load
from nnqft.results.result import Result
from nnqft.results.rows import DiagramRow
from nnqft.results.series import Series, Singularity
from nnqft.rules.theory import Field, Leg, Memory, Propagator, Term, Theory, Vertex
from nnqft.self_energies.equation import Dyson, dyson
from nnqft.self_energies.self_energy import SelfEnergy
from nnqft.stages.request import Request

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
