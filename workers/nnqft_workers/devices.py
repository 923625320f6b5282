"""Which chunks go to GPUs: the large ones of integrals that have an integrator for it, if the pool has GPUs."""

from __future__ import annotations

from nnqft import AbstractIntegrator, Work
from nnqft.host import default_host
from nnqft_workers.pool import AbstractPool

GPU_CHUNK = 1 << 24
"""Samples of a chunk on a GPU: enough to pay for the way there, sampled in blocks of constant memory."""


class Devices:
    """The kinds of workers at the start of a computation; what goes where depends on nothing later."""

    def __init__(self, pool: AbstractPool) -> None:
        self.gpus = pool.slots("gpu")
        self._used = False
        self._twins: dict[int, AbstractIntegrator | None] = {}

    def device_for(self, work: Work, samples: int, largest: int) -> str:
        """The device of a chunk: ``"gpu"`` where it is larger than a core takes, or its integrator is made for GPUs."""
        twin = self._twin(work)
        if twin is None or (samples <= largest and twin is not work.integrator):
            return "cpu"
        return "gpu"

    def largest(self, work: Work, largest: int) -> int:
        """Most samples in one chunk of the work, wherever it may run; `largest` is what a core takes."""
        return largest if self._twin(work) is None else GPU_CHUNK

    def integrator(self, work: Work, device: str) -> AbstractIntegrator:
        """The integrator that samples the work on that device: its own on a core, its accelerated twin on a GPU."""
        twin = self._twin(work)
        if device == "cpu" or twin is None:
            return work.integrator
        self._used = True
        return twin

    def notes(self) -> tuple[str, ...]:
        """The note, if any, that the last digits depend on the GPUs that took part."""
        if not self._used:
            return ()
        return ("large chunks were sampled on GPUs: without them the result agrees within its error, not bit by bit",)

    def _twin(self, work: Work) -> AbstractIntegrator | None:
        if not self.gpus or work.integrator.accelerated is None:
            return None
        key = id(work.integrator)
        if key not in self._twins:
            twin = default_host().get("integrator", work.integrator.accelerated)
            self._twins[key] = work.integrator if twin.name == work.integrator.name else twin
        twin = self._twins[key]
        return twin if twin is not None and twin.supports(work.integral) is True else None
