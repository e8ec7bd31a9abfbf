"""What the ambassador told in its log, as the story of one database. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.faults.attempts import Attempt

Event = dict[str, Any]
"""One line of `--structured-logs`, with `at`: its time in seconds since 1970."""

SERVING = frozenset({"new", "up", "suspect", "half-open"})
"""States in which the ambassador still counts on an address."""

MARGIN = 0.05
"""Seconds that an attempt may have begun before its row left the client: the log has whole milliseconds, and
the client, the ambassador and the server take turns on one machine."""


def event(line: dict[str, Any]) -> Event:
    return {**line, "at": datetime.fromisoformat(line["timestamp"]).timestamp()}


def first_notice(events: Iterable[Event], database: str, address: str, since: float) -> float | None:
    """When it first said that this address is not usable any more; None: never."""

    def tells(each: Event) -> bool:
        match each["event"]:
            case "address_changed":
                return bool(each["address"] == address and each["state"] not in SERVING)
            case "choice_changed":
                return address not in _pool(each)
            case "sessions_evicted":
                return bool(each["sessions"])
        return False

    told = (each["at"] for each in events if each.get("database") == database and tells(each))
    return min((at for at in told if at >= since), default=None)


def bugs(events: Iterable[Event]) -> list[str]:
    """Its own words for what must never happen."""
    return [each["message"] for each in events if each["event"].endswith("_crashed")]


@dataclass(frozen=True, slots=True)
class Reign:
    """A time in which the ambassador held some addresses for the right ones."""

    since: float
    until: float
    addresses: frozenset[str]
    """Where sessions may go on; empty: nowhere."""


def reigns(events: Iterable[Event], database: str) -> list[Reign]:
    """One after another, the last one without an end."""
    found: list[Reign] = []
    epoch = None
    for each in events:
        if each.get("database") != database or each["event"] != "choice_changed":
            continue
        addresses = _pool(each)
        if not addresses and each["epoch"] == epoch and found:
            addresses = found[-1].addresses  # no new sessions, but the old ones may go on
        epoch = each["epoch"]
        if found:
            found[-1] = Reign(found[-1].since, each["at"], found[-1].addresses)
        found.append(Reign(each["at"], float("inf"), addresses))
    return found


def strays(attempts: Iterable[Attempt], told: Sequence[Reign], addresses: dict[str, str]) -> list[Attempt]:
    """Rows that a server took after the ambassador had learned that it was no target.

    `addresses`: of each server's name.
    """

    def allowed(attempt: Attempt) -> bool:
        begun, address = attempt.start - MARGIN, addresses[attempt.server]
        return any(
            address in reign.addresses
            for reign in told
            if reign.since <= attempt.end and reign.until >= begun
        )

    return [attempt for attempt in attempts if attempt.good and not allowed(attempt)]


def _pool(choice: Event) -> frozenset[str]:
    pool = choice.get("pool") or ([choice["address"]] if choice["address"] else [])
    return frozenset(pool)
