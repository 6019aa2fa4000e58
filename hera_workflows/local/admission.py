"""Whether a step fits on this machine now, beside the steps that are running."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hera_workflows.local.locks import Lock, try_lock
from hera_workflows.local.quantity import parse_quantity
from slipway.errors import Misconfigured

__all__ = ["Admission", "Grant", "Machine", "Needs", "this_machine"]

_AGAIN = 0.2  # seconds between two looks at what others may free


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is."""

    cpus: float
    memory: float  # bytes
    gpus: tuple[str, ...]  # as CUDA_VISIBLE_DEVICES names them


@dataclass(frozen=True, slots=True)
class Needs:
    """What a step asks for."""

    cpus: float
    memory: float  # bytes that it reserves
    memory_limit: float | None  # bytes at which it is killed
    disk: float  # bytes
    gpus: int

    @classmethod
    def of(cls, requests: Mapping[str, str], limits: Mapping[str, str], where: str) -> Needs:
        """From a container's resources; a request that is left out is its limit, as in Kubernetes."""
        merged = {**limits, **requests}

        def amount(resource: str) -> float:
            return parse_quantity(merged[resource], f"{where}: {resource}") if resource in merged else 0.0

        limit = parse_quantity(limits["memory"], f"{where}: memory limit") if "memory" in limits else None
        gpus = amount("nvidia.com/gpu")
        if gpus != int(gpus):
            raise Misconfigured(f"{where}: nvidia.com/gpu is {gpus:g}; give a whole number")
        return cls(amount("cpu"), amount("memory"), limit, amount("ephemeral-storage"), int(gpus))


@dataclass(frozen=True, slots=True)
class Grant:
    """What a step got, until it is given back."""

    needs: Needs
    gpus: tuple[str, ...] = ()
    locks: tuple[Lock, ...] = ()


@dataclass(frozen=True, slots=True)
class _Lack:
    """What a step waits for."""

    why: str
    others: bool  # whether another run may free it, which happens without a word


def this_machine() -> Machine:
    """Cores that this process may use, memory, and NVIDIA GPUs (those in CUDA_VISIBLE_DEVICES when it is set)."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        # CUDA counts from 0 whatever the device files that a container was given are called.
        gpus = [str(index) for index, _ in enumerate(Path("/dev").glob("nvidia[0-9]*"))]
    else:
        gpus = [name.strip() for name in visible.split(",") if name.strip() not in ("", "-1", "NoDevFiles")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Machine(float(len(os.sched_getaffinity(0))), float(memory), tuple(gpus))


class Admission:
    """Admits steps first come, first served, so that a big one is never passed over for ever."""

    def __init__(self, machine: Machine, folder: Path, locks: Path, holder: str) -> None:
        self._machine, self._folder, self._locks, self._holder = machine, folder, locks, holder
        self._running: list[Needs] = []
        self._first = asyncio.Lock()  # asyncio's locks are fair: who waits longest is next
        self._changed = asyncio.Event()

    async def enter(self, needs: Needs, node: str, waits: Callable[[str], None]) -> Grant:
        """Wait until the step fits and reserve what it needs; `waits` hears why it has to wait.

        Raises Misconfigured when it would never fit. A step that asks for more GPUs than there are gets none.
        """
        self._refuse(needs, node)
        told = ""
        async with self._first:
            while True:
                self._changed.clear()
                found = self._look(needs, node)
                if isinstance(found, Grant):
                    self._running.append(needs)
                    return found
                if found.why != told:
                    waits(found.why)
                    told = found.why
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_AGAIN if found.others else None):
                        await self._changed.wait()

    def leave(self, grant: Grant) -> None:
        """Give back what a step had."""
        self._running.remove(grant.needs)
        for lock in grant.locks:
            lock.release()
        self._changed.set()

    def _refuse(self, needs: Needs, node: str) -> None:
        cpus, memory = self._machine.cpus, self._machine.memory
        if needs.cpus > cpus:
            raise Misconfigured(f"{node} asks for {needs.cpus:g} CPUs and this machine has {cpus:g}; ask for less")
        if needs.memory > memory:
            raise Misconfigured(
                f"{node} asks for {needs.memory / 2**30:.1f} GiB of memory and this machine has {memory / 2**30:.1f}; "
                "ask for less"
            )

    def _look(self, needs: Needs, node: str) -> Grant | _Lack:
        if sum(n.cpus for n in self._running) + needs.cpus > self._machine.cpus:
            return _Lack("a free CPU", others=False)
        if sum(n.memory for n in self._running) + needs.memory > self._machine.memory:
            return _Lack("free memory", others=False)
        free = shutil.disk_usage(self._folder).free
        if needs.disk > free - sum(n.disk for n in self._running):
            if not self._running:
                raise Misconfigured(
                    f"{node} asks for {needs.disk / 2**30:.1f} GiB of disk and {self._folder} has {free / 2**30:.1f}; "
                    "free some or ask for less"
                )
            return _Lack("free disk", others=True)
        if not 0 < needs.gpus <= len(self._machine.gpus):
            return Grant(needs)
        return self._take_gpus(needs)

    def _take_gpus(self, needs: Needs) -> Grant | _Lack:
        # All or none: two runs that each hold one of two GPUs would wait for each other.
        taken: dict[str, Lock] = {}
        for gpu in self._machine.gpus:
            if len(taken) < needs.gpus and isinstance(lock := try_lock(self._locks, f"gpu {gpu}", self._holder), Lock):
                taken[gpu] = lock
        if len(taken) == needs.gpus:
            return Grant(needs, tuple(taken), tuple(taken.values()))
        for lock in taken.values():
            lock.release()
        return _Lack("a GPU that another step holds", others=True)
