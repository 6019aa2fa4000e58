"""Which runs stay on disk."""

from __future__ import annotations

from pathlib import Path

from workflow_bench import Bench, manifest, past, step

from hera_workflows.local.runs import prune


def left(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


def test_the_oldest_runs_are_removed_once_there_are_too_many(tmp_path: Path) -> None:
    for count in range(6):
        past(tmp_path, f"run-{count}", count)
    prune(tmp_path, kept=3, slack=2)
    assert left(tmp_path) == ["run-3", "run-4", "run-5"]


def test_a_few_too_many_are_left_for_the_next_time(tmp_path: Path) -> None:
    for count in range(5):
        past(tmp_path, f"run-{count}", count)
    prune(tmp_path, kept=3, slack=2)
    assert len(left(tmp_path)) == 5


def test_a_run_that_did_not_end_stays(tmp_path: Path) -> None:
    past(tmp_path, "interrupted", 0, status=None)
    for count in range(3):
        past(tmp_path, f"run-{count}", 1 + count)
    prune(tmp_path, kept=1, slack=0)
    assert left(tmp_path) == ["interrupted", "run-2"]


def test_the_last_run_of_a_template_stays_however_old_it_is(tmp_path: Path) -> None:
    past(tmp_path, "push-1", 0, "slipway-push")
    past(tmp_path, "push-2", 1, "slipway-push")
    for count in range(3):
        past(tmp_path, f"run-{count}", 2 + count)
    prune(tmp_path, kept=1, slack=0)
    assert left(tmp_path) == ["push-2", "run-2"]


def test_a_new_run_removes_the_oldest(bench: Bench) -> None:
    for count in range(260):
        past(bench.root, f"old-{count}", 1000 + count)
    bench.run(manifest(step("a")))
    assert (len(list(bench.root.glob("*/journal.jsonl"))), (bench.root / "old-0").exists()) == (200, False)
