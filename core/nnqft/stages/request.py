"""What is wanted and how well: checked once, frozen, hashable, JSON both ways."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from nnqft.errors import InputError, PluginError, UnknownNameError, short
from nnqft.graphs.indices import check_indices
from nnqft.host import default_host, strangers
from nnqft.interfaces.executor import Keep, Target
from nnqft.interfaces.model import AbstractModel, positive_number, whole_number
from nnqft.rules.theory import Theory

STARTS = ("stationary", "rest")
RESUMMED = "resummed"
"""The order that stands for all orders of a width order, summed by the model."""
MAX_TIMES = 2000
"""Time tuples in one request: their covariance is kept for every diagram."""


@dataclass(frozen=True)
class Request:
    """One computation.

    Attributes
    ----------
    model, start, parameters
        The theory; parameters as (name, value) pairs.
    observable, order, width_order, times, indices
        The quantity; the order is a number or ``"resummed"``, times are tuples of floats, indices a pattern such as
        ``"iijj"`` or None.
    integrator, rtol, atol, neval, seed
        How it is computed and how well.
    """

    model: str
    start: str
    parameters: tuple[tuple[str, Any], ...]
    observable: str
    order: int | str
    width_order: int | None
    times: tuple[tuple[float, ...], ...]
    integrator: str = "auto"
    rtol: float | None = None
    atol: float | None = None
    neval: int | None = None
    seed: int = 0
    indices: str | None = None

    @property
    def resummed(self) -> bool:
        """Are all orders summed at once?"""
        return self.order == RESUMMED

    def to_json(self) -> str:
        """The request as JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Request:
        """The request that `to_json` wrote.

        Raises
        ------
        InputError
            If the text is not such a request.
        """
        try:
            data = json.loads(text)
            known = {f.name for f in fields(cls)}
            if not isinstance(data, dict) or not set(data) <= known:
                raise ValueError("unknown fields")
            data["parameters"] = tuple((name, _frozen(value)) for name, value in data["parameters"])
            data["times"] = tuple(tuple(float(t) for t in row) for row in data["times"])
            request = cls(**data)
            texts = (request.model, request.start, request.observable, request.integrator)
            if not all(isinstance(text, str) for text in texts) or len({len(row) for row in request.times}) != 1:
                raise ValueError("names that are not text, or times of different lengths")
            check_order(request.order, request.width_order)
            check_indices(request.indices)
            return request
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(f"not a request in JSON ({error}); write one with Request.to_json()") from None


def _frozen(value: Any) -> Any:
    return tuple(_frozen(v) for v in value) if isinstance(value, list | tuple) else value


def make_theory(model: str | AbstractModel, start: str, parameters: Mapping[str, Any]) -> Theory:
    """The rules of a model at these parameters, all checked first."""
    plugin = model if isinstance(model, AbstractModel) else default_host().get("model", model)
    if not isinstance(start, str) or start not in STARTS:
        raise UnknownNameError("start", start, STARTS)
    if start not in plugin.starts:
        raise InputError(f"model {plugin.name!r} has no start {start!r}; write start={plugin.starts[0]!r}")
    for name in parameters:
        if name not in plugin.parameters:
            raise UnknownNameError("parameter", name, plugin.parameters, f" of model {plugin.name!r}")
    values = {name: spec.validate(name, parameters.get(name, spec.default)) for name, spec in plugin.parameters.items()}
    with strangers(f"model {plugin.name!r}"):
        theory = plugin.theory(start, values)
    if not isinstance(theory, Theory):
        raise PluginError(f"model {plugin.name!r} returned {short(theory)}, wanted a Theory")
    return theory


def make_request(
    theory: Theory,
    observable: str,
    *,
    order: Any,
    width_order: Any,
    times: Any,
    tau: Any,
    indices: Any,
    integrator: str,
    rtol: Any,
    atol: Any,
    neval: Any,
    seed: Any,
) -> Request:
    """Check everything a user may have got wrong, before anything is computed."""
    check_theory(theory)
    arity = default_host().get("observable", observable).arity
    if not isinstance(integrator, str) or integrator != "auto":
        default_host().get("integrator", integrator)
    order, width_order = check_order(order, width_order)
    return Request(
        model=theory.model,
        start=theory.start,
        parameters=tuple((name, _frozen(value)) for name, value in theory.parameters.items()),
        observable=observable,
        order=order,
        width_order=width_order,
        times=check_times(theory, arity, times, tau),
        integrator=integrator,
        rtol=None if rtol is None else positive_number("rtol", rtol),
        atol=None if atol is None else positive_number("atol", atol),
        neval=None if neval is None else whole_number("neval", neval, 1),
        seed=whole_number("seed", seed, 0),
        indices=check_indices(indices),
    )


