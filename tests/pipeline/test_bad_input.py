"""Whatever is asked wrongly is answered by one line that says what came and what was wanted; nothing is computed."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import inspect
import io
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import garbage
import numpy as np
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

import nnqft
from nnqft.cli.main import main
from nnqft.host import default_host

THEORY = nnqft.theory("linear", N=3, sigma_w=0.5)
REST = nnqft.theory("linear", start="rest", N=3, sigma_w=0.5)
nan, inf = math.nan, math.inf


def named(value: object) -> str:
    """A name for a case that is the same in every process: an object's address is not."""
    return "object" if type(value) is object else repr(value)


def refused(call: Callable[[], Any], *wanted: str, kind: type[nnqft.NnqftError] = nnqft.InputError) -> str:
    """The call is refused, in one line that contains every one of these texts."""
    with pytest.raises(kind) as caught:
        call()
    message = str(caught.value)
    assert message.isprintable(), message
    assert 10 < len(message) < 600, message
    for text in wanted:
        assert text in message, f"{text!r} is missing in: {message}"
    return message


def compute(theory: Any = THEORY, observable: Any = "two_point", **request: Any) -> nnqft.Result:
    return nnqft.compute(theory, observable, **({"order": 1, "neval": 2_000} | request))


# Unknown names: each message contains the nearest one


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [("liner", "linear"), ("Linear", "linear"), ("cubic-tanh", "cubic_tanh"), ("langvin", "langevin")],
)
def test_unknown_model(wrong, nearest):
    refused(lambda: nnqft.theory(wrong), repr(wrong), f"did you mean {nearest!r}", kind=nnqft.UnknownNameError)


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [("sigma", "sigma_"), ("GAMMA", "gamma"), ("sigmaw", "sigma_w"), ("n", "N"), ("kapa", "kappa")],
)
def test_unknown_parameter(wrong, nearest):
    refused(lambda: nnqft.theory("linear", **{wrong: 1.0}), repr(wrong), "did you mean", nearest, "linear")


@pytest.mark.parametrize(("wrong", "nearest"), [("two-point", "two_point"), ("respons", "response")])
def test_unknown_observable(wrong, nearest):
    refused(lambda: compute(observable=wrong), repr(wrong), repr(nearest))
    refused(lambda: nnqft.diagrams(THEORY, wrong, order=1), repr(wrong), repr(nearest))


@pytest.mark.parametrize(("wrong", "nearest"), [("vega", "vegas"), ("Vegas", "vegas"), ("exakt", "exact")])
def test_unknown_integrator(wrong, nearest):
    refused(lambda: compute(integrator=wrong), repr(wrong), repr(nearest))


@pytest.mark.parametrize(("wrong", "nearest"), [("loca", "local"), ("process", "processes"), ("Ray", "ray")])
def test_unknown_executor(wrong, nearest):
    refused(lambda: compute(executor=wrong), repr(wrong), repr(nearest))


@pytest.mark.parametrize(("wrong", "nearest"), [("stationery", "stationary"), ("Rest", "rest")])
def test_unknown_start(wrong, nearest):
    refused(lambda: nnqft.theory("linear", start=wrong), repr(wrong), repr(nearest))


def test_names_are_listed_where_none_is_near():
    refused(lambda: nnqft.theory("xyzzy"), "'xyzzy'", "linear", "toy")
    refused(lambda: compute(observable="xyzzy"), "'xyzzy'", "two_point", "response")
    refused(lambda: nnqft.theory("toy", start="rest"), "toy", "stationary")


@pytest.mark.parametrize(
    "odd",
    [None, 3, 1.5, b"linear", ["linear"], {}, np.array(["linear", "rest"]), object(), "", "two\nlines"],
    ids=named,
)
def test_names_that_are_no_names(odd):
    refused(lambda: nnqft.theory(odd), "model")
    refused(lambda: nnqft.theory("linear", start=odd), "start")
    refused(lambda: compute(observable=odd), "observable")
    refused(lambda: compute(integrator=odd), "integrator")
    refused(lambda: compute(executor=odd), "executor")


@pytest.mark.parametrize("odd", [garbage.Rude(), garbage.Loud()], ids=["repr raises", "repr of many lines"])
def test_things_that_cannot_be_printed(odd):
    refused(lambda: nnqft.theory(odd), "model")
    refused(lambda: nnqft.theory("linear", gamma=odd), "gamma=")
    refused(lambda: nnqft.theory("langevin", drift={1: odd}), "drift")
    refused(lambda: nnqft.theory("taylor", activation=odd), "activation")
    refused(lambda: compute(odd), "theory=")
    refused(lambda: compute(observable=odd), "observable")
    refused(lambda: compute(times=odd), "times=")
    refused(lambda: compute(times=[(odd, 1.0)]), "times=")
    refused(lambda: compute(order=odd), "order=")
    refused(lambda: compute(executor=odd), "executor")
    refused(lambda: compute(workers=odd, executor="processes"), "workers=")


