"""How many CPUs may this process really use?"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

__all__ = ["usable_cpus"]


def usable_cpus() -> int:
    """Those of its affinity, or fewer where the container has a quota."""
    count = len(os.sched_getaffinity(0))
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        count = min(count, max(1, round(int(quota) / int(period))))
    return count
