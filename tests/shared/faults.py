"""Faults, made where a test wants them, and what waits for their consequences without a clock."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from numpy.testing import assert_array_equal

import nnqft

REQUEST = {"order": 2, "tau": [0.0, 0.5, 2.0], "integrator": "vegas", "seed": 11}
CHUNK_COST = 5e7
"""Operations of a chunk where a test is to have hundreds of them in a second."""
LONG = REQUEST | {"neval": 1_200_000}


def compute(**more) -> nnqft.Result:
    return nnqft.compute(
        nnqft.theory("cubic_tanh", N=5, sigma_w=0.5, expansion="bare"), "two_point", width_order=0, **more
    )


@contextlib.contextmanager
def small_chunks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nnqft_workers.rounds.CHUNK_COST", CHUNK_COST)
        yield


def assert_nothing_lost(one: nnqft.Result, two: nnqft.Result) -> None:
    """The same numbers bit by bit, whatever their notes tell of the way there."""
    assert_array_equal(one.mean, two.mean)
    assert_array_equal(one.cov, two.cov)
    assert one.reason == two.reason
    assert [row.samples for row in one.diagrams] == [row.samples for row in two.diagrams]


def children(parents: set[int], mark: bytes = b"") -> list[int]:
    """Processes of these parents whose command line holds the mark: nobody else's are touched."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent in parents and mark in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return sorted(found)


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until it holds; a test that waits for ever has failed, however slow the machine."""
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
