"""Which failures are tried again, what stops a step, and that nothing of it is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from workflow_bench import Bench, manifest, step

from hera_workflows.local.admission import Machine
from hera_workflows.local.manifest import RetryStrategy
from hera_workflows.local.result import NodeResult
from hera_workflows.local.retry import seconds_until_retry
from hera_workflows.local.stale import MARK, kill_marked

OURS = "asInt(lastRetry.exitCode) == 75 || lastRetry.status == 'Error'"
# Ends with 75 until it has run as often as its argument says; each run is a line in the ledger.
FLAKY = (
    "import sys; path = sys.argv[1] + '/ledger'; open(path, 'a').write('ran' + chr(10)); "
    "sys.exit(0 if len(open(path).readlines()) >= int(sys.argv[2]) else 75)"
)


def retry(**fields: Any) -> dict[str, Any]:
    """The retryStrategy that the templates have, with short waits."""
    return {"limit": 4, "retryPolicy": "Always", "expression": OURS, "backoff": {"duration": "10ms"}, **fields}


def failed(**fields: Any) -> NodeResult:
    return NodeResult(**{"id": "a", "phase": "Failed", "exit_code": 75, **fields})


def strategy(**fields: Any) -> RetryStrategy:
    return RetryStrategy.model_validate({"limit": 9, "retryPolicy": "Always", **fields})


def test_exit_code_75_is_tried_again(bench: Bench) -> None:
    result = bench.run(manifest(step("a", FLAKY, "3", retryStrategy=retry())))
    assert (result.status, result.nodes[0].attempts) == ("Succeeded", 3)


@pytest.mark.parametrize("code", [1, 65, 78])
def test_other_exit_codes_are_final(bench: Bench, code: int) -> None:
    result = bench.run(manifest(step("a", f"import sys; sys.exit({code})", retryStrategy=retry())))
    assert (result.nodes[0].attempts, result.exit_code) == (1, code)


def test_retries_end_at_the_limit(bench: Bench) -> None:
    result = bench.run(manifest(step("a", FLAKY, "99", retryStrategy=retry(limit=2))))
    assert (result.exit_code, bench.ledger) == (75, ["ran"] * 3)


def test_a_step_that_somebody_else_killed_counts_as_lost_and_is_tried_again(bench: Bench) -> None:
    die_once = (
        "import os, sys; path = sys.argv[1] + '/ledger'; "
        "first = not os.path.exists(path); open(path, 'a').write('ran' + chr(10)); "
        "first and os.kill(os.getpid(), 9)"
    )
    assert bench.run(manifest(step("a", die_once, retryStrategy=retry()))).nodes[0].attempts == 2


def test_a_signal_without_a_name_fails_the_step_and_not_the_runner(bench: Bench) -> None:
    result = bench.run(manifest(step("a", "import os; os.kill(os.getpid(), 40)")))
    assert (result.status, result.nodes[0].message) == ("Failed", "killed by signal 40")


def test_a_command_that_does_not_exist_is_an_error_that_names_it(bench: Bench) -> None:
    nothing = step("a")
    nothing["container"]["command"] = ["no-such-program"]
    result = bench.run(manifest(nothing))
    assert (result.status, "'no-such-program' cannot be started" in result.nodes[0].message) == ("Error", True)


def test_waits_grow_by_the_factor_up_to_the_cap() -> None:
    backoff = {"duration": "2s", "factor": 3, "cap": "10s"}
    waits = [seconds_until_retry(strategy(backoff=backoff), failed(), [0.0] * n, 0.0) for n in (1, 2, 3)]
    assert waits == [2.0, 6.0, 10.0]


def test_nobody_is_left_to_wait_for_minutes_before_a_retry() -> None:
    assert seconds_until_retry(strategy(backoff={"duration": "3m"}), failed(), [0.0], 0.0) is None


def test_no_retry_begins_after_the_longest_duration() -> None:
    backoff = {"duration": "2s", "maxDuration": "1m"}
    assert seconds_until_retry(strategy(backoff=backoff), failed(), [0.0], 59.0) is None


@pytest.mark.parametrize(
    ("policy", "phase", "wait"),
    [("OnFailure", "Error", None), ("OnError", "Error", 0.0), ("OnError", "Failed", None), (None, "Error", None)],
)
def test_the_policy_says_which_kind_of_failure_is_tried_again(policy: str, phase: str, wait: float | None) -> None:
    assert seconds_until_retry(strategy(retryPolicy=policy), failed(phase=phase), [0.0], 0.0) == wait


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.slow
def test_a_process_that_has_only_just_begun_is_killed_too() -> None:
    mark = f"{os.getpid()}/begun"
    for _ in range(200):
        process = subprocess.Popen(["sleep", "60"], env={**os.environ, MARK: mark})
        kill_marked(mark)
        assert process.wait(10) == -signal.SIGKILL


HANG = """
import os, signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN) if "deaf" in sys.argv else None
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session="away" in sys.argv)
open(sys.argv[1] + "/child", "w").write(str(child.pid))
child.wait()
"""


@pytest.mark.parametrize("kind", ["", "away"])
def test_a_hanging_step_is_stopped_at_its_deadline_with_its_children(bench: Bench, kind: str) -> None:
    result = bench.run(manifest(step("a", HANG, kind, activeDeadlineSeconds=3)))
    child = int((bench.workspace / "child").read_text())
    assert (result.nodes[0].reason, result.exit_code, alive(child)) == ("DeadlineExceeded", 65, False)


@pytest.mark.slow
def test_a_step_that_ignores_term_is_killed_after_the_grace_period(bench: Bench) -> None:
    result = bench.run(manifest(step("a", HANG, "deaf", activeDeadlineSeconds=3)))
    assert (result.nodes[0].reason, 8 <= result.nodes[0].seconds < 25) == ("DeadlineExceeded", True)


def test_a_deadline_may_come_from_an_input(bench: Bench) -> None:
    slow = step("a", HANG, activeDeadlineSeconds="{{workflow.parameters.limit}}")
    said = bench.run(manifest(slow, parameters={"limit": "1"})).nodes[0].message
    assert said == "stopped after 1 s, its time limit (activeDeadlineSeconds); make it quicker, or raise that limit"


def test_children_that_a_step_leaves_behind_are_ended_with_it(bench: Bench) -> None:
    leave = HANG.replace("child.wait()", "")
    result = bench.run(manifest(step("a", leave, "away")))
    assert (result.status, alive(int((bench.workspace / "child").read_text()))) == ("Succeeded", False)


def test_a_step_above_its_memory_limit_is_killed_and_told_so(bench: Bench) -> None:
    eat = step("a", "import time; x = b'x' * 200_000_000; time.sleep(60)")
    eat["container"]["resources"] = {"limits": {"memory": "100Mi"}}
    result = bench.run(manifest(eat))
    node = result.nodes[0]
    assert (node.reason, node.exit_code, "100 MiB" in node.message) == ("OOMKilled", 137, True)


def test_memory_that_children_share_counts_once(bench: Bench) -> None:
    fork = (
        "import os, time; x = b'x' * 80_000_000; pids = [os.fork() for _ in range(1)]; "
        "time.sleep(1.5); pids[0] and os.wait()"
    )
    share = step("a", fork)
    share["container"]["resources"] = {"limits": {"memory": "130Mi"}}
    assert bench.run(manifest(share)).status == "Succeeded"


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ({"cpu": "5"}, "a asks for 5 CPUs and this machine has 4; ask for less"),
        ({"memory": "2Ti"}, "a asks for 2048.0 GiB of memory and this machine has 1024.0; ask for less"),
        ({"ephemeral-storage": "1000Ti"}, "GiB of disk and"),
    ],
)
def test_a_request_that_never_fits_is_an_error(bench: Bench, resources: dict[str, str], message: str) -> None:
    big = step("a", retryStrategy=retry())
    big["container"]["resources"] = {"requests": resources}
    result = bench.run(manifest(big))
    assert (message in result.nodes[0].message, result.exit_code) == (True, 78)


def test_a_step_without_gpus_here_runs_on_the_cpu_with_a_notice(bench: Bench) -> None:
    wants = step("a", "import os; print(repr(os.environ['CUDA_VISIBLE_DEVICES']))")
    wants["container"]["resources"] = {"limits": {"nvidia.com/gpu": "1"}}
    bench.run(manifest(wants))
    assert ("a notice" in bench.states(), bench.log("a")) == (True, "''\n")


def test_a_step_sees_only_the_gpus_it_was_given(bench: Bench) -> None:
    wants = step("a", "import os; print(os.environ['CUDA_VISIBLE_DEVICES'])")
    wants["container"]["resources"] = {"limits": {"nvidia.com/gpu": "1"}}
    bench.run(manifest(wants), machine=Machine(4.0, 2**40, ("0", "1")))
    assert bench.log("a") == "0\n"


def test_two_steps_never_share_a_gpu(bench: Bench) -> None:
    from workflow_bench import dag, task

    steps = [step(name, "import os; print(os.environ['CUDA_VISIBLE_DEVICES'])") for name in "ab"]
    for one in steps:
        one["container"]["resources"] = {"limits": {"nvidia.com/gpu": "2"}}
    bench.run(manifest(dag("main", task("a"), task("b")), *steps), machine=Machine(4.0, 2**40, ("0", "1")))
    assert "b waiting" in bench.states()


def test_stopping_the_runner_stops_its_steps(bench: Bench) -> None:
    process = bench.start(manifest(step("a", HANG)))
    child = _child(bench, process)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=30)
    assert (output.splitlines()[-1], process.returncode, alive(child)) == ("Stopped", 130, False)


def _child(bench: Bench, process: Any) -> int:
    """The pid of the hanging step's child, once it is there."""
    path, until = bench.workspace / "child", time.monotonic() + 30
    while not (path.exists() and path.read_text()):
        assert process.poll() is None
        assert time.monotonic() < until
        os.sched_yield()
    return int(path.read_text())


def test_the_runners_interpreter_runs_python_steps(bench: Bench) -> None:
    bench.run(manifest(step("a", "import sys; print(sys.executable)")))
    assert bench.log("a").strip() == sys.executable
