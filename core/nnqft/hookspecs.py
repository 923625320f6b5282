"""The hooks a plugin may implement, in the entry-point group ``nnqft``.

Every hook is called once, when something of its kind is first asked for, and returns a sequence; a plugin that has
nothing of a kind leaves the hook out. Names must be new: a second ``linear`` is refused, not replaced.

Examples
--------
>>> from nnqft import hookimpl
>>> @hookimpl
... def nnqft_drawings():
...     return {"lines": lambda diagram: str(len(diagram.lines))}
>>> list(nnqft_drawings())
['lines']
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pluggy

from nnqft.graphs.diagram import Diagram
from nnqft.interfaces.executor import AbstractExecutor
from nnqft.interfaces.integrator import AbstractIntegrator
from nnqft.interfaces.model import AbstractModel
from nnqft.interfaces.observable import AbstractDerivedObservable, AbstractObservable
from nnqft.interfaces.simulator import AbstractSimulator

GROUP = "nnqft"
hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@hookspec
def nnqft_models() -> Sequence[AbstractModel]:  # type: ignore[empty-body]
    """Models, asked for by ``nnqft.theory(name)``. Called when a model is first asked for."""


@hookspec
def nnqft_observables() -> Sequence[AbstractObservable | AbstractDerivedObservable]:  # type: ignore[empty-body]
    """Observables, asked for by name in ``compute`` and, if they have legs, in ``diagrams``.

    Called when an observable is first asked for.
    """


@hookspec
def nnqft_integrators() -> Sequence[AbstractIntegrator]:  # type: ignore[empty-body]
    """Integrators, asked for by ``compute(..., integrator=name)``; ``"auto"`` takes the first that fits.

    Called when an integrator is first asked for.
    """


@hookspec
def nnqft_sums() -> Mapping[str, Callable[..., Any]]:  # type: ignore[empty-body]
    """Name → sum of all orders in the coupling, for models that have no `resummed` of their own.

    Called when ``order="resummed"`` is first asked for. A sum is a function ``(theory, activation, observable, indices,
    width, times, rough)`` that returns what `AbstractModel.resummed` does, or None where it does not know the theory:
    then the next is asked. `activation` is the model's, or None; `indices` a pattern such as ``"iijj"`` or None;
    `rough` says that the size of the answer is enough; `times` may be none, to see whether it is known. What it knows
    and cannot sum it refuses with an `InputError`.
    """


@hookspec
def nnqft_simulators() -> Sequence[AbstractSimulator]:  # type: ignore[empty-body]
    """Simulators, which ``nnqft.check`` compares diagrams with; it takes the first that supports the theory.

    Called when a theory is first checked.
    """


@hookspec
def nnqft_executors() -> Mapping[str, Callable[..., AbstractExecutor]]:  # type: ignore[empty-body]
    """Name → factory of executors, which are opened only when used: ``factory(workers=None, address=None)``.

    Called when an executor is first asked for; a factory is called for each computation that names it, and must import
    what it needs (Ray, say) only then.
    """


@hookspec
def nnqft_drawings() -> Mapping[str, Callable[[Diagram], str]]:  # type: ignore[empty-body]
    """Format → function that draws a diagram as text of that format. Called when one is first asked for."""


@hookspec
def nnqft_commands() -> Mapping[str, str]:  # type: ignore[empty-body]
    """Name → ``"module:function"`` behind ``nnqft NAME``; what it returns is the exit status, None for 0.

    Called when the command line is used; a module is imported when its command is. The function's signature becomes
    the command's options (`nnqft.cli.options` has those that commands share); it may be a cyclopts App, too. The first
    paragraph of the function's docstring, or the App's `help`, is what the list of commands shows; it is read from the
    source, so write it as plain text.
    """