@pytest.mark.parametrize("odd", [None, "linear", 3, nnqft.Theory, object()], ids=named)
def test_theory_that_is_none(odd):
    refused(lambda: compute(odd), "theory", "nnqft.theory")
    refused(lambda: nnqft.diagrams(odd, "two_point", order=1), "theory")


# Parameters

NO_NUMBERS = [nan, inf, -inf, None, "1", "x", True, [1.0], {}, 1j, 10**400, np.array([1.0, 2.0]), np.bool_(True)]


@pytest.mark.parametrize("name", ["gamma", "kappa", "sigma_w", "sigma_b", "sigma_u", "N"])
@pytest.mark.parametrize("value", NO_NUMBERS, ids=lambda v: repr(v)[:20])
def test_parameter_that_is_no_finite_number(name, value):
    refused(lambda: nnqft.theory("linear", **{name: value}), f"{name}=", "wanted")


@pytest.mark.parametrize("name", ["gamma", "kappa", "sigma_w", "sigma_b", "sigma_u", "N"])
@pytest.mark.parametrize("value", [-1, -0.5, -1e300])
def test_negative_parameter(name, value):
    refused(lambda: nnqft.theory("linear", **{name: value}), f"{name}={value!r}", "wanted")


@pytest.mark.parametrize(
    ("name", "value"),
    [("gamma", 0), ("gamma", 0.0), ("gamma", -0.0), ("N", 0), ("N", 1.5), ("N", 0.999), ("N", -3)],
)
def test_value_that_makes_no_sense(name, value):
    refused(lambda: nnqft.theory("linear", **{name: value}), f"{name}={value!r}", "wanted")


@pytest.mark.parametrize(
    "q", [-1, nan, "x", {-1: 1}, {1: -1}, {nan: 1}, {0.5: nan}, {"a": 1}, {0.5: "a"}, [1, 2], [(1, 2, 3)], None, True],
    ids=named,
)  # fmt: skip
def test_bad_input_correlation(q):
    refused(lambda: nnqft.theory("linear", sigma_u=1.0, q=q), "q", "wanted")


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        ("taylor", {"coefficients": {-1: 1.0}}),
        ("taylor", {"coefficients": {1.5: 1.0}}),
        ("taylor", {"coefficients": {1: nan}}),
        ("taylor", {"coefficients": {1: "x"}}),
        ("taylor", {"coefficients": {}}),
        ("taylor", {"coefficients": {1000: 1.0}}),
        ("taylor", {"coefficients": {10**30: 1.0}}),
        ("taylor", {"coefficients": 3}),
        ("taylor", {"coefficients": "tanh"}),
        ("taylor", {"coefficients": {1: 1.0}, "activation": "tanh"}),
        ("taylor", {"activation": "tan"}),
        ("taylor", {"activation": 3}),
        ("taylor", {"activation": ["tanh"]}),
        ("taylor", {"activation": "tanh", "degree": 0}),
        ("taylor", {"activation": "tanh", "degree": 2.5}),
        ("taylor", {"activation": "tanh", "degree": 10**6}),
        ("feedforward", {"gamma": 0}),
        ("feedforward", {"C_0": -1}),
        ("langevin", {"drift": {3: 1.0}}),
        ("langevin", {"drift": {1: -1.0}}),
        ("langevin", {"drift": {1: 0.0, 3: 1.0}}),
        ("langevin", {"drift": None}),
        ("langevin", {"drift": {1: inf}}),
        ("langevin", {"noise": -1}),
        ("toy", {"action": {0: 1.0}}),
        ("toy", {"action": {4: nan}}),
        ("toy", {"action": "x"}),
        ("toy", {"gamma": 1.0}),
    ],
    ids=str,
)
def test_bad_parameter_of_other_models(model, parameters):
    refused(lambda: nnqft.theory(model, **parameters), list(parameters)[-1])


def test_a_model_whose_parameters_are_missing_nothing():
    for name in default_host().found["model"]:
        assert nnqft.theory(name).model == name


# Orders


@pytest.mark.parametrize("name", ["order", "width_order"])
@pytest.mark.parametrize("value", [-1, 1.5, nan, inf, "2", True, [1], 10**400, 1j], ids=lambda v: repr(v)[:20])
def test_order_that_makes_no_sense(name, value):
    request = {"order": 1} | {name: value}
    refused(lambda: nnqft.diagrams(THEORY, "two_point", **request), f"{name}=", "wanted")
    refused(lambda: compute(**request), f"{name}=", "wanted")


def test_order_is_needed():
    refused(lambda: compute(order=None), "order=None")


@pytest.mark.parametrize("order", [20, 1000, 10**6, 10**12, 10**18, 10**30])
def test_huge_order_is_refused(order):
    refused(lambda: compute(order=order), f"{order}")


