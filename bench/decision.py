"""What does a decision over 10,000 models cost, against one query for each model?

    python bench/decision.py                    # 10,000 models
    python bench/decision.py --models 500

A real Prometheus scrapes a Triton's worth of series for every model. A process of its own asks, judges and decides;
another asks one query for each model; a third runs a whole pass of the promoter, with the env repo's releases and the
store's manifests. Queries are counted by Prometheus. The aim is 10 queries at most, 5 s and 150 MB for the decision.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import click

from triton_repo.ports import free_ports

REASONS = ("OTHER", "BACKEND", "CANCELED", "REJECTED")
QUANTILES = ("0.5", "0.9", "0.95", "0.99", "0.999")


def models(count: int) -> list[str]:
    """Names of models."""
    return [f"model-{number:05}" for number in range(count)]


def manifest(name: str) -> Any:
    """The manifest of one version, with a policy that asks for what is measured."""
    from slipway.manifest import DataSummary, Manifest, Validation
    from slipway.spec import ModelSpec
    from slipway.verdict import Check, Outcome, Verdict

    spec = {"name": name, "task": "regression", "promotion": {"soak": "10m", "p95_ms": "<= 50"}}
    checks = [Check(name=f"check-{n}", verdict=Verdict.PASS, reason="0.98; >= 0.95 needed") for n in range(8)]
    return Manifest(
        name=name,
        number=1,
        created=datetime(2026, 1, 1, tzinfo=UTC),
        source_commit="c" * 40,
        operation_id=f"publish/{name}",
        run="run-1",
        spec=ModelSpec.model_validate(spec),
        data=DataSummary(digest="sha256:" + "0" * 64, counts={"test": 360}),
        training={"seconds": 3.0},
        validation=Validation(outcome=Outcome.PASS, checks=checks, metrics={}, files={}),
        tools={"torch": "2.15.0"},
        files={},
    )


def exposition(names: list[str]) -> bytes:
    """What a Triton that serves all of them says, 800 good requests each."""
    lines = []
    for name in names:
        labels = f'model="{name}",version="1"'
        lines.append(f"nv_inference_request_success{{{labels}}} 800")
        lines += [f'nv_inference_request_failure{{{labels},reason="{reason}"}} 0' for reason in REASONS]
        lines += [f'nv_inference_request_summary_us{{{labels},quantile="{q}"}} 9000' for q in QUANTILES]
    return "\n".join(lines).encode() + b"\n"


@contextmanager
def prometheus(folder: Path, names: list[str]) -> Iterator[str]:
    """The URL of a Prometheus that has seen every series several times."""
    body = exposition(names)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    target = {"targets": [f"127.0.0.1:{server.server_port}"], "labels": {"environment": "staging"}}
    scrape = {"job_name": "triton", "scrape_interval": "5s", "scrape_timeout": "5s", "static_configs": [target]}
    (folder / "prometheus.yml").write_text(json.dumps({"scrape_configs": [scrape]}))
    (port,) = free_ports(1)
    binary = shutil.which("prometheus")
    if binary is None:
        raise click.ClickException("prometheus is not on PATH; install it and run this again")
    process = subprocess.Popen(
        [
            binary,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=error",
        ]
    )
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 120
        while _scrapes(url) < 4:
            if time.monotonic() > deadline:
                raise click.ClickException("Prometheus did not scrape the exporter within 2 minutes")
            time.sleep(1)
        yield url
    finally:
        process.kill()
        process.wait()
        server.shutdown()


def _scrapes(url: str) -> int:
    query = urllib.parse.urlencode({"query": 'sum(count_over_time(up{job="triton"}[5m]))'})
    try:
        with urllib.request.urlopen(f"{url}/api/v1/query?{query}", timeout=30) as answer:
            result = json.load(answer)["data"]["result"]
    except OSError:
        return 0
    return int(result[0]["value"][1]) if result else 0


def _answered(url: str) -> int:
    """How many instant queries Prometheus has answered."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    found = re.findall(r'prometheus_http_requests_total\{code="200",handler="/api/v1/query"\} (\S+)', text)
    return int(float(found[0])) if found else 0


def decide(url: str, count: int) -> None:
    """Measure, judge and decide for every model."""
    from gitops.metrics import PrometheusMetrics
    from slipway.judge import judge
    from slipway.observation import Observation
    from slipway.promotion import Open, Situation, Target, Wait, next_step
    from slipway.verdict import Outcome
    from slipway.version import ModelVersion

    policy, digest = manifest("model").spec.promotion, "sha256:" + "0" * 64
    target = Target("production", "pull-request", None, None, None, left=False, request_open=False)
    with PrometheusMetrics(url) as metrics:
        measurements = metrics.measure(span=timedelta(minutes=11))
    steps = []
    for name in models(count):
        seen = measurements.of("staging", name, 1)
        observation = Observation(
            environment="staging",
            model=name,
            number=1,
            digest=digest,
            observed_at=measurements.at,
            window_seconds=seen.window.total_seconds(),
            reconciled=None,
            replicas=seen.replicas,
            ready_replicas=seen.ready_replicas,
            ready_since=seen.ready_since,
            requests=seen.requests,
            failures=seen.failures,
            p95_ms=seen.p95_ms,
            p95_requests=seen.p95_requests,
            replay=None,
        )
        judgement = judge(observation, policy, measurements.at)
        version = ModelVersion(name, 1, digest)
        steps.append(next_step(Situation("staging", version, policy, Outcome.PASS, judgement, None, target)))
    # Ready for some seconds of ten minutes: every number was there, so the soak alone is waited for.
    assert all(isinstance(step, Wait) and step.reason.startswith("ready for") for step in steps), steps[0]
    assert not any(isinstance(step, Open) for step in steps)


