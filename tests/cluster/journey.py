"""What do people do on a model's way, and what do forge, cluster and Triton say of it then?"""

from __future__ import annotations

import base64
import shutil
import subprocess
import time
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.cluster import team
from tests.cluster.asking import until
from tests.cluster.forge import URL

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster.forge import Forge
    from tests.cluster.kube import Kube
    from tests.cluster.place import Place
    from triton_repo.golden import Golden

__all__ = ["DELIVERY", "JUDGING", "Brought", "Journey", "Push", "failures", "note", "put"]

EXAMPLES = Path(__file__).parents[2] / "examples/models"
TRAINING, JUDGING = 900, 300  # seconds that a busy machine may take
# Argo CD forgets a push of which it hears while it compares the one before; it looks again after a minute.
DELIVERY = 300
# A node of two processors has none to promise to training alone, and people's machines do other work meanwhile.
HERE = (('cpu: "2"', "cpu: 100m"), ('"<= 100"', '"<= 3000"'), ('"<= 500"', '"<= 3000"'))


@dataclass(frozen=True, slots=True)
class Push:
    """One push to the main branch of the models' repository."""

    before: str  # commit; zeros when the push was the first
    commit: str

    @property
    def workflow(self) -> str:
        """The name of the workflow that it starts."""
        return f"push-{self.commit[:12]}-{self.before[:12]}"


@dataclass(frozen=True, slots=True)
class Brought:
    """A version that went all the way."""

    number: int
    merge: str  # the commit that released it to production


@dataclass(frozen=True, slots=True)
class Journey:
    """The team at work: ada writes models, grace approves; `folder` is for checkouts."""

    place: Place
    kube: Kube
    ada: Forge
    grace: Forge
    folder: Path

    def push(self, message: str, change: Callable[[Path], None]) -> Push:
        """Ada changes the folder of models and pushes."""
        checkout, url, before = self._checkout("models", team.MODELS, self.ada)
        change(checkout / "models")
        return Push(before, _commit(checkout, self.ada, url, "main", message))

    def ended(self, push: Push) -> dict[str, Any]:
        """The push's workflow, when it is over."""

        def answer() -> dict[str, Any] | None:
            workflow = self.kube.get("workflow", push.workflow, "--namespace=slipway") or {}
            return workflow if workflow.get("status", {}).get("phase") in {"Succeeded", "Failed", "Error"} else None

        # kubectl is a tenth of a second of a processor that the training needs.
        return until(answer, TRAINING, f"workflow {push.workflow} has ended", every=2)

    def pushed(self, message: str, change: Callable[[Path], None]) -> Push:
        """A push whose workflow has succeeded."""
        push = self.push(message, change)
        workflow = self.ended(push)
        assert workflow["status"]["phase"] == "Succeeded", failures(workflow)
        return push

    def version(self, environment: str, model: str) -> int | None:
        """The number that git says is released; None when none is."""
        found = self.release(environment, model)
        return int(found["VERSION"]) if found else None

    def release(self, environment: str, model: str) -> dict[str, str] | None:
        """release.env on the environments' main branch."""
        text = self.file(f"envs/{environment}/{model}/release.env")
        if text is None:
            return None
        return dict(line.split("=", 1) for line in text.splitlines() if line and not line.startswith("#"))

    def file(self, path: str) -> str | None:
        found = self.ada.call("GET", f"/repos/{team.ENVIRONMENTS}/contents/{path}", accept=(404,))
        return None if found == 404 else base64.b64decode(found["content"]).decode()

    def request(self, environment: str, model: str, number: int) -> dict[str, Any] | None:
        """The open pull request of a version."""
        branch = f"promote/{environment}/{model}-{number}"
        found = self.ada.call("GET", f"/repos/{team.ENVIRONMENTS}/pulls?state=open&limit=50")
        return next((one for one in found if one["head"]["ref"] == branch), None)

    def requested(self, environment: str, model: str, number: int) -> dict[str, Any]:
        what = f"a pull request of {model}@{number} for {environment} is open"
        return until(lambda: self.request(environment, model, number), JUDGING, what)

    def merge(self, request: dict[str, Any]) -> str:
        """Grace merges what she was shown; the commit on main."""
        where = f"/repos/{team.ENVIRONMENTS}/pulls/{request['number']}/merge"
        body = {"Do": "merge", "head_commit_id": request["head"]["sha"]}
        # The forge answers 405 as long as it still looks whether the branch can be merged.
        until(lambda: self.grace.call("POST", where, body, accept=(405,)) != 405 or None, 30, "the request is merged")
        merged = self.grace.call("GET", f"/repos/{team.ENVIRONMENTS}/pulls/{request['number']}")
        return str(merged["merge_commit_sha"])

    def brought(self, model: str) -> Brought:
        """A version that Ada pushed and Grace merged; production is ready with it."""
        self.pushed(f"Train {model}", put(model))
        number = self.version("staging", model)
        assert number is not None
        merge = self.merge(self.requested("production", model, number))
        self.ready("production", model, number)
        return Brought(number, merge)

    def revert(self, merge: str) -> dict[str, Any]:
        """Grace's pull request that undoes a merge, made by `git revert`."""
        checkout, url, _ = self._checkout("environments", team.ENVIRONMENTS, self.grace)
        git(checkout, *_author(self.grace), "revert", "--no-edit", "--mainline=1", merge)
        branch = f"revert-{merge[:12]}"
        git(checkout, "push", "--quiet", url, f"HEAD:refs/heads/{branch}")
        body = {"head": branch, "base": "main", "title": f"Revert {merge[:12]}"}
        opened: dict[str, Any] = self.grace.call("POST", f"/repos/{team.ENVIRONMENTS}/pulls", body)
        return opened

    def log(self) -> list[tuple[str, str]]:
        """Commit and message of everything that is in the environments' main branch, newest first."""
        checkout, _, _ = self._checkout("environments", team.ENVIRONMENTS, self.grace)
        records = git(checkout, "log", "-z", "--format=%H%n%B").split("\0")
        return [(record[:40], record[41:]) for record in records if record]

    def judged(self, passes: int) -> None:
        """Return when so many passes of the promoter that begin from now on have succeeded."""
        begun = datetime.now(UTC) + timedelta(seconds=1)  # Kubernetes writes whole seconds
        seen: set[str] = set()

        def answer() -> bool | None:
            listed = self.kube.get("workflows", "--namespace=slipway") or {}
            for one in listed["items"]:
                template, status = one["spec"].get("workflowTemplateRef", {}).get("name"), one.get("status", {})
                if (template, status.get("phase")) != ("slipway-promote", "Succeeded"):
                    continue
                if datetime.fromisoformat(status["startedAt"]) >= begun:
                    seen.add(one["metadata"]["name"])
            return True if len(seen) >= passes else None

        until(answer, JUDGING + 60 * passes, f"the promoter has passed {passes} times", every=5)

    def said(self, commit: str, context: str) -> dict[str, Any] | None:
        """The newest status of a source commit in one context."""
        where = f"/repos/{team.MODELS}/commits/{commit}/statuses?limit=50"
        statuses = [one for one in self.ada.call("GET", where) if one["context"] == context]
        return max(statuses, key=lambda one: one["id"], default=None)

    def ready(self, environment: str, model: str, number: int) -> str:
        """The address of the model's Service, once whoever connects reaches a server that is ready with the version."""

        def answer() -> str | None:
            service = self.kube.get("service", f"triton-{model}", f"--namespace={environment}")
            address = str(service["spec"]["clusterIP"]) if service else ""
            # The server of the version before stays behind the Service for a moment after the new one is ready.
            return address if address and all(_ready(address, model, number) for _ in range(20)) else None

        return until(answer, DELIVERY, f"{model}@{number} is ready in {environment}")

    def gone(self, environment: str, model: str) -> None:
        """Return when the cluster has nothing left of the model's server."""

        def answer() -> bool | None:
            return self.kube.get("deployment", f"triton-{model}", f"--namespace={environment}") is None or None

        until(answer, DELIVERY, f"{model} is gone from {environment}")

    def golden(self, model: str, number: int) -> Golden:
        """Requests and PyTorch's answers, as the bucket has them."""
        from triton_repo.golden import load_golden

        return load_golden((self.place.folder / f"s3/models/{model}/{number}/golden.npz").read_bytes())

    def _checkout(self, name: str, repository: str, who: Forge) -> tuple[Path, str, str]:
        """The folder with what main has now, where to push, and the commit (zeros when there is none)."""
        scheme, _, host = URL.partition("://")
        url = f"{scheme}://{who.user}:{who.password}@{host}/{repository}.git"
        checkout = self.folder / name
        git(self.folder, "init", "--quiet", "--initial-branch=main", name)
        there = git(checkout, "ls-remote", url, "refs/heads/main").split()
        if there:
            git(checkout, "fetch", "--quiet", url, "main")
            git(checkout, "reset", "--quiet", "--hard", "FETCH_HEAD")
        return checkout, url, there[0] if there else "0" * 40


