"""Questions that several tests ask the cluster."""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING, Any, TypeVar

from slipway.errors import TryAgain

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster.forge import Forge
    from tests.cluster.kube import Kube

__all__ = ["commit", "finished", "until"]

T = TypeVar("T")


def until(answer: Callable[[], T | None], seconds: float, what: str, *, every: float = 0.2) -> T:
    """The first answer that is not None; asked again after so many seconds, also when nobody answered."""
    end, trouble = time.monotonic() + seconds, ""
    while True:
        try:
            if (found := answer()) is not None:
                return found
        except (TryAgain, OSError) as error:
            trouble = f"; the last trouble: {error}"
        assert time.monotonic() < end, f"{what}: not so after {seconds} s{trouble}"
        time.sleep(every)


def finished(kube: Kube, namespace: str, name: str) -> dict[str, Any]:
    def answer() -> dict[str, Any] | None:
        workflow = kube.get("workflow", name, f"--namespace={namespace}")
        status: dict[str, Any] = (workflow or {}).get("status", {})
        return status if status.get("phase") in {"Succeeded", "Failed", "Error"} else None

    return until(answer, 120, f"workflow {name} is finished")


def commit(forge: Forge, repository: str, path: str, text: str, *, branch: str = "main", new: bool = False) -> str:
    """Write one file by one commit; the commit."""
    content = base64.b64encode(text.encode()).decode()
    target = {"new_branch": branch} if new else {"branch": branch}
    body = {"content": content, "message": f"Write {path}", **target}
    where = f"/repos/{repository}/contents/{path}"
    there = None if new else forge.call("GET", f"{where}?ref={branch}", accept=(404,))
    if isinstance(there, dict):
        return str(forge.call("PUT", where, {**body, "sha": there["sha"]})["commit"]["sha"])
    return str(forge.call("POST", where, body)["commit"]["sha"])
