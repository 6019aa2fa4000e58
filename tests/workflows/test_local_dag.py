"""In which order steps run, how often, and with what."""

from __future__ import annotations

import json
import os

import pytest
from workflow_bench import Bench, dag, ledger, manifest, step, task

from hera_workflows.local.admission import Machine
from hera_workflows.local.engine import dag_phase
from hera_workflows.local.manifest import Task
from hera_workflows.local.result import NodeResult

WRITE = "import sys; open(sys.argv[2], 'w').write(sys.argv[3])"
FAIL = "import sys; sys.exit(65)"


def listing(*items: object) -> dict[str, object]:
    """A step `plan` whose output `items` is a JSON list."""
    output = {"parameters": [{"name": "items", "valueFrom": {"path": "/scratch/items"}}]}
    return step("plan", WRITE, "/scratch/items", json.dumps(items), outputs=output)


def each(**fields: object) -> dict[str, object]:
    """A task `each` for every item of `plan`."""
    return task("each", "plan", withParam="{{tasks.plan.outputs.parameters.items}}", **fields)


def shout(name: str = "each") -> dict[str, object]:
    """A step that puts its input `word` into the ledger."""
    return step(
        name,
        "import sys; open(sys.argv[1] + '/ledger', 'a').write(sys.argv[2] + chr(10))",
        "{{inputs.parameters.word}}",
        inputs={"parameters": [{"name": "word"}]},
    )


def test_a_task_runs_after_the_tasks_it_depends_on(bench: Bench) -> None:
    bench.run(manifest(dag("main", task("c", "b"), task("b", "a"), task("a")), ledger("a"), ledger("b"), ledger("c")))
    assert bench.ledger == ["a", "b", "c"]


def test_independent_tasks_run_at_the_same_time(bench: Bench) -> None:
    # Opening a pipe waits for the other end, so both end only if both run.
    os.mkfifo(bench.workspace / "pipe")
    writer = step("a", "import sys; open(sys.argv[1] + '/pipe', 'w')", activeDeadlineSeconds=20)
    reader = step("b", "import sys; open(sys.argv[1] + '/pipe')", activeDeadlineSeconds=20)
    assert bench.run(manifest(dag("main", task("a"), task("b")), writer, reader)).status == "Succeeded"


def test_a_step_waits_until_the_cores_it_asks_for_are_free(bench: Bench) -> None:
    both = {"requests": {"cpu": "2"}}
    steps = [ledger(name) for name in "ab"]
    for one in steps:
        one["container"]["resources"] = both
    bench.run(manifest(dag("main", task("a"), task("b")), *steps), machine=Machine(2.0, 2**40, ()))
    assert bench.states()[:4] == ["a running", "b waiting", "a ok", "b running"]


def test_an_output_file_becomes_the_input_of_a_later_step(bench: Bench) -> None:
    plan = step(
        "plan",
        WRITE,
        "/scratch/w",
        "hello\n",
        outputs={"parameters": [{"name": "w", "valueFrom": {"path": "/scratch/w"}}]},
    )
    pass_on = task("each", "plan", arguments={"word": "{{tasks.plan.outputs.parameters.w}}"})
    bench.run(manifest(dag("main", task("plan"), pass_on), plan, shout()))
    assert bench.ledger == ["hello"]


def test_a_missing_output_file_is_an_error_that_names_it(bench: Bench) -> None:
    plan = step("plan", outputs={"parameters": [{"name": "w", "valueFrom": {"path": "/scratch/w"}}]})
    result = bench.run(manifest(plan))
    assert (result.status, "output w cannot be read" in result.nodes[0].message) == ("Error", True)


def test_an_output_that_is_a_pipe_does_not_hang_the_runner(bench: Bench) -> None:
    plan = step(
        "plan",
        "import os, sys; os.mkfifo(sys.argv[2])",
        "/scratch/w",
        outputs={"parameters": [{"name": "w", "valueFrom": {"path": "/scratch/w"}}]},
    )
    assert "not a regular file" in bench.run(manifest(plan)).nodes[0].message


def test_a_list_runs_its_task_once_for_each_item(bench: Bench) -> None:
    tasks = dag("main", task("plan"), each(arguments={"word": "{{item.model}}"}))
    bench.run(manifest(tasks, listing({"model": "x"}, {"model": "y"}), shout()))
    assert sorted(bench.ledger) == ["x", "y"]


def test_an_empty_list_skips_its_task_and_what_follows_runs(bench: Bench) -> None:
    tasks = dag("main", task("plan"), each(arguments={"word": "{{item}}"}), task("last", "each"))
    bench.run(manifest(tasks, listing(), shout(), ledger("last")))
    assert bench.ledger == ["last"]


def test_an_item_that_when_excludes_is_skipped(bench: Bench) -> None:
    tasks = dag("main", task("plan"), each(arguments={"word": "{{item.m}}"}, when="'{{item.a}}' == 'go'"))
    bench.run(manifest(tasks, listing({"m": "x", "a": "go"}, {"m": "y", "a": "no"}), shout()))
    assert bench.ledger == ["x"]


