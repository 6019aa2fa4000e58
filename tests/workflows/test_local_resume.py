"""A run may be killed at any point; called again it goes on, and what has finished does not run twice."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from test_local_failures import FLAKY, HANG, _child, alive, retry
from workflow_bench import Bench, dag, ledger, manifest, step, task

from slipway.errors import Misconfigured, Rejected, TryAgain

pytestmark = pytest.mark.slow

CHAIN = manifest(dag("main", task("a"), task("b", "a")), ledger("a"), ledger("b"), ledger("bye"), onExit="bye")
POINTS = ["a running", "a ok", "b running", "b ok", "onExit running", "onExit ok"]


@pytest.mark.parametrize("point", range(len(POINTS)), ids=POINTS)
def test_a_run_that_is_killed_goes_on_and_repeats_no_finished_step(bench: Bench, point: int) -> None:
    killed = bench.start(CHAIN, kill_at=point)
    seen, _ = killed.communicate(timeout=60)
    result = bench.run(CHAIN)
    finished = [line for line in seen.splitlines() if line.endswith(" ok")]
    again = [state for state in bench.states() if state in finished]
    assert (killed.returncode, result.status, again) == (-signal.SIGKILL, "Succeeded", [])
    # A step that had ended without anybody having written it down is the only one that may be there twice.
    assert sorted(set(bench.ledger)) == ["a", "b", "bye"]
    assert len(bench.ledger) <= 4


def test_killing_the_runner_kills_the_steps_and_their_detached_children(bench: Bench) -> None:
    process = bench.start(manifest(step("a", HANG, "away")))
    child = _child(bench, process)
    process.kill()
    process.wait(timeout=30)
    # The next call ends what the kernel did not, before it runs the step again.
    again = bench.start(manifest(step("a", HANG, "away")), kill_at=0)
    again.wait(timeout=30)
    assert not alive(child)


def test_a_run_that_has_succeeded_does_nothing_when_it_is_called_again(bench: Bench) -> None:
    bench.run(CHAIN)
    before = list(bench.ledger)
    assert (bench.run(CHAIN).status, bench.ledger) == ("Succeeded", before)


def test_a_run_that_has_failed_repeats_only_what_failed(bench: Bench) -> None:
    document = manifest(dag("main", task("a"), task("b", "a")), ledger("a"), step("b", FLAKY, "3"))
    bench.run(document)
    result = bench.run(document)
    assert (result.status, bench.ledger) == ("Succeeded", ["a", "ran", "ran"])


def test_a_final_failure_is_not_tried_again_when_a_killed_run_goes_on(bench: Bench) -> None:
    document = manifest(dag("main", task("a"), task("b", "a.Failed")), step("a", f"{FLAKY}", "99"), ledger("b"))
    bench.start(document, kill_at=2).wait(timeout=60)
    bench.run(document)
    assert bench.ledger == ["ran", "b"]


def test_attempts_before_a_kill_count_towards_the_limit(bench: Bench) -> None:
    document = manifest(step("a", FLAKY, "99", retryStrategy=retry(limit=2)))
    bench.start(document, kill_at=2).wait(timeout=60)  # events: running, retry, running
    bench.run(document)
    assert bench.ledger.count("ran") == 3


@pytest.mark.parametrize("cut", [1, 2, 20, 60])
def test_a_torn_last_line_is_as_if_it_had_not_been_written(bench: Bench, cut: int) -> None:
    bench.run(CHAIN)
    journal = bench.root / "run" / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-cut])
    assert bench.run(CHAIN).status == "Succeeded"


def test_a_journal_that_was_edited_is_an_error_that_names_the_line(bench: Bench) -> None:
    bench.run(CHAIN)
    journal = bench.root / "run" / "journal.jsonl"
    journal.write_bytes(b"nonsense\n" + journal.read_bytes())
    with pytest.raises(Misconfigured, match=r"journal\.jsonl:1 is broken"):
        bench.run(CHAIN)


def test_another_template_under_the_same_name_is_refused(bench: Bench) -> None:
    bench.run(CHAIN)
    with pytest.raises(Rejected, match="run run has begun with another version of the template"):
        bench.run(manifest(step("a")))


def test_other_parameters_under_the_same_name_are_refused(bench: Bench) -> None:
    document = manifest(step("a"), parameters={"x": "1"})
    bench.run(document)
    with pytest.raises(Rejected, match="run run has begun with another value of x"):
        bench.run(document, given={"x": "2"})


def test_a_second_runner_of_the_same_name_is_refused(bench: Bench) -> None:
    document = manifest(step("a", HANG))
    process = bench.start(document)
    _child(bench, process)
    with pytest.raises(TryAgain, match="run run is going on in another process"):
        bench.run(document)
    process.terminate()
    process.wait(timeout=30)


@pytest.mark.parametrize("name", ["", "../x", "a/b", "A", "x" * 64, ".locks", "a\n", "а"])
def test_a_name_that_is_not_a_runs_name_is_refused(bench: Bench, name: str) -> None:
    path = bench.write(CHAIN)
    from hera_workflows.local.runner import run

    with pytest.raises(Rejected, match="is not a run's name"):
        run(path, {}, name=name, root=bench.root, volumes={"workspace": bench.workspace})


def test_a_log_of_an_earlier_attempt_is_kept(bench: Bench) -> None:
    bench.run(manifest(step("a", f"print('word', flush=True); {FLAKY}", "2", retryStrategy=retry())))
    assert bench.log("a") == "word\n[slipway: attempt 2]\nword\n"


def test_a_full_or_vanished_folder_is_said_and_may_be_tried_again(bench: Bench, tmp_path: Path) -> None:
    blocked = bench.root / "run" / "a.log"
    blocked.mkdir(parents=True)
    result = bench.run(manifest(step("a")))
    assert (result.exit_code, "Is a directory" in result.nodes[0].message) == (75, True)


@pytest.mark.parametrize("size", [300, 700])
def test_a_journal_that_cannot_be_written_ends_the_run_in_one_line_and_it_goes_on_later(
    bench: Bench, size: int
) -> None:
    # The limit on a file's size is what a full disk looks like to the one file that grows.
    # -B: under the limit Python would leave the first bytes of its own bytecode behind.
    words = [sys.executable, "-B", "-m", "hera_workflows", "run", str(bench.write(CHAIN, "run"))]
    words += ["--root", str(bench.root)]
    done = subprocess.run(
        ["prlimit", f"--fsize={size}", *words, "--name", "run", "--volume", f"workspace={bench.workspace}"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr.count("\n"), "cannot be written" in done.stderr) == (75, 1, True)
    assert bench.run(CHAIN).status == "Succeeded"


def test_a_root_that_cannot_be_written_is_said(bench: Bench) -> None:
    bench.root.write_text("a file")
    with pytest.raises(TryAgain, match="cannot be written"):
        bench.run(CHAIN)
