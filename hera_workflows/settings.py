"""Where everything is: from flags, else the environment, else the one-machine platform's folder.

Light on purpose: every command imports this.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from slipway.errors import Misconfigured

__all__ = ["Platform", "Server", "Settings", "find_home", "read_platform", "settings"]

HOME_NAME = ".slipway"


# Dataclasses, because pydantic alone takes longer to import than `slipway status` may take in all.
@dataclass(frozen=True, slots=True)
class Server:
    """One environment's Triton on this machine; every port is on 127.0.0.1."""

    environment: str
    http_port: int
    grpc_port: int
    metrics_port: int


@dataclass(frozen=True, slots=True)
class Platform:
    """The content of platform.json: what `slipway up` started."""

    home: Path
    prometheus_port: int
    servers: tuple[Server, ...]

    @property
    def source_repo(self) -> Path:
        """The bare repository that people push models to."""
        return self.home / "source.git"

    @property
    def env_repo(self) -> Path:
        """The bare environment repository."""
        return self.home / "env.git"

    @property
    def store(self) -> Path:
        """The model store."""
        return self.home / "store"

    @property
    def workspace(self) -> Path:
        """The volume that the steps of one run share."""
        return self.home / "workspace"

    @property
    def signing_key(self) -> Path:
        """The private key of publish (PEM, P-256)."""
        return self.home / "keys" / "signing.key"

    @property
    def verify_key(self) -> Path:
        """The public key of everybody who reads the store (PEM)."""
        return self.home / "keys" / "signing.pub"

    @property
    def secret_file(self) -> Path:
        """The secret of Triton's model control APIs."""
        return self.home / "keys" / "control.secret"

    @property
    def prometheus_url(self) -> str:
        """Where Prometheus answers."""
        return f"http://127.0.0.1:{self.prometheus_port}"


@dataclass(frozen=True, slots=True)
class Settings:
    """What commands and steps are pointed at; None where nobody said."""

    home: Path | None
    platform: Platform | None
    store: str | None
    env_repo: str | None
    source_repo: str | None
    prometheus: str | None
    verify_key: Path | None

    def need(self, name: str) -> str:
        """The setting of that name (`store`, `env_repo`, …); raises Misconfigured when nobody gave it."""
        value = getattr(self, name)
        if value is None:
            raise Misconfigured(
                f"{_VARIABLES[name]} is unset and {self._nothing()}; set it, or run `slipway up` in your project first"
            )
        return str(value)

    def need_platform(self) -> Platform:
        """The running platform; raises Misconfigured when there is none."""
        if self.platform is None:
            raise Misconfigured(f"{self._nothing()}; run `slipway up`, or give --home")
        return self.platform

    def _nothing(self) -> str:
        return f"there is no platform in {self.home or HOME_NAME + '/ here or above'}"


_VARIABLES = {
    "store": "MODEL_STORE",
    "env_repo": "ENV_REPO",
    "source_repo": "SOURCE_REPO",
    "prometheus": "PROMETHEUS_URL",
    "verify_key": "VERIFY_KEY",
    "home": "SLIPWAY_HOME",
}


def find_home(given: Path | None = None) -> Path | None:
    """The platform's folder: the given one, else SLIPWAY_HOME, else the nearest .slipway/ at or above this folder.

    Its real path, whatever links lead there: processes are known by it.
    """
    if given is not None:
        return given.resolve()
    if named := os.environ.get("SLIPWAY_HOME"):
        return Path(named).resolve()
    here = Path.cwd()
    for folder in (here, *here.parents):
        # The first thing that `slipway up` writes: one that was killed early must be found to be stopped.
        if (folder / HOME_NAME / "up.lock").is_file():
            return folder / HOME_NAME
    return None


def read_platform(home: Path) -> Platform | None:
    """What platform.json in `home` says; None without one; raises Misconfigured if it cannot be read."""
    path = home / "platform.json"
    try:
        content = json.loads(path.read_bytes())
        servers = tuple(Server(**server) for server in content["servers"])
        return Platform(home=Path(content["home"]), prometheus_port=content["prometheus_port"], servers=servers)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise Misconfigured(f"{path} cannot be read ({error}); remove it and run `slipway up` again") from None


def settings(home: Path | None = None) -> Settings:
    """Read the environment and the platform's folder once."""
    found = find_home(home)
    platform = read_platform(found) if found else None
    get = os.environ.get
    verify_key = get("VERIFY_KEY")
    return Settings(
        home=found,
        platform=platform,
        store=get("MODEL_STORE") or (str(platform.store) if platform else None),
        env_repo=get("ENV_REPO") or (str(platform.env_repo) if platform else None),
        source_repo=get("SOURCE_REPO") or (str(platform.source_repo) if platform else None),
        prometheus=get("PROMETHEUS_URL") or (platform.prometheus_url if platform else None),
        verify_key=Path(verify_key) if verify_key else (platform.verify_key if platform else None),
    )
