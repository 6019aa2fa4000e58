"""How does a page of the cluster look to a person who is logged in?"""

from __future__ import annotations

import subprocess
import tempfile
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["HEIGHT", "WIDTH", "logged_in", "picture", "pixels"]

WIDTH, HEIGHT = 1100, 1750  # of a window, in pixels
_OWN = {"connection", "transfer-encoding"}  # headers that are between two machines, not the page's


@contextmanager
def logged_in(server: str, credential: Mapping[str, str]) -> Iterator[str]:
    """The address of a door to the server that adds the credential's headers to each question.

    The browser cannot be given them by its command line. Answers pass as they are, with the server's own headers.
    """

    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if "text/event-stream" in self.headers.get("Accept", ""):
                self.send_error(404)  # a stream has no end, and the picture would wait for it
                return
            question = urllib.request.Request(server + self.path, headers=dict(credential))
            try:
                answer = urllib.request.urlopen(question, timeout=30)
            except urllib.error.HTTPError as refusal:
                answer = refusal
            with answer:
                content = answer.read()
                self.send_response_only(answer.status)
                for name, value in answer.headers.items():
                    if name.lower() not in _OWN:
                        self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing: what the browser asks for beside the page is of no interest."""

    door = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    threading.Thread(target=door.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{door.server_port}"
    finally:
        door.shutdown()
        door.server_close()


def pixels(file: Path) -> bytes:
    """Red, green and blue of every point of a PNG."""
    from PIL import Image

    with Image.open(file) as image:
        return image.convert("RGB").tobytes()


def picture(url: str, file: Path, width: int = WIDTH, height: int = HEIGHT) -> Path:
    """Write what headless Chromium shows of a page, as PNG."""
    with tempfile.TemporaryDirectory() as profile:
        command = [
            *["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"],
            *[
                "--disable-component-update",
                "--no-first-run",
                "--hide-scrollbars",
                "--disable-dev-shm-usage",
                "--timeout=20000",
            ],
            *[f"--user-data-dir={profile}", f"--window-size={width},{height}", f"--screenshot={file}", url],
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert file.is_file(), f"Chromium took no picture of {url}: {done.stderr[-800:]}"
    return file
