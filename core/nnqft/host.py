"""Find, load and check plugins; hand them out by name.

Three things pluggy leaves to its users are done here: a name that is taken is refused (pluggy would let a
third party's `linear` shadow ours), a misspelt hook is an error (it would never be called), and a plugin that fails
to load costs only itself. And a hook is called only when something of its kind is first asked for: the modules behind
models and integrators are slow to import, and a command line that shows its help needs neither.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from threading import RLock
from typing import Any

import pluggy

from nnqft import hookspecs, interrupts
from nnqft.checks import whole_number
from nnqft.errors import InputError, NnqftError, PluginError, UnknownNameError, one_line, raised, short
from nnqft.graphs.diagram import Diagram
from nnqft.interfaces.executor import AbstractExecutor
from nnqft.interfaces.integrator import AbstractIntegrator
from nnqft.interfaces.model import AbstractModel, Summed
from nnqft.interfaces.observable import AbstractDerivedObservable, AbstractObservable
from nnqft.interfaces.parameter import Parameter
from nnqft.interfaces.simulator import AbstractSimulator

KINDS = {
    "nnqft_models": "model",
    "nnqft_observables": "observable",
    "nnqft_integrators": "integrator",
    "nnqft_sums": "sum",
    "nnqft_simulators": "simulator",
    "nnqft_executors": "executor",
    "nnqft_drawings": "drawing",
    "nnqft_commands": "command",
}
"""Hook → what its plugins are called in messages."""

_INTERFACES: dict[str, tuple[type, ...]] = {
    "model": (AbstractModel,),
    "observable": (AbstractObservable, AbstractDerivedObservable),
    "integrator": (AbstractIntegrator,),
    "simulator": (AbstractSimulator,),
}


class PluginWarning(UserWarning):
    """A plugin, or part of one, was skipped because it does not load or contradicts another."""


@dataclass
class Host:
    """The plugins, and what they brought.

    `find` imports them, and calls each hook when something of its kind is first asked for; `load` calls all at once.
    """

    _tables: dict[str, dict[str, tuple[Any, str]]] = field(
        default_factory=lambda: {kind: {} for kind in KINDS.values()}
    )
    _faults: dict[str, str] = field(default_factory=dict)
    _waiting: dict[str, list[tuple[str, Callable[[], Any]]]] = field(default_factory=dict)
    """kind → (name of a plugin, its hook), for hooks that were not called yet."""
    _lock: RLock = field(default_factory=RLock)
    """So that no thread sees a table that another is still filling."""

    @classmethod
    def find(cls, points: Iterable[EntryPoint] | None = None) -> Host:
        """Import all plugins of the entry-point group, nnqft's own first; warn of each that is skipped."""
        host = cls()
        manager = pluggy.PluginManager(hookspecs.GROUP)
        manager.add_hookspecs(hookspecs)
        points = entry_points(group=hookspecs.GROUP) if points is None else points
        seen: set[str] = set()
        for point in sorted(points, key=lambda p: (p.dist is None or p.dist.name != "nnqft", p.name, p.value)):
            # Two distributions may use one entry-point name; the later one is told apart by its own.
            name = point.name if point.name not in seen else f"{point.name} of {getattr(point.dist, 'name', '?')}"
            with host._isolated(name):
                if point.name in seen:
                    raise PluginError(f"the entry point {point.name!r} belongs to another plugin already; rename it")
                seen.add(point.name)
                host._add(manager, point)
        return host

    @classmethod
    def load(cls, points: Iterable[EntryPoint] | None = None) -> Host:
        """The same with every hook called."""
        host = cls.find(points)
        host._call_all()
        return host

    @property
    def found(self) -> dict[str, dict[str, tuple[Any, str]]]:
        """kind → name → (object, name of the plugin that brought it), of all kinds; see `table` for one."""
        self._call_all()
        return self._tables

    @property
    def broken(self) -> dict[str, str]:
        """Plugin name → why it, or part of it, was skipped."""
        self._call_all()
        return self._faults

    def table(self, kind: str) -> dict[str, tuple[Any, str]]:
        """name → (object, name of the plugin that brought it), of one kind; its hooks are called now, once."""
        with self._lock:
            for plugin, hook in self._waiting.pop(kind, ()):
                with self._isolated(plugin):
                    for name, thing in _items(plugin, kind, hook()):
                        with self._isolated(plugin):
                            self.register(kind, name, thing, plugin)
            return self._tables[kind]

    def register(self, kind: str, name: str, thing: Any, plugin: str) -> None:
        """Take one object of a plugin, or raise PluginError saying what is wrong with it."""
        if not isinstance(name, str) or not name:
            raise PluginError(f"plugin {plugin!r}: a {kind} has no name; set its attribute `name`")
        if name in self._tables[kind]:
            owner = self._tables[kind][name][1]
            raise PluginError(f"plugin {plugin!r}: {kind} {name!r} is already provided by plugin {owner!r}; rename it")
        wanted = _INTERFACES.get(kind)
        if wanted is not None and not isinstance(thing, wanted):
            classes = " or ".join(each.__name__ for each in wanted)
            raise PluginError(f"plugin {plugin!r}: {kind} {name!r} is not an instance of {classes}")
        if kind == "model" and not _is_model(thing):
            raise PluginError(f"plugin {plugin!r}: model {name!r} lacks `parameters` (name to Parameter) or `starts`")
        if kind == "command" and not (isinstance(thing, str) and all(thing.partition(":"))):
            raise PluginError(f"plugin {plugin!r}: {kind} {name!r} is {short(thing)}; wanted text, 'module:function'")
        if kind in ("sum", "executor", "drawing") and not callable(thing):
            raise PluginError(f"plugin {plugin!r}: {kind} {name!r} is not callable")
        self._tables[kind][name] = thing, plugin

    def model(self, name: object) -> AbstractModel:
        """The model of that name; raises as `get` does."""
        model: AbstractModel = self.get("model", name)
        return model

    def observable(self, name: object) -> AbstractObservable | AbstractDerivedObservable:
        """The observable of that name, with legs or derived; raises as `get` does."""
        observable: AbstractObservable | AbstractDerivedObservable = self.get("observable", name)
        return observable

    def integrator(self, name: object) -> AbstractIntegrator:
        """The integrator of that name; raises as `get` does."""
        integrator: AbstractIntegrator = self.get("integrator", name)
        return integrator

    def integrators(self) -> list[AbstractIntegrator]:
        """All integrators, in the order in which they were installed."""
        return [thing for thing, _ in self.table("integrator").values()]

    def sums(self) -> list[Callable[..., Summed | None]]:
        """All sums of all orders, in the order in which they were installed."""
        return [thing for thing, _ in self.table("sum").values()]

    def simulators(self) -> list[AbstractSimulator]:
        """All simulators, in the order in which they were installed."""
        return [thing for thing, _ in self.table("simulator").values()]

    def executor(self, name: object) -> Callable[..., AbstractExecutor]:
        """The factory of executors of that name; raises as `get` does."""
        factory: Callable[..., AbstractExecutor] = self.get("executor", name)
        return factory

    def drawing(self, name: object) -> Callable[[Diagram], str]:
        """The function that draws in the format of that name; raises as `get` does."""
        draw: Callable[[Diagram], str] = self.get("drawing", name)
        return draw

    def get(self, kind: str, name: object) -> Any:
        """The object of that kind and name.

        Raises
        ------
        UnknownNameError
            With the nearest name.
        PluginError
            If a plugin of that name is broken, with the cause.
        """
        table = self.table(kind)
        asked = str.__str__(name) if isinstance(name, str) else None  # whatever a class of strings makes of its hash
        if asked in table:
            return table[asked][0]
        if asked in self.broken:
            raise PluginError(f"{kind} {asked!r} cannot be used: {self.broken[asked]}")
        broken = f" (broken plugins: {', '.join(sorted(self.broken))})" if self.broken else ""
        raise UnknownNameError(kind, name, table, broken)

    def _add(self, manager: pluggy.PluginManager, point: EntryPoint) -> None:
        plugin = point.load()
        _check_hooks(point.name, plugin)
        manager.register(plugin, name=point.name)
        for caller in manager.get_hookcallers(plugin) or []:
            own = next(i for i in caller.get_hookimpls() if i.plugin is plugin)
            self._waiting.setdefault(KINDS[caller.name], []).append((point.name, own.function))

    def _call_all(self) -> None:
        for kind in KINDS.values():
            self.table(kind)

    @contextmanager
    def _isolated(self, plugin: str) -> Iterator[None]:
        """Take down and warn of what a plugin raises, and go on without it."""
        try:
            yield
        except Exception as error:  # a plugin's code may raise anything, and must harm nothing else
            cause = one_line(str(error) if isinstance(error, PluginError) else raised(error))
            self._faults[plugin] = f"{self._faults[plugin]}; {cause}" if plugin in self._faults else cause
            warnings.warn(f"nnqft skipped (part of) plugin {plugin!r}: {cause}", PluginWarning, stacklevel=4)


