"""What does the Kubernetes API answer to one request, and whose API is it?"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

from slipway.errors import Misconfigured, TryAgain
from slipway.text import one_line

__all__ = ["Api", "connect", "path_of"]

_SECONDS = 30.0  # that one request may take
_PAGE = 500  # objects of a list in one answer
_AGAIN = (410, 429)  # the rest of a list that is too old to be continued; too many requests
_APPLY = {"Content-Type": "application/apply-patch+yaml"}


class Api:
    """The API of one cluster, as one user; objects are what its JSON says.

    Raises TryAgain when it does not answer, Misconfigured when it refuses.
    """

    def __init__(self, client: Any, remedy: str) -> None:
        """client: kubernetes.client.ApiClient; remedy: what to do where the API refuses."""
        self._client, self._remedy = client, remedy
        self._resources: dict[str, dict[str, str]] = {}

    def get(self, path: str, **query: str) -> Any:
        """What stands at a path; None when there is nothing."""
        return self._ask("GET", path, query=query)

    def items(self, path: str, *, absent: str | None = None, **query: str) -> Iterator[Any]:
        """The objects of a list, page by page.

        absent: what to tell people (as Misconfigured) where there is no such list; else that is an empty one.
        """
        # As JSON, since the library's own values take ten times as long to build.
        more: dict[str, str] = {}
        while True:
            page = self._ask("GET", path, query={"limit": str(_PAGE), **query, **more})
            if page is None and absent is not None:
                raise Misconfigured(absent)
            if page is None:
                return
            try:
                found, token = list(page["items"] or ()), page["metadata"].get("continue")
            except (LookupError, TypeError, AttributeError):
                raise TryAgain(f"{path}: the Kubernetes API gave no list; try again") from None
            yield from found
            if not token:
                return
            more = {"continue": str(token)}

    def create(self, path: str, body: Mapping[str, Any]) -> Any:
        """POST, for reviews: questions that the API answers and does not keep."""
        return self._ask("POST", path, body=body)

    def applied(self, path: str, body: Mapping[str, Any]) -> Any:
        """What server-side apply would make of an object; nothing is changed.

        As the manager that kubectl is, so that a field which is there and is no longer wanted shows, too.
        """
        query = {"dryRun": "All", "fieldManager": "kubectl", "force": "true"}
        return self._ask("PATCH", path, query=query, body=json.dumps(body), headers=_APPLY)

    def resource(self, api_version: str, kind: str) -> str | None:
        """The plural name under which a kind is served; None when it is not."""
        if api_version not in self._resources:
            listed = self.get(_root(api_version)) or {}
            names = {each["kind"]: each["name"] for each in listed.get("resources", ()) if "/" not in each["name"]}
            self._resources[api_version] = names
        return self._resources[api_version].get(kind)

    def now(self) -> datetime:
        """The API server's clock, to the second."""
        answer = self._send("GET", "/version", {}, None, {})
        return parsedate_to_datetime(answer.headers["Date"])

    def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        answer = self._send(method, path, query or {}, body, headers or {})
        if answer.status == 404:
            return None
        try:
            content = json.loads(answer.data)
        except ValueError:
            content = {"message": answer.data[:200].decode(errors="replace")}
        if answer.status < 300:
            return content
        said = one_line(str(content.get("message") if isinstance(content, dict) else content), 300)
        if answer.status >= 500 or answer.status in _AGAIN:
            raise TryAgain(f"{path}: the Kubernetes API answers {answer.status} ({said}); try again")
        raise Misconfigured(f"{path}: the Kubernetes API refuses with {answer.status} ({said}); {self._remedy}")

    def _send(self, method: str, path: str, query: Mapping[str, str], body: Any, headers: Mapping[str, str]) -> Any:
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        try:
            request = self._client.param_serialize(
                method,
                quote(path, safe="/:"),
                query_params=list(query.items()),
                header_params={"Accept": "application/json", **headers},
                body=body,
                auth_settings=["BearerToken"],
            )
            answer = self._client.call_api(*request, _request_timeout=_SECONDS)
            answer.read()
        except (HTTPError, ApiException, OSError) as error:
            kind = type(getattr(error, "reason", None) or error).__name__
            raise TryAgain(f"the Kubernetes API does not answer ({kind}); is this the right cluster?") from None
        return answer


def connect(context: str | None = None, *, remedy: str) -> Api:
    """In a pod its own cluster's, as its account; elsewhere that of the kubeconfig's current, or of the given context.

    remedy: what people do where the API refuses. Raises Misconfigured where no cluster is known.
    """
    try:
        from kubernetes import client, config
    except ImportError:
        raise Misconfigured("the library kubernetes is not installed; install slipway[all]") from None

    # What is tried again is nobody's concern; what fails for good is said by us.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    settings = client.Configuration()
    try:
        if context is None and os.environ.get("KUBERNETES_SERVICE_HOST"):
            config.load_incluster_config(settings)
        else:
            config.load_kube_config(os.environ.get("KUBECONFIG"), context=context, client_configuration=settings)
    except Exception as error:  # noqa: BLE001 - of a kubeconfig that is damaged the library raises whatever it likes
        raise Misconfigured(
            f"no cluster is known here ({one_line(str(error), 200)}); set KUBECONFIG and give a context that is in it, "
            "or mount a service account's token"
        ) from None
    settings.retries = 2
    return Api(client.ApiClient(settings), remedy)


def path_of(api_version: str, resource: str, namespace: str | None = None, name: str | None = None) -> str:
    """Where an object, or without a name a list, is found."""
    parts = [_root(api_version), *(["namespaces", namespace] if namespace else []), resource, *([name] if name else [])]
    return "/".join(parts)


def _root(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
