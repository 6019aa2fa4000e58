"""Tables: aligned, coloured where somebody sees it, and never written by whoever wrote a cell."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from hera_workflows.terminal import Cell, printable, table

HEAD = ("MODEL", "VERDICT", "SEEN")


@pytest.mark.parametrize(
    "text", ["\x1b[2Jgone", "\x1b[31mred\x1b[0m", "up\x1b[A", "a\rb", "a\nb", "a\u202eb", "\x9b2J"]
)
@pytest.mark.parametrize("colour", [None, "green"])
def test_a_cell_says_nothing_to_the_terminal(text: str, colour: str | None):
    shown = table(HEAD, [(Cell(text, colour), "PASS", "")])
    assert all(c.isprintable() for line in click.unstyle(shown).split("\n") for c in line)
    assert len(shown.split("\n")) == 2


def test_columns_stand_below_each_other_whatever_is_coloured():
    shown = table(HEAD, [("digits", Cell("PASS", "green", bold=True), "all well"), ("a", "FAIL", "late")])
    assert click.unstyle(shown) == "MODEL   VERDICT  SEEN\ndigits  PASS     all well\na       FAIL     late"


def test_no_line_ends_with_blanks():
    shown = table(("A", "B", ""), [("long", Cell("x", "red"), ""), ("", "", Cell("", "red"))])
    assert click.unstyle(shown).split("\n") == ["A     B", "long  x", ""]


def test_a_table_without_rows_is_its_head():
    assert click.unstyle(table(HEAD, [])) == "MODEL  VERDICT  SEEN"


@pytest.mark.parametrize(("terminal", "styled"), [(True, True), (False, False)])
def test_colours_are_for_terminals(terminal: bool, styled: bool):
    @click.command()
    def show() -> None:
        click.echo(table(HEAD, [("digits", Cell("PASS", "green"), "")]))

    assert ("\x1b[32mPASS" in CliRunner().invoke(show, color=terminal).output) is styled


def test_what_is_kept_is_kept():
    assert printable("a\tb\nc\x1b", keep="\t\n") == "a\tb\nc?"
