"""A web server on loopback that behaves badly on request."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Site:
    """What the server has and does; changed by tests between requests."""

    def __init__(self) -> None:
        self.content = b""
        self.etag: str | None = '"1"'
        self.length = True  # whether it says how long the body is
        self.redirect: str | None = None
        self.status = 200
        self.break_after: int | None = None  # bytes of the body, then the connection ends
        self.stall_after: int | None = None  # bytes of the body, then silence
        self.ranges: list[str | None] = []  # Range header of each request
        self.released = threading.Event()


@contextmanager
def serving(site: Site) -> Iterator[str]:
    """The base URL of a server that serves `site` at every path."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.ranges.append(self.headers.get("Range"))
            if site.redirect is not None:
                self.send_response(302)
                self.send_header("Location", site.redirect)
                self.end_headers()
                return
            begin = 0
            wanted = self.headers.get("Range")
            if wanted and site.etag and self.headers.get("If-Range") == site.etag:
                begin = int(wanted.removeprefix("bytes=").rstrip("-"))
            if begin and begin >= len(site.content):
                self.send_response(416)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            body = site.content[begin:]
            self.send_response(206 if begin else site.status)
            if begin:
                self.send_header("Content-Range", f"bytes {begin}-{len(site.content) - 1}/{len(site.content)}")
            if site.etag:
                self.send_header("ETag", site.etag)
            if site.length:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if site.break_after is not None:
                self.wfile.write(body[: site.break_after])
            elif site.stall_after is not None:
                self.wfile.write(body[: site.stall_after])
                self.wfile.flush()
                site.released.wait(30)
            else:
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        site.released.set()
        server.shutdown()
        server.server_close()
