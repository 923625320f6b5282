"""Feynman diagrams of deep and recurrent networks at finite width.

The shortest use::

    import nnqft

    theory = nnqft.theory("linear", N=100, sigma_w=0.5)
    result = nnqft.compute(theory, "two_point", order=3, tau=[0.0, 1.0, 2.0], rtol=1e-3)
    print(result.table())
"""

from nnqft.activation import Activation
from nnqft.closed_form import ClosedForm
from nnqft.diagram import Diagram, Line, Point
from nnqft.diagram_set import DiagramSet
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
from nnqft.estimate import Estimate
from nnqft.hookspecs import hookimpl
from nnqft.integral import TimeIntegral, time_integral
from nnqft.interfaces import (
    AbstractExecutor,
    AbstractIntegrator,
    AbstractModel,
    AbstractObservable,
    Keep,
    Outcome,
    Parameter,
    Target,
    Work,
    finite_number,
    whole_number,
)
from nnqft.request import Request
from nnqft.result import Result, load
from nnqft.rows import DiagramRow
from nnqft.series import Series, Singularity
from nnqft.theory import Field, Leg, Memory, Propagator, Term, Theory, Vertex

# Last, because `nnqft.theory` the function takes the place of the module's name in this package.
from nnqft.pipeline import compute, diagrams, theory  # isort: skip

__all__ = [
    "AbstractExecutor",
    "AbstractIntegrator",
    "AbstractModel",
    "AbstractObservable",
    "Activation",
    "ClosedForm",
    "Diagram",
    "DiagramRow",
    "DiagramSet",
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
    "NnqftError",
    "Outcome",
    "Parameter",
    "PluginError",
    "Point",
    "Propagator",
    "Request",
    "Result",
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
    "finite_number",
    "hookimpl",
    "load",
    "short",
    "theory",
    "time_integral",
    "whole_number",
]
