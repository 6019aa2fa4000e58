"""A Prometheus for one namespace alone: the cluster's own watches its environments only."""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import yaml

from hera_workflows.templates.monitoring import monitors
from hera_workflows.templates.values import Values
from tests.cluster.asking import until
from tests.cluster.monitors import scrape_configs
from tests.cluster.services import answers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cluster.place import Place

__all__ = ["watching"]


@contextmanager
def watching(place: Place, namespace: str, folder: Path, url: str) -> Iterator[None]:
    """It answers at `url` in the block; as our PodMonitors say, but every two seconds."""
    manifests = folder / "scraping.yaml"
    manifests.write_text(yaml.safe_dump_all([dict(each) for each in monitors(Values(environments=(namespace,)))]))
    quick = {"scrape_interval": "2s", "scrape_timeout": "2s"}
    jobs = scrape_configs(manifests, place.kubeconfig)
    (folder / "prometheus.json").write_text(json.dumps({"global": quick, "scrape_configs": jobs}))
    command = [
        str(place.program("prometheus", "prometheus")),
        f"--config.file={folder / 'prometheus.json'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--log.level=warn",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        until(lambda: answers(f"{url}/-/ready") or None, 60, "Prometheus answers")
        yield
    finally:
        process.kill()
        process.wait(10)
