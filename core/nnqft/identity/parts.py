"""What is compared of a module that belongs to a package too large to be followed: the code that is its own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

from nnqft.identity.bytecode import constant_bytes, read_code


def codes_in(module: ModuleType | None, thing: Any) -> bytes:
    """(32 bytes) of the code in a module, and of the functions and the numbers that a thing from there names.

    What other modules hold, and what the module keeps besides code, does not count: caches and counters change.
    """
    held = {} if module is None else vars(module)
    digest = hashlib.blake2b(digest_size=32)
    own = [name for name, each in held.items() if _belongs(each, held)]
    named = {word for code in _codes(thing) for word in _words(code)}
    for name in sorted({*own, *named} & set(held)):
        each = held[name]
        codes = [read_code(code).digest for code in _codes(each)]
        if name in named and isinstance(each, int | float | complex | str):
            codes.append(constant_bytes(each))
        if codes:
            digest.update(b"".join([constant_bytes(name), *codes]))
    return digest.digest()


def _belongs(thing: Any, held: dict[str, Any]) -> bool:
    inner = getattr(thing, "__wrapped__", thing)
    if isinstance(thing, type):
        return thing.__module__ == held.get("__name__")
    return isinstance(inner, FunctionType) and inner.__globals__ is held


def _codes(thing: Any) -> Iterator[CodeType]:
    """The code of a function, under decorators too, or of the methods of a class."""
    if isinstance(thing, type):
        for _, each in sorted(vars(thing).items()):
            inside = getattr(each, "__func__", getattr(each, "fget", getattr(each, "func", each)))
            if isinstance(inside, FunctionType):
                yield inside.__code__
        return
    for _ in range(9):
        if isinstance(thing, FunctionType):
            yield thing.__code__
        thing = vars(thing).get("__wrapped__") if hasattr(thing, "__dict__") else None


def _words(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _words(each)
