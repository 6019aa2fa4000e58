"""How is a forge called so that nothing it answers, late or wrongly or never, does harm?

Every answer is read whole, within limits, before anybody looks at it, and every refusal becomes one of slipway's errors
here. Adapters and their client libraries see good answers only.
"""

from __future__ import annotations

import json
import logging
import ssl
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.request import getproxies, proxy_bypass

import httpx
import stamina

from slipway.errors import Misconfigured, Rejected, TryAgain
from slipway.text import one_line

__all__ = ["Call", "Missing", "Refused", "Unavailable", "again"]

# Without this Python would print stamina's log of every second attempt to standard error.
logging.getLogger("stamina").addHandler(logging.NullHandler())

_TIMEOUT = httpx.Timeout(15.0, connect=10.0)  # seconds without a byte
_WHOLE = 60.0  # seconds for one answer, however slowly its bytes come
_LARGEST = 16 * 2**20  # bytes of one answer; the largest that a forge is asked for, 100 requests, has 1 to 3 MB
_PATIENCE = 30.0  # seconds that a forge may ask to wait; beyond it the workflow engine waits, not this process
# What GitHub says when somebody asks too often, at times with no header that says so or how long to wait; then it
# wants a minute. Source: docs.github.com, "Rate limits for the REST API".
_TOO_OFTEN = ("rate limit", "abuse detection")
_A_MINUTE = 60.0


class Unavailable(TryAgain):
    """The forge did not answer, or said "not now"."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait  # seconds, as the forge asked


class Refused(Rejected):
    """The forge refused this very call (400, 405, 409, 422, …)."""


class Missing(Misconfigured):
    """The forge says 404: there is no such thing, or the token may not see it."""


def _wait(error: Exception) -> bool | float:
    if not isinstance(error, Unavailable):
        return False
    if error.wait is None:
        return True
    return max(error.wait, 0.1) if error.wait <= _PATIENCE else False


# Runs a whole operation again, which looks first at what the forge has: the lost answer may have been a success.
again = stamina.retry(on=_wait, attempts=5, timeout=90.0, wait_initial=0.2, wait_max=5.0, wait_jitter=0.3)


class Call(httpx.BaseTransport):
    """Sends requests to one forge, and to nobody else."""

    def __init__(self, api: str, token: str) -> None:
        self._api, self._token, self.timeout = httpx.URL(api), token, _TIMEOUT
        # A client with a transport of its own looks for no proxy in the environment.
        proxy = None if proxy_bypass(self._api.host) else getproxies().get(self._api.scheme)
        self._inner = httpx.HTTPTransport(proxy=proxy)

    def client(self, headers: Mapping[str, str]) -> httpx.Client:
        """A client whose paths begin at the API's address."""
        return httpx.Client(base_url=self._api, headers=dict(headers), timeout=self.timeout, transport=self)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """A good answer, read whole. Raises TryAgain, Refused, Missing and Misconfigured."""
        where = f"{request.method} {request.url.copy_with(query=None)}"
        request.headers["Accept-Encoding"] = "identity"
        try:
            answer = self._inner.handle_request(request)
            try:
                content = self._whole(answer, where)
            finally:
                answer.close()
        except httpx.TransportError as error:
            if _untrusted(error):
                raise Misconfigured(f"{where}: its certificate is not trusted; set SSL_CERT_FILE to its CA") from None
            raise Unavailable(f"{where} has no answer ({type(error).__name__}); see that the forge runs") from None
        except httpx.DecodingError:
            raise Unavailable(f"{where} answers what cannot be unpacked; see what stands before the forge") from None
        self._judge(where, answer.status_code, answer.headers, content)
        kept = [(k, v) for k, v in answer.headers.items() if k not in ("content-encoding", "transfer-encoding")]
        return httpx.Response(answer.status_code, headers=kept, content=content or b"null")

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()

    def _whole(self, answer: httpx.Response, where: str) -> bytes:
        until, content = time.monotonic() + _WHOLE, bytearray()
        for chunk in answer.iter_bytes():
            content += chunk
            if len(content) > _LARGEST:
                raise Misconfigured(f"{where} answers more than {_LARGEST >> 20} MiB; check --forge-url")
            if time.monotonic() > until:
                raise Unavailable(f"{where} takes more than {_WHOLE:g} s; see how the forge does")
        return bytes(content)

    def _judge(self, where: str, status: int, headers: httpx.Headers, content: bytes) -> None:
        if status < 300:
            if status != 204 and content and "json" not in headers.get("content-type", ""):
                raise Misconfigured(f"{where} answers, but not with JSON; check --forge and --forge-url")
            try:
                json.loads(content or b"null")
            except (ValueError, RecursionError):
                raise Unavailable(f"{where} answers half of its JSON; see what stands before the forge") from None
            return
        text = self._said(content)
        said = f"{where}: {status} {text}"
        too_often = status in (403, 429) and any(words in text.lower() for words in _TOO_OFTEN)
        if status in (408, 425, 429) or status >= 500 or too_often or (status == 403 and _limited(headers)):
            wait = _asked_to_wait(headers)
            raise Unavailable(f"{said}; try again later", _A_MINUTE if wait is None and too_often else wait)
        if status == 401:
            raise Misconfigured(f"{said}; set FORGE_TOKEN to a valid token of slipway's user")
        if status == 403:
            raise Misconfigured(f"{said}; give the user of FORGE_TOKEN this right on the project")
        if status == 404:
            raise Missing(f"{said}; check the project's name, and that the user of FORGE_TOKEN may read and write it")
        if status < 400:
            raise Misconfigured(f"{said}; the project or the forge has moved: set its new address")
        raise Refused(said)

    def _said(self, content: bytes) -> str:
        try:
            found = json.loads(content)
            text = str(found.get("message") or found.get("error") or "") + " " + str(found.get("errors") or "")
        except (ValueError, RecursionError, AttributeError):
            text = content[:1000].decode(errors="replace")
        # A forge that echoes what it was sent must not bring the token into a log.
        return one_line(text.replace(self._token, "***"), 300)


def _untrusted(error: BaseException | None) -> bool:
    # Two libraries wrap what ssl raised, each in its own way.
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error is not None


def _limited(headers: httpx.Headers) -> bool:
    return "retry-after" in headers or headers.get("x-ratelimit-remaining") == "0"


def _asked_to_wait(headers: httpx.Headers) -> float | None:
    """Seconds until the forge wants to be asked again; None when it does not say."""
    after = headers.get("retry-after", "")
    until = headers.get("x-ratelimit-reset", "") if headers.get("x-ratelimit-remaining") == "0" else ""
    if after.isdecimal():
        return float(after[:9])
    if until.isdecimal():
        return float(until[:12]) - time.time()
    try:
        return (parsedate_to_datetime(after) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
