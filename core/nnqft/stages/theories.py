"""Theories of models, with parameters that are checked first."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from functools import partial

from nnqft.errors import InputError, PluginError, UnknownNameError, short
from nnqft.host import default_host, plugin_errors
from nnqft.interfaces.model import AbstractModel
from nnqft.rules.theory import Theory

STARTS = ("stationary", "rest")
_made: dict[int, tuple[weakref.ref[Theory], dict[str, object], dict[str, object]]] = {}
"""Theories that models made, with copies of what can be changed of them: some take seconds to make again."""


def _forget(number: int, _: object) -> None:
    _made.pop(number, None)


def theory(model: str | AbstractModel, *, start: str = "stationary", **parameters: object) -> Theory:
    """The Feynman rules of a model.

    Parameters
    ----------
    model
        Name of a model plugin (``nnqft plugins`` lists them), or a model itself.
    start
        ``"stationary"`` (begins at −∞) or ``"rest"`` (h(0) = 0).
    **parameters
        By the names of the model, e.g. ``gamma, kappa, sigma_w, sigma_b, N``; the others keep their defaults. Rates and
        strengths are in 1/time, in whatever unit times will be given.

    Returns
    -------
    Theory
        ``print(theory.rules)`` prints what it holds.

    Raises
    ------
    InputError
        On an unknown name or a value that makes no sense.
    PluginError
        If the model itself is broken.

    Examples
    --------
    >>> import nnqft
    >>> nnqft.theory("linear", N=100, sigma_w=0.5, start="rest")
    Theory(linear, rest: γ = 1, κ = 1, σ_w = 0.5, ...)
    >>> nnqft.theory("langevin", drift={1: 1.0, 3: 0.1}, noise=2.0).parameters["noise"]
    2.0
    """
    return make_theory(model, start, parameters)


def make_theory(model: str | AbstractModel, start: str, parameters: Mapping[str, object]) -> Theory:
    """The rules of a model at these parameters, all checked first; `theory` says what is raised."""
    plugin = model if isinstance(model, AbstractModel) else default_host().model(model)
    if not isinstance(start, str) or start not in STARTS:
        raise UnknownNameError("start", start, STARTS)
    if start not in plugin.starts:
        raise InputError(f"model {plugin.name!r} has no start {start!r}; write start={plugin.starts[0]!r}")
    for name in parameters:
        if name not in plugin.parameters:
            raise UnknownNameError("parameter", name, plugin.parameters, f" of model {plugin.name!r}")
    with plugin_errors(f"model {plugin.name!r}"):
        values = {
            name: spec.validate(name, parameters.get(name, spec.default)) for name, spec in plugin.parameters.items()
        }
        theory = plugin.theory(start, values)
    if not isinstance(theory, Theory):
        raise PluginError(f"model {plugin.name!r} returned {short(theory)}, wanted a Theory")
    known = weakref.ref(theory, partial(_forget, id(theory)))
    _made[id(theory)] = known, dict(theory.parameters), dict(theory.couplings)
    return theory


def is_of_its_model(theory: Theory) -> bool:
    """Are these the rules that the model of this name, which is installed, makes at their parameters?"""
    known, parameters, couplings = _made.get(id(theory), (None, {}, {}))
    if known is not None and known() is theory and (theory.parameters, theory.couplings) == (parameters, couplings):
        return True  # its other parts cannot have been changed since
    return make_theory(theory.model, theory.start, theory.parameters) == theory


def as_theory(theory: object) -> Theory:
    """The theory itself, or InputError if it is something else."""
    if not isinstance(theory, Theory):
        raise InputError(f"theory={short(theory)}: wanted a Theory, write nnqft.theory('linear', N=100, sigma_w=0.5)")
    return theory
