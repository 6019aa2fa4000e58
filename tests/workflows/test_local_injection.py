"""Values are data: nothing that a push, an output or a parameter contains changes what runs."""

from __future__ import annotations

import json
import os
from base64 import b64decode
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from workflow_bench import Bench, dag, manifest, step, task

from hera_workflows.local.substitution import substitute
from slipway.errors import Misconfigured

SHOW = "import json, sys; print(json.dumps(sys.argv[2:]))"
HOSTILE = [
    "{{workflow.name}}",
    "{{inputs.parameters.word}}",
    "{{=asInt('1')}}",
    "$(touch pwned); `touch pwned`",
    '", "command": ["sh"], "x": "',
    "'; import os; os.abort() #",
    "--help",
    "/workspace",
    "a\nb\r\x1b[31m",
    "",
]


@given(st.text(), st.text())
def test_a_value_is_put_in_once_and_never_read_again(first: str, second: str) -> None:
    assert substitute("<{{a}}|{{ b }}>", {"a": first, "b": second}) == f"<{first}|{second}>"


@given(st.text())
def test_a_value_may_be_put_in_as_base64(value: str) -> None:
    assert b64decode(substitute("{{=sprig.b64enc(a.b)}}", {"a.b": value})).decode() == value


@pytest.mark.parametrize("text", ["{{=1+1}}", "{{=sprig.env(a)}}", "{{=sprig.b64enc(a)+a}}"])
def test_no_other_expression_of_argos_is_known(text: str) -> None:
    with pytest.raises(Misconfigured, match="is unknown here"):
        substitute(text, {"a": "1"})


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(Misconfigured, match=r"\{\{nope\}\} is unknown here; known are a"):
        substitute("{{nope}}", {"a": "1"})


@pytest.mark.parametrize("value", HOSTILE)
def test_a_parameter_reaches_its_step_as_one_argument_unchanged(bench: Bench, value: str) -> None:
    document = manifest(step("a", SHOW, "{{workflow.parameters.word}}"), parameters={"word": ""})
    bench.run(document, given={"word": value})
    assert json.loads(bench.log("a")) == [value]


@pytest.mark.parametrize("value", HOSTILE)
def test_an_output_reaches_the_next_step_unchanged(bench: Bench, value: str) -> None:
    write = "import sys; open(sys.argv[2], 'w', newline='').write(sys.argv[3] + chr(10))"
    first = step(
        "a",
        write,
        "/scratch/w",
        "{{workflow.parameters.word}}",
        outputs={"parameters": [{"name": "w", "valueFrom": {"path": "/scratch/w"}}]},
    )
    second = step("b", SHOW, "{{inputs.parameters.w}}", inputs={"parameters": [{"name": "w"}]})
    tasks = dag("main", task("a"), task("b", "a", arguments={"w": "{{tasks.a.outputs.parameters.w}}"}))
    bench.run(manifest(tasks, first, second, parameters={"word": ""}), given={"word": value})
    assert json.loads(bench.log("b")) == [value]


def test_a_quote_in_a_value_does_not_leave_its_place_in_the_pod_patch(bench: Bench) -> None:
    patch = {"containers": [{"name": "main", "resources": {"requests": {"cpu": "{{workflow.parameters.cpu}}"}}}]}
    document = manifest(step("a", podSpecPatch=json.dumps(patch)), parameters={"cpu": "1"})
    result = bench.run(document, given={"cpu": '1"}, "command": ["sh"], "x": {"y": "'})
    assert (result.exit_code, "is not a quantity" in result.nodes[0].message) == (78, True)


def test_nodes_that_a_step_asks_for_are_not_used_here_and_a_notice_says_so(bench: Bench) -> None:
    patch = '{"nodeSelector": {{workflow.parameters.nodes}}, "tolerations": {{workflow.parameters.taints}}}'
    bench.run(
        manifest(step("a", podSpecPatch=patch), parameters={"nodes": '{"gpu":"h200"}', "taints": "[]"}),
    )
    assert [event.text for event in bench.events if event.state == "notice"] == [
        'node_selector {"gpu":"h200"}: not used, there is only this machine'
    ]


@pytest.mark.parametrize("value", ['{}, "hostNetwork": true', "{", "x"])
def test_a_text_that_is_no_json_does_not_leave_its_place_in_the_pod_patch(bench: Bench, value: str) -> None:
    document = manifest(
        step("a", podSpecPatch='{"nodeSelector": {{workflow.parameters.nodes}}}'), parameters={"nodes": ""}
    )
    result = bench.run(document, given={"nodes": value})
    assert (result.exit_code, "is not JSON" in result.nodes[0].message) == (78, True)


def test_a_path_in_a_value_is_not_mapped_to_a_volume(bench: Bench) -> None:
    document = manifest(step("a", SHOW, "/workspace/x", "{{workflow.parameters.p}}"), parameters={"p": "/workspace/x"})
    bench.run(document)
    assert json.loads(bench.log("a")) == [f"{bench.workspace}/x", "/workspace/x"]


def test_a_nul_byte_is_refused_in_one_line(bench: Bench) -> None:
    document = manifest(step("a", SHOW, "{{workflow.parameters.p}}"), parameters={"p": ""})
    assert "NUL byte" in bench.run(document, given={"p": "a\0b"}).nodes[0].message


def test_a_step_sees_no_variable_that_the_manifest_does_not_name(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    bench.run(manifest(step("a", "import json, os; print(json.dumps(dict(os.environ)))")))
    allowed = {"PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "SSL_CERT_FILE"}
    ours = {"CUDA_VISIBLE_DEVICES", "SLIPWAY_STEP", "LC_CTYPE"}
    assert set(json.loads(bench.log("a"))) <= allowed | ours


def secret(**fields: object) -> dict[str, object]:
    """A step that prints what it has of the Secret `hook`."""
    one = step("a", "import os; print(os.environ.get('TOKEN'))")
    one["container"]["env"] = [
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "hook", "key": "url", **fields}}}
    ]
    return manifest(one)


def test_a_secret_comes_from_the_caller(bench: Bench) -> None:
    bench.run(secret(), env={"TOKEN": "abc", "OTHER": "x"})
    assert bench.log("a") == "abc\n"


def test_a_secret_comes_from_its_folder(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "url").write_text("abc\n")
    bench.run(secret(), volumes={"workspace": bench.workspace, "hook": tmp_path / "hook"})
    assert bench.log("a") == "abc\n"


def test_an_optional_secret_may_be_missing(bench: Bench) -> None:
    bench.run(secret(optional=True))
    assert bench.log("a") == "None\n"


def test_a_missing_secret_is_an_error_that_names_it(bench: Bench) -> None:
    result = bench.run(secret())
    assert (result.exit_code, "TOKEN comes from the Secret hook" in result.nodes[0].message) == (78, True)


def test_a_workspace_whose_path_looks_like_a_variable_is_only_a_path(bench: Bench, tmp_path: Path) -> None:
    odd = tmp_path / "{{workflow.name}}"
    odd.mkdir()
    bench.run(manifest(step("a", SHOW, "/workspace/x")), volumes={"workspace": odd})
    assert json.loads(bench.log("a")) == [os.fspath(odd / "x")]
