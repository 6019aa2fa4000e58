"""A store, an env repo and two watched environments with real parts, for tests of the promoter."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "triton_repo"))

import yaml
from triton_toys import COMMIT, again, make_candidate, make_draft, onnx_model

from gitops.bump import bump
from gitops.git import Git
from gitops.metrics import PrometheusMetrics
from gitops.seed import default_folder, seed
from hera_workflows.promoter import Pass, Promoter, promote
from hera_workflows.promoter.scene import Forges
from hera_workflows.promoter.servers import Addresses
from slipway.evidence import bump_evidence
from slipway.manifest import MetricValue
from slipway.operation import Operation
from slipway.spec import ModelSpec
from slipway.verdict import Check, Outcome, Verdict
from slipway.version import ModelVersion
from triton_repo.bundle import publish
from triton_repo.store import ModelStore, find, open_store

GOOD = Check(name="mean_error", verdict=Verdict.PASS, reason="0.1; <= 0.5 allowed", value=0.1, threshold="<= 0.5")
REASONS = ("BACKEND", "CANCELED", "OTHER", "REJECTED")


def says(success: float, failures: float = 0, *, number: int = 1, model: str = "toy", p95: str = "Nan") -> str:
    """What a Triton that serves model@number says of it; the spelling is Triton's own."""
    labels = f'model="{model}",version="{number}"'
    lines = [f"nv_inference_request_success{{{labels}}} {success}"]
    for reason in REASONS:
        count = failures if reason == "BACKEND" else 0
        lines.append(f'nv_inference_request_failure{{model="{model}",reason="{reason}",version="{number}"}} {count}')
    lines.append(f'nv_inference_request_summary_us{{{labels},quantile="0.95"}} {p95}')
    return "\n".join(lines) + "\n"


@dataclass
class World:
    """Two environments, `first` (direct) and `second` (pull-request), and what happens in them."""

    folder: Path
    url: str
    store: ModelStore
    key: Path
    prometheus_url: str
    first: str
    second: str
    servers: Mapping[str, Any]  # environment -> what Prometheus scrapes there
    forges: Forges | None = None
    source_commit: str = COMMIT  # that versions are trained from
    repository: Path | None = None  # where the env repo lies, if `url` is not a folder

    def publish(
        self,
        model: str = "toy",
        outcome: Outcome = Outcome.PASS,
        answers: float = 2.0,
        error: float = 0.1,
        champion: str | None = None,
        **promotion: Any,
    ) -> ModelVersion:
        """One more version in the store, with that policy: it doubles its input, its golden answers say x `answers`.

        error: the mean error that validation measured. champion: the version that it compared with.
        """
        operation = f"op-{model}-{self.store.next_number(model)}"
        candidate = make_candidate(self.folder / operation, answers, onnx_model(2.0))
        draft = make_draft(candidate, model, operation)
        policy = {"min_requests": 100, "soak": "0s", **promotion}
        spec = ModelSpec.model_validate({"name": model, "task": "regression", "promotion": policy})
        metrics = {"mean_error": MetricValue(value=error)}
        said = {"outcome": outcome, "checks": [GOOD], "metrics": metrics, "champion": champion}
        validation = draft.validation.model_copy(update=said)
        draft = again(draft, spec=spec, validation=validation, source_commit=self.source_commit)
        return publish(self.store, draft, candidate, self.key)

    def release(self, version: ModelVersion, environment: str | None = None) -> None:
        """Bump it into the first environment."""
        environment = environment or self.first
        manifest = find(self.store, version.name, version.number, version.digest)
        operation = Operation(f"bump/{version}", "bump", environment, version, manifest.source_commit, "run-1")
        bump(self.url, version, operation, evidence=bump_evidence(version, manifest, environment))

    def say(self, text: str, environment: str | None = None) -> None:
        """What the servers of an environment tell Prometheus from now on."""
        self.servers[environment or self.first].say(text)

    def promote(self, **changes: Any) -> Pass:
        """One pass of the promoter."""
        with PrometheusMetrics(changes.pop("prometheus_url", self.prometheus_url), timeout=5) as metrics:
            start = Promoter(self.url, self.store, metrics, Addresses({}), "run-1", forge=self.forges)
            return promote(replace(start, **changes))

    def meet(self, point: str, **changes: Any) -> bool:
        """One pass of the promoter, and a whole second one while the first is at that point; whether it came there."""
        met: list[Pass] = []

        def meanwhile(reached: str) -> None:
            if reached == point and not met:
                met.append(self.promote(**changes))

        self.promote(at=meanwhile, **changes)
        return bool(met)

    def git(self, *arguments: str) -> str:
        return Git(self.repository or Path(self.url)).run(*arguments).decode()

    def heads(self) -> dict[str, str]:
        """Every branch and its commit."""
        lines = self.git("for-each-ref", "--format=%(refname:short) %(objectname)", "refs/heads").splitlines()
        return dict(line.split(" ") for line in lines)


def make_world(folder: Path, key: Path, prometheus: Any, url: str | None = None) -> World:
    """An empty store, and an env repo with two environments that Prometheus watches; `url`: of an empty repository."""
    (first, (one,)), (second, (two,)) = prometheus.environment(), prometheus.environment()
    if url is None:
        url = str(folder / "env.git")
        Git(Path(url)).run("init", "--quiet", "--bare", "--initial-branch=main")
    envs = folder / "envs"
    shutil.copytree(default_folder() / "base", envs / "base")
    environments = [{"name": first, "accepts": "direct"}, {"name": second, "after": first}]
    (envs / "environments.yaml").write_text(yaml.safe_dump({"environments": environments}))
    seed(url, envs)
    (folder / "store").mkdir()
    store = open_store(str(folder / "store"))
    return World(folder, url, store, key, prometheus.url, first, second, {first: one, second: two})


def only(done: Any) -> Any:
    """The only line of a pass."""
    [line] = done.lines
    return line