def _is_model(thing: AbstractModel) -> bool:
    parameters, starts = getattr(thing, "parameters", None), getattr(thing, "starts", ())
    return (
        isinstance(parameters, Mapping)
        and all(isinstance(spec, Parameter) for spec in parameters.values())
        and len(starts) > 0
    )


@contextmanager
def plugin_errors(what: str) -> Iterator[None]:
    """Turn whatever a plugin's method raises into a PluginError that says which plugin, what happened and where."""
    try:
        yield
    except NnqftError:
        raise
    except Exception as error:
        # The outermost frames are this one and that of the `with`.
        raise PluginError(f"{what} raised {raised(error, outer=2)}") from error


def _check_hooks(name: str, plugin: Any) -> None:
    """Refuse hooks that nobody would call: misspelt ones, and ones without the @hookimpl mark."""
    marker = hookspecs.GROUP + "_impl"
    for attribute, value in inspect.getmembers(plugin, callable):
        marked = getattr(value, marker, None) is not None
        if marked and attribute not in KINDS:
            raise PluginError(f"plugin {name!r}: " + str(UnknownNameError("hook", attribute, KINDS)))
        if attribute in KINDS and not marked:
            raise PluginError(f"plugin {name!r}: {attribute} lacks the @nnqft.hookimpl decorator")


