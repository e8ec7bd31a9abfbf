"""What one client loop tried, attempt by attempt, and what follows from it. Pure but for the reading."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from itertools import pairwise
from pathlib import Path


class Loop(Enum):
    """How a client uses its connections."""

    KEPT = "kept"
    """One connection for as long as it works; a new one after an error."""
    FRESH = "fresh"
    """A new connection for each row."""
    IDLE = "idle"
    """One connection on which nothing happens. Its end is all that it records."""
    WAITING = "waiting"
    """One query that takes longer than the row. Its end is all that it records."""
    BYSTANDER = "bystander"
    """As `FRESH`, on the database that no fault touches."""


ROWS = frozenset({Loop.KEPT, Loop.FRESH})
"""The loops whose rows go to the database under fault."""
ENDS = frozenset({Loop.IDLE, Loop.WAITING})
"""The loops that record the ends of their sessions."""

UNFINISHED = "unfinished"
"""The error of an attempt that was still waiting when the client was ended."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One row that a client wanted to write (or read). Times are seconds since 1970, as in the log."""

    loop: Loop
    number: int
    start: float
    end: float
    server: str = ""
    """The name of the server that took it; empty where it failed."""
    error: str = ""

    @property
    def good(self) -> bool:
        return not self.error

    def line(self) -> str:
        return json.dumps({**asdict(self), "loop": self.loop.value})


def read(line: str) -> Attempt:
    """The attempt that `Attempt.line` wrote."""
    fields = json.loads(line)
    return Attempt(**{**fields, "loop": Loop(fields["loop"])})


class Diary:
    """The file that the clients write to, read as it grows."""

    def __init__(self, path: Path) -> None:
        path.touch()
        self._file = path.open()
        self._rest = ""
        self._attempts: list[Attempt] = []

    def attempts(self) -> Sequence[Attempt]:
        """All of them until now."""
        *lines, self._rest = (self._rest + self._file.read()).split("\n")
        self._attempts += map(read, lines)
        return self._attempts

    def close(self) -> None:
        self._file.close()


def of(attempts: Iterable[Attempt], *loops: Loop) -> list[Attempt]:
    return [attempt for attempt in attempts if attempt.loop in loops]


def longest_gap(attempts: Iterable[Attempt], since: float, until: float) -> float:
    """The longest time without a good answer for one loop; the last answer before `since` counts."""
    good = sorted(attempt.end for attempt in attempts if attempt.good and attempt.end <= until)
    before = [end for end in good if end < since]
    seen = [before[-1] if before else since, *(end for end in good if end >= since), until]
    return max(later - earlier for earlier, later in pairwise(seen))


def failures(attempts: Iterable[Attempt]) -> list[Attempt]:
    """Those that failed, or never ended."""
    return [attempt for attempt in attempts if not attempt.good]


def first_good(attempts: Iterable[Attempt], server: str, since: float) -> float | None:
    """When this server first gave a good answer at or after `since`; None: never."""
    return min((a.end for a in attempts if a.good and a.server == server and a.end >= since), default=None)
