"""Was the newest push missed? Then it is delivered once more.

A forge delivers a push once, and what comes while the event source is away is lost. This goes the same way as the
forge's own delivery, and of two with the same commits the second starts nothing. A push that nobody spoke of on the
forge yet, because its plan has not run, may come again with those before it, from an earlier commit and so under
another name: then its models are trained once more.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import urllib.error
import urllib.request

import click

from hera_workflows.forges import ForgeFlags, forge_options
from hera_workflows.steps import run_step
from slipway.errors import Misconfigured, TryAgain

__all__ = ["catch_up", "delivery"]


@click.command()
@click.option("--source-repo", required=True, help="The repository that is pushed to: a folder or a URL.")
@click.option("--branch", required=True, help="Its branch whose pushes count.")
@click.option("--events", required=True, help="Where the forge delivers: http://HOST:PORT/push.")
@forge_options
def catch_up(source_repo: str, branch: str, events: str, forge: ForgeFlags) -> None:
    """Deliver the newest push again if nobody heard of it; WEBHOOK_SECRET signs.

    \b
    python -m hera_workflows.steps.catch_up --source-repo https://forge.example/acme/models.git --branch main \\
        --events http://slipway-eventsource-svc:12000/push --forge gitea --forge-url https://forge.example \\
        --source-project acme/models
    """
    from gitops.remote import opened
    from hera_workflows.heard import LOOK_BACK, newest_heard

    source, secret = forge.source(), os.environ.get("WEBHOOK_SECRET", "")
    if source is None or not secret:
        raise Misconfigured("--forge and WEBHOOK_SECRET are needed: which forge delivers, and how it signs")
    with opened(source_repo) as remote:
        ref = f"refs/heads/{branch}"
        head = remote.branches(ref, depth=LOOK_BACK).get(ref)
        heard = newest_heard(remote, source, head) if head else None
    if head is None or heard == head:
        click.echo("no push was missed")
    elif heard is None:
        click.echo(f"none of the last {LOOK_BACK} commits was heard of; the first push is the forge's to deliver")
    else:
        headers, body = delivery(forge, ref, heard, head, secret)
        _post(events, headers, body)
        workflow = f"push-{head[:12]}-{heard[:12]}"
        click.echo(
            f"delivered again: {heard[:12]}..{head[:12]}; if {workflow} failed, only `argo retry` goes on with it"
        )


def delivery(forge: ForgeFlags, ref: str, before: str, after: str, secret: str) -> tuple[dict[str, str], bytes]:
    """Headers and body of a push, as far as the sensor reads them, signed as the forge signs; GitLab shows the secret.

    Without the newline that a Secret made from a file may end with: the event source leaves it out, too.
    """
    secret = secret.removesuffix("\n")
    push = {"ref": ref, "before": before, "after": after}
    if forge.kind == "gitlab":
        content = {"object_kind": "push", **push, "project": {"path_with_namespace": forge.source_project}}
        return {"X-Gitlab-Event": "Push Hook", "X-Gitlab-Token": secret}, json.dumps(content).encode()
    body = json.dumps({**push, "repository": {"full_name": forge.source_project}}).encode()
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"X-GitHub-Event": "push", "X-Hub-Signature-256": f"sha256={signature}"}, body


def _post(events: str, headers: dict[str, str], body: bytes) -> None:
    request = urllib.request.Request(events, data=body, headers={"Content-Type": "application/json", **headers})
    try:
        urllib.request.urlopen(request, timeout=30).close()
    except urllib.error.HTTPError as refusal:
        said = refusal.read(300).decode(errors="replace").strip()
        if refusal.code >= 500:
            raise TryAgain(f"{events} answers {refusal.code} ({said}); run again") from None
        raise Misconfigured(
            f"{events} refuses the delivery with {refusal.code} ({said}); give it the secret that the forge has"
        ) from None
    except OSError as error:
        raise TryAgain(f"{events} does not answer ({error}); is the event source running?") from None


if __name__ == "__main__":
    run_step(catch_up)
