"""What people and pods do with the store: publish a run's candidate, list, compare, verify, collect."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from triton_toys import COMMIT, Keys, again, make_candidate, make_draft

from gitops.approvals import open_request
from gitops.bump import bump
from gitops.rollback import rollback
from gitops.seed import default_folder, seed
from hera_workflows.cli import slipway
from hera_workflows.learning.trained import Trained
from hera_workflows.steps.gc import collect
from hera_workflows.steps.publish import publish_candidate
from slipway.errors import Misconfigured, Rejected, SlipwayError
from slipway.manifest import MetricValue
from slipway.operation import Operation
from slipway.verdict import Outcome
from slipway.version import ModelVersion
from triton_repo.bundle import publish
from triton_repo.config import signature_of
from triton_repo.golden import load_golden
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
            "MODEL_STORE": self.store.root,
            "ENV_REPO": self.env,
            "VERIFY_KEY": str(self.keys.public),
        }
        result = CliRunner().invoke(slipway, list(arguments), env=variables, catch_exceptions=False)
        assert result.exit_code == code
        return result.output

    def collect(self, *, days: float = 200, workspace: Path | None = None, dry_run: bool = False) -> dict[str, str]:
        """The reasons of what is kept, and "" for what is removed, at a time so many days from now."""
        decisions = collect(
            self.store.url,
            self.env,
            workspace,
            retention=90 * DAY,
            grace=DAY,
            keep_runs=7 * DAY,
            dry_run=dry_run,
            now=datetime.now(UTC) + days * DAY,
        )
        return {f"{d.model}@{d.number}": d.reason if d.keep else "" for d in decisions}


@pytest.fixture
def world(store: ModelStore, keys: Keys, tmp_path: Path) -> World:
    env = tmp_path / "env.git"
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", str(env)], check=True)
    seed(str(env), default_folder())
    return World(store, keys, str(env), tmp_path)


# publish, the step


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """`<workspace>/run-1/toy` as validate leaves it."""
    folder = tmp_path / "workspace" / "run-1" / "toy"
    candidate = make_candidate(folder / "candidate")
    draft = make_draft(candidate)
    (folder / "validation.json").write_text(draft.validation.model_dump_json())
    (folder / "train").mkdir()
    trained = Trained(
        spec=draft.spec,
        source_commit=COMMIT,
        data=draft.data,
        training=draft.training,
        tools=draft.tools,
        signature=signature_of(load_golden(candidate / "golden.npz")).to_json(),
    )
    (folder / "train" / "training.json").write_text(trained.model_dump_json())
    return folder


def test_the_step_writes_number_and_digest_for_the_workflow(
    store: ModelStore, keys: Keys, run_folder: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "hera_workflows.steps.publish", "--model", "toy", "--run", "run-1"]
    command += ["--commit", COMMIT, "--workspace", str(tmp_path / "workspace"), "--store", store.root]
    command += ["--key", str(keys.private), "--outputs", str(tmp_path)]
    for _ in range(2):
        subprocess.run(command, check=True, timeout=60, capture_output=True)
        assert (tmp_path / "number").read_text() == "1"
        assert (tmp_path / "digest").read_text() == store.manifest("toy", 1).version().digest


def test_the_step_says_in_one_line_what_is_wrong_and_how_to_go_on(store: ModelStore, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hera_workflows.steps.publish", "--model", "toy", "--run", "run-1"]
    command += ["--commit", COMMIT, "--workspace", str(tmp_path), "--store", store.root]
    command += ["--key", str(tmp_path / "none.key"), "--outputs", str(tmp_path)]
    done = subprocess.run(command, check=False, timeout=60, capture_output=True, text=True)
    assert done.returncode == 65
    assert len(done.stderr.splitlines()) == 1
    assert "training.json is absent" in done.stderr


def test_a_model_that_failed_validation_is_not_published(store: ModelStore, keys: Keys, run_folder: Path) -> None:
    path = run_folder / "validation.json"
    path.write_text(path.read_text().replace(f'"outcome":"{Outcome.PASS}"', f'"outcome":"{Outcome.FAIL}"'))
    with pytest.raises(Rejected, match="failed validation"):
        publish_candidate(run_folder, COMMIT, "run-1", store.url, keys.private)


def test_a_candidate_of_another_commit_is_not_published(store: ModelStore, keys: Keys, run_folder: Path) -> None:
    with pytest.raises(Rejected, match="start a new run"):
        publish_candidate(run_folder, "b" * 40, "run-1", store.url, keys.private)


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"outcome": "PASS"}'])
def test_a_validation_that_cannot_be_read_publishes_nothing(
    store: ModelStore, keys: Keys, run_folder: Path, content: str | None
) -> None:
    (run_folder / "validation.json").unlink()
    if content is not None:
        (run_folder / "validation.json").write_text(content)
    with pytest.raises(Rejected, match=r"validation\.json"):
        publish_candidate(run_folder, COMMIT, "run-1", store.url, keys.private)
    assert store.models() == []


# models, show, diff, verify


def test_models_lists_every_version_with_its_metric(world: World) -> None:
    world.publish(0.9), world.publish(0.95)
    lines = world.cli("models").splitlines()
    assert [line.split("\t")[0] for line in lines] == ["toy@1", "toy@2"]
    assert [line.split("\t")[3] for line in lines] == ["accuracy 0.9", "accuracy 0.95"]


def test_models_prints_json_for_scripts(world: World) -> None:
    world.publish(0.9)
    (entry,) = json.loads(world.cli("models", "toy", "--json"))
    assert (entry["model"], entry["number"], entry["metrics"]) == ("toy", 1, {"accuracy": 0.9})


def test_an_empty_store_says_how_to_fill_it(world: World) -> None:
    assert "git push" in world.cli("models")


def test_show_without_a_number_shows_the_newest(world: World) -> None:
    world.publish(), world.publish()
    assert world.cli("show", "toy").startswith("toy@2  PASS  sha256:")


def test_show_prints_the_whole_manifest_as_json(world: World) -> None:
    version = world.publish()
    shown = json.loads(world.cli("show", "toy@1", "--json"))
    assert (shown["digest"], shown["source_commit"]) == (version.digest, COMMIT)


@pytest.mark.parametrize("text", ["toy@9", "toy@0", "toy@x", "../toy@1", "nothing", "@1", "toy@1@2"])
def test_a_version_that_is_none_is_refused(world: World, text: str) -> None:
    world.publish()
    with pytest.raises(Rejected):
        world.cli("show", text)


def test_diff_prints_only_what_differs(world: World) -> None:
    world.publish(0.9), world.publish(0.95, commit="b" * 40)
    rows = [line.split("\t") for line in world.cli("diff", "toy@1", "toy@2").splitlines()]
    assert ["metric accuracy", "0.9", "0.95"] in rows
    assert ["code commit", "a" * 19, "b" * 19] in rows
    assert "data digest" not in {row[0] for row in rows}


def test_verify_checks_every_version_when_none_is_named(world: World) -> None:
    world.publish(), world.publish()
    assert world.cli("verify") == "toy@1\tok\ntoy@2\tok\n"


def test_verify_names_the_file_that_was_changed(world: World) -> None:
    world.publish(), world.publish()
    folder = world.store.local_path("toy", 2)
    assert folder is not None
    (folder / "report.html").write_text("better")
    with pytest.raises(Rejected, match="toy@2 cannot be trusted"):
        world.cli("verify")


def test_without_a_store_a_command_says_what_to_set() -> None:
    variables = {"MODEL_STORE": "", "SLIPWAY_HOME": "/nowhere"}
    with pytest.raises(Misconfigured, match="MODEL_STORE is unset"):
        CliRunner().invoke(slipway, ["models"], env=variables, catch_exceptions=False)


def test_listing_needs_no_heavy_library(world: World) -> None:
    world.publish()
    script = (
        "import sys; from hera_workflows.cli import main\n"
        "try: main(['models'])\n"
        "except SystemExit: print([m for m in ('torch', 'tritonclient', 'numpy', 'rich', 'git') if m in sys.modules])"
    )
    variables = {**os.environ, "MODEL_STORE": world.store.root}
    out = subprocess.run(
        [sys.executable, "-c", script], env=variables, capture_output=True, text=True, check=True, timeout=60
    )
    assert out.stdout.splitlines()[-1] == "[]"


# gc


def test_gc_removes_what_nothing_refers_to(world: World) -> None:
    for _ in range(3):
        world.publish()
    assert world.collect() == {"toy@1": "", "toy@2": "", "toy@3": "newest version of toy"}
    assert world.store.versions("toy") == [3]
    assert list((Path(world.store.root) / ".staging").iterdir()) == []


def test_a_dry_run_removes_nothing(world: World) -> None:
    world.publish(), world.publish()
    assert world.collect(dry_run=True)["toy@1"] == ""
    assert world.store.versions("toy") == [1, 2]


def test_gc_keeps_what_is_served_and_what_a_rollback_returns_to(world: World) -> None:
    versions = [world.publish() for _ in range(4)]
    for version in versions[:3]:
        world.release(version)
    kept = world.collect()
    assert kept["toy@1"] == ""
    assert kept["toy@2"] == "a rollback in staging returns to it"
    assert kept["toy@3"] == "served in staging"


def test_gc_keeps_what_was_released_within_the_retention(world: World) -> None:
    versions = [world.publish() for _ in range(4)]
    for version in versions[:3]:
        world.release(version)
    kept = world.collect(days=80)
    assert kept["toy@1"].startswith("replaced in staging on 20")


def test_gc_keeps_the_way_back_past_a_version_that_was_rolled_back(world: World) -> None:
    versions = [world.publish() for _ in range(4)]
    for version in versions[:3]:
        world.release(version)
    rollback(world.env, "staging", "toy", now=datetime.now(UTC), reason="bad", operation_id="rollback/1")
    kept = world.collect()
    assert kept["toy@1"] == "a rollback in staging returns to it"
    assert kept["toy@2"] == "served in staging"
    assert kept["toy@3"] == "held in staging"


def test_gc_keeps_what_waits_for_approval(world: World) -> None:
    versions = [world.publish() for _ in range(3)]
    world.release(versions[0])
    operation = Operation("promote/1", "promote", "production", versions[0])
    from gitops.environment_repo import read

    open_request(world.env, versions[0], operation, evidence=b"{}\n", base=read(world.env).commit)
    world.release(versions[1]), world.release(versions[2])
    assert "waits for approval in production" in world.collect()["toy@1"]


def by_hand(world: World, path: str, content: str) -> None:
    """A person's commit."""
    clone = world.folder / "clone"
    shutil.rmtree(clone, ignore_errors=True)
    git = ["git", "-C", str(clone), "-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    subprocess.run(["git", "clone", "--quiet", world.env, str(clone)], check=True)
    (clone / path).parent.mkdir(parents=True, exist_ok=True)
    (clone / path).write_text(content)
    subprocess.run([*git, "add", "--all"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--message=Edit by hand"], check=True)
    subprocess.run([*git, "push", "--quiet"], check=True)


def test_gc_keeps_every_version_of_a_model_whose_release_cannot_be_read(world: World) -> None:
    world.publish(), world.publish()
    by_hand(world, "envs/production/toy/release.env", "MODEL=toy\nVERSION=the old one\n")
    assert world.collect()["toy@1"] == "envs/production/toy/release.env cannot be read"


def test_gc_keeps_what_is_held(world: World) -> None:
    first = world.publish()
    world.publish()
    hold = {
        "environment": "staging",
        "model": "toy",
        "number": 1,
        "digest": first.digest,
        "reason": "it answered wrongly",
        "since": "2026-01-01T00:00:00Z",
    }
    by_hand(world, "envs/staging/toy/holds/1.json", json.dumps(hold))
    assert world.collect()["toy@1"] == "held in staging"


def test_gc_keeps_what_a_run_in_the_workspace_made(world: World) -> None:
    world.publish(run="run-7"), world.publish()
    (world.folder / "work" / "run-7").mkdir(parents=True)
    assert world.collect(days=2, workspace=world.folder / "work")["toy@1"] == "run run-7 is in the workspace"


def test_gc_removes_runs_that_nothing_was_written_to_for_long(world: World) -> None:
    for name in ("old", "new"):
        (world.folder / "work" / name / "toy").mkdir(parents=True)
    long_ago = (datetime.now(UTC) - 30 * DAY).timestamp()
    for folder in ("old", "old/toy"):
        os.utime(world.folder / "work" / folder, (long_ago, long_ago))
    world.collect(days=1, workspace=world.folder / "work", dry_run=True)
    assert len(list((world.folder / "work").iterdir())) == 2
    world.collect(days=1, workspace=world.folder / "work")
    assert [path.name for path in (world.folder / "work").iterdir()] == ["new"]


def test_gc_removes_nothing_when_the_environment_repository_is_away(world: World) -> None:
    world.publish(), world.publish()
    shutil.rmtree(world.env)
    with pytest.raises(SlipwayError):
        world.collect()
    assert world.store.versions("toy") == [1, 2]


def test_the_number_of_a_removed_version_is_never_given_again(world: World) -> None:
    world.publish(), world.publish()
    world.collect()
    assert world.publish().number == 3


def test_the_command_says_why_each_version_is_kept(world: World) -> None:
    world.publish(), world.publish()
    assert world.cli("gc", "--dry-run", "--grace", "0s").splitlines() == [
        "would remove\ttoy@1\tno environment, history, hold or run needs it",
        "keep\ttoy@2\tnewest version of toy",
    ]


def test_a_duration_that_is_none_is_a_setting_to_change(world: World) -> None:
    with pytest.raises(Misconfigured, match="--grace: 'soon' is not a duration"):
        world.cli("gc", "--grace", "soon")


@pytest.mark.parametrize("command", ["models", "show", "diff", "verify", "gc"])
def test_help_teaches_by_example(world: World, command: str) -> None:
    assert f"slipway {command}" in world.cli(command, "--help").split("Usage", 1)[1].split("\n", 1)[1]
