"""A fetch that is killed goes on where it was, and leaves no lock behind."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

from loopback import Site

CONTENT = bytes(range(256)) * 4000
VICTIM = """
import sys
from pathlib import Path
from hera_workflows.learning.datasets.fetch import fetch
from slipway.spec import DataSource
source = DataSource(url=sys.argv[1], format="files", digest=sys.argv[2])
fetch("points", source, Path("."), Path(sys.argv[3]))
"""


def test_a_fetch_that_is_killed_goes_on_where_it_was(get, site: Site, url: str, cache: Path):
    digest = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
    site.content, site.stall_after = CONTENT, 400_000
    process = subprocess.Popen([sys.executable, "-c", VICTIM, f"{url}/points.csv", digest, str(cache)])
    deadline = time.monotonic() + 60
    while sum(path.stat().st_size for path in cache.glob(".partial/*/raw/points.csv")) < 262_144:
        assert process.poll() is None
        assert time.monotonic() < deadline
        os.sched_yield()
    process.kill()
    process.wait()
    assert not [path for path in cache.iterdir() if not path.name.startswith(".")]
    site.stall_after = None
    assert get(f"{url}/points.csv", digest).path.read_bytes() == CONTENT
    assert site.ranges[1] is not None
    assert int(site.ranges[1].removeprefix("bytes=").rstrip("-")) >= 262_144
