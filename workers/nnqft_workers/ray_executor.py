"""Run on Ray: an embedded cluster of this machine's cores, or one that is there already."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from nnqft import ExecutorError
from nnqft_workers.pool import AbstractPool, in_order, run_batch

_PORT_SECONDS = 4.0
CONNECT_SECONDS = 25.0
"""How long an address may take to answer before it counts as unreachable."""
_STORE_BYTES = 128 * 1024**2
"""Object store of an embedded cluster: chunks are a few kilobytes."""


class RayPool(AbstractPool):
    """Ray tasks of one core each.

    Parameters
    ----------
    workers
        Tasks at a time; by default the cores of the machine or cluster.
    address
        None starts an embedded cluster, which ends with the pool; ``"auto"``, ``"host:port"`` or
        ``"ray://host:port"`` connects to one. A cluster that this process is connected to already is used as it is.

    Raises
    ------
    ExecutorError
        If there is no cluster at the address, within 30 seconds.
    """

    def __init__(self, workers: int | None = None, address: str | None = None) -> None:
        # Ray reads these when it is imported; a user's own settings stay.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        import ray

        self._ray = ray
        self._owner = not ray.is_initialized()
        self._folder: str | None = None
        if self._owner:
            if address is not None:
                _probe(address)
            else:
                # Ray keeps its session folders for ever, and its sockets need a short path.
                self._folder = tempfile.mkdtemp(prefix="nnqft-ray-", dir="/tmp")
            _start(ray, workers, address, self._folder)
        self.workers = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        self._run = ray.remote(num_cpus=1)(run_batch)

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        """Results in order; several small items travel together, a few batches ahead of each worker."""
        return in_order(items, self.workers, partial(self._run.remote, function), self._get, self._ray.cancel)

    def close(self) -> None:
        """Leave the cluster; an embedded one ends."""
        if self._owner:
            self._ray.shutdown()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _get(self, reference: Any) -> list[Any]:
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            raise getattr(error, "cause", None) or error from None
        except self._ray.exceptions.RayError as error:
            raise ExecutorError(f"Ray lost a task for good: {str(error).splitlines()[0]}") from error


def _start(ray: Any, workers: int | None, address: str | None, folder: str | None) -> None:
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address is None:
        options |= {
            "num_cpus": workers or os.cpu_count(),
            "include_dashboard": False,
            "object_store_memory": _STORE_BYTES,
            "_temp_dir": folder,
        }
    try:
        # Not None: that would join a cluster that happens to run on this machine.
        ray.init(address=address or "local", **options)
    except Exception as error:  # Ray raises a dozen types here, and none is ours
        where = f"connect to Ray at {address!r}" if address else "start an embedded Ray cluster"
        raise ExecutorError(f"cannot {where}: {str(error).splitlines()[0]}") from error


def _probe(address: str) -> None:
    """Raise ExecutorError unless a Ray cluster answers at the address."""
    cause = _refused(address) or _ray_refuses(address)
    if cause:
        raise ExecutorError(
            f"no Ray cluster answers at address={address!r} ({cause});"
            " start one with 'ray start --head', or leave the address out for an embedded cluster"
        )


def _refused(address: str) -> str | None:
    """Why nothing listens at ``host:port``, as far as a plain connection tells; None if it may be Ray."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not (host and port.isdecimal() and int(port) < 65536):
        return None
    try:
        socket.create_connection((host, int(port)), timeout=_PORT_SECONDS).close()
    except OSError as error:
        return error.strerror or str(error)
    return None


def _ray_refuses(address: str) -> str | None:
    """Try to connect in a process of its own: Ray may retry for minutes, or abort the process it runs in."""
    code = "import sys, ray; ray.init(address=sys.argv[1], log_to_driver=False)"
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, address],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=CONNECT_SECONDS - _PORT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "it is not Ray that listens there, or it hangs"
    if done.returncode == 0:
        return None
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else f"Ray ended with status {done.returncode}"
