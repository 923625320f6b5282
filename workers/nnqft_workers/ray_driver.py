"""The Ray driver: what runs in a process of its own, passes letters on to Ray and their answers back."""

from __future__ import annotations

import logging
import os
import pickle
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

from nnqft.errors import one_line
from nnqft_workers.letters import all_in

_RESOURCES_SECONDS = 1.0
"""How old the count of the cluster's cores may be."""
_STORE_BYTES = 128 * 1024**2
"""Object store of an embedded cluster: chunks are a few kilobytes."""


def drive(line: Connection, folder: str | None, workers: int | None, address: str | None, environment: str) -> None:
    """Connect to Ray, then pass on what comes until the caller is gone.

    Parameters
    ----------
    line
        To the caller, for lists of messages. What comes is ``("run", number, device, letter)`` or ``("forget",)``; what
        goes is ``("ready", resources)`` once, ``("failed", text)`` in its place, and then ``("resources", resources)``,
        ``("done", number, letter)``, ``("lost", number, reason, blame)`` and ``("error", number, text)``.
    folder
        Of an embedded cluster; None connects to the cluster at the address.
    workers
        Cores of an embedded cluster, by default those of the machine.
    environment
        Ray's runtime environment as Ray writes it down, for the workers of a cluster that the caller has joined.

    Raises
    ------
    EOFError, ConnectionError
        When the caller is gone.
    """
    try:
        import ray

        _connect(ray, folder, workers, address, environment)
    except Exception as error:  # Ray raises a dozen types here
        _send(line, "failed", one_line(str(error).strip().partition("\n")[0] or type(error).__name__))
        return
    try:
        _Driver(ray, line, embedded=folder is not None).run()
    finally:
        if folder is None:
            ray.shutdown()


def _connect(ray: Any, folder: str | None, workers: int | None, address: str | None, environment: str) -> None:
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if environment:
        options["runtime_env"] = ray.runtime_env.RuntimeEnv.deserialize(environment)
    if folder is not None:
        # The folder is the caller's alone; Ray opens its own to the world.
        inner = os.path.join(folder, "r")
        options |= {
            "num_cpus": workers or os.cpu_count(),
            "include_dashboard": False,
            "object_store_memory": _STORE_BYTES,
            "_temp_dir": inner,
        }
    # Not None: that would join a cluster that happens to run on this machine.
    ray.init(address=address or "local", **options)
    if folder is not None:
        _close_to_others(folder)


def _close_to_others(folder: str) -> None:
    for place, folders, files in os.walk(folder):
        for name in (".", *folders, *files):
            path = os.path.join(place, name)
            try:
                if not os.path.islink(path):
                    os.chmod(path, os.stat(path).st_mode & 0o700)
            except FileNotFoundError:
                continue  # Ray's own business


def _task(path: list[str] | None) -> Callable[[bytes], bytes]:
    """The function that Ray's workers run; it travels by value, since only the path may tell where nnqft is."""

    def run_parcel(letter: bytes) -> bytes:
        if path is not None:
            sys.path[:] = path
        try:
            from nnqft_workers.letters import answer

            return answer(letter)
        except KeyboardInterrupt:
            os._exit(1)  # a worker that a signal ends, like any other

    run_parcel.__qualname__ = "run_parcel"
    return run_parcel


class _Driver:
    """Events of all kinds come into one queue, and are dealt with one by one."""

    def __init__(self, ray: Any, line: Connection, embedded: bool) -> None:
        self._ray, self._line = ray, line
        self._events: SimpleQueue[tuple[Any, ...]] = SimpleQueue()
        self._flying: dict[int, Any] = {}
        # On a cluster of several machines paths differ, and Ray adds what it can to the workers' own.
        task = _task(list(sys.path) if embedded else None)
        # Ray would start a new process for every task on a GPU, which compiles everything again: hence max_calls=0.
        # Nothing is retried by Ray: a task that dies is reported lost, and sent again by who submitted it.
        options = {"max_retries": 0, "max_calls": 0}
        self._run = {
            "cpu": ray.remote(num_cpus=1, **options)(task),
            "gpu": ray.remote(num_cpus=0, num_gpus=1, **options)(task),
        }

    def run(self) -> None:
        """Deal with events until the caller is gone or the cluster is."""
        resources = self._resources()
        _send(self._line, "ready", resources)
        for work in (self._listen, lambda: self._watch(resources)):
            threading.Thread(target=work, daemon=True).start()
        while True:
            messages = [message for event in all_in(self._events) for message in self._deal_with(*event)]
            if messages:
                self._line.send_bytes(pickle.dumps(messages))

    def _deal_with(self, kind: str, *content: Any) -> list[tuple[Any, ...]]:
        """Do what an event wants; what the caller shall hear of it is returned."""
        if kind == "hangup":
            raise EOFError
        if kind == "run":
            self._submit(*content)
        elif kind == "finished":
            return self._finish(*content)
        elif kind == "forget":
            # What is in flight, a few short parcels for each worker, runs to its end unheard: cancelling a task just
            # as it ends makes Ray 2.60 abort ("tried to complete task that was not pending").
            self._flying.clear()
        else:
            return [(kind, *content)]
        return []

    def _listen(self) -> None:
        try:
            while True:
                for message in pickle.loads(self._line.recv_bytes()):
                    self._events.put(message)
        except (EOFError, OSError):
            self._events.put(("hangup",))

    def _watch(self, known: dict[str, float]) -> None:
        while True:
            time.sleep(_RESOURCES_SECONDS)
            if (now := self._resources()) != known:
                known = now
                self._events.put(("resources", known))

    def _resources(self) -> dict[str, float]:
        found = self._ray.cluster_resources()
        return {name: found[name] for name in ("CPU", "GPU") if name in found}

    def _submit(self, number: int, device: str, letter: bytes) -> None:
        try:
            reference = self._run[device].remote(letter)
        except Exception as error:
            self._events.put(("error", number, f"Ray does not take work: {one_line(str(error))[:300]}"))
            return
        self._flying[number] = reference
        reference.future().add_done_callback(lambda future: self._events.put(("finished", number, reference, future)))

    def _finish(self, number: int, reference: Any, future: Any) -> list[tuple[Any, ...]]:
        if self._flying.get(number) is not reference:
            return []  # forgotten
        del self._flying[number]
        exceptions = self._ray.exceptions
        try:
            return [("done", number, future.result())]
        except exceptions.RayTaskError as error:
            # Not from the function, whose errors come back as results: nnqft is not on the worker, say.
            cause = one_line(str(getattr(error, "cause", None) or error).strip().splitlines()[-1])
            text = f"a Ray worker cannot run the work: {cause}; install the same packages there"
            return [("error", number, text)]
        except (exceptions.RuntimeEnvSetupError, exceptions.TaskUnschedulableError) as error:
            return [("error", number, f"Ray cannot run the work: {one_line(str(error))[:300]}")]
        except exceptions.OutOfMemoryError:
            return [("lost", number, "Ray ended it because the node ran out of memory", True)]
        except (exceptions.NodeDiedError, exceptions.LocalRayletDiedError):
            return [("lost", number, "its node left the cluster", False)]
        except exceptions.WorkerCrashedError:
            return [("lost", number, "a Ray worker has died", True)]
        except exceptions.RayError as error:
            return [("lost", number, one_line(str(error).strip().partition("\n")[0])[:200], True)]


def _send(line: Connection, *message: Any) -> None:
    line.send_bytes(pickle.dumps([message]))
