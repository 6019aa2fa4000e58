"""How does text that may come from anywhere look on a terminal, without steering it?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import click

__all__ = ["Cell", "printable", "table"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One text of a table, in a colour of click's when it has one."""

    text: str
    colour: str | None = None
    bold: bool = False


def printable(text: str, keep: str = "") -> str:
    """`text` with `?` for every character that is neither printable nor in `keep`."""
    return "".join(c if c.isprintable() or c in keep else "?" for c in text)


def table(head: Sequence[str], rows: Iterable[Sequence[str | Cell]]) -> str:
    """Aligned columns under a bold head, every text printable; click.echo leaves styles out where nobody sees them."""
    lines = [[Cell(text, bold=True) for text in head]]
    for row in rows:
        cells = (each if isinstance(each, Cell) else Cell(each) for each in row)
        lines.append([Cell(printable(cell.text), cell.colour, cell.bold) for cell in cells])
    widths = [max(len(cell.text) for cell in column) for column in zip(*lines, strict=True)]
    return "\n".join(_line(line, widths) for line in lines)


def _line(cells: Sequence[Cell], widths: Sequence[int]) -> str:
    padded = (_styled(cell) + " " * (width - len(cell.text)) for cell, width in zip(cells, widths, strict=True))
    return "  ".join(padded).rstrip()


def _styled(cell: Cell) -> str:
    if not cell.text or not (cell.colour or cell.bold):
        return cell.text
    return click.style(cell.text, fg=cell.colour, bold=cell.bold or None)
