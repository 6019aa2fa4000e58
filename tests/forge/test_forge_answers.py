"""What a forge answers is not trusted: each wrong answer ends as one error of slipway, and tells nobody the token."""

from __future__ import annotations

import ssl
import subprocess
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from front import Asked, Front, Reply, front

from gitops.forge import Forge
from gitops.forge.calls import Unavailable
from gitops.forge.open import open_forge
from slipway.errors import Misconfigured, Rejected, SlipwayError, TryAgain

pytestmark = pytest.mark.slow

TOKEN = "glpat-Zz9secret"
COMMIT = "a" * 40
KINDS = ("gitea", "github", "gitlab")


def _always(reply: Reply) -> AbstractContextManager[Front]:
    return front("http://127.0.0.1:9", lambda asked, behind: reply)


def _forge(kind: str, url: str) -> Forge:
    return open_forge(kind, url, "team/env", TOKEN)


def _asking(kind: str, reply: Reply, ask: Callable[[Forge], object] = lambda forge: forge.user()) -> SlipwayError:
    with _always(reply) as server, pytest.raises(SlipwayError) as caught:
        ask(_forge(kind, server.url))
    shown = "".join(traceback.format_exception(caught.value))
    assert TOKEN not in shown
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("kind", KINDS)
def test_a_token_that_is_refused_is_a_setting(kind: str):
    error = _asking(kind, Reply.of(401, {"message": f"bad credentials {TOKEN}"}))
    assert isinstance(error, Misconfigured)
    assert "set FORGE_TOKEN" in str(error)
    assert "bad credentials ***" in str(error)


@pytest.mark.parametrize("kind", KINDS)
def test_a_right_that_is_missing_is_a_setting(kind: str):
    error = _asking(kind, Reply.of(403, {"message": "Must have write access"}))
    assert isinstance(error, Misconfigured)
    assert "Must have write access; give the user of FORGE_TOKEN this right" in str(error)


@pytest.mark.parametrize("kind", KINDS)
def test_a_forge_that_keeps_failing_is_to_be_tried_again(kind: str):
    error = _asking(kind, Reply.of(503, {"message": "down for\nmaintenance"}))
    assert isinstance(error, TryAgain)
    assert "down for maintenance" in str(error)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "reply",
    [
        Reply.of(429, {"message": "slow down"}, **{"Retry-After": "3600"}),
        Reply.of(403, {"message": "rate limit"}, **{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "9999999999"}),
        Reply.of(403, {"message": "secondary rate limit"}, **{"Retry-After": "3600"}),
        Reply.of(503, {"message": "later"}, **{"Retry-After": "Fri, 31 Dec 2100 23:59:59 GMT"}),
    ],
    ids=["429", "no requests left", "secondary", "a date"],
)
def test_a_long_wait_is_left_to_the_workflow_engine(kind: str, reply: Reply):
    with _always(reply) as server:
        with pytest.raises(TryAgain):
            _forge(kind, server.url).user()
        assert len(server.asked) == 1


@pytest.mark.parametrize("status", [403, 429])
@pytest.mark.parametrize(
    "message",
    [
        "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
        "You have triggered an abuse detection mechanism. Please wait a few minutes before you try again.",
        "API Rate Limit Exceeded",
    ],
)
def test_a_limit_that_only_the_message_names_is_a_minute_to_wait(status: int, message: str):
    error = _asking("github", Reply.of(status, {"message": message}, **{"X-RateLimit-Remaining": "4999"}))
    assert isinstance(error, Unavailable)
    assert error.wait == 60


def test_a_limit_waits_as_long_as_the_forge_asks_whatever_the_message_says():
    error = _asking("github", Reply.of(403, {"message": "secondary rate limit"}, **{"Retry-After": "3600"}))
    assert isinstance(error, Unavailable)
    assert error.wait == 3600


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_follows_a_redirect_with_the_token(kind: str):
    with _always(Reply.of(200, {"login": "thief", "username": "thief"})) as other:
        error = _asking(kind, Reply.of(302, {}, Location=f"{other.url}/user"))
        assert other.asked == []
    assert isinstance(error, Misconfigured)
    assert "has moved" in str(error)


@pytest.mark.parametrize("kind", KINDS)
def test_a_list_is_read_on_where_it_began_whatever_the_forge_says(kind: str):
    with _always(Reply.of(200, [])) as other:

        def answer(asked: Asked, behind: object) -> Reply:
            if "page=2" in asked.path:
                return Reply.of(200, [_request(kind, 2)])
            return Reply.of(200, [_request(kind, 1)], Link=f'<{other.url}/?page=2>; rel="next"')

        with front("http://127.0.0.1:9", answer) as server:
            assert [request.number for request in _forge(kind, server.url).requests()] == [1, 2]
        assert other.asked == []


def test_statuses_of_a_gitea_that_names_no_next_page_are_read_to_an_empty_one():
    def answer(asked: Asked, behind: object) -> Reply:
        number = parse_qs(urlsplit(asked.path).query)["page"][0]
        statuses = [{"context": f"slipway/model-{number}", "status": "pending"}] if number in ("1", "2") else None
        return Reply.of(200, {"statuses": statuses})

    with front("http://127.0.0.1:9", answer) as server:
        assert set(_forge("gitea", server.url).statuses(COMMIT)) == {"slipway/model-1", "slipway/model-2"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "content",
    [[], "text", 7, {}, {"login": 5, "username": 5}, {"login": "x" * 5000, "username": "x" * 5000}],
    ids=["a list", "a text", "a number", "nothing", "another type", "too long"],
)
def test_json_that_is_not_the_forges_is_a_setting(kind: str, content: Any):
    assert isinstance(_asking(kind, Reply.of(200, content)), Misconfigured)


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_for_people_is_a_setting(kind: str):
    error = _asking(kind, Reply(200, b"<html>Sign in</html>", {"Content-Type": "text/html"}))
    assert isinstance(error, Misconfigured)
    assert "not with JSON; check --forge and --forge-url" in str(error)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ask", [lambda forge: forge.user(), lambda forge: forge.requests()], ids=["one", "a list"])
