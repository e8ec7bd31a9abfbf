"""When an address is checked next, or tried by a session again. Pure but for the chance in its jitter."""

from __future__ import annotations

import random

from dbambassador.health.evidence import Evidence, Signal
from dbambassador.health.states import DOUBTFUL, Record, State
from dbambassador.settings.schema import Check

FAST_FOR = 5.0
"""Seconds for which doubt is checked at `fast_interval`, before `down_interval` follows."""
DOUBT_INTERVAL = 1.0
"""Seconds between checks of an address that is doubted only because sessions end there."""
ROLE_RECHECK = 0.25
"""Seconds after which an address of the wrong role may have another, while nothing is usable: where no check
tells, a session must."""
LONGEST_BACKOFF = 8.0
"""Seconds between trials of an open circuit at most: beyond that the clients of a server that has recovered
would wait for nothing but ours."""
JITTER = 0.2
"""Share by which waits are spread, so that many ambassadors do not come together."""


def after_change(evidence: Evidence, record: Record, checked_at: float, now: float, check: Check) -> float:
    """When an address that this evidence put into its state is due.

    At once on the word of a session that could not be opened. One that broke was perhaps only taking its
    leave, which servers do before their clients: that is checked no more than once a second.
    """
    if record.state is State.OPEN:
        return now + backoff(record.trips)
    if record.state not in DOUBTFUL:
        return now + _spread(check.interval)
    match evidence.signal:
        case Signal.SESSION_BROKE:
            return max(now, checked_at + DOUBT_INTERVAL)
        case Signal.HESITATED:
            return max(now, checked_at + check.fast_interval)
        case Signal.FALTERED | Signal.STALLED:
            return now
        case _:
            return now + check.fast_interval


def after_check(record: Record, lost_at: float | None, now: float, check: Check) -> float:
    """When an address that was just checked is checked again.

    `lost_at`: since when the database has no usable address. Then the good ones are watched as closely,
    where a check tells the role: a standby may be promoted any moment.
    """
    if record.state in DOUBTFUL:
        return now + _urgent_interval(record.since, now, check)
    if lost_at is not None and check.tells_role:
        return now + _urgent_interval(lost_at, now, check)
    return now + _spread(check.interval)


def retry(record: Record, now: float, check: Check) -> float:
    """When an address that is never checked may be tried by a session."""
    return now + (backoff(record.trips) if record.state is State.OPEN else _spread(check.down_interval))


def role_due(record: Record, lost_at: float | None, check: Check) -> float:
    """When a role that makes an address unfit is too old to believe."""
    if lost_at is None:
        return record.role_seen_at + check.interval
    fast = record.role_seen_at - lost_at < FAST_FOR
    return record.role_seen_at + (ROLE_RECHECK if fast else check.down_interval)


def backoff(trips: int) -> float:
    """Seconds that a circuit stays open: 1, 2, 4, 8."""
    return _spread(min(2.0 ** max(trips - 1, 0), LONGEST_BACKOFF))


def _urgent_interval(since: float, now: float, check: Check) -> float:
    return check.fast_interval if now - since < FAST_FOR else check.down_interval


def _spread(seconds: float) -> float:
    return seconds * random.uniform(1 - JITTER, 1 + JITTER)
