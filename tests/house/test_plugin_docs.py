"""docs/plugins.md says what is true: its code runs, its signatures and messages are those of the program."""

from __future__ import annotations

import inspect
import re
import warnings
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import nnqft
from nnqft import Leg, Vertex, hookspecs
from nnqft.host import KINDS, Host, default_host

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/plugins.md").read_text(encoding="utf-8")
EXAMPLE = ROOT / "examples/third_party_plugin"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    """What the page's code defines, run from top to bottom."""
    names: dict[str, Any] = {"__name__": "page"}
    for number, block in enumerate(BLOCKS):
        exec(compile(block, f"docs/plugins.md, block {number + 1}", "exec"), names)
    return names


def plain(signature: inspect.Signature) -> str:
    """As it is written in a source file, without the quotes of postponed annotations."""
    return str(signature).replace("'", "")


@pytest.mark.parametrize("hook", [name for name, _ in inspect.getmembers(hookspecs) if name.startswith("nnqft_")])
def test_every_hook_is_documented_and_tested(hook):
    assert hook in KINDS
    signature = plain(inspect.signature(getattr(hookspecs, hook)))
    assert f"@hookimpl\ndef {hook}{signature}:\n" in PAGE
    elsewhere = [path for path in (ROOT / "tests").rglob("test_*.py") if path != Path(__file__)]
    assert any(hook in path.read_text(encoding="utf-8") for path in elsewhere)


@pytest.mark.parametrize(
    "interface",
    [
        nnqft.AbstractModel,
        nnqft.AbstractObservable,
        nnqft.AbstractDerivedObservable,
        nnqft.AbstractIntegrator,
        nnqft.AbstractSimulator,
        nnqft.AbstractExecutor,
    ],
    ids=lambda interface: interface.__name__,
)
def test_every_method_to_write_is_documented(interface):
    for name in interface.__abstractmethods__:
        _, *parameters = inspect.signature(getattr(interface, name)).parameters
        assert f"`{name}({', '.join(parameters)})`" in PAGE


@pytest.mark.parametrize("part", ["Parameter", "Field", "Propagator", "Term", "Leg", "Vertex", "Theory"])
def test_what_a_model_is_made_of_has_these_arguments(part):
    (listed,) = re.findall(rf"^\| `{part}\((.*?)\)` \|", PAGE, re.MULTILINE)
    names = [name.strip() for name in listed.split(",")]
    assert [name for name in inspect.signature(getattr(nnqft, part)).parameters if name in names] == names


def test_the_model_is_the_examples_and_short():
    text = (EXAMPLE / "nnqft_example_plugin/sine.py").read_text(encoding="utf-8")
    assert BLOCKS[0] == text
    statements = [line for line in text.splitlines() if line.strip() and not line.startswith(("from ", '"""'))]
    assert len(statements) <= 35
    assert (EXAMPLE / "pyproject.toml").read_text(encoding="utf-8").strip() in PAGE


def test_the_model_gives_the_right_diagrams(page):
    # One vertex of each pair: (1,1) gives 1 + 2 diagrams, (1,3) and (3,3) 2 + 6 each.
    assert page["diagrams"].counts == {(0, 0): 1, (1, 0): 1 + 2 + 2, (1, 1): 2 + 6 + 6}
    assert f"`{page['diagrams'].counts}`" in PAGE.replace("\n", " ")
    linear = nnqft.diagrams(nnqft.theory(page["Sine"](), degree=1), "two_point", order=3)
    assert [linear.counts[3, k] for k in range(4)] == [1, 12, 44, 48]
    twin = nnqft.theory("taylor", activation="sin", degree=3, sigma_w=0.5, N=100, expansion="bare")
    other = nnqft.compute(twin, "two_point", order=1, tau=[0.0, 1.0], rtol=1e-2)
    assert_allclose(page["result"].mean, other.mean, rtol=2e-2)


def test_the_integrator_the_executor_and_the_drawing_work(page):
    theory = nnqft.theory("linear", gamma=1.3, kappa=0.8, sigma_w=0.5)
    work = []
    for n, diagram in enumerate(found := nnqft.diagrams(theory, "two_point", order=1)):
        integral = nnqft.time_integral(diagram, theory, [[0.0, 0.0], [0.7, 0.0]])
        work.append(nnqft.Work(str(diagram), integral, page["Plain"](), diagram.weight, (n,), (n,)))
    seen: list[Any] = []
    outcome = page["patient"]().evaluate(work, nnqft.Target(neval=200_000), seen.append)
    mean = sum(piece.weight * estimate.mean for piece, estimate in zip(work, outcome.estimates, strict=True))
    known = nnqft.compute(theory, "two_point", order=1, tau=[0.0, 0.7], integrator="exact", rtol=1e-6).mean
    assert_allclose(mean, known, rtol=5e-3)
    assert len(seen) == len(work) == 4
    assert [page["draw_edges"](diagram).count(">") for diagram in found] == [0, 2, 2, 2]
    assert page["Kurtosis"]().legs(theory, 1) == (Leg("h", 0, "i"),) * 4


def test_the_simulator_works(page, monkeypatch):
    site = page["Site"]()
    monkeypatch.setitem(default_host().table("simulator"), "site", (site, "page"))
    theory = nnqft.theory("langevin", drift={1: 1.0, 3: 0.02})
    found = nnqft.check(theory, "two_point", order=3, samples=4000, step=0.02)
    assert found.agrees
    assert found.simulated[0].method == "euler"
    with pytest.raises(nnqft.InputError, match="it knows two_point at times"):
        nnqft.check(theory, "two_point", tau=[1.0])


