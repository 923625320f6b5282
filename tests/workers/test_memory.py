"""Workers compute with what the caller has in memory, whatever has become of it since it was imported."""

from __future__ import annotations

import functools
import importlib
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nnqft
from nnqft.host import open_executor
from nnqft.identity import libraries
from nnqft.identity.parts import codes_in
from nnqft_workers.letters import Post, answer
from nnqft_workers.pool import Parcel

LINEAR = nnqft.theory("linear", N=3, sigma_w=0.6)

SOURCES = {
    "inner": "SCALE = 1.0\ndef scaled(x): return SCALE * x\n",
    "things": '''
import functools, threading, time
import numpy as np
import nnqft
from memory_package import inner
from memory_package.inner import scaled as scaled_by_inner

LOCK = threading.Lock()
BORN = time.time()
RANDOM = np.random.default_rng()
SCALE = 1.0
TABLE = {"a": [1.0, np.arange(3.0)]}
def by_global(x): return SCALE * x
def by_helper(x): return by_global(x)
def by_default(x, factor=1.0): return factor * x
def by_table(x): return TABLE["a"][0] * x + TABLE["a"][1][2]
def by_module(x): return inner.SCALE * x
def by_other_module(x): return scaled_by_inner(x)
def by_late_import(x):
    from memory_package import inner as late
    return late.SCALE * x
def by_library(x): return float(np.tanh(x)) + np.pi
def made(factor): return lambda x: factor * x
by_cell = made(1.0)

@functools.lru_cache
def by_cache(x): return SCALE * x

class Base:
    factor = 1.0
    def __call__(self, x): return self.factor * x
    @property
    def bias(self): return 0.0
    def with_bias(self, x): return x + self.bias

class Derived(Base):
    def __init__(self): self.state = 1.0
    def with_state(self, x): return self.state * super().__call__(x)

DERIVED = Derived()
def by_instance(x): return DERIVED.with_state(x)
def by_class(x): return Derived()(x)
def by_property(x): return Derived().with_bias(x)

class Told(nnqft.AbstractIntegrator):
    name = "told"
    value = 1.0
    def supports(self, integral): return True
    def prepare(self, integral, seed): return Derived()
    def sample(self, integral, state, neval, seed):
        mean = np.full(len(integral.times), self.value * state.with_state(1.0))
        return nnqft.Estimate.of_chunk(neval, mean, np.eye(len(mean)) / neval)

def kernel(t, s, params, xp): return SCALE * xp.exp(-xp.abs(t - s))
''',
}  # fmt: skip


def set_item(things: ModuleType, value: float) -> None:
    things.TABLE["a"][0] = value


def set_array(things: ModuleType, value: float) -> None:
    things.TABLE["a"][1][2] = value


def delete(things: ModuleType, value: float) -> None:
    things.Base.factor = value
    if "factor" in vars(things.Derived):
        del things.Derived.factor


CHANGES: dict[str, Callable[[ModuleType, float], None]] = {
    "global": lambda things, value: setattr(things, "SCALE", value),
    "function": lambda things, value: setattr(things, "by_global", lambda x: value * x),
    "code": lambda things, value: setattr(things.by_default, "__code__", (lambda x, factor=1.0: x + 1.5).__code__),
    "default": lambda things, value: setattr(things.by_default, "__defaults__", (value,)),
    "item": set_item,
    "array": set_array,
    "cell": lambda things, value: setattr(things.by_cell.__closure__[0], "cell_contents", value),
    "other module": lambda things, value: setattr(things.inner, "SCALE", value),
    "class attribute": lambda things, value: setattr(things.Base, "factor", value),
    "attribute of the derived class": lambda things, value: setattr(things.Derived, "factor", value),
    "no attribute of the derived class": delete,
    "method": lambda things, value: setattr(things.Base, "__call__", lambda self, x: value + x),
    "property": lambda things, value: setattr(things.Base, "bias", property(lambda self: value)),
    "instance": lambda things, value: setattr(things.DERIVED, "state", value),
}
CALLS = [
    "by_global", "by_helper", "by_default", "by_table", "by_module", "by_other_module", "by_late_import",
    "by_library", "by_cell", "by_cache", "by_instance", "by_class", "by_property",
]  # fmt: skip


