from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from dbambassador.observability.lines import LONGEST, Tone, fitted, line, put, table, width


def test_plain_and_in_colour() -> None:
    lines = [line("all is ", ("well", Tone.GOOD), ("", Tone.BAD)), ()]
    assert put(lines, coloured=False) == ["all is well", ""]
    assert put(lines, coloured=True) == ["all is \x1b[32mwell\x1b[0m", ""]


def test_what_is_at_the_top_does_not_scroll_away() -> None:
    lines = [line(f"{number} {'x' * 100}") for number in range(60)]
    shown = put(fitted(lines, 80, 24), coloured=False)
    assert len(shown) == 24
    assert shown[0].startswith("0 x")
    assert {len(each) for each in shown} == {80}
    assert put(fitted([line("short")], 80, 24), coloured=False) == ["short"]


def test_a_table_has_columns_and_no_trailing_blanks() -> None:
    rows = [
        [("a", Tone.DIM), ("名前", Tone.PLAIN), ("", Tone.PLAIN)],
        [("bcd", Tone.PLAIN), ("x", Tone.PLAIN), ("why", Tone.BAD)],
    ]
    assert put(table(rows), coloured=False) == ["a    名前", "bcd  x     why"]


def test_columns_that_a_text_takes() -> None:
    assert [width(text) for text in ("abc", "名前", "e\u0301", "→", "")] == [3, 4, 1, 1, 0]


PIECES = st.lists(st.tuples(st.text(max_size=30), st.sampled_from(Tone)), max_size=6)


@given(PIECES, st.integers(1, 60))
def test_no_line_is_wider_than_the_terminal_or_steers_it(
    pieces: list[tuple[str, Tone]], columns: int
) -> None:
    (cut,) = fitted([line(*pieces)], columns, 1)
    (plain,), (coloured,) = put([cut], coloured=False), put([cut], coloured=True)
    assert width(plain) <= columns
    assert "\x1b" not in plain
    assert re.sub(r"\x1b\[[0-9;]+m", "", coloured) == plain


def test_a_piece_is_bounded() -> None:
    assert len(put([line("x" * 10_000)], coloured=False)[0]) == LONGEST
