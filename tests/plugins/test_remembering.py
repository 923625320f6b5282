"""A function whose globals have changed is another function, whatever was remembered of it."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import nnqft
from nnqft_plugins.models.parameters.given import GivenFunction, given_activation
from nnqft_plugins.networks.meanfield import edge_of_chaos, solve
from nnqft_plugins.networks.meanfield.kernel import kernel
from nnqft_plugins.networks.meanfield.kinds import jumps
from nnqft_plugins.networks.meanfield.remembering import remembered
from nnqft_plugins.networks.simulation import simulate

scale = 1.0


def steep(x: np.ndarray) -> np.ndarray:
    return np.tanh(scale * x)


def bent(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, (scale - 0.75) * x)


def stepped(x: np.ndarray) -> np.ndarray:
    return np.tanh(x) + (scale - 1.0) * (x > 0.5)


def given(phi: Callable[[np.ndarray], np.ndarray]) -> nnqft.Activation:
    return given_activation(GivenFunction(phi))


ASKED: dict[str, tuple[Callable[[np.ndarray], np.ndarray], Callable[[Any], Any]]] = {
    "taylor": (steep, lambda phi: nnqft.compute(nnqft.theory("taylor", activation=phi), "two_point", order=1).mean),
    "feedforward": (
        steep,
        lambda phi: nnqft.compute(nnqft.theory("feedforward", activation=phi), "two_point", order=1).mean,
    ),
    "mean field": (steep, lambda phi: solve(nnqft.theory("taylor", activation=phi)).correlator(np.array([0.0, 1.0]))),
    "edge of chaos": (steep, lambda phi: edge_of_chaos(nnqft.theory("feedforward", activation=phi))),
    "series": (steep, lambda phi: kernel(given(phi), 1.0)(np.array(0.3))),
    "table": (bent, lambda phi: kernel(given(phi), 1.0)(np.array(0.3))),
    "jumps": (stepped, lambda phi: jumps(nnqft.Activation("phi", phi, None, (0.5,)))),
    "kinks": (stepped, lambda phi: given(phi).kinks),
    "simulation": (
        steep,
        lambda phi: simulate(nnqft.theory("feedforward", activation=phi, N=4), tau=[0.0], networks=20, seed=1).mean,
    ),
}


@pytest.fixture(autouse=True)
def back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "scale", 1.0)


@pytest.mark.parametrize("name", ASKED)
def test_nothing_is_remembered_of_what_has_changed(name, monkeypatch):
    phi, ask = ASKED[name]
    before = ask(phi)
    monkeypatch.setitem(globals(), "scale", 1.25)
    again = ask(phi)
    other = FunctionType(phi.__code__, globals(), phi.__name__)  # of which nothing can be remembered
    other.__qualname__, other.__module__ = phi.__qualname__, phi.__module__
    assert_array_equal(again, ask(other))
    assert not np.array_equal(before, again)


def test_what_is_remembered(monkeypatch):
    called: list[object] = []

    @remembered(2)
    def at(function, x):
        called.append(function)
        return function(x)

    assert [at(steep, 1.0), at(steep, 1.0)] == [np.tanh(1.0)] * 2
    assert called == [steep]
    monkeypatch.setitem(globals(), "scale", 2.0)
    assert at(steep, 1.0) == np.tanh(2.0)
    generator = np.random.default_rng(1)
    draws = [at(lambda x: x + generator.random(), 1.0) for _ in range(2)]
    assert draws[0] != draws[1]


def gentle(x: np.ndarray) -> np.ndarray:
    return np.tanh(1.0 * x)


def test_the_pilot_of_a_simulation_is_that_of_the_function_as_it_is(monkeypatch):
    def error(phi: Callable[[np.ndarray], np.ndarray]) -> float:
        theory = nnqft.theory("feedforward", start="rest", activation=phi, N=3, sigma_w=0.9)
        return float(simulate(theory, times=[(1.0, 1.0)], networks=20, step=0.25, seed=1).sdev[0])

    monkeypatch.setattr(f"{__name__}.scale", 2.5)
    before = error(steep)
    monkeypatch.setattr(f"{__name__}.scale", 1.0)
    assert error(steep) == error(gentle) != before