def test_an_observable_without_diagrams_is_zero():
    for order in (0, 3, 6):
        assert len(nnqft.diagrams(THEORY, "mean", order=order)) == 0
    result = compute(observable="mean", order=3, times=[(1.0,)])
    assert result.converged
    assert result.mean.tolist() == result.sdev.tolist() == [0.0]


@pytest.mark.parametrize("width_order", [100, 10**6, 10**30])
def test_huge_width_order_is_all_widths(width_order):
    assert len(nnqft.diagrams(THEORY, "two_point", order=2, width_order=width_order)) == 19


@pytest.mark.parametrize("limit", [0, -1, 1.5, "x", None, nan])
def test_bad_limit_of_diagrams(limit):
    refused(lambda: nnqft.diagrams(THEORY, "two_point", order=1, max_diagrams=limit), "max_diagrams=")


def test_too_many_diagrams():
    refused(lambda: nnqft.diagrams(THEORY, "two_point", order=3, max_diagrams=100), "order=3", "100", "max_diagrams")
    refused(lambda: compute(order=3, max_diagrams=100), "order=3", "100", "max_diagrams")


# Times


@pytest.mark.parametrize(
    "times",
    [
        [], [[]], [1.0], [1.0, 2.0], 3.0, [(1.0,)], [(1.0, 2.0, 3.0)], [[(1.0, 2.0)]], [(1.0, 2.0), (1.0,)],
        [(nan, 0.0)], [(inf, 0.0)], [(0.0, -inf)], [("a", "b")], [("1", "2")], "x", {}, [(None, 1.0)], [(1j, 0)],
        np.zeros((0, 2)), np.zeros((2, 2, 2)), [(True, False)], object(), [(10**400, 0)],
    ],
    ids=lambda v: named(v)[:30],
)  # fmt: skip
def test_bad_times(times):
    refused(lambda: compute(times=times), "times")
    refused(lambda: compute(REST, times=times), "times")


@pytest.mark.parametrize(
    "tau", [[], [[0.0, 1.0]], nan, [inf], "x", {}, ["1"], [None], [1j], [True], object()], ids=named
)
def test_bad_tau(tau):
    refused(lambda: compute(tau=tau), "tau")


def test_times_that_do_not_fit_the_start():
    refused(lambda: compute(REST), "times", "(M, 2)")
    refused(lambda: compute(REST, tau=[0.0]), "tau", "stationary", "times")
    refused(lambda: compute(REST, times=[(1.0, -0.25)]), "-0.25", "rest")
    refused(lambda: compute(tau=[0.0], times=[(0.0, 0.0)]), "both times and tau")
    refused(lambda: compute(observable="mean", tau=[0.0]), "tau", "times")
    refused(lambda: compute(observable="cumulant"), "times")


def test_too_many_times():
    refused(lambda: compute(tau=np.arange(100_000.0)), "100000", "split")


# Targets


@pytest.mark.parametrize("name", ["rtol", "atol"])
@pytest.mark.parametrize("value", [0, 0.0, -1e-3, nan, inf, "1e-3", True, [1e-3], 1j], ids=named)
def test_bad_tolerance(name, value):
    refused(lambda: compute(**{name: value}), f"{name}=", "wanted")


@pytest.mark.parametrize("value", [0, -1, 1.5, nan, inf, "1000", True, [1000]], ids=named)
def test_bad_neval(value):
    refused(lambda: compute(neval=value), "neval=", "wanted")


def test_without_a_target_there_is_one():
    result = compute(neval=None)
    assert result.request.rtol == 1e-3
    assert result.converged


def test_too_small_a_budget():
    refused(lambda: compute(neval=10, integrator="vegas"), "neval=10", "neval=1536")


@pytest.mark.parametrize("seed", [-1, 1.5, nan, inf, "1", None, True, [1]], ids=named)
def test_bad_seed(seed):
    refused(lambda: compute(seed=seed), "seed=", "wanted")


@pytest.mark.parametrize("seed", [0, 2**32, 2**64, 10**30, np.int64(5), 7.0])
def test_seeds_of_any_size(seed):
    assert compute(seed=seed, integrator="vegas").request.seed == int(seed)


@pytest.mark.parametrize("address", ["", "  ", 3, b"auto", ["auto"]], ids=named)
def test_bad_address(address):
    refused(lambda: compute(executor="ray", address=address), "address=")


# Strong couplings are computed, with a warning


@pytest.mark.parametrize("sigma_w", [1.0, 2.0, 50.0])
@pytest.mark.parametrize("start", ["stationary", "rest"])
def test_a_diverging_series_is_computed_and_says_so(sigma_w, start, capsys):
    theory = nnqft.theory("linear", start=start, gamma=1.0, sigma_w=sigma_w, N=10)
    result = compute(theory, times=[(1.0, 0.5)], order=2)
    assert result.converged
    assert np.isfinite(result.mean).all()
    assert any("diverges" in line for line in result.notes)
    assert "diverges" in result.table()
    assert "diverges" in theory.rules
    status = main(["compute", "linear", "-p", f"sigma_w={sigma_w}", "-n", "1", "--neval", "1000"])
    output = capsys.readouterr()
    assert status == 0
    assert "diverges" in output.out
    assert "diverges" not in nnqft.theory("linear", gamma=1.0, sigma_w=0.99).rules


