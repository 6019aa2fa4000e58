"""Which processes are a pod's, and when in a stage are they killed?"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.cluster.kube import Kube

__all__ = ["Killer", "Victim", "kill", "pods"]


@dataclass(frozen=True, slots=True)
class Victim:
    """Pods by the beginning of their names; what of them runs in a namespace."""

    namespace: str
    prefix: str


@dataclass(frozen=True, slots=True)
class Killer:
    """Kills at moments that a seed decides; `hit` counts the processes that ended so."""

    kube: Kube
    draw: random.Random
    hit: Counter[Victim] = field(default_factory=Counter)

    def strike(self, stage: str, seconds: float, victims: Sequence[Victim]) -> None:
        """Kill each victim once, at a moment of its own within so many seconds from now; say what was hit."""
        begun = time.monotonic()
        moments = sorted((self.draw.uniform(0, seconds), victim.prefix, victim) for victim in victims)
        for moment, _, victim in moments:
            time.sleep(max(0.0, begun + moment - time.monotonic()))
            count = kill(self.kube, victim)
            self.hit[victim] += count
            print(f"{stage}: {moment:.1f} s: kill -9 of {count} processes of {victim.prefix}*")


def kill(kube: Kube, victim: Victim) -> int:
    """End every process of the containers with SIGKILL, asking nobody; how many there were."""
    containers = [
        status["containerID"].rpartition("/")[2]
        for pod in pods(kube, victim)
        for status in pod["status"].get("containerStatuses", [])
        if status.get("containerID")
    ]
    count = 0
    for pid in _processes(containers):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            count += 1
    return count


def pods(kube: Kube, victim: Victim) -> list[dict[str, Any]]:
    """Those that run."""
    listed = kube.get("pods", f"--namespace={victim.namespace}", "--field-selector=status.phase=Running") or {}
    return [one for one in listed.get("items", []) if one["metadata"]["name"].startswith(victim.prefix)]


def _processes(containers: Sequence[str]) -> Iterator[int]:
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with suppress(OSError):  # it ended meanwhile
            groups = (folder / "cgroup").read_text()
            if any(container in groups for container in containers):
                yield int(folder.name)