def _items(plugin: str, kind: str, returned: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(returned, Mapping):
        return returned.items()
    try:
        return [(getattr(thing, "name", None), thing) for thing in returned]
    except TypeError:
        raise PluginError(f"plugin {plugin!r}: its {kind}s came as {short(returned)}, wanted a list") from None


@cache
def default_host() -> Host:
    """The host of the installed plugins, found once."""
    return Host.find()


def open_executor(executor: object, workers: object = None, address: object = None) -> AbstractExecutor:
    """The executor itself if one is given, else a new one of that name, which the caller closes.

    Raises
    ------
    InputError
        If the name, the number of workers or the address make no sense.
    """
    if isinstance(executor, AbstractExecutor):
        return executor
    factory = default_host().executor(executor)
    if workers is not None:
        workers = whole_number("workers", workers, 1)
    if address is not None and (not isinstance(address, str) or not address.strip()):
        raise InputError(f"address={short(address)}: wanted text, write for example address='auto'")
    interrupts.work_begins()
    with plugin_errors(f"executor {executor!r}"):
        return factory(workers=workers, address=address)


@contextmanager
def running(executor: object, workers: object = None, address: object = None) -> Iterator[AbstractExecutor]:
    """Give the executor that `open_executor` opens; at the end it is closed, unless it was given by the caller."""
    opened = open_executor(executor, workers, address)
    try:
        yield opened
    finally:
        if opened is not executor:
            opened.close()