def check_order(order: Any, width_order: Any) -> tuple[int | str, int | None]:
    """Both in their proper types, or InputError."""
    width = None if width_order is None else whole_number("width_order", width_order, 0)
    if not isinstance(order, str):
        return whole_number("order", order, 0), width
    if order != RESUMMED:
        raise InputError(f"order={short(order)}: wanted a whole number ≥ 0 or {RESUMMED!r}")
    if width is None:
        raise InputError(
            f"width_order is missing: order={RESUMMED!r} sums every order of a few width orders, not of all;"
            " write width_order=1, or 0 for infinite width"
        )
    return order, width


def make_target(request: Request, ledger: Any, time_limit: Any) -> Target:
    """When to stop, and where to keep what is done."""
    if request.rtol is request.atol is request.neval is None and time_limit is None:
        raise InputError("no target: wanted rtol, atol or neval, write for example rtol=1e-3 or neval=1_000_000")
    if ledger is not None and (not isinstance(ledger, str | os.PathLike) or not os.fspath(ledger)):
        raise InputError(f"ledger={short(ledger)}: wanted the path of a file, write for example ledger='run.ledger'")
    return Target(
        rtol=request.rtol,
        atol=request.atol,
        neval=request.neval,
        seed=request.seed,
        time_limit=None if time_limit is None else positive_number("time_limit", time_limit),
        keep=None if ledger is None else Keep(os.fspath(ledger), request.to_json()),
    )


def check_theory(theory: Any) -> None:
    """InputError unless it is a Theory."""
    if not isinstance(theory, Theory):
        raise InputError(f"theory={short(theory)}: wanted a Theory, write nnqft.theory('linear', N=100, sigma_w=0.5)")


def check_times(theory: Theory, arity: int | None, times: Any, tau: Any) -> tuple[tuple[float, ...], ...]:
    """External times as M tuples of `arity` floats (None: any), from `times` or from `tau` for pairs (τ, 0)."""
    if times is not None and tau is not None:
        raise InputError("both times and tau were given; write one of them")
    if times is None and tau is None and (theory.stationary and arity is not None):
        grid = np.zeros((1, arity))
    elif times is not None:
        grid = _array("times", times)
    elif tau is None:
        raise InputError(f"times are missing, write times of shape {_shape(arity)}, such as {_example(arity)}")
    else:
        grid = _lags(theory, arity, tau)
    if grid.ndim != 2 or not grid.size or (arity is not None and grid.shape[1] != arity):
        raise InputError(f"times have shape {grid.shape}, wanted {_shape(arity)}, such as {_example(arity)}")
    if len(grid) > MAX_TIMES:
        raise InputError(f"{len(grid)} times, wanted at most {MAX_TIMES}; split the request")
    if not theory.stationary and (grid < 0).any():
        raise InputError(f"times={short(float(grid.min()))} lies before the start; from rest write times ≥ 0")
    if not theory.stationary and (grid > theory.horizon).any():
        late = short(float(grid.max()))
        raise InputError(f"times={late} lies beyond the theory's horizon T={theory.horizon:g}; write a larger T")
    return tuple(tuple(row) for row in grid.tolist())


def _lags(theory: Theory, arity: int | None, tau: Any) -> np.ndarray:
    if not theory.stationary:
        raise InputError("tau needs a stationary start; from rest write times=[(t, s), …]")
    if arity not in (2, None):
        raise InputError(f"tau is for observables of two times, this one has {arity}; write times={_example(arity)}")
    lags = _array("tau", tau)
    if lags.ndim > 1 or not lags.size:
        raise InputError(f"tau has shape {lags.shape}, wanted (M,), write for example tau=[0.0, 0.5, 1.0]")
    return np.stack([np.atleast_1d(lags), np.zeros(lags.size)], axis=1)


def _shape(arity: int | None) -> str:
    return f"(M, {'k' if arity is None else arity})"


def _example(arity: int | None) -> str:
    return str([(1.0,) * (2 if arity is None else arity)])


def _array(name: str, value: Any) -> np.ndarray:
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "iuf":
            raise TypeError
        array = array.astype(float)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{name}={short(value)}: wanted numbers in a regular array") from None
    if not np.isfinite(array).all():
        raise InputError(f"{name}={short(value)}: wanted finite numbers")
    return array
