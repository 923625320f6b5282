"""What a code object says and names, whatever file and line it comes from."""

from __future__ import annotations

import dis
import hashlib
import struct
from collections.abc import Iterator
from functools import lru_cache
from types import CodeType
from typing import Any, NamedTuple

_ATTRIBUTE = {"LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR"}
_GLOBAL = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
_ASSIGNED = {"STORE_GLOBAL", "DELETE_GLOBAL", "STORE_DEREF", "DELETE_DEREF"}


class Import(NamedTuple):
    """A module that code imports while it runs, and which of its names; none stands for all."""

    module: str
    level: int
    names: tuple[str, ...]


class Code(NamedTuple):
    """What is known of a code object and of those inside it.

    Attributes
    ----------
    digest : bytes
        Of instructions, constants, names and arguments; not of file, line and the name of the function.
    chains : tuple of tuples of str
        Globals with the attributes that are asked of them at once: ``np.linalg.norm`` is ("np", "linalg", "norm").
    imports : tuple of Import
    assigned : tuple of str
        Globals, their attributes, and variables of the functions around it that it assigns: state that outlives a call.
    words : frozenset of str
        All globals and attributes that it asks for, and all texts that occur.
    """

    digest: bytes
    chains: tuple[tuple[str, ...], ...]
    imports: tuple[Import, ...]
    assigned: tuple[str, ...]
    words: frozenset[str]


@lru_cache(maxsize=1 << 14)
def read_code(code: CodeType) -> Code:
    """What is known of a code object; it never changes, so this is remembered."""
    digest = hashlib.blake2b(digest_size=32)
    digest.update(code.co_code)
    digest.update(getattr(code, "co_exceptiontable", b""))
    counts = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags
    digest.update(repr((counts, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)).encode())
    inner = [read_code(constant) for constant in code.co_consts if isinstance(constant, CodeType)]
    for constant in code.co_consts:
        digest.update(read_code(constant).digest if isinstance(constant, CodeType) else constant_bytes(constant))
    chains, imports, assigned, words = _instructions(code)
    outside = [name for each in inner for name in each.assigned]
    # A variable of its own that a function inside assigns is new at each call.
    assigned += [name for name in outside if name not in code.co_cellvars]
    words.update(constant for constant in code.co_consts if isinstance(constant, str))
    return Code(
        digest.digest(),
        tuple(sorted({*chains, *(chain for each in inner for chain in each.chains)})),
        tuple(sorted({*imports, *(one for each in inner for one in each.imports)})),
        tuple(sorted(set(assigned))),
        frozenset(words.union(*(each.words for each in inner))),
    )


def _instructions(code: CodeType) -> tuple[list[tuple[str, ...]], list[Import], list[str], set[str]]:
    """Chains, imports, assignments and words of one code object without those inside it."""
    chains: list[tuple[str, ...]] = []
    imports: list[Import] = []
    assigned: list[str] = []
    words: set[str] = set()
    chain: tuple[str, ...] = ()
    before: list[Any] = [None, None]
    for one in dis.get_instructions(code):
        if one.opname in _ATTRIBUTE or one.opname == "LOAD_GLOBAL":
            words.add(one.argval)
        if one.opname in _ATTRIBUTE and chain:
            chain = (*chain, one.argval)
            continue
        if one.opname in ("STORE_ATTR", "DELETE_ATTR") and chain:
            assigned.append(".".join((*chain, one.argval)))
        if chain:
            chains.append(chain)
        chain = (one.argval,) if one.opname in _GLOBAL else ()
        if one.opname == "IMPORT_NAME":
            level, names = before[-2:]
            imports.append(Import(one.argval, level or 0, tuple(names or ())))
        elif one.opname in _ASSIGNED and one.argval not in code.co_cellvars:
            assigned.append(one.argval)
        before.append(one.argval)
    return [*chains, chain] if chain else chains, imports, assigned, words


def constant_bytes(constant: object) -> bytes:
    """Bytes that tell the constants of code apart, equal in every process."""
    kind = type(constant)
    return f"{kind.__name__}:".encode() + b"".join(_sized(part) for part in _constant_parts(constant))


def _constant_parts(constant: Any) -> Iterator[bytes]:
    if isinstance(constant, tuple):
        yield from map(constant_bytes, constant)
    elif isinstance(constant, frozenset):
        yield from sorted(map(constant_bytes, constant))  # its own order changes from process to process
    elif isinstance(constant, float):
        yield struct.pack("<d", constant)
    elif isinstance(constant, complex):
        yield struct.pack("<dd", constant.real, constant.imag)
    elif isinstance(constant, bool) or not isinstance(constant, int):
        yield constant.encode("utf-8", "surrogatepass") if isinstance(constant, str) else repr(constant).encode()
    else:
        yield hex(constant).encode()  # str() refuses very long ones


def _sized(part: bytes) -> bytes:
    return len(part).to_bytes(8, "little") + part
