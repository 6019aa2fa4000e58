"""What a release was decided on: evidence.json beside it, and the verdict that follows from it again."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from slipway.errors import Rejected, first_problem
from slipway.judge import Judgement, judge
from slipway.manifest import Manifest, MetricValue
from slipway.names import Commit, Digest, EnvironmentName, ModelName
from slipway.observation import Observation
from slipway.spec import Promotion
from slipway.verdict import Check, Outcome, Verdict, outcome, worst
from slipway.version import ModelVersion

__all__ = [
    "Evidence",
    "ServedEvidence",
    "ValidationEvidence",
    "ValidationSummary",
    "VersionName",
    "agrees",
    "bump_evidence",
    "parse_evidence",
    "promotion_evidence",
    "recompute",
    "render_evidence",
]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class VersionName(_Value):
    """A ModelVersion as JSON."""

    name: ModelName
    number: Annotated[int, Field(ge=1, lt=10**18)]
    digest: Digest

    def __str__(self) -> str:
        return f"{self.name}@{self.number}"


class ValidationSummary(_Value):
    """What validation said before anything was served."""

    outcome: Outcome
    checks: list[Check]
    metrics: dict[str, MetricValue]
    champion: str | None
    report: str  # path of report.html inside the model store
    node: str | None = Field(default=None, exclude_if=lambda node: node is None)  # see Validation.node


class ValidationEvidence(_Value):
    """Why a version entered the first environment: nothing was served yet, so validation alone speaks."""

    format: Literal[1] = 1
    kind: Literal["validation"] = "validation"
    environment: EnvironmentName
    version: VersionName
    source_commit: Commit
    run: str
    validation: ValidationSummary


class ServedEvidence(_Value):
    """Why a version went on, or was taken out: what was seen of it while it was served, and the policy."""

    format: Literal[1] = 1
    kind: Literal["promotion", "rollback"]
    version: VersionName  # the one that was judged; after a rollback not the one that is released
    judged_in: EnvironmentName
    target: EnvironmentName  # where the release changes
    previous: VersionName | None  # what `target` released before
    source_env_commit: Commit  # of the env repo, that was judged
    judged_at: AwareDatetime
    policy: Promotion
    observation: Observation
    verdict: Verdict
    reason: str
    checks: list[Check]
    validation: ValidationSummary
    # Of `previous`, when it was validated; None where validation itself compared with it, and where it is not known.
    previous_metrics: dict[str, MetricValue] | None = Field(default=None, exclude_if=lambda metrics: metrics is None)


Evidence = Annotated[ValidationEvidence | ServedEvidence, Field(discriminator="kind")]
_EVIDENCE: TypeAdapter[ValidationEvidence | ServedEvidence] = TypeAdapter(Evidence)


def _named(version: ModelVersion) -> VersionName:
    return VersionName(name=version.name, number=version.number, digest=version.digest)


def _summarize(manifest: Manifest) -> ValidationSummary:
    """The part of a manifest that says how validation went."""
    validation = manifest.validation
    return ValidationSummary(
        outcome=validation.outcome,
        checks=validation.checks,
        metrics=validation.metrics,
        champion=validation.champion,
        report=f"{manifest.name}/{manifest.number}/report.html",
        node=validation.node,
    )


def bump_evidence(version: ModelVersion, manifest: Manifest, environment: str, *, run: str | None = None) -> bytes:
    """evidence.json of a bump into `environment`: what the bump step hands to `gitops.bump.bump(evidence=…)`.

    The same manifest gives the same bytes. `run` is the workflow that bumps; the one that published when left out.
    """
    evidence = ValidationEvidence(
        environment=environment,
        version=_named(version),
        source_commit=manifest.source_commit,
        run=run or manifest.run,
        validation=_summarize(manifest),
    )
    return render_evidence(evidence)


def promotion_evidence(
    kind: Literal["promotion", "rollback"],
    judgement: Judgement,
    observation: Observation,
    manifest: Manifest,
    *,
    target: str,
    previous: ModelVersion | None,
    source_env_commit: str,
    judged_at: AwareDatetime,
    previous_manifest: Manifest | None = None,
) -> ServedEvidence:
    """The evidence of a decision on a served version, by the policy in its own manifest.

    previous_manifest: for its numbers, where validation compared with another version.
    """
    return ServedEvidence(
        kind=kind,
        version=VersionName(name=observation.model, number=observation.number, digest=observation.digest),
        judged_in=observation.environment,
        target=target,
        previous=_named(previous) if previous else None,
        source_env_commit=source_env_commit,
        judged_at=judged_at,
        policy=manifest.spec.promotion,
        observation=observation,
        verdict=judgement.verdict,
        reason=judgement.reason,
        checks=list(judgement.checks),
        validation=_summarize(manifest),
        previous_metrics=previous_manifest.validation.metrics if previous_manifest else None,
    )


def render_evidence(evidence: ValidationEvidence | ServedEvidence) -> bytes:
    """The canonical bytes: sorted keys, two spaces, a final newline."""
    content: dict[str, Any] = evidence.model_dump(mode="json")
    return (json.dumps(content, sort_keys=True, indent=2) + "\n").encode()


def parse_evidence(content: bytes, where: str = "evidence.json") -> ValidationEvidence | ServedEvidence:
    """Read evidence.json; raise Rejected, naming `where`, when it is not one."""
    try:
        return _EVIDENCE.validate_json(content)
    except ValidationError as error:
        raise Rejected(f"{where}: {first_problem(error)}; revert the commit that edited it") from None


def recompute(evidence: ValidationEvidence | ServedEvidence) -> Judgement:
    """The judgement that follows from the recorded measurements alone, by today's rules."""
    if isinstance(evidence, ServedEvidence):
        return judge(evidence.observation, evidence.policy, evidence.judged_at)
    checks = tuple(evidence.validation.checks)
    verdict = worst(checks)
    return Judgement(verdict, checks, "; ".join(c.reason for c in checks if c.verdict is verdict))


def agrees(evidence: ValidationEvidence | ServedEvidence) -> bool:
    """Whether the recorded verdict and checks are those that follow from the recorded measurements."""
    again = recompute(evidence)
    if isinstance(evidence, ServedEvidence):
        return (again.verdict, again.checks, again.reason) == (
            evidence.verdict,
            tuple(evidence.checks),
            evidence.reason,
        )
    return outcome(again.checks) is evidence.validation.outcome
