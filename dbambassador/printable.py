"""What others wrote, fit for a terminal and a log line. Pure."""

from __future__ import annotations

import unicodedata


def printable(value: object) -> str:
    """The value as text on one line, with everything that is not a visible character escaped.

    Names come from the network: a control or bidirectional-format character in one of them must not forge
    a log line or steer a terminal (Unicode categories Cc, Cf, Cs, Co, Cn, Zl, Zp).
    """
    line = str(value)
    if line.isascii() and line.isprintable():
        return line
    return "".join(map(_visible, line))


def _visible(character: str) -> str:
    if unicodedata.category(character)[0] != "C" and character not in "\u2028\u2029":
        return character
    return character.encode("unicode_escape").decode("ascii")


def shortened(text: str, longest: int) -> str:
    """The text in at most so many characters."""
    return text if len(text) <= longest else text[: longest - 1] + "…"