# The command line


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


COMPUTE = ["compute", "linear", "--order", "1", "--neval", "1000"]


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["comptue"], "comptue"),
        (["compute"], "model"),
        (["rules", "liner"], "did you mean 'linear'"),
        (["rules", "linear", "extra"], "extra"),
        (["diagrams", "linear", "--order", "2.5"], "2.5"),
        (["diagrams", "linear", "--order", "x"], "x"),
        (["diagrams", "linear", "--order", "nan"], "nan"),
        (["diagrams", "linear", "--order", "inf"], "inf"),
        (["diagrams", "linear", "--order"], "order"),
        (["diagrams", "linear", "--order=-1"], "--order -1: wanted"),
        (["diagrams", "linear", "--order", "100"], "100"),
        (["diagrams", "linear", "--limit", "-1"], "--limit -1: wanted"),
        (["diagrams", "linear", "--drawing", "svgg"], "drawing"),
        (["diagrams", "linear", "-O", "two-point"], "did you mean 'two_point'"),
        ([*COMPUTE, "--oder", "2"], "--oder"),
        ([*COMPUTE, "--start", "middle"], "middle"),
        ([*COMPUTE, "--param", "gamma"], "name=value"),
        ([*COMPUTE, "--param", "=1"], "name=value"),
        ([*COMPUTE, "--param", "gama=1"], "did you mean 'gamma'"),
        ([*COMPUTE, "--param", "gamma=0"], "gamma=0"),
        ([*COMPUTE, "--param", "gamma=x"], "gamma='x'"),
        ([*COMPUTE, "--param", "gamma=nan"], "gamma=nan"),
        ([*COMPUTE, "--param", "gamma=1e999"], "gamma=inf"),
        ([*COMPUTE, "--param", "N=2.5"], "N=2.5"),
        ([*COMPUTE, "--param", "q={0.5: -1}"], "q="),
        ([*COMPUTE, "--param", "gamma=1", "-p", "gamma=2"], "twice"),
        ([*COMPUTE, "--param", "start=rest"], "--start"),
        ([*COMPUTE, "--tau", "x"], "--tau"),
        ([*COMPUTE, "--tau", "0:1"], "--tau"),
        ([*COMPUTE, "--tau", "0:1:0"], "--tau"),
        ([*COMPUTE, "--tau", "0:1:1e9"], "--tau"),
        ([*COMPUTE, "--tau", "0,nan"], "tau"),
        ([*COMPUTE, "--tau", "0", "--times", "0,0"], "both"),
        ([*COMPUTE, "--times", "1;2"], "times"),
        ([*COMPUTE, "--times", "1,2;3"], "times"),
        ([*COMPUTE, "--times", ""], "times"),
        ([*COMPUTE, "--start", "rest"], "times"),
        ([*COMPUTE, "--start", "rest", "--times=-1,0"], "-1"),
        ([*COMPUTE, "--integrator", "vegs"], "did you mean 'vegas'"),
        ([*COMPUTE, "--executor", "lokal"], "did you mean 'local'"),
        ([*COMPUTE, "--address", "auto"], "address"),
        ([*COMPUTE, "--workers", "0"], "--workers 0: wanted"),
        ([*COMPUTE, "--workers", "2"], "processes"),
        ([*COMPUTE, "--rtol", "0"], "--rtol 0.0: wanted"),
        ([*COMPUTE, "--rtol", "-1"], "rtol"),
        ([*COMPUTE, "--rtol", "x"], "rtol"),
        ([*COMPUTE, "--atol", "nan"], "--atol nan: wanted"),
        ([*COMPUTE, "--seed", "-1"], "seed"),
        ([*COMPUTE, "--seed", "1.5"], "1.5"),
        ([*COMPUTE, "--json", "no/such/folder.json"], "no/such/folder.json"),
        ([*COMPUTE, "--json", "."], "write"),
        ([*COMPUTE, "--plot", "."], "write"),
        ([*COMPUTE, "--plot", "picture.nonsense"], "nonsense"),
        (["compute", "linear", "sigma_w=0.5"], "-p sigma_w=0.5"),
        (["compute", "linear", "--json", "x.csv"], ".json"),
        (["compute", "linear", "--neval", "10", "--integrator", "vegas"], "--neval 10 is too few"),
        (["compute", "linear", "--neval", "0"], "--neval 0: wanted"),
        (["compute", "linear", "--neval", "1e3.5"], "1e3.5"),
    ],
    ids=lambda v: " ".join(v)[:60] if isinstance(v, list) else "",
)
def test_command_line_mistake(arguments, wanted, capsys, folder):
    status = main(arguments)
    output = capsys.readouterr()
    assert status == 2
    assert output.out == ""
    assert output.err.endswith("\n")
    assert output.err.count("\n") == 1, output.err
    assert wanted in output.err
    assert "Traceback" not in output.err
    assert not list(folder.iterdir())


