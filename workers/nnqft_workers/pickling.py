"""Pickle things for another process: by name, noted to be compared there, or by value."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import io
import pickle
import sys
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from types import FunctionType, ModuleType
from typing import Any

import cloudpickle

from nnqft.identity import libraries
from nnqft.identity.bytecode import read_code
from nnqft_workers.unpickling import TRAVELLED

Names = dict[tuple[str, str], Any]
"""Module and qualified name of what goes by name, and the thing itself; an empty name stands for the module."""
_LOCK = threading.RLock()
_MISSING = object()
_IMPORTS = frozenset({"__import__", "import_module", "modules"})
"""Words in code that finds modules by texts in it."""
_NOT_SENT = frozenset({"__builtins__", "__cached__", "__loader__", "__spec__"})
"""What a module is made with, not what it defines."""


def write(thing: Any, by_value: Collection[str] = ()) -> tuple[bytes, Names]:
    """The bytes of anything that can travel, for `unpickling.read`, and what strangers' things in them go by name.

    Functions and classes of importable modules go by name. Those of the main module, lambdas and closures, which no
    other process can import, go by value, with what they use of their module; and so do those of the packages in
    `by_value`, with the modules of these that functions import while they run.

    Raises
    ------
    Exception
        Of many types, if something in it cannot travel, such as a lock or an open file.
    """
    late: set[str] = set()
    while True:
        with io.BytesIO() as file, _going_by_value(by_value):
            writer = _Writer(file, by_value)
            writer.dump((thing, {name: sys.modules[name] for name in sorted(late)}))
            if writer.late <= late:
                return file.getvalue(), writer.names
            late |= writer.late


@contextmanager
def _going_by_value(packages: Collection[str]) -> Iterator[None]:
    """Have cloudpickle write the functions, classes and modules of packages by value, and leave its list as it was."""
    modules = [sys.modules[name] for name in packages if name in sys.modules]
    # What is named after a main module would be looked up in the receiver's own; a child process calls it __mp_main__.
    child = sys.modules.get("__mp_main__")
    if child is not None and child.__name__ != "__main__":
        modules.append(child)
    if not modules:
        yield
        return
    with _LOCK:
        before = cloudpickle.list_registry_pickle_by_value()
        mine = [module for module in modules if module.__name__ not in before]
        for module in mine:
            cloudpickle.register_pickle_by_value(module)
        try:
            yield
        finally:
            for module in mine:
                with suppress(ValueError):
                    cloudpickle.unregister_pickle_by_value(module)


class _Writer(cloudpickle.Pickler):  # type: ignore[misc]
    """Notes what strangers' things go by name, of which the reader may have others, and what is imported late."""

    def __init__(self, file: io.BytesIO, by_value: Collection[str], trial: bool = False) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self.names: Names = {}
        self.late: set[str] = set()
        self._by_value = frozenset(by_value)
        self._trial = trial
        self._plain: set[type] = set()
        self.dispatch_table = dict(cloudpickle.Pickler.dispatch_table)  # faster than its chain of two
        self._through: set[str] = set()

    def reducer_override(self, thing: Any) -> Any:
        """How a thing is written: by name, or as what makes it again."""
        kind = type(thing)
        if kind in self._plain:
            return NotImplemented
        found = super().reducer_override(thing)
        if found is not NotImplemented:
            if kind is FunctionType:
                self._note_names_in(thing)
            elif isinstance(thing, type) and len(found) > 2:
                TRAVELLED.add(thing)
                found = _with_slots(thing, found) if "__slots__" in vars(thing) else found
            return found
        if kind is FunctionType or issubclass(kind, type):
            self._note(_module_of(thing, thing.__qualname__), thing.__qualname__, thing)
        elif isinstance(thing, ModuleType):
            if libraries.root_of(thing.__name__) in self._by_value:
                return _module_again, (thing.__name__,), {} if self._trial else self._state_of(thing)
            if thing.__name__ not in self._through:
                self._note(thing.__name__, "", thing)
            if sys.modules.get(thing.__name__) is thing:
                return importlib.import_module, (thing.__name__,)
        elif kind is functools._lru_cache_wrapper:
            return self._cached(thing)
        elif not _reduces_itself(kind) or kind in self.dispatch_table:
            self._plain.add(kind)
        else:
            found = thing.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
            if isinstance(found, str):
                self._note(_module_of(thing, found), found, thing)
        return found

    def _cached(self, function: Any) -> Any:
        """A cached function goes as the function inside does; what it remembers stays here."""
        name = function.__qualname__
        module = _module_of(function, name)
        if _found(module, name) is function and libraries.root_of(module) not in {"__main__", *self._by_value}:
            self._note(module, name, function)
            return name
        return _cache_again, (function.__wrapped__, function.cache_parameters())

    def _state_of(self, module: ModuleType) -> dict[str, Any]:
        """All of a module that can travel; what cannot says so when it is asked for."""
        state = {name: each for name, each in vars(module).items() if name not in _NOT_SENT}
        stuck = []
        for name, each in state.items():
            try:
                _Writer(io.BytesIO(), self._by_value, trial=True).dump(each)
            except Exception:  # a dozen types
                stuck.append(name)
        for name in stuck:
            del state[name]
        if stuck:
            state.setdefault("__getattr__", functools.partial(_not_sent, module.__name__, tuple(stuck)))
        return state

    def _note(self, module: str, name: str, thing: Any) -> None:
        if libraries.root_of(module) not in self._by_value and _is_a_stranger_s(libraries.root_of(module)):
            self.names.setdefault((module, name), thing)

    def _note_names_in(self, function: FunctionType) -> None:
        """What a function that goes by value finds in modules, which themselves go by name."""
        code = read_code(function.__code__)
        for chain in code.chains:
            thing = function.__globals__.get(chain[0])
            if isinstance(thing, ModuleType):
                self._through.add(thing.__name__)
                self._note_attribute(thing, chain[1:])
        for one in code.imports:
            with suppress(Exception):
                name = importlib.util.resolve_name("." * one.level + one.module, function.__globals__["__package__"])
                module = sys.modules[name]  # in one that is not there nothing was changed
                self._note_import(module, one.names)
        for name in () if _IMPORTS.isdisjoint(code.words) else code.words:
            if isinstance(found := sys.modules.get(name), ModuleType):
                self._note_import(found)

    def _note_import(self, module: ModuleType, names: Collection[str] = ()) -> None:
        """What a function that goes by value imports while it runs: some names, or the whole module."""
        name = module.__name__
        if libraries.root_of(name) in self._by_value:
            self.late.update(".".join(name.split(".")[: n + 1]) for n in range(name.count(".") + 1))
            return
        for attribute in names or [""]:
            self._note_attribute(module, [attribute] if attribute else [])

    def _note_attribute(self, module: ModuleType, names: Collection[str]) -> None:
        for name in names:
            thing = getattr(module, name, _MISSING)
            if isinstance(thing, ModuleType):
                module = thing
                self._through.add(module.__name__)
            elif libraries.counts_by_version(module.__name__):
                if libraries.is_changed(thing):
                    self.names.setdefault((module.__name__, name), thing)
                return
            else:
                self._note(module.__name__, name, thing)
                return
        self._note(module.__name__, "", module)


