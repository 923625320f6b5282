"""Ways in which a number reaches a function: each turns a value, or a function without arguments, into another one.

`CARRIERS` is for tests of what is seen of a function: a number that is changed at the end of any chain of carriers
changes what the function returns. Run as a program, it prints the fingerprints of `examples` as JSON.
"""

from __future__ import annotations

import contextlib
import enum
import functools
import json
import operator
import sys
import types
from collections import ChainMap, Counter, OrderedDict, UserDict, defaultdict, deque, namedtuple
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from scipy.interpolate import CubicSpline

Thunk = Callable[[], float]


def by_default(get: Thunk) -> Thunk:
    def call(inner: Thunk = get) -> float:
        return inner()

    return call


def by_keyword_default(get: Thunk) -> Thunk:
    def call(*, inner: Thunk = get) -> float:
        return inner()

    return call


def by_cell(get: Thunk) -> Thunk:
    return lambda: get()


def by_nested_code(get: Thunk) -> Thunk:
    def call() -> float:
        return sum(inner() for inner in [get])

    return call


def by_global(get: Thunk) -> Thunk:
    return run("def call():\n    return inner()\n", inner=get)["call"]


def by_helper_of_a_helper(get: Thunk) -> Thunk:
    source = "def second():\n    return inner()\ndef first():\n    return second()\ndef call():\n    return first()\n"
    return run(source, inner=get)["call"]


def by_mutual_recursion(get: Thunk) -> Thunk:
    source = "def even(n):\n    return odd(n - 1) if n else inner()\ndef odd(n):\n    return even(n - 1)\n"
    names = run(source + "def call():\n    return even(2)\n", inner=get)
    return names["call"]


def by_module(get: Thunk) -> Thunk:
    module = types.ModuleType("carried")
    module.inner = get
    return run("def call():\n    return module.inner()\n", module=module)["call"]


def by_whole_module(get: Thunk) -> Thunk:
    module = types.ModuleType("carried")
    module.inner = get
    return run("def call():\n    return getattr(module, 'in' + 'ner')()\n", module=module)["call"]


class Instance:
    def __init__(self, get: Thunk) -> None:
        self.inner = get

    def call(self) -> float:
        return self.inner()

    def __call__(self) -> float:
        return self.inner()

    @property
    def found(self) -> float:
        return self.inner()


def by_bound_method(get: Thunk) -> Thunk:
    return Instance(get).call


def by_callable_instance(get: Thunk) -> Thunk:
    return Instance(get)


def by_property(get: Thunk) -> Thunk:
    one = Instance(get)
    return lambda: one.found


class Slotted:
    __slots__ = ("__hidden",)

    def __init__(self, get: Thunk) -> None:
        self.__hidden = get

    def call(self) -> float:
        return self.__hidden()


def by_slot(get: Thunk) -> Thunk:
    return Slotted(get).call


class Evasive:
    """Answers for attributes that it does not have."""

    def __init__(self, get: Thunk) -> None:
        object.__setattr__(self, "secret", get)

    def __getattribute__(self, name: str) -> Any:
        return object.__getattribute__(self, "secret") if name == "anything" else {}


def by_evasive_instance(get: Thunk) -> Thunk:
    one = Evasive(get)
    return lambda: one.anything()


def by_class_attribute(get: Thunk) -> Thunk:
    class Holder:
        inner = staticmethod(get)

        def call(self) -> float:
            return self.inner()

    return Holder().call


def by_class_method(get: Thunk) -> Thunk:
    class Holder:
        inner = (get,)

        @classmethod
        def call(cls) -> float:
            return cls.inner[0]()

    return Holder.call


def by_base_class(get: Thunk) -> Thunk:
    class Base:
        def inner(self) -> float:
            return get()

    class Middle(Base):
        pass

    class Derived(Middle):
        def call(self) -> float:
            return super().inner()

    return Derived().call


def by_metaclass(get: Thunk) -> Thunk:
    class Meta(type):
        @property
        def inner(cls) -> float:
            return get()

    class Holder(metaclass=Meta):
        pass

    return lambda: Holder.inner


def by_descriptor(get: Thunk) -> Thunk:
    class Descriptor:
        def __get__(self, one: object, owner: type) -> float:
            return get()

    class Holder:
        inner = Descriptor()

    return lambda: Holder().inner


def by_partial(get: Thunk) -> Thunk:
    return functools.partial(operator.call, get)


def by_partial_keyword(get: Thunk) -> Thunk:
    return functools.partial(lambda inner: inner(), inner=get)


def by_decorator(get: Thunk) -> Thunk:
    def decorated(function: Thunk) -> Thunk:
        @functools.wraps(function)
        def wrapper() -> float:
            return get()

        return wrapper

    @decorated
    def call() -> float:
        return 0.0

    return call


def by_library_name(get: Thunk) -> Thunk:
    """Says that it is a function of numpy."""
    return functools.wraps(np.linalg.norm)(lambda: get())


def by_cached_function(get: Thunk) -> Thunk:
    return functools.lru_cache(lambda: get())


def by_context_manager(get: Thunk) -> Thunk:
    @contextlib.contextmanager
    def opened():
        yield get()

    def call() -> float:
        with opened() as value:
            return value

    return call


def by_function_attribute(get: Thunk) -> Thunk:
    def call() -> float:
        return call.inner()

    call.inner = get
    return call


def by_vectorize(get: Thunk) -> Thunk:
    many = np.vectorize(lambda x: x + get(), otypes=[float])
    return lambda: float(many(0.0))


