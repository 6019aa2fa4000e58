"""A promoter to be killed: `python promotion_victim.py POINT ENV_REPO STORE PROMETHEUS` dies there as by kill -9."""

from __future__ import annotations

import os
import signal
import sys

from gitops.metrics import PrometheusMetrics
from hera_workflows.promoter import Promoter, promote
from hera_workflows.promoter.servers import Addresses
from triton_repo.store import open_store


def main(point: str, env_repo: str, store: str, prometheus: str) -> None:
    def at(reached: str) -> None:
        if reached == point:
            os.kill(os.getpid(), signal.SIGKILL)

    with PrometheusMetrics(prometheus) as metrics:
        promote(Promoter(env_repo, open_store(store), metrics, Addresses({}), "run-1", at=at))


if __name__ == "__main__":
    main(*sys.argv[1:])
