"""Fingerprints: equal for integrals and integrators that give equal numbers, whatever asked for them."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterator
from importlib.metadata import version
from types import CodeType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nnqft import AbstractIntegrator
    from nnqft.integrals.integral import TimeIntegral


def integral_fingerprint(integral: TimeIntegral) -> bytes:
    """(32 bytes) of the integrand on the unit cube: times, forest, lines with their values, factors with theirs.

    Weights, couplings and the width are no part of an integral, so networks of any N and σ_w share it. A line that is
    a function counts by its own code and parameters; what it calls is not seen.
    """
    theory = integral.theory
    digest = hashlib.blake2b(digest_size=32)
    digest.update(repr((theory.stationary, theory.timeless, integral.times.shape, integral.key)).encode())
    digest.update(integral.times.tobytes())
    used = {line.propagator for line in integral.lines} | {b.propagator for b in integral.branches if b.parent >= 0}
    for name in sorted(used):
        line = integral.propagators[name]
        digest.update(repr((name, line.terms)).encode())
        if line.kernel is not None or line.delay is not None:
            digest.update(_of_object((line.params, line.kernel, line.delay)))
    vertices = {vertex.name: vertex for vertex in theory.interactions}
    for name in sorted({name for name, _ in integral.factors}):
        digest.update(_of_object((name, vertices[name].kernel, tuple(sorted(theory.parameters.items())))))
    return digest.digest()


def integrator_fingerprint(integrator: AbstractIntegrator) -> bytes:
    """(32 bytes) of an integrator with its settings, in this version of nnqft."""
    kind = type(integrator)
    digest = hashlib.blake2b(digest_size=32)
    digest.update(repr((version("nnqft"), kind.__module__, kind.__qualname__)).encode())
    digest.update(_of_object(tuple(sorted(getattr(integrator, "__dict__", {}).items()))))
    return digest.digest()


def _of_object(thing: Any) -> bytes:
    """Bytes that tell values apart; functions count by their code, so that an edit is seen."""
    if isinstance(thing, tuple):
        return b"(" + b",".join(_of_object(each) for each in thing) + b")"
    code = getattr(thing, "__code__", None)
    if isinstance(code, CodeType):
        name = repr((thing.__module__, thing.__qualname__, thing.__defaults__))
        return b"".join([name.encode(), *_of_code(code)])
    return pickle.dumps(thing, protocol=4)


def _of_code(code: CodeType) -> Iterator[bytes]:
    yield code.co_code
    yield repr(code.co_names).encode()
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _of_code(constant)
        else:
            yield repr(constant).encode()