class Modules:
    """A package in a folder, imported anew for each test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "memory_package"
        self.folder.mkdir(exist_ok=True)
        (self.folder / "__init__.py").touch()
        self.write()

    def write(self, **more: str) -> None:
        for name, source in (SOURCES | more).items():
            (self.folder / f"{name}.py").write_text(source)

    def fresh(self) -> ModuleType:
        self.forget()
        importlib.invalidate_caches()
        return importlib.import_module("memory_package.things")

    @staticmethod
    def forget() -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] == "memory_package"]:
            del sys.modules[name]


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Modules]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", True)
        folder = tmp_path_factory.mktemp("modules")
        patch.syspath_prepend(folder)
        yield Modules(folder)
        Modules.forget()


@pytest.fixture
def things(modules: Modules) -> Iterator[ModuleType]:
    modules.write()
    yield modules.fresh()
    modules.write()


@pytest.fixture(scope="module", params=["processes", "ray"])
def executor(request: pytest.FixtureRequest, modules: Modules) -> Iterator[nnqft.AbstractExecutor]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.setenv("PYTHONDONTWRITEBYTECODE", "1")
        opened = open_executor(request.param, 1)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def processes(modules: Modules) -> Iterator[nnqft.AbstractExecutor]:
    opened = open_executor("processes", 1)
    yield opened
    opened.close()


def called(things: ModuleType, executor: nnqft.AbstractExecutor) -> list[float]:
    return next(iter(executor.map(functools.partial(call, [getattr(things, name) for name in CALLS]), [2.0])))


def call(functions: list[Callable[[float], float]], x: float) -> list[float]:
    return [function(x) for function in functions]


def expected(things: ModuleType) -> list[float]:
    return call([getattr(things, name) for name in CALLS if name != "by_cache"], 2.0)


def compared(things: ModuleType, executor: nnqft.AbstractExecutor) -> None:
    found = called(things, executor)
    cached = found.pop(CALLS.index("by_cache"))
    assert found == expected(things)
    assert cached == things.SCALE * 2.0


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_in_memory_reaches_workers(name, things, executor):
    for value in (2.5, 3.5):
        before = expected(things)
        CHANGES[name](things, value)
        assert expected(things) != before or (name, value) == ("code", 3.5)
        executor.pool._post = Post()  # which has heard of no change yet
        compared(things, executor)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(sorted(CHANGES)), st.floats(0.5, 2.0)), min_size=1, max_size=5))
def test_changes_one_after_the_other(modules, processes, changes):
    things = modules.fresh()
    for name, value in changes:
        CHANGES[name](things, value)
        compared(things, processes)


def test_a_module_that_was_edited(modules, things, executor):
    """Before it is loaded again the caller's is the old one, whatever workers find."""
    compared(things, executor)
    modules.write(inner=SOURCES["inner"].replace("1.0", "4.0"))
    compared(things, executor)
    importlib.reload(things.inner)
    assert things.inner.SCALE == 4.0
    compared(things, executor)


def test_what_is_not_changed_goes_by_name(things, processes):
    """Even if it is born with a time, has a lock and draws random numbers."""
    post = Post()
    letter = post.write(Parcel(0, things.by_global, [2.0]))
    assert b"memory_package" in letter
    assert len(letter) < 500
    assert post.read(answer(letter), 1) == [2.0]


def test_what_is_too_large_to_be_compared(modules, things, processes):
    things.SCALE = [0.0] * 150_000
    things.SCALE[-1] = 2.0
    exec("def by_last(x): return SCALE[-1] * x", vars(things))
    assert list(processes.map(things.by_last, [2.0])) == [4.0]


@pytest.mark.parametrize("name", ["by_helper", "by_global", "by_other_module", "Derived"])
def test_of_a_large_package_the_module_is_compared(things, monkeypatch, name):
    before = codes_in(things, getattr(things, name))
    things.BORN, things.TABLE["a"] = 0.0, 1  # what may change by itself
    assert codes_in(things, getattr(things, name)) == before
    if name == "by_global":
        things.SCALE = 2.0
    elif name == "by_other_module":
        things.scaled_by_inner = things.by_default
    else:
        exec("def by_global(x): return 2.0 * x", vars(things))
    assert codes_in(things, getattr(things, name)) != before


def test_a_changed_function_of_a_large_package_is_refused(things, processes, monkeypatch):
    monkeypatch.setattr(libraries, "is_installed", lambda module: module.startswith("memory_package"))
    monkeypatch.setattr(libraries, "_MANY", 0)
    post = Post()
    letter = post.write(Parcel(0, things.by_helper, [2.0]))
    assert b"large" in letter
    assert post.read(answer(letter), 1) == [2.0]
    post.forget()
    letter = post.write(Parcel(0, things.by_helper, [2.0]))
    exec("def by_global(x): return 2.0 * x", vars(things))  # as if it were the worker's
    assert post.read(answer(letter), 1) is None


@pytest.mark.parametrize(("name", "value"), [("tanh", lambda x: 5.0), ("pi", 3.0)])
def test_what_was_changed_in_a_library_is_refused(things, processes, monkeypatch, name, value):
    assert list(processes.map(things.by_library, [2.0])) == [things.by_library(2.0)]
    monkeypatch.setattr(np, name, value)
    with pytest.raises(
        nnqft.ExecutorError, match=f"^numpy.{name} is not in the workers what it is .* executor='local'$"
    ):
        list(processes.map(things.by_library, [2.0]))


def theory(kernel: Callable[..., Any]) -> nnqft.Theory:
    lines = (replace(p, terms=(), kernel=kernel) if p.name == "C" else p for p in LINEAR.propagators)
    return replace(LINEAR, propagators=tuple(lines))


