"""The commands run, logs and render: what people see and which exit code they get."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from workflow_bench import Bench, dag, ledger, manifest, past, step, task

GOLDEN = Path(__file__).parent / "golden"
SLIPWAY = [sys.executable, "-m", "hera_workflows"]

STORY = manifest(
    dag("main", task("plan"), task("model", "plan", withParam='["digits"]', arguments={"m": "{{item}}"})),
    step("plan", "print('two models')"),
    dag(
        "model",
        task("train"),
        task("validate", "train"),
        task("publish", "validate"),
        inputs={"parameters": [{"name": "m"}]},
    ),
    step(
        "train",
        "import os, sys; once = sys.argv[1] + '/once'; done = os.path.exists(once); open(once, 'w'); "
        "print('epoch 1'); sys.exit(0 if done else 75)",
        retryStrategy={"limit": 2, "expression": "asInt(lastRetry.exitCode) == 75", "backoff": {"duration": "10ms"}},
    ),
    step(
        "validate",
        "import sys; print('slipway: digits is refused: accuracy 0.91 < 0.95', file=sys.stderr); sys.exit(65)",
    ),
    step("publish"),
    step("bye", "import sys; print(sys.argv[2])", "{{workflow.status}}"),
    onExit="bye",
)


def slipway(bench: Bench, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command in the bench's folder."""
    return subprocess.run([*SLIPWAY, *words], capture_output=True, text=True, timeout=60, cwd=bench.folder, **options)


def run(bench: Bench, document: dict[str, Any], *words: str) -> subprocess.CompletedProcess[str]:
    """`slipway run` of a manifest with the bench's root and workspace."""
    return slipway(
        bench, "run", str(bench.write(document)), "--root", "root", "--volume", "workspace=workspace", *words
    )


def normalised(text: str) -> str:
    """Times of day and durations as patterns."""
    text = re.sub(r"\b\d\d:\d\d:\d\d\b", "HH:MM:SS", text)
    text = re.sub(r" +\d+\.\d+s\b", " N.Ns", text)
    return re.sub(r"logs in .*/root/", "logs in ROOT/", text)


def test_a_run_goes_on_by_its_name_alone(bench: Bench) -> None:
    story = manifest(
        step(
            "main",
            "import os, sys; sys.exit(0 if os.path.exists(sys.argv[1] + '/mended') else 78)",
            "{{workflow.parameters.what}}",
        ),
        arguments={"parameters": [{"name": "what"}]},
    )
    assert run(bench, story, "--name", "push-1", "-p", "what=digits").returncode == 78
    (bench.folder / "workspace" / "mended").touch()
    assert run(bench, story, "--name", "push-1").returncode == 0


def test_a_run_goes_on_by_its_name_alone_after_many_others(bench: Bench) -> None:
    story = manifest(step("main"), arguments={"parameters": [{"name": "what"}]})
    assert run(bench, story, "--name", "push-1", "-p", "what=digits").returncode == 0
    for count in range(20):
        past(bench.root, f"newer-{count}", 4_000_000_000 + count)
    assert run(bench, story, "--name", "push-1").returncode == 0


def test_a_name_that_no_run_may_have_is_one_line_and_65(bench: Bench) -> None:
    done = run(bench, manifest(step("a")), "--name", "x" * 300)
    assert (done.returncode, len(done.stderr.splitlines())) == (65, 1)


def test_a_run_prints_a_line_for_each_event_and_a_table(bench: Bench) -> None:
    done = run(bench, STORY, "--name", "push-1", "--follow")
    expected = GOLDEN / "run.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        expected.write_text(normalised(done.stdout))
    assert (normalised(done.stdout), done.returncode) == (expected.read_text(), 65)


def test_a_run_that_succeeds_exits_with_0(bench: Bench) -> None:
    assert run(bench, manifest(step("a"))).returncode == 0


def test_a_run_without_a_name_gets_the_next_number(bench: Bench) -> None:
    outputs = [run(bench, manifest(step("a"))).stdout.splitlines()[-1].split()[0] for _ in range(2)]
    assert outputs == ["test-1", "test-2"]


def test_a_run_that_was_interrupted_is_taken_up_without_its_name(bench: Bench) -> None:
    document = manifest(dag("main", task("a"), task("b", "a")), ledger("a"), ledger("b"))
    bench.start(document, "test-1", kill_at=2).wait(timeout=30)
    bench.write(document, "template")
    assert (run(bench, document).stdout.splitlines()[-1].split()[0], bench.ledger) == ("test-1", ["a", "b"])


def test_a_field_that_is_not_honoured_is_one_line_and_78(bench: Bench) -> None:
    document = manifest(step("a", sidecars=[]))
    done = run(bench, document)
    assert (done.returncode, done.stderr.count("\n")) == (78, 1)
    assert "spec.templates[0].sidecars: not honoured by the local runner" in done.stderr


def test_an_unknown_template_is_one_line_that_names_the_known_ones(bench: Bench) -> None:
    done = slipway(bench, "run", "slipway-psh")
    assert done.stderr.endswith("slipway-catch-up, slipway-dead-letter, slipway-gc, slipway-promote, slipway-push\n")