@dataclass(frozen=True)
class Data:
    inner: Thunk
    more: list[int] = field(default_factory=list)

    def call(self) -> float:
        return self.inner()


def by_dataclass(get: Thunk) -> Thunk:
    return Data(get).call


class Typed(NamedTuple):
    first: int
    inner: Thunk


def by_named_tuple(get: Thunk) -> Thunk:
    one, two = Typed(1, get), namedtuple("Pair", "a b")(get, 2)
    return lambda: one.inner() + 0 * two.a()


def by_cycle(get: Thunk) -> Thunk:
    ring: list[Any] = []
    table = {"ring": ring}
    ring += [table, get]
    return lambda: ring[0]["ring"][0]["ring"][1]()


CONTAINERS: dict[str, Callable[[Any], tuple[Any, Callable[[Any], Any]]]] = {
    "list": lambda x: ([0, [x]], lambda held: held[1][0]),
    "tuple": lambda x: ((0, (x,)), lambda held: held[1][0]),
    "dict": lambda x: ({"a": {2: x}}, lambda held: held["a"][2]),
    "ordered": lambda x: (OrderedDict(a=x), lambda held: held["a"]),
    "default": lambda x: (defaultdict(lambda: x), lambda held: held.default_factory()),
    "deque": lambda x: (deque([x], maxlen=3), lambda held: held[0]),
    "chain": lambda x: (ChainMap({}, {"a": x}), lambda held: held["a"]),
    "user dict": lambda x: (UserDict(a=x), lambda held: held["a"]),
    "proxy": lambda x: (types.MappingProxyType({"a": x}), lambda held: held["a"]),
    "namespace": lambda x: (types.SimpleNamespace(a=x), lambda held: held.a),
    "objects": lambda x: (np.array([None, x], dtype=object), lambda held: held[1]),
}
"""Name → what makes a container of any value, and finds that value in it again."""


def by_container(name: str) -> Callable[[Thunk], Thunk]:
    def carrier(get: Thunk) -> Thunk:
        held, find = CONTAINERS[name](get)
        return lambda: find(held)()

    return carrier


CARRIERS: dict[str, Callable[[Thunk], Thunk]] = {
    name: each for name, each in sorted(globals().items()) if name.startswith("by_") and each is not by_container
} | {f"in {name}": by_container(name) for name in CONTAINERS}


def colour(value: float) -> enum.Enum:
    return enum.Enum("Colour", {"RED": value}).RED


def derived(base: type, value: Any) -> Any:
    return type("Derived", (base,), {})(value)


VALUES: dict[str, Callable[[float], Any]] = {
    "float": float,
    "complex": lambda x: complex(1.0, x),
    "text": str,
    "bytes": lambda x: str(x).encode(),
    "frozenset": lambda x: frozenset({"a", "b", "c", x}),
    "set": lambda x: {("p", x), ("q", 1), "r"},
    "counter": lambda x: Counter({x: 2}),
    "fraction": Fraction,
    "decimal": Decimal,
    "slice": lambda x: slice(x),
    "enum": colour,
    "float of its own": lambda x: derived(float, x),
    "dict of its own": lambda x: derived(dict, {"a": x}),
    "list of its own": lambda x: derived(list, [x]),
    "array": lambda x: np.array([0.0, x]),
    "array, transposed": lambda x: np.array([[0.0, x], [1.0, 2.0]]).T,
    "large array": lambda x: np.concatenate([np.zeros(5000), [x], np.zeros(5000)]),
    "masked array": lambda x: np.ma.array([0.0, x], mask=[True, False]),
    "structured array": lambda x: np.array([(1, x)], dtype=np.dtype([("n", "i1"), ("x", "f8")], align=True)),
    "long doubles": lambda x: np.array([x], np.longdouble),
    "half floats": lambda x: np.array([x], np.float16),
    "integers": lambda x: np.array([x * 100]).astype(int),
    "scalar of numpy": np.float64,
    "date": lambda x: np.array([int(x * 100)], "datetime64[s]"),
    "polynomial": lambda x: np.polynomial.Polynomial([1.0, x]),
    "spline": lambda x: CubicSpline([0.0, 1.0, 2.0], [0.0, x, 0.0]),
    "itemgetter": operator.itemgetter,
    "bytearray": lambda x: bytearray(str(x).encode()),
}
"""Name → what makes a value of some type of a number."""


def run(source: str, **names: Any) -> dict[str, Any]:
    """The names that source defines, with others to begin with."""
    exec(source, names)
    return names


def leaf(value: Any) -> Callable[[], Any]:
    """A function that returns a value; what it is must be found in its cell."""
    return lambda: value


def carried(chain: list[str], value: Any) -> Callable[[], Any]:
    """A function that returns the value through a chain of carriers."""
    get = leaf(value)
    for name in reversed(chain):
        get = CARRIERS[name](get)
    return get


def kernel_of(get: Thunk) -> Callable[..., Any]:
    """A line's kernel with an amplitude that is fetched."""
    return lambda t, s, params, xp: get() * xp.exp(-xp.abs(t - s))


def examples() -> dict[str, Any]:
    """Functions of every carrier and every type of value."""
    chains = {name: carried([name], 1.5) for name in CARRIERS}
    return chains | {name: leaf(make(1.5)) for name, make in VALUES.items()}


if __name__ == "__main__":
    from nnqft.identity.walk import Walk

    json.dump({name: Walk().digest(each).hex() for name, each in examples().items()}, sys.stdout)