def test_missed_target_has_a_status_of_its_own(capsys, folder):
    arguments = ["compute", "linear", "-n", "1", "--integrator", "vegas", "--neval", "2000", "--rtol", "1e-9"]
    status = main([*arguments, "--json", "result.json"])
    output = capsys.readouterr()
    assert status == 3
    assert "NOT met" in output.out
    assert not nnqft.load("result.json").converged


def test_status_of_the_program():
    """The installed command exits as `main` says, and a mistake leaves no traceback."""
    command = [str(Path(sys.executable).parent / "nnqft"), "rules", "liner"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert re.fullmatch(r"nnqft: unknown model 'liner'.*\n", done.stderr)


def test_a_closed_pipe_is_no_error():
    command = f"{Path(sys.executable).parent / 'nnqft'} diagrams linear -n 4 --limit 100000 | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


# Unknown keywords: every public function tells the nearest one in a line


def public_functions() -> dict[str, Callable[..., Any]]:
    from nnqft_plugins.networks import meanfield, published, simulation

    places = nnqft, meanfield, published, simulation
    functions = {name: getattr(place, name) for place in places for name in place.__all__}
    taking_any = ("theory", "hookimpl")
    return {
        name: thing
        for name, thing in functions.items()
        if not isinstance(thing, type) and name not in (*taking_any, "finite_number", "short", "whole_number")
    }


@pytest.mark.parametrize("name", public_functions())
def test_unknown_keyword(name):
    function = public_functions()[name]
    known = list(inspect.signature(function).parameters)
    wrong = known[-1] + "x"
    refused(lambda: function(**{wrong: 1}), repr(wrong), f"did you mean {known[-1]!r}", f"of {name}()")
    refused(lambda: function(), name, "write")


def test_the_short_name_of_a_keyword():
    refused(lambda: nnqft.diagrams(THEORY, "two_point", order=1, width=1), "'width'", "did you mean 'width_order'")
    refused(lambda: compute(width=1), "'width'", "did you mean 'width_order'")
    refused(lambda: nnqft.theory("linear", sigma=1), "'sigma'", "did you mean 'sigma_")


# Garbage

fuzz = settings(max_examples=60, deadline=20_000, suppress_health_check=[HealthCheck.too_slow], print_blob=False)


def survives(call: Callable[[], Any]) -> Any:
    """The value of a call, or None if it was refused properly."""
    try:
        return call()
    except nnqft.NnqftError as error:
        message = str(error)
    note(message)
    assert message.isprintable(), "not one line"
    assert 5 < len(message) < 1000
    return None


@fuzz
@given(
    model=garbage.mostly(garbage.models),
    start=garbage.mostly(garbage.starts),
    given_parameters=st.dictionaries(
        st.sampled_from(garbage.PARAMETERS) | st.text(max_size=6).filter(lambda name: name != "start"),
        st.none(),
        max_size=4,
    ),
    data=st.data(),
)
def test_any_model_and_parameters(model, start, given_parameters, data):
    drawn = {
        name: data.draw(garbage.mostly(garbage.parameters.get(name, garbage.wrong)), label=name)
        for name in given_parameters
    }
    theory = survives(lambda: nnqft.theory(model, start=start, **drawn))
    if theory is not None:
        assert theory.model == model
        assert theory.rules.strip()


def theories() -> st.SearchStrategy[nnqft.Theory]:
    """Theories that can be computed fast."""
    return st.one_of(
        st.builds(
            lambda start, N, sigma_w, sigma_b: nnqft.theory(
                "linear", start=start, N=N, sigma_w=sigma_w, sigma_b=sigma_b
            ),
            garbage.starts, st.integers(1, 10), st.floats(0, 2), st.floats(0, 1),
        ),
        st.just(nnqft.theory("toy")),
        st.just(nnqft.theory("langevin")),
    )  # fmt: skip


def orders(highest: int) -> st.SearchStrategy[Any]:
    """Right and wrong orders, without those that make sense but take minutes to count or to refuse."""

    def bounded(order: Any) -> bool:
        with contextlib.suppress(TypeError, ValueError):
            return not highest < order < 1000
        return True

    return garbage.mostly(st.integers(0, highest)).filter(bounded)


@fuzz
@given(
    theory=garbage.mostly(theories()),
    observable=garbage.mostly(garbage.observables),
    order=orders(2),
    width_order=st.none() | garbage.mostly(st.integers(0, 3)),
    limit=garbage.mostly(st.integers(1, 500)),
)
def test_any_request_for_diagrams(theory, observable, order, width_order, limit):
    limit = min(limit, 500) if isinstance(limit, int | float) else limit
    found = survives(
        lambda: nnqft.diagrams(theory, observable, order=order, width_order=width_order, max_diagrams=limit)
    )
    if found is not None:
        assert len(found) <= limit
        assert all(diagram.order <= order for diagram in found)


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    """Keyword arguments of compute, right or wrong, whose work is bounded."""
    request: dict[str, Any] = {
        "order": draw(orders(1)),
        "neval": draw(garbage.mostly(st.just(10_000))),
        "max_diagrams": 100,
    }
    optional = {
        "width_order": st.integers(0, 2),
        "times": garbage.pairs,
        "tau": st.lists(garbage.lags, min_size=1, max_size=3),
        "integrator": st.sampled_from(["vegas", "exact", "auto"]),
        "executor": st.just("local"),
        "rtol": st.floats(0.01, 1),
        "atol": st.floats(0.01, 1),
        "seed": st.integers(0, 10**20),
        "workers": st.just(1),
        "address": st.none(),
    }
    for name, right in optional.items():
        if draw(st.integers(0, 2)) == 0:
            request[name] = draw(garbage.mostly(right))
    # A number of samples that is garbage but right would be honoured.
    if (
        isinstance(request["neval"], int | float)
        and not isinstance(request["neval"], bool)
        and request["neval"] > 10_000
    ):
        request["neval"] = 10_000
    if request["neval"] is None:
        del request["neval"]
    return request


@fuzz
@given(theory=garbage.mostly(theories()), observable=garbage.mostly(garbage.observables), request=requests())
def test_any_request_to_compute(theory, observable, request):
    result = survives(lambda: nnqft.compute(theory, observable, **request))
    if result is not None:
        assert np.isfinite(result.mean).all()
        assert np.isfinite(result.cov).all()
        assert result.table()


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory) -> Iterator[Path]:
    """Files that random command lines ask for end up here."""
    before, folder = Path.cwd(), tmp_path_factory.mktemp("garbage")
    os.chdir(folder)
    yield folder
    os.chdir(before)


