"""Do the servers serve what the environment repository says?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hera_workflows.platform.home import STOPPED
from hera_workflows.platform.servers import ensure_servers, model_folder
from hera_workflows.settings import Platform, Server
from slipway.errors import Misconfigured
from slipway.lock import locked
from slipway.version import ModelVersion

if TYPE_CHECKING:
    from gitops.environment_repo import Snapshot
    from triton_repo.control import TritonControl
    from triton_repo.serving import Result
    from triton_repo.store import ModelStore

__all__ = ["Reconciled", "reconcile"]


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What one environment's server was made to serve."""

    environment: str
    commit: str  # the env repo's commit that was made true
    results: tuple[Result, ...]  # one a model
    broken: dict[str, str]  # path in the env repo -> why it cannot be followed

    @property
    def failed(self) -> bool:
        """Whether anything that the env repo says is not served."""
        return bool(self.broken) or any(result.state == "failed" for result in self.results)


def reconcile(
    platform: Platform,
    environment: str | None = None,
    *,
    timeout: float = 60,
    retry: bool = True,
    at: Callable[[str], None] = lambda point: None,
) -> list[Reconciled]:
    """Make the servers of one environment, or of all, serve exactly what the env repo's newest commit says.

    Starts a server that has died. A version that does not load leaves the old one serving and is reported.
    timeout: seconds for the models of one environment to get READY. retry: False leaves out what did not load before.
    Raises Misconfigured for an environment without a server and after `slipway down`, TryAgain when its Triton cannot
    be reached.
    """
    servers = [server for server in platform.servers if environment in (None, server.environment)]
    if not servers:
        names = ", ".join(server.environment for server in platform.servers)
        raise Misconfigured(f"environment {environment} has no server here; use one of {names}, or run `slipway up`")
    return [_one(platform, server, timeout, retry, at) for server in servers]


def _one(platform: Platform, server: Server, timeout: float, retry: bool, at: Callable[[str], None]) -> Reconciled:
    from gitops.environment_repo import read
    from triton_repo.control import TritonControl
    from triton_repo.serving import serve
    from triton_repo.store import open_store

    name = server.environment
    with locked(platform.home / "servers" / f"{name}.lock", f"reconciling {name}", wait=timeout * 2):
        if (platform.home / STOPPED).exists():
            raise Misconfigured(f"the platform in {platform.home} is stopped; `slipway up` starts it and reconciles")
        ensure_servers(platform, [server])
        at("server lives")
        # Read under the lock: of two pushes at once, whoever comes last serves the newest commit.
        snapshot = read(str(platform.env_repo))
        store = open_store(str(platform.store))
        with TritonControl(f"127.0.0.1:{server.grpc_port}", platform.secret_file.read_text()) as control:
            wanted, broken = desired(snapshot, name)
            unclear = {path.split("/")[2] for path in broken} - {version.name for version in wanted}
            kept = _served(store, control, unclear)
            results = serve(
                store,
                control,
                model_folder(platform.home, name),
                [*wanted, *kept],
                verify_key=platform.verify_key,
                timeout=timeout,
                retry=retry,
                at=at,
            )
    return Reconciled(name, snapshot.commit, tuple(results), broken)


def desired(snapshot: Snapshot, environment: str) -> tuple[list[ModelVersion], dict[str, str]]:
    """The versions that an environment should serve, and which of its paths cannot be read, with the reason."""
    wanted = [version for (name, _), version in snapshot.releases.items() if name == environment]
    broken = {
        path: why
        for path, why in snapshot.broken.items()
        if path.startswith(f"envs/{environment}/") and path.count("/") >= 3
    }
    return sorted(wanted), broken


def _served(store: ModelStore, control: TritonControl, models: set[str]) -> list[ModelVersion]:
    # A release.env edited into nonsense says nothing, least of all "stop serving": what runs keeps running.
    ready = [(e.model, e.number) for e in control.index() if e.model in models and e.state == "READY"]
    return [store.version(model, number) for model, number in ready if number is not None]
