"""A store with an environment repository, and the commands that read both."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from click.testing import CliRunner
from triton_toys import COMMIT, Keys, again, make_candidate, make_draft

from gitops.bump import bump
from gitops.seed import default_folder, seed
from hera_workflows.cli import slipway
from hera_workflows.steps.gc import collect
from slipway.manifest import MetricValue
from slipway.operation import Operation
from slipway.version import ModelVersion
from triton_repo.bundle import publish
from triton_repo.store import ModelStore

DAY = timedelta(days=1)


@dataclass(frozen=True)
class World:
    """A store, an environment repository, and who may read them."""

    store: ModelStore
    keys: Keys
    env: str
    folder: Path

    def publish(self, accuracy: float = 0.9, commit: str = COMMIT, run: str = "run-1") -> ModelVersion:
        number = self.store.next_number("toy")
        candidate = make_candidate(self.folder / f"candidate-{number}", float(number + 1))
        draft = make_draft(candidate, operation_id=f"op-{number}")
        validation = draft.validation.model_copy(update={"metrics": {"accuracy": MetricValue(value=accuracy)}})
        draft = again(draft, source_commit=commit, run=run, validation=validation)
        return publish(self.store, draft, candidate, self.keys.private)

    def release(self, version: ModelVersion) -> None:
        operation = Operation(f"bump/{version}", "bump", "staging", version)
        bump(self.env, version, operation, evidence=None)

    def cli(self, *arguments: str, code: int = 0) -> str:
        variables = {
            **os.environ,
            "MODEL_STORE": self.store.url,
            "ENV_REPO": self.env,
            "VERIFY_KEY": str(self.keys.public),
        }
        result = CliRunner().invoke(slipway, list(arguments), env=variables, catch_exceptions=False)
        assert result.exit_code == code
        return result.output

    def collect(self, *, days: float = 200, workspace: Path | None = None, dry_run: bool = False) -> dict[str, str]:
        """The reasons of what is kept, and "" for what is removed, at a time so many days from now."""
        collected = collect(
            self.store.url,
            self.env,
            workspace,
            retention=90 * DAY,
            grace=DAY,
            keep_runs=7 * DAY,
            dry_run=dry_run,
            now=datetime.now(UTC) + days * DAY,
        )
        return {f"{d.model}@{d.number}": d.reason if d.keep else "" for d in collected.decisions}


def world_of(store: ModelStore, keys: Keys, folder: Path) -> World:
    env = folder / "env.git"
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", str(env)], check=True)
    seed(str(env), default_folder())
    return World(store, keys, str(env), folder)


# publish, the step