@settings(fuzz, max_examples=120)
@given(arguments=garbage.command_lines())
def test_any_command_line(elsewhere, arguments):
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            status = main(arguments)
        except SystemExit as end:  # --help and --version may leave this way, as any program does
            status = end.code or 0
    note(errors.getvalue())
    assert status in (0, 2, 3)
    if status == 2:
        assert output.getvalue() == ""
        assert errors.getvalue().count("\n") == 1
        assert errors.getvalue().startswith("nnqft: ")


@pytest.mark.parametrize("path", [3, None, ["a"]], ids=named)
def test_a_path_that_is_none(path):
    refused(lambda: nnqft.load(path), "path=", "wanted the path of a file")


# What a message says to write is right, and may be written


@pytest.mark.parametrize("came", [None, "x", True, [1], -1, 1.5, nan, 1j])
def test_whole_numbers_are_asked_for_by_whole_numbers(came):
    refused(lambda: compute(seed=came), "seed=", "wanted a whole number ≥ 0, write for example seed=0")
    refused(lambda: nnqft.theory("linear", N=came), "N=", "wanted a whole number ≥ 1, write for example N=100")
    refused(lambda: compute(max_diagrams=came), "write for example max_diagrams=250000")


def test_a_width_beyond_all_bounds_is_no_matter_of_units():
    assert "unit" not in refused(lambda: nnqft.theory("linear", N=10**30), "wanted a whole number ≤ 1e+15")


@pytest.mark.parametrize(
    "half", [Fraction(1, 2), Decimal("0.5"), np.array(0.5), np.float32(0.5), np.array(Fraction(1, 2))]
)
def test_every_kind_of_number_is_one(half):
    assert nnqft.theory("linear", sigma_w=half).parameters["sigma_w"] == 0.5
    wanted = nnqft.compute(THEORY, "two_point", order=1, tau=[0.5, 1.0]).mean
    for lags in ([half, 1], np.array([half, 1], dtype=object)):
        assert nnqft.compute(THEORY, "two_point", order=1, tau=lags).mean.tolist() == wanted.tolist()
    assert nnqft.theory("langevin", drift={1: half, 3: half}).couplings == {"drift[3]": 0.5}


@pytest.mark.parametrize("two", [Fraction(2), Decimal(2), np.array(2), 2.0, np.int8(2)])
def test_every_kind_of_whole_number_is_one(two):
    assert nnqft.theory("linear", N=two).N == 2
    assert compute(order=two).mean.tolist() == compute(order=2).mean.tolist()


@pytest.mark.parametrize(
    "polynomial",
    [
        np.polynomial.Polynomial([0, 1, 0, 0.5]),
        np.polynomial.Polynomial([0, 1, 0, 4], domain=[-2, 2]),  # in x/2
        np.polynomial.Chebyshev([0, 1.375, 0, 0.125]),
        np.poly1d([0.5, 0, 1, 0]),
        {1: 1, 3: Fraction(1, 2)},
        [(1, 1.0), (3, 0.5)],
    ],
)
def test_numpys_polynomials_are_coefficients(polynomial):
    if getattr(polynomial, "domain", np.ones(1))[-1] == 2:
        assert polynomial(1.0) == 1.0  # x/2 + 4 (x/2)³
    assert nnqft.theory("langevin", drift=polynomial).couplings == pytest.approx({"drift[3]": 0.5})


