"""How does a picture's file become pixels? Here, in a process of its own: `python -m hera_workflows.learning.decode`.

Half of the time that a small picture takes is Python's, so threads would wait for each other; and a file that brings
its decoder down must not bring the training down. It imports little, since as many of it start as there are CPUs.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from typing import Any

from slipway.errors import Rejected

__all__ = ["MAX_BYTES", "decode", "main"]

MAX_BYTES = 256 << 20  # of one picture's file
MAX_PIXELS = 80_000_000  # of one picture as it lies in the file
REMEDY = "replace it, or list it under `skip:` in model.yaml"
_WHAT = {"UnidentifiedImageError": "is not a picture", "DecompressionBombError": "has too many pixels"}
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")


def decode(path: str, size: int) -> bytes:
    """The pixels of one picture, size × size × 3, rows first; raises Rejected, without naming it, if it has none."""
    from PIL import Image

    try:
        # One read, not the many small ones of a file that is parsed while it is open.
        with open(path, "rb", buffering=0) as file:
            if os.fstat(file.fileno()).st_size > MAX_BYTES:
                raise Rejected(f"a file of more than {MAX_BYTES >> 20} MB is too large; scale it down")
            content = file.read()
        with Image.open(io.BytesIO(content), formats=_FORMATS) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise Rejected(f"{picture.width} × {picture.height} pixels is too large; scale it down")
            pixels: bytes = _middle(picture, size).tobytes()
        return pixels
    except Rejected:
        raise
    except Exception as error:  # noqa: BLE001 - decoders of many formats raise whatever they like
        what = _WHAT.get(type(error).__name__, f"is damaged ({str(error)[:120]})")
        raise Rejected(f"{what}; {REMEDY}") from None


def _middle(picture: Any, size: int) -> Any:
    from PIL import Image

    short = min(picture.width, picture.height)
    # A JPEG is decoded straight to about the size that is needed, a fraction of the work.
    picture.draft("RGB", (picture.width * size // short, picture.height * size // short))
    short = min(picture.width, picture.height)
    left, top = (picture.width - short) // 2, (picture.height - short) // 2
    picture = picture if picture.mode == "RGB" else picture.convert("RGB")
    if short == size and (picture.width, picture.height) == (size, size):
        return picture
    return picture.resize(
        (size, size), Image.Resampling.BILINEAR, box=(left, top, left + short, top + short), reducing_gap=2.0
    )


def main() -> None:
    """Answer each line `{"root", "paths", "size"}` with a line, what is wrong as JSON or null, then with the pixels."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends when the process that asks does
    # What a decoder prints goes to the log; among the pixels it would shift every picture that follows.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    for line in sys.stdin:
        asked = json.loads(line)
        problem, pixels, path = None, [], ""
        try:
            for path in asked["paths"]:
                pixels.append(decode(f"{asked['root']}/{path}", asked["size"]))
        except Rejected as error:
            problem, pixels = f"{path}: {error}", []
        answers.write(b"".join([json.dumps(problem).encode(), b"\n", *pixels]))
        answers.flush()


if __name__ == "__main__":
    main()
