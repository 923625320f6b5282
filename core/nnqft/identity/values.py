"""How values are put into a walk: numbers, texts, containers, arrays, callables, and objects by class and state."""

from __future__ import annotations

import array
import datetime
import functools
import logging
import operator
import re
import struct
import sys
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from decimal import Decimal
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    CodeType,
    FunctionType,
    GenericAlias,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    UnionType,
    WrapperDescriptorType,
)
from typing import Any

import numpy as np

from nnqft.identity import libraries
from nnqft.identity.abstract import AbstractWalk
from nnqft.identity.arrays import put_array, put_dtype, put_ufunc
from nnqft.identity.bytecode import Code, constant_bytes, read_code

_ATOMS = frozenset({type(None), bool, int, float, complex, str, bytes, type(Ellipsis), type(NotImplemented)})
_POINTER = struct.calcsize("P")
_ADDRESSES = frozenset({"__vectorcalloffset__", "__dictoffset__", "__weaklistoffset__"})
"""Where classes written in C find their own parts, in this process."""
_UNSET = object()


def put_atom(walk: AbstractWalk, thing: Any) -> bool:
    """Put a number, a text or a constant by its value; False if it is none."""
    if type(thing) not in _ATOMS:
        return False
    walk.put("atom", constant_bytes(thing))
    return True


def put_value(walk: AbstractWalk, thing: Any) -> None:
    """Put anything but an atom, a function, a class or a module."""
    put = _EXACTLY.get(type(thing))
    if put is not None:
        put(walk, thing)
    elif issubclass(type(thing), np.ufunc):
        put_ufunc(walk, thing)
    elif issubclass(type(thing), np.dtype):
        put_dtype(walk, thing)
    elif type(thing).__module__.startswith("jaxlib") and hasattr(thing, "__array__"):
        walk.put("jax")
        put_array(walk, np.asarray(thing))
    elif type(thing).__module__.startswith("jaxlib") and type(getattr(thing, "__wrapped__", None)) is FunctionType:
        _put_wrapped(walk, thing)  # what jax.jit returns
    elif not _put_compiled(walk, thing):
        _put_object(walk, thing)


# Containers


def _put_items(walk: AbstractWalk, thing: Any) -> None:
    items = list(thing)
    walk.put(type(thing).__name__, len(items))
    for item in items:
        walk.visit(item)


def _put_pairs(walk: AbstractWalk, pairs: Any) -> None:
    """In their own order, as sums over them are taken in it."""
    items = list(pairs)
    walk.put("pairs", len(items))
    for key, value in items:
        walk.visit(key)
        walk.visit(value, key if type(key) is str else "")


def _put_set(walk: AbstractWalk, thing: Any) -> None:
    """In the order of the digests of its members, as its own changes from process to process."""
    digests = []
    for member in thing:
        other = walk.fresh()
        digests.append(other.digest(member))
        walk.visits = other.visits
        walk.words |= other.words
        walk.packages |= other.packages
    walk.put("set", len(digests), *sorted(digests))


def _put_deque(walk: AbstractWalk, thing: Any) -> None:
    walk.put("deque", thing.maxlen)
    _put_items(walk, list(thing))


# Callables


def _put_method(walk: AbstractWalk, thing: MethodType) -> None:
    walk.put("method")
    walk.visit(thing.__func__)
    walk.visit_named([("self", thing.__self__)])


def _put_builtin(walk: AbstractWalk, thing: Any) -> None:
    """A function written in C, or a method of an object that is."""
    owner = thing.__self__
    if owner is None or isinstance(owner, ModuleType):
        module = thing.__module__ or getattr(owner, "__name__", "")
        if not libraries.is_python(module) and not libraries.is_library(module):
            raise walk.refuse(f"{module}.{thing.__name__}, compiled code that cannot be seen")
        walk.put_library(module, thing.__name__)
        return
    walk.put("method", thing.__name__)
    walk.visit(owner, "self")


