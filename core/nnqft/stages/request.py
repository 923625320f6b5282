"""What is wanted and how well: checked once, frozen, hashable, JSON both ways."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from nnqft.checks import whole_number
from nnqft.errors import InputError, short
from nnqft.graphs.indices import check_indices
from nnqft.graphs.replicas import check_replicas
from nnqft.host import default_host
from nnqft.rules.theory import Theory
from nnqft.show.numbers import clipped
from nnqft.stages.effort import Effort
from nnqft.stages.theories import as_theory
from nnqft.stages.times import check_times

RESUMMED = "resummed"
"""The order that stands for all orders of a width order, summed by the model."""


@dataclass(frozen=True, repr=False)
class Request:
    """One computation.

    Attributes
    ----------
    model, start, parameters
        The theory; parameters as (name, value) pairs.
    observable, order, width_order, times, indices
        The quantity; the order is a number or ``"resummed"``, times are tuples of floats, indices a pattern such as
        ``"iijj"`` or None.
    replicas
        The noise histories of the legs, a pattern such as ``"aabb"`` or None.
    integrator, rtol, atol, neval, seed
        How it is computed and how well.

    Examples
    --------
    >>> import nnqft
    >>> theory = nnqft.theory("linear", N=100, sigma_w=0.5)
    >>> result = nnqft.compute(theory, "two_point", order=2, tau=[0.0, 1.0])
    >>> result.request.observable, result.request.times
    ('two_point', ((0.0, 0.0), (1.0, 0.0)))
    """

    model: str
    start: str
    parameters: tuple[tuple[str, object], ...]
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
    replicas: str | None = None

    def __repr__(self) -> str:
        count = len(self.times)
        width = "" if self.width_order is None else f", width order ≤ {self.width_order}"
        what = f"{self.observable} of {self.model} ({self.start}), order ≤ {self.order}{width}"
        return clipped(f"Request({what}, {count} time{'s' * (count > 1)}") + ")"

    @property
    def resummed(self) -> bool:
        """Are all orders summed at once?"""
        return self.order == RESUMMED

    def of_theory(self, theory: Theory) -> Request:
        """The same request for a theory with other parameters."""
        return replace(self, parameters=_pairs(theory))

    def to_json(self) -> str:
        """The request as JSON text.

        Examples
        --------
        >>> import nnqft
        >>> theory = nnqft.theory("linear", N=100, sigma_w=0.5)
        >>> result = nnqft.compute(theory, "two_point", order=2, tau=[0.0, 1.0])
        >>> nnqft.Request.from_json(result.request.to_json()) == result.request
        True
        """
        data = asdict(self)
        if self.replicas is None:  # as it was written before there were any, so that ledgers find their own
            del data["replicas"]
        return json.dumps(data)

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
            check_replicas(request.replicas)
            return request
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(f"not a request in JSON ({error}); write one with Request.to_json()") from None


def _pairs(theory: Theory) -> tuple[tuple[str, Any], ...]:
    return tuple((name, _frozen(value)) for name, value in theory.parameters.items())


def _frozen(value: Any) -> Any:
    return tuple(_frozen(v) for v in value) if isinstance(value, list | tuple) else value


def make_request(
    theory: Theory,
    observable: str,
    effort: Effort,
    *,
    order: object,
    width_order: object = None,
    times: object = None,
    tau: object = None,
    indices: object = None,
    replicas: object = None,
) -> Request:
    """The request for an observable with legs, everything a user may have got wrong checked first.

    Raises
    ------
    InputError
        If something of it makes no sense.
    """
    theory = as_theory(theory)
    arity = default_host().observable(observable).arity
    order, width_order = check_order(order, width_order)
    return Request(
        model=theory.model,
        start=theory.start,
        parameters=_pairs(theory),
        observable=observable,
        order=order,
        width_order=width_order,
        times=check_times(theory, arity or None, times, tau),  # one without times numbers its parts by them
        integrator=effort.integrator,
        rtol=effort.rtol,
        atol=effort.atol,
        neval=effort.neval,
        seed=effort.seed,
        indices=check_indices(indices),
        replicas=check_replicas(replicas),
    )


def check_order(order: object, width_order: object) -> tuple[int | str, int | None]:
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
