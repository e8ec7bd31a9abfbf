"""How good each state of an address is to a person, in text and on the page alike. Pure."""

from __future__ import annotations

from enum import Enum


class Grade(Enum):
    GOOD = "good"
    PLAIN = "plain"
    """Nothing is known yet."""
    WARNING = "warning"
    BAD = "bad"


_GRADES = {
    "up": Grade.GOOD,
    "suspect": Grade.WARNING,
    "not-ready": Grade.WARNING,
    "half-open": Grade.WARNING,
    "open": Grade.BAD,
    "down": Grade.BAD,
}


def grade(state: str) -> Grade:
    """Of a state as a snapshot names it; `new`, and those of another version, are plain."""
    return _GRADES.get(state, Grade.PLAIN)
