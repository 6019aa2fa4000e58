"""One line of whatever somebody wrote."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from slipway.text import one_line


@given(st.text(), st.integers(1, 40))
def test_it_is_one_printable_line_of_at_most_so_many_characters(text: str, most: int):
    line = one_line(text, most)
    assert line.isprintable()
    assert len(line) <= most
    assert "  " not in line


def test_a_line_that_fits_is_whole():
    assert one_line(" a\x1b[2J\n\tb\u00a0c ", 9) == "a [2J b c"
    assert one_line("abcdef", 4) == "abc…"
