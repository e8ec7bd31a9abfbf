"""How values are put for a person: times in units that fit. Pure."""

from __future__ import annotations

import math

_UNITS = (
    (3600, (60, "min", 1, "s")),
    (86400, (3600, "h", 60, "min")),
    (math.inf, (86400, "d", 3600, "h")),
)


def duration(seconds: float) -> str:
    """`0.2 s`, `12 s`, `3 min 5 s`, `2 h 10 min`, `5 d 3 h`."""
    if seconds < 9.95:
        return f"{max(seconds, 0.0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    size, unit, part, small = next(units for limit, units in _UNITS if whole < limit)
    rest = whole % size // part
    return f"{whole // size} {unit} {rest} {small}" if rest else f"{whole // size} {unit}"


def count(number: int, noun: str) -> str:
    """`1 session`, `2 sessions`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
