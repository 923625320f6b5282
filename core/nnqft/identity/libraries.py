"""Where code comes from: libraries that count by their version, distributions that count by their source, strangers."""

from __future__ import annotations

import hashlib
import os
import sys
from collections import Counter
from functools import cache
from importlib.metadata import PackageNotFoundError, entry_points, version
from types import FunctionType, ModuleType
from typing import Any

OURS = frozenset({"nnqft", "nnqft_plugins", "nnqft_workers"})
LIBRARIES = frozenset(
    {"numpy", "scipy", "vegas", "gvar", "jax", "jaxlib", "ml_dtypes", "threadpoolctl", "array_api_compat"}
)
"""What is known to compute the same from the same arguments, in one version."""
PURE = frozenset({
    "__future__", "_abc", "_bisect", "_collections", "_collections_abc", "_functools", "_heapq", "_operator",
    "_statistics", "_struct", "_typing",
    "_warnings", "abc", "array", "base64", "binascii", "bisect", "builtins", "cmath",
    "collections", "colorsys", "contextlib", "copy", "copyreg", "dataclasses", "enum", "fractions", "functools",
    "graphlib", "hashlib", "heapq", "itertools", "json", "keyword", "logging", "math", "numbers", "operator", "re",
    "statistics", "string", "struct", "textwrap", "types", "typing", "unicodedata", "warnings", "zlib",
})  # fmt: skip
"""Modules of Python's own that do, too."""
CLOCKS = frozenset(
    f"time.{name}{suffix}" for name in ("monotonic", "perf_counter", "process_time", "thread_time")
    for suffix in ("", "_ns")
)  # fmt: skip
"""What an integrator may ask, as an estimate says how long it took."""
_IMPURE = frozenset(
    [f"builtins.{name}" for name in ("__import__", "breakpoint", "compile", "eval", "exec", "globals", "id", "input",
                                     "open")]
    + [f"numpy.{name}" for name in ("fromfile", "fromregex", "genfromtxt", "load", "loadtxt", "memmap")]
)  # fmt: skip
_PYTHON = os.path.dirname(os.__file__) + os.sep
_SOURCES = (".py", ".pyx", ".so", ".pyd")
_MANY = 5_000
_IMPURE_MODULES = ("numpy.ctypeslib", "numpy.f2py", "scipy.datasets", "scipy.io")


def root_of(module: str) -> str:
    """The package that a module belongs to."""
    return module.partition(".")[0]


def is_python(module: str) -> bool:
    """Is it a module of Python's own, and not one of that name in somebody's folder?"""
    root = root_of(module)
    if root not in sys.stdlib_module_names:
        return False
    file = getattr(sys.modules.get(root), "__file__", None)
    return file is None or (file.startswith(_PYTHON) and "-packages" not in file)


def is_library(module: str) -> bool:
    """Does code of that module compute the same from the same arguments in one version?"""
    root = root_of(module)
    return root in LIBRARIES or (root in PURE and is_python(module))


def counts_by_version(module: str) -> bool:
    """Is it a library's, one of Python's own, or of nnqft's core, so that its globals are not followed?"""
    return is_library(module) or is_python(module) or root_of(module) == "nnqft"


def is_impure(name: str, integrator: bool) -> bool:
    """Does what is called by that full name depend on more than its arguments, though its library does not?

    Random numbers and clocks are for integrators only.
    """
    if name.startswith("numpy.random") and not integrator:
        return True
    if name.startswith("nnqft.host."):
        return True  # it hands out whatever is installed
    return name in _IMPURE or any(name == module or name.startswith(module + ".") for module in _IMPURE_MODULES)


def is_installed(module: str) -> bool:
    """Is it among the packages of Python's installation, where nobody edits?"""
    return "-packages" in (getattr(sys.modules.get(root_of(module)), "__file__", None) or "")


