"""A server that stands before another one: it passes requests on, answers some itself, and can fail on purpose."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

__all__ = ["Asked", "Front", "Reply", "front", "pass_on"]


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    path: str  # with its query
    body: bytes
    headers: dict[str, str]

    def json(self) -> Any:
        return json.loads(self.body or b"null")


@dataclass(frozen=True)
class Reply:
    """One answer."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    # What is done with it: sent; sent half; nothing sent and the connection cut; nothing sent and the connection kept.
    how: str = "sent"

    @staticmethod
    def of(status: int, content: object, **headers: str) -> Reply:
        return Reply(status, json.dumps(content).encode(), {"Content-Type": "application/json", **headers})


# Gets a request and a function that asks the server behind; returns what is answered.
Answering = Callable[[Asked, Callable[[], Reply]], Reply]


@dataclass(frozen=True)
class Front:
    url: str
    asked: list[Asked]  # everything that came, in order


@contextmanager
def front(behind: str, answering: Answering) -> Iterator[Front]:
    """Serve on a free port of 127.0.0.1, before the server at the URL `behind`."""
    asked: list[Asked] = []
    stop = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else a kept connection waits 40 ms between an answer's headers and its body

        def _all(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            request = Asked(self.command, self.path, self.rfile.read(length), dict(self.headers.items()))
            asked.append(request)
            reply = answering(request, lambda: pass_on(behind, request))
            if reply.how == "stall":
                stop.wait(60)
            if reply.how in ("cut", "stall"):
                self.close_connection = True
                return
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            if reply.how == "half":
                self.wfile.write(reply.body[: len(reply.body) // 2])
                self.close_connection = True
                return
            self.wfile.write(reply.body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _all  # noqa: N815 - the names that http.server looks for

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Front(f"http://127.0.0.1:{server.server_address[1]}", asked)
    finally:
        stop.set()
        server.shutdown()
        server.server_close()
        thread.join(10)


def pass_on(behind: str, asked: Asked) -> Reply:
    """What the server at the URL `behind` answers."""
    connection = http.client.HTTPConnection(urlsplit(behind).netloc, timeout=60)
    try:
        headers = {k: v for k, v in asked.headers.items() if k.lower() not in ("host", "connection")}
        connection.request(asked.method, asked.path, asked.body, headers)
        answer = connection.getresponse()
        return Reply(answer.status, answer.read(), dict(answer.getheaders()))
    finally:
        connection.close()
