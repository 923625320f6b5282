"""Identity: whatever numbers depend on is seen, the same is the same in every process, the rest is not kept."""

from __future__ import annotations

import ast
import ctypes
import itertools
import json
import os
import pickle
import random
import sqlite3
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import carriers
import msgpack
import numpy as np
import pytest
import scipy.stats
from carriers import CARRIERS, VALUES, carried, examples, kernel_of, leaf, run
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from pools import Gaussian, pieces, tasks_computed
from scipy.special import erf
from theories import bare_theory, with_kernel

import nnqft
from nnqft.host import default_host
from nnqft.identity.abstract import UnseenError
from nnqft.identity.walk import Walk
from nnqft_plugins.integrators.vegas import VegasIntegrator
from nnqft_workers.fingerprint import Fingerprints
from nnqft_workers.local import LocalPool
from nnqft_workers.scheduler import schedule
from nnqft_workers.tasks import Chunk

CHAINS = st.lists(st.sampled_from(sorted(CARRIERS)), min_size=1, max_size=4)
DISTRIBUTION = scipy.stats.gamma(2.0)
LINEAR = nnqft.theory("linear", N=3, sigma_w=0.6)


def seen(thing: Any, *, integrator: bool = False) -> bytes:
    return Walk(integrator).digest(thing)


def with_line(kernel: Callable[..., Any], name: str = "C", **more: Any) -> nnqft.Theory:
    lines = (replace(p, terms=(), kernel=kernel, **more) if p.name == name else p for p in LINEAR.propagators)
    return replace(LINEAR, propagators=tuple(lines))


def compute(theory: nnqft.Theory, path: Path | None, **more: Any) -> nnqft.Result:
    wanted: dict[str, Any] = {"order": 1, "tau": [0.7], "integrator": "vegas", "neval": 6_000, "seed": 3} | more
    return nnqft.compute(theory, "two_point", ledger=path, **wanted)


