"""Read what another process has pickled; a class that goes by value stays one class, however often it goes."""

from __future__ import annotations

import functools
import io
import pickle
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import EnumMeta
from types import GetSetDescriptorType, MemberDescriptorType, ModuleType
from typing import Any
from weakref import WeakSet

TRAVELLED: WeakSet[type] = WeakSet()
"""Classes that went to another process by value, or came from one."""
_STAYS = frozenset({
    "__abstractmethods__", "__dict__", "__doc__", "__module__", "__slotnames__", "__slots__", "__weakref__", "_abc_impl"
})  # fmt: skip
"""What a class has beside what was written of it."""


def read(data: bytes, ours: bool = False) -> tuple[Any, dict[str, ModuleType]]:
    """What was written, and the modules for `in_place`.

    `ours` says that classes that were there before stay as they are. A class that went by value is one class in each
    process, however often it travels: what comes from the caller is news of it, what comes back to the caller is not.
    """
    thing, modules = _Reader(io.BytesIO(data), ours).load()
    return thing, modules


@contextmanager
def in_place(modules: Mapping[str, ModuleType]) -> Iterator[None]:
    """Have imports find these modules for a while."""
    before = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module


class _Reader(pickle.Unpickler):
    """Tells classes that are new here from those that were there before."""

    def __init__(self, file: io.BytesIO, ours: bool) -> None:
        super().__init__(file)
        self._ours = ours
        self._before: list[type] = []

    def find_class(self, module: str, name: str) -> Any:
        """What a name stands for."""
        found = super().find_class(module, name)
        if module == "cloudpickle.cloudpickle":
            if name.startswith("_make_skeleton_"):
                return functools.partial(self._class, found)
            if name == "_class_setstate":
                return functools.partial(self._set_class, found)
        return found

    def _class(self, make: Callable[..., type], *arguments: Any) -> type:
        made = make(*arguments)
        if made in TRAVELLED:
            self._before.append(made)
            bases = next(each for each in arguments if isinstance(each, tuple)) or (object,)
            if not self._ours and made.__bases__ != bases:
                made.__bases__ = bases
        TRAVELLED.add(made)
        return made

    def _set_class(self, set_state: Callable[..., type], cls: type, state: tuple[dict[str, Any], Any]) -> type:
        if any(each is cls for each in self._before):
            if self._ours:
                return cls
            for name, each in list(vars(cls).items()):
                there = name in state[0] or name in _STAYS or isinstance(each, MemberDescriptorType)
                if not (there or isinstance(cls, EnumMeta) or isinstance(each, GetSetDescriptorType)):
                    delattr(cls, name)
        return set_state(cls, state)
