"""How does text that may come from anywhere become one line?"""

from __future__ import annotations

__all__ = ["one_line"]


def one_line(text: str, most: int | None = None) -> str:
    """The text with one blank for whatever is blank or cannot be printed; what is longer than `most` ends with …"""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if most is None or len(line) <= most else line[: most - 1] + "…"