class Crowds:
    """Counts functions, classes, modules and objects by the installed packages that they belong to.

    Attributes
    ----------
    large : set of str
        Packages of which more than a few thousand were met.
    """

    def __init__(self) -> None:
        self.large: set[str] = set()
        self._met: Counter[str] = Counter()

    def is_part(self, thing: Any) -> bool:
        """Is it part of a large package?"""
        if isinstance(thing, FunctionType):
            root = root_of(module_of(thing))
        elif isinstance(thing, ModuleType):
            root = root_of(thing.__name__)
        else:
            root = root_of((thing if isinstance(thing, type) else type(thing)).__module__)
        if not root or counts_by_version(root) or root in OURS or not is_installed(root):
            return False
        self._met[root] += 1
        if self._met[root] > _MANY:
            self.large.add(root)
        return root in self.large


def is_changed(thing: Any) -> bool:
    """May somebody have put that in a library's place: a number, or code of somebody else?"""
    if isinstance(thing, FunctionType):
        return not counts_by_version(module_of(thing))
    if isinstance(thing, type):
        return not counts_by_version(thing.__module__)
    return isinstance(thing, int | float | complex)


def place_of(thing: Any) -> tuple[str, str] | None:
    """Module and qualified name that lead to a class or to a function written in C; None if they lead elsewhere."""
    module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", getattr(thing, "__name__", None))
    if not (isinstance(module, str) and isinstance(name, str)):
        return None
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is thing:
        return module, name
    # Python's own types without a public name, such as that of functions.
    static = isinstance(thing, type) and not thing.__flags__ & (1 << 9)
    return (module, name) if static and module == "builtins" else None


def module_of(function: FunctionType) -> str:
    """The module whose globals a function uses; empty where these belong to no module that is imported.

    What a function says of itself is no proof: decorators copy it.
    """
    name = function.__globals__.get("__name__")
    module = sys.modules.get(name) if isinstance(name, str) else None
    known = isinstance(name, str) and isinstance(module, ModuleType) and vars(module) is function.__globals__
    return str(name) if known else ""


@cache
def version_of(root: str) -> str:
    """The version of a library as it is imported; Python's own are of Python's version."""
    if root in sys.stdlib_module_names:
        return "{}.{}".format(*sys.version_info)
    stated = getattr(sys.modules.get(root), "__version__", None)
    if isinstance(stated, str):
        return stated
    try:
        return version(root)
    except PackageNotFoundError:
        return "unknown"


class Sources:
    """The files of plugins' packages, read once a request."""

    def __init__(self) -> None:
        self._plugins: dict[str, str] | None = None
        self._known: dict[str, bytes] = {}

    def plugin(self, root: str) -> str | None:
        """Name and version of the distribution that brings a package as a plugin of nnqft; None if none does."""
        if self._plugins is None:
            points = entry_points(group="nnqft")
            self._plugins = {
                root_of(point.module): f"{point.dist.name} {point.dist.version}" for point in points if point.dist
            }
        return self._plugins.get(root)

    def digest(self, root: str) -> bytes:
        """(32 bytes) of the source files of a package and the version of its distribution."""
        if root not in self._known:
            digest = hashlib.blake2b(f"{root} {self.plugin(root)}".encode(), digest_size=32)
            module = sys.modules.get(root)
            files = [each for folder in getattr(module, "__path__", ()) for each in sorted(_files(folder))]
            alone = getattr(module, "__file__", None)
            for name, path in files or ([(b"", alone)] if isinstance(alone, str) else []):
                digest.update(len(name).to_bytes(4, "little") + name + _content(path))
            self._known[root] = digest.digest()
        return self._known[root]


def _files(folder: str) -> list[tuple[bytes, str]]:
    """Every source file below a folder, with its name from there.

    What code reads from other files while it runs cannot be seen, and what it read before is among its globals.
    """
    found = []
    for here, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__" and not name.startswith(".")]
        for name in names:
            path = os.path.join(here, name)
            if name.endswith(_SOURCES) and os.path.isfile(path):
                found.append((os.fsencode(os.path.relpath(path, folder)), path))
    return found


def _content(path: str) -> bytes:
    """The digest of a file; nothing where it cannot be read, as the code that is loaded counts in any case."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "blake2b").digest()
    except OSError:
        return b""
