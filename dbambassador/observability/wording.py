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


def latency(seconds: float) -> str:
    """`0.4 ms`, `12 ms`, `1.2 s`."""
    if seconds >= 1:
        return duration(seconds)
    milliseconds = seconds * 1000
    return f"{milliseconds:.1f} ms" if milliseconds < 9.95 else f"{milliseconds:.0f} ms"


def size(number: float) -> str:
    """Bytes: `0 B`, `999 B`, `1.2 kB`, `34 MB`."""
    units = ("B", "kB", "MB", "GB", "TB", "PB")
    place = 0
    while number >= 999.5 and place < len(units) - 1:
        number /= 1000
        place += 1
    return f"{number:.1f} {units[place]}" if place and number < 9.95 else f"{number:.0f} {units[place]}"
