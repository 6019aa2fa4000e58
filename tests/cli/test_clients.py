"""The digits and ner examples on a real Triton: every block of docs/clients.md as it stands, and `slipway try`.

The blocks use nothing of slipway.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

from example_yard import Yard

from hera_workflows.learning.inference import open_session
from triton_repo.control import TritonControl
from triton_repo.server import RunningTriton, start_triton
from triton_repo.serving import serve
from triton_repo.store import open_store

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).parents[2] / "docs" / "clients.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = {"sh": ["sh", "-e"], "python": [sys.executable, "-I", "-"], "js": ["node", "--input-type=module", "-"]}
IMAGE = np.array(json.loads(re.search(r'"data": (\[[^\]]*\])', PAGE)[1]), np.float32).reshape(1, 1, 8, 8)  # type: ignore[index]


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Yard:
    """The digits example, trained for a moment, and the ner example."""
    yard = Yard(tmp_path_factory.mktemp("clients"))
    yaml = yard.take("digits") / "model.yaml"
    few = re.sub(r"epochs: \d+", "epochs: 2", yaml.read_text())
    yaml.write_text(re.sub(r"^gates:.*?^(?=\w)", "", few, flags=re.MULTILINE | re.DOTALL))
    yard.take("ner")
    for model in ("digits", "ner"):
        yard.ship(model)
    return yard


@pytest.fixture(scope="module")
def triton(yard: Yard) -> Iterator[RunningTriton]:
    store = open_store(yard.store)
    wanted = [store.version(model, 1) for model in ("digits", "ner")]
    repository = yard.root / "serving" / "models"
    server = start_triton(repository, repository.parent, secret=None)
    try:
        with TritonControl(server.grpc_address, None) as control:
            serve(store, control, repository, wanted, verify_key=None, timeout=60)
        yield server
    finally:
        server.stop(0)


def run(triton: RunningTriton, language: str, code: str) -> str:
    """What a block prints; it fails when the block does."""
    if shutil.which(COMMANDS[language][0]) is None:
        pytest.fail(f"{COMMANDS[language][0]} is not installed; the blocks of docs/clients.md cannot be checked")
    here = code.replace("127.0.0.1:8000", f"127.0.0.1:{triton.ports.http}")
    here = here.replace("127.0.0.1:8001", f"127.0.0.1:{triton.ports.grpc}")
    ended = subprocess.run(COMMANDS[language], input=here, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def blocks(heading: str) -> list[tuple[str, str]]:
    """Language and code of the blocks below a heading of the second level."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^```(\w+)\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def test_every_block_of_the_page_belongs_to_a_section_that_is_tested() -> None:
    tested = ["What does a model take?", "Numbers: digits", "Text: ner", "When a request is refused"]
    assert [block for heading in tested for block in blocks(heading)] == BLOCKS


def test_a_model_says_what_it_takes(triton: RunningTriton) -> None:
    ((language, code),) = blocks("What does a model take?")
    (tensor,) = json.loads(run(triton, language, code))["inputs"]
    assert tensor == {"name": "input", "datatype": "FP32", "shape": [-1, 1, 8, 8]}


@pytest.mark.parametrize(("language", "code"), blocks("Numbers: digits"), ids=lambda text: str(text)[:6])
def test_each_client_gets_the_digit_that_the_model_sees(
    triton: RunningTriton, yard: Yard, language: str, code: str
) -> None:
    printed = run(triton, language, code)
    session = open_session(yard.root / "workspace" / "push-1" / "digits" / "train" / "model.onnx")
    expected = session.run(None, {"input": IMAGE})[0][0]
    if language == "sh":
        (output,) = json.loads(printed)["outputs"]
        assert output["data"] == pytest.approx(expected.tolist(), abs=1e-4)
    else:
        assert printed.split() == [str(expected.argmax()), f"{expected.max():.1%}"]


@pytest.mark.parametrize(("language", "code"), blocks("Text: ner"), ids=lambda text: str(text)[:6])
def test_each_client_gets_the_entities(triton: RunningTriton, language: str, code: str) -> None:
    printed = run(triton, language, code)
    if language == "sh":
        (output,) = json.loads(printed)["outputs"]
        found = [(entity["label"], entity["text"]) for entity in json.loads(output["data"][0])]
        assert found == [("PER", "Ada Keller"), ("LOC", "Oslo"), ("LOC", "Lima")]
    else:
        lines = [re.sub(r" \d+\.\d%$", "", line) for line in printed.splitlines()]
        assert lines == ["PER Ada Keller", "LOC Oslo", "LOC Lima"]


def test_a_refused_request_says_why(triton: RunningTriton) -> None:
    ((language, code),) = blocks("When a request is refused")
    assert "text 1 has 100000 characters; send at most 4000" in run(triton, language, code)


def test_no_block_imports_slipway() -> None:
    assert not [code for _, code in BLOCKS if re.search(r"\b(slipway|hera_workflows|triton_repo|gitops)\b", code)]


def tried(triton: RunningTriton, yard: Yard, model: str, given: str | Path, protocol: str) -> list[str]:
    """What `slipway try` prints, with the yard as the home of a platform whose staging is this server."""
    ports = {f"{kind}_port": getattr(triton.ports, kind) for kind in ("http", "grpc", "metrics")}
    content = {"home": str(yard.root), "prometheus_port": 9, "servers": [{"environment": "staging", **ports}]}
    (yard.root / "platform.json").write_text(json.dumps(content))
    command = [sys.executable, "-m", "hera_workflows", "--home", str(yard.root), "try", model, str(given)]
    ended = subprocess.run([*command, "--protocol", protocol], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_try_names_the_digit_in_a_persons_picture(
    triton: RunningTriton, yard: Yard, tmp_path: Path, protocol: str
) -> None:
    Image.fromarray((IMAGE[0, 0] * 255).round().astype(np.uint8)).save(tmp_path / "digit.png")
    session = open_session(yard.root / "workspace" / "push-1" / "digits" / "train" / "model.onnx")
    expected = session.run(None, {"input": IMAGE})[0][0].argmax()
    assert tried(triton, yard, "digits", tmp_path / "digit.png", protocol)[0].startswith(f"{expected} (")


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_try_marks_the_entities_in_a_persons_sentence(triton: RunningTriton, yard: Yard, protocol: str) -> None:
    printed = tried(triton, yard, "ner", "Ada Keller flew from Oslo to Lima.", protocol)
    assert printed[0] == "[Ada Keller PER] flew from [Oslo LOC] to [Lima LOC]."
