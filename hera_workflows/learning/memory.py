"""Did the kernel kill a process of this container for its memory, and at which limit?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Memory", "memory"]

# A container sees its own control group, of version 2 or 1, where the tree of all begins.
_VERSIONS = (("memory.events", "memory.max"), ("memory/memory.oom_control", "memory/memory.limit_in_bytes"))
_NONE = 2**60  # bytes; version 1 says with a larger number that there is no limit


@dataclass(frozen=True, slots=True)
class Memory:
    """What the kernel says of this container."""

    kills: int  # processes that it killed here for memory, since the container began
    limit: int  # bytes

    @property
    def quantity(self) -> str:
        """The limit as Kubernetes writes it, rounded down to Mi: 512Mi, 4Gi."""
        return f"{self.limit >> 30}Gi" if self.limit % 2**30 == 0 else f"{self.limit >> 20}Mi"


def memory(root: Path = Path("/sys/fs/cgroup")) -> Memory | None:
    """What the kernel says now; None where nothing limits the memory, as on most machines."""
    for events, limit in _VERSIONS:
        try:
            kills = re.search(r"^oom_kill ([0-9]+)$", (root / events).read_text(), re.MULTILINE)
            most = (root / limit).read_text().strip()
        except OSError:
            continue
        if kills is not None and most.isdigit() and int(most) < _NONE:
            return Memory(int(kills[1]), int(most))
    return None
