"""The pool of tasks on Ray: an embedded cluster of this machine's cores, or one that is there already."""

from __future__ import annotations

import logging
import math
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from typing import Any

from nnqft import ExecutorError
from nnqft.errors import one_line
from nnqft_workers.pool import AbstractPool, Lost, Parcel, run_parcel

_PORT_SECONDS = 4.0
CONNECT_SECONDS = 25.0
"""How long an address may take to answer before it counts as unreachable."""
_RESOURCES_SECONDS = 1.0
"""How old the count of the cluster's cores may be."""
_STORE_BYTES = 128 * 1024**2
"""Object store of an embedded cluster: chunks are a few kilobytes."""


class RayPool(AbstractPool):
    """Ray tasks: one core each, or one GPU each where the work asks for one.

    Nothing is retried by Ray: a task that dies is reported lost, and sent again by who submitted it. A node that
    joins gets work at once, since tasks wait in Ray's own queue, and counts as slots within a second.

    Parameters
    ----------
    workers
        Tasks at a time; by default the cores of the machine or cluster, whatever they are at the time.
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
        self._limit = workers
        self._resources: dict[str, float] = {}
        self._asked = -math.inf
        self._flying: dict[Any, Parcel] = {}
        # Ray would start a new process for every task on a GPU, which compiles everything again: hence max_calls=0.
        options = {"max_retries": 0, "max_calls": 0}
        self._run = {
            "cpu": ray.remote(num_cpus=1, **options)(run_parcel),
            "gpu": ray.remote(num_cpus=0, num_gpus=1, **options)(run_parcel),
        }

    def slots(self, device: str) -> int:
        """How many cores or GPUs the cluster has now."""
        if time.monotonic() - self._asked > _RESOURCES_SECONDS:
            self._resources = self._ray.cluster_resources()
            self._asked = time.monotonic()
        count = int(self._resources.get(device.upper(), 0))
        return min(count, self._limit) if self._limit and device == "cpu" else count

    def submit(self, parcel: Parcel) -> None:
        """Start one Ray task for the parcel."""
        try:
            reference = self._run[parcel.device].remote(parcel.function, parcel.items)
        except Exception as error:  # what cannot be pickled raises a dozen types
            cause = one_line(str(error).strip().partition("\n")[0])
            raise ExecutorError(
                f"{parcel.label} cannot be sent to Ray ({cause});"
                " define its functions at the top of an importable module, or write executor='local'"
            ) from error
        self._flying[reference] = parcel

    def collect(self, timeout: float) -> list[tuple[Parcel, list[Any] | Lost]]:
        """The parcels that have finished, and as lost those that wait for a GPU that is gone."""
        flying = list(self._flying)
        if not flying:
            return []
        ready, _ = self._ray.wait(flying, num_returns=1, timeout=timeout)
        if ready:
            ready, _ = self._ray.wait(flying, num_returns=len(flying), timeout=0)
        done = [(self._flying.pop(reference), self._result(reference)) for reference in ready]
        if any(parcel.device == "gpu" for parcel in self._flying.values()) and not self.slots("gpu"):
            stranded = [reference for reference, parcel in self._flying.items() if parcel.device == "gpu"]
            for reference in stranded:
                done.append((self._flying.pop(reference), Lost("the last GPU left the cluster", blame=False)))
        return done

    def forget(self) -> None:
        """Let what is in flight, two short parcels for each worker, run to its end unheard.

        Cancelling a task just as it ends makes Ray 2.60 abort this process ("tried to complete task that was not
        pending").
        """
        self._flying.clear()

    def close(self) -> None:
        """Leave the cluster; an embedded one ends."""
        if self._owner:
            self._ray.shutdown()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _result(self, reference: Any) -> list[Any] | Lost:
        exceptions = self._ray.exceptions
        try:
            results: list[Any] = self._ray.get(reference)
            return results
        except exceptions.RayTaskError as error:
            # Not from the function, whose errors come back as results: its module is not on the worker, say.
            cause = one_line(str(getattr(error, "cause", None) or error).strip().splitlines()[-1])
            raise ExecutorError(
                f"a Ray worker cannot run the work: {cause}; install the same packages there"
            ) from error
        except (exceptions.RuntimeEnvSetupError, exceptions.TaskUnschedulableError) as error:
            raise ExecutorError(f"Ray cannot run the work: {one_line(str(error))[:300]}") from error
        except exceptions.OutOfMemoryError:
            return Lost("Ray ended it because the node ran out of memory")
        except exceptions.NodeDiedError:
            return Lost("its node left the cluster", blame=False)
        except exceptions.RayError as error:
            return Lost(one_line(str(error).strip().partition("\n")[0])[:200])


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
            " start one with 'ray start --head', or leave the address out for an embedded cluster;"
            " if one runs there, RAY_AUTH_MODE and RAY_AUTH_TOKEN may differ from its own"
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
