"""The pool of tasks on Ray: an embedded cluster of this machine's cores, or one that is there already."""

from __future__ import annotations

import socket
import sys
from typing import Any

from nnqft import ExecutorError
from nnqft.errors import one_line
from nnqft_workers.letters import Post
from nnqft_workers.pool import AbstractPool, Lost, Parcel
from nnqft_workers.ray_process import RayProcess

_PORT_SECONDS = 4.0
CONNECT_SECONDS = 25.0
"""How long an address may take to answer before it counts as unreachable."""
_START_SECONDS = 180.0
"""How long an embedded cluster may take to start."""


class RayPool(AbstractPool):
    """Ray tasks: one core each, or one GPU each where the work asks for one.

    Ray itself runs in a process of its own, since it may end the one it runs in, changes what that does with signals
    and environment, and writes where it likes. What a parcel is made of is packed and unpacked here and on the
    workers. A node that joins gets work at once, since tasks wait in Ray's own queue, and counts as slots within a
    second.

    Parameters
    ----------
    workers
        Tasks at a time; by default the cores of the machine or cluster, whatever they are at the time.
    address
        ``"auto"``, ``"host:port"`` or ``"ray://host:port"`` connects to a cluster. None takes the one that this
        process is connected to, with the same runtime environment, or else starts an embedded one, which listens to
        this machine only and ends with the pool.

    Raises
    ------
    ExecutorError
        If there is no cluster at the address, within 30 seconds.
    """

    # Ray keeps a worker for its caller only while a task waits for it, and a task takes it some milliseconds.
    ahead = 2

    def __init__(self, workers: int | None = None, address: str | None = None) -> None:
        environment = ""
        if address is not None:
            if cause := _refused(address):
                raise ExecutorError(_no_answer(address, cause))
        else:
            address, environment = _callers_cluster()
        self._limit = workers
        self._number = 0
        self._flying: dict[int, Parcel] = {}
        self._post = Post()
        self._end: str | None = None
        self._driver = RayProcess(workers, address, environment)
        try:
            cause = self._driver.wait(CONNECT_SECONDS if address else _START_SECONDS)
            if cause and address:
                raise ExecutorError(_no_answer(address, cause))
            if cause:
                raise ExecutorError(f"cannot start an embedded Ray cluster: {cause}")
        except BaseException:
            self.close()
            raise

    def slots(self, device: str) -> int:
        """How many cores or GPUs the cluster has now."""
        count = int(self._driver.resources.get(device.upper(), 0))
        return min(count, self._limit) if self._limit and device == "cpu" else count

    def submit(self, parcel: Parcel) -> None:
        """Start one Ray task for the parcel, packed here, so that what cannot travel is an error of the call."""
        if self._end is not None:
            raise ExecutorError(self._end)
        try:
            letter = self._post.write(parcel)
        except Exception as error:  # what cannot be pickled raises a dozen types
            cause = one_line(str(error).strip().partition("\n")[0])
            raise ExecutorError(
                f"{parcel.label} cannot be sent to Ray ({cause});"
                " take out of its functions what cannot be pickled, or write executor='local'"
            ) from error
        self._number += 1
        self._flying[self._number] = parcel
        self._driver.send("run", self._number, parcel.device, letter)

    def collect(self, timeout: float) -> list[tuple[Parcel, list[Any] | Lost]]:
        """The parcels that have finished, and as lost those that wait for a GPU that is gone."""
        done: list[tuple[Parcel, list[Any] | Lost]] = []
        if not self._flying:
            return done
        for kind, *content in self._driver.events(timeout if self._end is None else 0.0):
            if kind == "ended":
                self._end = self._end or f"the Ray cluster is gone: {content[0]}"
                continue
            parcel = self._flying.pop(content[0], None)
            if parcel is None:
                continue  # of a computation that has ended
            if kind == "error":
                raise ExecutorError(content[1])
            results = Lost(*content[1:]) if kind == "lost" else self._post.read(content[1], len(parcel.items))
            if results is None:
                self.submit(parcel)  # once more, with what differs there
            else:
                done.append((parcel, results))
        if self._end is not None and not done:
            raise ExecutorError(self._end)
        if not self.slots("gpu"):
            for number in [number for number, parcel in self._flying.items() if parcel.device == "gpu"]:
                done.append((self._flying.pop(number), Lost("the last GPU left the cluster", blame=False)))
        return done

    def forget(self) -> None:
        """Let what is in flight, a few short parcels for each worker, run to its end unheard."""
        self._flying.clear()
        self._post.forget()
        self._driver.send("forget")

    def close(self) -> None:
        """Leave the cluster; an embedded one ends."""
        self._end = self._end or "this executor is closed; open another one"
        self._driver.close()


def _callers_cluster() -> tuple[str | None, str]:
    """Address and runtime environment of the cluster that this process is connected to, if it is."""
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return None, ""
    try:
        context = ray.get_runtime_context()
        client = sys.modules.get("ray.util.client")
        if client is not None and client.ray.is_connected():
            return f"ray://{client.ray.get_context().client_worker._conn_str}", ""
        return context.gcs_address, context.get_runtime_env_string()
    except Exception as error:
        raise ExecutorError(
            f"this process is connected to a Ray cluster that does not say where it is ({one_line(str(error))[:200]});"
            " write its address, for example address='auto'"
        ) from error


def _no_answer(address: str, cause: str) -> str:
    return (
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