def _put_descriptor(walk: AbstractWalk, thing: Any) -> None:
    home = thing.__objclass__
    walk.put("descriptor", thing.__name__)
    place = libraries.place_of(home)
    if not isinstance(thing, MemberDescriptorType | GetSetDescriptorType) and place is None:
        raise walk.refuse(f"{home.__qualname__}.{thing.__name__}, compiled code that cannot be seen")
    walk.visit(home)


def _put_property(walk: AbstractWalk, thing: property) -> None:
    walk.visit_named([("get", thing.fget), ("set", thing.fset), ("delete", thing.fdel)])


def _put_wrapped(walk: AbstractWalk, thing: Any) -> None:
    """A static or class method, a cached function: the function inside."""
    walk.put(type(thing).__name__)
    walk.visit(thing.__wrapped__)
    given = (pair for pair in getattr(thing, "__dict__", {}).items() if not pair[0].startswith("__"))
    walk.visit_named(sorted(given))


def _put_partial(walk: AbstractWalk, thing: Any) -> None:
    walk.visit_named([("func", thing.func), ("args", thing.args)])
    _put_pairs(walk, thing.keywords.items())
    _put_state(walk, thing)


def _put_compiled(walk: AbstractWalk, thing: Any) -> bool:
    """A callable of a library that is neither a function nor a class of Python; False if it is none."""
    place = libraries.place_of(thing) if callable(thing) else None
    if place is None or not libraries.is_library(place[0]):
        return False
    walk.put_library(*place)
    return True


# Objects


def _put_object(walk: AbstractWalk, thing: Any) -> None:
    """The class, what it holds as a number, text or container, and its attributes."""
    cls = type(thing)
    content = next(((base, put) for base, put in _CONTENTS.items() if issubclass(cls, base)), None)
    if content is None and _has_hidden_state(cls):
        raise walk.refuse(f"a {cls.__module__}.{cls.__qualname__}, whose state cannot be seen")
    walk.put("object")
    walk.visit(cls)
    if content is not None:
        walk.put("content")
        content[1](walk, thing)
    _put_state(walk, thing)


def _put_state(walk: AbstractWalk, thing: Any) -> None:
    cls: type = type(thing)
    skipped = _CACHES.get(f"{cls.__module__}.{cls.__qualname__}", frozenset())
    if libraries.root_of(cls.__module__) == "nnqft":
        skipped = _cached_properties(cls)
    elif libraries.root_of(cls.__module__) == "scipy" and not walk.integrator:
        skipped = frozenset({"_random_state"})  # of a distribution, whose density a kernel may ask for
    state = (pair for pair in state_of(thing) if pair[0] not in skipped)
    walk.visit_named(sorted(state, key=operator.itemgetter(0)))


@functools.cache
def _cached_properties(cls: type) -> frozenset[str]:
    """Attributes of our own frozen classes that follow from the others and appear when they are first asked for."""
    return frozenset(name for name in dir(cls) if isinstance(getattr(cls, name, None), functools.cached_property))


def state_of(thing: Any) -> Iterator[tuple[str, Any]]:
    """Attributes that an object itself holds, in its dictionary or in slots, whatever its class says of attributes."""
    for cls in type(thing).__mro__:
        for name, each in vars(cls).items():
            if isinstance(each, MemberDescriptorType) and name not in _ADDRESSES:
                value = _slot(each, thing)
                if value is not _UNSET:
                    yield f"{cls.__name__}.{name}", value
            elif name == "__dict__" and isinstance(each, GetSetDescriptorType):
                yield from each.__get__(thing).items()


def _slot(descriptor: MemberDescriptorType, thing: Any) -> Any:
    try:
        return descriptor.__get__(thing)
    except AttributeError:
        return _UNSET


def codes_of(cls: type) -> Iterator[bytes]:
    """Digests of the code in a class itself, that of its properties and static methods too, by their names."""
    for _, each in sorted(vars(cls).items()):
        inside = getattr(each, "__func__", getattr(each, "fget", getattr(each, "func", each)))
        if isinstance(inside, FunctionType):
            yield read_code(inside.__code__).digest


