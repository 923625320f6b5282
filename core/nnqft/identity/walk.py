"""A walk over everything that can be reached from a piece of code or data, digested on the way."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import pickle
import sys
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from types import CellType, FunctionType, ModuleType
from typing import Any

from nnqft.errors import NnqftError, one_line, raised
from nnqft.identity import libraries, values
from nnqft.identity.abstract import AbstractWalk, UnseenError
from nnqft.identity.bytecode import Import, read_code

MOST = 100_000
"""Visits of one walk; what is larger is not followed to its end."""
_NO_CODE = frozenset({
    "__abstractmethods__", "__annotate__", "__annotate_func__", "__annotations__", "__annotations_cache__",
    "__dataclass_fields__", "__dataclass_params__", "__dict__", "__firstlineno__", "__module__", "__orig_bases__",
    "__parameters__", "__qualname__", "__slotnames__", "__static_attributes__", "__type_params__", "__weakref__",
    "_abc_impl",
})  # fmt: skip
"""What a class holds that computes nothing, unless code asks for it by one of the words below."""
_BACK_DOORS = frozenset({
    "__annotations__", "__builtins__", "__globals__", "__loader__", "__orig_bases__", "__spec__",
    "__subclasses__", "f_back", "f_builtins", "f_globals", "f_locals",
})  # fmt: skip
"""Words by which code finds what no name of its leads to."""
_MISSING = object()
_NAMES = 4
"""How many names of the way a refusal tells, the last ones."""
_Way = tuple[Any, str] | None
"""The name that led somewhere, after the way before it."""


class Walk(AbstractWalk):
    """One walk, from one or several starts.

    Functions and classes count by their code and by what that names: globals at their values now, defaults, cells,
    attributes, base classes; objects by their class and state; arrays by all their bytes. Libraries count by their
    version. Everything gets a number when it is first met and counts by it from then on, so that cycles end.

    Parameters
    ----------
    integrator
        Random generators and clocks are allowed.
    lenient
        For comparing two processes: nothing is refused. What cannot be seen counts by its pickle, or else by its type;
        versions of libraries do not count, and neither does what is inside of large packages that are installed.
    """

    def __init__(self, integrator: bool = False, lenient: bool = False) -> None:
        self.integrator = integrator
        self.crowds = libraries.Crowds()
        self._lenient = lenient
        self.words: set[str] = set()
        self.packages: set[str] = set()
        self.visits = 0
        self._digest = hashlib.blake2b(digest_size=32)
        self._numbers: dict[int, int] = {}
        self._held: list[Any] = []
        self._waiting: deque[tuple[Any, _Way]] = deque()
        self._named: deque[tuple[Any, tuple[str, ...], _Way]] = deque()
        self._way: _Way = None
        self.put("python", sys.implementation.cache_tag)
        if not lenient:
            self.put(libraries.version_of("numpy"))

    def digest(self, thing: Any) -> bytes:
        """(32 bytes) of a thing and all that can be reached from it.

        Raises
        ------
        UnseenError
            If something cannot be seen to the bottom.
        """
        try:
            self.visit(thing)
            while self._waiting and not (self._lenient and self.visits > MOST):
                self._look()
        except UnseenError:
            raise
        except RecursionError:
            raise self.refuse("containers nested too deeply") from None
        except Exception as error:  # strangers' descriptors and modules may raise anything
            said = str(error) if isinstance(error, NnqftError) else raised(error)
            raise self.refuse(f"what cannot be looked at: {one_line(said)}") from None
        # Last, when all else has been seen: what cannot be seen from here counts by its name.
        while self._named or self._waiting:
            with suppress(Exception):
                if self._waiting:
                    self._look()
                else:
                    thing, chain, self._way = self._named.popleft()
                    self._follow(thing, chain)
        return self._digest.digest()

    def fresh(self) -> Walk:
        """Another walk of the same kind that counts its visits on."""
        other = Walk(self.integrator, self._lenient)
        other.visits = self.visits
        return other

    def put(self, *parts: object) -> None:
        """Add words or bytes, told apart from each other."""
        for part in parts:
            data = part if isinstance(part, bytes) else str(part).encode("utf-8", "surrogatepass")
            self._digest.update(len(data).to_bytes(8, "little") + data)

    def refuse(self, what: str) -> UnseenError:
        """The error that says what cannot be seen, and on which way it was met."""
        names: list[str] = []
        way = self._way
        while way is not None and len(names) < _NAMES:
            way, name = way
            names.insert(0, name)
        said = ".".join(names)
        return UnseenError(what if what.startswith(said) else f"{what} (at {said})")

    def visit(self, thing: Any, name: str = "") -> None:
        """Put a value, or the number of something that is looked at later; `name` is what leads to it."""
        self.visits += 1
        if self.visits > MOST:
            raise self.refuse(f"more than {MOST} objects, where an array would be one")
        if values.put_atom(self, thing):
            return
        # What an object says of its class in other ways is no proof.
        if issubclass(type(thing), tuple):  # equal ones may be one object here and two elsewhere
            values.put_value(self, thing)
            return
        number = self._numbers.get(id(thing))
        if number is None:
            number = self._numbers[id(thing)] = len(self._held)
            self._held.append(thing)  # so that no other object gets its id
            self._waiting.append((thing, (self._way, name) if name else self._way))
        self.put("number", number)

    def visit_named(self, pairs: Iterable[tuple[str, Any]]) -> None:
        """Put names and the things behind them."""
        for name, thing in pairs:
            self.put("name", name)
            self.visit(thing, name)

    def _look(self) -> None:
        """Put what the next of those that wait is made of."""
        thing, self._way = self._waiting.popleft()
        if not self._lenient:
            self._put(thing)
            return
        try:
            if self.crowds.is_part(thing):
                self.put("part of a large package", type(thing).__qualname__)
            else:
                self._put(thing)
        except Exception:  # strangers' descriptors and modules may raise anything
            self._unseen(thing)

    def _put(self, thing: Any) -> None:
        kind = type(thing)
        if kind is FunctionType:
            self._function(thing)
        elif issubclass(kind, type):
            self._class(thing)
        elif issubclass(kind, ModuleType):
            self._module(thing)
        else:
            values.put_value(self, thing)

    def _unseen(self, thing: Any) -> None:
        self.put("unseen", type(thing).__module__, type(thing).__qualname__)
        with suppress(Exception):
            self.put(pickle.dumps(thing))

    # Functions

    def _function(self, function: FunctionType) -> None:
        module = libraries.module_of(function)
        root = libraries.root_of(module)
        code = read_code(function.__code__)
        self.put("function", code.digest, function.__module__, function.__name__, function.__qualname__)
        library = libraries.counts_by_version(module)
        if not library or libraries.place_of(function) is None:
            # What it was made with: defaults of both kinds, cells, attributes that it was given.
            self.visit_named([("defaults", function.__defaults__), *sorted((function.__kwdefaults__ or {}).items())])
            cells = map(_content, function.__closure__ or ())
            self.visit_named(zip(function.__code__.co_freevars, cells, strict=True))
            self.visit_named(sorted(vars(function).items()))
        if library:
            self.put_library(module, function.__qualname__)
            return
        bundled = root in libraries.OURS
        if not bundled:
            if code.assigned and not self._lenient:
                raise self.refuse(f"code that assigns {code.assigned[0]!r}, which outlives a call")
            if (hidden := sorted(_BACK_DOORS & code.words)) and not self._lenient:
                raise self.refuse(f"{hidden[0]!r}, which may lead anywhere")
            self.words |= code.words
            self.packages.add(root)
        builtins: dict[str, Any] = getattr(function, "__builtins__", {})
        for chain in code.chains:
            self.put("global", ".".join(chain))
            thing = function.__globals__.get(chain[0], builtins.get(chain[0], _MISSING))
            if bundled:
                self._named.append((thing, chain, self._way))
            else:
                self._follow(thing, chain)
        for one in () if bundled else code.imports:
            self._import(one, str(function.__globals__.get("__package__") or ""))

    def _follow(self, thing: Any, chain: Sequence[str]) -> None:
        """Follow attributes as far as they lead through modules; an object counts with all its attributes anyway."""
        name, library = chain[0], False
        for attribute in chain[1:]:
            if not isinstance(thing, ModuleType):
                break
            self._check(f"{thing.__name__}.{attribute}")
            library = libraries.counts_by_version(thing.__name__)
            name, thing = f"{name}.{attribute}", getattr(thing, attribute, _MISSING)
        if thing is _MISSING:
            self.put("missing")
        elif self._lenient and library and not libraries.is_changed(thing):
            self.put("library", name)  # what state it may have is each process's own
        else:
            self.visit(thing, name)

    def _check(self, name: str) -> None:
        if not self._lenient and libraries.is_impure(name, self.integrator):
            raise self.refuse(f"{name}, which depends on more than its arguments")

    def _import(self, one: Import, package: str) -> None:
        """What a function imports while it runs: the names it asks for, or all of a module."""
        name = importlib.util.resolve_name("." * one.level + one.module, package)
        self.put("import", name)
        module = importlib.import_module(name)
        if not one.names:
            self.visit(module, name)
        for attribute in one.names:
            self.put(attribute)
            if not hasattr(module, attribute):
                importlib.import_module(f"{name}.{attribute}")
            self._follow(module, (name, attribute))

    # Classes and modules

    def _class(self, cls: type) -> None:
        place = libraries.place_of(cls)
        if place is not None and libraries.counts_by_version(place[0]):
            self.put_library(*place)
            if libraries.root_of(place[0]) == "nnqft":
                self.put(*values.codes_of(cls))
            return
        self.put("class", cls.__module__, cls.__qualname__)
        self.packages.add(libraries.root_of(cls.__module__))
        self.visit_named([("metaclass", type(cls)), *((base.__name__, base) for base in cls.__mro__[1:])])
        self.visit_named((name, vars(cls)[name]) for name in sorted(vars(cls)) if name not in _NO_CODE)

    def _module(self, module: ModuleType) -> None:
        """A module that is not asked for one name: anything in it may be used."""
        name = module.__name__
        if libraries.counts_by_version(name) or libraries.root_of(name) in libraries.OURS:
            if not (self.integrator and name == "time"):
                self.put_library(name)
            return
        self.packages.add(libraries.root_of(name))
        self.visit(type(module))
        names = sorted(each for each in vars(module) if not each.startswith("__") or each == "__getattr__")
        self.visit_named((each, vars(module)[each]) for each in names)

    def put_library(self, module: str, name: str = "") -> None:
        """Put the name and version of what a library brings.

        Raises
        ------
        UnseenError
            If it may depend on more than its arguments.
        """
        full = f"{module}.{name}" if name else module
        if self.integrator and full in libraries.CLOCKS:
            self.put("clock", full)
            return
        if self._lenient:
            self.put("library", full)
            return
        self._check(full)
        if libraries.is_python(module) and not libraries.is_library(module):
            raise self.refuse(f"{full}, which may depend on more than its arguments")
        self.put("library", full, libraries.version_of(libraries.root_of(module)))


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return _MISSING  # not assigned yet
