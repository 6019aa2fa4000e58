"""What can a pod do that it should not? Runs inside the pod, in place of its program; its only library is Python's.

Argument: a JSON object with step, run, model, forge, s3, bucket; prepare and tidy: whether
to make or to remove the run's folder. Prints one JSON object: what each attempt met.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


def met(attempt: Any) -> str:
    """How an attempt ended: the name of the operating system's refusal, or what the attempt itself says."""
    try:
        return str(attempt())
    except urllib.error.HTTPError as refusal:
        return f"HTTP {refusal.code}"
    except OSError as refusal:
        return errno.errorcode.get(refusal.errno or 0, repr(refusal))


def write(path: str) -> str:
    Path(path).write_text("written by an attempt")
    return "done"


def names(folder: str) -> str:
    return " ".join(sorted(one.name for one in Path(folder).iterdir()))


def kubernetes(method: str, path: str, body: object = None) -> str:
    """Ask the API server, with the pod's token if there is one."""
    headers = {"Content-Type": "application/merge-patch+json" if method == "PATCH" else "application/json"}
    if TOKEN.exists():
        headers["Authorization"] = f"Bearer {TOKEN.read_text()}"
    url = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}{path}"
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=content, method=method, headers=headers)
    # A pod without a token has no certificate to know the server by.
    anybody = ssl._create_unverified_context()
    with urllib.request.urlopen(request, timeout=20, context=anybody) as answer:
        return f"HTTP {answer.status}"


def wait_refused(url: str) -> None:
    """Return when the address is refused, or after thirty seconds: policies hold some moments after a pod starts."""
    address = urllib.parse.urlsplit(url)
    for _ in range(60):
        try:
            socket.create_connection((address.hostname, address.port), timeout=2).close()
        except OSError:
            return
        time.sleep(0.5)


def push(url: str, branch: str) -> str:
    """Push a branch with git itself and whatever credential the pod has."""
    folder = tempfile.mkdtemp()
    quiet = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    helper = f"credential.helper=store --file={os.environ.get('GIT_CREDENTIALS', '/git/credentials')}"
    who = ["-c", "user.name=attempt", "-c", "user.email=attempt@slipway.test"]
    subprocess.run(["git", "init", "--quiet", folder], check=True, env=quiet, timeout=30)
    commit = ["git", "-C", folder, *who, "commit", "--quiet", "--allow-empty", "-m", "attempt"]
    subprocess.run(commit, check=True, env=quiet, timeout=30)
    words = ["git", "-C", folder, "-c", helper, "push", url, f"HEAD:refs/heads/{branch}"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=quiet, timeout=60)
    if done.returncode == 0:
        return "done"
    refusals = {
        "remote rejected": "rejected",
        "could not read Username": "no credential",
        "not found": "not found",
        "Failed to connect": "not reached",
    }
    return next((name for said, name in refusals.items() if said in done.stderr), done.stderr.strip()[-300:])


