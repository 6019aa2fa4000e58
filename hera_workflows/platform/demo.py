"""Does the whole way work? Four real pushes: a first model, a better one, a worse one, a brittle one.

`make demo`, or `python -m hera_workflows.platform.demo`. DEMO_HOME is the folder (./.demo), KEEP=1 leaves it running.
"""

from __future__ import annotations

import json
import shutil

import click

from hera_workflows.packaged import packaged
from hera_workflows.platform.clients import ask_grpc, ask_http, busy, picture
from hera_workflows.platform.home import git
from hera_workflows.platform.story import Story, perform, run_story
from hera_workflows.settings import Server
from slipway.errors import Misconfigured, Rejected

__all__ = ["main"]

MODEL = "digits"
CLIENTS = 32

# What the data scientist changes before each push: (file, what stands there, what will).
FIRST = [("model.yaml", "epochs: 15", "epochs: 4")]
BETTER = [("model.yaml", "epochs: 4", "epochs: 15")]
WORSE = [("model.yaml", "epochs: 15, lr: 0.004", "epochs: 2, lr: 0.0001")]
BRITTLE = [
    ("model.yaml", "epochs: 2, lr: 0.0001", "epochs: 15, lr: 0.004"),
    (
        "model.py",
        "        super().__init__()\n",
        """\
        super().__init__()
        # Ink comes in 17 levels, so learn what each of them is worth.
        self.worth = nn.Embedding.from_pretrained(torch.linspace(0, 1, 17).unsqueeze(1), freeze=False)
""",
    ),
    (
        "model.py",
        "        return self.layers(images)\n",
        """\
        levels = (images * 16).round().long()
        return self.layers(self.worth(levels).squeeze(-1))
""",
    ),
]


def tell(story: Story) -> None:
    """The story; raises Rejected as soon as something is not as it should be."""
    with story.step("a project: the digits model, in git"):
        shutil.copytree(packaged("examples") / "models" / MODEL, story.project / "models" / MODEL)
        story.run("git", "init", "-q", "--initial-branch=main")
    with story.step("slipway up: repositories, a Triton for staging and one for production, Prometheus"):
        story.slipway("up")
        story.run("git", "remote", "add", "slipway", str(story.home / "source.git"))
    _first(story)
    _better(story)
    _worse(story)
    _brittle(story)


def _first(story: Story) -> None:
    with story.step("git push: a first model is trained, validated, published and served in staging") as found:
        _push(story, FIRST, "Recognize handwritten digits")
        found.append(story.serves("staging", MODEL, 1))
    with story.step("slipway promote --wait: its golden requests are replayed in staging, and it passes") as found:
        found += _promote(story)
    _approve(story, 1)
    with story.step("production is asked what a real handwritten digit is") as found:
        image, digit = picture(42)
        production = _server(story, "production")
        for name, ask in (("HTTP", ask_http), ("gRPC", ask_grpc)):
            answer = ask(production, MODEL, image)
            best = max(range(len(answer)), key=answer.__getitem__)
            found.append(f"over {name}: a {best}, with probability {answer[best]:.3f} (it is a {digit})")
            if best != digit:
                raise Rejected(f"production takes a {digit} for a {best}; see {story.log}")


def _better(story: Story) -> None:
    with story.step("git push: a better model, trained longer") as found:
        _push(story, BETTER, "Train longer")
        found.append(story.serves("staging", MODEL, 2))
    with story.step(f"slipway promote --wait, with {CLIENTS} clients on staging") as found:
        found += _promote(story)
    _approve(story, 2)


def _worse(story: Story) -> None:
    with story.step("git push: a worse model is refused by its gates") as found:
        said = _push(story, WORSE, "Learn more carefully")
        found += [f"refused: {line}" for line in _refusals(said)[:1]]
        found.append(story.serves("staging", MODEL, 2))


def _brittle(story: Story) -> None:
    with story.step(
        "git push: an accurate model passes every gate, for the test split has no overexposed picture"
    ) as found:
        _push(story, BRITTLE, "Learn what each level of ink is worth")
        found.append(story.serves("staging", MODEL, 3))
    with story.step("slipway promote --wait: it fails on its clients' pictures, and is rolled back") as found:
        _promote(story)
        found += [note["text"] for note in json.loads(story.slipway("status", "--json"))["notes"]]
        found += [story.serves("staging", MODEL, 2), story.serves("production", MODEL, 2)]


def _push(story: Story, changes: list[tuple[str, str, str]], message: str) -> str:
    """Change the model's files and push; what the pusher reads."""
    for name, old, new in changes:
        path = story.project / "models" / MODEL / name
        text = path.read_text()
        if old not in text:
            raise Misconfigured(f"{path} does not contain {old!r}; the demo needs its own example, install again")
        path.write_text(text.replace(old, new))
    return story.push(message)


def _promote(story: Story) -> list[str]:
    with busy(f"127.0.0.1:{_server(story, 'staging').grpc_port}", MODEL, CLIENTS):
        story.slipway("promote", "--wait", "2m")
    waiting = json.loads(story.slipway("approvals", "--json"))
    return [f"{request['verdict']}: {request['reason']}" for request in waiting]


def _approve(story: Story, number: int) -> None:
    with story.step("slipway approve: the judged commit is merged, production serves it") as found:
        story.slipway("approve", "production", MODEL, "--by", "Grace", "--yes")
        found.append(story.serves("production", MODEL, number))


def _server(story: Story, environment: str) -> Server:
    return next(server for server in story.platform.servers if server.environment == environment)


def _refusals(said: str) -> list[str]:
    reasons = [line.partition(" is refused: ")[2] for line in said.splitlines() if " is refused: " in line]
    # The first check and its threshold are enough here.
    return ["; ".join(reason.split("; ")[:2]) for reason in reasons]


def ending(story: Story) -> str:
    """What there is to look at now."""
    platform = story.platform
    lines = ["", story.slipway("status").rstrip(), ""]
    for server in platform.servers:
        lines.append(f"{server.environment:<12}http://127.0.0.1:{server.http_port}/v2/models/{MODEL}")
    lines += [
        f"{'Prometheus':<12}{platform.prometheus_url}",
        f"{'report':<12}{platform.store / MODEL / '2' / 'report.html'}",
        f"{'log':<12}{story.log}",
        "",
    ]
    log = git(platform.env_repo, "log", "--first-parent", "--format=  %h  %an  %s", "main", "--", "envs/production")
    return "\n".join([*lines, "production in git:", log.rstrip(), ""])


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a step.")
def main(as_json: bool) -> None:
    """Tell the whole story with real pushes, then stop everything unless KEEP=1."""
    perform(tell, ending, as_json)


if __name__ == "__main__":
    run_story(main)
