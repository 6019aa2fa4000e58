"""Small workflows to run: manifests as Python values, steps as one-line programs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from hera_workflows.local.admission import Machine
from hera_workflows.local.result import Event, WorkflowResult
from hera_workflows.local.runner import run

IMAGE = "slipway/light:0.1.0"


def container(program: str, *arguments: str, **fields: Any) -> dict[str, Any]:
    """A container that runs a Python program; `/scratch` and `/workspace` are mounted."""
    mounts = [{"name": "scratch", "mountPath": "/scratch"}, {"name": "workspace", "mountPath": "/workspace"}]
    return {
        "image": IMAGE,
        "command": ["python", "-c", program],
        "args": list(arguments),
        "volumeMounts": mounts,
        **fields,
    }


def step(name: str, program: str = "pass", *arguments: str, **fields: Any) -> dict[str, Any]:
    """A template with one container; its program's arguments begin with the workspace's folder."""
    return {"name": name, "container": container(program, "/workspace", *arguments), **fields}


def ledger(name: str, more: str = "") -> dict[str, Any]:
    """A step that writes its name into the workspace's ledger each time it has run."""
    return step(name, f"import sys; {more or 'pass'}; open(sys.argv[1] + '/ledger', 'a').write({name!r} + chr(10))")


def dag(name: str, *tasks: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A template with a DAG."""
    return {"name": name, "dag": {"tasks": list(tasks)}, **fields}


def task(name: str, depends: str | None = None, *, of: str | None = None, **fields: Any) -> dict[str, Any]:
    """A task; its template has its name unless `of` says otherwise."""
    arguments = fields.pop("arguments", None)
    result = {"name": name, "template": of or name, **fields}
    if depends is not None:
        result["depends"] = depends
    if arguments:
        result["arguments"] = {"parameters": [{"name": k, "value": v} for k, v in arguments.items()]}
    return result


def past(root: Path, name: str, when: int, template: str = "test", status: str | None = "Succeeded") -> None:
    """A run that something happened to at `when`."""
    folder = root / name
    folder.mkdir(parents=True)
    lines = [{"fact": "run", "identity": {"template": template, "parameters": {}}, "started": when}]
    lines += [{"fact": "status", "status": status}] if status else []
    (folder / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    os.utime(folder / "journal.jsonl", (when, when))


def manifest(*templates: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """A WorkflowTemplate; the first template is the entrypoint."""
    parameters = [{"name": k, "value": v} for k, v in spec.pop("parameters", {}).items()]
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": "test"},
        "spec": {
            "entrypoint": templates[0]["name"],
            "arguments": {"parameters": parameters},
            "templates": list(templates),
            "volumes": [
                {"name": "scratch", "emptyDir": {}},
                {"name": "workspace", "persistentVolumeClaim": {"claimName": "workspace"}},
            ],
            **spec,
        },
    }


@dataclass
class Bench:
    """A root with a workspace in which workflows are run."""

    folder: Path
    events: list[Event] = field(default_factory=list)

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def workspace(self) -> Path:
        return self.folder / "workspace"

    @property
    def ledger(self) -> list[str]:
        """The names of the ledger's steps, in the order in which they ended."""
        path = self.workspace / "ledger"
        return path.read_text().split() if path.exists() else []

    def write(self, document: dict[str, Any], name: str = "template") -> Path:
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(document))
        return path

    def run(self, document: dict[str, Any], name: str = "run", **options: Any) -> WorkflowResult:
        """Run it in this process; the events are kept."""
        parameters = options.pop("given", {})
        options = {"volumes": {"workspace": self.workspace}, "on_event": self.events.append, **options}
        options = {"machine": Machine(4.0, 2**40, ()), **options}
        return run(self.write(document, name), parameters, name=name, root=self.root, **options)

    def start(self, document: dict[str, Any], name: str = "run", *, kill_at: int = -1, wait_for: str = "") -> Any:
        """Run it in a process of its own, which kills itself with -9 at its event number `kill_at`."""
        options = {
            "template": str(self.write(document, name)),
            "root": str(self.root),
            "workspace": str(self.workspace),
            "name": name,
            "kill_at": kill_at,
        }
        return subprocess.Popen([sys.executable, "-c", _DRIVER, json.dumps(options)], stdout=subprocess.PIPE, text=True)

    def phases(self, result: WorkflowResult) -> dict[str, str]:
        """The phase of each step by its node."""
        return {node.id: node.phase for node in result.nodes}

    def states(self) -> list[str]:
        """Events as `node state`."""
        return [f"{event.node} {event.state}" for event in self.events]

    def log(self, node: str, name: str = "run") -> str:
        return (self.root / name / f"{node}.log").read_text()


_DRIVER = """
import json, os, signal, sys
from pathlib import Path
from hera_workflows.local.admission import Machine
from hera_workflows.local.runner import run
o = json.loads(sys.argv[1])
seen = []
def on_event(event):
    if len(seen) == o["kill_at"]:
        os.kill(os.getpid(), signal.SIGKILL)
    seen.append(event)
    print(event.node, event.state, flush=True)
result = run(Path(o["template"]), {}, name=o["name"], root=Path(o["root"]),
             volumes={"workspace": Path(o["workspace"])}, on_event=on_event, machine=Machine(4.0, 2**40, ()))
print(result.status, flush=True)
sys.exit(result.exit_code)
"""