@pytest.mark.parametrize("status", [200, 204])
def test_an_answer_without_content_is_a_setting(kind: str, ask: Callable[[Forge], object], status: int):
    assert isinstance(_asking(kind, Reply(status, b""), ask), Misconfigured)


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_that_cannot_be_unpacked_is_to_be_tried_again(kind: str):
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    assert isinstance(_asking(kind, Reply(200, b"no gzip", headers)), TryAgain)


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_of_endless_size_is_not_read(kind: str):
    reply = Reply(200, b"[" + b" " * (17 * 2**20) + b"]", {"Content-Type": "application/json"})
    assert "more than 16 MiB" in str(_asking(kind, reply))


@pytest.mark.parametrize("kind", KINDS)
def test_a_list_without_end_is_not_read_to_it(kind: str):
    items = [_request(kind, number, branch=f"b-{number}") for number in range(100)]

    def answer(asked: Asked, behind: object) -> Reply:
        return Reply.of(200, items, Link=f'<{server.url}{asked.path.split("?")[0]}?page=2>; rel="next"')

    with front("http://127.0.0.1:9", answer) as server:
        with pytest.raises(Rejected, match="close or delete"):
            _forge(kind, server.url).requests()
        assert len(server.asked) <= 21


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", 'https://x/"><script>', "https://x/\n@all", "file:///etc/passwd"]
)
def test_an_address_that_is_none_is_refused(kind: str, url: str):
    error = _asking(kind, Reply.of(200, [_request(kind, 1, url=url)]), lambda forge: forge.requests())
    assert isinstance(error, Misconfigured)


@pytest.mark.parametrize("kind", KINDS)
def test_names_of_a_forge_are_one_printable_line(kind: str):
    with _always(Reply.of(200, [_request(kind, 1, branch="x\n\x1b[31my")])) as server:
        assert [request.branch for request in _forge(kind, server.url).requests()] == ["x [31my"]


@pytest.mark.parametrize("kind", KINDS)
def test_requests_from_forks_are_nobodys(kind: str):
    with _always(Reply.of(200, [_request(kind, 1, fork=True), _request(kind, 2)])) as server:
        assert [request.number for request in _forge(kind, server.url).requests()] == [2]


def test_a_forge_that_is_not_there_is_to_be_tried_again():
    with pytest.raises(TryAgain, match="has no answer"):
        _forge("gitea", "http://127.0.0.1:9").user()


@pytest.mark.parametrize("kind", KINDS)
def test_a_proxy_of_the_environment_is_used(kind: str, monkeypatch: pytest.MonkeyPatch):
    with _always(Reply.of(200, {"login": "slipway", "username": "slipway"})) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        assert _forge(kind, "http://forge.test").user() == "slipway"
        assert proxy.asked[0].path.startswith("http://forge.test/api/v")


def test_a_certificate_that_nobody_trusts_is_a_setting(tmp_path: Path):
    with _with_tls(tmp_path) as url, pytest.raises(Misconfigured, match="set SSL_CERT_FILE"):
        _forge("gitea", url).user()


@contextmanager
def _with_tls(folder: Path) -> Iterator[str]:
    """A server on 127.0.0.1 with a certificate that it signed itself."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    words = ["-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"]
    command = ["openssl", "req", "-x509", *words, "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"https://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("kind", "url", "project", "token", "says"),
    [
        ("bitbucket", "https://x", "a/b", TOKEN, "is not a forge"),
        ("gitea", "ftp://x", "a/b", TOKEN, "--forge-url"),
        ("gitea", f"https://me:{TOKEN}@x", "a/b", TOKEN, "--forge-url"),
        ("gitea", "https://x", "a/../b", TOKEN, "OWNER/NAME"),
        ("gitlab", "https://x", "a/../b", TOKEN, "OWNER/NAME"),
        ("gitea", "https://x", "a", TOKEN, "OWNER/NAME"),
        ("gitea", "https://x", "a/b?c", TOKEN, "OWNER/NAME"),
        ("gitea", "https://x", "a/b", "", "FORGE_TOKEN"),
        ("gitea", "https://x", "a/b", f"{TOKEN}\nHost: y", "FORGE_TOKEN"),
    ],
)
def test_a_setting_that_is_wrong_is_named(kind: str, url: str, project: str, token: str, says: str):
    with pytest.raises(Misconfigured, match=says) as caught:
        open_forge(kind, url, project, token)
    assert TOKEN not in str(caught.value)


def _request(
    kind: str, number: int, *, branch: str = "promote/production/digits-1", url: str = "https://x/1", fork: bool = False
) -> dict[str, Any]:
    """An open request as the forge's API gives it."""
    if kind == "gitlab":
        ends = {"source_branch": branch, "target_branch": "main", "source_project_id": 2 if fork else 1}
        return {"iid": number, "web_url": url, "state": "opened", "sha": COMMIT, "target_project_id": 1, **ends}
    source = "other/env" if fork else "team/env"
    head = {"ref": branch, "label": branch, "sha": COMMIT, "repo_id": 2 if fork else 1, "repo": {"full_name": source}}
    base = {"ref": "main", "label": "main", "sha": COMMIT, "repo_id": 1, "repo": {"full_name": "team/env"}}
    return {"number": number, "html_url": url, "state": "open", "head": head, "base": base}
