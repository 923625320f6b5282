"""Fingerprints: equal for integrals and integrators that give equal numbers, whatever asked for them."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import version
from typing import Any

from nnqft import AbstractIntegrator, TimeIntegral
from nnqft.errors import short
from nnqft.identity.abstract import UnseenError
from nnqft.identity.libraries import OURS, Sources
from nnqft.identity.values import codes_of
from nnqft.identity.walk import Walk

_FORMAT = "2"
"""Changes with what a fingerprint is made of, so that older ledgers are computed again."""
_LOOKS_DEEPER = frozenset({"theory", "propagators", "__dict__", "vars", "asdict", "astuple", "fields"})
"""Words in the code of an integrator that may see more of a theory than the integrand does."""


class Fingerprints:
    """The fingerprints of one request; the next one looks at everything anew, as what code names may change.

    What cannot be seen to the bottom has none, and `notes` say why.
    """

    def __init__(self) -> None:
        self._sources = Sources()
        self._known: dict[tuple[object, ...], bytes | UnseenError] = {}
        self._deeper: dict[int, bool] = {}
        self._held: list[object] = []
        self._notes: dict[str, None] = {}

    @property
    def notes(self) -> tuple[str, ...]:
        """What has no fingerprint, and why, one line each."""
        return tuple(self._notes)

    def of(self, integral: TimeIntegral, *integrators: AbstractIntegrator) -> bytes | None:
        """(32 bytes) of an integral and of the integrators that work on it, None if one of them has none."""
        prints = [self.integrator(each) for each in integrators]
        deeper = any(self._deeper.get(id(each), False) for each in integrators)
        prints.append(self.integral(integral, deeper))
        if None in prints:
            return None
        return _hash(*(each for each in prints if each is not None))

    def integrator(self, integrator: AbstractIntegrator) -> bytes | None:
        """(32 bytes) of an integrator: its code, and that of all it calls, its class and its settings."""
        who = f"integrator {short(integrator.name)} ({type(integrator).__module__})"

        def walked() -> bytes:
            walk = Walk(integrator=True)
            found = walk.digest(integrator)
            bundled = type(integrator).__module__.partition(".")[0] in OURS
            self._deeper[id(integrator)] = not bundled and not _LOOKS_DEEPER.isdisjoint(walk.words)
            return self._with_sources(walk, found)

        return self._remember(("integrator", id(integrator)), who, walked, integrator)

    def integral(self, integral: TimeIntegral, deeper: bool = False) -> bytes | None:
        """(32 bytes) of the integrand on the unit cube: times, forest, lines with their values, factors with theirs.

        Weights, couplings and the width are no part of an integral, so networks of any N and σ_w share it; `deeper`
        adds all of the theory, for integrators that look at more than the integrand.
        """
        key = ("integral", id(integral), deeper)
        if key not in self._known:
            self._held.append(integral)
            parts = self._parts(integral, deeper)
            self._known[key] = UnseenError() if None in parts else _hash(*(each for each in parts if each is not None))
        found = self._known[key]
        return found if isinstance(found, bytes) else None

    def _parts(self, integral: TimeIntegral, deeper: bool) -> list[bytes | None]:
        theory = integral.theory
        of = f"of model {short(theory.model)}"
        words = (theory.stationary, theory.timeless, integral.times.shape, integral.key)
        parts: list[bytes | None] = [_ours(), repr(words).encode(), integral.times.tobytes()]
        used = {line.propagator for line in integral.lines} | {b.propagator for b in integral.branches if b.parent >= 0}
        for name in sorted(used):
            line = integral.propagators[name]
            parts.append(name.encode())
            what = {"terms": line.terms, "kernel": line.kernel, "delay": line.delay, "params": line.params}
            parts += [self._thing(f"{part} of propagator {name!r} {of}", thing) for part, thing in what.items()]
        vertices = {vertex.name: vertex for vertex in theory.interactions}
        for name in sorted({name for name, _ in integral.factors}):
            parts.append(name.encode())
            parts.append(self._thing(f"kernel of vertex {name!r} {of}", vertices[name].kernel))
            parts.append(self._parameters(theory.parameters, of))
        if deeper:
            parts.append(self._thing(f"theory {of}", theory))
        return parts

    def _parameters(self, parameters: Mapping[str, Any], of: str) -> bytes | None:
        def walked() -> bytes:
            walk = Walk()
            return self._with_sources(walk, walk.digest(tuple(sorted(parameters.items()))))

        return self._remember(("parameters", id(parameters)), f"parameters {of}", walked, parameters)

    def _thing(self, what: str, thing: object) -> bytes | None:
        """Of a kernel, parameters, or what else an integrand calls or uses."""

        def walked() -> bytes:
            walk = Walk()
            return self._with_sources(walk, walk.digest(thing))

        return self._remember(("thing", id(thing)), what, walked, thing)

    def _remember(self, key: tuple[object, ...], what: str, walked: Callable[[], bytes], thing: object) -> bytes | None:
        if key not in self._known:
            self._held.append(thing)  # so that no other object gets its id
            try:
                self._known[key] = walked()
            except UnseenError as error:
                self._known[key] = error
        found = self._known[key]
        if isinstance(found, bytes):
            return found
        self._notes[f"not kept in the ledger: what depends on the {what}; it uses {found}"] = None
        return None

    def _with_sources(self, walk: Walk, found: bytes) -> bytes:
        """With the version and files of the plugins that code came from."""
        plugins = [root for root in sorted(walk.packages - OURS) if self._sources.plugin(root) is not None]
        return _hash(found, *(self._sources.digest(root) for root in plugins))


@cache
def _ours() -> bytes:
    """(32 bytes) of this version of nnqft, by its files and by the code of the integrand as it was imported.

    Once a process: what has been imported stays as it is, whatever happens to the files.
    """
    rooms = [name for name in sorted(sys.modules) if name.startswith("nnqft.integrals.")]
    codes = [
        code
        for room in rooms
        for _, each in sorted(vars(sys.modules[room]).items())
        if isinstance(each, type) and each.__module__ == room
        for code in codes_of(each)
    ]
    sources = Sources()
    files = [sources.digest(root) for root in sorted(OURS)]
    return _hash(_FORMAT.encode(), version("nnqft").encode(), *files, *codes)


def _hash(*parts: bytes) -> bytes:
    digest = hashlib.blake2b(digest_size=32)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.digest()
