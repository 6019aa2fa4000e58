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

from tests.cluster.asking import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.cluster.kube import Kube

__all__ = ["PATIENCE", "Killer", "Victim", "pods"]

# Kubernetes waits twice as long before each restart of what was killed before, up to five minutes.
PATIENCE = 900


@dataclass(frozen=True, slots=True)
class Victim:
    """Pods by the beginning of their names, or by a label; what of them runs in a namespace."""

    namespace: str
    prefix: str = ""
    label: str = ""

    def __str__(self) -> str:
        return self.label or f"{self.prefix}*"


@dataclass(frozen=True, slots=True)
class Killer:
    """Kills at moments that a seed decides; `hit` counts the processes that ended so, by stage and victim."""

    kube: Kube
    draw: random.Random
    hit: Counter[tuple[str, Victim]] = field(default_factory=Counter)

    def find(self, victims: Sequence[Victim]) -> None:
        """Return once all of them run: what is not there when its stage begins has no part in it."""
        for victim in victims:
            until(lambda victim=victim: _running(self.kube, victim) or None, PATIENCE, f"{victim} runs", every=1)

    def strike(self, stage: str, seconds: float, victims: Sequence[Victim], passing: Sequence[Victim] = ()) -> None:
        """Kill each victim once, at a moment of its own within so many seconds from now; say what was hit.

        A victim that does not run then is hit as soon as it does. One of the passing, which end by themselves, is let
        go when the seconds are over.
        """
        begun = time.monotonic()
        moments = {victim: self.draw.uniform(0, seconds) for victim in (*victims, *passing)}

        def over() -> bool | None:
            since = time.monotonic() - begun
            for victim in [victim for victim, moment in moments.items() if moment <= since]:
                if count := _kill(self.kube, victim):
                    self.hit[stage, victim] += count
                    print(f"{stage}: {since:.1f} s: kill -9 of {count} processes of {victim}")
                if count or (victim in passing and since > seconds):
                    del moments[victim]
            return None if moments else True

        until(over, PATIENCE, f"{stage}: each victim was hit", every=0.5)


def _kill(kube: Kube, victim: Victim) -> int:
    """End every process of the containers with SIGKILL, asking nobody; how many there were."""
    count = 0
    for pid in _running(kube, victim):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            count += 1
    return count


def pods(kube: Kube, victim: Victim) -> list[dict[str, Any]]:
    """Those that run."""
    where = [f"--namespace={victim.namespace}", "--field-selector=status.phase=Running"]
    listed = kube.get("pods", *where, f"--selector={victim.label}") or {}
    return [one for one in listed.get("items", []) if one["metadata"]["name"].startswith(victim.prefix)]


def _running(kube: Kube, victim: Victim) -> list[int]:
    """The processes of the victim's containers."""
    containers = [
        status["containerID"].rpartition("/")[2]
        for pod in pods(kube, victim)
        for status in pod["status"].get("containerStatuses", [])
        if status.get("containerID")
    ]
    return list(_processes(containers))


def _processes(containers: Sequence[str]) -> Iterator[int]:
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with suppress(OSError):  # it ended meanwhile
            groups = (folder / "cgroup").read_text()
            if any(container in groups for container in containers):
                yield int(folder.name)
