"""What the client wrote about its attempts, read while it is still writing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import trio

POLL = 0.005
"""Seconds between two looks into the file, a tenth of the client's own pause."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to write a row and to read the table; times in seconds on the monotonic clock."""

    number: int
    started: float
    ended: float
    written: bool = False
    """The row was acknowledged."""
    rows: int = 0
    server: str = ""
    """`cluster_name` of the server that answered."""
    error: str = ""

    @property
    def good(self) -> bool:
        return not self.error


class Journal:
    """The client's log."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def attempts(self) -> list[Attempt]:
        """All attempts so far; a line that is not whole yet is left for later."""
        text = self.file.read_text() if self.file.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        return [Attempt(**json.loads(line)) for line in whole.splitlines() if line.startswith("{")]

    def servers(self) -> list[str]:
        """The servers that answered, in the order in which they first did."""
        return list(dict.fromkeys(attempt.server for attempt in self.attempts() if attempt.good))

    async def first(self, wanted: Callable[[Attempt], bool]) -> Attempt:
        """Waits for an attempt that fits, and gives the earliest."""
        while True:
            for attempt in self.attempts():
                if wanted(attempt):
                    return attempt
            await trio.sleep(POLL)


@dataclass(frozen=True, slots=True)
class Interruption:
    """What a client went through from a moment on, until it was served again."""

    failed: tuple[Attempt, ...]
    """Attempts that ended with an error."""
    recovered: Attempt
    """The first good attempt that ended after the moment, on the server awaited."""

    @property
    def errors(self) -> dict[str, int]:
        """How often each error was seen, by its first line."""
        counts: dict[str, int] = {}
        for attempt in self.failed:
            line = attempt.error.splitlines()[0]
            counts[line] = counts.get(line, 0) + 1
        return counts


def interruption(attempts: list[Attempt], since: float, server: str) -> Interruption | None:
    """The interruption that began at `since` and ended on `server`; None while it goes on."""
    later = [attempt for attempt in attempts if attempt.ended > since]
    good = [attempt for attempt in later if attempt.good and attempt.server == server]
    if not good:
        return None
    failed = tuple(attempt for attempt in later if not attempt.good and attempt.ended <= good[0].started)
    return Interruption(failed, good[0])


def lost(attempts: list[Attempt], present: set[int]) -> list[int]:
    """Numbers of rows that were acknowledged and are not there any more."""
    return [attempt.number for attempt in attempts if attempt.written and attempt.number not in present]
