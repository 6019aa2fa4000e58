"""A real S3 server on this machine for the tests of a store in a bucket."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.build import cache_folder
from triton_repo.ports import free_ports

SECRET = "a-secret-of-the-tests"


def program() -> Path:
    """versitygw as the test cluster built it."""
    found = sorted(cache_folder().glob("versitygw-*/bin/versitygw"))
    if not found:
        pytest.skip(
            f"LEFT OUT: {cache_folder()} has no S3 server; `python -m tests.cluster build` makes one, and no bucket "
            "was tested"
        )
    return found[-1]


@dataclass(frozen=True)
class S3Server:
    """A server, its only bucket `models`, and the variables with which clients find it."""

    folder: Path  # what is in the bucket, as files
    endpoint: str
    process: subprocess.Popen[bytes]

    @property
    def variables(self) -> dict[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": "tests",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }


@contextmanager
def s3_server(folder: Path) -> Iterator[S3Server]:
    """A server over `folder`; its end is the end of the block."""
    (folder / "models").mkdir(parents=True)
    (port,) = free_ports(1)
    address = f"127.0.0.1:{port}"
    variables = {**os.environ, "ROOT_ACCESS_KEY": "tests", "ROOT_SECRET_KEY": SECRET}
    with (folder.parent / f"{folder.name}.log").open("wb") as log:
        process = subprocess.Popen(
            [program(), "--port", address, "--quiet", "posix", str(folder)], env=variables, stdout=log, stderr=log
        )
    try:
        host, port = address.split(":")
        end = time.monotonic() + 20
        while True:
            assert process.poll() is None, "the S3 server ended at once"
            assert time.monotonic() < end, "the S3 server does not listen"
            with socket.socket() as client:
                if client.connect_ex((host, int(port))) == 0:
                    break
        yield S3Server(folder / "models", f"http://{address}", process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
