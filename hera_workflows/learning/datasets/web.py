"""How is one file downloaded over HTTP: resumed, never stalled, and never led to another place?"""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from hera_workflows.learning.datasets.meter import Meter
from hera_workflows.learning.datasets.transfer import Limits, copy_on
from slipway.errors import Rejected, TryAgain

__all__ = ["download"]

_LEAST = 1024  # bytes that must come within the stall time: a server that drips is a server that stalls


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follow a redirect to the same host, to a declared one, or from http to https; refuse every other."""

    max_redirections = 5

    def __init__(self, where: str, allowed: frozenset[str]) -> None:
        self.where, self.allowed = where, allowed

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """The next request; raises Rejected when model.yaml does not allow it."""
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        if new.scheme not in ("http", "https") or (old.scheme == "https" and new.scheme != "https"):
            raise Rejected(f"{self.where}: redirected from {old.scheme} to {new.scheme[:20]}; correct the url")
        port = new.port is None or new.port == old.port
        if new.hostname not in self.allowed and not (new.hostname == old.hostname and port):
            raise Rejected(
                f"{self.where}: {old.hostname} redirects to {new.netloc[:200]}, which model.yaml does not allow; "
                f"write `redirects: [{(new.hostname or '')[:200]}]` if that is meant"
            )
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        if following is not None:
            for name in ("Range", "If-range"):
                if value := req.get_header(name):
                    following.add_unredirected_header(name, value)
        return following


def download(where: str, url: str, target: Path, limits: Limits) -> bool:
    """Complete `target` from `url`; returns whether a part of it was there from before.

    Raises TryAgain when the server is away, busy, stalls or breaks off (what came is kept for the next call), and
    Rejected when it has no such file, redirects elsewhere, or sends more than the limit.
    """
    note = target.with_name(f".{target.name}.validator")
    begin = target.stat().st_size if target.exists() else 0
    if begin and (complete := _validator(note).get("length")) == begin and complete is not None:
        return True
    headers = {"User-Agent": "slipway", "Accept-Encoding": "identity"}
    if begin and (validator := _validator(note).get("validator")):
        headers |= {"Range": f"bytes={begin}-", "If-Range": validator}
    else:
        begin = 0
    opener = urllib.request.build_opener(_Redirects(where, limits.redirects))
    try:
        with opener.open(urllib.request.Request(url, headers=headers), timeout=limits.stall) as response:
            if response.status != 206 or not str(response.headers.get("Content-Range")).startswith(f"bytes {begin}-"):
                begin = 0
            rest = response.headers.get("Content-Length")
            total = begin + int(rest) if rest and rest.isascii() and rest.isdigit() else None
            if total is not None and total > limits.max_bytes:
                raise Rejected(f"{where}: {url} has {total} bytes; raise max_size in model.yaml if that is meant")
            # Resumed only by a strong validator: without one, nobody can tell that the rest is of the same content.
            strong = response.headers.get("ETag") or response.headers.get("Last-Modified")
            if strong and strong.startswith("W/"):
                strong = None
            note.write_text(json.dumps({"validator": strong, "length": total}))
            meter = Meter(where, total)
            copy_on(where, _lively(where, url, response.read1, limits.stall), target, begin, meter, limits)
            meter.end()
    except urllib.error.HTTPError as error:
        if error.code == 416 and begin:
            # There is nothing after the last byte: whoever sends no length leaves open that this was all.
            target.unlink()
            return download(where, url, target, limits)
        family = TryAgain if error.code >= 500 or error.code in (408, 425, 429) else Rejected
        raise family(f"{where}: {url} answers {error.code} {error.reason}; see whether the url is right") from None
    except TimeoutError:
        raise TryAgain(f"{where}: {url} sent nothing for {limits.stall:g} s; run it again to go on") from None
    except (urllib.error.URLError, http.client.HTTPException, ConnectionError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise TryAgain(f"{where}: {url} broke off ({reason}); run it again to go on") from None
    if total is not None and target.stat().st_size != total:
        raise TryAgain(f"{where}: {url} broke off at byte {target.stat().st_size} of {total}; run it again to go on")
    return begin > 0


def _validator(note: Path) -> dict[str, Any]:
    try:
        found = json.loads(note.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _lively(where: str, url: str, read: Callable[[int], bytes], stall: float) -> Callable[[int], bytes]:
    """`read`, which gives up on a server that sends less than `_LEAST` bytes within `stall` seconds."""
    since, came = time.monotonic(), 0

    def lively(size: int) -> bytes:
        nonlocal since, came
        chunk = read(size)
        came += len(chunk)
        if (now := time.monotonic()) - since > stall:
            if came < _LEAST and chunk:
                raise TryAgain(f"{where}: {url} sent {came} bytes in {now - since:.0f} s; run it again to go on")
            since, came = now, 0
        return chunk

    return lively