def _has_hidden_state(cls: type) -> bool:
    """Do its objects have room for more than their attributes? So it is for what is written in C."""
    slots = sum(isinstance(each, MemberDescriptorType) for base in cls.__mro__ for each in vars(base).values())
    slots += (cls.__dictoffset__ != 0) + (cls.__weakrefoffset__ != 0)
    return cls.__itemsize__ != 0 or cls.__basicsize__ > object.__basicsize__ + slots * _POINTER


def _by_reduction(walk: AbstractWalk, thing: Any) -> None:
    walk.put(type(thing).__qualname__)
    walk.visit(thing.__reduce__()[1:])


def _by_text(walk: AbstractWalk, thing: Any) -> None:
    walk.put(type(thing).__qualname__, repr(thing))


_DESCRIPTORS = (
    ClassMethodDescriptorType, GetSetDescriptorType, MemberDescriptorType, MethodDescriptorType, WrapperDescriptorType,
)  # fmt: skip
_BY_TEXT = (range, Decimal, GenericAlias, UnionType)
"""What its text says in full."""
_BY_REDUCTION = (
    slice, datetime.date, datetime.datetime, datetime.time, datetime.timedelta, datetime.timezone, array.array,
    operator.attrgetter, operator.itemgetter, operator.methodcaller, type(vars(Code)["digest"]),
)  # fmt: skip
"""What says itself from what it can be made again."""
_CACHES: dict[str, frozenset[str]] = {"numpy.vectorize": frozenset({"_ufunc"})}
"""Attributes that follow from the others and appear with the first call."""
_CONTENTS: dict[type, Callable[[AbstractWalk, Any], None]] = {
    OrderedDict: lambda walk, thing: _put_pairs(walk, OrderedDict.items(thing)),
    dict: lambda walk, thing: _put_pairs(walk, dict.items(thing)),
    list: lambda walk, thing: _put_items(walk, list(list.__iter__(thing))),
    tuple: lambda walk, thing: _put_items(walk, list(tuple.__iter__(thing))),
    set: lambda walk, thing: _put_set(walk, set.__iter__(thing)),
    frozenset: lambda walk, thing: _put_set(walk, frozenset.__iter__(thing)),
    deque: _put_deque,
    int: lambda walk, thing: walk.visit(int.__index__(thing)),
    float: lambda walk, thing: walk.visit(float.__float__(thing)),
    complex: lambda walk, thing: walk.visit(complex.__complex__(thing)),
    str: lambda walk, thing: walk.visit(str.__str__(thing)),
    bytes: lambda walk, thing: walk.visit(bytes.__bytes__(thing)),
    bytearray: lambda walk, thing: walk.visit(bytes(thing)),
    np.ndarray: lambda walk, thing: put_array(walk, thing.view(np.ndarray)),
    np.generic: lambda walk, thing: put_array(walk, np.asarray(thing)),
}
"""Base class → how to put what an object holds by it."""
_EXACTLY: dict[type, Callable[[AbstractWalk, Any], None]] = {
    np.ndarray: put_array,
    CodeType: lambda walk, thing: walk.put("code", read_code(thing).digest),
    MethodType: _put_method,
    BuiltinFunctionType: _put_builtin,
    property: _put_property,
    staticmethod: _put_wrapped,
    classmethod: _put_wrapped,
    functools._lru_cache_wrapper: _put_wrapped,
    functools.partial: _put_partial,
    functools.cached_property: lambda walk, thing: walk.visit(thing.func),
    re.Pattern: lambda walk, thing: walk.visit((thing.pattern, thing.flags)),
    MappingProxyType: lambda walk, thing: walk.visit(dict(thing)),
    type(sys.float_info): lambda walk, thing: walk.visit(tuple(thing)),
    logging.Logger: lambda walk, thing: walk.put("logger"),
    MethodWrapperType: _put_builtin,
    **dict.fromkeys(_DESCRIPTORS, _put_descriptor),
    **dict.fromkeys(_BY_TEXT, _by_text),
    **dict.fromkeys(_BY_REDUCTION, _by_reduction),
}
"""Type → how to put its objects."""
