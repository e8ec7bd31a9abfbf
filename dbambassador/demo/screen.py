"""What the demo shows: headings, sentences, tables, the output of commands. Coloured on a terminal only."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Sequence
from typing import TextIO

from dbambassador.observability.lines import is_colour_welcome

WIDTH = 100
"""Columns that sentences are wrapped to; commands and their output keep their own."""

BOLD, DIM, GREEN, RED = "1", "2", "32", "31"


class Screen:
    """Writes to one stream, line by line."""

    def __init__(self, stream: TextIO | None = None, *, colour: bool | None = None) -> None:
        """`stream`: standard output by default. `colour`: None to find out."""
        self._stream = stream or sys.stdout
        self._empty = False
        self._colour = is_colour_welcome(self._stream, os.environ) if colour is None else colour

    def heading(self, text: str) -> None:
        self._gap()
        self._line(self._paint(BOLD, f"── {text} " + "─" * max(0, WIDTH - len(text) - 4)))

    def say(self, text: str) -> None:
        for line in textwrap.wrap(" ".join(text.split()), WIDTH, break_on_hyphens=False):
            self._line(line)

    def good(self, text: str) -> None:
        self._line(self._paint(GREEN, f"✓ {text}"))

    def bad(self, text: str) -> None:
        self._line(self._paint(RED, f"✗ {text}"))

    def command(self, words: str, output: str = "") -> None:
        """A command line, and what it printed."""
        self.quote(f"$ {words}", output)

    def quote(self, title: str, text: str) -> None:
        """Somebody else's words, as they are."""
        self._gap()
        self._line(self._paint(DIM, title))
        for line in text.rstrip().splitlines():
            self._line(f"  {line}".rstrip())
        self._gap()

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Columns as wide as their contents; no head line where `head` is empty."""
        lines = [*([head] if head else []), *rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
        self._gap()
        for number, line in enumerate(lines):
            padded = "   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            self._line("  " + (self._paint(DIM, padded) if head and number == 0 else padded))
        self._gap()

    def _gap(self) -> None:
        """One empty line, however many ask for it."""
        if not self._empty:
            self._line("")

    def _line(self, text: str) -> None:
        print(text, file=self._stream, flush=True)
        self._empty = not text

    def _paint(self, code: str, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self._colour else text