def test_the_delay_has_the_density_it_claims(page):
    params = dict(page["line"].params)
    u = np.linspace(0.01, 0.99, 2000)
    for room in (np.inf, 3.0, 0.1):
        delay, density = page["delay"](u, room, params, np)
        assert ((delay > 0) & (delay < room)).all()
        assert_allclose(np.gradient(delay, u)[1:-1] * density[1:-1], 1.0, rtol=1e-2)
        assert (np.diff(delay) > 0).all()


def test_the_factor_of_a_vertex_switches_the_drift_on(page):
    free = nnqft.theory("langevin", start="rest", drift={1: 1.0, 3: 0.1})
    theory = replace(free, vertices=(page["vertex"],))
    ask = {"order": 1, "times": [(0.8, 0.8), (6.0, 6.0)], "neval": 20_000}
    always, late = (nnqft.compute(each, "two_point", **ask).contribution(1, 0).mean for each in (free, theory))
    assert abs(late[0]) < 0.05 * abs(always[0])
    assert_allclose(late[1], always[1], rtol=0.02)


# Messages


def skipped(plugin: object) -> str:
    """The warning about a plugin called ``stranger``."""
    point = SimpleNamespace(name="stranger", value="stranger", dist=None, load=lambda: plugin)
    if isinstance(plugin, Exception):
        point.load = lambda: (_ for _ in ()).throw(plugin)
    own = EntryPoint(name="nnqft", value="nnqft_plugins", group="nnqft")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Host.load([own, point])  # type: ignore[list-item]
    (warning,) = caught
    return str(warning.message)


def models(*returned: Any) -> SimpleNamespace:
    return SimpleNamespace(nnqft_models=nnqft.hookimpl(lambda: returned[0] if returned == (None,) else list(returned)))


LOADING = {
    "an import fails": ModuleNotFoundError("No module named 'not_there'"),
    "a hook's name is misspelt": SimpleNamespace(nnqft_model=nnqft.hookimpl(lambda: [])),
    "the decorator is missing": SimpleNamespace(nnqft_models=lambda: []),
    "the hook returns no list": models(None),
    "a name is taken": models(SimpleNamespace(name="linear")),
    "it is something else": models(SimpleNamespace(name="thing")),
}


def line(**value: Any) -> dict[str, Any]:
    return {"propagators": (nnqft.Propagator("L", "h", "h", **value),)}


def one_way(t, s, params, xp):
    return xp.where(t >= s, 2.0, 1.0) * xp.exp(-xp.abs(t - s))


def decay(t, s, params, xp):
    return xp.exp(-xp.abs(t - s))


LOOP = Leg("z", 0, "i"), Leg("h", 0, "j", 3)
RULES = {
    "a leg of no field": {"vertices": (Vertex("v", (Leg("z"), Leg("q")), -1.0),)},
    "a coefficient is NaN": {"vertices": (Vertex("v", (Leg("z"), Leg("h")), float("nan")),)},
    "a coupling is no parameter": {"vertices": (Vertex("v", (Leg("z"), Leg("h")), 1.0, (("g", 1),)),)},
    "an index without its 1/N": {"vertices": (Vertex("v", LOOP, 1.0),)},
    "nothing bounds a time": {"vertices": (Vertex("v", (Leg("h", power=4),), 1.0),)},
    "a line without a value": {"propagators": (nnqft.Propagator("L", "h", "h"),)},
    "a term that knows its start": line(terms=(nnqft.Term(1.0, 1.0, 2.0),)),
    "one side of a symmetric line": line(terms=(nnqft.Term(1.0, 1.0, left="later"),)),
    "a kernel that is not symmetric": line(kernel=one_way),
    "terms that are not the kernel": line(kernel=decay, terms=(nnqft.Term(2.0, 1.0),)),
}


def at_line_37() -> Any:
    """A function that raises in line 37 of a file of the name that the page gives."""
    names: dict[str, Any] = {"__name__": "power_law"}
    text = "\n" * 35 + "def raises(t, s, params, xp):\n    return params['amplitude'] * t\n"
    exec(compile(text, "power_law.py", "exec"), names)
    return names["raises"]


KERNELS = {
    "the function raises": at_line_37(),
    "its shape is wrong": lambda t, s, params, xp: xp.ones(3),
    "it is not finite": lambda t, s, params, xp: xp.nan * t,
    "it is complex": lambda t, s, params, xp: xp.exp(1j * t),
}


def documented(what: str) -> str:
    """The message that the page gives for it."""
    (message,) = re.findall(rf"^\| {re.escape(what)} \| `(.*)` \|$", PAGE, re.MULTILINE)
    return message


def test_every_message_of_the_page_is_provoked():
    rows = re.findall(r"^\| ([^|`]*) \| `.*` \|$", PAGE, re.MULTILINE)
    assert sorted(rows) == sorted([*LOADING, *RULES, *KERNELS])


@pytest.mark.parametrize("what", LOADING)
def test_messages_of_loading(what):
    assert documented(what) in skipped(LOADING[what])


@pytest.mark.parametrize("what", RULES)
def test_messages_of_rules(page, what):
    with pytest.raises(nnqft.TheoryError) as caught:
        nnqft.compute(replace(nnqft.theory(page["Sine"]()), **RULES[what]), "two_point", order=1, rtol=1e-2)
    assert documented(what) in str(caught.value)


@pytest.mark.parametrize("what", KERNELS)
def test_messages_of_functions(page, what):
    theory = nnqft.theory(page["Sine"]())
    _, response = theory.propagators
    theory = replace(theory, propagators=(nnqft.Propagator("C", "h", "h", kernel=KERNELS[what]), response))
    with pytest.raises(nnqft.IntegrationError) as caught:
        nnqft.compute(theory, "two_point", order=1, neval=10_000)
    assert documented(what) in str(caught.value)
    assert caught.value.result is not None
