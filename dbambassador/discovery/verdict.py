"""What the answers for one full name amount to: records, none, or a DNS that cannot tell. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dbambassador.discovery.answers import Answer, Outcome
from dbambassador.discovery.cache import Entry

FAILURE_TTL = 5.0
"""Seconds until DNS is asked again after it failed. CoreDNS caches a SERVFAIL for 5 s."""


@dataclass(frozen=True, slots=True)
class Heard:
    """Where one question of those put side by side stands when the waiting ends."""

    entry: Entry | None
    """None: still open."""
    last_good: Entry | None = None
    """What the cache holds to stand in for it."""

    @property
    def missing(self) -> bool:
        return self.entry is None or not self.entry.answer.outcome.definite


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answers that may be used, with their times; without any, why not."""

    usable: tuple[Answer, ...]
    stand_ins: tuple[Entry, ...]
    """Those of the usable ones that stand in for a missing answer."""
    asked_at: float
    expires_at: float
    stale: bool = False
    """A stand-in is used because DNS failed."""
    failure: Answer | None = None
    """DNS failed, and nothing is known, or only what was known before."""


def settle(heard: Sequence[Heard], now: float) -> Verdict:
    """Weighs the answers for all record types of one name, of which at least one has come.

    Records that came are used. A question that failed, or is late, is stood in for by its last good answer,
    so that a slow or failing address family does not look like one that went away. NXDOMAIN speaks for all
    types (RFC 8020): beside it nothing stands in.
    """
    came = [each.entry for each in heard if each.entry]
    records = [entry for entry in came if entry.answer.outcome is Outcome.OK]
    failures = [entry.answer for entry in came if not entry.answer.outcome.definite]
    gone = any(entry.answer.outcome is Outcome.NXDOMAIN for entry in came)
    replaced = [each for each in heard if each.missing and each.last_good and not gone]
    stand_ins = tuple(each.last_good for each in replaced if each.last_good)
    stale = any(each.entry for each in replaced)
    failing = stale or (bool(failures) and not gone and not records)
    expiries = [entry.expires_at for entry in (records or came) if entry.answer.outcome.definite]
    return Verdict(
        usable=tuple(entry.answer for entry in (*records, *stand_ins)),
        stand_ins=stand_ins,
        asked_at=min(entry.asked_at for entry in records or stand_ins or came),
        expires_at=now + FAILURE_TTL if failing else min(expiries),
        stale=stale,
        failure=failures[0] if failing else None,
    )