def _with_slots(cls: type, written: tuple[Any, ...]) -> tuple[Any, ...]:
    """What makes a class again, with its slots, which cloudpickle turns into a dictionary in every object."""
    make, (kind, name, bases, more, *rest) = written[:2]
    return make, (kind, name, bases, {**more, "__slots__": vars(cls)["__slots__"]}, *rest), *written[2:]


def _module_again(name: str) -> ModuleType:
    return ModuleType(name)


def _not_sent(module: str, stuck: tuple[str, ...], name: str) -> Any:
    why = " could not be sent to this process" if name in stuck else ": no such attribute"
    raise AttributeError(f"{module}.{name}{why}")


def _cache_again(function: Any, parameters: dict[str, Any]) -> Any:
    return functools.lru_cache(**parameters)(function)


def _module_of(thing: Any, name: str) -> str:
    return str(pickle.whichmodule(thing, name))  # type: ignore[attr-defined]


def _found(module: str, name: str) -> Any:
    thing: Any = sys.modules.get(module)
    for part in name.split("."):
        thing = getattr(thing, part, None)
    return thing


def _reduces_itself(kind: type) -> bool:
    """Does a type of strangers' have its own way to be written, which may be a name?"""
    if libraries.is_library(kind.__module__) or libraries.root_of(kind.__module__) in libraries.OURS:
        return False
    return any(getattr(kind, name) is not getattr(object, name) for name in ("__reduce__", "__reduce_ex__"))


def _is_a_stranger_s(root: str) -> bool:
    return not (root in ("nnqft_workers", "cloudpickle") or libraries.counts_by_version(root))
