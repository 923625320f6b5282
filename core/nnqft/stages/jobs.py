"""From diagrams to pieces of work: their time integrals, who computes each, and its seeds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nnqft.errors import InputError
from nnqft.graphs.diagram_set import DiagramSet
from nnqft.host import default_host, plugin_errors
from nnqft.integrals.distinct import distinct_integrals
from nnqft.integrals.integral import TimeIntegral
from nnqft.interfaces.executor import Work
from nnqft.interfaces.integrator import AbstractIntegrator


@dataclass(frozen=True, eq=False)
class Job:
    """All work of a computation.

    Attributes
    ----------
    work
        What an executor gets.
    which : (D,) integers
        The piece of work that holds each diagram's integral. Exact integrators compute equal integrals once;
        sampled diagrams have a piece each, so that their errors are independent.
    passed_over
        Why preferred integrators did not take diagrams, and the numbers of these.
    """

    work: list[Work]
    which: np.ndarray
    passed_over: dict[str, list[int]]


def make_job(diagrams: DiagramSet, times: np.ndarray, integrator: str) -> Job:
    """The work of all diagrams at the times of their external legs.

    Raises
    ------
    InputError
        If no integrator supports one of the integrals, with the reasons.
    """
    candidates = candidates_of(integrator)
    integrals, same = distinct_integrals(diagrams, times)
    choices = [choose(candidates, integral) for integral in integrals]
    _refuse_unsupported(diagrams, integrator, choices, same)
    chosen = [each for each, _ in choices if each is not None]
    state_words = [_words(integral.key) for integral in integrals]
    work: list[Work] = []
    which = np.empty(len(diagrams), np.int64)
    piece_of: dict[int, int] = {}
    weights = diagrams.weights
    summed = np.bincount(same, weights, minlength=len(integrals))
    passed_over: dict[str, list[int]] = {}
    for number, n in enumerate(same.tolist()):
        if choices[n][1]:
            passed_over.setdefault(choices[n][1], []).append(number)
        # Exact: the diagrams with this integral share one piece, with their weights summed. Sampled: each has its own.
        if chosen[n].exact and n in piece_of:
            which[number] = piece_of[n]
            continue
        seed_words = (0,) if chosen[n].exact else (int(diagrams.digest(number), 16),)
        piece_of[n] = which[number] = len(work)
        weight = float(summed[n] if chosen[n].exact else weights[number])
        label = _label(diagrams, number)
        work.append(Work(label, integrals[n], chosen[n], weight, seed_words, state_words[n]))
    return Job(work, which, passed_over)


def _label(diagrams: DiagramSet, number: int) -> str:
    """How messages name a diagram."""
    return f"diagram {number} (order {diagrams.orders[number]}, width order {diagrams.widths[number]})"


def _words(key: str) -> tuple[int, ...]:
    """128 bits of a text as words of entropy."""
    return (int.from_bytes(hashlib.blake2b(key.encode(), digest_size=16).digest()),)


def candidates_of(integrator: str) -> list[AbstractIntegrator]:
    """The integrator that was named, or for "auto" all of them, exact ones first."""
    host = default_host()
    if integrator != "auto":
        return [host.integrator(integrator)]
    return sorted(host.integrators(), key=lambda i: not i.exact)


Choice = tuple[AbstractIntegrator | None, str]
"""The integrator that takes an integral, None if none does, and why those asked before it did not."""


def choose(candidates: Sequence[AbstractIntegrator], integral: TimeIntegral) -> Choice:
    """The first candidate that supports the integral, and why those before it did not.

    `supports` may answer with anything that is no text and counts as True; text is a reason even if it is empty.
    """
    reasons: list[str] = []
    for candidate in candidates:
        with plugin_errors(f"integrator {candidate.name!r}"):
            answer = candidate.supports(integral)
        if not isinstance(answer, str) and bool(answer):
            return candidate, "; ".join(reasons)
        reasons.append(f"{candidate.name}: {answer}")
    return None, "; ".join(reasons) or "none is installed"


def _refuse_unsupported(diagrams: DiagramSet, integrator: str, choices: Sequence[Choice], same: np.ndarray) -> None:
    """InputError if no integrator takes some of the integrals, saying how many diagrams they are and what helps."""
    refused = [number for number, n in enumerate(same.tolist()) if choices[n][0] is None]
    if not refused:
        return
    reason = choices[same[refused[0]]][1]
    if integrator == "auto":
        raise InputError(f"no integrator takes {_label(diagrams, refused[0])} ({reason})")
    raise InputError(
        f"integrator {integrator!r} does not take {len(refused)} of {len(diagrams)} diagrams, such as"
        f" {_label(diagrams, refused[0])} ({reason}); write integrator='auto', which leaves these to another one"
    )


def number_ranges(numbers: Sequence[int]) -> str:
    """Ascending numbers in short: ``"3, 5–7"``, at most a few ranges."""
    ranges: list[list[int]] = []
    for n in numbers:
        if ranges and n == ranges[-1][1] + 1:
            ranges[-1][1] = n
        else:
            ranges.append([n, n])
    parts = [f"{first}" if first == last else f"{first}–{last}" for first, last in ranges[:_RANGES]]
    return ", ".join(parts) + (", …" if len(ranges) > _RANGES else "")


_RANGES = 6
