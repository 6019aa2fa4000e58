"""How does one reach what an installation is made of: its cluster, Secrets, repositories, Prometheus?

Everything is read at most once, when a check first asks for it.
"""

from __future__ import annotations

import base64
import json
import os
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hera_workflows.kubernetes_api import Api
from slipway.errors import Misconfigured, TryAgain

if TYPE_CHECKING:
    from gitops.environment_repo import Snapshot
    from hera_workflows.templates.values import Values

__all__ = ["Installation", "borrowed", "of_service"]


class Installation:
    """One installed cluster, and the values that it was rendered with."""

    def __init__(self, api: Api, values: Values) -> None:
        self.api = api
        self.values = values
        self._secrets: dict[tuple[str, str], Mapping[str, bytes] | None] = {}

    def secret(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        """The values of a Secret by key; None when it does not exist."""
        if (namespace, name) not in self._secrets:
            found = self.api.get(f"/api/v1/namespaces/{namespace}/secrets/{name}")
            data = None if found is None else (found.get("data") or {})
            self._secrets[namespace, name] = (
                None if data is None else {key: base64.b64decode(value) for key, value in data.items()}
            )
        return self._secrets[namespace, name]

    @contextmanager
    def git_credentials(self, secret: str) -> Iterator[None]:
        """Let git have, for a block, what the steps that mount this Secret have; nothing when it does not exist."""
        content = (self.secret(self.values.namespace, secret) or {}).get("credentials", b"")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "credentials")
            path.touch(mode=0o600)
            path.write_bytes(content)
            with borrowed({"GIT_CREDENTIALS": str(path)}):
                yield

    @cached_property
    def snapshot(self) -> Snapshot:
        """What main of the environment repository says, read as the steps read it."""
        from gitops.environment_repo import read

        with self.git_credentials(self.values.secrets.git_read):
            return read(self.values.env_repo)

    def prometheus(self, query: str) -> list[tuple[Mapping[str, str], float]]:
        """The series that answer a query now: labels and value.

        A Service's address is asked through the API server, since its name means nothing outside of the cluster.
        """
        where = urllib.parse.urlsplit(self.values.prometheus)
        path = f"{where.path.rstrip('/')}/api/v1/query"
        service = of_service(where.hostname or "")
        if service:
            name, namespace = service
            proxy = f"/api/v1/namespaces/{namespace}/services/{name}:{where.port or 80}/proxy"
            answer = self.api.get(f"{proxy}{path}", query=query)
        else:
            answer = _fetch(f"{where.scheme}://{where.netloc}{path}?{urllib.parse.urlencode({'query': query})}")
        try:
            return [(row["metric"], float(row["value"][1])) for row in answer["data"]["result"]]
        except (TypeError, KeyError, ValueError, IndexError):
            raise Misconfigured(
                f"{self.values.prometheus} does not answer as a Prometheus; correct `prometheus`"
            ) from None


def of_service(host: str) -> tuple[str, str] | None:
    """Name and namespace of the Service that a host name means; None when it is another host."""
    parts = host.removesuffix(".cluster.local").split(".")
    return (parts[0], parts[1]) if len(parts) == 3 and parts[2] == "svc" else None


@contextmanager
def borrowed(variables: Mapping[str, str | None]) -> Iterator[None]:
    """Let this process have these environment variables for a block, None for not at all; then those that it had."""
    before = {name: os.environ.get(name) for name in variables}
    try:
        _set(variables)
        yield
    finally:
        _set(before)


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _fetch(url: str) -> Any:
    where = url.partition("?")[0]
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise Misconfigured(f"{where} answers {error.code}; is that a Prometheus?") from None
    except (OSError, ValueError) as error:
        raise TryAgain(
            f"{where} does not answer ({error}); see that it runs, and that it can be reached from here"
        ) from None
