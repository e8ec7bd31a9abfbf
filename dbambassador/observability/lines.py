"""Text for a terminal: lines of pieces with a tone each, put out plain or in colour, and cut to fit. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import TextIO

from dbambassador.printable import printable, shortened

LONGEST = 500
"""Characters of one piece: two lines of a wide terminal. A DNS name has 255 at most."""


class Tone(Enum):
    """What a piece of text is to the reader, and the SGR parameters (ECMA-48, 8.3.117) that show it.

    The eight basic colours alone: every terminal has them, and its owner chose them to be readable.
    """

    PLAIN = ""
    STRONG = "1"
    DIM = "2"
    GOOD = "32"
    WARNING = "33"
    BAD = "1;31"


Piece = tuple[str, Tone]
Line = tuple[Piece, ...]


def is_colour_welcome(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether colour is welcome: on a terminal, unless NO_COLOR is set (https://no-color.org)."""
    return stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def line(*pieces: Piece | str) -> Line:
    """One line; what is not a visible character in it is escaped."""
    toned = (piece if isinstance(piece, tuple) else (piece, Tone.PLAIN) for piece in pieces)
    return tuple((_shown(text), tone) for text, tone in toned)


def put(lines: Iterable[Line], *, coloured: bool) -> list[str]:
    """The lines as a terminal or a file takes them."""
    return ["".join(_painted(piece) if coloured else piece[0] for piece in each) for each in lines]


def fitted(lines: Sequence[Line], columns: int, rows: int) -> list[Line]:
    """As much as a terminal shows: what is at the top matters most, and must not scroll away."""
    return [_cut(each, columns) for each in lines[:rows]]


def table(rows: Sequence[Sequence[Piece]], gap: str = "  ") -> Iterator[Line]:
    """Columns as wide as their contents."""
    shown = [[(_shown(text), tone) for text, tone in row] for row in rows]
    widths = [max(width(row[column][0]) for row in shown) for column in range(len(shown[0]))]
    for row in shown:
        last = max((number for number, (text, _) in enumerate(row) if text), default=-1)
        pieces: list[Piece] = []
        for (text, tone), wide in zip(row[:last], widths, strict=False):
            pieces += [(text, tone), (" " * (wide - width(text)) + gap, Tone.PLAIN)]
        yield (*pieces, *row[last : last + 1])


def width(text: str) -> int:
    """Columns that it takes (Unicode Standard Annex 11)."""
    if text.isascii():
        return len(text)
    return sum(map(_columns, text))


def _shown(text: object) -> str:
    return printable(shortened(str(text), LONGEST))


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _cut(whole: Line, columns: int) -> Line:
    if sum(width(text) for text, _ in whole) <= columns:
        return whole
    room, pieces = columns - 1, list[Piece]()
    for text, tone in whole:
        kept = ""
        for character in text:
            room -= _columns(character)
            if room < 0:
                return (*pieces, (kept + "…", tone))
            kept += character
        pieces.append((kept, tone))
    return tuple(pieces)


def _painted(piece: Piece) -> str:
    text, tone = piece
    return f"\x1b[{tone.value}m{text}\x1b[0m" if tone is not Tone.PLAIN and text else text
