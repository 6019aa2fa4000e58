"""What a client may ask of a server of envs/base, which it reaches by the port that answers inferences."""

from __future__ import annotations

import base64
import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from slipway.errors import Misconfigured
from triton_repo import wheel
from triton_repo.control import TritonControl
from triton_repo.ports import free_ports

BASE = Path(__file__).parents[2] / "envs" / "base" / "deployment.yaml"
UID = "0b1d2a0e-6f0c-4d5e-9a53-8f9f2f6f3f10"


def arguments(models: Path) -> list[str]:
    """The server's arguments, with what Kubernetes puts into them."""
    pod = yaml.safe_load(BASE.read_text())["spec"]["template"]["spec"]
    container = next(each for each in pod["containers"] if each["name"] == "triton")
    assert {"name": "POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}} in container["env"]
    given = (word for word in container["args"] if "$(MODEL)" not in word)  # an empty repository starts sooner
    return [word.replace("$(POD_UID)", UID).replace("=/models", f"={models}") for word in given]


@pytest.fixture
def ports(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """The HTTP and gRPC ports of a real server, started as the base says."""
    (tmp_path / "models").mkdir()
    http, grpc, metrics = free_ports(3)
    where = [f"--http-port={http}", f"--grpc-port={grpc}", f"--metrics-port={metrics}"]
    backends = f"--backend-directory={wheel.make_backends(tmp_path / 'backends')}"
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            [str(wheel.tritonserver()), *arguments(tmp_path / "models"), *where, backends],
            env=wheel.environment(),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + 30
        while asked(http, "v2/health/live") != 200:
            if server.poll() is not None or time.monotonic() > deadline:
                pytest.fail((tmp_path / "log").read_text())
            time.sleep(0.05)
        yield http, grpc
    finally:
        server.kill()
        server.wait()


def asked(port: int, path: str, content: bytes | None = None) -> int | None:
    """The status of an answer; None without one."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", content, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def test_a_client_cannot_bring_a_model_and_so_run_code(ports: tuple[int, int], tmp_path: Path) -> None:
    http, grpc = ports
    code = f"open({str(tmp_path / 'ran')!r}, 'w')\nclass TritonPythonModel:\n    pass\n"
    output = {"name": "y", "data_type": "TYPE_FP32", "dims": [1]}
    config = json.dumps({"name": "theirs", "backend": "python", "output": [output]})
    parameters = {"config": config, "file:1/model.py": base64.b64encode(code.encode()).decode()}
    body = json.dumps({"parameters": parameters}).encode()
    assert asked(http, "v2/repository/models/theirs/load", body) == 403
    with TritonControl(f"127.0.0.1:{grpc}", None) as control, pytest.raises(Misconfigured, match="restricted"):
        control.load("theirs")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("path", ["v2/systemsharedmemory/status", "v2/logging", "v2/trace/setting"])
def test_a_client_sees_no_settings_and_no_shared_memory(ports: tuple[int, int], path: str) -> None:
    assert asked(ports[0], path) == 403


def test_a_client_may_ask_what_is_served(ports: tuple[int, int]) -> None:
    assert asked(ports[0], "v2") == 200
    assert asked(ports[0], "v2/models/digits/ready") == 400  # nothing is loaded, which it may know
    with TritonControl(f"127.0.0.1:{ports[1]}", None) as control:
        assert not control.ready("digits", 1)
