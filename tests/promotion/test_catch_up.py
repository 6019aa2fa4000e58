"""What becomes of a push whose delivery was lost, on a real Gitea."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from gitops.forge.open import open_forge
from hera_workflows.forges import ForgeFlags
from hera_workflows.heard import FAR_BACK, LOOK_BACK
from hera_workflows.source_status import Failed, finish, hear
from hera_workflows.steps.catch_up import delivery

pytestmark = pytest.mark.slow
SECRET = "a secret of the forge"
YAML = "name: {}\ntask: multiclass-classification\n"


@dataclass
class Listener:
    """Who takes deliveries, as the event source does."""

    answer: int = 200
    heard: list[tuple[Message, bytes]] = field(default_factory=list)  # headers and body
    address: str = ""


@pytest.fixture
def listener() -> Iterator[Listener]:
    found = Listener()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.heard.append((self.headers, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(found.answer)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found.address = f"http://127.0.0.1:{server.server_port}/push"
    yield found
    server.shutdown()
    server.server_close()


class Source:
    """A repository of models on the forge."""

    def __init__(self, running: Any, folder: Path) -> None:
        self.running, self.folder = running, folder
        self.name = running.project(f"models-{uuid4().hex[:12]}")
        self.token = running.tokens["slipway-bot"]
        self.forge = open_forge("gitea", running.url, self.name, self.token)
        self.first = running.call("GET", f"/repos/{self.name}/branches/main")["commit"]["id"]
        self.url = f"http://slipway-bot:{running.password}@{running.url.removeprefix('http://')}/{self.name}.git"

    def push(self, model: str, yaml: str = YAML) -> str:
        """A commit with a new model on main."""
        content = base64.b64encode(yaml.format(model).encode()).decode()
        where = f"/repos/{self.name}/contents/models/{model}/model.yaml"
        return str(self.running.call("POST", where, {"content": content, "branch": "main"})["commit"]["sha"])

    def notes(self, count: int) -> str:
        """As many commits that change no model; the last."""
        folder = self.folder / "notes"
        git = ["git", "-C", str(folder), "-c", "user.name=Ada", "-c", "user.email=ada@localhost"]
        subprocess.run(["git", "clone", "--quiet", self.url, str(folder)], check=True)
        for number in range(count):
            subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", f"Note {number}"], check=True)
        subprocess.run([*git, "push", "--quiet"], check=True)
        return subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()

    def step(self, name: str, **flags: str) -> subprocess.CompletedProcess[str]:
        """Run a step that knows the repository and its forge."""
        known = {"source-repo": self.url, "forge": "gitea", "forge-url": self.running.url, "source-project": self.name}
        given = {key.replace("_", "-"): value for key, value in flags.items()}
        words = [word for flag, value in {**known, **given}.items() for word in (f"--{flag}", value)]
        environment = {"PATH": "/usr/bin:/bin", "FORGE_TOKEN": self.token, "WEBHOOK_SECRET": SECRET}
        command = [sys.executable, "-m", f"hera_workflows.steps.{name}", *words]
        return subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=120)

    def catch_up(self, listener: Listener) -> subprocess.CompletedProcess[str]:
        return self.step("catch_up", branch="main", events=listener.address)

    def planned(self, before: str, after: str) -> subprocess.CompletedProcess[str]:
        flags = {"before": before, "after": after, "run": "push-1", "workspace": str(self.folder)}
        return self.step("plan", **flags, output=str(self.folder / "changes.json"))

    def plan(self, before: str, after: str) -> list[str]:
        """The models that the plan of a push names."""
        done = self.planned(before, after)
        assert done.returncode == 0, done.stderr
        return [change["model"] for change in json.loads((self.folder / "changes.json").read_text())]


def refusal(code: int) -> Failed:
    """What Argo says of a plan that ended with this code."""
    return Failed("plan(0)", f"main: Error (exit code {code}): slipway: what was wrong")


@pytest.fixture
def source(gitea: tuple[Any, Path], tmp_path: Path) -> Source:
    return Source(gitea[0], tmp_path)


def test_a_push_of_which_nobody_heard_is_delivered_again_from_the_last_one_that_was_heard(
    source: Source, listener: Listener
) -> None:
    hear(source.forge, source.first, [], [], "")
    source.push("digits")
    head = source.push("line")

    done = source.catch_up(listener)

    assert done.returncode == 0, done.stderr
    [(headers, body)] = listener.heard
    pushed = {"ref": "refs/heads/main", "before": source.first, "after": head, "repository": {"full_name": source.name}}
    assert json.loads(body) == pushed
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    assert (headers["X-GitHub-Event"], headers["X-Hub-Signature-256"]) == ("push", f"sha256={signature}")


def test_a_push_that_was_heard_is_not_delivered_again(source: Source, listener: Listener) -> None:
    head = source.push("digits")
    assert source.plan(source.first, head) == ["digits"]
    assert source.catch_up(listener).stdout == "no push was missed\n"
    assert listener.heard == []


def test_a_push_that_changes_no_model_counts_as_heard(source: Source, listener: Listener) -> None:
    assert source.plan(source.first, source.first) == []
    assert source.forge.statuses(source.first)["slipway"].description == "no model changed"
    assert source.catch_up(listener).stdout == "no push was missed\n"


def test_a_push_whose_workflow_succeeded_is_not_delivered_again_though_its_plan_could_not_say_that_it_heard(
    source: Source, listener: Listener
) -> None:
    hear(source.forge, source.first, [], [], "")
    finish(source.forge, source.push("digits"), True, [], {}, "")
    assert source.catch_up(listener).stdout == "no push was missed\n"
    assert listener.heard == []


def test_commits_from_before_the_first_push_are_not_delivered(source: Source, listener: Listener) -> None:
    source.push("digits")
    assert source.catch_up(listener).returncode == 0
    assert listener.heard == []


def test_the_next_push_brings_what_a_lost_one_changed(source: Source) -> None:
    hear(source.forge, source.first, [], [], "")
    lost = source.push("digits")
    assert source.plan(lost, source.push("line")) == ["digits", "line"]


@pytest.mark.parametrize("code", [75, 65], ids=["broken", "refused"])
def test_the_next_push_brings_what_one_changed_whose_plan_broke_or_that_was_refused_as_a_whole(
    source: Source, code: int
) -> None:
    hear(source.forge, source.first, [], [], "")
    before = source.push("digits")
    finish(source.forge, before, False, [refusal(code)], {}, "")
    assert source.plan(before, source.push("line")) == ["digits", "line"]


def test_a_push_that_was_refused_as_a_whole_is_not_delivered_again(source: Source, listener: Listener) -> None:
    hear(source.forge, source.first, [], [], "")
    finish(source.forge, source.push("digits"), False, [refusal(65)], {}, "")
    assert source.catch_up(listener).stdout == "no push was missed\n"
    assert listener.heard == []


@pytest.mark.parametrize("code", [75, 65], ids=["broke", "was refused"])
def test_where_the_first_push_came_to_nothing_the_next_brings_every_model(source: Source, code: int) -> None:
    source.push("digits")
    before = source.push("line")
    finish(source.forge, before, False, [refusal(code)], {}, "")
    assert source.plan(before, source.push("pairs")) == ["digits", "line", "pairs"]


def test_where_slipway_never_heard_of_a_push_the_next_brings_its_own(source: Source) -> None:
    before = source.push("digits")
    assert source.plan(before, source.push("line")) == ["line"]


@pytest.mark.parametrize(("notes", "brought"), [(LOOK_BACK, ["digits", "line"]), (FAR_BACK, ["line"])])
def test_a_push_brings_what_was_not_planned_of_the_last_500_commits(
    source: Source, notes: int, brought: list[str]
) -> None:
    hear(source.forge, source.first, [], [], "")
    source.push("digits")
    before = source.notes(notes)
    finish(source.forge, before, False, [refusal(65)], {}, "")
    assert source.plan(before, source.push("line")) == brought


def test_models_with_errors_are_named_with_their_own_and_not_brought_again_before_they_change(source: Source) -> None:
    hear(source.forge, source.first, [], [], "")
    source.push("digits", "task: no-such-task")
    bad = source.push("line", "task: none-such")
    assert source.planned(source.first, bad).returncode == 65
    said = source.forge.statuses(bad)
    assert {name: status.state for name, status in said.items()} == dict.fromkeys(
        ["slipway", "slipway/digits", "slipway/line"], "failure"
    )
    assert said["slipway"].description == "trains nothing: errors in digits, line"
    assert said["slipway/line"].description.startswith("models/line/model.yaml:1:1: ")
    assert source.plan(bad, source.push("pairs")) == ["pairs"]


def test_a_refused_push_that_was_tried_again_and_succeeded_is_planned(source: Source) -> None:
    hear(source.forge, source.first, [], [], "")
    before = source.push("digits")
    finish(source.forge, before, False, [refusal(65)], {}, "")
    finish(source.forge, before, True, [], {}, "")
    assert source.plan(before, source.push("line")) == ["line"]


def test_a_push_after_one_that_was_heard_brings_only_its_own(source: Source) -> None:
    digits = source.push("digits")
    source.plan(source.first, digits)
    assert source.plan(digits, source.push("line")) == ["line"]


@pytest.mark.parametrize(("answer", "code"), [(400, 78), (503, 75)])
def test_a_delivery_that_is_not_taken_ends_with_what_to_do(
    source: Source, listener: Listener, answer: int, code: int
) -> None:
    hear(source.forge, source.first, [], [], "")
    source.push("digits")
    listener.answer = answer
    done = source.catch_up(listener)
    assert (done.returncode, f"with {answer}" in done.stderr or f"answers {answer}" in done.stderr) == (code, True)


def test_a_delivery_to_nobody_is_tried_again(source: Source) -> None:
    hear(source.forge, source.first, [], [], "")
    source.push("digits")
    assert source.catch_up(Listener(address="http://127.0.0.1:1/push")).returncode == 75


def test_gitlab_is_spoken_for_in_its_own_words() -> None:
    flags = ForgeFlags("gitlab", "https://gitlab.example", "acme/models", "acme/environments", "")
    headers, body = delivery(flags, "refs/heads/main", "a" * 40, "b" * 40, SECRET)
    assert headers["X-Gitlab-Token"] == SECRET
    assert json.loads(body)["project"] == {"path_with_namespace": "acme/models"}


@pytest.mark.parametrize("kind", ["gitea", "gitlab"])
def test_a_newline_at_the_end_of_the_secret_is_not_part_of_it(kind: str) -> None:
    flags = ForgeFlags(kind, "https://forge.example", "acme/models", "acme/environments", "")
    push = ("refs/heads/main", "a" * 40, "b" * 40)
    assert delivery(flags, *push, f"{SECRET}\n") == delivery(flags, *push, SECRET)