def bucket(about: dict[str, str], method: str, name: str, where: str) -> str:
    """Ask the bucket, signed where the pod has keys."""
    url = f"{about['s3']}/{where}/{name}"
    content = b"written by an attempt" if method == "PUT" else None
    request = urllib.request.Request(url, data=content, method=method)
    if "AWS_ACCESS_KEY_ID" in os.environ:
        from botocore.auth import SigV4Auth  # of the images that ever have keys
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials

        keys = Credentials(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
        signed = AWSRequest(method=method, url=url, data=content or b"")
        signed.headers["X-Amz-Content-SHA256"] = "UNSIGNED-PAYLOAD"
        signed.context["payload_signing_enabled"] = False
        SigV4Auth(keys, "s3", "us-east-1").add_auth(signed)
        for key, value in signed.headers.items():
            request.add_header(key, value)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return f"HTTP {answer.status}"


def forge(about: dict[str, str], path: str) -> str:
    """Write a file of the protected branch with the forge's token, past git."""
    headers = {"Content-Type": "application/json"}
    if "FORGE_TOKEN" in os.environ:
        headers["Authorization"] = f"token {os.environ['FORGE_TOKEN']}"
    body = json.dumps({"content": "", "message": "attempt", "branch": "main"}).encode()
    request = urllib.request.Request(f"{about['forge']}/api/v1{path}", data=body, method="POST", headers=headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return f"HTTP {answer.status}"


def status(*fields: str) -> str:
    """Fields of the process, as the kernel has them."""
    lines = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    return " ".join(lines[field].split("\t")[0].strip() for field in fields)


def become_root() -> str:
    os.setuid(0)
    return "done"


def tmpfs() -> list[str]:
    """Where the pod has memory as files: each Secret is one, and no step has another but /dev/shm."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return sorted(
        where for _, where, kind, *_ in mounts if kind == "tmpfs" and not where.startswith(("/dev", "/proc", "/sys"))
    )


def all_of(about: dict[str, str]) -> dict[str, Any]:
    """Every attempt, by its name."""
    run, model = f"/workspace/{about['run']}", about["model"]
    named = {"metadata": {"generateName": "attempt-"}, "spec": {"workflowTemplateRef": {"name": "slipway-gc"}}}
    workflow = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", **named}
    argo, label = "/apis/argoproj.io/v1alpha1/namespaces", {"metadata": {"labels": {"attempt": "made"}}}
    applications = f"{argo}/argocd/applicationsets/slipway?dryRun=All"
    anything = {"spec": {"template": {"spec": {"project": "default"}}}}
    look = {"metadata": {"annotations": {"argocd.argoproj.io/application-set-refresh": "true"}}}
    branch, there = f"attempt-{about['step']}", f"{about['bucket']}/attempts"
    environments = f"{about['forge']}/team/environments.git"
    return {
        "secrets mounted": tmpfs(),
        "credentials in the environment": sorted(name for name in os.environ if re.search("AWS|TOKEN|SECRET", name)),
        "user": met(lambda: os.getuid()),
        "capabilities": met(lambda: status("CapEff", "CapPrm", "CapBnd")),
        "no new privileges, seccomp": met(lambda: status("NoNewPrivs", "Seccomp")),
        "become root": met(become_root),
        "read a token": met(lambda: TOKEN.read_text() and "done"),
        "write the root": met(lambda: write("/attempt")),
        "write slipway's code": met(lambda: write("/opt/slipway/attempt")),
        "read the signing key": met(lambda: Path("/keys/signing.key").read_text() and "done"),
        "list applications": met(lambda: kubernetes("GET", f"{argo}/argocd/applications")),
        "list secrets": met(lambda: kubernetes("GET", "/api/v1/namespaces/slipway/secrets")),
        "get the signing key": met(lambda: kubernetes("GET", "/api/v1/namespaces/slipway/secrets/slipway-signing")),
        "create a workflow": met(lambda: kubernetes("POST", f"{argo}/slipway/workflows?dryRun=All", workflow)),
        "create one elsewhere": met(lambda: kubernetes("POST", f"{argo}/default/workflows?dryRun=All", workflow)),
        "delete a workflow": met(lambda: kubernetes("DELETE", f"{argo}/slipway/workflows/any?dryRun=All")),
        "create a pod": met(lambda: kubernetes("POST", "/api/v1/namespaces/slipway/pods?dryRun=All", {})),
        "create a result": met(lambda: kubernetes("POST", f"{argo}/slipway/workflowtaskresults?dryRun=All", {})),
        "patch an application": met(lambda: kubernetes("PATCH", f"{argo}/argocd/applications/any?dryRun=All", label)),
        "patch what Argo CD applies": met(lambda: kubernetes("PATCH", applications, anything)),
        "ask Argo CD to look": met(lambda: kubernetes("PATCH", applications, look)),
        "patch a deployment": met(
            lambda: kubernetes(
                "PATCH", "/apis/apps/v1/namespaces/production/deployments/any?dryRun=All", {"metadata": {}}
            )
        ),
        "push to the environments": met(lambda: push(environments, branch)),
        "push to the models": met(lambda: push(f"{about['forge']}/team/models.git", branch)),
        "write main past git": met(lambda: forge(about, "/repos/team/environments/contents/attempt")),
        "write the store": met(lambda: bucket(about, "PUT", about["step"] + "-new", there)),
        "read the store": met(lambda: bucket(about, "GET", about["step"], there)),
        "delete from the store": met(lambda: bucket(about, "DELETE", about["step"], there)),
        "write the artifacts": met(lambda: bucket(about, "PUT", "written", "artifacts/attempts")),
        "see the workspace": met(lambda: names("/workspace")),
        "see the run": met(lambda: names(run)),
        "write the workspace": met(lambda: write("/workspace/attempt")),
        "write the run": met(lambda: write(f"{run}/attempt")),
        "write the source": met(lambda: write(f"{run}/source/attempt")),
        "write the models": met(lambda: write("/models/attempt")),
        "write its own folder": met(lambda: write(f"{run}/{model}/attempt")),
        "read another model's": met(lambda: Path(f"{run}/another/weights").read_text() and "done"),
        "read another model's by ..": met(lambda: Path(f"{run}/{model}/../another/weights").read_text() and "done"),
    }


def read(log: str, who: str) -> dict[str, Any]:
    """What each attempt met, from the log of the pod or container that made them."""
    lines = [line.removeprefix("ATTEMPTS ") for line in log.splitlines() if line.startswith("ATTEMPTS ")]
    assert len(lines) == 1, f"{who} made no attempts: {log[-1500:]}"
    result: dict[str, Any] = json.loads(lines[0])
    return result


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    if given["prepare"]:
        for path in (f"{given['run']}/source/model.py", f"{given['run']}/another/weights"):
            file = Path("/workspace", path)
            file.parent.mkdir(parents=True)
            file.write_text("of another model")
    if given["step"] == "train":
        wait_refused(given["forge"])
    print("ATTEMPTS " + json.dumps(all_of(given)))
    if given["tidy"]:
        for folder in (given["run"], f"datasets/{given['model']}"):
            shutil.rmtree(Path("/workspace", folder), ignore_errors=True)
        Path("/workspace/attempt").unlink(missing_ok=True)