def keys(path: Path) -> set[bytes]:
    if not path.exists():
        return set()
    connection = sqlite3.connect(path)
    try:
        return {key for (key,) in connection.execute("SELECT key FROM records")}
    finally:
        connection.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.ledger"


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every task that is really computed."""
    return tasks_computed(monkeypatch)


# What is seen


@given(CHAINS, st.floats(0.5, 2.0), st.floats(0.5, 2.0))
def test_a_number_is_seen_at_the_end_of_any_chain(chain, one, two):
    assert carried(chain, two)() == two  # so that the number does depend on it
    first = seen(carried(chain, one))
    assert first == seen(carried(chain, one))
    assert (first == seen(carried(chain, two))) == (one.hex() == two.hex())


@pytest.mark.parametrize("name", CARRIERS)
def test_every_carrier(name):
    assert seen(carried([name], 1.5)) == seen(carried([name], 1.5)) != seen(carried([name], 2.5))


@pytest.mark.parametrize("name", VALUES)
def test_every_type_of_value(name):
    one, same, other = (seen(leaf(VALUES[name](value))) for value in (1.5, 1.5, 2.5))
    assert one == same != other


def test_the_same_in_every_process():
    """Addresses and the order of sets differ from process to process."""
    here = {name: seen(each).hex() for name, each in examples().items()}
    path = os.pathsep.join([str(Path(carriers.__file__).parent), os.environ.get("PYTHONPATH", "")])
    code = "import json, carriers; from nnqft.identity.walk import Walk\n"
    code += "print(json.dumps({name: Walk().digest(each).hex() for name, each in carriers.examples().items()}))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "77", "PYTHONPATH": path}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout) == here


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("return 0.0", "return -0.0"),
        ("return 1", "return 1.0"),
        ("return 1", "return True"),
        ("return t + s", "return t - s"),
        ("return t in {'a', 'b'}", "return t in {'a', 'c'}"),
        ("return [x * 2 for x in t]", "return [x * 3 for x in t]"),
        ("return (lambda: lambda: 1)()()", "return (lambda: lambda: 2)()()"),
        ("try:\n  return t\n except KeyError:\n  return s", "try:\n  return t\n except IndexError:\n  return s"),
        ("return t.real", "return t.imag"),
        ("return max(t, s)", "return min(t, s)"),
    ],
)
def test_code(one, two):
    def made(body: str, head: str = "") -> Any:
        return run(f"{head}def k(t, s):\n {body}\n")["k"]

    assert seen(made(one)) == seen(made(one, "\n\n# another line\n")) != seen(made(two))


def test_aliases_of_equal_constants_are_no_part_of_it():
    pair = tuple([1.5, 2.5])  # noqa: C409 - not a constant
    assert seen((pair, pair)) == seen((tuple([1.5, 2.5]), tuple([1.5, 2.5])))  # noqa: C409


def test_globals_are_looked_at_each_time():
    names = run("def helper(): return scale\ndef k(): return helper()\n", scale=1.0)
    before = seen(names["k"])
    names["scale"] = 2.0
    assert seen(names["k"]) != before
    names["scale"] = 1.0
    assert seen(names["k"]) == before
    names["helper"] = lambda: 3.0
    assert seen(names["k"]) != before


def test_what_travels_stays_the_same():
    """Pickle writes on classes."""
    one = carriers.Slotted(float)
    before = seen(one)
    pickle.dumps(one)
    assert seen(one) == before


def test_imports_inside_a_function(monkeypatch):
    module = ModuleType("imported_late")
    monkeypatch.setitem(sys.modules, "imported_late", module)
    for source in ("import imported_late as m\n return m.scale", "from imported_late import scale\n return scale"):
        kernel = run(f"def k():\n {source}\n")["k"]
        module.scale = 1.0
        before = seen(kernel)
        module.scale = 2.0
        assert seen(kernel) != before


def test_a_class_inside_a_function():
    source = "def k():\n class Inside:\n  x: float = {}\n return Inside().x\n"
    one, two = (run(source.format(value))["k"] for value in (1.5, 2.5))
    assert seen(one) != seen(two)


def test_a_module_with_a_name_of_python_s(monkeypatch, tmp_path):
    """Somebody's own numbers.py is no library."""
    (tmp_path / "numbers.py").write_text("scale = 1.5\ndef value(): return scale\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "numbers")
    import numbers

    kernel = run("def k(): return numbers.value()", numbers=numbers)["k"]
    before = seen(kernel)
    numbers.scale = 2.5
    assert seen(kernel) != before


EXAMPLE = Path(__file__).parents[2] / "examples/third_party_plugin/nnqft_example_plugin"


class Unannotated(ast.NodeTransformer):
    """Annotations compute nothing."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node


def edits(source: str) -> Iterator[tuple[str, ast.Module]]:
    """The source with one number or operator changed at a time."""
    tree = Unannotated().visit(ast.parse(source))
    for node in list(ast.walk(tree)):
        before = vars(node).copy()
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            node.value = not node.value if isinstance(node.value, bool) else node.value + 1
        elif isinstance(node, ast.BinOp):
            node.op = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
        elif isinstance(node, ast.Compare):
            node.ops = [ast.NotEq() if isinstance(node.ops[0], ast.Eq) else ast.Eq(), *node.ops[1:]]
        else:
            continue
        yield f"line {node.lineno}, {node.col_offset}: {type(node).__name__}", ast.fix_missing_locations(tree)
        vars(node).update(before)


def test_any_edit_of_an_integrator(monkeypatch):
    """Each number and each operator in the example's file."""

    def integrator(tree: ast.Module) -> Any:
        module = ModuleType("edited")
        monkeypatch.setitem(sys.modules, "edited", module)
        exec(compile(tree, "edited.py", "exec"), vars(module))
        return module.QmcIntegrator()

    source = (EXAMPLE / "qmc.py").read_text()
    before = seen(integrator(ast.parse(source)), integrator=True)
    assert seen(integrator(ast.parse("\n# more\n" + source)), integrator=True) == before
    found = {where: seen(integrator(tree), integrator=True) for where, tree in edits(source)}
    assert len(found) > 30
    assert [where for where, digest in found.items() if digest == before] == []


def test_padding_is_no_value():
    aligned = np.dtype([("n", "i1"), ("x", "f8")], align=True)
    one, two = (np.frombuffer(fill * 16, dtype=aligned).copy() for fill in (b"\0", b"\7"))
    two["n"], two["x"] = one["n"], one["x"]
    assert one.tobytes() != two.tobytes()
    assert seen(one) == seen(two)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: erf(x) + np.exp(x) * np.linalg.norm(x) + np.sum(x),
        lambda x: isinstance(x, int | float) and sys.float_info.eps + np.finfo(float).tiny,
        lambda x, d=Decimal("1.5"): float(d) * len(sorted(x)),
        lambda x, d=DISTRIBUTION: d.pdf(x) + scipy.stats.norm.cdf(x),
        lambda x: warnings.warn("odd", stacklevel=2) or scipy.special.logsumexp(x),
        [1.5].index,
        np.exp,
        "text".join,
    ],
)
def test_libraries_are_seen(function):
    assert seen(function) == seen(function)