def one_by_one(url: str, count: int) -> None:
    """Ask only for the requests of each model, one query each."""
    from prometheus_api_client.prometheus_connect import PrometheusConnect

    from gitops.promql import selector

    client = PrometheusConnect(url)
    for name in models(count):
        labels = {"job": "triton", "environment": "staging", "model": name, "version": "1"}
        assert client.custom_query(f"sum({selector('nv_inference_request_success', labels)})")


def whole_pass(url: str, folder: Path, count: int) -> None:
    """A pass of the promoter."""
    from gitops.metrics import PrometheusMetrics
    from hera_workflows.promoter import Promoter, promote
    from hera_workflows.promoter.servers import Addresses
    from triton_repo.store import open_store

    with PrometheusMetrics(url) as metrics:
        store = open_store(str(folder / "store"))
        done = promote(Promoter(str(folder / "env.git"), store, metrics, Addresses({}), "run-1"))
    assert [line.action for line in done.lines] == ["waiting"] * count, done.lines[0]


def build(folder: Path, names: list[str]) -> None:
    """A store with a manifest of every model, and an env repo that releases them all to staging."""
    from gitops.edit import Edit, edit
    from gitops.git import Git
    from gitops.layout import release_path
    from gitops.seed import default_folder, seed
    from slipway.manifest import manifest_digest, render_manifest
    from slipway.operation import Operation, render_message
    from slipway.version import ModelVersion, render_release_env

    url = str(folder / "env.git")
    Git(Path(url)).run("init", "--quiet", "--bare", "--initial-branch=main")
    seed(url, default_folder())
    files: dict[str, bytes | None] = {}
    for name in names:
        content = render_manifest(manifest(name))
        place = folder / "store" / name / "1"
        place.mkdir(parents=True)
        (place / "manifest.json").write_bytes(content)
        version = ModelVersion(name, 1, manifest_digest(content))
        files[release_path("staging", name)] = render_release_env(version).encode()
    message = render_message("Release everything", Operation("all", "seed", "staging"))
    edit(url, lambda tip: Edit(files, message), operation_id="all", reads=["envs/environments.yaml"])


def _measured(url: str, *arguments: str) -> tuple[float, int, int]:
    """Seconds, peak memory in MB, and queries of one way in a process of its own."""
    before = _answered(url)
    began = time.monotonic()
    out = subprocess.run([sys.executable, __file__, *arguments], check=True, capture_output=True, text=True).stdout
    return time.monotonic() - began, int(out.split()[-1]) // 1024, _answered(url) - before


@click.group(invoke_without_command=True)
@click.option("--models", "count", default=10_000, show_default=True)
@click.pass_context
def bench(ctx: click.Context, count: int) -> None:
    """Print the figures."""
    if ctx.invoked_subcommand is not None:
        return
    names = models(count)
    with tempfile.TemporaryDirectory(prefix="bench-decision-") as temporary:
        folder = Path(temporary)
        build(folder, names)
        with prometheus(folder, names) as url:
            rows = [
                ("decision", *_measured(url, "way", "decide", url, temporary, str(count))),
                ("one query a model", *_measured(url, "way", "one", url, temporary, str(count))),
                ("whole pass", *_measured(url, "way", "pass", url, temporary, str(count))),
            ]
    click.echo(f"{count:,} models, {count * (1 + len(REASONS) + len(QUANTILES)):,} series, start of Python included")
    click.echo(f"{'':20}{'seconds':>9}{'peak MB':>9}{'queries':>9}")
    for name, seconds, memory, queries in rows:
        click.echo(f"{name:20}{seconds:9.2f}{memory:9}{queries:9}")
    click.echo(f"the decision takes {rows[0][1] / rows[1][1]:.2f} of the time of one query a model")


@bench.command()
@click.argument("kind", type=click.Choice(["decide", "one", "pass"]))
@click.argument("url")
@click.argument("folder", type=Path)
@click.argument("count", type=int)
def way(kind: str, url: str, folder: Path, count: int) -> None:
    """One way, in a process of its own; prints its peak memory in kB."""
    if kind == "decide":
        decide(url, count)
    elif kind == "one":
        one_by_one(url, count)
    else:
        whole_pass(url, folder, count)
    # Not getrusage: a child inherits the peak of the process that it was forked from.
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    click.echo(found[1])


if __name__ == "__main__":
    bench()