def test_a_parameter_without_a_value_is_one_line(bench: Bench) -> None:
    done = run(bench, manifest(step("a")), "-p", "oops")
    assert (done.returncode, done.stderr) == (78, "slipway: -p 'oops': write it as KEY=VALUE\n")


def test_on_a_terminal_a_tree_is_drawn_and_the_table_stays(bench: Bench) -> None:
    master, slave = pty.openpty()
    words = ["run", str(bench.write(STORY)), "--root", "root", "--volume", "workspace=workspace", "--name", "push-1"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen([*SLIPWAY, *words], stdout=slave, stderr=slave, cwd=bench.folder, env=environment)
    os.close(slave)
    shown = b""
    with contextlib.suppress(OSError):  # how Linux says that the other end is closed
        while data := os.read(master, 65536):
            shown += data
    os.close(master)
    text = shown.decode()
    assert (process.wait(timeout=30), "✗ validate" in text, "digits/validate  exit 65" in text) == (65, True, True)


def test_logs_lists_the_runs(bench: Bench) -> None:
    run(bench, manifest(step("a")), "--name", "one")
    lines = slipway(bench, "logs", "--root", "root").stdout.splitlines()
    assert [line.split()[:3] for line in lines] == [["RUN", "TEMPLATE", "STATUS"], ["one", "test", "Succeeded"]]


def test_logs_lists_the_runs_for_programs(bench: Bench) -> None:
    run(bench, manifest(step("a")), "--name", "one")
    listed = json.loads(slipway(bench, "logs", "--root", "root", "--json").stdout)
    assert [(r["run"], r["template"], r["status"]) for r in listed] == [("one", "test", "Succeeded")]


def test_logs_lists_nothing_for_programs_as_an_empty_list(bench: Bench) -> None:
    assert slipway(bench, "logs", "--root", "root", "--json").stdout == "[]\n"


def test_logs_of_a_run_name_each_step(bench: Bench) -> None:
    run(bench, STORY, "--name", "one")
    assert slipway(bench, "logs", "one", "--root", "root").stdout == (
        "==> plan <==\ntwo models\n"
        "==> digits/train <==\nepoch 1\n[slipway: attempt 2]\nepoch 1\n"
        "==> digits/validate <==\nslipway: digits is refused: accuracy 0.91 < 0.95\n"
        "==> onExit <==\nFailed\n"
    )


def test_logs_of_a_step_are_what_it_printed(bench: Bench) -> None:
    run(bench, STORY, "--name", "one")
    assert slipway(bench, "logs", "one", "plan", "--root", "root").stdout == "two models\n"


@pytest.mark.parametrize("words", [("nope",), ("../root/one",), ("one", "nope")])
def test_logs_of_what_is_not_there_are_one_line_and_65(bench: Bench, words: tuple[str, ...]) -> None:
    run(bench, manifest(step("a")), "--name", "one")
    done = slipway(bench, "logs", *words, "--root", "root")
    assert (done.returncode, done.stderr.count("\n")) == (65, 1)


def test_render_writes_the_manifests_and_a_second_time_nothing(bench: Bench) -> None:
    first, second = slipway(bench, "render"), slipway(bench, "render")
    written = list((bench.folder / "deploy").rglob("*.yaml"))
    assert (len(first.stdout.splitlines()), second.stdout) == (len(written), "")


def test_render_removes_a_manifest_that_is_no_longer_rendered_and_leaves_other_files_alone(bench: Bench) -> None:
    slipway(bench, "render")
    old, other = bench.folder / "deploy/events/old.yaml", bench.folder / "deploy/images/Containerfile"
    other.parent.mkdir()
    for path in (old, other):
        path.write_text("x")
    slipway(bench, "render")
    assert (old.exists(), other.exists()) == (False, True)


def test_a_values_file_without_digests_is_refused(bench: Bench) -> None:
    (bench.folder / "values.yaml").write_text("images: {light: 'registry.example/light:1.0'}\n")
    done = slipway(bench, "render", "--values", "values.yaml")
    assert (done.returncode, "images.light has no digest" in done.stderr) == (78, True)


def test_render_check_fails_when_a_manifest_differs(bench: Bench) -> None:
    slipway(bench, "render")
    (bench.folder / "deploy/workflows/slipway-gc.yaml").write_text("x")
    done = slipway(bench, "render", "--check")
    assert (done.returncode, "slipway-gc.yaml differ; run `slipway render`" in done.stderr) == (65, True)


def test_running_imports_neither_hera_nor_rich_nor_torch(bench: Bench) -> None:
    program = (
        "import sys; from pathlib import Path; from hera_workflows.local.runner import run; "
        "run(Path(sys.argv[1]), {}, name='a', root=Path('root'), volumes={'workspace': Path('workspace')}); "
        "print(sorted({'hera', 'rich', 'torch', 'psutil', 'numpy', 'git'} & sys.modules.keys()))"
    )
    words = [sys.executable, "-c", program, str(bench.write(manifest(step("a"))))]
    assert subprocess.run(words, capture_output=True, text=True, cwd=bench.folder, timeout=60).stdout == "[]\n"
