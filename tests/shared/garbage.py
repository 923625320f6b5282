"""Hypothesis strategies for what users and their programs send by mistake."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

MODELS = ("linear", "cubic_tanh", "quintic", "taylor", "adaptation", "feedforward", "langevin", "toy")
OBSERVABLES = ("two_point", "response", "mean", "cumulant")
PARAMETERS = (
    "gamma",
    "kappa",
    "sigma_w",
    "sigma_b",
    "sigma_u",
    "q",
    "N",
    "drift",
    "noise",
    "action",
    "coefficients",
    "activation",
    "degree",
    "C_0",
)


class Rude:
    """Its repr raises. Not among the oddities, as Hypothesis itself cannot print it."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


class Loud:
    """Its repr takes many lines."""

    def __repr__(self) -> str:
        return "many\nlines\n" * 50


class Pretender:
    """Claims to be a number and is none."""

    def __float__(self) -> float:
        raise ValueError("not really")

    def __index__(self) -> int:
        return 7


ODDITIES: tuple[Any, ...] = (
    None, True, False, "", " ", "0", "1", "nan", "linear", "LINEAR", "two\nlines", "\x00", "λ" * 200, b"linear",
    math.nan, math.inf, -math.inf, -1, -0.0, 0, 0.5, 1e-320, 1e308, -1e308, 10**400, -(10**400), 2**63, 1 + 0j,
    (), [], {}, set(), [[]], [None], [1, [2, 3]], [(1,), (2, 3)], {"a": 1}, {None: None}, {1: math.nan}, {1.5: 1},
    object, object(), Loud(), Pretender(), range(3), lambda: 3, Exception("boo"),
    np.array([]), np.array(3.0), np.array([1 + 1j]), np.array(["a"]), np.array([None]), np.full((2, 2), np.nan),
    np.zeros((1, 2, 3)), np.float32("nan"), np.int64(3), np.bool_(True),
)  # fmt: skip
"""Wrong, or right in the wrong place."""

oddities = st.sampled_from(ODDITIES)
numbers = st.integers(-3, 3) | st.floats() | st.integers(-(10**30), 10**30)
texts = st.text(max_size=12)
wrong = st.deferred(
    lambda: (
        oddities
        | numbers
        | texts
        | st.lists(wrong, max_size=3)
        | st.dictionaries(st.integers(-2, 20) | texts, wrong, max_size=3)
        | st.tuples(wrong, wrong)
    )
)
"""Anything at all."""


def mostly(right: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A right value three times in four, so that garbage gets past the first check."""
    return st.one_of(right, right, right, wrong)


# Right values, small enough to compute at once.

parameters: dict[str, st.SearchStrategy[Any]] = {
    "gamma": st.floats(0.1, 3),
    "kappa": st.floats(0, 3),
    "sigma_w": st.floats(0, 2),
    "sigma_b": st.floats(0, 1),
    "sigma_u": st.floats(0, 1),
    "q": st.floats(0, 1) | st.dictionaries(st.floats(0, 3), st.floats(0, 1), max_size=2),
    "N": st.integers(1, 100),
    "drift": st.fixed_dictionaries({1: st.floats(0.1, 2)}, optional={2: st.floats(-1, 1), 3: st.floats(0, 1)}),
    "noise": st.floats(0, 3),
    "action": st.fixed_dictionaries({}, optional={3: st.floats(-1, 1), 4: st.floats(0, 1)}),
    "coefficients": st.dictionaries(st.integers(0, 3), st.floats(-1, 1), max_size=3),
}
models = st.sampled_from(MODELS)
starts = st.sampled_from(("stationary", "rest"))
observables = st.sampled_from(OBSERVABLES)
lags = st.floats(-3, 3)
pairs = st.lists(st.tuples(st.floats(0, 3), st.floats(0, 3)), min_size=1, max_size=3)


# Command lines


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """A command, options that exist or nearly do, and values that fit or do not; never much work."""
    command = draw(st.sampled_from(("compute", "compute", "diagrams", "rules", "plugins", "comptue", "", "--help")))
    words = [command, *draw(st.lists(models | texts | st.just("--"), min_size=0, max_size=2))]
    values = st.sampled_from(
        ("0", "1", "2", "-1", "1.5", "1e0", "nan", "inf", "-inf", "0,1", "0:1:3", "0:1", "0:1:-3", "1,2;2,3", ";", ",",
         "text", "", "two words", "stationary", "rest", "two_point", "vegas", "exact", "local", "gamma=1", "gamma=0",
         "gamma", "=1", "N=3", "N=1.5", "q={0.5: 1}", "q=[", "start=rest", "drift={1:1}", "/no/such/folder/x.json",
         "svg", "1_0", "0x2", "٣", "½")
    )  # fmt: skip
    options = st.sampled_from(
        ("--param", "-p", "--start", "--observable", "-O", "--order", "-n", "--width-order", "-k", "--tau", "--times",
         "--integrator", "--rtol", "--atol", "--seed", "--limit", "--drawing", "--max-diagrams", "--json", "--plot",
         "--progress", "--no-progress", "--no-param", "--oder", "--version", "-h", "-x", "---", "--address",
         "--executor", "--workers")
    )  # fmt: skip
    for _ in range(draw(st.integers(0, 5))):
        words.append(draw(options))
        if draw(st.integers(0, 9)):
            words.append(draw(values | texts))
    # Whatever else it says, it ends early.
    if command == "compute":
        words += ["--neval", "10000", "--max-diagrams", "400"]
        if draw(st.booleans()):
            words += ["--rtol", "0.1"]
    if command == "diagrams":
        words += ["--max-diagrams", "400"]
    return words