def test_steps_below_a_fanned_out_dag_are_called_by_their_item(bench: Bench) -> None:
    inner = dag(
        "each",
        task("train", arguments={"word": "{{inputs.parameters.word}}"}),
        inputs={"parameters": [{"name": "word"}]},
    )
    tasks = dag("main", task("plan"), each(arguments={"word": "{{item.model}}"}))
    result = bench.run(manifest(tasks, inner, listing({"model": "digits"}), shout("train")))
    assert [node.id for node in result.nodes] == ["plan", "digits/train"]


def test_items_whose_text_cannot_be_a_file_name_are_numbered(bench: Bench) -> None:
    tasks = dag("main", task("plan"), each(arguments={"word": "{{item}}"}))
    result = bench.run(manifest(tasks, listing("../../etc/passwd", "b"), shout()))
    assert sorted(node.id for node in result.nodes) == ["each/0", "each/1", "plan"]


def test_a_list_that_is_not_json_fails_the_task_and_says_so(bench: Bench) -> None:
    plan = step(
        "plan",
        WRITE,
        "/scratch/items",
        "nonsense",
        outputs={"parameters": [{"name": "items", "valueFrom": {"path": "/scratch/items"}}]},
    )
    result = bench.run(manifest(dag("main", task("plan"), each(arguments={"word": "x"})), plan, shout()))
    assert "withParam cannot be read" in result.nodes[-1].message


def test_what_depends_on_a_failed_step_does_not_run(bench: Bench) -> None:
    result = bench.run(manifest(dag("main", task("a"), task("b", "a")), step("a", FAIL), ledger("b")))
    assert (result.status, bench.ledger) == ("Failed", [])


def test_a_task_that_depends_on_a_failure_runs_and_saves_the_workflow(bench: Bench) -> None:
    result = bench.run(manifest(dag("main", task("a"), task("b", "a.Failed")), step("a", FAIL), ledger("b")))
    assert (result.status, bench.ledger) == ("Succeeded", ["b"])


def test_one_items_failure_does_not_stop_the_others_when_fail_fast_is_off(bench: Bench) -> None:
    inner = dag(
        "each",
        task("first", arguments={"word": "{{inputs.parameters.word}}"}),
        task("last", "first"),
        inputs={"parameters": [{"name": "word"}]},
    )
    first = step(
        "first",
        "import sys; sys.exit(65 * (sys.argv[2] == 'x'))",
        "{{inputs.parameters.word}}",
        inputs={"parameters": [{"name": "word"}]},
    )
    tasks = dag("main", task("plan"), each(arguments={"word": "{{item}}"}))
    tasks["dag"]["failFast"] = False
    result = bench.run(manifest(tasks, inner, listing("x", "y"), first, ledger("last")))
    assert (result.status, bench.ledger) == ("Failed", ["last"])


def test_the_exit_code_is_that_of_the_failed_step(bench: Bench) -> None:
    assert bench.run(manifest(step("a", FAIL))).exit_code == 65


def test_the_exit_handler_learns_the_status_and_the_failures(bench: Bench) -> None:
    bye = step("bye", "import sys; print(sys.argv[2:])", "{{workflow.status}}", "{{workflow.failures}}")
    bench.run(manifest(step("a", "import sys; sys.exit('no \"such\" data')"), bye, onExit="bye"))
    status, failures = eval(bench.log("onExit"))
    failure = json.loads(json.loads(failures))[0]
    assert (status, failure["displayName"], failure["message"]) == ("Failed", "a", 'no "such" data')


def test_a_failing_exit_handler_fails_the_workflow(bench: Bench) -> None:
    assert bench.run(manifest(step("a"), step("bye", FAIL), onExit="bye")).status == "Failed"


def test_each_attempt_has_an_empty_scratch_folder_that_is_removed(bench: Bench) -> None:
    see = step("a", "import os, sys; print(os.listdir(sys.argv[2]), os.path.exists(sys.argv[2]))", "/scratch")
    bench.run(manifest(see))
    assert (bench.log("a"), (bench.root / "run" / ".scratch").exists()) == ("[] True\n", False)


@pytest.mark.parametrize(
    ("phases", "expected"),
    [
        ({"a": "Succeeded", "b": "Succeeded"}, "Succeeded"),
        ({"a": "Failed", "b": "Omitted"}, "Failed"),
        ({"a": "Error", "b": "Omitted"}, "Error"),
        ({"a": "Failed", "b": "Succeeded"}, "Succeeded"),
        ({"a": "Skipped", "b": "Skipped"}, "Succeeded"),
        ({"a": "Succeeded"}, None),
    ],
)
def test_a_dag_ends_like_its_last_tasks(phases: dict[str, str], expected: str | None) -> None:
    tasks = [Task(name="a", template="t"), Task(name="b", template="t", depends="a")]
    ended = {name: NodeResult(name, phase) for name, phase in phases.items()}  # type: ignore[arg-type]
    assert dag_phase(tasks, ended) == expected