def test_long_chains_and_many_objects():
    function = leaf(1.5)
    for _ in range(3000):
        function = carriers.by_cell(function)
    seen(function)
    with pytest.raises(UnseenError, match="an array would be one"):
        seen(list(map(float, range(200_000))))
    assert seen(np.arange(200_000.0)) != seen(np.arange(200_000.0) + 1e-12)


# What is not


def counting() -> Callable[[], int]:
    n = 0

    def call() -> int:
        nonlocal n
        n += 1
        return n

    return call


def generator() -> Iterator[int]:
    yield 1


BAD: dict[str, tuple[Any, str]] = {
    "generator of random numbers": (leaf(np.random.default_rng(3)), "Generator, whose state"),
    "method of one": (np.random.default_rng(3).normal, "Generator"),
    "global random numbers": (lambda: random.random(), "random.Random, whose state"),
    "numpy's global random numbers": (lambda: np.random.random(), "numpy.random"),  # noqa: NPY002
    "a class of its own": (leaf(type("Mine", (random.Random,), {})(3)), "Mine, whose state"),
    "variable of the function around": (counting(), "assigns 'n'"),
    "global variable": (run("def k():\n global n\n n = 1\n")["k"], "assigns 'n'"),
    "attribute of a global": (run("def k():\n m.n = 1\n", m=ModuleType("m"))["k"], "assigns 'm.n'"),
    "started generator": (leaf(generator()), "generator, whose state"),
    "iterator": (leaf(iter([1])), "list_iterator"),
    "counter": (leaf(itertools.count()), "count, whose state"),
    "lock": (leaf(threading.Lock()), "lock, whose state"),
    "thread": (leaf(threading.local()), "_local"),
    "open file": (run("def k(): return f.read()", f=sys.__stdin__)["k"], "TextIOWrapper"),
    "opens a file": (lambda: open("numbers"), "open"),  # noqa: SIM115
    "path": (leaf(Path("numbers")), "pathlib"),
    "loads a file": (lambda: np.load("numbers.npy"), "numpy.load"),
    "environment": (lambda: os.environ["X"], "os._Environ"),
    "imported environment": (run("def k():\n import os\n return os.environ\n")["k"], "os"),
    "time": (lambda: time.time(), "time.time"),
    "ctypes": (leaf(ctypes.CDLL(None).abs), "_FuncPtr"),
    "number of ctypes": (leaf(ctypes.c_double(1.5)), "c_double"),
    "ufunc of its own": (leaf(np.frompyfunc(leaf(1.5), 0, 1)), "ufunc"),
    "evaluates text": (lambda: eval("1"), "eval"),
    "all globals": (lambda: globals()["n"], "globals"),
    "the host": (lambda: default_host(), "nnqft.host.default_host"),
    "context of decimals": (lambda: Decimal(1) / 3, "decimal.Decimal"),
    "globals of a function": (lambda: seen.__globals__["n"], "__globals__"),
    "compiled code of a stranger": (leaf(msgpack.packb), "cannot be seen"),
    "a module that is not there": (run("def k():\n import no_such_module\n")["k"], "no_such_module"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_seen(name):
    thing, said = BAD[name]
    for integrator in (False, True):
        with pytest.raises(UnseenError, match=said) as caught:
            seen(leaf(thing), integrator=integrator)
        assert "\n" not in str(caught.value)


def test_integrators_may_ask_for_clocks_and_random_numbers():
    for function in (lambda: time.process_time(), lambda: np.random.default_rng(1).random()):
        seen(function, integrator=True)
        with pytest.raises(UnseenError):
            seen(function)


def test_bundled_integrators_are_seen():
    prints = Fingerprints()
    found = [prints.integrator(each) for each in default_host().integrators()]
    assert None not in found
    assert len(set(found)) == len(found)
    assert prints.notes == ()


# Through a ledger


class M:
    def __init__(self, scale: float) -> None:
        self.scale = scale

    def k(self, t: Any, s: Any, params: Any, xp: Any) -> Any:
        return self.scale * xp.exp(-xp.abs(t - s))


def test_methods_of_two_instances(path):
    ask = {"tau": [0.0], "neval": 200_000}
    one, two = (compute(with_line(M(scale).k), path, **ask) for scale in (1.0, 2.0))
    assert_allclose([*one.mean, *two.mean], [1.24, 2.48], rtol=3e-4)
    assert one.notes == two.notes == ()


def test_the_cells_of_two_closures(path):
    one, two = (compute(with_line(kernel_of(leaf(scale))), path) for scale in (1.0, 2.0))
    assert_allclose(two.mean, 2.0 * one.mean, rtol=1e-12)


def in_the_line(get: Callable[[], float]) -> nnqft.Theory:
    return with_line(kernel_of(get))


def in_a_parameter(get: Callable[[], float]) -> nnqft.Theory:
    return with_line(lambda t, s, p, xp: p["amplitude"]() * xp.exp(-xp.abs(t - s)), params=(("amplitude", get),))


def in_a_delay(get: Callable[[], float]) -> nnqft.Theory:
    def delay(u: Any, room: Any, params: Any, xp: Any) -> Any:
        rate = get()
        lag = -xp.log1p(-u) / rate
        return lag, rate * xp.exp(-rate * lag)

    return with_line(lambda t, s, p, xp: xp.exp(s - t), "G", delay=delay)


def in_a_vertex(get: Callable[[], float]) -> nnqft.Theory:
    theory = with_kernel()
    (vertex,) = theory.vertices
    return replace(theory, vertices=(replace(vertex, kernel=lambda times, p, xp: get() * xp.exp(times[0])),))


PLACES = [in_the_line, in_a_parameter, in_a_delay, in_a_vertex]


@settings(max_examples=12)
@given(st.sampled_from(PLACES), CHAINS, st.sampled_from([0.75, 1.25]))
def test_no_chunk_of_another_theory_is_shared(tmp_path_factory, place, chain, value):
    path = tmp_path_factory.mktemp("ledger") / "run.ledger"
    compute(place(carried(chain, 1.0)), path, neval=3_072)
    before = keys(path)
    theory = place(carried(chain, value))
    assert_array_equal(compute(theory, path, neval=3_072).mean, compute(theory, None, neval=3_072).mean)
    assert len(before) < len(keys(path)) <= 2 * len(before)


class Legs(nnqft.AbstractObservable):
    name, arity, connected = "edited", 1, True

    def __init__(self, indices: str) -> None:
        self.indices = indices

    def legs(self, theory: nnqft.Theory, arity: int) -> tuple[nnqft.Leg, ...]:
        return tuple(nnqft.Leg("h", 0, index) for index in self.indices)


def test_no_chunk_of_another_observable_is_shared(path, tasks, monkeypatch):
    ask = {"order": 1, "times": [[0.5]], "integrator": "vegas", "neval": 12_000}

    def chunks(**more: Any) -> int:
        del tasks[:]
        nnqft.compute(LINEAR, "edited", **ask, **more)
        return sum(isinstance(task, Chunk) for task in tasks)

    for indices in ("ii", "iiii", "iijj"):
        monkeypatch.setitem(default_host().table("observable"), "edited", (Legs(indices), "tests"))
        assert chunks(ledger=path) == chunks() > 0
        assert chunks(ledger=path) == 0


@dataclass(frozen=True)
class Told(Gaussian):
    """An integrator whose mean is what a function says."""

    get: Callable[[], float] = float
    name = "told"

    def sample(self, integral: Any, state: Any, neval: int, seed: Any) -> nnqft.Estimate:
        return nnqft.Estimate.of_chunk(neval, np.array([self.get()]), np.array([[1.0 / neval]]))


def integrate(integrator: nnqft.AbstractIntegrator, path: Path) -> nnqft.Outcome:
    target = nnqft.Target(neval=5_000, keep=nnqft.Keep(str(path), "{}"))
    return schedule(pieces([integrator]), target, LocalPool(), lambda state: None)


@settings(max_examples=12)
@given(CHAINS)
def test_no_chunk_of_another_integrator_is_shared(tmp_path_factory, chain):
    path = tmp_path_factory.mktemp("ledger") / "run.ledger"
    for value in (0.62, 0.74, 0.62):
        outcome = integrate(Told(get=carried(chain, value)), path)
        assert outcome.estimates[0].mean == pytest.approx([value])
        assert outcome.notes == ()


def variants() -> dict[str, Callable[[], nnqft.AbstractIntegrator]]:
    def made(value: float = 0.62, mean: float = 1.0, **attributes: Any) -> nnqft.AbstractIntegrator:
        def sample(self: Any, integral: Any, state: Any, neval: int, seed: Any) -> nnqft.Estimate:
            mean = np.array([value * self.mean * self.factor])
            return nnqft.Estimate.of_chunk(neval, mean, np.array([[1.0 / neval]]))

        return type("Edited", (Gaussian,), {"factor": 1.0, "sample": sample, **attributes})(mean)

    return {
        "as it was": made,
        "code": lambda: made(0.74),
        "class attribute": lambda: made(factor=1.1),
        "constructor": lambda: made(mean=1.2),
        "how it prepares": lambda: made(prepare=lambda self, integral, seed: np.zeros(1)),
    }


def test_an_edited_integrator(path):
    count, means = 0, []
    for make in variants().values():
        means.append(float(integrate(make(), path).estimates[0].mean[0]))
        assert len(keys(path)) > count
        count = len(keys(path))
    assert_allclose(means, [0.62, 0.74, 0.682, 0.744, 0.62])
    for make in variants().values():
        integrate(make(), path)
    assert len(keys(path)) == count


def test_settings_of_a_bundled_integrator():
    same, other = VegasIntegrator(), VegasIntegrator(iterations=4)
    prints = Fingerprints()
    assert prints.integrator(VegasIntegrator()) == prints.integrator(same) != prints.integrator(other)


def test_a_base_class_that_is_bundled(monkeypatch):
    class Mine(VegasIntegrator):
        name = "mine"

    before = Fingerprints().integrator(Mine())
    assert before == Fingerprints().integrator(Mine())
    monkeypatch.setattr("nnqft_plugins.integrators.vegas._TRAINING_TIMES", 3)
    assert Fingerprints().integrator(Mine()) != before


def test_an_integrator_that_looks_at_the_theory(path):
    """An integral is the same for all widths; who asks for the width itself gets the right one."""

    class Width(Gaussian):
        name = "width"

        def sample(self, integral: Any, state: Any, neval: int, seed: Any) -> nnqft.Estimate:
            mean = np.array([float(integral.theory.parameters["N"])])
            return nnqft.Estimate.of_chunk(neval, mean, np.array([[1.0 / neval]]))

    keep = nnqft.Keep(str(path), "{}")
    for n in (3, 7):
        (work,) = pieces([Width()])
        work = replace(work, integral=replace(work.integral, theory=bare_theory("linear", N=n)))
        outcome = schedule([work], nnqft.Target(neval=5_000, keep=keep), LocalPool(), lambda state: None)
        assert outcome.estimates[0].mean == pytest.approx([n])
        assert not outcome.notes


@pytest.mark.parametrize("executor", ["local", "processes"])
def test_what_cannot_be_seen_is_not_kept_and_the_result_says_so(path, tasks, executor):
    theory = with_line(timed)
    more = {"executor": executor} | ({"workers": 1} if executor == "processes" else {})
    first = compute(theory, path, **more)
    (note,) = first.notes
    assert note.startswith("not kept in the ledger: what depends on the kernel of propagator 'C' of model 'linear'; it")
    assert "time.time" in note
    assert "\n" not in note
    assert f"note: {note}" in " ".join(str(first).split())
    held = keys(path)
    computed = len(tasks)
    again = compute(theory, path, **more)
    assert_array_equal(again.mean, first.mean)
    assert again.notes == first.notes
    assert keys(path) == held
    assert len(tasks) == 2 * computed
    assert (computed > 0) == (executor == "local")
    assert compute(theory, None, **more).notes == ()


def timed(t: Any, s: Any, params: Any, xp: Any) -> Any:
    return xp.exp(-xp.abs(t - s)) * (time.time() > 0)


def test_an_integrator_that_cannot_be_seen(path):
    integrator = Told(get=lambda: 1.0 + 0.0 * time.time())
    for _ in range(2):
        outcome = integrate(integrator, path)
        (note,) = outcome.notes
        assert note.startswith("not kept in the ledger: what depends on the integrator 'told' (")
        assert "time.time" in note
        assert keys(path) == set()


# A plugin in a distribution of its own, edited in place

PLUGIN = """
import numpy as np
from nnqft import AbstractIntegrator, Estimate, hookimpl
from edited_plugin.helper import value

class Edited(AbstractIntegrator):
    name = "edited"

    def supports(self, integral):
        return True

    def prepare(self, integral, seed):
        return None

    def sample(self, integral, state, neval, seed):
        mean = np.full(len(integral.times), value())
        return Estimate.of_chunk(neval, mean, np.eye(len(mean)) / neval)

@hookimpl
def nnqft_integrators():
    return [Edited()]
"""
RUN = """
import sys, nnqft, sqlite3
theory = nnqft.theory("linear", N=3, sigma_w=0.6)
result = nnqft.compute(theory, "two_point", order=0, tau=[0.7], integrator="edited", neval=3000, ledger=sys.argv[1])
print(result.mean[0], sqlite3.connect(sys.argv[1]).execute("SELECT count(*) FROM records").fetchone()[0], *result.notes)
"""


class Installed:
    """The plugin in a folder, as an editable installation puts it on the path."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.package = folder, folder / "edited_plugin"
        about = folder / "edited_plugin-1.0.dist-info"
        for each in (self.package, about):
            each.mkdir(parents=True)
        (self.package / "__init__.py").write_text(PLUGIN)
        self.write("def value(): return 0.62\n")
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: edited-plugin\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text("[nnqft]\nedited = edited_plugin\n")

    def write(self, source: str) -> None:
        (self.package / "helper.py").write_text(source)

    def compute(self, path: Path) -> tuple[float, int]:
        """What a fresh process finds, and how many records there are then."""
        before = os.environ.get("PYTHONPATH")
        paths = os.pathsep.join([str(self.folder)] + ([before] if before else []))
        environment = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [sys.executable, "-c", RUN, path], env=environment, capture_output=True, text=True, check=True
        )  # fmt: skip
        mean, records = done.stdout.split()
        return float(mean), int(records)


def test_an_edited_plugin(path, tmp_path):
    plugin = Installed(tmp_path / "site")
    first = plugin.compute(path)
    assert first[0] == pytest.approx(0.62)
    assert plugin.compute(path) == first  # found again by another process
    plugin.write("def value(): return 0.74\n")
    second = plugin.compute(path)
    assert second[0] == pytest.approx(0.74)
    assert second[1] == 2 * first[1]


def test_files_and_version_of_a_plugin(tmp_path, monkeypatch):
    plugin = Installed(tmp_path / "site")
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.delitem(sys.modules, "edited_plugin", raising=False)
    monkeypatch.delitem(sys.modules, "edited_plugin.helper", raising=False)
    import edited_plugin

    integrator = edited_plugin.Edited()
    found = [Fingerprints().integrator(integrator)]
    for name, text in (("unused.py", "x = 1\n"), ("unused.py", "x = 2\n"), ("helper.py", "def value(): return 1.0\n")):
        (plugin.package / name).write_text(text)
        found.append(Fingerprints().integrator(integrator))
    about = tmp_path / "site/edited_plugin-1.0.dist-info/METADATA"
    about.write_text(about.read_text().replace("Version: 1.0", "Version: 1.1"))
    found.append(Fingerprints().integrator(integrator))
    assert None not in found
    assert len(set(found)) == len(found)
    (plugin.package / "run.ledger").write_bytes(b"no source")
    assert Fingerprints().integrator(integrator) == found[-1]
