"""What the demo prints, on a terminal and elsewhere."""

from __future__ import annotations

import io

import pytest

from dbambassador.demo.screen import Screen
from dbambassador.observability.lines import is_colour_welcome


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "environ", "expected"),
    [
        (Terminal(), {}, True),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {}, False),
    ],
)
def test_colour_is_for_terminals_that_want_it(
    stream: io.StringIO, environ: dict[str, str], expected: bool
) -> None:
    assert is_colour_welcome(stream, environ) is expected


def test_columns_are_as_wide_as_what_is_in_them() -> None:
    stream = io.StringIO()
    Screen(stream).table(("name", "n"), [("a", "1"), ("longer", "22")])
    assert stream.getvalue() == "\n  name     n\n  a        1\n  longer   22\n\n"


def test_without_colour_there_is_no_escape_sequence() -> None:
    stream = io.StringIO()
    screen = Screen(stream, colour=False)
    screen.heading("heading")
    screen.good("good")
    screen.bad("bad")
    screen.command("command", "output")
    assert "\033" not in stream.getvalue()
    Screen(stream, colour=True).good("good")
    assert "\033[32m" in stream.getvalue()
