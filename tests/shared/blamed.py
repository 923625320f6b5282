"""A plugin whose every part raises, each in a line that a comment marks; at module level, so that workers find it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import nnqft


def within_numpy() -> Any:
    return np.linalg.inv(np.zeros((2, 3)))  # numpy raises


class Model(nnqft.AbstractModel):
    name = "mine"
    parameters: Mapping[str, nnqft.Parameter] = {"gamma": nnqft.Parameter(1.0)}

    def theory(self, start: str, values: Mapping[str, Any]) -> nnqft.Theory:
        return values["amplitude"]  # model


class Legs(nnqft.AbstractObservable):
    name = "legs"

    def legs(self, theory: nnqft.Theory, arity: int) -> tuple[nnqft.Leg, ...]:
        raise ZeroDivisionError("no legs")  # observable


class Sampler(nnqft.AbstractIntegrator):
    name = "sampler"

    def __init__(self, where: str) -> None:
        self.where = where

    def supports(self, integral: nnqft.TimeIntegral) -> bool | str:
        if self.where == "supports":
            raise KeyError("amplitude")  # supports
        return True

    def prepare(self, integral: nnqft.TimeIntegral, seed: np.random.SeedSequence) -> None:
        if self.where == "prepare":
            raise KeyError("amplitude")  # prepare

    def sample(
        self, integral: nnqft.TimeIntegral, state: None, neval: int, seed: np.random.SeedSequence
    ) -> nnqft.Estimate:
        raise KeyError("amplitude")  # sample


def draw(diagram: nnqft.Diagram) -> str:
    raise KeyError("amplitude")  # drawing


def command() -> int:
    """Fail."""
    raise KeyError("amplitude")  # command


def factory(workers: int | None = None, address: str | None = None) -> nnqft.AbstractExecutor:
    raise KeyError("amplitude")  # factory


def kernel(t: Any, s: Any, params: Mapping[str, Any], xp: Any) -> Any:
    return params["amplitude"] * t  # kernel


def delay(u: Any, room: Any, params: Mapping[str, Any], xp: Any) -> tuple[Any, Any]:
    return params["amplitude"], u  # delay
