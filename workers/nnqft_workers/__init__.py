"""Where work runs: in this process, in several, or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from nnqft import AbstractExecutor, InputError, Outcome, Target, Work, hookimpl, short
from nnqft_workers.pool import AbstractPool

Item = TypeVar("Item")
Value = TypeVar("Value")


@dataclass
class PoolExecutor(AbstractExecutor):
    """An executor that runs the scheduler on some pool of workers."""

    name: str
    pool: AbstractPool
    durable: bool = True

    def evaluate(self, work: Sequence[Work], target: Target, progress: Callable[[Mapping[str, Any]], None]) -> Outcome:
        """Sample all work until the weighted sum meets the target."""
        from nnqft_workers.scheduler import schedule

        return schedule(work, target, self.pool, progress)

    def map(self, function: Callable[[Item], Value], items: Sequence[Item]) -> Iterator[Value]:
        """Results of a pure function on the pool, in the order of the items."""
        from nnqft_workers.dispatcher import map_in_order

        return map_in_order(self.pool, function, items)

    @property
    def parallel(self) -> int:
        """The workers that are there now."""
        return max(1, self.pool.slots("cpu"))

    def close(self) -> None:
        """Stop the workers of the pool."""
        self.pool.close()


def _no_address(name: str, address: str | None) -> None:
    if address is not None:
        raise InputError(f"executor {name!r} takes no address; write executor='ray', address={address!r}")


def make_local(workers: int | None = None, address: str | None = None) -> AbstractExecutor:
    """An executor that runs everything in this process."""
    from nnqft_workers.local import LocalPool

    _no_address("local", address)
    if workers not in (None, 1):
        raise InputError(f"executor 'local' has one worker, not {short(workers)}; write executor='processes'")
    return PoolExecutor("local", LocalPool())


def make_processes(workers: int | None = None, address: str | None = None) -> AbstractExecutor:
    """An executor on processes of this machine, by default one a core."""
    from nnqft_workers.processes import ProcessPool

    _no_address("processes", address)
    return PoolExecutor("processes", ProcessPool(workers))


def make_ray(workers: int | None = None, address: str | None = None) -> AbstractExecutor:
    """An executor on Ray: an embedded cluster with the machine's cores, or the one at `address`."""
    from nnqft_workers.ray_executor import RayPool

    return PoolExecutor("ray", RayPool(workers, address))


@hookimpl
def nnqft_executors() -> Mapping[str, Callable[..., AbstractExecutor]]:
    """The three executors by name."""
    return {"local": make_local, "processes": make_processes, "ray": make_ray}


@hookimpl
def nnqft_commands() -> Mapping[str, str]:
    """The commands that work on ledgers."""
    return {
        "resume": "nnqft_workers.command:resume",
        "ledger": "nnqft_workers.command:ledger",
        "repair": "nnqft_workers.command:repair",
    }
