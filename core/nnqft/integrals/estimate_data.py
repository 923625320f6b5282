"""Estimates as JSON values."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import fields
from types import MappingProxyType
from typing import Any

import numpy as np

from nnqft.checks import finite_number, whole_number
from nnqft.files import array_from, to_plain
from nnqft.integrals.estimate import Estimate, Parts, no_covariance

_SHOWN = 48
"""Times up to which a covariance is written in digits."""


def cov_to_data(cov: np.ndarray) -> Any:
    """A covariance as a JSON value that is no longer than need be.

    That is 0 where nothing is uncertain, null where nothing is known, ``{"diagonal": […]}``, ``{"at": […], "cov":
    [[…]]}`` with the numbers of the times that are uncertain and their covariance where others are not, or else the
    whole matrix as a list of lists.
    A large one is ``{"upper": "…"}``, row after row from the diagonal on, the bytes of the numbers, float64 with the
    lowest byte first, in base64: a tenth of the time and two thirds of the space that digits take.
    """
    if not any(cov.strides):
        return 0 if not cov[:1].any() else None if np.isnan(cov[:1]).any() else to_plain(cov)
    at = np.flatnonzero(cov.any(axis=0) | cov.any(axis=1))
    if not len(at):
        return 0
    inner = cov[np.ix_(at, at)] if len(at) < len(cov) else cov
    variances = np.diagonal(inner)
    if len(at) > 1 and np.count_nonzero(inner) == np.count_nonzero(variances):
        return {"diagonal": to_plain(np.diagonal(cov))}
    written = _packed(inner) if len(at) > _SHOWN else None
    written = to_plain(inner) if written is None else written
    return written if inner is cov else {"at": at.tolist(), "cov": written}


def total_cov_to_data(cov: np.ndarray) -> Any:
    """The covariance of a sum of parts that are written, too; where it is large, ``{"sum_of": "series"}``."""
    return cov_to_data(cov) if len(cov) <= _SHOWN or not any(cov.strides) else {"sum_of": "series"}


def _packed(cov: np.ndarray) -> dict[str, str] | None:
    """The matrix in short; None if it is not symmetric, bit by bit, or not finite."""
    if not np.isfinite(cov).all() or not np.array_equal(cov, cov.T):
        return None
    upper = np.concatenate([row[n:] for n, row in enumerate(cov.astype("<f8", copy=False))])
    return {"upper": b64encode(upper.data).decode()}


def _unpacked(text: Any, size: int) -> np.ndarray:
    upper = np.frombuffer(b64decode(text, validate=True), "<f8")
    if upper.size != size * (size + 1) // 2 or not np.isfinite(upper).all():
        raise ValueError(f"{upper.size} numbers of a covariance at {size} times")
    cov = np.empty((size, size))
    first = 0
    for n in range(size):
        cov[n, n:] = cov[n:, n] = upper[first : first + size - n]
        first += size - n
    return cov


def _matrix_from(data: Any, size: int) -> np.ndarray:
    if isinstance(data, Mapping) and set(data) == {"upper"}:
        return _unpacked(data["upper"], size)
    return array_from(data, (size, size))


def cov_from(data: Any, times: int) -> np.ndarray:
    """The (M, M) covariance that `cov_to_data` wrote; ValueError if the data are something else."""
    if isinstance(data, Mapping) and set(data) == {"diagonal"}:
        return np.diag(array_from(data["diagonal"], (times,)))
    if isinstance(data, Mapping) and set(data) == {"at", "cov"}:
        at = [whole_number("at", n, 0) for n in data["at"]]
        if len(set(at)) < len(at) or max(at, default=0) >= times:
            raise ValueError(f"a covariance at times {at} of {times}")
        cov = np.zeros((times, times))
        cov[np.ix_(at, at)] = _matrix_from(data["cov"], len(at))
        return cov
    return no_covariance(times) if data == 0 and not isinstance(data, bool) else _matrix_from(data, times)


def estimate_to_data(estimate: Estimate, parts: Parts = MappingProxyType({})) -> dict[str, Any]:
    """The fields of an estimate as JSON values, null for what is not known.

    A large covariance that one of the parts has is not written once more: ``{"as": [order, width order]}`` says which.
    """
    values = {each.name: getattr(estimate, each.name) for each in fields(estimate) if each.name != "cov"}
    large = {key: part.cov for key, part in parts.items() if len(part.cov) > _SHOWN and any(part.cov.strides)}
    same = next((list(key) for key, cov in large.items() if np.array_equal(cov, estimate.cov)), None)
    return {**to_plain(values), "cov": cov_to_data(estimate.cov) if same is None else {"as": same}}


def estimate_from(data: Mapping[str, Any], times: int, parts: Parts = MappingProxyType({})) -> Estimate:
    """The estimate at so many times whose fields, as JSON values, these are; ValueError if they are not."""
    cov = data["cov"]
    if cov is None and data["mean"] == [None] * times:
        return Estimate.unknown(times)
    if isinstance(cov, Mapping) and set(cov) == {"as"}:
        if tuple(cov["as"]) not in parts:
            raise ValueError(f"the covariance of a part {cov['as']} that is not there")
        known = parts[tuple(cov["as"])].cov
    else:
        known = cov_from(cov, times)
    size, square = data.get("size", [0.0]), data.get("square", [0.0])
    return Estimate(
        mean=array_from(data["mean"], (times,)),
        cov=known,
        samples=whole_number("samples", data["samples"], 0),
        chunks=whole_number("chunks", data["chunks"], 0),
        chi2_sum=finite_number("chi2_sum", data["chi2_sum"]),
        dof=whole_number("dof", data["dof"], 0),
        seconds=finite_number("seconds", data["seconds"]),
        rounding=array_from(data["rounding"], (len(data["rounding"]),)),
        # Results written before these fields existed do not say.
        size=array_from(size, (len(size),)),
        square=array_from(square, (len(square),)),
    )


def parts_to_data(parts: Parts) -> list[dict[str, Any]]:
    """The estimates with their orders as JSON values."""
    return [{"order": n, "width": k, **estimate_to_data(each)} for (n, k), each in parts.items()]


def parts_from(data: Sequence[Mapping[str, Any]], times: int) -> dict[tuple[int | str, int], Estimate]:
    """The estimates that `parts_to_data` wrote; an order that is a word stays one."""
    return {
        (_order(each["order"]), whole_number("width", each["width"], -(10**9))): estimate_from(each, times)
        for each in data
    }


def _order(value: Any) -> int | str:
    return value if isinstance(value, str) else whole_number("order", value, 0)
