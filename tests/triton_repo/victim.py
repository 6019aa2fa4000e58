"""A process to be killed: `python victim.py publish|serve POINT …` runs one call and dies at that point."""

from __future__ import annotations

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from triton_toys import killer, make_draft

from slipway.version import ModelVersion
from triton_repo.bundle import publish
from triton_repo.control import TritonControl
from triton_repo.serving import serve
from triton_repo.store import open_store

if __name__ == "__main__":
    kind, point, store, *rest = sys.argv[1:]
    if kind == "publish":
        candidate, key, operation = rest
        draft = make_draft(Path(candidate), operation_id=operation)
        publish(open_store(store), draft, Path(candidate), Path(key), at=killer(point))
        # Not getrusage: a child inherits the peak of the process that it was forked from.
        print(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])  # type: ignore[index]
    else:
        address, secret, repository, *wanted = rest
        versions = [ModelVersion(n, int(v), d) for n, v, d in (text.split("@") for text in wanted)]
        with TritonControl(address, secret) as control:
            serve(
                open_store(store),
                control,
                Path(repository),
                versions,
                verify_key=None,
                timeout=30,
                at=killer(point),
            )
