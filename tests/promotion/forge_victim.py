"""A promoter on a forge, to be killed: it dies at POINT as by kill -9. See the end for its arguments."""

from __future__ import annotations

import os
import signal
import sys

from gitops.forge.open import open_forge
from gitops.metrics import PrometheusMetrics
from hera_workflows.promoter import Promoter, promote
from hera_workflows.promoter.scene import Forges
from hera_workflows.promoter.servers import Addresses
from triton_repo.store import open_store


def main(
    point: str, env_repo: str, store: str, prometheus: str, forge: str, env_project: str, source_project: str
) -> None:
    def at(reached: str) -> None:
        if reached == point:
            os.kill(os.getpid(), signal.SIGKILL)

    token = os.environ["FORGE_TOKEN"]
    environments, source = (open_forge("gitea", forge, project, token) for project in (env_project, source_project))
    forges = Forges(environments, source, "https://argo.example/workflows/slipway/{}".format)
    with PrometheusMetrics(prometheus) as metrics:
        promote(Promoter(env_repo, open_store(store), metrics, Addresses({}), "run-1", forge=forges, at=at))


if __name__ == "__main__":
    main(*sys.argv[1:])
