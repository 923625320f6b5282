"""Estimates as JSON values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from nnqft.checks import finite_number, whole_number
from nnqft.files import array_from, to_plain
from nnqft.integrals.estimate import Estimate, Parts, no_covariance


def cov_to_data(cov: np.ndarray) -> Any:
    """A covariance as a JSON value that is no longer than need be.

    That is 0 where nothing is uncertain, ``{"diagonal": […]}``, ``{"at": […], "cov": [[…]]}`` with the numbers of the
    times that are uncertain and their covariance where others are not, or else the whole matrix as a list of lists.
    """
    if not any(cov.strides):
        return 0 if not cov[:1].any() else to_plain(cov)
    at = np.flatnonzero(cov.any(axis=0) | cov.any(axis=1))
    if not len(at):
        return 0
    inner = cov[np.ix_(at, at)] if len(at) < len(cov) else cov
    variances = np.diagonal(inner)
    if len(at) > 1 and np.count_nonzero(inner) == np.count_nonzero(variances):
        return {"diagonal": to_plain(np.diagonal(cov))}
    return to_plain(cov) if inner is cov else {"at": at.tolist(), "cov": to_plain(inner)}


def cov_from(data: Any, times: int) -> np.ndarray:
    """The (M, M) covariance that `cov_to_data` wrote; ValueError if the data are something else."""
    if isinstance(data, Mapping) and set(data) == {"diagonal"}:
        return np.diag(array_from(data["diagonal"], (times,)))
    if isinstance(data, Mapping) and set(data) == {"at", "cov"}:
        at = [whole_number("at", n, 0) for n in data["at"]]
        if len(set(at)) < len(at) or max(at, default=0) >= times:
            raise ValueError(f"a covariance at times {at} of {times}")
        cov = np.zeros((times, times))
        cov[np.ix_(at, at)] = array_from(data["cov"], (len(at), len(at)))
        return cov
    return no_covariance(times) if data == 0 and not isinstance(data, bool) else array_from(data, (times, times))


def estimate_to_data(estimate: Estimate) -> dict[str, Any]:
    """The fields of an estimate as JSON values."""
    values = {each.name: getattr(estimate, each.name) for each in fields(estimate) if each.name != "cov"}
    return {**to_plain(values), "cov": cov_to_data(estimate.cov)}


def estimate_from(data: Mapping[str, Any], times: int) -> Estimate:
    """The estimate at so many times whose fields, as JSON values, these are; ValueError if they are not."""
    size, square = data.get("size", [0.0]), data.get("square", [0.0])
    return Estimate(
        mean=array_from(data["mean"], (times,)),
        cov=cov_from(data["cov"], times),
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
