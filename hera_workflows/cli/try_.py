"""What does a served model say to a person's own picture, sentence or row?"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from hera_workflows.settings import Server, settings
from slipway.errors import Rejected
from slipway.names import check_model

if TYPE_CHECKING:
    from hera_workflows.asking.question import Question
    from slipway.version import ModelVersion
    from triton_repo.config import Signature
    from triton_repo.golden import Golden

__all__ = ["try_"]


@click.command("try")
@click.argument("model")
@click.argument("given", metavar="[INPUT]", required=False)
@click.option("--environment", help="Where to ask; else the last environment that serves the model.")
@click.option("--protocol", type=click.Choice(["grpc", "http"]), default="grpc", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
@click.pass_obj
def try_(
    home: Path | None,
    model: str,
    given: str | None,
    environment: str | None,
    protocol: Literal["grpc", "http"],
    as_json: bool,
) -> None:
    """Send your own picture, sentence or row to a served MODEL; without INPUT, one of its golden requests.

    INPUT is a file (.png, .jpg, .npy, .csv, .json, .txt), or the sentence or the row of numbers itself; - reads
    standard input. `--` goes before a row that begins with a minus.

    \b
    slipway try digits seven.png
    slipway try ner "Ada Keller of Northwind flew to Oslo ." --environment staging
    slipway try line 3.5 --json
    """
    from hera_workflows.asking.answer import as_json as to_json
    from hera_workflows.asking.answer import in_words
    from hera_workflows.asking.question import question
    from hera_workflows.learning.tasks import load_task
    from triton_repo.ask import ask
    from triton_repo.config import read_signature
    from triton_repo.fetch import read_published
    from triton_repo.golden import load_golden
    from triton_repo.store import find, open_store

    configured = settings(home)
    platform = configured.need_platform()
    server, version = _served(configured.need("env_repo"), check_model(model), environment, platform.servers)
    store = open_store(configured.need("store"))
    manifest = find(store, version.name, version.number, version.digest)
    signature = read_signature(read_published(store, manifest, "config.pbtxt").decode())
    golden = load_golden(read_published(store, manifest, "golden.npz"))
    if given is None:
        asked = _first(golden)
    else:
        text = _standard_input() if given == "-" else given
        asked = question(text, signature, golden, max_batch=manifest.spec.serving.max_batch)
    port = server.grpc_port if protocol == "grpc" else server.http_port
    outputs = ask(f"127.0.0.1:{port}", version.name, version.number, asked.inputs, protocol=protocol)
    classes = (manifest.spec.classes or []) if load_task(manifest.spec.task).CLASSIFIES else None
    samples = range(len(next(iter(outputs.values()))))
    if as_json:
        answers = [to_json(outputs, classes, sample) for sample in samples]
        click.echo(json.dumps({"version": str(version), "environment": server.environment, "answers": answers}))
        return
    where = f"{version} in {server.environment}, over {protocol}" + (f"; {asked.note}" if asked.note else "")
    click.echo(where, err=True)
    for sample in samples:
        for line in in_words(outputs, classes, sample, _sent(asked, signature, sample), _mark):
            click.echo(line)


def _served(
    env_repo: str, model: str, environment: str | None, servers: tuple[Server, ...]
) -> tuple[Server, ModelVersion]:
    """The server to ask, and the version that git says it serves; raises Rejected when there is none."""
    from gitops.environment_repo import read

    snapshot = read(env_repo)
    known = {server.environment: server for server in servers}
    names = [each.name for each in snapshot.environments.environments if each.name in known]
    if environment is not None and environment not in names:
        raise Rejected(f"there is no environment {environment[:80]!r} here; give one of {', '.join(names)}")
    for name in [environment] if environment is not None else reversed(names):
        if (version := snapshot.release(name, model)) is not None:
            return known[name], version
    where = environment or "any environment"
    raise Rejected(f"{model} is not released in {where}; `slipway status` shows what is, `git push` brings a version")


def _standard_input() -> str:
    try:
        return io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8-sig").read()  # as a file is
    except UnicodeDecodeError:
        raise Rejected("standard input is no text; give a picture as a file: `slipway try MODEL seven.png`") from None


def _first(golden: Golden) -> Question:
    from hera_workflows.asking.question import Question

    return Question({name: array[:1] for name, array in golden.inputs.items()}, f"golden request 1 of {len(golden)}")


def _sent(asked: Question, signature: Signature, sample: int) -> str | None:
    if len(signature.inputs) != 1 or signature.inputs[0].datatype != "BYTES":
        return None
    text: Any = asked.inputs[signature.inputs[0].name].reshape(-1)[sample]
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)


def _mark(entity: str) -> str:
    # click leaves the colour out where standard output is no terminal.
    return click.style(entity, fg="cyan", bold=True)