def put(model: str, *changes: tuple[str, str, str]) -> Callable[[Path], None]:
    """A change of the folder of models: the example, with (file, what stands there, what will), trained anew."""

    def change(models: Path) -> None:
        shutil.rmtree(models / model, ignore_errors=True)
        shutil.copytree(EXAMPLES / model, models / model)
        here = [("model.yaml", old, new) for old, new in HERE if old in (models / model / "model.yaml").read_text()]
        for name, old, new in [*changes, *here]:
            file = models / model / name
            text = file.read_text()
            assert old in text, f"{file} has no {old!r}"
            file.write_text(text.replace(old, new))
        with (models / model / "model.yaml").open("a") as file:
            file.write(f"# pushed at {time.time()}\n")

    return change


def note(text: str) -> Callable[[Path], None]:
    """A change that concerns no model."""

    def change(models: Path) -> None:
        with (models.parent / "NOTES.md").open("a") as file:
            print(text, file=file)

    return change


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def failures(workflow: dict[str, Any]) -> str:
    nodes = workflow["status"].get("nodes", {}).values()
    return "; ".join(f"{one['displayName']}: {one.get('message')}" for one in nodes if one["phase"] == "Failed")


def _commit(checkout: Path, who: Forge, url: str, branch: str, message: str) -> str:
    git(checkout, "add", "--all")
    git(checkout, *_author(who), "commit", "--quiet", "-m", message)
    git(checkout, "push", "--quiet", url, f"HEAD:refs/heads/{branch}")
    return git(checkout, "rev-parse", "HEAD").strip()


def _author(who: Forge) -> list[str]:
    return ["-c", f"user.name={who.user.title()}", "-c", f"user.email={who.user}@forge.test"]


def _ready(address: str, model: str, number: int) -> bool:
    try:
        with urllib.request.urlopen(
            f"http://{address}:8000/v2/models/{model}/versions/{number}/ready", timeout=5
        ) as it:
            return bool(it.status == 200)
    except OSError:
        return False
