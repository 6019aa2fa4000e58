"""Carry out one decision of the promoter, if what was judged is still what is released."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from gitops.approvals import Request, approve, check_merge, open_request
from gitops.environment_repo import Snapshot, read
from gitops.rollback import rollback
from slipway.errors import Rejected, TryAgain
from slipway.evidence import promotion_evidence, render_evidence
from slipway.operation import Operation, render_message
from slipway.promotion import Situation

if TYPE_CHECKING:
    from gitops.forge import ForgeRequest
    from hera_workflows.promoter.observing import Observed
    from hera_workflows.promoter.scene import Promoter
    from slipway.manifest import Manifest
    from slipway.version import ModelVersion

__all__ = ["Decision"]


@dataclass(frozen=True, slots=True)
class Decision:
    """How one decision is carried out."""

    promoter: Promoter
    judged: Snapshot
    situation: Situation
    seen: Observed

    def open(self) -> Request:
        """Open the request for the target, on the commit that was judged."""
        target = self._target()
        self._recheck()
        request = open_request(
            self.promoter.env_repo,
            self.situation.version,
            Operation(
                id=self._id("promote", target),
                action="promote",
                environment=target,
                version=self.situation.version,
                source_commit=self._manifest().source_commit,
                run=self.promoter.run,
                source_env_commit=self.judged.commit,
                verdict=self.seen.judgement.verdict.value,
            ),
            evidence=self._evidence("promotion", target),
            base=self.judged.commit,
            keep_older=self.promoter.forge is not None,  # they are closed with a link to this one
            at=self._points,
        )
        self.promoter.at("acted")
        return request

    def merge(self, request: Request, page: ForgeRequest | None) -> str:
        """Merge a request as the model's policy or the environment allows without a person; the commit on main.

        page: the request on the forge, which then merges it.
        """
        self._recheck()
        url, by, now = self.promoter.env_repo, f"the policy of {self.situation.version}", datetime.now(UTC)
        if self.promoter.forge is None or page is None:
            name = self.situation.version.name
            commit = approve(
                url, self._target(), name, by=by, now=now, expected_head=request.head, at=self._points
            ).commit
        else:
            check_merge(url, request, now)
            self.promoter.at("checked")
            message = render_message(
                f"Promote {request.version} to {request.environment}", replace(request.operation, approved_by=by)
            )
            commit = self.promoter.forge.environments.merge(page.number, request.head, message)
            self.promoter.at("merged")
            self.promoter.forge.environments.delete_branch(request.branch)
        self.promoter.at("acted")
        return commit

    def roll_back(self, reason: str) -> tuple[Literal["rolled back", "held", "nothing"], str, str | None]:
        """What came of it, why, and the commit; "held" when there is no good version to return to."""
        here, version = self.situation.environment, self.situation.version
        self._recheck()
        try:
            done = rollback(
                self.promoter.env_repo,
                here,
                version.name,
                now=self.seen.observation.observed_at,
                reason=reason,
                operation_id=self._id("rollback", here),
                evidence=self._evidence("rollback", here),
                run=self.promoter.run,
                source_env_commit=self.judged.commit,
                verdict=self.seen.judgement.verdict.value,
                expected=version,
                stored=self.promoter.store.holds,
                at=self._points,
            )
        except Rejected as error:
            if read(self.promoter.env_repo).held(here, version) is None:
                raise
            return "held", f"{reason}; {error}", None
        self.promoter.at("acted")
        if not done.created:
            return "nothing", done.reason, None
        return "rolled back", reason, done.commit

    def _target(self) -> str:
        assert self.situation.target is not None, "only a version with a target is promoted"
        return self.situation.target.environment

    def _manifest(self, version: ModelVersion | None = None) -> Manifest:
        """Of what is judged, if no other version is named."""
        from triton_repo.store import find

        version = version or self.situation.version
        return find(self.promoter.store, version.name, version.number, version.digest)

    def _id(self, action: str, environment: str) -> str:
        # The same judgement gives the same id, so a second promoter, or this one after a kill, finds its commit.
        return f"{action}/{environment}/{self.situation.version}/{self.judged.commit}"

    def _recheck(self) -> None:
        """Raise TryAgain when what was judged is not what is released now."""
        now, model = read(self.promoter.env_repo), self.situation.version.name
        target = [self._target()] if self.situation.target else []
        for environment in [self.situation.environment, *target]:
            if now.release(environment, model) != self.judged.release(environment, model):
                raise TryAgain(f"{environment} changed while {self.situation.version} was judged; run again")
        here, version = self.situation.environment, self.situation.version
        if now.held(here, version) != self.judged.held(here, version):
            raise TryAgain(f"{version} was put on hold in {here}, or let go, while it was judged; run again")
        self.promoter.at("rechecked")

    def _points(self, point: str) -> None:
        self.promoter.at(f"edit {point}")

    def _evidence(self, kind: Literal["promotion", "rollback"], target: str) -> bytes:
        manifest, previous = self._manifest(), self.judged.release(target, self.situation.version.name)
        before: Manifest | None = None
        compared = any(metric.champion is not None for metric in manifest.validation.metrics.values())
        if kind == "promotion" and previous and not (compared and str(previous) == manifest.validation.champion):
            with suppress(Rejected):  # it can be approved without the numbers of what it replaces
                before = self._manifest(previous)
        evidence = promotion_evidence(
            kind,
            self.seen.judgement,
            self.seen.observation,
            manifest,
            target=target,
            previous=previous,
            previous_manifest=before,
            source_env_commit=self.judged.commit,
            judged_at=self.seen.observation.observed_at,
        )
        return render_evidence(evidence)
