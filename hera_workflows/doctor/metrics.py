"""Does Prometheus answer, scrape what it should, and keep Triton's series under the labels that the promoter reads?"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from hera_workflows.doctor.finding import Finding, missing, note, ok
from hera_workflows.doctor.installation import Installation
from hera_workflows.templates.monitoring import JOBS, SERVERS
from slipway.errors import SlipwayError

__all__ = ["check", "judge_jobs", "judge_labels", "judge_version"]

_SCRAPE = (
    "does the operator's Prometheus select PodMonitors with the labels in `monitoring.labels`, in this namespace, "
    "and may it read pods there?"
)
_LABELS = ("environment", "model", "version")


def check(installation: Installation) -> Iterator[Finding]:
    """A finding for Prometheus, each job of ours, the labels, and each released version."""
    subject = f"Prometheus at {installation.values.prometheus}"
    try:
        installation.prometheus("vector(1)")
    except SlipwayError as error:
        yield missing(subject, str(error), "correct `prometheus` in the values; nothing is promoted without it")
        return
    yield ok(subject, "answers")
    up = {labels.get("job", ""): value for labels, value in installation.prometheus("max by (job) (up)")}
    yield from judge_jobs(up)
    found = installation.prometheus(f'nv_inference_request_success{{job="{SERVERS}"}}')
    releases = installation.snapshot.releases
    yield judge_labels([labels for labels, _ in found], bool(releases))
    served = {tuple(labels.get(name, "") for name in _LABELS) for labels, _ in found}
    for (environment, _), version in sorted(releases.items()):
        yield judge_version(environment, version.name, version.number, served)


def judge_jobs(up: Mapping[str, float]) -> Iterator[Finding]:
    """up: by job, 1 when one of its targets answers."""
    for job in JOBS:
        if job not in up:
            yield missing(f"job {job}", "is not scraped", _SCRAPE)
        elif not up[job]:
            yield missing(
                f"job {job}", "does not answer", "does the program run, and does a NetworkPolicy let Prometheus in?"
            )
        else:
            yield ok(f"job {job}", "is scraped")


def judge_labels(series: Collection[Mapping[str, str]], released: bool) -> Finding:
    """series: the labels of each that Triton's servers gave; released: whether there should be any."""
    subject = f"series of job {SERVERS}"
    if not series and not released:
        return note(subject, "there are none, and nothing is released yet", "look again after the first release")
    if not series:
        return missing(
            subject, "there are none", f"kubectl apply --server-side -k on what slipway render wrote; {_SCRAPE}"
        )
    lacking = [name for name in (*_LABELS, "serves") if not all(labels.get(name) for labels in series)]
    if lacking:
        return missing(
            subject,
            f"some have no label {', '.join(lacking)}",
            "scrape them by the PodMonitor slipway-servers and by nothing else; its relabelings give the labels",
        )
    return ok(subject, f"{len(series)} have {', '.join(_LABELS)} and serves")


def judge_version(environment: str, model: str, number: int, served: Collection[tuple[str, ...]]) -> Finding:
    """served: environment, model and version of every series."""
    subject = f"{model}@{number} in {environment}"
    if (environment, model, str(number)) in served:
        return ok(subject, "is loaded and measured")
    return missing(
        subject,
        "is released, and no server says that it has it",
        f"kubectl -n {environment} get pods; a pod that is READY and not scraped is a matter of the PodMonitor",
    )
