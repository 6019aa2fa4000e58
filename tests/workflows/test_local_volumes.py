"""A folder of a volume, mounted instead of the whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from workflow_bench import Bench, manifest, step

from slipway.errors import Misconfigured

WRITE = "import sys; open(sys.argv[2] + '/here', 'w').write(sys.argv[2])"


def mounted(mount_path: str, sub_path: str, argument: str, **spec: Any) -> dict[str, Any]:
    """A workflow of one step that writes a file into its argument's folder."""
    document = manifest(step("a", WRITE, argument), **spec)
    mounts = document["spec"]["templates"][0]["container"]["volumeMounts"]
    mounts[1] |= {"mountPath": mount_path, "subPath": sub_path}
    return document


def test_a_path_under_the_mount_is_the_folder_in_the_volume(bench: Bench) -> None:
    assert bench.run(mounted("/data", "deep/er", "/data")).status == "Succeeded"
    assert (bench.workspace / "deep" / "er" / "here").read_text() == str(bench.workspace / "deep" / "er")


def test_variables_in_the_mount_mean_the_same_in_an_argument(bench: Bench) -> None:
    document = mounted("/workspace/{{workflow.name}}/x", "{{workflow.name}}/x", "/workspace/{{workflow.name}}/x")
    assert bench.run(document, name="push-1").status == "Succeeded"
    assert (bench.workspace / "push-1" / "x" / "here").is_file()


def test_a_value_that_is_spelled_like_a_mount_is_no_path(bench: Bench) -> None:
    document = manifest(step("a", "import json, sys; print(json.dumps(sys.argv[2:]))", "{{workflow.parameters.word}}"))
    document["spec"]["arguments"] = {"parameters": [{"name": "word", "value": "/workspace/x"}]}
    bench.run(document)
    assert json.loads(bench.log("a")) == ["/workspace/x"]


@pytest.mark.parametrize("word", ["..", "a/../..", "/etc", "link", "link/deeper"])
def test_a_folder_outside_its_volume_is_refused(bench: Bench, tmp_path: Path, word: str) -> None:
    bench.workspace.mkdir(exist_ok=True)
    (bench.workspace / "link").symlink_to("/tmp")
    document = mounted("/data", "{{workflow.parameters.word}}", "/data", parameters={"word": ""})
    result = bench.run(document, given={"word": word})
    assert (result.status, result.exit_code) == ("Error", 78)
    assert f"volumeMounts.subPath {word!r} leads out of its volume; name a folder in it" in result.nodes[0].message


def test_a_secret_that_may_be_absent_is_an_empty_folder(bench: Bench) -> None:
    document = manifest(step("a", "import os, sys; print(os.listdir(sys.argv[2]))", "/git"))
    document["spec"]["volumes"].append({"name": "git", "secret": {"secretName": "credentials", "optional": True}})
    document["spec"]["templates"][0]["container"]["volumeMounts"].append({"name": "git", "mountPath": "/git"})
    assert bench.run(document).status == "Succeeded"
    assert bench.log("a") == "[]\n"


def test_a_secret_that_must_be_there_and_is_not_is_named(bench: Bench) -> None:
    document = manifest(step("a", "pass", "/git"))
    document["spec"]["volumes"].append({"name": "git", "secret": {"secretName": "credentials"}})
    document["spec"]["templates"][0]["container"]["volumeMounts"].append({"name": "git", "mountPath": "/git"})
    with pytest.raises(Misconfigured, match="no folder is given for credentials"):
        bench.run(document)
