"""A mutex has one holder among all runs under a root, and ends with it."""

from __future__ import annotations

import subprocess
import sys

from test_local_failures import HANG, _child, alive
from workflow_bench import Bench, dag, ledger, manifest, step, task

from hera_workflows.local.locks import Lock, lock_path, try_lock
from hera_workflows.local.stale import MARK

MUTEX = {"mutexes": [{"name": "model-{{workflow.parameters.model}}"}]}


def guarded(program: str, *arguments: str, model: str = "digits") -> dict[str, object]:
    """A workflow whose one step holds the mutex of a model."""
    return manifest(step("a", program, *arguments, synchronization=MUTEX), parameters={"model": model})


ENTER = (
    "import os, sys; os.mkdir(sys.argv[1] + '/inside'); open(sys.argv[1] + '/ledger', 'a').write('in' + chr(10)); "
    "sum(range(2_000_000)); os.rmdir(sys.argv[1] + '/inside')"
)


def test_two_runs_never_hold_a_mutex_at_once(bench: Bench) -> None:
    # Inside, a folder is made that must not be there yet.
    processes = [bench.start(guarded(ENTER), f"run-{n}") for n in range(4)]
    assert [process.wait(timeout=60) for process in processes] == [0] * 4


def test_two_steps_of_one_run_never_hold_a_mutex_at_once(bench: Bench) -> None:
    steps = [step(name, ENTER, synchronization=MUTEX) for name in "ab"]
    document = manifest(dag("main", task("a"), task("b")), *steps, parameters={"model": "digits"})
    assert bench.run(document).status == "Succeeded"


def test_another_models_mutex_is_another_mutex(bench: Bench) -> None:
    process = bench.start(guarded(HANG), "one")
    _child(bench, process)
    assert bench.run(guarded("pass", model="other"), "two").status == "Succeeded"
    process.terminate()
    process.wait(timeout=30)


def test_a_killed_holder_gives_its_mutex_up_and_its_step_has_ended_by_then(bench: Bench) -> None:
    process = bench.start(guarded(HANG, "away"), "one")
    child = _child(bench, process)
    process.kill()
    result = bench.run(guarded("pass"), "two")
    assert (result.status, alive(child)) == ("Succeeded", False)


def test_who_waits_says_whom_it_waits_for(bench: Bench) -> None:
    process = bench.start(guarded(HANG), "one")
    _child(bench, process)
    waiting = bench.start(guarded("pass"), "two")
    assert waiting.stdout.readline() == "a waiting\n"
    process.terminate()
    assert (process.wait(timeout=30), waiting.wait(timeout=30)) == (130, 0)


def test_a_mutex_name_may_hold_any_character(bench: Bench) -> None:
    assert bench.run(guarded("pass", model="../../\x1b[31m{{workflow.name}}")).status == "Succeeded"


def test_a_dag_holds_its_mutex_until_its_last_step(bench: Bench) -> None:
    inner = dag("inner", task("x"), task("y", "x"), synchronization=MUTEX)
    document = manifest(
        dag("main", task("one", of="inner"), task("two", of="inner")),
        inner,
        ledger("x"),
        ledger("y"),
        parameters={"model": "digits"},
    )
    bench.run(document)
    assert bench.ledger == ["x", "y", "x", "y"]


def test_a_lock_ends_the_steps_of_a_killed_holder_and_no_others(bench: Bench) -> None:
    # The same run goes on in a new process; what its killed process left in a lock must not hit the new one's steps.
    dead, new = f"{bench.root}/one:dead:", f"{bench.root}/one:new:"
    folder = bench.root / ".locks"
    folder.mkdir(parents=True)
    lock_path(folder, "mutex m").write_text(dead)
    program = [sys.executable, "-c", "input()"]
    processes = [subprocess.Popen(program, stdin=subprocess.PIPE, env={MARK: f"{mark}a:1"}) for mark in (dead, new)]
    lock = try_lock(folder, "mutex m", "another:x:")
    assert isinstance(lock, Lock)
    lock.release()
    codes = [process.communicate(b"\n", timeout=30) and process.returncode for process in processes]
    assert codes == [-9, 0]