@pytest.mark.parametrize("power", ["1", None, 1.5, -1, "x"])
def test_a_power_that_is_none_is_answered_by_the_whole_mapping(power):
    message = refused(lambda: nnqft.theory("langevin", drift={power: 1.0}), f"drift has the power {power!r}")
    assert "write drift={1: 1.0, 3: 1.0}" in message
    refused(lambda: nnqft.theory("taylor", coefficients={power: 1.0}), "write coefficients={1: 1.0, 3: -0.3}")
    refused(lambda: nnqft.theory("toy", action={power: 1.0}), "write action={4: 1.0}")


@pytest.mark.parametrize(
    "drift",
    [{1: -1, 3: 1}, {1: -3, 2: 0.3, 3: 1}, {1: -1, 2: 1}, {0: -2, 1: 0, 3: 1}, {1: -1, 5: 1}, {0: 3, 1: -1, 3: 2}],
)
def test_a_drift_without_minimum_at_zero_is_shifted_to_one(drift):
    message = refused(lambda: nnqft.theory("langevin", drift=drift), "shift x to a minimum")
    minimum = float(re.search(r"x = ([-\d.e]+) \+ y", message)[1])
    shifted = ast.literal_eval(re.search(r"write drift=(\{.*\})", message)[1])
    assert shifted[1] > 0
    y = np.linspace(-1, 1, 7)
    force = sum(a * (minimum + y) ** p for p, a in drift.items())
    assert np.allclose(sum(a * y**p for p, a in shifted.items()), force, atol=1e-7)
    nnqft.theory("langevin", drift=shifted)


@pytest.mark.parametrize("drift", [{3: 1.0}, {1: -1.0}, {1: -1.0, 3: -1.0}, {1: 0.0}, {}, None])
def test_a_drift_without_any_minimum_is_told_so(drift):
    message = refused(lambda: nnqft.theory("langevin", drift=drift), "write")
    assert "shift" not in message


@pytest.mark.parametrize(
    ("name", "write"), [("relu6", "np.clip(h, 0, 6)"), ("hard_swish", "np.clip"), ("linear", "coefficients={1: 1.0}")]
)
def test_other_libraries_functions_are_not_taken_for_typing_errors(name, write):
    assert "did you mean" not in refused(lambda: nnqft.theory("taylor", activation=name), repr(name), write)


def test_unlike_names_are_not_suggested():
    assert "did you mean" not in refused(lambda: nnqft.theory("taylor", activation="softmax"), "softplus")
    assert nnqft.theory("taylor", activation="relu").parameters["activation"] == "relu"


# Values that are neither flags nor arrays nor names, though they look like them


AMBIGUOUS = {"array": np.array([1.0, 2.0]), "empty": np.array([]), "word": "no", "number": 2, "sNaN": Decimal("sNaN")}


