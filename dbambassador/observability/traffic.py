"""How fast bytes flow: rates from the counters of one snapshot after the other. Pure.

Whoever shows snapshots keeps one of these. So nobody counts while nobody looks, and the picture fills from
the first look on.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

Snapshot = dict[str, Any]

SPAN = 60.0
"""Seconds that are kept: a failover with what was before it."""
SHORTEST = 0.5
"""Seconds between two looks that count: several pages that look at once must not shorten the picture."""


@dataclass(frozen=True, slots=True)
class Rate:
    """What flowed between two looks."""

    began: float
    """Seconds ago."""
    ended: float
    to_server: float
    """Bytes in a second."""
    to_client: float


class _Look(NamedTuple):
    at: float
    to_server: int
    to_client: int


class Traffic:
    """The rates of every database over the last minute in which somebody looked."""

    def __init__(self) -> None:
        self._looks: dict[str, deque[_Look]] = {}
        self._now = 0.0

    def note(self, snapshot: Snapshot, now: float) -> None:
        """Takes the counters of a snapshot in; what is not in it is forgotten. `now`: on any steady clock."""
        self._now = now
        looks: dict[str, deque[_Look]] = {}
        for database in snapshot["databases"]:
            name = database["name"]
            looks[name] = kept = self._looks.get(name, deque())
            while kept and kept[0].at < now - SPAN:
                kept.popleft()
            look = _Look(now, database["to_server_bytes"], database["to_client_bytes"])
            if kept and (look.to_server < kept[-1].to_server or look.to_client < kept[-1].to_client):
                kept.clear()  # counted anew: another process, or the database was taken out and put in again
            if not kept or now - kept[-1].at >= SHORTEST:
                kept.append(look)
        self._looks = looks

    def rates(self, database: str) -> list[Rate]:
        """Oldest first; none before the second look."""
        return [self._rate(before, after) for before, after in pairwise(self._looks.get(database, ()))]

    def _rate(self, before: _Look, after: _Look) -> Rate:
        seconds = after.at - before.at
        return Rate(
            self._now - before.at,
            self._now - after.at,
            (after.to_server - before.to_server) / seconds,
            (after.to_client - before.to_client) / seconds,
        )
