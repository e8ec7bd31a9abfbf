"""Aligned columns that fit a screen. Pure."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

WIDTH = 98
"""Columns: a terminal of 100, or the demo, which indents what commands print by two."""

GAP = "  "
NARROWEST = 44
"""Columns; in less than these, sentences are not readable any more."""

UNBREAKABLE = "\N{NO-BREAK SPACE}"
"""A space at which `wrap` breaks no line; it is printed as any other."""

ACCOUNT = "/var/run/secrets/kubernetes.io/"

COMMAND = re.compile(r"kubectl [^&;]*[^&; ]")


def table(rows: Sequence[Sequence[str]], *, indent: str = GAP, narrowest: int = NARROWEST) -> list[str]:
    """The rows as lines. What does not fit of the last column goes on below it, or, where that would be
    narrower than `narrowest`, stands on lines of its own, in every row."""
    if not rows:
        return []
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    left = len(indent) + sum(width + len(GAP) for width in widths[:-1])
    below = left + min(narrowest, widths[-1]) > WIDTH
    hanging = " " * (len(indent) + 4 if below else left)
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths[:-1], strict=True)]
        start = indent + "".join(cell + GAP for cell in cells)
        wrapped = wrap(row[-1], WIDTH - len(hanging)) or [""]
        if below:
            lines += [start.rstrip(), *(hanging + line for line in wrapped if line)]
        else:
            lines += [(start + wrapped[0]).rstrip(), *(hanging + line for line in wrapped[1:])]
    return lines


def wrap(text: str, width: int) -> list[str]:
    """Lines of at most so many columns, but for a single word that is longer."""
    lines = [text] if text else []
    if len(text) > width:
        lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
    return [line.replace(UNBREAKABLE, " ") for line in lines]


def short_path(source: str) -> str:
    """The source of a fact without the long way to a service account's files."""
    return source.replace(ACCOUNT, "…/")


def whole_commands(reason: str) -> str:
    """The reason with its shell commands unbreakable: what a person copies must not be cut into lines."""
    return COMMAND.sub(lambda command: command[0].replace(" ", UNBREAKABLE), reason)