@pytest.mark.parametrize("odd", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_flags_are_true_or_false(odd):
    from nnqft_plugins.networks.simulation import simulate

    refused(lambda: compute(progress=odd), "progress=", "wanted True or False")
    refused(lambda: nnqft.diagrams(THEORY, "two_point", order=1, irreducible=odd), "irreducible=", "True or False")
    refused(lambda: nnqft.dyson(THEORY, order=1, width_order=0, self_consistent=odd), "self_consistent=")
    refused(lambda: simulate(THEORY, networks=4, kernel=odd), "kernel=", "wanted True or False")


@pytest.mark.parametrize(
    "odd", [Decimal("sNaN"), Decimal("NaN"), Decimal("Infinity"), Fraction(10**400), "0.5"], ids=named
)
def test_numbers_that_are_none(odd):
    refused(lambda: compute(rtol=odd), "rtol=", "write for example rtol=1e-3")
    refused(lambda: compute(seed=odd), "seed=", "wanted a whole number")


def test_a_whole_number_of_too_many_digits_is_told_so():
    refused(lambda: compute(seed=10**400), "wanted a whole number below 1e308")
    refused(lambda: nnqft.diagrams(THEORY, "two_point", order=1e308), "sockets; lower order")


LAGS = [None, "", "0", 1j, [[1], [2, 3]], {}, 10**400, np.array(["a"]), nan, [None], garbage.Pretender()]


@pytest.mark.parametrize("odd", LAGS, ids=lambda v: repr(v)[:20])
def test_lags_of_functions(odd):
    from nnqft_plugins.networks.meanfield import solve
    from nnqft_plugins.networks.published import published

    talk, solution = published(THEORY, 5.0), solve(THEORY)
    closed = nnqft.compute(THEORY, "two_point", order=1).closed_form(1, 0)
    functions = [closed, talk.correlator, talk.spectrum, talk.transform, talk.infinite_width, talk.table, talk.to_data]
    for function in [*functions, solution.correlator]:
        refused(lambda function=function: function(odd), "wanted finite numbers, write for example")


@pytest.mark.parametrize("odd", ["", [], np.array([1.0, 2.0]), 1j, "two\nlines"], ids=named)
def test_parts_of_a_series(odd):
    result = nnqft.compute(THEORY, "two_point", order=4, width_order=0)
    series = result.series
    calls = [lambda v: result.count(1, v), series.coefficients, series.ratios, series.pade]
    calls += [lambda v, f=f: f(0, at=v) for f in (series.coefficients, series.ratios, series.singularity, series.pade)]
    calls += [lambda v: series.pade(0, coupling=v), lambda v: series.pade(0, denominator=v)]
    for call in calls:
        refused(lambda call=call: call(odd), "wanted a")
    refused(lambda: series.coefficients(0, at=1), "there are 1 times")
    assert series.pade(0, at=-1) == series.pade(0)


@pytest.mark.parametrize("odd", [True, "tanh", np.tanh, np.array([1.0, 2.0]), [[]]], ids=named)
def test_an_activation_that_is_none(odd):
    from nnqft_plugins.networks.meanfield import edge_of_chaos, solve
    from nnqft_plugins.networks.simulation import simulate

    theory = nnqft.theory("taylor", activation="tanh")
    for call in (solve, edge_of_chaos, simulate):
        refused(lambda call=call: call(theory, activation=odd), "wanted an Activation")


def test_a_grid_that_is_none():
    from nnqft_plugins.networks.meanfield import phase_diagram

    for values in ([1, [2, 3]], 1e308, [0.5, 1e12]):
        refused(
            lambda values=values: phase_diagram(nnqft.theory("taylor"), sigma_w=values, sigma_b=0.3),
            "sigma_w=",
            "wanted",
        )


class NoHash(str):
    """A text whose hash raises."""

    __slots__ = ()

    def __hash__(self) -> int:
        raise TypeError("no hash")


def test_names_without_a_hash():
    refused(lambda: nnqft.theory(NoHash("tow_point")), "unknown model")
    refused(lambda: nnqft.load("a\ud800b"), "wanted the path")


@pytest.mark.parametrize("value", ["x", None, 1j, nan, 10**400], ids=named)
def test_a_coupling_that_is_no_number(value):
    refused(lambda: dataclasses.replace(THEORY, couplings={"g": value}), "coupling 'g'=", "wanted a")


def test_what_is_no_collection_and_no_number_of_a_diagram():
    refused(lambda: dataclasses.replace(THEORY, propagators=np.array(1.0)), "wanted a tuple", kind=nnqft.TheoryError)
    for odd in (None, "x", 1.5, nan, [], np.array([])):
        refused(lambda odd=odd: nnqft.diagrams(THEORY, "two_point", order=1)[odd], "diagram=", "wanted a whole number")


ODD = [None, "x", 1.5, nan, 1j, [1, "a"], {"a": 1}, object(), np.zeros((2, 2)), b"x"]


@pytest.mark.parametrize("odd", ODD, ids=named)
def test_parts_of_what_was_computed(odd):
    """Each call says what it wanted, whatever it is given."""
    result = nnqft.compute(THEORY, "two_point", order=1, tau=[0.0, 1.0])
    found = nnqft.diagrams(THEORY, "two_point", order=1)
    calls = [found.subset, found.digest, lambda v: result.diagrams[v], THEORY.up_to, THEORY.coupling_value]
    calls += [lambda v: THEORY.coupling_value(((v, 2),)), result.total.merge, nnqft.Estimate.unknown]
    calls += [nnqft.Result.from_data, lambda v: nnqft.Result.from_data({**result.to_data(), "series": v})]
    calls += [nnqft.Derived.from_data, nnqft.Dyson.from_data]
    for call in calls:
        refused(lambda call=call: call(odd))
    if odd is not None:
        refused(lambda: result.plot(ax=odd), "ax=", "wanted Axes")
    if not isinstance(odd, float) or math.isnan(odd):
        refused(lambda: result.total.scaled(odd), "weight=", "wanted a")
        refused(lambda: nnqft.whole_number("n", 3, least=odd), "least=", "wanted a")


def test_numbers_and_lengths_that_do_not_fit():
    found = nnqft.diagrams(THEORY, "two_point", order=1)
    one, two = nnqft.Estimate.exact(np.ones(1)), nnqft.Estimate.exact(np.ones(2))
    refused(lambda: one.merge(two), "wanted an Estimate at 1 times, not 2")
    refused(lambda: found.subset([0, 99]), "wanted whole numbers below 4")
    refused(lambda: found.subset([True]), "4 times True or False")
    assert len(found.subset([])) == 0
    assert found.digest(-1) == found.digest(3)
    with pytest.raises(IndexError, match="diagram 4 of 4"):
        found.digest(4)
