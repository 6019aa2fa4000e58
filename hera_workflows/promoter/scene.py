"""What does a pass work on, what does it find, and what did it make of it?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from gitops.approvals import Request, requests
from gitops.environment_repo import Snapshot, read
from gitops.history import Past, past
from slipway.environments import Environment
from slipway.errors import SlipwayError
from slipway.promotion import Target
from slipway.spec import Promotion
from slipway.verdict import Outcome, Verdict
from slipway.version import ModelVersion

if TYPE_CHECKING:
    from gitops.forge import Forge
    from gitops.metrics import LiveMetrics
    from hera_workflows.promoter.servers import Servers
    from triton_repo.store import ModelStore

__all__ = ["Forges", "Line", "Pass", "Promoter", "Scene", "Terms", "read_requests", "read_scene", "read_terms"]

Action = Literal["waiting", "requested", "merged", "rolled back", "held", "nothing", "failed"]
# For the golden requests of one version. A pass has ten minutes for every version there is, and the next one goes on.
_REPLAY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Forges:
    """Where people see what slipway does, and decide."""

    environments: Forge  # the environment repository
    source: Forge  # the repository that is pushed to
    page: Callable[[str], str]  # of a workflow in the Argo UI, by its name; "" for none
    commit: Callable[[str], str] = lambda commit: ""  # the page of a commit of the repository that is pushed to
    report: Callable[[str, str], str] = lambda run, node: ""  # the report that a node of a workflow left


@dataclass(frozen=True, slots=True)
class Promoter:
    """What a pass works on."""

    env_repo: str
    store: ModelStore
    metrics: LiveMetrics
    servers: Servers
    run: str  # the workflow, or whoever runs it; a trailer of every commit
    model: str | None = None  # only this one
    forge: Forges | None = None  # None: people approve by `slipway approve`
    replay_seconds: float = _REPLAY_SECONDS
    at: Callable[[str], None] = lambda point: None


@dataclass(frozen=True, slots=True)
class Line:
    """What a pass made of one version in one environment, towards one target."""

    environment: str
    version: ModelVersion
    target: str | None
    verdict: Verdict
    action: Action
    reason: str
    commit: str | None = None  # that this pass made
    ready: bool = False  # in every replica
    stays: bool = False  # even if it fails, so a FAIL may pass
    page: str | None = None  # of the request that waits, on the forge
    error: SlipwayError | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a version's manifest says of its promotion."""

    policy: Promotion
    validation: Outcome


@dataclass(frozen=True, slots=True)
class Scene:
    """The environment repository at the commit that is judged."""

    snapshot: Snapshot
    past: Past
    requests: Sequence[Request]  # every promotion that waits, by environment, model and number
    waiting: Mapping[tuple[str, str], Request]  # the newest of each, by (environment, model)

    def target(self, environment: Environment, version: ModelVersion, now: datetime) -> Target:
        """The next environment as it stands for a version."""
        request = self.waiting.get((environment.name, version.name))
        return Target(
            environment=environment.name,
            accepts=environment.accepts,
            serves=self.snapshot.release(environment.name, version.name),
            hold=self.snapshot.held(environment.name, version),
            freeze=self.snapshot.frozen(environment.name, now),
            left=version.number in self.past.taken_out.get((environment.name, version.name), ()),
            request_open=request is not None and request.version == version and not request.changed,
        )


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass did."""

    commit: str  # of the env repo, that was judged
    lines: tuple[Line, ...]  # in order of environments and models
    broken: Mapping[str, str]  # paths in the env repo that nobody understands, with the reason
    closed: tuple[Request, ...]  # whose version was taken out of the environment that it comes from
    settled: tuple[str, ...] = ()  # what people did on the forge, a line each
    trouble: tuple[SlipwayError, ...] = ()  # that the forge made; it kept nothing from being judged


def read_scene(env_repo: str) -> Scene:
    """Everything that the environment repository says now; raises as `gitops.environment_repo.read` does."""
    snapshot = read(env_repo)
    return read_requests(Scene(snapshot, past(env_repo, start=snapshot.commit), (), {}), env_repo)


def read_requests(scene: Scene, env_repo: str) -> Scene:
    """The same commit with what waits now."""
    found = requests(env_repo)
    newest = {(request.environment, request.version.name): request for request in found}
    return replace(scene, requests=found, waiting=newest)


def read_terms(store: ModelStore, versions: Iterable[ModelVersion]) -> dict[ModelVersion, Terms | SlipwayError]:
    """The terms of every version, or why the store does not tell."""
    from triton_repo.store import find

    found: dict[ModelVersion, Terms | SlipwayError] = {}
    same: dict[Terms, Terms] = {}  # most models have the same few; whole manifests of 10,000 models would be 150 MB
    for version in versions:
        if version in found:
            continue
        try:
            manifest = find(store, version.name, version.number, version.digest)
            terms = Terms(manifest.spec.promotion, manifest.validation.outcome)
            found[version] = same.setdefault(terms, terms)
        except SlipwayError as error:
            found[version] = error
    return found