def test_kernels_in_one_ledger(things, executor, tmp_path):
    found = []
    for things.SCALE in (1.0, 2.0):
        for where in (executor, "local"):
            result = nnqft.compute(
                theory(things.kernel), "two_point", order=1, tau=[0.0], integrator="vegas", neval=4000, seed=3,
                executor=where, ledger=tmp_path / "run.ledger",
            )  # fmt: skip
            found.append(result.mean[0])
    assert found == [found[0], found[0], found[2], found[2]]
    assert found[2] == pytest.approx(2.0 * found[0], rel=1e-12)


def test_integrators_and_what_they_learn(things, executor):
    integral = nnqft.diagrams(LINEAR, "two_point", order=0)[0]
    integral = nnqft.time_integral(integral, LINEAR, np.array([[0.0, 0.0]]))
    integrator = things.Told()
    for things.Told.value in (1.0, 2.0):
        for things.Base.factor in (1.0, 3.0):
            work = [nnqft.Work("work", integral, integrator, 1.0, (0,), (0,))]
            (estimate,) = executor.evaluate(work, nnqft.Target(neval=1024), lambda state: None).estimates
            assert estimate.mean == [things.Told.value * things.Base.factor]


def test_what_can_go_neither_way_is_one_line(things, processes):
    def locked(x: float) -> float:
        with things.LOCK:
            return things.SCALE * x

    things.SCALE = 2.0
    with pytest.raises(AttributeError, match=r"memory_package\.things\.LOCK could not be sent"):
        list(processes.map(locked, [1.0]))
    things.by_global = locked_by_global(things)
    with pytest.raises(
        nnqft.ExecutorError, match="memory_package goes by value, as what workers import differs"
    ) as caught:
        list(processes.map(things.by_global, [1.0]))
    assert "lock" in str(caught.value)
    assert "\n" not in str(caught.value)


def locked_by_global(things: ModuleType) -> Callable[[float], float]:
    exec("def by_global(x):\n    with LOCK:\n        return SCALE * x\n", vars(things))
    return things.by_global


# Classes that go by value


def local_class() -> Any:
    scale = 1.0

    class Local:
        factor = 1.0
        more = 1.0

        def __init__(self, x: float) -> None:
            self.x = x

        def value(self) -> float:
            return scale * self.factor * self.x

    return Local


def doubled(one: Any) -> tuple[float, Any]:
    return one.value() * getattr(one, "more", 0.0), type(one)(2 * one.x)


def test_classes_of_the_caller_stay_its_own(executor):
    cls = local_class()
    before = dict(vars(cls), __slotnames__=[])  # which pickle adds
    registry = cloudpickle.list_registry_pickle_by_value()
    value, twice = next(executor.map(doubled, [cls(1.0)]))
    assert (value, twice.value()) == (1.0, 2.0)
    assert type(twice) is cls
    assert (
        dict(vars(cls), __slotnames__=[]) == before
    )  # the very same functions, with the caller's own cells and globals
    assert cloudpickle.list_registry_pickle_by_value() == registry


def test_a_class_that_went_before_is_news(executor):
    cls = local_class()
    found = []
    for change in (lambda: None, lambda: setattr(cls, "factor", 3.0), lambda: delattr(cls, "more")):
        change()
        found.append(next(executor.map(doubled, [cls(1.0)]))[0])
    assert found == [1.0, 3.0, 0.0]


def test_slots_bases_and_caches_of_functions_by_value(processes):
    class Slotted:
        __slots__ = ("x",)

    class Other:
        factor = 2.0

    class One:
        factor = 1.0

    class Derived(One):
        pass

    one = Slotted()
    one.x = 3.0
    (back,) = processes.map(lambda thing: thing, [one])
    assert (type(back), back.x) == (Slotted, 3.0)
    cached = functools.lru_cache(lambda x: Derived.factor * x)
    assert list(processes.map(cached, [1.0])) == [1.0]
    Derived.__bases__ = (Other,)
    assert list(processes.map(cached, [1.0])) == [2.0]


@pytest.mark.parametrize("find", ["import_module", "modules"])
def test_modules_found_by_a_text(things, processes, find):
    things.SCALE = 2.0

    def by_text(x: float) -> float:
        return {"import_module": importlib.import_module, "modules": sys.modules.get}[find](
            "memory_package.things"
        ).SCALE * x  # fmt: skip

    assert list(processes.map(by_text, [1.0])) == [2.0]


def test_many_threads_leave_the_registry_as_it_was(things):
    things.SCALE = 2.0
    registry = cloudpickle.list_registry_pickle_by_value()

    def many() -> None:
        post = Post()
        post._by_value = frozenset({"memory_package"})
        for _ in range(20):
            post.write(Parcel(0, things.by_global, [1.0]))

    threads = [threading.Thread(target=many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cloudpickle.list_registry_pickle_by_value() == registry
