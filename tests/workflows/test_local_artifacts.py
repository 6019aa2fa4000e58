"""Files that steps leave for people are kept beside their logs."""

from __future__ import annotations

from typing import Any

import pytest
from workflow_bench import Bench, manifest, step

REPORT = {"name": "report", "path": "/workspace/{{workflow.name}}.html", "archive": {"none": {}}}
WRITE = "import sys; open(sys.argv[1] + '/one.html', 'w').write('<p>good</p>')"


def leaves(program: str, **artifact: Any) -> dict[str, Any]:
    """A workflow of one step with one output artifact."""
    return manifest(step("a", program, outputs={"artifacts": [{**REPORT, **artifact}]}))


def test_an_output_artifact_is_kept_beside_the_log(bench: Bench) -> None:
    bench.run(leaves(WRITE), name="one")
    assert (bench.root / "one" / "a.report.html").read_text() == "<p>good</p>"


def test_an_artifact_of_a_step_that_failed_is_kept_too(bench: Bench) -> None:
    result = bench.run(leaves(f"{WRITE}; sys.exit(65)"), name="one")
    assert (result.exit_code, (bench.root / "one" / "a.report.html").exists()) == (65, True)


def test_an_artifact_that_is_not_there_is_an_error(bench: Bench) -> None:
    assert bench.run(leaves("pass"), name="one").status == "Error"


def test_an_optional_artifact_that_is_not_there_is_none(bench: Bench) -> None:
    assert bench.run(leaves("pass", optional=True), name="one").status == "Succeeded"


@pytest.mark.parametrize("make", ["os.symlink('/etc/passwd', p)", "os.mkfifo(p)", "os.mkdir(p)"])
def test_only_a_regular_file_is_kept(bench: Bench, make: str) -> None:
    result = bench.run(leaves(f"import os, sys; p = sys.argv[1] + '/one.html'; {make}"), name="one")
    assert (result.status, list((bench.root / "one").glob("a.report*"))) == ("Error", [])
