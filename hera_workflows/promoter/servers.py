"""Where is each release served, and has the platform done what git says?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from slipway.version import ModelVersion

if TYPE_CHECKING:
    from gitops.history import Past

__all__ = ["Addresses", "Look", "Served", "Servers"]


@dataclass(frozen=True, slots=True)
class Served:
    """What the platform says of one release."""

    address: str | None  # host:port of Triton's gRPC; None: nobody knows
    live: bool | None = None  # exactly the release is served, everywhere; None: the platform cannot tell
    replicas: int | None = None  # that should serve it; None: the platform cannot tell
    waits_for: str | None = None  # what is still to come, where it is not live


Look = Callable[[str, ModelVersion], Served]


class Servers(Protocol):
    """A platform on which releases are served."""

    def look(self, environments: Sequence[str], past: Past) -> Look:
        """What the platform says now: a function of environment and released version that asks nobody any more.

        Raises TryAgain when the platform does not answer, Misconfigured when something of it is missing or refused.
        """


@dataclass(frozen=True, slots=True)
class Addresses:
    """Servers of which nothing but their addresses is known; Triton itself says whether a version is READY."""

    by_environment: Mapping[str, str]  # host:port of Triton's gRPC

    def look(self, environments: Sequence[str], past: Past) -> Look:
        """See Servers.look."""
        return lambda environment, version: Served(self.by_environment.get(environment))
